//  yami_batch - reading and slicing batches. See the header.

#include "yami_batch.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_batch_head.h"
#include "yami_bytes.h"
#include "yami_limits.h"

#define KNOWN_RECORD_FLAGS (YAMI_RECORD_DUE | YAMI_RECORD_EXPIRY)

static int
s_malformed(void)
{
    errno = EPROTO;
    return -1;
}

void
yami_batch_write_head(uint8_t *at, const yami_batch_t *head, uint32_t count, size_t payload_size)
{
    YAM_ASSERT(count > 0 && count <= YAMI_LIMIT_BATCH_COUNT);
    YAM_ASSERT(payload_size <= YAMI_LIMIT_FRAME - YAMI_BATCH_HEADER_SIZE);
    YAM_ASSERT((head->flags & ~YAMI_BATCH_NO_CRC) == 0);
    YAM_ASSERT(yami_batch_is_run(head->first_sequence, count));
    uint32_t payload_crc = head->flags & YAMI_BATCH_NO_CRC
                               ? 0
                               : yami_crc32c(0, at + YAMI_BATCH_HEADER_SIZE, payload_size);
    yami_put_u32(at, YAMI_BATCH_MAGIC);
    at[4] = YAMI_BATCH_VERSION;
    at[5] = head->flags;
    yami_put_u16(at + 6, 0);
    yami_put_u32(at + 8, (uint32_t) payload_size);
    yami_put_u32(at + 12, count);
    yami_put_u32(at + 16, head->handle);
    yami_put_u32(at + 20, head->epoch);
    memcpy(at + 24, head->producer.bytes, sizeof head->producer.bytes);
    yami_put_u64(at + 40, head->first_sequence);
    yami_put_u32(at + 48, payload_crc);
    yami_put_u32(at + 52, yami_crc32c(0, at, 52));
}

//  Whether the header's numbers agree with the frame's size and with each other.
static bool
s_head_is_sound(const yami_batch_t *self, const uint8_t *at, size_t size)
{
    return (self->flags & ~YAMI_BATCH_NO_CRC) == 0 && yami_get_u16(at + 6) == 0 &&
           yami_get_u32(at + 8) == size - YAMI_BATCH_HEADER_SIZE && self->count > 0 &&
           self->count <= YAMI_LIMIT_BATCH_COUNT &&
           self->count <= (size - YAMI_BATCH_HEADER_SIZE) / YAMI_RECORD_HEADER_SIZE &&
           yami_batch_is_run(self->first_sequence, self->count);
}

int
yami_batch_decode_head(yami_batch_t *self, const void *data, size_t size)
{
    const uint8_t *at = data;
    if (size < YAMI_BATCH_HEADER_SIZE || size > YAMI_LIMIT_FRAME ||
        yami_get_u32(at) != YAMI_BATCH_MAGIC || at[4] != YAMI_BATCH_VERSION) {
        return s_malformed();
    }
    if (yami_get_u32(at + 52) != yami_crc32c(0, at, 52)) {
        errno = EBADMSG;
        return -1;
    }
    self->flags = at[5];
    self->count = yami_get_u32(at + 12);
    self->handle = yami_get_u32(at + 16);
    self->epoch = yami_get_u32(at + 20);
    memcpy(self->producer.bytes, at + 24, sizeof self->producer.bytes);
    self->first_sequence = yami_get_u64(at + 40);
    self->payload = yami_slice(at + YAMI_BATCH_HEADER_SIZE, size - YAMI_BATCH_HEADER_SIZE);
    if (!s_head_is_sound(self, at, size)) {
        return s_malformed();
    }
    bool has_crc = (self->flags & YAMI_BATCH_NO_CRC) == 0;
    return has_crc || yami_get_u32(at + 48) == 0 ? 0 : s_malformed();
}

int
yami_batch_decode(yami_batch_t *self, const void *data, size_t size)
{
    if (yami_batch_decode_head(self, data, size) == -1) {
        return -1;
    }
    const uint8_t *at = data;
    if ((self->flags & YAMI_BATCH_NO_CRC) == 0 &&
        yami_get_u32(at + 48) != yami_crc32c(0, self->payload.data, self->payload.size)) {
        errno = EBADMSG;
        return -1;
    }
    return 0;
}

size_t
yami_batch_size(const void *data, size_t size)
{
    const uint8_t *at = data;
    return size < YAMI_BATCH_HEADER_SIZE ? size
                                         : YAMI_BATCH_HEADER_SIZE + (size_t) yami_get_u32(at + 8);
}

