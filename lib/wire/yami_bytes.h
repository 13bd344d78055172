/*  yami_bytes - little-endian loads and stores at any alignment.

    Inline because every record of every batch goes through them; compilers turn each into one
    instruction. Never bounds-checked: whoever calls has checked.
*/
#ifndef YAMI_BYTES_H
#define YAMI_BYTES_H

#include <stdint.h>

static inline void
yami_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t) value;
    at[1] = (uint8_t) (value >> 8);
}

static inline void
yami_put_u32(uint8_t *at, uint32_t value)
{
    yami_put_u16(at, (uint16_t) value);
    yami_put_u16(at + 2, (uint16_t) (value >> 16));
}

static inline void
yami_put_u64(uint8_t *at, uint64_t value)
{
    yami_put_u32(at, (uint32_t) value);
    yami_put_u32(at + 4, (uint32_t) (value >> 32));
}

static inline uint16_t
yami_get_u16(const uint8_t *at)
{
    return (uint16_t) (at[0] | at[1] << 8);
}

static inline uint32_t
yami_get_u32(const uint8_t *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 |
           (uint32_t) at[3] << 24;
}

static inline uint64_t
yami_get_u64(const uint8_t *at)
{
    return (uint64_t) yami_get_u32(at) | (uint64_t) yami_get_u32(at + 4) << 32;
}

#endif
