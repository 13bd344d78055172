#include <string.h>

#include "yami_base.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

#define S_MARK_GAP_MS 100
#define S_MARK_GAP_BYTES (1u << 20)

static uint64_t
s_hash(const yami_relay_core_t *core, const void *name, size_t size)
{
    return yami_relay_hash(core->seed, name, size);
}

yami_relay_channel_t *
yami_relay_channel_find(const yami_relay_core_t *core, const void *name, size_t size)
{
    yami_relay_channel_t *channel =
        yami_relay_map_get(&core->channel_names, s_hash(core, name, size));
    while (channel != NULL &&
           (channel->name.size != size || memcmp(channel->name.text, name, size) != 0)) {
        channel = channel->same_hash;
    }
    return channel;
}

yami_relay_channel_t *
yami_relay_channel_add(yami_relay_core_t *core, uint32_t number, const void *name, size_t size,
                       int kind)
{
    YAM_ASSERT(number > 0 && size > 0 && size <= YAMI_LIMIT_NAME);
    yami_relay_channel_t *channel = yami_alloc(sizeof *channel);
    channel->number = number;
    channel->kind = kind;
    core->topic_count += kind == YAMI_KIND_TOPIC ? 1 : 0;
    channel->name = yami_relay_name(name, size);
    channel->is_dead = yami_relay_is_dead_name(name, size);
    channel->dues = kind == YAMI_KIND_DELAYED ? yami_alloc(sizeof *channel->dues) : NULL;
    channel->first = channel->next = channel->durable = 1;
    channel->mark_gap_ms = S_MARK_GAP_MS;
    channel->mark_gap_bytes = S_MARK_GAP_BYTES;
    TAILQ_INIT(&channel->groups);
    uint64_t hash = s_hash(core, name, size);
    channel->same_hash = yami_relay_map_get(&core->channel_names, hash);
    yami_relay_map_put(&core->channel_names, hash, channel);
    yami_relay_map_put(&core->channel_numbers, number, channel);
    if (number > core->channel_number) {
        core->channel_number = number;
    }
    return channel;
}

yami_relay_channel_t *
yami_relay_channel_new(yami_relay_core_t *core, const void *name, size_t size, int kind,
                       yami_relay_channel_t *target)
{
    bool has_group = kind != YAMI_KIND_TOPIC;
    if (core->channel_numbers.count >= YAMI_LIMIT_CHANNELS ||
        (has_group && core->groups.count >= YAMI_LIMIT_GROUPS)) {
        return NULL;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_add(core, core->channel_number + 1, name, size, kind);
    if (target != NULL) {
        bool is_linked = yami_relay_delay_link(channel, target);
        YAM_ASSERT(is_linked);
    }
    yami_relay_group_t *group = NULL;
    if (has_group) {
        group = yami_relay_group_add(core, channel, core->group_number + 1, yami_slice("", 0),
                                     yami_slice("", 0), 1);
    }
    uint64_t ticket = yami_relay_write_channel(core, channel, group);
    if (group != NULL) {
        group->ticket = ticket;
    }
    return channel;
}

//  Every second mark goes, and the next ones come half as often.
static void
s_thin_marks(yami_relay_channel_t *channel)
{
    unsigned kept = 0;
    for (unsigned index = 0; index < channel->mark_count; index += 2) {
        channel->marks[kept++] = channel->marks[index];
    }
    channel->mark_count = kept;
    channel->mark_gap_ms *= 2;
    channel->mark_gap_bytes *= 2;
}

static void
s_mark(yami_relay_channel_t *channel, uint64_t sequence, int64_t time_ms)
{
    if (channel->mark_count > 0) {
        const yami_relay_mark_t *last = &channel->marks[channel->mark_count - 1];
        if (time_ms < last->time_ms + channel->mark_gap_ms &&
            channel->total_bytes < last->bytes + channel->mark_gap_bytes) {
            return;
        }
    }
    if (channel->mark_count == YAMI_RELAY_MARKS) {
        s_thin_marks(channel);
    }
    channel->marks[channel->mark_count++] =
        (yami_relay_mark_t) {sequence, channel->total_bytes, time_ms};
}

void
yami_relay_channel_appended(yami_relay_channel_t *channel, uint64_t first, uint64_t last,
                            uint64_t bytes, int64_t time_ms)
{
    YAM_ASSERT(first == channel->next && last >= first && last < YAMI_LIMIT_SEQUENCE);
    s_mark(channel, first, time_ms);
    channel->next = last + 1;
    channel->bytes += bytes;
    channel->depth += last - first + 1;
    channel->total_bytes += bytes;
}

int64_t
yami_relay_channel_time(const yami_relay_channel_t *channel, uint64_t sequence)
{
    int64_t time_ms = channel->mark_count > 0 ? channel->marks[0].time_ms : 0;
    for (unsigned index = 0; index < channel->mark_count; index++) {
        if (channel->marks[index].sequence <= sequence) {
            time_ms = channel->marks[index].time_ms;
        }
    }
    return time_ms;
}

uint64_t
yami_relay_channel_depth(yami_relay_channel_t *channel)
{
    uint64_t depth = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        uint64_t own = yami_relay_group_depth(group);
        depth = own > depth ? own : depth;
    }
    if (channel->kind == YAMI_KIND_TOPIC && channel->durable_groups == 0) {
        depth = channel->next - channel->first;
    }
    if (depth < channel->depth) { //  what left had the average size
        channel->bytes = (uint64_t) ((unsigned __int128) channel->bytes * depth / channel->depth);
    }
    channel->depth = depth;
    return depth;
}

