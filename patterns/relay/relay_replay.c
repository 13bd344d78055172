//  Reads the journal back. What each kind holds is said in relay_journal.c.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

static int
s_refuse(const yami_entry_t *entry, const char *what)
{
    return yami_fail(EPROTO, "the store's entry %llu (kind %u) is not what a relay writes: %s",
                     (unsigned long long) entry->lsn, entry->kind, what);
}

//  Settled or not, a sequence that the journal speaks of was given.
static void
s_reach(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t last)
{
    if (last >= channel->next) {
        yami_relay_channel_appended(channel, channel->next, last, 0, core->wall_ms);
        channel->durable = channel->next;
    }
}

//  The next range of a flat array; *end_p is where the previous one ended. Fails the reader on
//  nonsense.
static yami_range_t
s_range(yami_reader_t *reader, uint64_t *end_p)
{
    uint64_t gap = yami_reader_uint(reader);
    uint64_t length = yami_reader_uint(reader);
    yami_range_t range = {*end_p + gap, *end_p + gap + length - 1};
    if (gap > YAMI_LIMIT_SEQUENCE || length == 0 || length > YAMI_LIMIT_SEQUENCE ||
        range.first == 0 || range.last >= YAMI_LIMIT_SEQUENCE || range.last < range.first) {
        yami_reader_fail(reader);
        range = (yami_range_t) {1, 1};
    }
    *end_p = range.last + 1;
    return range;
}

static void
s_settle(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_group_t *group)
{
    uint32_t count = yami_reader_array(reader) / 2;
    uint64_t end = 0;
    for (uint32_t index = 0; index < count; index++) {
        yami_range_t range = s_range(reader, &end);
        if (reader->failed) {
            return;
        }
        if (group != NULL) {
            s_reach(core, group->channel, range.last);
            (void) yami_relay_group_settle(core, group, range.first, range.last);
        }
    }
}

