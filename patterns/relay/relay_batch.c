//  Batches from producers: known or new, taken or refused, for now or for later.

#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

//  What a batch, or a part of it, gives back of the credit.
typedef struct {
    uint32_t messages;
    uint64_t bytes;
} s_credit_t;

static s_credit_t
s_credit(const yami_batch_t *batch)
{
    return (s_credit_t) {batch->count, YAMI_BATCH_HEADER_SIZE + batch->payload.size};
}

//  Never silent: the messages stay the producer's. Refused is used up, so credit for it comes back,
//  and for what of the frame was known.
static void
s_refuse_part(yami_relay_core_t *core, yami_relay_handle_t *handle, uint64_t first,
              const yami_batch_t *part, yam_status_t status, s_credit_t credit)
{
    handle->resolved_messages += credit.messages;
    handle->resolved_bytes += credit.bytes;
    handle->channel->counts.refused += part->count;
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_REFUSE, handle->number);
    frame.present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS;
    frame.epoch = part->epoch;
    frame.first = first;
    frame.last = part->first_sequence + part->count - 1;
    frame.status = (uint64_t) status;
    (void) yami_relay_send(core, handle->peer, &frame);
    yami_relay_handle_touch(core, handle);
}

static void
s_refuse(yami_relay_core_t *core, yami_relay_handle_t *handle, uint64_t first,
         const yami_batch_t *batch, yam_status_t status)
{
    s_refuse_part(core, handle, first, batch, status, s_credit(batch));
}

//  For good: what follows is welcome.
static void
s_give_up(yami_relay_core_t *core, yami_relay_handle_t *handle, uint64_t first,
          const yami_batch_t *batch, yam_status_t status)
{
    s_refuse(core, handle, first, batch, status);
    handle->producer->last = batch->first_sequence + batch->count - 1;
}

//  What of a batch may not be delivered yet.
typedef struct {
    uint32_t count;
    uint64_t bytes;
} s_later_t;

static s_later_t
s_later(const yami_relay_core_t *core, const yami_batch_t *batch, uint8_t flags)
{
    s_later_t later = {0};
    size_t offset = 0;
    for (uint32_t index = 0; index < batch->count && (flags & YAMI_RECORD_DUE) != 0; index++) {
        size_t start = offset;
        yami_record_t record;
        int rc = yami_batch_next(batch, &offset, &record);
        YAM_ASSERT(rc == 0); //  they were checked
        if (yami_relay_is_later(core, &record)) {
            later.count++;
            later.bytes += offset - start;
        }
    }
    return later;
}

//  Whether a channel's limits leave room for so much more.
static bool
s_has_place(const yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t count,
            uint64_t size)
{
    uint64_t messages = (uint64_t) core->options->channel_messages;
    uint64_t bytes = (uint64_t) core->options->channel_bytes;
    if (messages > 0 || bytes > 0) {
        uint64_t depth = yami_relay_channel_depth(channel);
        if ((messages > 0 && depth + count > messages) ||
            (bytes > 0 && channel->bytes + size > bytes)) {
            return false;
        }
    }
    return yami_batch_is_run(channel->next, count);
}

//  Why no more messages can be delayed just now, or OK: then there is a channel for them, and
//  memory.
static yam_status_t
s_delay_pressure(yami_relay_core_t *core, yami_relay_channel_t *channel, const s_later_t *later)
{
    if (core->delayed_count + later->count > (uint64_t) core->options->delayed_messages) {
        return YAM_STATUS_FULL;
    }
    yami_relay_channel_t *delayed = yami_relay_delayed_channel(core, channel);
    if (delayed == NULL) { //  its name is too long, or taken since before there were such channels
        bool is_full = core->channel_numbers.count >= YAMI_LIMIT_CHANNELS ||
                       core->groups.count >= YAMI_LIMIT_GROUPS;
        return is_full ? YAM_STATUS_LIMIT : YAM_STATUS_CONFLICT;
    }
    return s_has_place(core, delayed, later->count, later->bytes) &&
                   yami_relay_delays_reserve(&delayed->dues->waiting, later->count)
               ? YAM_STATUS_OK
               : YAM_STATUS_FULL;
}

