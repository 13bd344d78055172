//  What the relay writes down, and reads back after a restart. Each meta is one msgpack array;
//  readers skip items they do not know at its end, so later versions may add some.
//
//      CHANNEL  [name, kind, number of the queue's group or 0]; of delayed messages: and the number
//      of the channel they go to
//      GROUP    [number, name, filter, first sequence]
//      REMOVE   [number]
//      EPOCH    [producer, epoch]
//      DATA     [producer, epoch, producer's first sequence]; data is the batch as received
//      SETTLE   [group, ranges]
//      FAILURE  [group, deliveries, failures, due, first failure, is rejected or over the limit,
//      reason, ranges]
//      DELAY    [producer, epoch, producer's first sequence, producer's channel]; data is (a run
//      of) the batch as received
//      MOVE     [origin channel, origin group, ranges]; data is a batch for the entry's channel
//
//  ranges is a flat array: first, length, then gap to the previous range's end and length, and so
//  on. Times are wall clock milliseconds. All of them may be replayed twice: what is there already
//  stays as it is.

#include <errno.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

static void
s_write_ranges(yami_writer_t *writer, const yami_ranges_t *ranges)
{
    yami_writer_array(writer, (uint32_t) ranges->count * 2);
    uint64_t end = 0;
    for (size_t index = 0; index < ranges->count; index++) {
        const yami_range_t *range = &ranges->items[index];
        yami_writer_uint(writer, range->first - end);
        yami_writer_uint(writer, range->last - range->first + 1);
        end = range->last + 1;
    }
}

static yami_writer_t
s_start(uint32_t item_count)
{
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_JOURNAL_META);
    yami_writer_array(&writer, item_count);
    return writer;
}

static void
s_write_name(yami_writer_t *writer, const yami_relay_name_t *name)
{
    yami_writer_str_slice(writer, name->text, name->size);
}

uint64_t
yami_relay_write_channel(yami_relay_core_t *core, const yami_relay_channel_t *channel,
                         const yami_relay_group_t *group)
{
    yami_writer_t writer = s_start(channel->dues != NULL ? 4 : 3);
    s_write_name(&writer, &channel->name);
    yami_writer_uint(&writer, (uint64_t) channel->kind);
    yami_writer_uint(&writer, group != NULL ? group->number : 0);
    if (channel->dues != NULL) {
        yami_writer_uint(&writer, channel->dues->target->number);
    }
    yami_entry_t entry = {.kind = YAMI_KIND_CHANNEL, .channel = channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

uint64_t
yami_relay_write_group(yami_relay_core_t *core, const yami_relay_group_t *group)
{
    yami_writer_t writer = s_start(4);
    yami_writer_uint(&writer, group->number);
    s_write_name(&writer, &group->name);
    s_write_name(&writer, &group->filter);
    yami_writer_uint(&writer, group->next);
    yami_entry_t entry = {.kind = YAMI_KIND_GROUP, .channel = group->channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

uint64_t
yami_relay_write_remove(yami_relay_core_t *core, const yami_relay_group_t *group)
{
    yami_writer_t writer = s_start(1);
    yami_writer_uint(&writer, group->number);
    yami_entry_t entry = {.kind = YAMI_KIND_REMOVE, .channel = group->channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

uint64_t
yami_relay_write_epoch(yami_relay_core_t *core, const yami_relay_producer_t *producer)
{
    yami_writer_t writer = s_start(2);
    yami_writer_bin(&writer, producer->id.bytes, sizeof producer->id.bytes);
    yami_writer_uint(&writer, producer->epoch);
    yami_entry_t entry = {.kind = YAMI_KIND_EPOCH, .channel = producer->channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

static void
s_write_origin(yami_writer_t *writer, const yami_batch_t *batch)
{
    yami_writer_bin(writer, batch->producer.bytes, sizeof batch->producer.bytes);
    yami_writer_uint(writer, batch->epoch);
    yami_writer_uint(writer, batch->first_sequence);
}

uint64_t
yami_relay_write_data(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t base,
                      const yami_batch_t *batch, yami_block_t *block)
{
    yami_writer_t writer = s_start(3);
    s_write_origin(&writer, batch);
    yami_entry_t entry = {
        .kind = YAMI_KIND_DATA, .channel = channel->number, .base = base, .count = batch->count};
    return yami_relay_append(core, &entry, &writer, block);
}

uint64_t
yami_relay_write_delay(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t base,
                       const yami_batch_t *batch, yami_block_t *block)
{
    yami_writer_t writer = s_start(4);
    s_write_origin(&writer, batch);
    yami_writer_uint(&writer, channel->dues->target->number);
    yami_entry_t entry = {
        .kind = YAMI_KIND_DELAY, .channel = channel->number, .base = base, .count = batch->count};
    return yami_relay_append(core, &entry, &writer, block);
}

uint64_t
yami_relay_write_settle(yami_relay_core_t *core, const yami_relay_group_t *group,
                        const yami_ranges_t *ranges)
{
    YAM_ASSERT(group->is_durable && ranges->count > 0);
    yami_writer_t writer = s_start(2);
    yami_writer_uint(&writer, group->number);
    s_write_ranges(&writer, ranges);
    yami_entry_t entry = {.kind = YAMI_KIND_SETTLE, .channel = group->channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

uint64_t
yami_relay_write_failure(yami_relay_core_t *core, const yami_relay_group_t *group,
                         const yami_piece_t *like, const yami_ranges_t *ranges)
{
    if (!group->is_durable) {
        return core->ticket;
    }
    YAM_ASSERT(ranges->count > 0 && like->first_ms >= 0);
    int64_t due_ms =
        like->state == YAMI_PIECE_WAITING ? like->due_ms + core->wall_ms - core->mono_ms : 0;
    yami_writer_t writer = s_start(8);
    yami_writer_uint(&writer, group->number);
    yami_writer_uint(&writer, like->deliveries);
    yami_writer_uint(&writer, like->failures);
    yami_writer_int(&writer, due_ms);
    yami_writer_int(&writer, like->first_ms);
    yami_writer_bool(&writer, like->state == YAMI_PIECE_MOVING);
    yami_writer_str_slice(&writer, like->reason != NULL ? like->reason->data : NULL,
                          like->reason != NULL ? like->reason->size : 0);
    s_write_ranges(&writer, ranges);
    yami_entry_t entry = {.kind = YAMI_KIND_FAILURE, .channel = group->channel->number};
    return yami_relay_append(core, &entry, &writer, NULL);
}

uint64_t
yami_relay_write_move(yami_relay_core_t *core, const yami_relay_channel_t *target, uint64_t base,
                      uint32_t count, const yami_relay_group_t *origin, const yami_ranges_t *ranges,
                      yami_block_t *block)
{
    yami_writer_t writer = s_start(3);
    yami_writer_uint(&writer, origin->channel->number);
    yami_writer_uint(&writer, origin->is_durable ? origin->number : 0);
    s_write_ranges(&writer, ranges);
    yami_entry_t entry = {
        .kind = YAMI_KIND_MOVE, .channel = target->number, .base = base, .count = count};
    return yami_relay_append(core, &entry, &writer, block);
}
