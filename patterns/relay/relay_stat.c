//  Rows of statistics.

#include <string.h>

#include "yam_status.h"
#include "yami_base.h"
#include "yami_relay_jobs.h"
#include "yami_relay_parts.h"

#define S_ROW_SIZE 2048u //  a row at most; what does not fit the reply is left out

//  A row being written: pairs first, since a map says their number before them.
typedef struct {
    yami_writer_t all;
    yami_writer_t pairs;
    uint32_t pair_count;
    uint32_t row_count;
    bool is_cut;
} s_rows_t;

static void
s_init(s_rows_t *self)
{
    memset(self, 0, sizeof *self);
    yami_writer_init(&self->all, YAMI_LIMIT_REPLY);
    yami_writer_init(&self->pairs, YAMI_LIMIT_REPLY);
}

static void
s_number(s_rows_t *self, const char *name, uint64_t number)
{
    yami_writer_str(&self->pairs, name);
    yami_writer_uint(&self->pairs, number);
    self->pair_count++;
}

static void
s_text(s_rows_t *self, const char *name, const char *text)
{
    yami_writer_str(&self->pairs, name);
    yami_writer_str(&self->pairs, text);
    self->pair_count++;
}

static void
s_bool(s_rows_t *self, const char *name, bool value)
{
    yami_writer_str(&self->pairs, name);
    yami_writer_bool(&self->pairs, value);
    self->pair_count++;
}

static void
s_end_row(s_rows_t *self)
{
    if (self->all.size + self->pairs.size + S_ROW_SIZE < YAMI_LIMIT_REPLY) {
        yami_writer_map(&self->all, self->pair_count);
        yami_writer_bytes(&self->all, self->pairs.data, self->pairs.size);
        self->row_count++;
    } else {
        self->is_cut = true;
    }
    yami_writer_clear(&self->pairs);
    self->pair_count = 0;
}

static void
s_reply(s_rows_t *self, yami_relay_core_t *core, const yami_relay_peer_t *peer,
        const yami_frame_t *frame)
{
    yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_OK,
                     self->is_cut ? "cut: too many rows for one reply" : "", &self->all,
                     self->row_count);
    yami_writer_clear(&self->pairs);
}

static const char *
s_kind(const yami_relay_channel_t *channel)
{
    return channel->kind == YAMI_KIND_QUEUE   ? "queue"
           : channel->kind == YAMI_KIND_TOPIC ? "topic"
                                              : "delayed";
}

static uint64_t
s_dead(yami_relay_core_t *core, const yami_relay_channel_t *channel)
{
    if (channel->is_dead || channel->name.size + 5 > YAMI_LIMIT_NAME) {
        return 0;
    }
    yami_relay_channel_t *dead = yami_relay_dead_channel(core, channel, false);
    return dead == NULL ? 0 : yami_relay_channel_depth(dead);
}

//  Those that wait for their time to come here.
static uint64_t
s_delayed(const yami_relay_channel_t *channel)
{
    return channel->delayed == NULL ? 0 : channel->delayed->dues->waiting.waiting;
}

//  What became of delayed messages: none of another channel.
static void
s_dues(s_rows_t *rows, const yami_relay_channel_t *channel)
{
    const yami_relay_dues_t *dues = channel->dues;
    if (dues != NULL) {
        uint64_t fired = channel->counts.fired;
        s_number(rows, "fired", fired);
        s_number(rows, "cancelled", channel->counts.cancelled);
        s_number(rows, "late-mean-ms", fired > 0 ? dues->late_sum_ms / fired : 0);
        s_number(rows, "late-max-ms", dues->late_max_ms);
    }
}

//  How long the oldest message from sequence on has been in the channel.
static uint64_t
s_age_ms(const yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t sequence)
{
    int64_t time_ms = yami_relay_channel_time(channel, sequence);
    bool is_known = sequence < channel->next && time_ms > 0 && core->wall_ms > time_ms;
    return is_known ? (uint64_t) (core->wall_ms - time_ms) : 0;
}

//  Of all groups together.
static void
s_channel_groups(s_rows_t *rows, const yami_relay_core_t *core, const yami_relay_channel_t *channel)
{
    uint64_t consumers = 0, leased = 0, redelivered = 0, dropped = 0, rate = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        consumers += group->member_count;
        leased += group->pieces.totals[YAMI_PIECE_LEASED];
        redelivered += group->counts.redelivered;
        dropped += group->counts.dropped;
        rate += yami_rate_per_second(&group->out_rate, core->mono_ms);
    }
    s_number(rows, "groups", channel->group_count);
    s_number(rows, "producers", channel->producers);
    s_number(rows, "consumers", consumers);
    s_number(rows, "in-per-s", yami_rate_per_second(&channel->in_rate, core->mono_ms));
    s_number(rows, "out-per-s", rate);
    s_number(rows, "leased", leased);
    s_number(rows, "redelivered", redelivered);
    s_number(rows, "dropped", dropped);
}