//  The optional times between a record's header and its properties. Moves *at_p past them.
static int
s_times(yami_record_t *record, const uint8_t **at_p, size_t left)
{
    size_t needed = (record->flags & YAMI_RECORD_DUE ? 8u : 0u) +
                    (record->flags & YAMI_RECORD_EXPIRY ? 8u : 0u);
    if ((record->flags & ~KNOWN_RECORD_FLAGS) != 0 || left < needed) {
        return s_malformed();
    }
    int64_t *times[] = {&record->due_ms, &record->expiry_ms};
    for (int index = 0; index < 2; index++) {
        if ((record->flags & (YAMI_RECORD_DUE << index)) == 0) {
            continue;
        }
        uint64_t value = yami_get_u64(*at_p);
        *at_p += 8;
        if (value == 0 || value > YAMI_LIMIT_TIME_MS) {
            return s_malformed();
        }
        *times[index] = (int64_t) value;
    }
    return 0;
}

int
yami_batch_next(const yami_batch_t *self, size_t *offset_p, yami_record_t *record)
{
    YAM_ASSERT(*offset_p <= self->payload.size);
    const uint8_t *at = self->payload.data + *offset_p;
    const uint8_t *end = self->payload.data + self->payload.size;
    if ((size_t) (end - at) < YAMI_RECORD_HEADER_SIZE) {
        return s_malformed();
    }
    size_t body_size = yami_get_u32(at);
    size_t properties_size = yami_get_u16(at + 4);
    record->flags = at[6];
    record->priority = at[7];
    record->key_hash = yami_get_u32(at + 8);
    record->due_ms = 0;
    record->expiry_ms = 0;
    at += YAMI_RECORD_HEADER_SIZE;
    if (record->flags != 0 && s_times(record, &at, (size_t) (end - at)) == -1) {
        return -1;
    }
    if (record->priority > YAMI_LIMIT_PRIORITY || body_size > YAMI_LIMIT_BODY ||
        (size_t) (end - at) < properties_size + body_size) {
        return s_malformed();
    }
    record->properties = yami_slice(at, properties_size);
    record->body = yami_slice(at + properties_size, body_size);
    *offset_p = (size_t) (at - self->payload.data) + properties_size + body_size;
    return 0;
}

//  Bytes of the record at offset when it is sound and has no times, as nearly all; else 0: look
//  closer. One load and few branches, since a relay does this for every message.
static size_t
s_plain_size(const yami_batch_t *self, size_t offset)
{
    size_t left = self->payload.size - offset;
    if (left < YAMI_RECORD_HEADER_SIZE) {
        return 0;
    }
    uint64_t head = yami_get_u64(self->payload.data + offset);
    size_t body_size = (uint32_t) head;
    size_t size = YAMI_RECORD_HEADER_SIZE + body_size + (uint16_t) (head >> 32);
    bool is_plain = (uint8_t) (head >> 48) == 0 && head >> 56 <= YAMI_LIMIT_PRIORITY;
    return is_plain && body_size <= YAMI_LIMIT_BODY && size <= left ? size : 0;
}

int
yami_batch_check_records(const yami_batch_t *self, uint8_t *flags_p)
{
    size_t offset = 0;
    yami_record_t record;
    uint8_t flags = 0;
    for (uint32_t index = 0; index < self->count; index++) {
        size_t size = s_plain_size(self, offset);
        if (size == 0) {
            if (yami_batch_next(self, &offset, &record) == -1) {
                return -1;
            }
            flags |= record.flags;
        }
        offset += size;
    }
    if (flags_p != NULL) {
        *flags_p = flags;
    }
    return offset == self->payload.size ? 0 : s_malformed();
}

yami_block_t *
yami_batch_slice(const yami_batch_t *self, uint32_t index, uint32_t count)
{
    if (count == 0 || index >= self->count || count > self->count - index) {
        (void) yami_fail(EINVAL, "no records %u+%u in a batch of %u", index, count, self->count);
        return NULL;
    }
    size_t start = 0;
    size_t end = 0;
    yami_record_t record;
    for (uint32_t visited = 0; visited < index + count; visited++) {
        if (visited == index) {
            start = end;
        }
        if (yami_batch_next(self, &end, &record) == -1) {
            return NULL;
        }
    }
    uint8_t *bytes;
    yami_block_t *block =
        yami_block_alloc(YAMI_BATCH_HEADER_SIZE + end - start, YAMI_LIMIT_FRAME, &bytes);
    if (block == NULL) {
        return NULL;
    }
    memcpy(bytes + YAMI_BATCH_HEADER_SIZE, self->payload.data + start, end - start);
    yami_batch_t head = *self;
    head.flags = 0;
    head.first_sequence += index;
    yami_batch_write_head(bytes, &head, count, end - start);
    return block;
}

uint32_t
yami_key_hash(const void *key, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint32_t hash = yami_crc32c(0, key, size);
    return hash == 0 ? 1 : hash;
}
