//  See relay_fixture.h.
//  One file: a core's effects are carried out, kept and looked at by the same few functions.

#include "relay_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define LIMIT ((size_t) 1 << 26)

static void
s_check(const fixture_t *self)
{
    if (!self->is_unchecked) {
        yami_relay_core_check(self->core);
    }
}

fixture_t *
fixture_new(void)
{
    fixture_t *self = yami_alloc(sizeof *self);
    yami_options_init(yami_relay_option_table, &self->options);
    self->options.heartbeat_ms = 3600000; //  no noise
    self->seed = 7;
    self->mono_ms = 1000000;
    self->wall_ms = 1700000000000;
    self->has_room = true;
    yami_relay_effects_init(&self->effects);
    self->core = yami_relay_core_new(&self->options, YAM_LEVEL_SYNCED, "test", self->seed);
    return self;
}

void
fixture_free(fixture_t **self_p)
{
    fixture_t *self = *self_p;
    yami_relay_core_destroy(&self->core);
    fixture_forget(self);
    for (size_t index = 0; index < self->entry_count; index++) {
        yami_free((void *) self->entries[index].entry.meta);
        yami_block_unref(&self->entries[index].entry.data);
    }
    for (size_t index = 0; index < FIXTURE_CHANNELS; index++) {
        yami_free(self->by_channel[index].items);
    }
    yami_relay_effects_clear(&self->effects);
    yami_block_unref(&self->taken);
    yami_block_unref(&self->taken_data);
    yami_free(self->entries);
    yami_free(self->sent);
    yami_free(self);
    *self_p = NULL;
}

int
fixture_teardown(void **state)
{
    fixture_free((fixture_t **) state);
    return 0;
}

void
fixture_forget(fixture_t *self)
{
    for (size_t index = 0; index < self->sent_count; index++) {
        yami_block_unref(&self->sent[index].block);
        yami_block_unref(&self->sent[index].data);
    }
    self->sent_count = 0;
}

//  -- the shell ---------------------------------------------------------------------------------

static void
s_store(fixture_t *self, const yami_entry_t *entry, uint64_t ticket)
{
    int rc = yami_grow(&self->entries, &self->entry_capacity, self->entry_count + 1,
                       sizeof *self->entries, LIMIT);
    assert_int_equal(rc, 0);
    fixture_entry_t *stored = &self->entries[self->entry_count];
    memset(stored, 0, sizeof *stored);
    stored->entry = *entry;
    stored->ticket = ticket;
    stored->entry.lsn = self->entry_count + 1;
    uint8_t *meta = yami_try_alloc(entry->meta_size + 1, LIMIT);
    assert_non_null(meta);
    memcpy(meta, entry->meta, entry->meta_size);
    stored->entry.meta = meta;
    (void) yami_block_ref(entry->data);
    if (entry->count > 0) {
        assert_true(entry->channel < FIXTURE_CHANNELS);
        fixture_index_t *index = &self->by_channel[entry->channel];
        rc = yami_grow(&index->items, &index->capacity, index->count + 1, sizeof *index->items,
                       LIMIT);
        assert_int_equal(rc, 0);
        index->items[index->count++] = self->entry_count;
    }
    self->entry_count++;
}

//  The first durable data entry that ends at or behind sequence.
static fixture_entry_t *
s_read(fixture_t *self, uint32_t channel, uint64_t sequence)
{
    const fixture_index_t *index = &self->by_channel[channel];
    size_t low = 0;
    size_t high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const yami_entry_t *entry = &self->entries[index->items[middle]].entry;
        if (entry->base + entry->count - 1 < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < index->count; low++) {
        fixture_entry_t *found = &self->entries[index->items[low]];
        if (!found->is_missing) {
            assert_true(index->items[low] < self->durable_count); //  (2): nobody may ask for it
            return found;
        }
    }
    return NULL;
}

static void
s_fetch(fixture_t *self, const yami_relay_fetch_t *fetch)
{
    yami_damage_t damage = {0};
    yami_relay_event_t event = {.type = YAMI_EVENT_ENTRY, .fetch = *fetch, .damage = &damage};
    fixture_entry_t *found = s_read(self, fetch->channel, fetch->sequence);
    self->fetch_count++;
    if (self->read_error != 0) {
        event.result = self->read_error;
    } else if (found == NULL) {
        event.result = ENOENT;
    } else if (found->is_damaged) {
        event.result = EBADMSG;
        damage.channel = fetch->channel;
        damage.first = found->entry.base;
        damage.last = found->entry.base + found->entry.count - 1;
        damage.what = "test";
    } else {
        event.entry = &found->entry;
    }
    event.mono_ms = self->mono_ms;
    event.wall_ms = self->wall_ms;
    event.has_room = self->has_room;
    yami_relay_core_step(self->core, &event, &self->effects);
    s_check(self);
}

