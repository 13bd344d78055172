//  See delay_model.h.

#include "delay_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define S_MEMORY ((size_t) 1 << 24)

void
delay_model_init(delay_model_t *self, fixture_t *fixture)
{
    memset(self, 0, sizeof *self);
    self->fixture = fixture;
    self->seen = fixture->entry_count;
}

void
delay_model_clear(delay_model_t *self)
{
    yami_free(self->messages);
    yami_free(self->waits);
    yami_free(self->queue);
}

void
delay_model_offer(delay_model_t *self, int64_t due_ms, const char *id)
{
    int rc = yami_grow(&self->messages, &self->capacity, self->offered + 1, sizeof *self->messages,
                       S_MEMORY);
    assert_int_equal(rc, 0);
    self->messages[self->offered++] = (delay_model_message_t) {
        .due_ms = due_ms, .id = id, .stored = DELAY_NEVER, .ended = DELAY_NEVER};
}

void
delay_model_ask(delay_model_t *self, const char *id)
{
    assert_int_equal(self->question, DELAY_ASKS_NOTHING);
    self->question = id != NULL ? DELAY_ASKS_CANCEL : DELAY_ASKS_PURGE;
    self->id = id;
    self->asked_at = self->stored;
    self->asked_for = self->waiting;
    self->answered = 0;
    self->may_fail = false;
}

bool
delay_model_waits(const delay_model_message_t *message)
{
    return message->stored != DELAY_NEVER && message->ended == DELAY_NEVER;
}

static void
s_append(size_t **items_p, size_t *count_p, size_t *capacity_p, size_t item)
{
    assert_int_equal(yami_grow(items_p, capacity_p, *count_p + 1, sizeof item, S_MEMORY), 0);
    (*items_p)[(*count_p)++] = item;
}

static void
s_end_wait(delay_model_t *self, size_t at, size_t entry, bool is_moved)
{
    delay_model_message_t *message = &self->messages[at];
    assert_true(delay_model_waits(message));
    message->ended = entry;
    message->is_moved = is_moved;
    self->waiting--;
}

//  -- the journal -------------------------------------------------------------------------------

static bool
s_is_later(const delay_model_t *self, const delay_model_message_t *message)
{
    return message->due_ms != AT_ONCE && message->due_ms > self->fixture->wall_ms;
}

static void
s_check_record(const delay_model_t *self, const yami_record_t *record, size_t at)
{
    char body[24];
    int64_t due_ms = self->messages[at].due_ms;
    int size = snprintf(body, sizeof body, "%zu", at + 1);
    assert_int_equal(record->body.size, size);
    assert_memory_equal(record->body.data, body, (size_t) size);
    assert_int_equal((record->flags & YAMI_RECORD_DUE) != 0, due_ms != AT_ONCE);
    assert_true(due_ms == AT_ONCE || record->due_ms == due_ms);
}

//  A run of what was offered: all of it for now, or all for later.
static void
s_see_stored(delay_model_t *self, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    bool is_later = entry->kind == YAMI_KIND_DELAY;
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
    assert_int_equal(batch.first_sequence, self->stored + 1);
    assert_int_equal(batch.count, entry->count);
    assert_int_equal(entry->base, (is_later ? self->wait_count : self->queue_count) + 1);
    assert_in_range(batch.count, 1, self->offered - self->stored);
    for (uint32_t left = batch.count; left > 0; left--) {
        delay_model_message_t *message = &self->messages[self->stored];
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        s_check_record(self, &record, self->stored);
        assert_int_equal(s_is_later(self, message), is_later);
        message->stored = index;
        message->was_later = is_later;
        message->ended = is_later ? DELAY_NEVER : index;
        if (is_later) {
            self->waiting++;
            s_append(&self->waits, &self->wait_count, &self->wait_capacity, self->stored);
        } else {
            s_append(&self->queue, &self->queue_count, &self->queue_capacity, self->stored);
        }
        self->stored++;
    }
    bool is_all = self->stored == self->offered;
    assert_true(is_all || s_is_later(self, &self->messages[self->stored]) != is_later);
    self->delayed_number = is_later ? entry->channel : self->delayed_number;
}

static const delay_model_message_t *s_messages; //  of the model that sorts

static int
s_by_time(const void *left_p, const void *right_p)
{
    size_t left = *(const size_t *) left_p;
    size_t right = *(const size_t *) right_p;
    int64_t left_ms = s_messages[left].due_ms;
    int64_t right_ms = s_messages[right].due_ms;
    return left_ms < right_ms ? -1 : left_ms > right_ms ? 1 : left < right ? -1 : left > right;
}

