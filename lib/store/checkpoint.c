//  Prefix: u32 size, u32 segments, u32 floors, u32 zero; segments {number, first LSN, last LSN};
//  floors {u32 channel, u64}.

#include "yami_checkpoint.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_store.h"

#define FIXED_SIZE 16
#define SEGMENT_SIZE 24
#define FLOOR_SIZE 12
#define PREFIX_LIMIT (YAMI_LIMIT_OWN_META - YAMI_LIMIT_ENTRY_META)

static size_t
s_floor_count(const yami_index_t *index)
{
    size_t count = 0;
    size_t position = 0;
    const yami_channel_t *channel;
    while ((channel = yami_channel_map_next(&index->channels, &position))) {
        count += channel->floor > 0 ? 1 : 0;
    }
    return count;
}

uint8_t *
yami_checkpoint_encode(const yami_index_t *index, size_t *size_p)
{
    size_t floor_count = s_floor_count(index);
    size_t size = FIXED_SIZE + index->count * SEGMENT_SIZE + floor_count * FLOOR_SIZE;
    uint8_t *bytes = yami_try_alloc(size, PREFIX_LIMIT);
    if (!bytes) {
        return NULL;
    }
    yami_put_u32(bytes, (uint32_t) size);
    yami_put_u32(bytes + 4, (uint32_t) index->count);
    yami_put_u32(bytes + 8, (uint32_t) floor_count);
    yami_put_u32(bytes + 12, 0);
    uint8_t *cursor = bytes + FIXED_SIZE;
    for (size_t segment = 0; segment < index->count; segment++, cursor += SEGMENT_SIZE) {
        yami_put_u64(cursor, index->segments[segment]->header.number);
        yami_put_u64(cursor + 8, index->segments[segment]->header.first_lsn);
        yami_put_u64(cursor + 16, index->segments[segment]->last_lsn);
    }
    size_t position = 0;
    const yami_channel_t *channel;
    while ((channel = yami_channel_map_next(&index->channels, &position))) {
        if (channel->floor > 0) {
            yami_put_u32(cursor, channel->id);
            yami_put_u64(cursor + 4, channel->floor);
            cursor += FLOOR_SIZE;
        }
    }
    YAM_ASSERT(cursor == bytes + size);
    *size_p = size;
    return bytes;
}

static int
s_malformed(void)
{
    errno = EPROTO;
    return -1;
}

int
yami_checkpoint_decode(yami_checkpoint_t *self, const uint8_t *bytes, size_t size)
{
    *self = (yami_checkpoint_t) {0};
    if (size < FIXED_SIZE) {
        return s_malformed();
    }
    uint64_t prefix_size = yami_get_u32(bytes);
    uint64_t segment_count = yami_get_u32(bytes + 4);
    uint64_t floor_count = yami_get_u32(bytes + 8);
    if (prefix_size > size ||
        prefix_size != FIXED_SIZE + segment_count * SEGMENT_SIZE + floor_count * FLOOR_SIZE) {
        return s_malformed();
    }
    size_t segment_capacity = 0;
    size_t floor_capacity = 0;
    if (yami_grow(&self->segments, &segment_capacity, segment_count, sizeof *self->segments,
                  PREFIX_LIMIT) == -1 ||
        yami_grow(&self->floors, &floor_capacity, floor_count, sizeof *self->floors,
                  PREFIX_LIMIT) == -1) {
        return -1;
    }
    const uint8_t *cursor = bytes + FIXED_SIZE;
    for (; self->segment_count < segment_count; cursor += SEGMENT_SIZE) {
        self->segments[self->segment_count++] =
            (yami_live_segment_t) {.number = yami_get_u64(cursor),
                                   .first_lsn = yami_get_u64(cursor + 8),
                                   .last_lsn = yami_get_u64(cursor + 16)};
    }
    for (; self->floor_count < floor_count; cursor += FLOOR_SIZE) {
        self->floors[self->floor_count++] =
            (yami_floor_t) {.channel = yami_get_u32(cursor), .sequence = yami_get_u64(cursor + 4)};
    }
    self->size = prefix_size;
    return 0;
}

void
yami_checkpoint_trim(const yami_checkpoint_t *self, yami_index_t *index)
{
    for (size_t floor = 0; floor < self->floor_count; floor++) {
        yami_index_trim(index, self->floors[floor].channel, self->floors[floor].sequence);
    }
}

uint64_t
yami_checkpoint_floor(const yami_checkpoint_t *self, uint32_t channel)
{
    for (size_t floor = 0; floor < self->floor_count; floor++) {
        if (self->floors[floor].channel == channel) {
            return self->floors[floor].sequence;
        }
    }
    return 0;
}

void
yami_checkpoint_clear(yami_checkpoint_t *self)
{
    yami_free(self->segments);
    yami_free(self->floors);
    *self = (yami_checkpoint_t) {0};
}

const yami_live_segment_t *
yami_checkpoint_find(const yami_checkpoint_t *self, uint64_t number)
{
    size_t low = 0;
    size_t high = self->segment_count;
    while (low < high) { //  they ascend, as the index does
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < self->segment_count && self->segments[low].number == number;
    return is_found ? &self->segments[low] : NULL;
}
