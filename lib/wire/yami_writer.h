/*  yami_writer - appends fixed-width integers and msgpack values to a growing, bounded buffer.

    Sticky: once the limit or memory is exceeded nothing more is written and yami_writer_finish
    fails. msgpack encoding is msgpack-c's; this is its output callback plus names.
*/
#ifndef YAMI_WRITER_H
#define YAMI_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_bytes.h"

typedef struct {
    uint8_t *data;   //  owned
    size_t size;     //  bytes written
    size_t capacity; //  bytes allocated
    size_t limit;    //  most bytes ever
    int failed;      //  sticky: 0, or the errno of the first failure (EMSGSIZE, ENOMEM)
} yami_writer_t;

void
yami_writer_init(yami_writer_t *self, size_t limit);

void
yami_writer_clear(yami_writer_t *self);

void
yami_writer_u8(yami_writer_t *self, uint8_t value);
void
yami_writer_u16(yami_writer_t *self, uint16_t value);
void
yami_writer_u32(yami_writer_t *self, uint32_t value);
void
yami_writer_u64(yami_writer_t *self, uint64_t value);
void
yami_writer_bytes(yami_writer_t *self, const void *bytes, size_t size);

//  msgpack, smallest encoding of each value.
void
yami_writer_map(yami_writer_t *self, uint32_t pair_count);
void
yami_writer_array(yami_writer_t *self, uint32_t item_count);
void
yami_writer_uint(yami_writer_t *self, uint64_t value);
void
yami_writer_int(yami_writer_t *self, int64_t value);
void
yami_writer_bool(yami_writer_t *self, bool value);
void
yami_writer_str(yami_writer_t *self, const char *text);
void
yami_writer_str_slice(yami_writer_t *self, const void *text, size_t size);
void
yami_writer_bin(yami_writer_t *self, const void *bytes, size_t size);

//  Moves what was written into a block the caller owns and clears the writer; or NULL with errno
//  ENOMEM or EMSGSIZE; the writer is clear then, too.
yami_block_t *
yami_writer_finish(yami_writer_t *self);

#endif
