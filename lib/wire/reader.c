//  yami_reader - a bounded, sticky cursor over untrusted bytes. See the header.

#include "yami_reader.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_limits.h"

//  The first byte of a msgpack value and the number that follows it, taken apart.
typedef struct {
    char type;        //  as yami_reader_peek; 0: no such value
    bool is_negative; //  'i' only: value is a negative int64 in two's complement
    uint64_t
        //  'i', 'b': the value; 's', 'x', 'f', 'e': bytes that follow; 'm', 'a': pairs, items
        value;
} s_head_t;

//  The formats 0xc0..0xdf of the msgpack specification: type, bytes of the number that follows, and
//  what to add to that number ('f', 'e': payload, and the type byte of an ext).
static const struct {
    char type;
    uint8_t width;
    uint8_t extra;
} s_formats[32] = {
    {'n', 0, 0},  {0, 0, 0},   {'b', 0, 0}, {'b', 0, 1}, //  c0 nil, never used, false, true
    {'x', 1, 0},  {'x', 2, 0}, {'x', 4, 0},              //  c4 bin 8, 16, 32
    {'e', 1, 1},  {'e', 2, 1}, {'e', 4, 1},              //  c7 ext 8, 16, 32
    {'f', 0, 4},  {'f', 0, 8},                           //  ca float 32, 64
    {'i', 1, 0},  {'i', 2, 0}, {'i', 4, 0}, {'i', 8, 0}, //  cc uint 8, 16, 32, 64
    {'i', 1, 0},  {'i', 2, 0}, {'i', 4, 0}, {'i', 8, 0}, //  d0 int 8, 16, 32, 64
    {'e', 0, 2},  {'e', 0, 3}, {'e', 0, 5}, {'e', 0, 9}, //  d4 fixext 1, 2, 4, 8
    {'e', 0, 17},                                        //  d8 fixext 16
    {'s', 1, 0},  {'s', 2, 0}, {'s', 4, 0},              //  d9 str 8, 16, 32
    {'a', 2, 0},  {'a', 4, 0},                           //  dc array 16, 32
    {'m', 2, 0},  {'m', 4, 0},                           //  de map 16, 32
};

void
yami_reader_init(yami_reader_t *self, const void *data, size_t size)
{
    YAM_ASSERT(data != NULL || size == 0);
    self->data = data;
    self->size = size;
    self->position = 0;
    self->failed = false;
}

size_t
yami_reader_left(const yami_reader_t *self)
{
    return self->failed ? 0 : self->size - self->position;
}

void
yami_reader_fail(yami_reader_t *self)
{
    self->failed = true;
}

int
yami_reader_finish(const yami_reader_t *self)
{
    if (self->failed || self->position != self->size) {
        errno = EPROTO;
        return -1;
    }
    return 0;
}

yami_slice_t
yami_reader_bytes(yami_reader_t *self, size_t size)
{
    yami_slice_t slice = {NULL, 0};
    if (self->failed || size > self->size - self->position) {
        self->failed = true;
        return slice;
    }
    if (size > 0) {
        slice.data = self->data + self->position;
        slice.size = size;
        self->position += size;
    }
    return slice;
}

uint8_t
yami_reader_u8(yami_reader_t *self)
{
    yami_slice_t slice = yami_reader_bytes(self, 1);
    return slice.data == NULL ? 0 : slice.data[0];
}

uint16_t
yami_reader_u16(yami_reader_t *self)
{
    yami_slice_t slice = yami_reader_bytes(self, 2);
    return slice.data == NULL ? 0 : yami_get_u16(slice.data);
}

uint32_t
yami_reader_u32(yami_reader_t *self)
{
    yami_slice_t slice = yami_reader_bytes(self, 4);
    return slice.data == NULL ? 0 : yami_get_u32(slice.data);
}

uint64_t
yami_reader_u64(yami_reader_t *self)
{
    yami_slice_t slice = yami_reader_bytes(self, 8);
    return slice.data == NULL ? 0 : yami_get_u64(slice.data);
}

//  msgpack's own numbers are big-endian.
static uint64_t
s_big_endian(yami_reader_t *self, unsigned width)
{
    yami_slice_t slice = yami_reader_bytes(self, width);
    uint64_t value = 0;
    for (size_t index = 0; index < slice.size; index++) {
        value = value << 8 | slice.data[index];
    }
    return value;
}

//  Sign-extends an integer of formats d0..d3.
static void
s_signed(s_head_t *head, unsigned width)
{
    int64_t value = width == 1   ? (int8_t) head->value
                    : width == 2 ? (int16_t) head->value
                    : width == 4 ? (int32_t) head->value
                                 : (int64_t) head->value;
    head->is_negative = value < 0;
    head->value = (uint64_t) value;
}

