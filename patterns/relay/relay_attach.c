#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_properties.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

#define S_LEASE_MIN_MS 10

static void
s_refuse(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame,
         yam_status_t status, const char *text)
{
    core->refusals++;
    yami_relay_detached(core, peer, frame->handle, status, text);
}

static yami_relay_handle_t *
s_new(yami_relay_core_t *core, yami_relay_peer_t *peer, yami_relay_channel_t *channel,
      const yami_frame_t *frame)
{
    yami_relay_handle_t *handle = yami_alloc(sizeof *handle);
    handle->id = ++core->handle_id;
    handle->number = frame->handle;
    handle->role = (int) frame->role;
    handle->peer = peer;
    handle->channel = channel;
    handle->wake_ms = INT64_MAX;
    TAILQ_INIT(&handle->leases);
    TAILQ_INSERT_TAIL(&peer->handles, handle, of_peer);
    yami_relay_map_put(&peer->by_number, handle->number, handle);
    yami_relay_map_put(&core->handles, handle->id, handle);
    return handle;
}

//  Ends those that may send; with also_leaving, those that only wait for their confirms, too.
static void
s_fence(yami_relay_core_t *core, yami_relay_producer_t *producer, bool also_leaving,
        const char *text)
{
    yami_relay_handle_t *handle = TAILQ_FIRST(&producer->handles);
    while (handle != NULL) {
        yami_relay_handle_t *next = TAILQ_NEXT(handle, of_owner);
        if (also_leaving || !handle->is_leaving) {
            yami_relay_handle_end(core, handle, YAM_STATUS_FENCED, text);
        }
        handle = next;
    }
}

//  Decides the epoch; older owners of the producer are fenced. 0 when this one is. A new one is
//  written down: were it forgotten, it would be given to another incarnation, and the messages of
//  the one taken for those of the other.
static uint32_t
s_take_epoch(yami_relay_core_t *core, yami_relay_producer_t *producer, uint64_t wanted)
{
    uint64_t epoch = wanted == 0 ? yami_relay_producer_next_epoch(core, producer) : wanted;
    if (epoch < producer->epoch || epoch == 0 || epoch > UINT32_MAX) {
        return 0;
    }
    if (epoch > producer->epoch) {
        yami_relay_producer_stored(core, producer, (uint32_t) epoch, 0, core->wall_ms);
        producer->ticket = yami_relay_write_epoch(core, producer);
        s_fence(core, producer, true, "a newer epoch of this producer attached");
    }
    return (uint32_t) epoch;
}

//  (6) One attachment sends, that of the newest session: else what one stores would pass for what
//  another sends, and be confirmed to it. False when a newer session has the producer: this ATTACH
//  was long on its way. Those who only wait for their confirms may go on.
static bool
s_take_over(yami_relay_core_t *core, const yami_relay_peer_t *peer, yami_relay_producer_t *producer)
{
    const yami_relay_handle_t *handle = NULL;
    TAILQ_FOREACH(handle, &producer->handles, of_owner)
    {
        if (!handle->is_leaving && handle->peer->began > peer->began) {
            return false;
        }
    }
    s_fence(core, producer, false, "this producer was attached anew");
    return true;
}

//  A subscription or an epoch that a crash may undo is none: ATTACHED waits for the ticket.
static void
s_answer(yami_relay_core_t *core, yami_relay_handle_t *handle, uint64_t ticket)
{
    if (ticket > core->durable) {
        yami_relay_wait_t wait = {
            .ticket = core->ticket, .type = YAMI_WAIT_ATTACHED, .handle = handle->id};
        yami_relay_wait(core, &wait);
    } else {
        yami_relay_handle_attached(core, handle);
    }
}

