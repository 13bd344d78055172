#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_parts.h"

static uint64_t
s_hash(const yami_relay_core_t *core, const yami_relay_channel_t *channel, const yami_id_t *id)
{
    return yami_relay_hash(core->seed + channel->number, id->bytes, sizeof id->bytes);
}

static yami_relay_producer_t *
s_find(const yami_relay_core_t *core, const yami_relay_channel_t *channel, const yami_id_t *id)
{
    yami_relay_producer_t *producer =
        yami_relay_map_get(&core->producer_keys, s_hash(core, channel, id));
    while (producer != NULL &&
           (producer->channel != channel || memcmp(&producer->id, id, sizeof *id) != 0)) {
        producer = producer->same_hash;
    }
    return producer;
}

static void
s_free(yami_relay_core_t *core, yami_relay_producer_t *producer)
{
    YAM_ASSERT(TAILQ_EMPTY(&producer->handles) && producer->waiting == 0);
    yami_relay_producer_t *head = yami_relay_map_get(&core->producer_keys, producer->hash);
    if (head == producer && producer->same_hash == NULL) {
        yami_relay_map_remove(&core->producer_keys, producer->hash);
    } else if (head == producer) {
        yami_relay_map_put(&core->producer_keys, producer->hash, producer->same_hash);
    } else {
        while (head->same_hash != producer) {
            head = head->same_hash;
        }
        head->same_hash = producer->same_hash;
    }
    TAILQ_REMOVE(&core->producers, producer, of_age);
    core->producer_count--;
    yami_free(producer);
}

//  Never stored anything, nor did one of its name before: nobody misses it.
static bool
s_is_blank(const yami_relay_producer_t *producer)
{
    return producer->epoch <= 1 && producer->stored_last == 0;
}

//  Makes room by forgetting who was idle for long, or never stored anything. False when nobody can
//  be forgotten.
static bool
s_forget_one(yami_relay_core_t *core)
{
    int64_t since = core->wall_ms - core->options->producer_idle_ms;
    yami_relay_producer_t *producer = NULL;
    TAILQ_FOREACH(producer, &core->producers, of_age)
    {
        bool is_idle = producer->seen_ms <= since || s_is_blank(producer);
        if (is_idle && producer->waiting == 0 && TAILQ_EMPTY(&producer->handles)) {
            s_free(core, producer);
            return true;
        }
    }
    return false;
}

yami_relay_producer_t *
yami_relay_producer_get(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_id_t *id)
{
    yami_relay_producer_t *producer = s_find(core, channel, id);
    if (producer != NULL) {
        return producer;
    }
    if (core->producer_count >= YAMI_LIMIT_PRODUCERS && !s_forget_one(core)) {
        return NULL;
    }
    producer = yami_alloc(sizeof *producer);
    producer->id = *id;
    producer->channel = channel;
    producer->hash = s_hash(core, channel, id);
    producer->same_hash = yami_relay_map_get(&core->producer_keys, producer->hash);
    producer->seen_ms = core->wall_ms;
    TAILQ_INIT(&producer->handles);
    yami_relay_map_put(&core->producer_keys, producer->hash, producer);
    TAILQ_INSERT_TAIL(&core->producers, producer, of_age);
    core->producer_count++;
    return producer;
}

void
yami_relay_producer_stored(yami_relay_core_t *core, yami_relay_producer_t *producer, uint32_t epoch,
                           uint64_t last, int64_t wall_ms)
{
    if (epoch < producer->epoch || (epoch == producer->epoch && last <= producer->last)) {
        return; //  replayed twice
    }
    producer->durable = epoch > producer->epoch ? 0 : producer->durable;
    producer->epoch = epoch;
    producer->stored_last = last;
    producer->last = last;
    producer->seen_ms = wall_ms;
    TAILQ_REMOVE(&core->producers, producer, of_age);
    TAILQ_INSERT_TAIL(&core->producers, producer, of_age);
}

