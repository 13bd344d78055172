//  Segments by number, extents by channel, and what trimming leaves of both.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_index.h"

#define ITEM_LIMIT ((size_t) 1 << 31)

static void
s_channel_destroy(yami_channel_t *channel)
{
    yami_free(channel->extents);
    yami_free(channel);
}

void
yami_index_clear(yami_index_t *self)
{
    size_t position = 0;
    yami_channel_t *channel;
    while ((channel = yami_channel_map_next(&self->channels, &position))) {
        s_channel_destroy(channel);
    }
    yami_channel_map_clear(&self->channels);
    for (size_t index = 0; index < self->count; index++) {
        yami_segment_destroy(&self->segments[index]);
    }
    yami_free(self->segments);
    *self = (yami_index_t) {0};
}

yami_channel_t *
yami_index_channel(const yami_index_t *self, uint32_t channel)
{
    return yami_channel_map_find(&self->channels, channel);
}

//  The channel, made when it is not there, with room for one more extent. NULL with errno ENOMEM.
static yami_channel_t *
s_channel_prepare(yami_index_t *self, uint32_t id)
{
    yami_channel_t *channel = yami_index_channel(self, id);
    if (!channel) {
        channel = yami_alloc(sizeof *channel);
        channel->id = id;
        if (yami_channel_map_add(&self->channels, id, channel) == -1) {
            yami_free(channel);
            return NULL;
        }
    }
    if (channel->extent_count == channel->extent_capacity && channel->extent_head > 0) {
        memmove(channel->extents, channel->extents + channel->extent_head,
                (channel->extent_count - channel->extent_head) * sizeof(yami_extent_t *));
        channel->extent_count -= channel->extent_head;
        channel->extent_head = 0;
    }
    int rc = yami_grow(&channel->extents, &channel->extent_capacity, channel->extent_count + 1,
                       sizeof(yami_extent_t *), ITEM_LIMIT);
    return rc == 0 ? channel : NULL;
}

//  Drops what lies below the floor from the channel's list (2).
static void
s_drop_unneeded(yami_index_t *self, yami_channel_t *channel)
{
    while (channel->extent_head < channel->extent_count) {
        yami_extent_t *extent = channel->extents[channel->extent_head];
        yami_segment_t *segment = extent->segment;
        if (!segment->is_sealed || extent->last >= channel->floor) {
            break;
        }
        channel->extent_head++;
        extent->is_unneeded = true;
        YAM_ASSERT(segment->needed_count > 0);
        segment->needed_count--;
        if (segment->needed_count == 0) {
            self->unneeded_count++; //  (3)
        }
    }
}

int
yami_index_add(yami_index_t *self, yami_segment_t **segment_p)
{
    yami_segment_t *segment = *segment_p;
    YAM_ASSERT(self->count == 0 ||
               self->segments[self->count - 1]->header.number < segment->header.number); //  (1)
    if (yami_grow(&self->segments, &self->capacity, self->count + 1, sizeof(yami_segment_t *),
                  ITEM_LIMIT) == -1) {
        return -1;
    }
    for (size_t index = 0; index < segment->extent_count; index++) {
        if (!s_channel_prepare(self, segment->extents[index]->channel)) {
            return -1;
        }
    }
    self->segments[self->count++] = segment;
    if (segment->is_sealed && segment->needed_count == 0) {
        self->unneeded_count++; //  (3)
    }
    for (size_t index = 0; index < segment->extent_count; index++) {
        yami_channel_t *channel = yami_index_channel(self, segment->extents[index]->channel);
        channel->extents[channel->extent_count++] = segment->extents[index];
        s_drop_unneeded(self, channel);
    }
    *segment_p = NULL;
    return 0;
}

static size_t
s_position(const yami_index_t *self, uint64_t number)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle]->header.number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

yami_segment_t *
yami_index_find(const yami_index_t *self, uint64_t number)
{
    size_t position = s_position(self, number);
    bool is_found = position < self->count && self->segments[position]->header.number == number;
    return is_found ? self->segments[position] : NULL;
}

yami_segment_t *
yami_index_last(const yami_index_t *self)
{
    return self->count > 0 ? self->segments[self->count - 1] : NULL;
}

//  Takes a segment's extent out of its channel's list, and the channel away with its last one.
static void
s_unlink(yami_index_t *self, const yami_extent_t *extent)
{
    yami_channel_t *channel = yami_index_channel(self, extent->channel);
    if (!channel) {
        return;
    }
    size_t kept = channel->extent_head;
    for (size_t index = channel->extent_head; index < channel->extent_count; index++) {
        if (channel->extents[index] != extent) {
            channel->extents[kept++] = channel->extents[index];
        }
    }
    channel->extent_count = kept;
    if (channel->extent_head == channel->extent_count) {
        (void) yami_channel_map_remove(&self->channels, channel->id);
        s_channel_destroy(channel);
    }
}

void
yami_index_remove(yami_index_t *self, yami_segment_t *segment)
{
    size_t position = s_position(self, segment->header.number);
    YAM_ASSERT(position < self->count && self->segments[position] == segment);
    if (yami_index_is_unneeded(segment)) {
        self->unneeded_count--;
    }
    for (size_t index = 0; index < segment->extent_count; index++) {
        s_unlink(self, segment->extents[index]);
    }
    self->count--;
    memmove(self->segments + position, self->segments + position + 1,
            (self->count - position) * sizeof(yami_segment_t *));
    yami_segment_destroy(&segment);
}