//  The definition was lost to damage: what is filed under this number is kept, under a name of its
//  own.
static yami_relay_channel_t *
s_recover(yami_relay_core_t *core, uint32_t number)
{
    char name[32];
    int size = snprintf(name, sizeof name, "recovered.%u", number);
    if (number == 0 || number > YAMI_LIMIT_CHANNELS ||
        yami_relay_channel_find(core, name, (size_t) size) != NULL) {
        return NULL;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_add(core, number, name, (size_t) size, YAMI_KIND_QUEUE);
    (void) yami_relay_group_add(core, channel, number | YAMI_RELAY_RECOVERED, yami_slice("", 0),
                                yami_slice("", 0), 1);
    return channel;
}

//  Where the messages go that the channel of that number delays; NULL when that cannot be: it was
//  there first, and a checkpoint names it first.
static yami_relay_channel_t *
s_target(yami_relay_core_t *core, uint64_t target_number, uint32_t number)
{
    yami_relay_channel_t *target = yami_relay_map_get(&core->channel_numbers, target_number);
    if (target_number >= number) {
        return NULL;
    }
    return target == NULL ? s_recover(core, (uint32_t) target_number) : target;
}

static void
s_channel(yami_relay_core_t *core, yami_reader_t *reader, const yami_entry_t *entry)
{
    yami_slice_t name = yami_reader_str(reader);
    uint64_t kind = yami_reader_uint(reader);
    uint64_t number = yami_reader_uint(reader);
    uint64_t target = kind == YAMI_KIND_DELAYED ? yami_reader_uint(reader) : 0;
    if (reader->failed || name.size == 0 || name.size > YAMI_LIMIT_NAME || entry->channel == 0 ||
        entry->channel > YAMI_LIMIT_CHANNELS || kind < YAMI_KIND_QUEUE ||
        kind > YAMI_KIND_DELAYED || number >= YAMI_RELAY_EPHEMERAL ||
        (kind != YAMI_KIND_TOPIC) != (number > 0)) {
        yami_reader_fail(reader);
        return;
    }
    if (yami_relay_map_get(&core->channel_numbers, entry->channel) != NULL) {
        return;
    }
    if (number > 0 && yami_relay_map_get(&core->groups, number) != NULL) {
        yami_reader_fail(reader); //  a queue's group is its own
        return;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_add(core, entry->channel, name.data, name.size, (int) kind);
    if (number > 0) {
        (void) yami_relay_group_add(core, channel, (uint32_t) number, yami_slice("", 0),
                                    yami_slice("", 0), 1);
    }
    if (kind == YAMI_KIND_DELAYED &&
        !yami_relay_delay_link(channel, s_target(core, target, entry->channel))) {
        yami_reader_fail(reader);
    }
}

static void
s_group(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel)
{
    uint64_t number = yami_reader_uint(reader);
    yami_slice_t name = yami_reader_str(reader);
    yami_slice_t filter = yami_reader_str(reader);
    uint64_t next = yami_reader_uint(reader);
    if (reader->failed || number == 0 || number >= YAMI_RELAY_EPHEMERAL || next == 0 ||
        name.size > YAMI_LIMIT_NAME || filter.size > YAMI_LIMIT_SUBJECT ||
        next > YAMI_LIMIT_SEQUENCE) {
        yami_reader_fail(reader);
        return;
    }
    //  A number at or below the last one given that is not there was removed later.
    if (number > core->group_number) {
        s_reach(core, channel, next - 1);
        (void) yami_relay_group_add(core, channel, (uint32_t) number, name, filter, next);
    }
}

//  Counts an entry's messages unless they were counted. What is missing before them is lost.
static void
s_messages(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_entry_t *entry)
{
    uint64_t last = entry->base + entry->count - 1;
    if (entry->base > channel->next) {
        yami_relay_channel_lose(core, channel, channel->next, entry->base - 1,
                                "missing in the journal");
    }
    if (last >= channel->next) {
        uint64_t bytes = entry->data != NULL ? entry->data->size : 0;
        yami_relay_channel_appended(channel, channel->next, last, bytes, entry->time_ms);
        channel->durable = channel->next;
    }
}

//  Who, and in which epoch. The reader fails on nonsense.
static yami_id_t
s_producer(yami_reader_t *reader, uint32_t *epoch_p)
{
    yami_id_t id = {{0}};
    yami_slice_t bytes = yami_reader_bin(reader);
    uint64_t epoch = yami_reader_uint(reader);
    if (reader->failed || bytes.size != sizeof id.bytes || epoch > UINT32_MAX) {
        yami_reader_fail(reader);
    } else {
        memcpy(id.bytes, bytes.data, sizeof id.bytes);
    }
    *epoch_p = (uint32_t) epoch;
    return id;
}

static void
s_stored(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_id_t *id,
         uint32_t epoch, uint64_t last, int64_t time_ms)
{
    yami_relay_producer_t *producer = yami_relay_producer_get(core, channel, id);
    if (producer != NULL) {
        yami_relay_producer_stored(core, producer, epoch, last, time_ms);
        producer->durable = producer->last;
    }
}

static void
s_epoch(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel,
        const yami_entry_t *entry)
{
    uint32_t epoch;
    yami_id_t id = s_producer(reader, &epoch);
    if (!reader->failed && !YAMI_PLANTED(EPOCH_NOT_REPLAYED)) {
        s_stored(core, channel, &id, epoch, 0, entry->time_ms);
    }
}

//  What a producer sent, filed under the channel it sent it to, or under that channel's delayed
//  messages.
static void
s_data(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel,
       const yami_entry_t *entry)
{
    uint32_t epoch;
    yami_id_t id = s_producer(reader, &epoch);
    uint64_t first = yami_reader_uint(reader);
    if (reader->failed || !yami_batch_is_run(first, entry->count) ||
        !yami_batch_is_run(entry->base, entry->count)) {
        yami_reader_fail(reader);
        return;
    }
    s_messages(core, channel, entry);
    if (!YAMI_PLANTED(DEDUPE_NOT_REPLAYED)) {
        s_stored(core, channel->dues != NULL ? channel->dues->target : channel, &id, epoch,
                 first + entry->count - 1, entry->time_ms);
    }
}

//  Those that are new wait for their time.
static void
s_delay(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel,
        const yami_entry_t *entry)
{
    yami_relay_dues_t *dues = channel->dues;
    yami_batch_t batch;
    uint64_t next = channel->next;
    s_data(core, reader, channel, entry);
    if (reader->failed || entry->base < next) {
        return; //  replayed twice
    }
    bool has_memory = yami_relay_delays_reserve(&dues->waiting, entry->count);
    YAM_NEED(has_memory);
    if (entry->data == NULL || yami_relay_batch_view(&batch, entry) == -1 ||
        yami_relay_delay_batch(core, channel, entry->base, &batch) == -1) {
        yami_reader_fail(reader);
    }
}

//  Whether it was made up, and nothing was filed under it yet: of what kind it is, nobody has said.
static bool
s_is_blank(const yami_relay_channel_t *channel)
{
    const yami_relay_group_t *group = TAILQ_FIRST(&channel->groups);
    return channel->kind == YAMI_KIND_QUEUE && channel->next == 1 && channel->delayed == NULL &&
           (group->number & YAMI_RELAY_RECOVERED) != 0;
}

//  The channel of a DELAY, made up when its definition was lost; NULL when it cannot be.
static yami_relay_channel_t *
s_delayed(yami_relay_core_t *core, yami_reader_t reader, uint32_t number)
{
    (void) yami_reader_bin(&reader);
    (void) yami_reader_uint(&reader);
    (void) yami_reader_uint(&reader);
    yami_relay_channel_t *target = s_target(core, yami_reader_uint(&reader), number);
    yami_relay_channel_t *channel = yami_relay_map_get(&core->channel_numbers, number);
    channel = channel == NULL ? s_recover(core, number) : channel;
    if (channel == NULL || target == NULL) {
        return NULL;
    }
    if (channel->dues == NULL && s_is_blank(channel) && target->delayed == NULL &&
        target->dues == NULL) {
        channel->kind = YAMI_KIND_DELAYED;
        channel->dues = yami_alloc(sizeof *channel->dues);
        bool is_linked = yami_relay_delay_link(channel, target);
        YAM_ASSERT(is_linked);
    }
    return channel->dues != NULL && channel->dues->target == target ? channel : NULL;
}

bool
yami_relay_is_time(int64_t ms)
{
    return ms >= -YAMI_LIMIT_TIME_MS && ms <= YAMI_LIMIT_TIME_MS;
}

static void
s_failure(yami_relay_core_t *core, yami_reader_t *reader, int64_t time_ms)
{
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, yami_reader_uint(reader));
    uint64_t deliveries = yami_reader_uint(reader);
    uint64_t failures = yami_reader_uint(reader);
    yami_piece_t like = {.deliveries = (uint32_t) deliveries, .failures = (uint32_t) failures};
    like.due_ms = yami_reader_int(reader);
    like.first_ms = yami_reader_int(reader);
    like.state = yami_reader_bool(reader) ? YAMI_PIECE_MOVING : YAMI_PIECE_WAITING;
    yami_slice_t reason = yami_reader_str(reader);
    uint32_t count = yami_reader_array(reader) / 2;
    uint64_t end = 0;
    if (!yami_relay_is_time(like.due_ms) || !yami_relay_is_time(like.first_ms) ||
        (group != NULL && group->channel->dues != NULL)) {
        yami_reader_fail(reader);
        return;
    }
    like.wait_ms = yami_relay_is_time(time_ms) && like.due_ms > time_ms ? like.due_ms - time_ms : 0;
    like.reason =
        reason.size == 0 ? NULL : yami_block_copy(reason.data, reason.size, YAMI_LIMIT_TEXT);
    for (uint32_t index = 0; index < count && group != NULL; index++) {
        yami_range_t range = s_range(reader, &end);
        if (reader->failed || YAMI_PLANTED(FAILURES_NOT_REPLAYED)) {
            break;
        }
        s_reach(core, group->channel, range.last);
        yami_relay_replay_failure(core, group, range.first, range.last, &like);
    }
    yami_block_unref(&like.reason);
}

static void
s_move(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel,
       const yami_entry_t *entry)
{
    (void) yami_reader_uint(reader);
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, yami_reader_uint(reader));
    if (reader->failed || !yami_batch_is_run(entry->base, entry->count)) {
        yami_reader_fail(reader);
        return;
    }
    s_messages(core, channel, entry);
    s_settle(core, reader, group);
}