static void
s_keep(fixture_t *self, yami_relay_effect_t *effect)
{
    int rc = yami_grow(&self->sent, &self->sent_capacity, self->sent_count + 1, sizeof *self->sent,
                       LIMIT);
    assert_int_equal(rc, 0);
    self->sent[self->sent_count++] = (fixture_sent_t) {effect->peer, yami_block_ref(effect->block),
                                                       yami_block_ref(effect->data)};
}

static void
s_carry_out(fixture_t *self)
{
    for (size_t index = 0; index < self->effects.count; index++) {
        yami_relay_effect_t effect = self->effects.items[index];
        switch (effect.type) {
        case YAMI_EFFECT_SEND:
        case YAMI_EFFECT_DELIVER:
            assert_true((effect.data != NULL) == (effect.type == YAMI_EFFECT_DELIVER));
            s_keep(self, &effect);
            break;
        case YAMI_EFFECT_APPEND:
            assert_true(effect.entry.count == 0 || self->has_room);
            assert_int_equal(effect.ticket, self->ticket + 1);
            self->ticket = effect.ticket;
            s_store(self, &effect.entry, effect.ticket);
            break;
        case YAMI_EFFECT_FETCH:
            if (self->before_fetch != NULL) {
                self->before_fetch(self, &effect.fetch);
            }
            s_fetch(self, &effect.fetch);
            break;
        case YAMI_EFFECT_TRIM:
            assert_true(effect.sequence > self->trimmed[effect.channel]);
            self->trimmed[effect.channel] = effect.sequence;
            break;
        case YAMI_EFFECT_CLOSE:
            self->closed = effect.peer;
            break;
        case YAMI_EFFECT_LOG:
            self->log_count++;
            self->log_level = effect.level;
            (void) snprintf(self->logged, sizeof self->logged, "%s", effect.event);
            memcpy(self->log_text, effect.text, sizeof self->log_text);
            break;
        }
    }
    yami_relay_effects_reset(&self->effects);
}

void
fixture_step(fixture_t *self, yami_relay_event_t *event)
{
    event->mono_ms = self->mono_ms;
    event->wall_ms = self->wall_ms;
    event->has_room = self->has_room;
    yami_relay_core_step(self->core, event, &self->effects);
    s_check(self);
    s_carry_out(self);
}

void
fixture_turn(fixture_t *self)
{
    yami_relay_event_t event = {.type = YAMI_EVENT_TURN};
    fixture_step(self, &event);
}

void
fixture_durable_at(fixture_t *self, size_t entry_count)
{
    uint64_t ticket = 0;
    for (size_t index = self->durable_count; index < entry_count; index++) {
        ticket = self->entries[index].ticket > 0 ? self->entries[index].ticket : ticket;
    }
    self->durable_count = entry_count;
    if (ticket > 0) {
        yami_relay_event_t event = {.type = YAMI_EVENT_DURABLE, .ticket = ticket};
        fixture_step(self, &event);
    }
}

void
fixture_durable(fixture_t *self)
{
    fixture_durable_at(self, self->entry_count);
    fixture_turn(self);
}

void
fixture_settle_down(fixture_t *self)
{
    size_t count;
    do {
        count = self->entry_count + self->sent_count;
        fixture_turn(self);
        fixture_durable(self);
    } while (self->entry_count + self->sent_count != count ||
             yami_relay_core_deadline(self->core) <= self->mono_ms);
}

void
fixture_advance(fixture_t *self, int64_t ms)
{
    self->mono_ms += ms;
    self->wall_ms += ms;
    fixture_turn(self);
}

void
fixture_restart_at(fixture_t *self, size_t entry_count)
{
    yami_relay_core_destroy(&self->core);
    fixture_forget(self);
    size_t start = 0;
    for (size_t index = 0; index < self->entry_count; index++) {
        if (index >= entry_count) { //  never written
            yami_entry_t *entry = &self->entries[index].entry;
            if (entry->count > 0) {
                self->by_channel[entry->channel].count--;
            }
            yami_free((void *) entry->meta);
            yami_block_unref(&entry->data);
        } else if (self->entries[index].ticket == 0) {
            start = index;
        }
    }
    self->entry_count = self->durable_count = entry_count;
    self->ticket = 0;
    memset(self->trimmed, 0, sizeof self->trimmed);
    self->core = yami_relay_core_new(&self->options, YAM_LEVEL_SYNCED, "test", ++self->seed);
    for (size_t index = start; index < entry_count; index++) {
        assert_int_equal(yami_relay_core_replay(self->core, &self->entries[index].entry), 0);
    }
    s_check(self);
}

