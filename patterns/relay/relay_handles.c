#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_parts.h"

yami_relay_handle_t *
yami_relay_handle_get(const yami_relay_peer_t *peer, uint32_t number)
{
    return yami_relay_map_get(&peer->by_number, number);
}

void
yami_relay_handle_touch(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    if (!handle->is_dirty) {
        handle->is_dirty = true;
        TAILQ_INSERT_TAIL(&core->dirty_handles[handle->role], handle, of_dirty);
    }
}

void
yami_relay_detached(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                    yam_status_t status, const char *text)
{
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_DETACHED, handle);
    frame.present = YAMI_F_STATUS | (text != NULL ? YAMI_F_TEXT : 0);
    frame.status = (uint64_t) status;
    frame.text = yami_slice_text(text != NULL ? text : "");
    (void) yami_relay_send(core, peer, &frame);
}

//  Gives everything back: leases, membership, an ephemeral group without members.
static void
s_leave(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    yami_relay_group_t *group = handle->group;
    while (!TAILQ_EMPTY(&handle->leases)) {
        yami_relay_lease_t *lease = TAILQ_FIRST(&handle->leases);
        yami_relay_lease_release(core, lease, lease->first, lease->last);
    }
    TAILQ_REMOVE(&group->members, handle, of_owner);
    group->member_count--;
    if (handle->is_credited) {
        TAILQ_REMOVE(&group->credited, handle, of_credited);
    }
    if (group->member_count == 0) {
        yami_relay_cache_drop(core, group);
    }
    if (group->member_count == 0 && !group->is_durable) {
        yami_relay_group_remove(core, group);
    }
}

void
yami_relay_handle_end(yami_relay_core_t *core, yami_relay_handle_t *handle, int status,
                      const char *text)
{
    if (status != -1) {
        yami_relay_detached(core, handle->peer, handle->number, (yam_status_t) status, text);
    }
    if (handle->is_dirty) {
        TAILQ_REMOVE(&core->dirty_handles[handle->role], handle, of_dirty);
    }
    if (handle->role == YAMI_ROLE_PRODUCER) {
        TAILQ_REMOVE(&handle->producer->handles, handle, of_owner);
        handle->channel->producers--;
    } else {
        s_leave(core, handle);
    }
    TAILQ_REMOVE(&handle->peer->handles, handle, of_peer);
    yami_relay_map_remove(&handle->peer->by_number, handle->number);
    yami_relay_map_remove(&core->handles, handle->id);
    yami_free(handle);
}

void
yami_relay_handle_detach(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    if (handle->role == YAMI_ROLE_PRODUCER) { //  confirms that are due come first
        handle->is_leaving = true;
        yami_relay_handle_touch(core, handle);
    } else {
        yami_relay_handle_end(core, handle, YAM_STATUS_OK, NULL);
    }
}

void
yami_relay_handle_attached(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_ATTACHED, handle->number);
    frame.present = YAMI_F_LEVEL | YAMI_F_SEQUENCE;
    frame.level = (uint64_t) core->level;
    if (handle->role == YAMI_ROLE_CONSUMER) {
        frame.sequence = handle->group->next;
    } else {
        frame.present |= YAMI_F_EPOCH | YAMI_F_MESSAGES | YAMI_F_BYTES;
        frame.epoch = handle->epoch;
        frame.sequence = handle->producer->durable; //  it confirms: promise 1
        if (YAMI_PLANTED(ATTACHED_BEFORE_DURABLE)) {
            frame.sequence = handle->producer->last;
        }
        frame.messages = handle->granted_messages;
        frame.bytes = handle->granted_bytes;
    }
    (void) yami_relay_send(core, handle->peer, &frame);
}

void
yami_relay_handle_credit(yami_relay_core_t *core, yami_relay_handle_t *handle,
                         const yami_frame_t *frame)
{
    YAM_ASSERT(handle->role == YAMI_ROLE_CONSUMER);
    //  Absolute totals only grow: a lost or repeated grant is harmless.
    handle->granted_messages =
        frame->messages > handle->granted_messages ? frame->messages : handle->granted_messages;
    handle->granted_bytes =
        frame->bytes > handle->granted_bytes ? frame->bytes : handle->granted_bytes;
    yami_relay_handle_line_up(core, handle);
}

void
yami_relay_handle_line_up(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    if (!handle->is_credited && yami_relay_handle_wants(handle)) {
        handle->is_credited = true;
        TAILQ_INSERT_TAIL(&handle->group->credited, handle, of_credited);
        yami_relay_group_touch(core, handle->group);
    }
}