void
yami_relay_channel_touch(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    if (!channel->is_dirty) {
        channel->is_dirty = true;
        TAILQ_INSERT_TAIL(&core->dirty_channels, channel, of_dirty);
    }
}

//  A topic keeps topic-bytes and topic-age; returns the first sequence within them. As exact as
//  marks are.
static uint64_t
s_retention_floor(const yami_relay_core_t *core, const yami_relay_channel_t *channel)
{
    uint64_t floor = channel->first;
    uint64_t bytes = (uint64_t) core->options->topic_bytes;
    int64_t age_ms = core->options->topic_age_ms;
    for (unsigned index = 1; index < channel->mark_count; index++) {
        //  What is before this mark is as old and as far back as the mark at least.
        const yami_relay_mark_t *mark = &channel->marks[index];
        bool is_over = (bytes > 0 && channel->total_bytes - mark->bytes >= bytes) ||
                       (age_ms > 0 && core->wall_ms - mark->time_ms >= age_ms);
        if (is_over && mark->sequence > floor) {
            floor = mark->sequence;
        }
    }
    return floor < channel->durable ? floor : channel->durable;
}

//  What groups had not settled below floor is dropped, and counted.
static void
s_drop_below(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t floor)
{
    yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        uint64_t group_floor = yami_relay_group_floor(group);
        if (group_floor >= floor) {
            continue;
        }
        uint64_t dropped = yami_relay_group_settle(core, group, group_floor, floor - 1);
        yami_relay_group_journal(core, group, group_floor, floor - 1);
        yami_relay_group_flush(core, group);
        group->counts.dropped += dropped;
        core->dropped += dropped;
        yami_relay_say(core, YAMI_LOG_WARN, "relay.retention-dropped",
                       "channel=%s group=%.40s first=%llu last=%llu messages=%llu",
                       channel->name.text, group->name.text, (unsigned long long) group_floor,
                       (unsigned long long) floor - 1, (unsigned long long) dropped);
    }
}

//  Where the channel may begin: what all groups have settled is not needed.
static uint64_t
s_floor(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    if (channel->kind == YAMI_KIND_TOPIC) {
        uint64_t retention = s_retention_floor(core, channel);
        s_drop_below(core, channel, retention);
        if (channel->durable_groups == 0) {
            return retention;
        }
    }
    uint64_t floor = channel->durable;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        uint64_t own = yami_relay_group_floor(group);
        floor = own < floor ? own : floor;
    }
    return floor;
}

static void
s_trim(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    uint64_t floor = s_floor(core, channel);
    (void) yami_relay_channel_depth(channel);
    if (floor <= channel->first) {
        return;
    }
    channel->first = floor;
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_TRIM);
    effect->channel = channel->number;
    effect->sequence = floor;
    //  The last mark at or below floor still tells the time of what is there.
    unsigned gone = 0;
    while (gone + 1 < channel->mark_count && channel->marks[gone + 1].sequence <= floor) {
        gone++;
    }
    channel->mark_count -= gone;
    memmove(channel->marks, channel->marks + gone, channel->mark_count * sizeof *channel->marks);
    if (floor == channel->next) {
        channel->mark_count = 0;
        channel->mark_gap_ms = S_MARK_GAP_MS;
        channel->mark_gap_bytes = S_MARK_GAP_BYTES;
    }
}

void
yami_relay_channels_flush(yami_relay_core_t *core)
{
    yami_relay_channel_t *channel;
    while ((channel = TAILQ_FIRST(&core->dirty_channels)) != NULL) {
        s_trim(core, channel);
        TAILQ_REMOVE(&core->dirty_channels, channel, of_dirty);
        channel->is_dirty = false;
    }
}

void
yami_relay_channel_lose(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t first,
                        uint64_t last, const char *what)
{
    YAM_ASSERT(first <= last && last < YAMI_LIMIT_SEQUENCE);
    if (last >= channel->next) { //  their numbers are never given again
        yami_relay_channel_appended(channel, channel->next, last, 0, core->wall_ms);
    }
    if (last >= channel->durable) {
        YAM_ASSERT(core->waits.count == 0 || last < channel->next);
        channel->durable = last + 1;
    }
    uint64_t total = 0;
    yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        uint64_t lost = yami_relay_group_settle(core, group, first, last);
        group->counts.lost += lost;
        total += lost;
        if (core->has_started && lost > 0) {
            yami_relay_group_journal(core, group, first, last);
        }
    }
    channel->counts.lost += total;
    if (core->has_started && (total > 0 || TAILQ_EMPTY(&channel->groups))) {
        yami_relay_say(core, YAMI_LOG_ERROR, "relay.messages-lost",
                       "channel=%.60s first=%llu last=%llu what=\"%.30s\"", channel->name.text,
                       (unsigned long long) first, (unsigned long long) last, what);
        yami_relay_channel_touch(core, channel);
    }
}

void
yami_relay_channels_clear(yami_relay_core_t *core)
{
    yami_relay_channel_t *channel;
    for (size_t index = 0;
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        while (!TAILQ_EMPTY(&channel->groups)) {
            yami_relay_group_remove(core, TAILQ_FIRST(&channel->groups)); //  touches its channel
        }
    }
    TAILQ_INIT(&core->dirty_channels);
    for (size_t index = 0;
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        if (channel->dues != NULL) {
            yami_relay_delays_clear(&channel->dues->waiting);
            yami_free(channel->dues);
        }
        yami_free(channel);
    }
    yami_relay_map_clear(&core->channel_numbers);
    yami_relay_map_clear(&core->channel_names);
}