void
yami_relay_producers_clear(yami_relay_core_t *core)
{
    while (!TAILQ_EMPTY(&core->producers)) {
        yami_relay_producer_t *producer = TAILQ_FIRST(&core->producers);
        producer->waiting = 0;
        s_free(core, producer);
    }
    yami_relay_map_clear(&core->producer_keys);
}

//  Never silent: the messages stay the producer's. Refused is used up, so credit for it comes back.
static void
s_refuse(yami_relay_core_t *core, yami_relay_handle_t *handle, uint64_t first,
         const yami_batch_t *batch, yam_status_t status)
{
    handle->resolved_messages += batch->count;
    handle->resolved_bytes += YAMI_BATCH_HEADER_SIZE + batch->payload.size;
    handle->channel->counts.refused += batch->count;
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_REFUSE, handle->number);
    frame.present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS;
    frame.epoch = batch->epoch;
    frame.first = first;
    frame.last = batch->first_sequence + batch->count - 1;
    frame.status = (uint64_t) status;
    yami_relay_send(core, handle->peer, &frame, NULL);
    yami_relay_handle_touch(core, handle);
}

//  Why the channel takes no more just now, or OK.
static yam_status_t
s_pressure(const yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_batch_t *batch)
{
    if (core->is_draining) {
        return YAM_STATUS_CLOSING;
    }
    if (!core->has_room) {
        return YAM_STATUS_DISK;
    }
    if (core->waits.count >= YAMI_RELAY_WAITS || core->waiting_bytes >= YAMI_RELAY_WAIT_BYTES) {
        return YAM_STATUS_FULL; //  the disk stands still
    }
    uint64_t messages = (uint64_t) core->options->channel_messages;
    uint64_t bytes = (uint64_t) core->options->channel_bytes;
    if (messages > 0 || bytes > 0) {
        uint64_t depth = yami_relay_channel_depth(channel);
        if ((messages > 0 && depth + batch->count > messages) ||
            (bytes > 0 && channel->bytes + batch->payload.size > bytes)) {
            return YAM_STATUS_FULL;
        }
    }
    return channel->next > YAMI_LIMIT_SEQUENCE - batch->count ? YAM_STATUS_FULL : YAM_STATUS_OK;
}

//  Appends a batch whose records are new and sound. received counts the credit of the whole frame.
static void
s_store(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_batch_t *batch,
        yami_block_t *block, const yami_batch_t *received)
{
    yami_relay_channel_t *channel = handle->channel;
    yami_relay_producer_t *producer = handle->producer;
    uint64_t base = channel->next;
    uint64_t last = batch->first_sequence + batch->count - 1;
    YAM_ASSERT(batch->first_sequence ==
               producer->last + 1); //  (6), but for what was refused for good
    uint64_t ticket = yami_relay_write_data(core, channel, base, batch, block);
    yami_relay_channel_appended(channel, base, base + batch->count - 1, batch->payload.size,
                                core->wall_ms);
    channel->counts.published += batch->count;
    yami_rate_add(&channel->in_rate, core->mono_ms, batch->count);
    yami_relay_producer_stored(core, producer, batch->epoch, last, core->wall_ms);
    handle->last = last;
    yami_relay_wait_t wait = {
        .ticket = ticket,
        .type = YAMI_WAIT_DATA,
        .channel = channel,
        .last = channel->next - 1,
        .producer = producer,
        .epoch = batch->epoch,
        .sequence = last,
        .handle = handle->id,
        .messages = received->count,
        .bytes = YAMI_BATCH_HEADER_SIZE + received->payload.size,
    };
    yami_relay_wait(core, &wait);
}

