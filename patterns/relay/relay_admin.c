#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_parts.h"

void
yami_relay_reply(yami_relay_core_t *core, uint64_t peer, uint64_t serial, yam_status_t status,
                 const char *text, yami_writer_t *rows, uint32_t row_count)
{
    core->refusals += status != YAM_STATUS_OK ? 1 : 0;
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_REPLY, 0);
    frame.present = YAMI_F_SERIAL | YAMI_F_STATUS | YAMI_F_TEXT;
    frame.serial = serial;
    frame.status = (uint64_t) status;
    frame.text = yami_slice_text(text != NULL ? text : "");
    yami_writer_t all;
    yami_writer_init(&all, YAMI_LIMIT_REPLY);
    if (rows != NULL) {
        yami_writer_array(&all, row_count);
        if (rows->size > 0) {
            yami_writer_bytes(&all, rows->data, rows->size);
        }
        frame.present |= YAMI_F_ROWS;
        frame.rows = yami_slice(all.data, all.size);
        yami_writer_clear(rows);
    }
    yami_relay_peer_t *receiver = yami_relay_map_get(&core->peers, peer);
    if (receiver != NULL) {
        (void) yami_relay_send(core, receiver, &frame);
    }
    yami_writer_clear(&all);
}

//  Settles everything in one group; leases on it become stale. Returns how many messages.
static uint64_t
s_purge_group(yami_relay_core_t *core, yami_relay_group_t *group, bool is_dry)
{
    uint64_t depth = yami_relay_group_depth(group);
    uint64_t floor = yami_relay_group_floor(group);
    if (depth > 0 && !is_dry) {
        uint64_t settled = yami_relay_group_settle(core, group, floor, group->channel->next - 1);
        YAM_ASSERT(settled == depth);
        yami_relay_group_journal(core, group, floor, group->channel->next - 1);
        yami_relay_group_flush(core, group);
    }
    return depth;
}

//  Answers when what was written for it is durable.
static void
s_answer(yami_relay_core_t *core, const yami_relay_peer_t *peer, const yami_frame_t *frame,
         const char *name, uint64_t number)
{
    yami_relay_job_t *job = yami_relay_job_new(core, peer, frame, YAMI_JOB_WAIT);
    if (job == NULL) {
        return;
    }
    yami_writer_map(&job->rows, 1);
    yami_writer_str(&job->rows, name);
    yami_writer_uint(&job->rows, number);
    job->row_count = 1;
    job->is_finished = true;
    yami_relay_job_wait(core, job);
}

//  The channel a request names; NULL when there is none, and the peer was told.
static yami_relay_channel_t *
s_channel(yami_relay_core_t *core, const yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel = NULL;
    if ((frame->present & YAMI_F_CHANNEL) != 0) {
        channel = yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    }
    if (channel == NULL) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN, "no such channel", NULL,
                         0);
    }
    return channel;
}

static void
s_purge(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel = s_channel(core, peer, frame);
    if (channel == NULL) {
        return;
    }
    bool has_group = (frame->present & YAMI_F_GROUP) != 0 && frame->group.size > 0;
    bool is_dry = (frame->present & YAMI_F_START) != 0 && frame->start == 1;
    yami_relay_group_t *only = has_group ? yami_relay_group_find(channel, frame->group) : NULL;
    if (has_group && only == NULL) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN, "no such group", NULL,
                         0);
        return;
    }
    uint64_t most = 0;
    yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        uint64_t count = only == NULL || only == group ? s_purge_group(core, group, is_dry) : 0;
        most = count > most ? count : most;
    }
    s_answer(core, peer, frame, "messages", most);
}

