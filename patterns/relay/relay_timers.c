#include <string.h>

#include "yami_base.h"
#include "yami_relay_jobs.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_WAITS_LIMIT ((size_t) 1 << 24)
#define S_KIND_SHIFT 60

void
yami_relay_wait(yami_relay_core_t *core, const yami_relay_wait_t *wait)
{
    yami_relay_waits_t *self = &core->waits;
    YAM_ASSERT(self->count == 0 ||
               self->items[self->head + self->count - 1].ticket <= wait->ticket);
    if (self->head > 0 && self->head + self->count == self->capacity && self->head >= self->count) {
        memcpy(self->items, self->items + self->head, self->count * sizeof *self->items);
        self->head = 0;
    }
    int rc = yami_grow(&self->items, &self->capacity, self->head + self->count + 1,
                       sizeof *self->items, S_WAITS_LIMIT);
    YAM_NEED(rc == 0); //  bounded by the credit of producers
    self->items[self->head + self->count++] = *wait;
    core->waiting_bytes += wait->bytes;
    if (wait->producer != NULL) {
        wait->producer->waiting++;
    }
}

bool
yami_relay_disk_lags(const yami_relay_core_t *core)
{
    return core->waits.count >= YAMI_LIMIT_WAITING ||
           core->waiting_bytes >= YAMI_LIMIT_WAITING_BYTES;
}

static void
s_data_is_durable(yami_relay_core_t *core, const yami_relay_wait_t *wait)
{
    yami_relay_producer_t *producer = wait->producer;
    producer->waiting--;
    if (wait->epoch == producer->epoch) {
        YAM_ASSERT(wait->sequence > producer->durable && wait->sequence <= producer->last);
        producer->durable = wait->sequence;
        yami_relay_handle_t *handle = NULL;
        TAILQ_FOREACH(handle, &producer->handles, of_owner)
        {
            yami_relay_handle_touch(core, handle);
        }
    }
    yami_relay_handle_t *handle = yami_relay_map_get(&core->handles, wait->handle);
    if (handle != NULL) {
        handle->resolved_messages += wait->messages;
        handle->resolved_bytes += wait->bytes;
    }
}

//  Once, however many batches of the channel one commit held. In memory nothing is synced.
static void
s_count_sync(const yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    if (core->level >= YAM_LEVEL_SYNCED && channel->sync_ticket != core->durable) {
        channel->sync_ticket = core->durable;
        channel->counts.syncs++;
    }
}

static void
s_channel_is_durable(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t last)
{
    YAM_ASSERT(last >= channel->durable && last < channel->next);
    channel->durable = last + 1;
    s_count_sync(core, channel);
    core->due_ms = channel->dues != NULL ? INT64_MIN : core->due_ms; //  their time may have come
    yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        yami_relay_group_touch(core, group);
    }
}

static void
s_is_durable(yami_relay_core_t *core, const yami_relay_wait_t *wait)
{
    yami_relay_handle_t *handle;
    switch (wait->type) {
    case YAMI_WAIT_DATA:
        s_channel_is_durable(core, wait->channel, wait->last);
        s_data_is_durable(core, wait);
        break;
    case YAMI_WAIT_MOVE:
        s_channel_is_durable(core, wait->channel, wait->last);
        yami_relay_job_moved(core, wait->job);
        break;
    case YAMI_WAIT_ATTACHED:
        handle = yami_relay_map_get(&core->handles, wait->handle);
        if (handle != NULL) {
            yami_relay_handle_attached(core, handle);
            if (handle->group != NULL) {
                yami_relay_group_touch(core, handle->group);
            }
        }
        break;
    case YAMI_WAIT_JOB:
        yami_relay_job_moved(core, wait->job);
        break;
    case YAMI_WAIT_ACKED:
        handle = yami_relay_map_get(&core->handles, wait->handle);
        if (handle != NULL) {
            yami_frame_t frame = yami_relay_frame(YAMI_FRAME_ACKED, handle->number);
            frame.present = YAMI_F_SERIAL;
            frame.serial = wait->sequence;
            (void) yami_relay_send(core, handle->peer, &frame);
        }
        break;
    }
}