static s_head_t
s_head(yami_reader_t *self)
{
    s_head_t head = {0, false, 0};
    uint8_t first = yami_reader_u8(self);
    if (self->failed) {
        return head;
    }
    if (first < 0x80) {
        return (s_head_t) {'i', false, first};
    }
    if (first < 0x90) {
        return (s_head_t) {'m', false, first & 0x0fu};
    }
    if (first < 0xa0) {
        return (s_head_t) {'a', false, first & 0x0fu};
    }
    if (first < 0xc0) {
        return (s_head_t) {'s', false, first & 0x1fu};
    }
    if (first >= 0xe0) {
        return (s_head_t) {'i', true, ~(uint64_t) 0xff | first};
    }
    unsigned width = s_formats[first - 0xc0].width;
    head.type = s_formats[first - 0xc0].type;
    head.value = s_big_endian(self, width) + s_formats[first - 0xc0].extra;
    if (first >= 0xd0 && first <= 0xd3) {
        s_signed(&head, width);
    }
    if (head.type == 0) {
        self->failed = true;
    }
    if (self->failed) {
        return (s_head_t) {0, false, 0};
    }
    return head;
}

//  The next head if it is of that type; failed otherwise.
static uint64_t
s_expect(yami_reader_t *self, char type)
{
    s_head_t head = s_head(self);
    if (head.type != type) {
        self->failed = true;
        return 0;
    }
    return head.value;
}

//  A count nobody may believe before the bytes that are left could hold so many.
static uint32_t
s_count(yami_reader_t *self, uint64_t count, unsigned least_size)
{
    if (count > yami_reader_left(self) / least_size || count > UINT32_MAX) {
        self->failed = true;
        return 0;
    }
    return (uint32_t) count;
}

uint32_t
yami_reader_map(yami_reader_t *self)
{
    uint64_t count = s_expect(self, 'm');
    return s_count(self, count, 2);
}

uint32_t
yami_reader_array(yami_reader_t *self)
{
    uint64_t count = s_expect(self, 'a');
    return s_count(self, count, 1);
}

uint64_t
yami_reader_uint(yami_reader_t *self)
{
    s_head_t head = s_head(self);
    if (head.type != 'i' || head.is_negative) {
        self->failed = true;
        return 0;
    }
    return head.value;
}

int64_t
yami_reader_int(yami_reader_t *self)
{
    s_head_t head = s_head(self);
    if (head.type != 'i' || (!head.is_negative && head.value > INT64_MAX)) {
        self->failed = true;
        return 0;
    }
    return (int64_t) head.value;
}

bool
yami_reader_bool(yami_reader_t *self)
{
    return s_expect(self, 'b') != 0;
}

//  size is at most 2^32, so it always fits size_t's 64 bits; reader_bytes compares it with what is
//  left.
yami_slice_t
yami_reader_str(yami_reader_t *self)
{
    uint64_t size = s_expect(self, 's');
    return yami_reader_bytes(self, (size_t) size);
}

yami_slice_t
yami_reader_bin(yami_reader_t *self)
{
    uint64_t size = s_expect(self, 'x');
    return yami_reader_bytes(self, (size_t) size);
}

yami_slice_t
yami_reader_text(yami_reader_t *self)
{
    return yami_reader_peek(self) == 'x' ? yami_reader_bin(self) : yami_reader_str(self);
}

char
yami_reader_peek(const yami_reader_t *self)
{
    if (yami_reader_left(self) == 0) {
        return 0;
    }
    uint8_t first = self->data[self->position];
    if (first < 0x80 || first >= 0xe0) {
        return 'i';
    }
    if (first >= 0xc0) {
        return s_formats[first - 0xc0].type;
    }
    return first < 0x90 ? 'm' : first < 0xa0 ? 'a' : 's';
}

//  Skips one value without what it contains, and tells how many values that is. Whether it is a
//  container.
static bool
s_skip_one(yami_reader_t *self, uint64_t *inner_count_p)
{
    s_head_t head = s_head(self);
    *inner_count_p = 0;
    switch (head.type) {
    case 's':
    case 'x':
    case 'f':
    case 'e':
        yami_reader_bytes(self, (size_t) head.value);
        return false;
    case 'm':
        *inner_count_p = 2 * (uint64_t) s_count(self, head.value, 2);
        return true;
    case 'a':
        *inner_count_p = s_count(self, head.value, 1);
        return true;
    default:
        return false;
    }
}

void
yami_reader_skip(yami_reader_t *self)
{
    uint64_t left[YAMI_LIMIT_DEPTH + 1] = {1}; //  values still to skip, per level
    unsigned depth = 0;
    while (!self->failed) {
        if (left[depth] == 0) {
            if (depth == 0) {
                return;
            }
            depth--;
            continue;
        }
        left[depth]--;
        uint64_t inner_count;
        if (s_skip_one(self, &inner_count)) {
            if (depth == YAMI_LIMIT_DEPTH) {
                self->failed = true;
                return;
            }
            left[++depth] = inner_count;
        }
    }
}

bool
yami_slice_equal(yami_slice_t slice, const char *text)
{
    size_t size = strlen(text);
    return slice.size == size && (size == 0 || memcmp(slice.data, text, size) == 0);
}

yami_slice_t
yami_slice(const void *data, size_t size)
{
    return (yami_slice_t) {data, size};
}

yami_slice_t
yami_slice_text(const char *text)
{
    return (yami_slice_t) {(const uint8_t *) text, strlen(text)};
}
