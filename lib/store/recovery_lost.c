//  Whose sequences were lost where a header cannot be read any more: told from what the channel
//  holds before and behind.

#include <errno.h>

#include "yami_base.h"
#include "yami_recovery.h"

//  Adds the sequences to the newest damage of that segment; a range that hit several channels is
//  reported once for each.
int
yami_recovery_name_lost(yami_recovery_t *self, uint64_t segment, uint32_t channel, uint64_t first,
                        uint64_t last)
{
    YAM_ASSERT(first <= last);
    for (size_t index = self->damage_count; index > 0; index--) {
        yami_damage_t *damage = &self->damages[index - 1];
        if (damage->segment != segment || damage->is_torn_tail) {
            continue;
        }
        if (damage->last == 0) {
            damage->channel = channel;
            damage->first = first;
            damage->last = last;
            return 0;
        }
        if (damage->channel == channel && damage->first <= first && last <= damage->last) {
            return 0; //  its own header told already
        }
        yami_damage_t another = *damage;
        another.channel = channel;
        another.first = first;
        another.last = last;
        return yami_recovery_add_damage(self, &another);
    }
    return 0; //  no damage is known here: the owner left the gap itself
}

int
yami_recovery_name_entry(yami_recovery_t *self, const yami_found_t *found,
                         const yami_entry_t *entry, bool is_from_start)
{
    yami_channel_t *channel = yami_index_channel(self->index, entry->channel);
    const yami_extent_t *extent = channel ? yami_index_extent(channel, entry->base) : NULL;
    if (!extent || extent->segment != found->segment) {
        return 0;
    }
    uint64_t expected = channel->replayed;
    if (expected < extent->first) {
        expected = is_from_start ? extent->first : entry->base;
    }
    channel->replayed = entry->base + entry->count;
    return expected < entry->base ? yami_recovery_name_lost(self, found->number, entry->channel,
                                                            expected, entry->base - 1)
                                  : 0;
}

int
yami_recovery_name_rest(yami_recovery_t *self, const yami_found_t *found, bool is_from_start)
{
    const yami_segment_t *segment = found->segment;
    for (size_t index = 0; index < segment->extent_count; index++) {
        const yami_extent_t *extent = segment->extents[index];
        const yami_channel_t *channel = yami_index_channel(self->index, extent->channel);
        uint64_t expected = channel ? channel->replayed : extent->last + 1;
        if (expected < extent->first) {
            expected = is_from_start ? extent->first : extent->last + 1;
        }
        if (expected <= extent->last &&
            yami_recovery_name_lost(self, found->number, extent->channel, expected, extent->last) ==
                -1) {
            return -1;
        }
    }
    return 0;
}

//  A segment that is missing altogether lies between two others that have the channel.
static int
s_name_between(yami_recovery_t *self, const yami_extent_t *before, const yami_extent_t *behind)
{
    size_t count = self->damage_count; //  what is added is not looked at again
    for (size_t index = 0; index < count; index++) {
        uint64_t number = self->damages[index].segment;
        if (number > before->segment->header.number && number < behind->segment->header.number) {
            return yami_recovery_name_lost(self, number, before->channel, before->last + 1,
                                           behind->first - 1);
        }
    }
    return 0;
}

int
yami_recovery_name_missing(yami_recovery_t *self)
{
    size_t position = 0;
    const yami_channel_t *channel;
    while ((channel = yami_channel_map_next(&self->index->channels, &position))) {
        for (size_t index = channel->extent_head + 1; index < channel->extent_count; index++) {
            const yami_extent_t *before = channel->extents[index - 1];
            const yami_extent_t *behind = channel->extents[index];
            if (before->last + 1 < behind->first && s_name_between(self, before, behind) == -1) {
                return -1;
            }
        }
    }
    return 0;
}