//  Why no more is taken just now, or OK.
static yam_status_t
s_pressure(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_batch_t *batch,
           const s_later_t *later)
{
    if (core->is_draining) {
        return YAM_STATUS_CLOSING;
    }
    if (!core->has_room) {
        return YAM_STATUS_DISK;
    }
    if (yami_relay_disk_lags(core)) {
        return YAM_STATUS_FULL;
    }
    if (later->count < batch->count && !s_has_place(core, channel, batch->count - later->count,
                                                    batch->payload.size - later->bytes)) {
        return YAM_STATUS_FULL;
    }
    return later->count > 0 ? s_delay_pressure(core, channel, later) : YAM_STATUS_OK;
}

//  Appends a batch whose records are new and sound, all to be delivered or all not yet.
static void
s_append(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_batch_t *batch,
         yami_block_t *block, bool is_later, s_credit_t credit)
{
    yami_relay_channel_t *channel = is_later ? handle->channel->delayed : handle->channel;
    yami_relay_producer_t *producer = handle->producer;
    uint64_t base = channel->next;
    uint64_t last = batch->first_sequence + batch->count - 1;
    YAM_ASSERT(batch->first_sequence ==
               producer->last + 1); //  (6), but for what was refused for good
    uint64_t ticket = is_later ? yami_relay_write_delay(core, channel, base, batch, block)
                               : yami_relay_write_data(core, channel, base, batch, block);
    yami_relay_channel_appended(channel, base, base + batch->count - 1, batch->payload.size,
                                core->wall_ms);
    if (is_later) {
        int rc = yami_relay_delay_batch(core, channel, base, batch);
        YAM_ASSERT(rc == 0);
        channel->counts.published += batch->count;
        yami_rate_add(&channel->in_rate, core->mono_ms, batch->count);
    }
    handle->channel->counts.published += batch->count;
    yami_rate_add(&handle->channel->in_rate, core->mono_ms, batch->count);
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
        .messages = credit.messages,
        .bytes = credit.bytes,
    };
    yami_relay_wait(core, &wait);
}

//  A part of a batch as one of its own. NULL without memory.
static yami_block_t *
s_slice(const yami_batch_t *batch, uint32_t index, uint32_t count, yami_batch_t *part)
{
    yami_block_t *block = yami_batch_slice(batch, index, count);
    if (block != NULL && yami_batch_decode(part, block->data, block->size) == -1) {
        yami_block_unref(&block);
    }
    return block;
}

//  How many records from *offset_p on are like the first of them, at most count; moves the offset
//  behind them.
static uint32_t
s_run(const yami_relay_core_t *core, const yami_batch_t *batch, size_t *offset_p, uint32_t count,
      bool *is_later_p)
{
    uint32_t length = 0;
    for (size_t offset = *offset_p; length < count; length++) {
        yami_record_t record;
        int rc = yami_batch_next(batch, &offset, &record);
        YAM_ASSERT(rc == 0);
        bool is_later = yami_relay_is_later(core, &record);
        if (length > 0 && is_later != *is_later_p) {
            break;
        }
        *is_later_p = is_later;
        *offset_p = offset;
    }
    return length;
}

