//  What the core appends and sends. See relay_model.h.

#include <string.h>

#include "relay_model_parts.h"
#include "yami_properties.h"
#include "yami_relay_core.h"

//  -- the journal -------------------------------------------------------------------------------

static void
s_keep_fact(const model_fact_t *fact)
{
    if (fact->type == FACT_SETTLED) {
        model_message(fact->group, fact->sequence)->kept.place = PLACE_SETTLED;
    } else if (fact->type == FACT_FAILED) {
        view_t *kept = &model_message(fact->group, fact->sequence)->kept;
        if (kept->place != PLACE_SETTLED && fact->view.failures > kept->failures) {
            *kept = fact->view;
        }
    } else {
        model_producer_t *producer = fact->producer;
        if (fact->epoch > producer->kept_epoch ||
            (fact->epoch == producer->kept_epoch && fact->last > producer->kept_last)) {
            producer->kept_epoch = fact->epoch;
            producer->kept_last = fact->last;
        }
        if (fact->type == FACT_STORED && fact->count > fact->channel->kept) {
            fact->channel->kept = fact->count;
        }
    }
}

void
model_keep(model_t *self, size_t entry_count)
{
    size_t left = 0;
    for (size_t index = 0; index < self->fact_count; index++) {
        const model_fact_t *fact = &self->facts[index];
        if (fact->to > 0 && fact->to <= entry_count) {
            s_keep_fact(fact);
        } else {
            self->facts[left++] = *fact;
        }
    }
    self->fact_count = left;
    for (int at = 0; at < MODEL_GROUPS; at++) {
        model_group_t *group = &self->groups[at];
        while (group->floor < group->count &&
               (group->messages[group->floor].kept.place == PLACE_SETTLED ||
                !group->messages[group->floor].is_wanted)) {
            group->floor++;
        }
    }
}

static void
s_read_batch(const yami_entry_t *entry, yami_batch_t *batch)
{
    assert_int_equal(yami_batch_decode(batch, entry->data->data, entry->data->size), 0);
    assert_int_equal(yami_batch_check_records(batch, NULL), 0);
    assert_int_equal(batch->count, entry->count);
}

void
model_check_record(const model_content_t *content, const yami_record_t *record)
{
    yami_property_t subject;
    assert_int_equal(record->body.size, strlen(content->body));
    assert_memory_equal(record->body.data, content->body, record->body.size);
    assert_int_equal(yami_properties_find(record->properties, "subject", &subject), content->is_eu);
    assert_int_equal((record->flags & YAMI_RECORD_DUE) != 0, content->due_ms != 0);
    assert_true(content->due_ms == 0 || record->due_ms == content->due_ms);
}

//  These are in the journal with its entry of that index.
static void
s_note_stored(model_t *self, const model_channel_t *channel, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    for (size_t at = 0; at < self->fact_count; at++) {
        model_fact_t *fact = &self->facts[at];
        if (fact->type == FACT_STORED && fact->to == 0 && fact->channel == channel &&
            fact->count >= entry->base && fact->count < entry->base + entry->count) {
            fact->to = index + 1;
        }
    }
}

//  Stored is what was published, where it was expected.
static void
s_see_data(model_t *self, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    for (int at = 0; at < MODEL_CHANNELS; at++) {
        const model_channel_t *channel = &self->channels[at];
        if (self->channel_numbers[at] != entry->channel) {
            continue;
        }
        yami_batch_t batch;
        yami_record_t record;
        size_t offset = 0;
        s_read_batch(entry, &batch);
        assert_true(entry->base >= 1 && entry->base + entry->count - 1 <= channel->count);
        assert_int_equal(entry->kind == YAMI_KIND_DELAY, model_is_delayed(self, channel));
        for (uint32_t left = batch.count; left > 0; left--) {
            assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
            model_check_record(&channel->contents[entry->base - 1 + batch.count - left], &record);
        }
        s_note_stored(self, channel, index);
        return;
    }
    assert_true(false);
}

//  Which numbers stand for what. One that a crash has undone may be given to another.
static void
s_see_definition(model_t *self, const yami_entry_t *entry)
{
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    uint64_t number = entry->kind == YAMI_KIND_GROUP ? yami_reader_uint(&reader) : 0;
    yami_slice_t name = yami_reader_str(&reader);
    if (entry->kind == YAMI_KIND_CHANNEL) {
        (void) yami_reader_uint(&reader);
        number = yami_reader_uint(&reader);
        for (int index = 0; index < MODEL_CHANNELS; index++) {
            uint32_t *own = &self->channel_numbers[index];
            bool is_meant = yami_slice_equal(name, self->channels[index].name);
            *own = is_meant ? entry->channel : *own == entry->channel ? 0 : *own;
        }
    }
    assert_false(reader.failed);
    for (int index = 0; index < MODEL_GROUPS; index++) {
        model_group_t *group = &self->groups[index];
        bool is_meant = entry->kind == YAMI_KIND_GROUP
                            ? yami_slice_equal(name, group->name)
                            : yami_slice_equal(name, group->channel->name) && number > 0;
        group->number = is_meant ? number : group->number == number ? 0 : group->number;
    }
}

