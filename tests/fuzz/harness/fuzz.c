#include "fuzz.h"

#include <string.h>

#include "yami_base.h"
#include "yami_batch.h"
#include "yami_bytes.h"
#include "yami_limits.h"

void
fuzz_input_init(fuzz_input_t *self, const uint8_t *data, size_t size)
{
    *self = (fuzz_input_t) {.data = data, .size = size};
}

size_t
fuzz_left(const fuzz_input_t *self)
{
    return self->size - self->position;
}

uint8_t
fuzz_u8(fuzz_input_t *self)
{
    return fuzz_left(self) > 0 ? self->data[self->position++] : 0;
}

uint16_t
fuzz_u16(fuzz_input_t *self)
{
    uint16_t low = fuzz_u8(self);
    return (uint16_t) (low | fuzz_u8(self) << 8);
}

uint32_t
fuzz_u32(fuzz_input_t *self)
{
    uint32_t low = fuzz_u16(self);
    return low | (uint32_t) fuzz_u16(self) << 16;
}

uint64_t
fuzz_u64(fuzz_input_t *self)
{
    uint64_t low = fuzz_u32(self);
    return low | (uint64_t) fuzz_u32(self) << 32;
}

unsigned
fuzz_below(fuzz_input_t *self, unsigned limit)
{
    return fuzz_u8(self) % limit;
}

uint64_t
fuzz_number(fuzz_input_t *self)
{
    uint8_t kind = fuzz_u8(self);
    switch (kind) {
    case 0xff:
        return fuzz_u64(self);
    case 0xfe:
        return YAMI_LIMIT_SEQUENCE - fuzz_u8(self);
    case 0xfd:
        return UINT64_MAX - fuzz_u8(self);
    case 0xfc:
        return UINT32_MAX - fuzz_u8(self);
    case 0xfb:
        return fuzz_u16(self);
    default:
        return kind;
    }
}

yami_slice_t
fuzz_bytes(fuzz_input_t *self, size_t size)
{
    size_t left = fuzz_left(self);
    yami_slice_t slice = yami_slice(self->data + self->position, size < left ? size : left);
    self->position += slice.size;
    return slice;
}

char *
fuzz_text(fuzz_input_t *self, size_t size)
{
    yami_slice_t slice = fuzz_bytes(self, size);
    char *text = yami_alloc(slice.size + 1);
    if (slice.size > 0) {
        memcpy(text, slice.data, slice.size);
    }
    return text;
}

yami_block_t *
fuzz_encode(const yami_frame_t *frame)
{
    static const yami_frame_t heartbeat = {.type = YAMI_FRAME_HEARTBEAT};
    yami_block_t *block = yami_frame_encode(frame);
    block = block ? block : yami_frame_encode(&heartbeat);
    YAM_ASSERT(block);
    return block;
}

uint8_t *
fuzz_copy(const void *data, size_t size)
{
    uint8_t *copy = yami_alloc(size > 0 ? size : 1);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

void
fuzz_sign_batch(uint8_t *bytes, size_t size)
{
    if (size < YAMI_BATCH_HEADER_SIZE) {
        return;
    }
    bool is_left_out = (bytes[5] & YAMI_BATCH_NO_CRC) != 0;
    yami_put_u32(bytes + 48, is_left_out ? 0
                                         : yami_crc32c(0, bytes + YAMI_BATCH_HEADER_SIZE,
                                                       size - YAMI_BATCH_HEADER_SIZE));
    yami_put_u32(bytes + 52, yami_crc32c(0, bytes, 52));
}