void
yami_relay_durable(yami_relay_core_t *core, uint64_t ticket)
{
    yami_relay_waits_t *self = &core->waits;
    YAM_ASSERT(ticket <= core->ticket);
    core->durable = ticket > core->durable ? ticket : core->durable;
    while (self->count > 0 && self->items[self->head].ticket <= core->durable) {
        yami_relay_wait_t wait = self->items[self->head];
        self->head++;
        self->count--;
        core->waiting_bytes -= wait.bytes;
        s_is_durable(core, &wait);
    }
    self->head = self->count == 0 ? 0 : self->head;
    yami_relay_handles_late(core);
    yami_relay_moves_late(core);
}

//  Keeps only the wakes that mean something.
static void
s_rebuild(yami_relay_core_t *core)
{
    yami_heap_clear(&core->wakes);
    yami_relay_peer_t *peer;
    yami_relay_handle_t *handle;
    yami_relay_group_t *group;
    int rc = 0;
    for (size_t index = 0; (peer = yami_relay_map_next(&core->peers, &index)) != NULL;) {
        rc |= peer->wake_ms == INT64_MAX
                  ? 0
                  : yami_heap_push(&core->wakes, peer->wake_ms,
                                   (uint64_t) YAMI_WAKE_PEER << S_KIND_SHIFT | peer->id);
    }
    for (size_t index = 0; (handle = yami_relay_map_next(&core->handles, &index)) != NULL;) {
        rc |= handle->wake_ms == INT64_MAX
                  ? 0
                  : yami_heap_push(&core->wakes, handle->wake_ms,
                                   (uint64_t) YAMI_WAKE_HANDLE << S_KIND_SHIFT | handle->id);
    }
    for (size_t index = 0; (group = yami_relay_map_next(&core->groups, &index)) != NULL;) {
        rc |= group->wake_ms == INT64_MAX
                  ? 0
                  : yami_heap_push(&core->wakes, group->wake_ms,
                                   (uint64_t) YAMI_WAKE_GROUP << S_KIND_SHIFT | group->number);
    }
    YAM_NEED(rc == 0);
}

void
yami_relay_wake(yami_relay_core_t *core, int kind, uint64_t id, int64_t *wake_ms_p, int64_t when)
{
    YAM_ASSERT(id >> S_KIND_SHIFT == 0);
    if (when >= *wake_ms_p || !core->has_started) {
        return;
    }
    *wake_ms_p = when;
    size_t live = core->peers.count + core->handles.count + core->groups.count;
    if (core->wakes.count > 4 * live + 1024) {
        s_rebuild(core);
        return;
    }
    int rc = yami_heap_push(&core->wakes, when, (uint64_t) kind << S_KIND_SHIFT | id);
    YAM_NEED(rc == 0);
}

//  The owner's wake_ms, NULL when the owner is gone.
static int64_t *
s_wake_ms(const yami_relay_core_t *core, int kind, uint64_t id)
{
    if (kind == YAMI_WAKE_PEER) {
        yami_relay_peer_t *peer = yami_relay_map_get(&core->peers, id);
        return peer == NULL ? NULL : &peer->wake_ms;
    }
    if (kind == YAMI_WAKE_HANDLE) {
        yami_relay_handle_t *handle = yami_relay_map_get(&core->handles, id);
        return handle == NULL ? NULL : &handle->wake_ms;
    }
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, id);
    return group == NULL ? NULL : &group->wake_ms;
}

void
yami_relay_run_timers(yami_relay_core_t *core)
{
    yami_heap_item_t item;
    while (yami_heap_pop_due(&core->wakes, core->mono_ms, &item)) {
        int kind = (int) (item.id >> S_KIND_SHIFT);
        uint64_t id = item.id & (((uint64_t) 1 << S_KIND_SHIFT) - 1);
        int64_t *wake_ms = s_wake_ms(core, kind, id);
        if (wake_ms == NULL || *wake_ms != item.when) {
            continue; //  stale
        }
        *wake_ms = INT64_MAX;
        switch (kind) {
        case YAMI_WAKE_PEER:
            yami_relay_peer_due(core, id);
            break;
        case YAMI_WAKE_HANDLE:
            yami_relay_handle_due(core, id);
            break;
        default:
            yami_relay_group_due(core, (uint32_t) id);
            break;
        }
    }
}