//  Acks are written in groups, some time after they came. Only what was acked may be among them, or
//  what a filter leaves out.
static void
s_see_settled(model_t *self, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    model_group_t *group = model_group(self, yami_reader_uint(&reader));
    uint32_t count = yami_reader_array(&reader) / 2;
    uint64_t first = 0;
    uint64_t end = 0;
    for (uint32_t range = 0; range < count; range++, first = end) {
        first += yami_reader_uint(&reader);
        end = first + yami_reader_uint(&reader);
        for (uint64_t sequence = first; sequence < end; sequence++) {
            const model_message_t *message = model_message(group, sequence);
            if (model_is_delayed(self, group->channel) && message->now.place == PLACE_FREE) {
                model_see_cancelled(self, group, sequence, index);
            }
            assert_true(message->now.place == PLACE_SETTLED || !message->is_wanted);
        }
        for (size_t at = 0; at < self->fact_count; at++) {
            model_fact_t *fact = &self->facts[at];
            if (fact->type == FACT_SETTLED && fact->group == group && fact->to == 0 &&
                fact->sequence >= first && fact->sequence < end) {
                fact->to = index + 1;
            }
        }
    }
    assert_false(reader.failed);
}

static void
s_see_journal(model_t *self)
{
    const fixture_t *f = self->fixture;
    model_keep(self, f->durable_count);
    for (; self->seen < f->entry_count; self->seen++) {
        const yami_entry_t *entry = &f->entries[self->seen].entry;
        if (entry->kind == YAMI_KIND_DATA || entry->kind == YAMI_KIND_DELAY) {
            s_see_data(self, self->seen);
        } else if (entry->kind == YAMI_KIND_CHANNEL || entry->kind == YAMI_KIND_GROUP) {
            s_see_definition(self, entry);
        } else if (entry->kind == YAMI_KIND_SETTLE) {
            s_see_settled(self, self->seen);
        } else if (entry->kind == YAMI_KIND_MOVE) {
            model_move(self, self->seen);
        }
    }
    for (size_t index = 0; index < self->fact_count; index++) {
        model_fact_t *fact = &self->facts[index];
        assert_true(fact->to > 0 || fact->type != FACT_STORED);
        if (fact->to == 0 && fact->type != FACT_SETTLED) {
            fact->to = f->entry_count;
        }
    }
    model_keep(self, f->durable_count);
}

//  -- frames ------------------------------------------------------------------------------------

//  What never failed is given in order: nothing of that kind may be left out below sequence.
static void
s_check_order(const model_group_t *group, uint64_t sequence)
{
    for (uint64_t below = group->floor + 1; below < sequence; below++) {
        const model_message_t *message = model_message(group, below);
        assert_false(message->is_wanted && message->now.place == PLACE_FREE &&
                     message->now.failures == 0);
    }
}

//  Everything of DELIVER is durable, free, due, within the credit, and what was published under
//  that sequence.
static void
s_see_deliver(model_t *self, uint64_t peer)
{
    fixture_t *f = self->fixture;
    const yami_frame_t *frame = &f->frame;
    assert_in_range(frame->handle, 1, MODEL_HANDLES);
    model_group_t *group = &self->groups[frame->handle - 1];
    uint64_t *received = &self->received[peer][frame->handle];
    *received += frame->last - frame->first + 1;
    assert_true(*received <= self->granted[peer][frame->handle]);
    assert_true(frame->last <= group->channel->kept);
    for (uint64_t sequence = frame->first; sequence <= frame->last; sequence++) {
        model_message_t *message = model_message(group, sequence);
        view_t *now = &message->now;
        assert_true(message->is_wanted && now->place == PLACE_FREE);
        assert_true(now->failures == 0 || message->again_ms <= f->mono_ms);
        assert_int_equal(frame->failures, now->failures);
        assert_int_equal(frame->deliveries, now->deliveries + 1);
        assert_string_equal(fixture_body(f, sequence), group->channel->contents[sequence - 1].body);
        if (now->failures == 0) {
            s_check_order(group, sequence);
        }
        message->last_token = message->token;
        message->token = frame->token;
        now->place = PLACE_LEASED;
        now->token = frame->token;
        now->deliveries++;
        message->peer = peer;
        message->lease_first = frame->first;
        message->lease_last = frame->last;
        message->deadline_ms = f->mono_ms + MODEL_LEASE_MS;
        self->delivered++;
    }
}

//  What it says is done must be in what is durable.
static void
s_see_acked(const model_t *self, uint64_t peer)
{
    const yami_frame_t *frame = &self->fixture->frame;
    for (size_t index = 0; index < self->fact_count; index++) {
        const model_fact_t *fact = &self->facts[index];
        assert_false(fact->type == FACT_SETTLED && fact->serial > 0 && fact->peer == peer &&
                     fact->handle == frame->handle && fact->serial <= frame->serial);
    }
}