//  All that is due goes at once, in the order of times, then of sequences; up to one that is not
//  durable, which nothing overtakes.
static void
s_see_move(delay_model_t *self, size_t index)
{
    const fixture_t *f = self->fixture;
    const yami_entry_t *entry = &f->entries[index].entry;
    size_t *due = yami_alloc((self->waiting + 1) * sizeof *due);
    size_t count = 0;
    for (size_t place = 0; place < self->wait_count; place++) {
        const delay_model_message_t *message = &self->messages[self->waits[place]];
        if (delay_model_waits(message) && message->due_ms <= f->wall_ms) {
            due[count++] = self->waits[place];
        }
    }
    s_messages = self->messages;
    qsort(due, count, sizeof *due, s_by_time);
    for (size_t place = 0; place < count; place++) {
        count = s_messages[due[place]].stored < f->durable_count ? count : place;
    }
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
    assert_int_equal(batch.count, count);
    assert_int_equal(entry->count, count);
    assert_int_equal(entry->base, self->queue_count + 1);
    for (size_t place = 0; place < count; place++) {
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        s_check_record(self, &record, due[place]);
        s_end_wait(self, due[place], index, true);
        s_append(&self->queue, &self->queue_count, &self->queue_capacity, due[place]);
    }
    self->moved += count;
    yami_free(due);
}

//  Only what was asked for ends so; what had ended before may be said once more.
static void
s_see_ended(delay_model_t *self, size_t index, uint64_t sequence)
{
    assert_in_range(sequence, 1, self->wait_count);
    size_t at = self->waits[sequence - 1];
    const delay_model_message_t *message = &self->messages[at];
    if (!delay_model_waits(message)) {
        return;
    }
    assert_int_not_equal(self->question, DELAY_ASKS_NOTHING);
    if (self->question == DELAY_ASKS_CANCEL) {
        assert_true(message->id != NULL && strcmp(message->id, self->id) == 0);
        assert_true(message->stored < self->fixture->durable_count);
    }
    s_end_wait(self, at, index, false);
    self->answered++;
}

static void
s_see_settled(delay_model_t *self, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    if (entry->channel != self->delayed_number) {
        return; //  acks
    }
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    (void) yami_reader_uint(&reader);
    uint64_t sequence = 0;
    for (uint32_t range = yami_reader_array(&reader) / 2; range > 0; range--) {
        sequence += yami_reader_uint(&reader);
        for (uint64_t left = yami_reader_uint(&reader); left > 0; left--) {
            s_see_ended(self, index, sequence++);
        }
    }
    assert_false(reader.failed);
}

static void
s_see_journal(delay_model_t *self)
{
    for (; self->seen < self->fixture->entry_count; self->seen++) {
        uint8_t kind = (uint8_t) self->fixture->entries[self->seen].entry.kind;
        if (kind == YAMI_KIND_DATA || kind == YAMI_KIND_DELAY) {
            s_see_stored(self, self->seen);
        } else if (kind == YAMI_KIND_MOVE) {
            s_see_move(self, self->seen);
        } else if (kind == YAMI_KIND_SETTLE) {
            s_see_settled(self, self->seen);
        }
    }
}

//  -- frames ------------------------------------------------------------------------------------

static void
s_see_confirm(delay_model_t *self)
{
    uint64_t sequence = self->fixture->frame.sequence;
    assert_in_range(sequence, self->confirmed, self->stored);
    if (sequence > 0) {
        assert_true(self->messages[sequence - 1].stored < self->fixture->durable_count);
    }
    self->confirmed = sequence;
}

static void
s_see_refusal(delay_model_t *self)
{
    const yami_frame_t *frame = &self->fixture->frame;
    assert_true(self->expects_refusal);
    assert_int_equal(frame->status, YAM_STATUS_DISK);
    assert_int_equal(frame->first, self->stored + 1);
    assert_int_equal(frame->last, self->offered);
    self->expects_refusal = false;
}

//  In order; what it says is durable, and what was put there.
static void
s_see_deliver(delay_model_t *self)
{
    fixture_t *f = self->fixture;
    assert_in_range(f->frame.last, f->frame.first, self->queue_count);
    for (uint64_t sequence = f->frame.first; sequence <= f->frame.last; sequence++) {
        char body[24];
        const delay_model_message_t *message = &self->messages[self->queue[sequence - 1]];
        (void) snprintf(body, sizeof body, "%zu", self->queue[sequence - 1] + 1);
        assert_string_equal(fixture_body(f, sequence), body);
        assert_true(message->ended < f->durable_count);
    }
    assert_true(self->delivered == 0 || f->frame.first == self->delivered + 1);
    self->delivered = f->frame.last;
    fixture_settle(f, CONSUMER, 1, YAMI_FRAME_ACK, ++self->serial, f->frame.token, f->frame.first,
                   f->frame.last);
}