void
fixture_restart(fixture_t *self)
{
    fixture_restart_at(self, self->durable_count);
}

void
fixture_checkpoint(fixture_t *self)
{
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
    yami_relay_core_snapshot(self->core, &writer);
    yami_block_t *block = yami_writer_finish(&writer);
    assert_non_null(block);
    yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT,
                          .time_ms = self->wall_ms,
                          .meta = block->data,
                          .meta_size = block->size};
    s_store(self, &entry, 0);
    yami_block_unref(&block);
}

yami_block_t *
fixture_state(const yami_relay_core_t *core)
{
    yami_writer_t writer;
    yami_writer_init(&writer, LIMIT);
    yami_relay_snapshot_write(core, &writer, true);
    yami_block_t *block = yami_writer_finish(&writer);
    assert_non_null(block);
    return block;
}

//  -- as clients --------------------------------------------------------------------------------

void
fixture_send(fixture_t *self, uint64_t peer, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    assert_non_null(block);
    yami_frame_t decoded = {0};
    assert_int_equal(yami_frame_decode(&decoded, block->data, block->size), 0);
    yami_relay_event_t event = {
        .type = YAMI_EVENT_FRAME, .peer = peer, .frame = &decoded, .block = block};
    fixture_step(self, &event);
    yami_block_unref(&block);
}

void
fixture_hello(fixture_t *self, uint64_t peer)
{
    self->session++;
    fixture_hello_of(self, peer, self->session);
}

void
fixture_hello_of(fixture_t *self, uint64_t peer, uint64_t session)
{
    yami_frame_t frame = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = session,
                          .name = yami_slice_text("client"),
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = 3600000};
    fixture_send(self, peer, &frame);
    fixture_expect(self, peer, YAMI_FRAME_WELCOME);
    assert_int_equal(self->frame.session, session);
}

void
fixture_producer(fixture_t *self, uint64_t peer, uint32_t handle, int kind, const char *channel,
                 uint8_t id, uint32_t epoch, uint64_t first)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ATTACH,
                          .handle = handle,
                          .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_PRODUCER |
                                     YAMI_F_EPOCH | YAMI_F_FIRST,
                          .role = YAMI_ROLE_PRODUCER,
                          .kind = (uint64_t) kind,
                          .channel = yami_slice_text(channel),
                          .producer = {.bytes = {id}},
                          .epoch = epoch,
                          .first = first};
    fixture_send(self, peer, &frame);
}

void
fixture_consumer(fixture_t *self, uint64_t peer, uint32_t handle, int kind, const char *channel,
                 const char *group, const char *filter, int start, int64_t lease_ms)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ATTACH,
                          .handle = handle,
                          .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_GROUP |
                                     YAMI_F_FILTER | YAMI_F_START | YAMI_F_LEASE_MS |
                                     YAMI_F_DURABLE,
                          .role = YAMI_ROLE_CONSUMER,
                          .kind = (uint64_t) kind,
                          .channel = yami_slice_text(channel),
                          .group = yami_slice_text(group),
                          .durable = true,
                          .filter = yami_slice_text(filter),
                          .start = (uint64_t) start,
                          .lease_ms = (uint64_t) lease_ms};
    fixture_send(self, peer, &frame);
}

yami_block_t *
fixture_batch(uint32_t handle, uint8_t id, uint32_t epoch, uint64_t first, uint32_t count,
              const char *subject)
{
    return fixture_batch_due(handle, id, epoch, first, count, subject, 0);
}

