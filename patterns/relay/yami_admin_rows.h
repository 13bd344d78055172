/*  yami_admin_rows - the rows of an administration reply, decoded: fields with names, in the order
    they came.

    Pure, not thread-safe. Decoding is total: any bytes give rows or EPROTO.
*/
#ifndef YAMI_ADMIN_ROWS_H
#define YAMI_ADMIN_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "yami_reader.h"

//  One field of a row. Texts are copied, so that they end in NUL.
typedef struct {
    size_t row;
    char *name; //  owned
    char type;  //  'i', 'b', 's' or 'x'
    int64_t number;
    char *bytes; //  owned; NULL for numbers
    size_t size;
} yami_admin_field_t;

//  All zero: no rows.
typedef struct {
    yami_admin_field_t *fields; //  owned; in the order of rows
    size_t field_count;
    size_t field_capacity;
    size_t row_count;
} yami_admin_rows_t;

//  Replaces what is there by the rows of a msgpack array of maps; an empty slice has none. 0, or -1
//  with errno EPROTO, ENOMEM; there are no rows then.
int
yami_admin_rows_read(yami_admin_rows_t *self, yami_slice_t encoded);

//  Index of a row's first field, field_count past the last row.
size_t
yami_admin_rows_first(const yami_admin_rows_t *self, size_t row);

//  A row's field of that name, NULL when there is none. Borrowed.
const yami_admin_field_t *
yami_admin_rows_find(const yami_admin_rows_t *self, size_t row, const char *name);

//  Frees what it holds; no rows then. Safe twice.
void
yami_admin_rows_clear(yami_admin_rows_t *self);

#endif