static void
s_remove(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel = s_channel(core, peer, frame);
    if (channel == NULL) {
        return;
    }
    bool has_group = (frame->present & YAMI_F_GROUP) != 0 && frame->group.size > 0;
    yami_relay_group_t *group = has_group ? yami_relay_group_find(channel, frame->group) : NULL;
    if (group == NULL || !group->is_durable) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN, "no such durable group",
                         NULL, 0);
        return;
    }
    uint64_t depth = yami_relay_group_depth(group);
    if ((frame->present & YAMI_F_START) == 0 || frame->start != 1) {
        while (!TAILQ_EMPTY(&group->members)) {
            yami_relay_handle_end(core, TAILQ_FIRST(&group->members), YAM_STATUS_UNKNOWN,
                                  "the group was removed");
        }
        yami_relay_group_flush(core, group);
        (void) yami_relay_write_remove(core, group);
        yami_relay_group_remove(core, group);
    }
    s_answer(core, peer, frame, "messages", depth);
}

typedef void (*s_command_t)(yami_relay_core_t *core, yami_relay_peer_t *peer,
                            const yami_frame_t *frame);

static const struct {
    const char *name;
    s_command_t command;
} s_commands[] = {
    {"channels", yami_relay_stat_channels},
    {"stat", yami_relay_stat},
    {"relay", yami_relay_stat_relay},
    {"peek", yami_relay_peek},
    {"purge", s_purge},
    {"redrive", yami_relay_redrive},
    {"remove", s_remove},
    {"cancel", yami_relay_cancel},
};

//  What a request looks at, about: rows of the tables.
static uint64_t
s_cost(const yami_relay_core_t *core, const yami_frame_t *frame)
{
    if ((frame->present & YAMI_F_CHANNEL) == 0) {
        return YAMI_RELAY_REQUEST_COST + core->channel_numbers.count + core->peers.count;
    }
    const yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    return YAMI_RELAY_REQUEST_COST + (channel != NULL ? channel->group_count : 0);
}

//  Begins a new second, for all and for this peer.
static void
s_renew(yami_relay_core_t *core, yami_relay_peer_t *peer)
{
    yami_relay_requests_t *all = &core->requests;
    if (core->mono_ms - all->since_ms >= 1000) {
        core->askers_before = core->mono_ms - all->since_ms < 2000 ? core->askers : 0;
        core->askers = 0;
        *all = (yami_relay_requests_t) {.since_ms = core->mono_ms};
    }
    if (peer->requests.since_ms != all->since_ms) {
        core->askers++;
        peer->requests = (yami_relay_requests_t) {.since_ms = all->since_ms};
    }
}

//  Some requests look at all there is: whoever asks without end gets an answer that costs nothing.
//  One request of each second always may, of each peer as long as there is room for it.
static bool
s_may_ask(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    uint64_t cost = s_cost(core, frame);
    s_renew(core, peer);
    uint64_t own = peer->requests.cost;
    uint64_t all = core->requests.cost;
    if ((own > 0 && own + cost > yami_relay_admin_share(core, YAMI_LIMIT_ADMIN_ROWS)) ||
        (all > 0 && all + cost > YAMI_LIMIT_ADMIN_ROWS)) {
        return false;
    }
    peer->requests.cost += cost;
    core->requests.cost += cost;
    return true;
}

uint64_t
yami_relay_admin_share(const yami_relay_core_t *core, uint64_t total)
{
    uint64_t askers = core->askers > core->askers_before ? core->askers : core->askers_before;
    return total / (askers + 1);
}

void
yami_relay_admin(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    if ((peer->rights & YAMI_RIGHT_ADMIN) == 0) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_NOT_ALLOWED,
                         "no right to administrate", NULL, 0);
        return;
    }
    if (!s_may_ask(core, peer, frame)) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_LIMIT,
                         "too many requests in one second", NULL, 0);
        return;
    }
    for (size_t index = 0; index < sizeof s_commands / sizeof s_commands[0]; index++) {
        if (yami_slice_equal(frame->command, s_commands[index].name)) {
            s_commands[index].command(core, peer, frame);
            return;
        }
    }
    yami_relay_reply(
        core, peer->id, frame->serial, YAM_STATUS_UNKNOWN,
        "no such command (channels, stat, relay, peek, purge, redrive, remove, cancel)", NULL, 0);
}