yami_block_t *
fixture_batch_due(uint32_t handle, uint8_t id, uint32_t epoch, uint64_t first, uint32_t count,
                  const char *subject, int64_t due_ms)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 1 << 20);
    yami_writer_t properties;
    yami_writer_init(&properties, 1000);
    if (subject != NULL) {
        yami_writer_map(&properties, 1);
        yami_writer_str(&properties, "subject");
        yami_writer_str(&properties, subject);
    }
    for (uint32_t index = 0; index < count; index++) {
        char body[48];
        int size = snprintf(body, sizeof body, "%u.%llu", id, (unsigned long long) first + index);
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .flags = due_ms > 0 ? YAMI_RECORD_DUE : 0,
                                .due_ms = due_ms,
                                .body = yami_slice(body, (size_t) size),
                                .properties = yami_slice(properties.data, properties.size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_batch_t head = {
        .handle = handle, .epoch = epoch, .producer = {.bytes = {id}}, .first_sequence = first};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    assert_non_null(block);
    yami_builder_clear(&builder);
    yami_writer_clear(&properties);
    return block;
}

void
fixture_publish(fixture_t *self, uint64_t peer, yami_block_t *block)
{
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    yami_relay_event_t event = {
        .type = YAMI_EVENT_BATCH, .peer = peer, .batch = &batch, .block = block};
    fixture_step(self, &event);
    yami_block_unref(&block);
}

void
fixture_credit(fixture_t *self, uint64_t peer, uint32_t handle, uint64_t messages, uint64_t bytes)
{
    yami_frame_t frame = {.type = YAMI_FRAME_CREDIT,
                          .handle = handle,
                          .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
                          .messages = messages,
                          .bytes = bytes};
    fixture_send(self, peer, &frame);
}

void
fixture_settle(fixture_t *self, uint64_t peer, uint32_t handle, int type, uint64_t serial,
               uint64_t token, uint64_t first, uint64_t last)
{
    yami_settle_t range = {token, first, last};
    yami_frame_t frame = {.type = (uint8_t) type,
                          .handle = handle,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                          .serial = serial,
                          .ranges = &range,
                          .range_count = 1};
    fixture_send(self, peer, &frame);
}

void
fixture_admin(fixture_t *self, uint64_t peer, const char *command, const char *channel, bool is_dry)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND |
                                     (channel != NULL ? YAMI_F_CHANNEL : 0) |
                                     (is_dry ? YAMI_F_START : 0),
                          .serial = 1,
                          .command = yami_slice_text(command),
                          .channel = yami_slice_text(channel != NULL ? channel : ""),
                          .start = 1};
    fixture_send(self, peer, &frame);
    fixture_settle_down(self);
    fixture_expect(self, peer, YAMI_FRAME_REPLY);
}

void
fixture_gone(fixture_t *self, uint64_t peer)
{
    yami_relay_event_t event = {.type = YAMI_EVENT_GONE, .peer = peer};
    fixture_step(self, &event);
}

//  -- what they got -----------------------------------------------------------------------------

//  Takes the index-th frame sent out of the list.
static void
s_take(fixture_t *self, size_t index)
{
    fixture_sent_t sent = self->sent[index];
    yami_frame_t frame = {0};
    assert_int_equal(yami_frame_decode(&frame, sent.block->data, sent.block->size), 0);
    yami_block_unref(&self->taken);
    yami_block_unref(&self->taken_data);
    self->taken = sent.block;
    self->taken_data = sent.data;
    self->frame = frame;
    if (sent.data != NULL) {
        assert_int_equal(yami_batch_decode(&self->batch, sent.data->data, sent.data->size), 0);
        assert_int_equal(yami_batch_check_records(&self->batch, NULL), 0);
    }
    self->sent_count--;
    memmove(&self->sent[index], &self->sent[index + 1],
            (self->sent_count - index) * sizeof *self->sent);
}

bool
fixture_take(fixture_t *self, uint64_t peer, int type)
{
    for (size_t index = 0; index < self->sent_count; index++) {
        const fixture_sent_t *sent = &self->sent[index];
        yami_frame_t frame = {0};
        assert_int_equal(yami_frame_decode(&frame, sent->block->data, sent->block->size), 0);
        if (sent->peer == peer && frame.type == type) {
            s_take(self, index);
            return true;
        }
    }
    return false;
}

void
fixture_take_first(fixture_t *self)
{
    assert_true(self->sent_count > 0);
    s_take(self, 0);
}

void
fixture_expect(fixture_t *self, uint64_t peer, int type)
{
    if (!fixture_take(self, peer, type)) {
        print_error("no %s for peer %llu\n", yami_frame_type_name((uint8_t) type),
                    (unsigned long long) peer);
        assert_true(false);
    }
}

void
fixture_expect_none(fixture_t *self, uint64_t peer, int type)
{
    assert_false(fixture_take(self, peer, type));
}

const char *
fixture_body(fixture_t *self, uint64_t sequence)
{
    static char text[64];
    size_t offset = 0;
    yami_record_t record = {0};
    assert_true(sequence >= self->frame.base && sequence < self->frame.base + self->batch.count);
    for (uint64_t at = self->frame.base; at <= sequence; at++) {
        assert_int_equal(yami_batch_next(&self->batch, &offset, &record), 0);
    }
    (void) snprintf(text, sizeof text, "%.*s", (int) record.body.size,
                    (const char *) record.body.data);
    return text;
}

int64_t
fixture_number(const fixture_t *self, const char *key)
{
    yami_reader_t reader;
    yami_reader_init(&reader, self->frame.rows.data, self->frame.rows.size);
    if (yami_reader_array(&reader) == 0) {
        return -1;
    }
    uint32_t pairs = yami_reader_map(&reader);
    for (uint32_t index = 0; index < pairs; index++) {
        yami_slice_t name = yami_reader_str(&reader);
        if (yami_slice_equal(name, key)) {
            return yami_reader_int(&reader);
        }
        yami_reader_skip(&reader);
    }
    return -1;
}

uint64_t
fixture_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}