//  How many it were, and that no other is left that was stored before.
static void
s_see_reply(delay_model_t *self)
{
    const fixture_t *f = self->fixture;
    assert_int_not_equal(self->question, DELAY_ASKS_NOTHING);
    bool is_purge = self->question == DELAY_ASKS_PURGE;
    self->question = DELAY_ASKS_NOTHING;
    if (f->frame.status != YAM_STATUS_OK) {
        assert_int_equal(f->frame.status, YAM_STATUS_INTERNAL);
        assert_true(!is_purge && self->may_fail);
        return;
    }
    assert_int_equal(fixture_number(f, "messages"), self->answered);
    assert_true(!is_purge || self->answered == self->asked_for);
    *(is_purge ? &self->purged : &self->cancelled) += self->answered;
    for (size_t at = 0; at < self->asked_at; at++) {
        const delay_model_message_t *message = &self->messages[at];
        bool is_meant = is_purge || (message->id != NULL && strcmp(message->id, self->id) == 0);
        assert_false(is_meant && delay_model_waits(message));
        assert_true(!message->was_later || message->is_moved || message->ended == DELAY_NEVER ||
                    message->ended < f->durable_count);
    }
}

void
delay_model_observe(delay_model_t *self)
{
    fixture_t *f = self->fixture;
    s_see_journal(self);
    while (f->sent_count > 0) {
        bool is_producer = f->sent[0].peer == PRODUCER;
        fixture_take_first(f);
        if (f->frame.type == YAMI_FRAME_CONFIRM ||
            (is_producer && f->frame.type == YAMI_FRAME_ATTACHED)) {
            s_see_confirm(self);
        } else if (f->frame.type == YAMI_FRAME_REFUSE) {
            s_see_refusal(self);
        } else if (f->frame.type == YAMI_FRAME_DELIVER) {
            s_see_deliver(self);
        } else if (f->frame.type == YAMI_FRAME_REPLY) {
            s_see_reply(self);
        } else {
            assert_int_not_equal(f->frame.type, YAMI_FRAME_ERROR);
            assert_int_not_equal(f->frame.type, YAMI_FRAME_DETACHED);
        }
        s_see_journal(self); //  an ack was sent
    }
    assert_false(self->expects_refusal);
    self->may_fail |= f->read_error != 0;
    assert_int_equal(f->core->delayed_count, self->waiting);
}

//  -- against the core --------------------------------------------------------------------------

void
delay_model_compare(const delay_model_t *self)
{
    yami_relay_channel_t *channel = yami_relay_channel_find(self->fixture->core, "q.delayed", 9);
    assert_true(channel != NULL || self->waiting == 0);
    for (size_t place = 0; place < self->wait_count; place++) {
        const delay_model_message_t *message = &self->messages[self->waits[place]];
        const yami_relay_delay_t *delay =
            channel != NULL ? yami_relay_delays_find(&channel->dues->waiting, place + 1) : NULL;
        assert_int_equal(delay != NULL, delay_model_waits(message));
        assert_true(delay == NULL || delay->due_ms == message->due_ms);
    }
}

void
delay_model_is_quiet(const delay_model_t *self)
{
    const fixture_t *f = self->fixture;
    int64_t next_ms = INT64_MAX;
    for (size_t at = 0; at < self->stored; at++) {
        if (delay_model_waits(&self->messages[at])) {
            assert_true(self->messages[at].due_ms > f->wall_ms);
            next_ms = self->messages[at].due_ms < next_ms ? self->messages[at].due_ms : next_ms;
        }
    }
    assert_int_equal(self->question, DELAY_ASKS_NOTHING);
    assert_int_equal(self->confirmed, self->stored);
    assert_true(self->delivered == self->queue_count || self->delivered == 0);
    yami_relay_channel_t *queue = yami_relay_channel_find(f->core, "q", 1);
    assert_int_equal(yami_relay_channel_depth(queue), 0);
    //  It wakes for the next one.
    assert_true(next_ms == INT64_MAX ||
                yami_relay_core_deadline(f->core) - f->mono_ms <= next_ms - f->wall_ms);
}

static void
s_cut(const delay_model_t *self, size_t *count_p, const size_t *items, bool is_queue,
      size_t entry_count)
{
    while (*count_p > 0) {
        const delay_model_message_t *message = &self->messages[items[*count_p - 1]];
        size_t entry = is_queue ? message->ended : message->stored;
        if (entry < entry_count) {
            break;
        }
        --*count_p;
    }
}

void
delay_model_crashed(delay_model_t *self, size_t entry_count)
{
    s_cut(self, &self->queue_count, self->queue, true, entry_count);
    s_cut(self, &self->wait_count, self->waits, false, entry_count);
    self->waiting = 0;
    size_t at = 0;
    for (; at < self->stored && self->messages[at].stored < entry_count; at++) {
        delay_model_message_t *message = &self->messages[at];
        if (message->ended >= entry_count) {
            message->ended = DELAY_NEVER;
            message->is_moved = false;
        }
        self->waiting += delay_model_waits(message) ? 1 : 0;
    }
    self->stored = self->offered = at;
    self->seen = entry_count;
    self->question = DELAY_ASKS_NOTHING;
    self->confirmed = 0;
    self->delivered = 0;
    assert_int_equal(self->fixture->core->delayed_count, self->waiting);
    delay_model_compare(self);
}