static void
s_channel_row(s_rows_t *rows, yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    s_text(rows, "channel", channel->name.text);
    s_text(rows, "kind", s_kind(channel));
    s_number(rows, "messages", yami_relay_channel_depth(channel));
    s_number(rows, "bytes", channel->bytes);
    s_number(rows, "first", channel->first);
    s_number(rows, "last", channel->next - 1);
    s_number(rows, "oldest-ms", s_age_ms(core, channel, channel->first));
    s_channel_groups(rows, core, channel);
    s_number(rows, "dead", s_dead(core, channel));
    s_number(rows, "delayed", s_delayed(channel));
    s_number(rows, "published", channel->counts.published);
    s_number(rows, "duplicates", channel->counts.duplicates);
    s_number(rows, "refused", channel->counts.refused);
    s_number(rows, "lost", channel->counts.lost);
    s_number(rows, "syncs", channel->counts.syncs);
    s_dues(rows, channel);
    s_number(rows, "time", (uint64_t) core->wall_ms);
    s_end_row(rows);
}

void
yami_relay_stat_channels(yami_relay_core_t *core, yami_relay_peer_t *peer,
                         const yami_frame_t *frame)
{
    s_rows_t rows;
    s_init(&rows);
    for (uint32_t number = 1; number <= core->channel_number; number++) {
        yami_relay_channel_t *channel = yami_relay_map_get(&core->channel_numbers, number);
        if (channel != NULL) {
            s_channel_row(&rows, core, channel);
        }
    }
    s_reply(&rows, core, peer, frame);
}

//  Where a group's messages are.
static void
s_group_state(s_rows_t *rows, const yami_relay_core_t *core, const yami_relay_group_t *group)
{
    const yami_relay_channel_t *channel = group->channel;
    const uint64_t *totals = group->pieces.totals;
    s_number(rows, "last", channel->next - 1);
    s_number(rows, "floor", yami_relay_group_floor(group));
    s_number(rows, "next", group->next);
    uint64_t depth = yami_relay_group_depth(group);
    bool is_delayed = channel->dues != NULL;
    s_number(rows, "messages", depth);
    s_number(rows, "ready",
             is_delayed ? 0 : channel->next - group->next + totals[YAMI_PIECE_READY]);
    s_number(rows, "leased", totals[YAMI_PIECE_LEASED]);
    s_number(rows, "delayed", is_delayed ? depth : totals[YAMI_PIECE_WAITING]);
    s_number(rows, "moving", totals[YAMI_PIECE_MOVING]);
    s_number(rows, "oldest-ms", s_age_ms(core, channel, yami_relay_group_floor(group)));
    s_number(rows, "producers", channel->producers);
    s_number(rows, "consumers", group->member_count);
    s_number(rows, "in-per-s", yami_rate_per_second(&channel->in_rate, core->mono_ms));
    s_number(rows, "out-per-s", yami_rate_per_second(&group->out_rate, core->mono_ms));
}

static void
s_group_counts(s_rows_t *rows, const yami_relay_group_t *group)
{
    s_number(rows, "delivered", group->counts.delivered);
    s_number(rows, "acked", group->counts.acked);
    s_number(rows, "nacked", group->counts.nacked);
    s_number(rows, "redelivered", group->counts.redelivered);
    s_number(rows, "dead-lettered", group->counts.dead_lettered);
    s_number(rows, "filtered", group->counts.filtered);
    s_number(rows, "dropped", group->counts.dropped);
    s_number(rows, "lost", group->counts.lost);
    s_number(rows, "stale", group->counts.stale);
}

static void
s_channel_counts(s_rows_t *rows, yami_relay_core_t *core, const yami_relay_channel_t *channel)
{
    s_number(rows, "dead", s_dead(core, channel));
    s_number(rows, "published", channel->counts.published);
    s_number(rows, "duplicates", channel->counts.duplicates);
    s_number(rows, "refused", channel->counts.refused);
    s_number(rows, "syncs", channel->counts.syncs);
    s_dues(rows, channel);
    s_number(rows, "time", (uint64_t) core->wall_ms);
}

static void
s_group_row(s_rows_t *rows, yami_relay_core_t *core, const yami_relay_group_t *group)
{
    s_text(rows, "channel", group->channel->name.text);
    s_text(rows, "kind", s_kind(group->channel));
    s_text(rows, "group", group->name.text);
    s_bool(rows, "durable", group->is_durable);
    s_text(rows, "filter", group->filter.text);
    s_group_state(rows, core, group);
    s_group_counts(rows, group);
    s_channel_counts(rows, core, group->channel);
    s_end_row(rows);
}