static void
s_remove(yami_relay_core_t *core, yami_reader_t *reader)
{
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, yami_reader_uint(reader));
    if (group != NULL && group->channel->kind != YAMI_KIND_TOPIC) {
        yami_reader_fail(reader);
    } else if (group != NULL) {
        yami_relay_group_remove(core, group);
    }
}

int
yami_relay_core_replay(yami_relay_core_t *self, const yami_entry_t *entry)
{
    YAM_ASSERT(!self->has_started);
    if (entry->kind == YAMI_ENTRY_CHECKPOINT) {
        return yami_relay_snapshot_read(self, entry);
    }
    if (entry->kind < YAMI_KIND_CHANNEL || entry->kind > YAMI_KIND_DELAY) {
        return s_refuse(entry, "unknown kind");
    }
    self->wall_ms = entry->time_ms > self->wall_ms ? entry->time_ms : self->wall_ms;
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    yami_relay_channel_t *channel = yami_relay_map_get(&self->channel_numbers, entry->channel);
    if (entry->kind == YAMI_KIND_DELAY) {
        channel = s_delayed(self, reader, entry->channel);
    } else if (channel == NULL && entry->kind != YAMI_KIND_CHANNEL) {
        channel = s_recover(self, entry->channel);
    }
    if (entry->kind == YAMI_KIND_CHANNEL) {
        s_channel(self, &reader, entry);
    } else if (channel == NULL || (channel->dues != NULL && entry->kind != YAMI_KIND_DELAY &&
                                   entry->kind != YAMI_KIND_SETTLE)) {
        return s_refuse(entry, "unknown channel");
    } else if (entry->kind == YAMI_KIND_GROUP) {
        s_group(self, &reader, channel);
    } else if (entry->kind == YAMI_KIND_DATA) {
        s_data(self, &reader, channel, entry);
    } else if (entry->kind == YAMI_KIND_DELAY) {
        s_delay(self, &reader, channel, entry);
    } else if (entry->kind == YAMI_KIND_SETTLE) {
        s_settle(self, &reader, yami_relay_map_get(&self->groups, yami_reader_uint(&reader)));
    } else if (entry->kind == YAMI_KIND_FAILURE) {
        s_failure(self, &reader, entry->time_ms);
    } else if (entry->kind == YAMI_KIND_MOVE) {
        s_move(self, &reader, channel, entry);
    } else if (entry->kind == YAMI_KIND_EPOCH) {
        s_epoch(self, &reader, channel, entry);
    } else {
        s_remove(self, &reader);
    }
    return reader.failed ? s_refuse(entry, "malformed") : 0;
}