//  CONFIRM and ATTACHED confirm; only what is durable may be.
static void
s_see_confirm(model_t *self)
{
    const yami_frame_t *frame = &self->fixture->frame;
    model_producer_t *producer = &self->producers[(frame->handle - 1) % MODEL_PRODUCERS];
    if (frame->epoch == producer->kept_epoch) {
        assert_true(frame->sequence <= producer->kept_last);
    } else {
        assert_true(frame->epoch < producer->kept_epoch);
    }
    if (frame->handle == producer->handle) {
        assert_int_equal(frame->epoch, producer->epoch);
        assert_true(frame->sequence >= producer->confirmed);
        producer->confirmed = frame->sequence;
    }
}

static void
s_see_credit(model_t *self)
{
    const yami_frame_t *frame = &self->fixture->frame;
    model_producer_t *producer = &self->producers[(frame->handle - 1) % MODEL_PRODUCERS];
    if (frame->handle == producer->handle && frame->messages > producer->granted) {
        producer->granted = frame->messages;
    }
}

static void
s_see_refusal(model_t *self)
{
    const yami_frame_t *frame = &self->fixture->frame;
    assert_int_equal(self->refusal.type, YAMI_FRAME_REFUSE);
    assert_int_equal(frame->status, self->refusal.status);
    assert_int_equal(frame->handle, self->refusal.handle);
    assert_int_equal(frame->epoch, self->refusal.epoch);
    assert_int_equal(frame->first, self->refusal.first);
    assert_int_equal(frame->last, self->refusal.last);
    self->refusal.type = 0;
}

//  Of as many as it says, all durably; unless the store could not be read.
static void
s_see_reply(model_t *self)
{
    model_request_t *request = &self->request;
    uint64_t number = (uint64_t) fixture_number(self->fixture, "messages");
    bool has_failed = self->fixture->frame.status != YAM_STATUS_OK;
    bool is_purge = request->type == ASKS_PURGE;
    assert_int_not_equal(request->type, ASKS_NOTHING);
    assert_true(!has_failed || (self->fixture->frame.status == YAM_STATUS_INTERNAL &&
                                request->may_fail && !is_purge));
    assert_in_range(number, is_purge ? request->min : request->done,
                    is_purge ? request->max : request->done);
    for (size_t at = 0; at < self->fact_count; at++) {
        assert_false(self->facts[at].is_asked);
    }
    if (request->type == ASKS_CANCEL && !has_failed) {
        model_see_none_left(self);
    }
    request->type = ASKS_NOTHING;
}

static void
s_see_frame(model_t *self, uint64_t peer)
{
    const fixture_t *f = self->fixture;
    switch (f->frame.type) {
    case YAMI_FRAME_DELIVER:
        s_see_deliver(self, peer);
        break;
    case YAMI_FRAME_ACKED:
        s_see_acked(self, peer);
        break;
    case YAMI_FRAME_ATTACHED:
        if (peer == MODEL_PUBLISHER) {
            s_see_confirm(self);
            s_see_credit(self);
        }
        break;
    case YAMI_FRAME_CONFIRM:
        s_see_confirm(self);
        break;
    case YAMI_FRAME_CREDIT:
        s_see_credit(self);
        break;
    case YAMI_FRAME_REFUSE:
        s_see_refusal(self);
        break;
    case YAMI_FRAME_REPLY:
        s_see_reply(self);
        break;
    case YAMI_FRAME_ERROR:
        assert_true(self->may_be_stale && f->frame.status == YAM_STATUS_FENCED);
        break;
    case YAMI_FRAME_DETACHED:
        assert_true(f->frame.status == YAM_STATUS_OK || peer == MODEL_PUBLISHER);
        break;
    default:
        assert_int_equal(f->frame.type, YAMI_FRAME_WELCOME);
        break;
    }
}

void
model_observe(model_t *self)
{
    fixture_t *f = self->fixture;
    s_see_journal(self);
    while (f->sent_count > 0) { //  in the order of sending
        uint64_t peer = f->sent[0].peer;
        fixture_take_first(f);
        s_see_frame(self, peer);
    }
    assert_int_equal(self->refusal.type, 0);
    self->may_be_stale = false;
    self->request.may_fail |= f->read_error != 0;
}

void
model_is_quiet(const model_t *self)
{
    assert_int_equal(self->fact_count, 0);
    model_no_delay_is_over(self);
    for (int index = 0; index < MODEL_PRODUCERS; index++) {
        const model_producer_t *producer = &self->producers[index];
        assert_int_equal(producer->confirmed, producer->last);
        //  all that was sent has its answer, so the window is open again but for a quarter
        assert_true(producer->granted + (MODEL_WINDOW + 3) / 4 > producer->sent + MODEL_WINDOW);
    }
}