//  (9) However much is granted: what nobody settles, or takes, lies in our memory.
bool
yami_relay_handle_wants(const yami_relay_handle_t *handle)
{
    return handle->granted_messages > handle->sent_messages &&
           handle->granted_bytes > handle->sent_bytes &&
           handle->in_flight_bytes < YAMI_LIMIT_WINDOW_BYTES && !handle->peer->is_pressed;
}

void
yami_relay_handle_stand_back(yami_relay_handle_t *handle)
{
    if (handle->is_credited) {
        handle->is_credited = false;
        TAILQ_REMOVE(&handle->group->credited, handle, of_credited);
    }
}

//  There was no memory to tell it. It asks for nothing of this, and may have nothing more to send
//  that would make us say it.
static void
s_flush_later(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    yami_relay_wake(core, YAMI_WAKE_HANDLE, handle->id, &handle->wake_ms,
                    core->mono_ms + YAMI_RELAY_AGAIN_MS);
}

//  One cumulative CONFIRM for all that became durable, and new credit when a quarter was used.
static void
s_flush_producer(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    const yami_relay_producer_t *producer = handle->producer;
    uint64_t durable = YAMI_PLANTED(CONFIRM_BEFORE_DURABLE) ? producer->last : producer->durable;
    if (durable > handle->confirmed || (handle->must_confirm && durable > 0)) {
        yami_frame_t frame = yami_relay_frame(YAMI_FRAME_CONFIRM, handle->number);
        frame.present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL;
        frame.epoch = handle->epoch;
        frame.sequence = durable;
        frame.level = (uint64_t) core->level;
        if (!yami_relay_send(core, handle->peer, &frame)) {
            s_flush_later(core, handle);
            return;
        }
        handle->confirmed = durable;
        handle->must_confirm = false;
    }
    if (handle->is_leaving && (handle->last <= durable || producer->waiting == 0)) {
        yami_relay_handle_end(core, handle, YAM_STATUS_OK, NULL);
        return;
    }
    uint64_t window_messages = (uint64_t) core->options->window_messages;
    uint64_t window_bytes = (uint64_t) core->options->window_bytes;
    uint64_t messages = handle->resolved_messages + window_messages;
    uint64_t bytes = handle->resolved_bytes + window_bytes;
    if (messages >= handle->granted_messages + (window_messages + 3) / 4 ||
        bytes >= handle->granted_bytes + (window_bytes + 3) / 4) {
        yami_frame_t frame = yami_relay_frame(YAMI_FRAME_CREDIT, handle->number);
        frame.present = YAMI_F_MESSAGES | YAMI_F_BYTES;
        frame.messages = messages > handle->granted_messages ? messages : handle->granted_messages;
        frame.bytes = bytes > handle->granted_bytes ? bytes : handle->granted_bytes;
        if (!yami_relay_send(core, handle->peer, &frame)) {
            s_flush_later(core, handle);
            return;
        }
        handle->granted_messages = frame.messages;
        handle->granted_bytes = frame.bytes;
    }
}

//  ACKED as soon as everything appended so far is durable.
static void
s_flush_consumer(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    if (handle->serial <= handle->told_serial) {
        return;
    }
    if (core->waits.count >= YAMI_LIMIT_WAITING) {
        core->owes_acked = true;
        return;
    }
    handle->told_serial = handle->serial;
    if (core->ticket > core->durable) {
        yami_relay_wait_t wait = {.ticket = core->ticket,
                                  .type = YAMI_WAIT_ACKED,
                                  .handle = handle->id,
                                  .sequence = handle->serial};
        yami_relay_wait(core, &wait);
        return;
    }
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_ACKED, handle->number);
    frame.present = YAMI_F_SERIAL;
    frame.serial = handle->serial;
    (void) yami_relay_send(core, handle->peer, &frame);
}

void
yami_relay_handles_late(yami_relay_core_t *core)
{
    //  Half of them: so many handles are looked at once in a while only.
    if (!core->owes_acked || core->waits.count > YAMI_LIMIT_WAITING / 2) {
        return;
    }
    core->owes_acked = false;
    yami_relay_handle_t *handle;
    for (size_t index = 0; (handle = yami_relay_map_next(&core->handles, &index)) != NULL;) {
        if (handle->serial > handle->told_serial) {
            yami_relay_handle_touch(core, handle);
        }
    }
}

void
yami_relay_handles_flush(yami_relay_core_t *core, int role)
{
    yami_relay_handle_t *handle;
    while ((handle = TAILQ_FIRST(&core->dirty_handles[role])) != NULL) {
        TAILQ_REMOVE(&core->dirty_handles[role], handle, of_dirty);
        handle->is_dirty = false;
        if (role == YAMI_ROLE_PRODUCER) {
            s_flush_producer(core, handle);
        } else {
            s_flush_consumer(core, handle);
        }
    }
}