//  Of a topic nobody subscribes to: what it keeps for who may come.
static void
s_no_group_row(s_rows_t *rows, yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    s_text(rows, "channel", channel->name.text);
    s_text(rows, "kind", s_kind(channel));
    s_text(rows, "group", "");
    s_number(rows, "last", channel->next - 1);
    s_number(rows, "messages", yami_relay_channel_depth(channel));
    s_number(rows, "oldest-ms", s_age_ms(core, channel, channel->first));
    s_channel_groups(rows, core, channel);
    s_channel_counts(rows, core, channel);
    s_end_row(rows);
}

void
yami_relay_stat(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    if ((frame->present & YAMI_F_CHANNEL) == 0) {
        yami_relay_stat_relay(core, peer, frame);
        return;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    if (channel == NULL) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN, "no such channel", NULL,
                         0);
        return;
    }
    s_rows_t rows;
    s_init(&rows);
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    s_group_row(&rows, core, group);
    if (TAILQ_EMPTY(&channel->groups)) {
        s_no_group_row(&rows, core, channel);
    }
    s_reply(&rows, core, peer, frame);
}

//  Of the relay's log, or its store in memory.
static void
s_store(s_rows_t *rows, const yami_store_stats_t *store)
{
    s_number(rows, "syncs", store->syncs);
    s_number(rows, "sync-mean-us", store->syncs > 0 ? store->sync_us / store->syncs : 0);
    s_number(rows, "sync-max-us", store->max_sync_us);
    s_number(rows, "segments", store->segments);
    s_number(rows, "disk-bytes", store->disk_bytes);
}

static void
s_gauges(s_rows_t *rows, const yami_relay_gauges_t *gauges)
{
    s_number(rows, "connections", gauges->connections);
    s_number(rows, "connections-silent", gauges->connections_silent);
    s_number(rows, "connections-accepted", gauges->connections_accepted);
    s_number(rows, "connections-ended", gauges->connections_ended);
    s_number(rows, "handshakes-failed", gauges->handshakes_failed);
    s_number(rows, "unsent-bytes", gauges->unsent_bytes);
    s_number(rows, "pressed", gauges->pressed);
    s_number(rows, "unnumbered", gauges->unnumbered);
}

static void
s_lateness(s_rows_t *rows, const yami_relay_core_t *core)
{
    s_number(rows, "delayed", core->delayed_count);
    s_number(rows, "fired", core->lateness.count);
    s_number(rows, "late-p50-ms", yami_histogram_quantile(&core->lateness, 500));
    s_number(rows, "late-p99-ms", yami_histogram_quantile(&core->lateness, 990));
    s_number(rows, "late-max-ms", core->lateness.max);
}

void
yami_relay_stat_relay(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t sessions = 0;
    yami_relay_channel_t *channel;
    for (size_t index = 0;
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        messages += yami_relay_channel_depth(channel);
        bytes += channel->bytes;
    }
    const yami_relay_peer_t *other;
    for (size_t index = 0; (other = yami_relay_map_next(&core->peers, &index)) != NULL;) {
        sessions += other->session != 0 ? 1 : 0;
    }
    s_rows_t rows;
    s_init(&rows);
    s_text(&rows, "name", core->name.text);
    s_text(&rows, "level", yam_level_name((yam_level_t) core->level));
    s_number(&rows, "peers", core->peers.count);
    s_number(&rows, "sessions", sessions);
    s_number(&rows, "handles", core->handles.count);
    s_number(&rows, "channels", core->channel_numbers.count);
    s_number(&rows, "groups", core->groups.count);
    s_number(&rows, "producers", core->producer_count);
    s_number(&rows, "leases", core->leases.count);
    s_number(&rows, "messages", messages);
    s_number(&rows, "bytes", bytes);
    s_lateness(&rows, core);
    s_number(&rows, "messages-in", core->messages_in);
    s_number(&rows, "messages-out", core->messages_out);
    s_number(&rows, "in-bytes", core->bytes_in);
    s_number(&rows, "out-bytes", core->bytes_out);
    s_number(&rows, "tickets", core->ticket);
    s_number(&rows, "waiting", core->ticket - core->durable);
    s_number(&rows, "dropped", core->dropped);
    s_number(&rows, "errors", core->errors);
    s_number(&rows, "refusals", core->refusals);
    s_number(&rows, "sessions-silent", core->silenced);
    s_number(&rows, "damaged", core->damaged_ranges + core->scrub.damaged_ranges);
    s_number(&rows, "scrubbed-bytes", core->scrub.read_bytes);
    s_number(&rows, "scrub-left-bytes", core->scrub.left_bytes);
    if (core->store != NULL) {
        s_store(&rows, core->store);
    }
    s_gauges(&rows, &core->gauges);
    s_bool(&rows, "draining", core->is_draining);
    s_number(&rows, "uptime-ms", (uint64_t) (core->mono_ms - core->start_ms));
    s_number(&rows, "time", (uint64_t) core->wall_ms);
    s_end_row(&rows);
    s_reply(&rows, core, peer, frame);
}
