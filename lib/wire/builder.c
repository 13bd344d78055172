//  yami_builder - packs records into a batch. See yami_batch.h.
//
//  Invariants (of yami_builder_t):
//  (1) size <= capacity, or bytes is NULL, capacity 0 and size the header's alone.
//  (2) capacity is limit, or, for a single record that needs more, exactly what that record needs.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_batch.h"
#include "yami_batch_head.h"
#include "yami_bytes.h"
#include "yami_limits.h"

#define COPY_RATIO 4 //  a batch that uses less than this part of its buffer is copied out of it
#define CACHE_LINE 64
#define PREFETCH_AHEAD 1024 //  bytes
#define PREFETCH_MOST 512   //  bytes; a longer record is a stream that the processor sees by itself

//  With __x86_64__ alone the compiler's own gives a prefetch for reading.
#if defined(__x86_64__)
#define PREFETCH_FOR_WRITING(at) __asm__ volatile("prefetchw %0" : : "m"(*(const uint8_t *) (at)))
#else
#define PREFETCH_FOR_WRITING(at) __builtin_prefetch((at), 1)
#endif

void
yami_builder_init(yami_builder_t *self, size_t limit)
{
    size_t sound = limit < YAMI_BATCH_HEADER_SIZE ? YAMI_BATCH_HEADER_SIZE
                   : limit > YAMI_LIMIT_FRAME     ? YAMI_LIMIT_FRAME
                                                  : limit;
    *self = (yami_builder_t) {.size = YAMI_BATCH_HEADER_SIZE, .limit = sound};
}

void
yami_builder_clear(yami_builder_t *self)
{
    yami_free(self->bytes);
    yami_builder_init(self, self->limit);
}

//  Makes room for the first record of a batch. 0, or -1 with errno EAGAIN or ENOMEM.
static int
s_make_room(yami_builder_t *self, size_t needed)
{
    if (self->count > 0) {
        errno = EAGAIN;
        return -1;
    }
    size_t capacity = YAMI_BATCH_HEADER_SIZE + needed;
    if (capacity < self->limit) {
        capacity = self->limit;
    }
    uint8_t *bytes = yami_try_alloc(capacity, YAMI_LIMIT_FRAME);
    if (bytes == NULL) {
        return -1;
    }
    yami_free(self->bytes);
    self->bytes = bytes;
    self->capacity = capacity; //  (2)
    return 0;
}

//  Whether the flagged times of a record may be written.
static bool
s_times_are_sound(const yami_record_t *record)
{
    if ((record->flags & ~(YAMI_RECORD_DUE | YAMI_RECORD_EXPIRY)) != 0) {
        return false;
    }
    bool due = record->due_ms > 0 && record->due_ms <= YAMI_LIMIT_TIME_MS;
    bool expiry = record->expiry_ms > 0 && record->expiry_ms <= YAMI_LIMIT_TIME_MS;
    return (due || !(record->flags & YAMI_RECORD_DUE)) &&
           (expiry || !(record->flags & YAMI_RECORD_EXPIRY));
}

//  Writes the flagged times, returns where the next byte goes.
static uint8_t *
s_write_times(uint8_t *at, const yami_record_t *record)
{
    if (record->flags & YAMI_RECORD_DUE) {
        yami_put_u64(at, (uint64_t) record->due_ms);
        at += 8;
    }
    if (record->flags & YAMI_RECORD_EXPIRY) {
        yami_put_u64(at, (uint64_t) record->expiry_ms);
        at += 8;
    }
    return at;
}

static int
s_check(const yami_record_t *record)
{
    if (record->body.size > YAMI_LIMIT_BODY) {
        return yami_fail(EMSGSIZE, "a body of %zu bytes is more than the limit of %u",
                         record->body.size, YAMI_LIMIT_BODY);
    }
    if (record->properties.size > YAMI_LIMIT_PROPERTIES) {
        return yami_fail(EMSGSIZE, "%zu bytes of properties are more than the limit of %u",
                         record->properties.size, YAMI_LIMIT_PROPERTIES);
    }
    if (record->priority > YAMI_LIMIT_PRIORITY || !s_times_are_sound(record)) {
        return yami_fail(EINVAL, "priority is 0..9, due and expiry are milliseconds since 1970");
    }
    return 0;
}

//  Asks for the lines to which records after this one of size bytes will be written. The buffer was
//  last read by another core, which sent it; and whoever appends lets go of a lock after each
//  record, which waits for all its writes to be done.
static inline void
s_prefetch(const yami_builder_t *self, size_t size)
{
    size_t first = self->size + PREFETCH_AHEAD;
    size_t last = first + (size < PREFETCH_MOST ? size : PREFETCH_MOST);
    for (size_t offset = first; offset < last && offset < self->capacity; offset += CACHE_LINE) {
        PREFETCH_FOR_WRITING(self->bytes + offset);
    }
}

int
yami_builder_append(yami_builder_t *self, const yami_record_t *record)
{
    size_t body_size = record->body.size;
    size_t properties_size = record->properties.size;
    if ((body_size > YAMI_LIMIT_BODY || properties_size > YAMI_LIMIT_PROPERTIES ||
         record->priority > YAMI_LIMIT_PRIORITY || record->flags != 0) &&
        s_check(record) == -1) {
        return -1;
    }
    size_t times_size = record->flags == 0                                        ? 0
                        : record->flags == (YAMI_RECORD_DUE | YAMI_RECORD_EXPIRY) ? 16
                                                                                  : 8;
    size_t needed = YAMI_RECORD_HEADER_SIZE + times_size + properties_size + body_size;
    if ((self->size + needed > self->capacity || self->count == YAMI_LIMIT_BATCH_COUNT) &&
        s_make_room(self, needed) == -1) {
        return -1;
    }
    uint8_t *at = self->bytes + self->size;
    yami_put_u32(at, (uint32_t) body_size);
    yami_put_u16(at + 4, (uint16_t) properties_size);
    at[6] = record->flags;
    at[7] = record->priority;
    yami_put_u32(at + 8, record->key_hash);
    at += YAMI_RECORD_HEADER_SIZE;
    if (times_size > 0) {
        at = s_write_times(at, record);
    }
    if (properties_size > 0) {
        memcpy(at, record->properties.data, properties_size);
    }
    if (body_size > 0) {
        memcpy(at + properties_size, record->body.data, body_size);
    }
    s_prefetch(self, needed);
    self->size += needed; //  (1)
    self->count++;
    return 0;
}

yami_block_t *
yami_builder_finish(yami_builder_t *self, const yami_batch_t *head)
{
    YAM_ASSERT(self->count > 0 && self->size <= self->capacity); //  (1)
    bool is_small = self->size < self->capacity / COPY_RATIO;
    yami_batch_write_head(self->bytes, head, self->count, self->size - YAMI_BATCH_HEADER_SIZE);
    yami_block_t *block;
    if (is_small) {
        block = yami_block_copy(self->bytes, self->size, YAMI_LIMIT_FRAME);
        if (block == NULL) {
            return NULL;
        }
    } else {
        block = yami_block_new(self->bytes, self->size, yami_free, self->bytes);
        self->bytes = NULL;
        self->capacity = 0;
    }
    self->size = YAMI_BATCH_HEADER_SIZE;
    self->count = 0;
    return block;
}
