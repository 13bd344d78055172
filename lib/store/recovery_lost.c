//  Whose sequences were lost where a header cannot be read any more: told from what the channel
//  holds before and behind.

#include "yami_base.h"
#include "yami_recovery.h"

//  Adds the sequences to a damage; a range that hit several channels is reported once for each.
static int
s_name(yami_recovery_t *self, size_t index, uint32_t channel, uint64_t first, uint64_t last)
{
    YAM_ASSERT(index < self->damage_count && first <= last);
    yami_damage_t *damage = &self->damages[index];
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
    return yami_recovery_add_loss(self, &another);
}

//  To the newest damage of that segment.
int
yami_recovery_name_lost(yami_recovery_t *self, uint64_t segment, uint32_t channel, uint64_t first,
                        uint64_t last)
{
    const yami_found_t *found = yami_recovery_find(self, segment);
    size_t count = found && found->has_unnamed ? 0 : self->damage_count; //  which one, is not known
    for (size_t index = count; index > 0; index--) {
        const yami_damage_t *damage = &self->damages[index - 1];
        if (damage->segment == segment && !damage->is_torn_tail) {
            return s_name(self, index - 1, channel, first, last);
        }
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

//  Whether a range may have held what a channel misses behind an extent (NULL: before its first):
//  in the segment of that one the end alone, in another anything, unless a footer lists all it had.
static bool
s_may_hold(const yami_recovery_t *self, const yami_damage_t *damage, const yami_extent_t *before)
{
    const yami_found_t *found = yami_recovery_find(self, damage->segment);
    if (!found || !found->segment) {
        return !found || !found->is_given_back;
    }
    bool is_behind = !before || damage->segment > before->segment->header.number ||
                     damage->last_lsn == before->segment->last_lsn;
    return found->is_scanned && damage->first_lsn > 0 && is_behind && !damage->is_torn_tail;
}

//  Whether a file between two numbers is neither there nor damaged: it was given back.
static bool
s_has_given_back(const yami_recovery_t *self, uint64_t before, uint64_t behind, size_t damage_count)
{
    uint64_t left = behind - before - 1;
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        left -= found->segment && found->number > before && found->number < behind ? 1 : 0;
    }
    for (size_t index = 0; index < damage_count; index++) {
        uint64_t number = self->damages[index].segment;
        const yami_found_t *found = yami_recovery_find(self, number);
        uint64_t last = self->damages[index].last_segment;
        bool is_lost = !found || (!found->segment && !found->is_given_back);
        left -= is_lost && number > before && number < behind
                    ? (last > number ? last - number : 0) + 1
                    : 0;
    }
    return left > 0;
}

//  What a channel misses between two segments, or before its first, is lost with the first range
//  there that may have held it; but for what is named already, and for what was given back as
//  settled: how far that went is not known when nothing of the channel was left.
//  damage_count: what was added since is not looked at again.
static int
s_name_between(yami_recovery_t *self, const yami_extent_t *before, const yami_extent_t *behind,
               size_t damage_count)
{
    uint64_t from = before ? before->segment->header.number : 0;
    uint64_t to = behind->segment->header.number;
    uint64_t first = before ? before->last + 1 : 1;
    size_t holder = damage_count;
    for (size_t index = 0; index < damage_count; index++) {
        const yami_damage_t *damage = &self->damages[index];
        bool is_between = damage->segment >= from && damage->segment < to;
        if (holder == damage_count && is_between && s_may_hold(self, damage, before)) {
            holder = index;
        }
        if (damage->channel == behind->channel && damage->first <= first && first <= damage->last) {
            first = damage->last + 1;
        }
    }
    if (holder == damage_count) {
        return 0;
    }
    if (s_has_given_back(self, from, to, damage_count)) {
        uint64_t floor = yami_checkpoint_floor(&self->checkpoint, behind->channel);
        first = floor == 0 && !before ? behind->first : first > floor ? first : floor;
    }
    return first < behind->first ? s_name(self, holder, behind->channel, first, behind->first - 1)
                                 : 0;
}

int
yami_recovery_name_missing(yami_recovery_t *self)
{
    size_t position = 0;
    size_t damage_count = self->damage_count;
    const yami_channel_t *channel;
    while (damage_count > 0 &&
           (channel = yami_channel_map_next(&self->index->channels, &position))) {
        const yami_extent_t *before = NULL;
        for (size_t index = channel->extent_head; index < channel->extent_count; index++) {
            const yami_extent_t *behind = channel->extents[index];
            uint64_t expected = before ? before->last + 1 : 1;
            if (expected < behind->first &&
                s_name_between(self, before, behind, damage_count) == -1) {
                return -1;
            }
            before = behind;
        }
    }
    return 0;
}
