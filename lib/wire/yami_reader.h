/*  yami_reader - a bounded, sticky cursor over untrusted bytes.

    Once a read would pass the end or finds a wrong type, the reader is failed: every later read
    gives zero / empty, and yami_reader_finish reports EPROTO. So a decoder reads straight through
    and checks once. Nothing is ever allocated; slices are borrowed from the bytes.
    Fixed-width integers are little-endian; msgpack values follow the msgpack specification
    (big-endian inside). Counts are checked against the bytes left before anybody may believe them.
    Invariant: position <= size.
*/
#ifndef YAMI_READER_H
#define YAMI_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *data; //  borrowed
    size_t size;
    size_t position;
    bool failed; //  sticky
} yami_reader_t;

//  Borrowed bytes within the reader's data; not NUL-terminated.
typedef struct {
    const uint8_t *data;
    size_t size;
} yami_slice_t;

void
yami_reader_init(yami_reader_t *self, const void *data, size_t size);

uint8_t
yami_reader_u8(yami_reader_t *self);
uint16_t
yami_reader_u16(yami_reader_t *self);
uint32_t
yami_reader_u32(yami_reader_t *self);
uint64_t
yami_reader_u64(yami_reader_t *self);

//  The next size bytes, {NULL, 0} when that many are not left.
yami_slice_t
yami_reader_bytes(yami_reader_t *self, size_t size);

size_t
yami_reader_left(const yami_reader_t *self);

//  msgpack: header of a map / array: number of pairs / items, checked to be no more than the bytes
//  left allow (2 / 1 bytes each).
uint32_t
yami_reader_map(yami_reader_t *self);
uint32_t
yami_reader_array(yami_reader_t *self);

//  msgpack: non-negative integer of any width; signed integer; bool.
uint64_t
yami_reader_uint(yami_reader_t *self);
int64_t
yami_reader_int(yami_reader_t *self);
bool
yami_reader_bool(yami_reader_t *self);

//  msgpack: str; bin; either of both.
yami_slice_t
yami_reader_str(yami_reader_t *self);
yami_slice_t
yami_reader_bin(yami_reader_t *self);
yami_slice_t
yami_reader_text(yami_reader_t *self);

//  What comes next, without consuming it: 'i' integer, 'b' bool, 's' str, 'x' bin, 'm' map, 'a'
//  array, 'n' nil, 'f' float, 'e' ext, 0 at the end or on a byte msgpack never uses.
char
yami_reader_peek(const yami_reader_t *self);

//  Skips one whole msgpack value, of at most YAMI_LIMIT_DEPTH levels, without recursion.
void
yami_reader_skip(yami_reader_t *self);

//  Marks the reader failed, for a decoder's own checks.
void
yami_reader_fail(yami_reader_t *self);

//  0 when all was read and nothing failed; otherwise -1 with errno EPROTO (trailing bytes
//  included).
int
yami_reader_finish(const yami_reader_t *self);

//  A slice of size bytes / of a NUL-terminated text without its NUL; borrowed.
yami_slice_t
yami_slice(const void *data, size_t size);
yami_slice_t
yami_slice_text(const char *text);

bool
yami_slice_equal(yami_slice_t slice, const char *text);

#endif