//  Everything of the batch is stored already: say so again, when it is durable.
static void
s_duplicate(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_batch_t *batch)
{
    handle->channel->counts.duplicates += batch->count;
    handle->resolved_messages += YAMI_PLANTED(CREDIT_LEAK) ? 0 : batch->count;
    handle->resolved_bytes += YAMI_BATCH_HEADER_SIZE + batch->payload.size;
    uint64_t last = batch->first_sequence + batch->count - 1;
    handle->must_confirm |= last <= handle->producer->durable;
    yami_relay_handle_touch(core, handle);
}

//  The new part of a batch that begins with known messages.
static void
s_store_rest(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_batch_t *batch,
             uint64_t expected)
{
    uint32_t known = (uint32_t) (expected - batch->first_sequence);
    yami_block_t *block = yami_batch_slice(batch, YAMI_PLANTED(WRONG_RECORD_STORED) ? 0 : known,
                                           batch->count - known);
    yami_batch_t rest;
    if (block == NULL || yami_batch_decode(&rest, block->data, block->size) == -1) {
        yami_block_unref(&block);
        s_refuse(core, handle, expected, batch, YAM_STATUS_INTERNAL);
        return;
    }
    rest.first_sequence = expected;
    handle->channel->counts.duplicates += known;
    s_store(core, handle, &rest, block, batch);
}

static void
s_take(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_relay_event_t *event)
{
    const yami_batch_t *batch = event->batch;
    yami_relay_producer_t *producer = handle->producer;
    uint64_t expected = producer->last + 1;
    uint64_t last = batch->first_sequence + batch->count - 1;
    if (memcmp(&batch->producer, &producer->id, sizeof producer->id) != 0) {
        s_refuse(core, handle, batch->first_sequence, batch, YAM_STATUS_CONFLICT);
    } else if (batch->epoch != handle->epoch) {
        YAM_ASSERT(handle->epoch == producer->epoch); //  older ones were detached
        s_refuse(core, handle, batch->first_sequence, batch, YAM_STATUS_FENCED);
    } else if (last < expected) {
        s_duplicate(core, handle, batch);
    } else if (batch->first_sequence > expected) {
        s_refuse(core, handle, expected, batch, YAM_STATUS_GAP);
    } else if (event->is_damaged) {
        //  by the way it came; whether it is given up or sent again is the producer's to say
        s_refuse(core, handle, expected, batch, YAM_STATUS_MALFORMED);
    } else if (yami_batch_check_records(batch) == -1) {
        s_refuse(core, handle, expected, batch, YAM_STATUS_MALFORMED);
        producer->last = last; //  given up for good: what follows is welcome
    } else {
        yam_status_t status = s_pressure(core, handle->channel, batch);
        if (status != YAM_STATUS_OK) {
            s_refuse(core, handle, expected, batch, status);
        } else if (batch->first_sequence < expected) {
            s_store_rest(core, handle, batch, expected);
        } else {
            s_store(core, handle, batch, yami_block_ref(event->block), batch);
        }
    }
}

void
yami_relay_batch(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_relay_event_t *event)
{
    const yami_batch_t *batch = event->batch;
    yami_relay_handle_t *handle = yami_relay_handle_get(peer, batch->handle);
    if (handle == NULL || handle->role != YAMI_ROLE_PRODUCER || handle->is_leaving) {
        yami_relay_peer_error(core, peer, batch->handle, YAM_STATUS_UNKNOWN,
                              "no such producer handle");
        return;
    }
    handle->received_messages += batch->count;
    handle->received_bytes += event->block->size;
    core->messages_in += batch->count;
    //  Twice the window and one frame more than granted: that client does not count.
    if (handle->received_messages > handle->granted_messages + YAMI_LIMIT_BATCH_COUNT +
                                        (uint64_t) core->options->window_messages ||
        handle->received_bytes >
            handle->granted_bytes + YAMI_LIMIT_FRAME + (uint64_t) core->options->window_bytes) {
        yami_relay_peer_error(core, peer, batch->handle, YAM_STATUS_LIMIT, "credit exceeded");
        yami_relay_peer_end(core, peer, true);
        return;
    }
    s_take(core, handle, event);
}