static void
s_attach_producer(yami_relay_core_t *core, yami_relay_peer_t *peer, yami_relay_channel_t *channel,
                  const yami_frame_t *frame)
{
    yami_relay_producer_t *producer = yami_relay_producer_get(core, channel, &frame->producer);
    if (producer == NULL) {
        s_refuse(core, peer, frame, YAM_STATUS_LIMIT, "too many producers");
        return;
    }
    uint32_t epoch = s_take_epoch(core, producer, frame->epoch);
    if (epoch == 0) {
        s_refuse(core, peer, frame, YAM_STATUS_FENCED, "a newer epoch of this producer exists");
        return;
    }
    if (!s_take_over(core, peer, producer)) {
        s_refuse(core, peer, frame, YAM_STATUS_FENCED, "a newer session has this producer");
        return;
    }
    yami_relay_handle_t *handle = s_new(core, peer, channel, frame);
    handle->producer = producer;
    handle->epoch = epoch;
    handle->granted_messages = (uint64_t) core->options->window_messages;
    handle->granted_bytes = (uint64_t) core->options->window_bytes;
    TAILQ_INSERT_TAIL(&producer->handles, handle, of_owner);
    channel->producers++;
    s_answer(core, handle, producer->ticket);
    //  What was given up may be sent anew: perhaps the client never heard of that. What it says of
    //  `first` is its own word, and holds for this handle: nothing is stored or confirmed by it.
    producer->last =
        frame->first - 1 > producer->stored_last ? frame->first - 1 : producer->stored_last;
    handle->last = producer->last;
    handle->confirmed = frame->first - 1;
    if (producer->durable > handle->confirmed) {
        yami_relay_handle_touch(core, handle);
    }
}

static uint64_t
s_start(const yami_relay_channel_t *channel, const yami_frame_t *frame)
{
    uint64_t start = (frame->present & YAMI_F_START) != 0 ? frame->start : YAMI_START_FIRST;
    if (start == YAMI_START_NEW) {
        return channel->next;
    }
    uint64_t next = start == YAMI_START_SEQUENCE ? frame->sequence : channel->first;
    return next < channel->first ? channel->first : next > channel->next ? channel->next : next;
}

//  Numbers of groups that are not in the journal come again after 2^31 of them: not while one that
//  is there has it.
static uint32_t
s_ephemeral_number(yami_relay_core_t *core)
{
    uint32_t number;
    do {
        number = ++core->ephemeral_number | YAMI_RELAY_EPHEMERAL;
    } while (yami_relay_map_get(&core->groups, number) != NULL);
    return number;
}

//  The group this consumer joins, made when needed. NULL with *status_p and *text_p.
static yami_relay_group_t *
s_group(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_frame_t *frame,
        yam_status_t *status_p, const char **text_p)
{
    bool has_name = (frame->present & YAMI_F_GROUP) != 0 && frame->group.size > 0;
    yami_slice_t filter = (frame->present & YAMI_F_FILTER) != 0 ? frame->filter : yami_slice("", 0);
    *status_p = YAM_STATUS_CONFLICT;
    *text_p = "a queue has one group and no filter";
    if (channel->kind == YAMI_KIND_QUEUE) {
        return has_name || filter.size > 0 ? NULL : TAILQ_FIRST(&channel->groups);
    }
    yami_relay_group_t *group = has_name ? yami_relay_group_find(channel, frame->group) : NULL;
    if (group != NULL) {
        bool wants_durable = (frame->present & YAMI_F_DURABLE) != 0 && frame->durable;
        *text_p = wants_durable && !group->is_durable ? "the group is not durable"
                                                      : "the group has another filter";
        bool is_same =
            yami_slice_equal(filter, group->filter.text) && (group->is_durable || !wants_durable);
        return is_same ? group : NULL;
    }
    *status_p = YAM_STATUS_MALFORMED;
    *text_p = "bad name of a group or filter";
    char subject[YAMI_LIMIT_SUBJECT + 1];
    (void) snprintf(subject, sizeof subject, "%.*s", (int) filter.size, (const char *) filter.data);
    if ((has_name && yami_name_check(frame->group, "group") == -1) ||
        (filter.size > 0 &&
         (strlen(subject) != filter.size || yami_subject_check(subject, true) == -1))) {
        return NULL;
    }
    *status_p = YAM_STATUS_LIMIT;
    *text_p = "too many groups";
    if (core->groups.count >= YAMI_LIMIT_GROUPS) {
        return NULL;
    }
    bool is_durable = has_name && (frame->present & YAMI_F_DURABLE) != 0 && frame->durable;
    uint32_t number = is_durable ? core->group_number + 1 : s_ephemeral_number(core);
    group = yami_relay_group_add(core, channel, number, has_name ? frame->group : yami_slice("", 0),
                                 filter, s_start(channel, frame));
    if (is_durable) {
        group->ticket = yami_relay_write_group(core, group);
    }
    return group;
}

static int64_t
s_lease_ms(const yami_relay_core_t *core, const yami_frame_t *frame)
{
    int64_t lease_ms = core->options->lease_ms;
    if ((frame->present & YAMI_F_LEASE_MS) != 0 && frame->lease_ms > 0) {
        lease_ms = (int64_t) frame->lease_ms;
    }
    return lease_ms < S_LEASE_MIN_MS        ? S_LEASE_MIN_MS
           : lease_ms > YAMI_LIMIT_LEASE_MS ? YAMI_LIMIT_LEASE_MS
                                            : lease_ms;
}

