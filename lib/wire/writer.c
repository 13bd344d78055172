//  yami_writer - appends integers and msgpack values to a growing, bounded buffer. See the header.

#include "yami_writer.h"

#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"

void
yami_writer_init(yami_writer_t *self, size_t limit)
{
    *self = (yami_writer_t) {.limit = limit};
}

void
yami_writer_clear(yami_writer_t *self)
{
    yami_free(self->data);
    yami_writer_init(self, self->limit);
}

//  size more bytes to fill, NULL when failed.
static uint8_t *
s_reserve(yami_writer_t *self, size_t size)
{
    if (self->failed != 0) {
        return NULL;
    }
    if (size > self->limit - self->size) {
        self->failed = EMSGSIZE;
        return NULL;
    }
    if (size > self->capacity - self->size &&
        yami_grow(&self->data, &self->capacity, self->size + size, 1, self->limit) == -1) {
        self->failed = errno;
        return NULL;
    }
    uint8_t *at = self->data + self->size;
    self->size += size;
    return at;
}

void
yami_writer_bytes(yami_writer_t *self, const void *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    uint8_t *at = s_reserve(self, size);
    if (at != NULL) {
        memcpy(at, bytes, size);
    }
}

void
yami_writer_u8(yami_writer_t *self, uint8_t value)
{
    yami_writer_bytes(self, &value, 1);
}

void
yami_writer_u16(yami_writer_t *self, uint16_t value)
{
    uint8_t bytes[2];
    yami_put_u16(bytes, value);
    yami_writer_bytes(self, bytes, sizeof bytes);
}

void
yami_writer_u32(yami_writer_t *self, uint32_t value)
{
    uint8_t bytes[4];
    yami_put_u32(bytes, value);
    yami_writer_bytes(self, bytes, sizeof bytes);
}

void
yami_writer_u64(yami_writer_t *self, uint64_t value)
{
    uint8_t bytes[8];
    yami_put_u64(bytes, value);
    yami_writer_bytes(self, bytes, sizeof bytes);
}

//  msgpack-c's output callback.
static int
s_output(void *data, const char *bytes, size_t size)
{
    yami_writer_t *self = data;
    yami_writer_bytes(self, bytes, size);
    return self->failed != 0 ? -1 : 0;
}

static msgpack_packer
s_packer(yami_writer_t *self)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, self, s_output);
    return packer;
}

void
yami_writer_map(yami_writer_t *self, uint32_t pair_count)
{
    msgpack_packer packer = s_packer(self);
    msgpack_pack_map(&packer, pair_count);
}

void
yami_writer_array(yami_writer_t *self, uint32_t item_count)
{
    msgpack_packer packer = s_packer(self);
    msgpack_pack_array(&packer, item_count);
}

void
yami_writer_uint(yami_writer_t *self, uint64_t value)
{
    msgpack_packer packer = s_packer(self);
    msgpack_pack_uint64(&packer, value);
}

void
yami_writer_int(yami_writer_t *self, int64_t value)
{
    msgpack_packer packer = s_packer(self);
    msgpack_pack_int64(&packer, value);
}

void
yami_writer_bool(yami_writer_t *self, bool value)
{
    msgpack_packer packer = s_packer(self);
    if (value) {
        msgpack_pack_true(&packer);
    } else {
        msgpack_pack_false(&packer);
    }
}

void
yami_writer_str(yami_writer_t *self, const char *text)
{
    yami_writer_str_slice(self, text, strlen(text));
}

//  A length msgpack cannot express must not reach msgpack-c, which would cut it to 32 bits.
static bool
s_fits(yami_writer_t *self, size_t size)
{
    if (size > UINT32_MAX && self->failed == 0) {
        self->failed = EMSGSIZE;
    }
    return self->failed == 0;
}

void
yami_writer_str_slice(yami_writer_t *self, const void *text, size_t size)
{
    if (s_fits(self, size)) {
        msgpack_packer packer = s_packer(self);
        msgpack_pack_str(&packer, size);
        yami_writer_bytes(self, text, size);
    }
}

void
yami_writer_bin(yami_writer_t *self, const void *bytes, size_t size)
{
    if (s_fits(self, size)) {
        msgpack_packer packer = s_packer(self);
        msgpack_pack_bin(&packer, size);
        yami_writer_bytes(self, bytes, size);
    }
}

yami_block_t *
yami_writer_finish(yami_writer_t *self)
{
    if (self->failed != 0) {
        int error = self->failed;
        yami_writer_clear(self);
        errno = error;
        return NULL;
    }
    yami_block_t *block = yami_block_new(self->data, self->size, yami_free, self->data);
    yami_writer_init(self, self->limit);
    return block;
}