//  A batch of both kinds, and what is left of one, is stored as runs of one kind. Each is an entry
//  with its own producer sequences: of whatever a crash leaves, the producer learns how far it
//  goes, and sends the rest. So it does of what is left when that were too many at once.
static void
s_store_runs(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_batch_t *batch,
             s_credit_t credit)
{
    yami_batch_t rest = *batch;
    for (size_t run_count = 0; rest.count > 0; run_count++) {
        size_t size = 0;
        bool is_later = false;
        uint32_t count = s_run(core, &rest, &size, rest.count, &is_later);
        yami_batch_t run;
        bool is_full = run_count == core->run_limit;
        yami_block_t *block = is_full ? NULL : s_slice(&rest, 0, count, &run);
        if (block == NULL) {
            s_refuse_part(core, handle, rest.first_sequence, &rest,
                          is_full ? YAM_STATUS_FULL : YAM_STATUS_LIMIT, credit);
            return;
        }
        bool is_last = count == rest.count;
        s_credit_t own = {is_last ? credit.messages : count, is_last ? credit.bytes : size};
        s_append(core, handle, &run, block, is_later, own);
        credit.messages -= own.messages;
        credit.bytes -= own.bytes;
        rest.count -= count;
        rest.first_sequence += count;
        rest.payload = yami_slice(rest.payload.data + size, rest.payload.size - size);
    }
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

//  The part of a batch behind so many of its records; a view of its bytes.
static yami_batch_t
s_behind(const yami_batch_t *batch, uint32_t count)
{
    yami_batch_t rest = *batch;
    size_t offset = 0;
    for (uint32_t index = 0; index < (YAMI_PLANTED(WRONG_RECORD_STORED) ? 0 : count); index++) {
        yami_record_t record;
        int rc = yami_batch_next(batch, &offset, &record);
        YAM_ASSERT(rc == 0);
    }
    rest.count -= count;
    rest.first_sequence += count;
    rest.payload = yami_slice(rest.payload.data + offset, rest.payload.size - offset);
    return rest;
}

//  Stores what is new of a batch of sound records, from expected on, if there is room for that:
//  what is known has its room already.
static void
s_take_new(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_relay_event_t *event,
           uint64_t expected, uint8_t flags)
{
    const yami_batch_t *batch = event->batch;
    uint32_t known = (uint32_t) (expected - batch->first_sequence);
    yami_batch_t rest = s_behind(batch, known);
    s_later_t later = s_later(core, &rest, flags);
    yam_status_t status = s_pressure(core, handle->channel, &rest, &later);
    if (status == YAM_STATUS_CONFLICT) {
        s_give_up(core, handle, expected, batch, status);
    } else if (status != YAM_STATUS_OK) {
        s_refuse(core, handle, expected, batch, status);
    } else if (known == 0 && (later.count == 0 || later.count == batch->count)) {
        s_append(core, handle, batch, yami_block_ref(event->block), later.count > 0,
                 s_credit(batch));
    } else {
        handle->channel->counts.duplicates += known;
        s_store_runs(core, handle, &rest, s_credit(batch));
    }
}

static void
s_take(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_relay_event_t *event)
{
    const yami_batch_t *batch = event->batch;
    yami_relay_producer_t *producer = handle->producer;
    uint64_t expected = producer->last + 1;
    uint64_t last = batch->first_sequence + batch->count - 1;
    uint8_t flags;
    if (memcmp(&batch->producer, &producer->id, sizeof producer->id) != 0) {
        s_refuse(core, handle, batch->first_sequence, batch, YAM_STATUS_CONFLICT);
    } else if (batch->epoch != handle->epoch) {
        YAM_ASSERT(handle->epoch == producer->epoch); //  older ones were detached
        s_refuse(core, handle, batch->first_sequence, batch, YAM_STATUS_FENCED);
    } else if (last < expected) {
        s_duplicate(core, handle, batch);
    } else if (batch->first_sequence > expected || handle->takes_nothing) {
        s_refuse(core, handle, expected, batch, YAM_STATUS_GAP);
    } else if (event->is_damaged) {
        //  By the way it came. Whether it is given up or sent again is the producer's to say, who
        //  attaches anew: until then a copy that comes late in one piece must not be stored.
        s_refuse(core, handle, expected, batch, YAM_STATUS_MALFORMED);
        handle->takes_nothing = !YAMI_PLANTED(REFUSED_AND_STORED);
    } else if (yami_batch_check_records(batch, &flags) == -1) {
        s_give_up(core, handle, expected, batch, YAM_STATUS_MALFORMED);
    } else {
        s_take_new(core, handle, event, expected, flags);
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