static void
s_attach_consumer(yami_relay_core_t *core, yami_relay_peer_t *peer, yami_relay_channel_t *channel,
                  const yami_frame_t *frame)
{
    yam_status_t status;
    const char *text;
    yami_relay_group_t *group = s_group(core, channel, frame, &status, &text);
    if (group == NULL) {
        s_refuse(core, peer, frame, status, text);
        return;
    }
    yami_relay_handle_t *handle = s_new(core, peer, channel, frame);
    handle->group = group;
    handle->lease_ms = s_lease_ms(core, frame);
    TAILQ_INSERT_TAIL(&group->members, handle, of_owner);
    group->member_count++;
    s_answer(core, handle, group->ticket);
}

//  Whether it is a name for delayed messages, but for channels from before there were any.
static bool
s_is_delayed(const yami_relay_core_t *core, const yami_frame_t *frame)
{
    const yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    return channel != NULL ? channel->dues != NULL
                           : yami_relay_is_delayed_name(frame->channel.data, frame->channel.size);
}

//  Why this client may not attach so, or OK.
static yam_status_t
s_refusal(const yami_relay_core_t *core, const yami_relay_peer_t *peer, const yami_frame_t *frame,
          const char **text_p)
{
    bool is_producer = frame->role == YAMI_ROLE_PRODUCER;
    bool is_dead = yami_relay_is_dead_name(frame->channel.data, frame->channel.size);
    *text_p = "no right to do this";
    if ((peer->rights & (is_producer ? YAMI_RIGHT_PUBLISH : YAMI_RIGHT_CONSUME)) == 0) {
        return YAM_STATUS_NOT_ALLOWED;
    }
    *text_p = "only relays write dead letters";
    if (is_producer && is_dead) {
        return YAM_STATUS_NOT_ALLOWED;
    }
    *text_p = "delayed messages come through the channel they were sent to";
    if (s_is_delayed(core, frame)) {
        return YAM_STATUS_NOT_ALLOWED;
    }
    *text_p = "draining";
    if (core->is_draining) {
        return YAM_STATUS_CLOSING;
    }
    *text_p = "bad name of a channel (letters, digits, '.', '-', '_', ':', '/'; 195 bytes at most)";
    if (yami_name_check(frame->channel, "channel") == -1 ||
        (!is_dead && frame->channel.size + 5 > YAMI_LIMIT_NAME)) {
        return YAM_STATUS_MALFORMED;
    }
    *text_p = "too much waits for the disk";
    if (core->waits.count >= YAMI_LIMIT_WAITING) {
        return YAM_STATUS_LIMIT;
    }
    *text_p = "too many handles";
    if (peer->by_number.count >= YAMI_LIMIT_HANDLES) {
        return YAM_STATUS_LIMIT;
    }
    *text_p = "dead letters are a queue";
    return is_dead && frame->kind != YAMI_KIND_QUEUE ? YAM_STATUS_CONFLICT : YAM_STATUS_OK;
}

void
yami_relay_attach(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_handle_t *old = yami_relay_handle_get(peer, frame->handle);
    if (old != NULL) { //  which of both is meant by what follows, nobody could say
        core->refusals++;
        yami_relay_handle_end(core, old, YAM_STATUS_CONFLICT, "this handle is in use");
        return;
    }
    const char *text;
    yam_status_t status = s_refusal(core, peer, frame, &text);
    if (status != YAM_STATUS_OK) {
        s_refuse(core, peer, frame, status, text);
        return;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    if (channel != NULL && channel->kind != (int) frame->kind) {
        s_refuse(core, peer, frame, YAM_STATUS_CONFLICT,
                 channel->kind == YAMI_KIND_QUEUE ? "the channel is a queue"
                                                  : "the channel is a topic");
        return;
    }
    if (channel == NULL) {
        channel = yami_relay_channel_new(core, frame->channel.data, frame->channel.size,
                                         (int) frame->kind, NULL);
    }
    if (channel == NULL) {
        s_refuse(core, peer, frame, YAM_STATUS_LIMIT, "too many channels or groups");
    } else if (frame->role == YAMI_ROLE_PRODUCER) {
        s_attach_producer(core, peer, channel, frame);
    } else {
        s_attach_consumer(core, peer, channel, frame);
    }
}