uint64_t
yami_index_last_sequence(const yami_index_t *self, uint32_t channel_id)
{
    const yami_channel_t *channel = yami_index_channel(self, channel_id);
    bool has_extent = channel && channel->extent_head < channel->extent_count;
    return has_extent ? channel->extents[channel->extent_count - 1]->last : 0;
}

//  The channel's extent in segment, its last one; NULL when it has none there yet.
static yami_extent_t *
s_tail(const yami_channel_t *channel, const yami_segment_t *segment)
{
    if (!channel || channel->extent_head == channel->extent_count) {
        return NULL;
    }
    yami_extent_t *extent = channel->extents[channel->extent_count - 1];
    return extent->segment == segment ? extent : NULL;
}

size_t
yami_index_footer_growth(const yami_index_t *self, const yami_segment_t *segment, uint32_t channel,
                         uint64_t offset)
{
    const yami_extent_t *extent = s_tail(yami_index_channel(self, channel), segment);
    size_t more_extents = extent ? 0 : 1;
    size_t more_points = !extent || yami_extent_wants_point(extent, offset) ? 1 : 0;
    return yami_segment_footer_size(segment, more_extents, more_points) -
           yami_segment_footer_size(segment, 0, 0);
}

static int
s_add_extent(yami_channel_t *channel, yami_segment_t *segment)
{
    yami_extent_t *extent = yami_segment_add_extent(segment, channel->id);
    if (!extent) {
        return -1;
    }
    if (yami_extent_reserve(extent) == -1) {
        segment->extent_count--;
        segment->needed_count--;
        yami_free(extent);
        return -1;
    }
    channel->extents[channel->extent_count++] = extent;
    return 0;
}

int
yami_index_prepare(yami_index_t *self, yami_segment_t *segment, uint32_t channel_id,
                   uint64_t offset)
{
    YAM_ASSERT(segment && segment == yami_index_last(self) && !segment->is_sealed);
    yami_channel_t *channel = s_channel_prepare(self, channel_id);
    if (!channel) {
        return -1;
    }
    yami_extent_t *extent = s_tail(channel, segment);
    if (!extent) {
        return s_add_extent(channel, segment);
    }
    return yami_extent_wants_point(extent, offset) ? yami_extent_reserve(extent) : 0;
}

void
yami_index_cancel(yami_index_t *self, yami_segment_t *segment, uint32_t channel_id)
{
    yami_channel_t *channel = yami_index_channel(self, channel_id);
    yami_extent_t *extent = s_tail(channel, segment);
    if (extent && extent->point_count == 0) {
        YAM_ASSERT(segment->extents[segment->extent_count - 1] == extent);
        channel->extent_count--;
        segment->extent_count--;
        segment->needed_count--;
        yami_free(extent->points);
        yami_free(extent);
    }
}

void
yami_index_note(yami_index_t *self, yami_segment_t *segment, uint32_t channel,
                const yami_point_t *point, uint32_t count)
{
    yami_extent_t *extent = s_tail(yami_index_channel(self, channel), segment);
    YAM_ASSERT(extent);
    yami_extent_note(extent, point, count);
}

const yami_extent_t *
yami_index_extent(const yami_channel_t *channel, uint64_t sequence)
{
    size_t low = channel->extent_head;
    size_t high = channel->extent_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (channel->extents[middle]->last < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < channel->extent_count ? channel->extents[low] : NULL;
}

void
yami_index_trim(yami_index_t *self, uint32_t channel_id, uint64_t floor)
{
    yami_channel_t *channel = yami_index_channel(self, channel_id);
    if (channel && floor > channel->floor) {
        channel->floor = floor;
        s_drop_unneeded(self, channel);
    }
}

void
yami_index_seal(yami_index_t *self, yami_segment_t *segment)
{
    YAM_ASSERT(!segment->is_sealed);
    segment->is_sealed = true;
    if (segment->needed_count == 0) {
        self->unneeded_count++; //  (3): it held no sequences at all
    }
    for (size_t index = 0; index < segment->extent_count; index++) {
        yami_channel_t *channel = yami_index_channel(self, segment->extents[index]->channel);
        YAM_ASSERT(channel);
        s_drop_unneeded(self, channel);
    }
}

bool
yami_index_is_unneeded(const yami_segment_t *segment)
{
    return segment->is_sealed && segment->needed_count == 0;
}

void
yami_index_check(const yami_index_t *self)
{
    size_t unneeded_count = 0;
    for (size_t index = 0; index < self->count; index++) {
        const yami_segment_t *segment = self->segments[index];
        yami_segment_check(segment);
        YAM_ASSERT(index == 0 || //  (1)
                   self->segments[index - 1]->header.number < segment->header.number);
        unneeded_count += yami_index_is_unneeded(segment) ? 1 : 0;
    }
    YAM_ASSERT(unneeded_count == self->unneeded_count); //  (3)
    size_t position = 0;
    const yami_channel_t *channel;
    while ((channel = yami_channel_map_next(&self->channels, &position))) {
        YAM_ASSERT(channel->extent_head <= channel->extent_count);
        for (size_t index = channel->extent_head + 1; index < channel->extent_count; index++) {
            YAM_ASSERT(channel->extents[index - 1]->segment->header.number < //  (2)
                       channel->extents[index]->segment->header.number);
        }
    }
}
