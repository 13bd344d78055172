//  Administration replies, decoded once and looked up by name.

#include "yami_admin_rows.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"

//  A NUL-terminated copy of what the relay sent. NULL with errno ENOMEM.
static char *
s_copy(yami_slice_t slice)
{
    char *copy = yami_try_alloc(slice.size + 1, YAMI_LIMIT_REPLY + 1);
    if (copy) {
        if (slice.size > 0) {
            memcpy(copy, slice.data, slice.size);
        }
        copy[slice.size] = '\0';
    }
    return copy;
}

//  Reads one value into field; what is none of the four types counts as empty text. 0, or -1 with
//  errno ENOMEM.
static int
s_read_value(yami_reader_t *reader, yami_admin_field_t *field)
{
    yami_slice_t slice = {NULL, 0};
    field->type = yami_reader_peek(reader);
    switch (field->type) {
    case 'i':
        field->number = yami_reader_int(reader);
        return 0;
    case 'b':
        field->number = yami_reader_bool(reader);
        return 0;
    case 's':
    case 'x':
        slice = yami_reader_text(reader);
        break;
    default:
        field->type = 's';
        yami_reader_skip(reader);
        break;
    }
    field->bytes = s_copy(slice);
    field->size = slice.size;
    return field->bytes ? 0 : -1;
}

static int
s_read_field(yami_admin_rows_t *self, yami_reader_t *reader)
{
    if (yami_grow(&self->fields, &self->field_capacity, self->field_count + 1,
                  sizeof(yami_admin_field_t), YAMI_LIMIT_REPLY) == -1) {
        return -1;
    }
    yami_admin_field_t *field = &self->fields[self->field_count];
    *field = (yami_admin_field_t) {.row = self->row_count};
    field->name = s_copy(yami_reader_str(reader));
    if (!field->name) {
        return -1;
    }
    self->field_count++; //  from here on clear frees it
    return s_read_value(reader, field);
}

static int
s_read_rows(yami_admin_rows_t *self, yami_reader_t *reader)
{
    uint32_t row_count = yami_reader_array(reader);
    for (; row_count > 0 && !reader->failed; row_count--) {
        uint32_t field_count = yami_reader_map(reader);
        for (; field_count > 0 && !reader->failed; field_count--) {
            if (s_read_field(self, reader) == -1) {
                return -1;
            }
        }
        self->row_count++;
    }
    return yami_reader_finish(reader);
}

int
yami_admin_rows_read(yami_admin_rows_t *self, yami_slice_t encoded)
{
    yami_reader_t reader;
    yami_admin_rows_clear(self);
    if (encoded.size == 0) {
        return 0;
    }
    yami_reader_init(&reader, encoded.data, encoded.size);
    if (s_read_rows(self, &reader) == -1) {
        int error = errno;
        yami_admin_rows_clear(self);
        errno = error;
        return -1;
    }
    return 0;
}

//  By bisection: fields ascend by row.
size_t
yami_admin_rows_first(const yami_admin_rows_t *self, size_t row)
{
    size_t low = 0;
    size_t high = self->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->fields[middle].row < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const yami_admin_field_t *
yami_admin_rows_find(const yami_admin_rows_t *self, size_t row, const char *name)
{
    for (size_t at = yami_admin_rows_first(self, row); at < self->field_count; at++) {
        const yami_admin_field_t *field = &self->fields[at];
        if (field->row != row) {
            break;
        }
        if (strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}

void
yami_admin_rows_clear(yami_admin_rows_t *self)
{
    for (size_t index = 0; index < self->field_count; index++) {
        yami_free(self->fields[index].name);
        yami_free(self->fields[index].bytes);
    }
    yami_free(self->fields);
    *self = (yami_admin_rows_t) {0};
}
