//  See relay_model.h.

#include "relay_model.h"

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define LIMIT ((size_t) 1 << 24)
#define LEASE_MS 5000

void
model_init(model_t *self, fixture_t *fixture)
{
    memset(self, 0, sizeof *self);
    self->fixture = fixture;
    self->groups[0] = (model_group_t) {.channel = "q", .name = "", .handle = 1};
    self->groups[1] = (model_group_t) {.channel = "t", .name = "a", .handle = 2};
    self->groups[2] = (model_group_t) {.channel = "t", .name = "b", .handle = 3};
    self->groups[3] = (model_group_t) {.channel = "q.dead", .name = "", .handle = 4};
}

void
model_clear(model_t *self)
{
    for (size_t index = 0; index < 4; index++) {
        yami_free(self->groups[index].messages);
    }
    for (size_t index = 0; index < FIXTURE_CHANNELS; index++) {
        yami_free(self->bodies[index]);
    }
}

static yami_relay_group_t *
s_core_group(const model_t *self, const model_group_t *group)
{
    yami_relay_channel_t *channel =
        yami_relay_channel_find(self->fixture->core, group->channel, strlen(group->channel));
    if (channel == NULL) {
        return NULL;
    }
    return group->name[0] == '\0' ? TAILQ_FIRST(&channel->groups)
                                  : yami_relay_group_find(channel, yami_slice_text(group->name));
}

static void
s_reach(model_group_t *group, uint64_t last)
{
    int rc = yami_grow(&group->messages, &group->capacity, (size_t) last + 1,
                       sizeof *group->messages, LIMIT);
    assert_int_equal(rc, 0);
    while (group->count < last) {
        memset(&group->messages[group->count++], 0, sizeof *group->messages);
    }
}

static model_message_t *
s_message(model_group_t *group, uint64_t sequence)
{
    assert_true(sequence >= 1 && sequence <= group->count);
    return &group->messages[sequence - 1];
}

//  -- the journal
//  ---------------------------------------------------------------------------------------------

static void
s_note_bodies(model_t *self, const yami_entry_t *entry)
{
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
    assert_int_equal(batch.count, entry->count);
    uint32_t channel = entry->channel;
    assert_int_equal(entry->base, self->body_count[channel] + 1); //  contiguous
    size_t offset = 0;
    yami_record_t record;
    for (uint32_t index = 0; index < batch.count; index++) {
        int rc = yami_grow(&self->bodies[channel], &self->body_capacity[channel],
                           self->body_count[channel] + 1, sizeof *self->bodies[channel], LIMIT);
        assert_int_equal(rc, 0);
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        assert_true(record.body.size < 16);
        char *body = self->bodies[channel][self->body_count[channel]++];
        (void) snprintf(body, 16, "%.*s", (int) record.body.size, (const char *) record.body.data);
    }
}

static void
s_note_move(model_t *self, const yami_entry_t *entry)
{
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    (void) yami_reader_uint(&reader);
    uint64_t number = yami_reader_uint(&reader);
    for (size_t index = 0; index < 4; index++) {
        model_group_t *group = &self->groups[index];
        yami_relay_group_t *core_group = s_core_group(self, group);
        if (core_group == NULL || core_group->number != number) {
            continue;
        }
        uint32_t count = yami_reader_array(&reader) / 2;
        uint64_t sequence = 0;
        for (uint32_t range = 0; range < count; range++) {
            sequence += yami_reader_uint(&reader);
            for (uint64_t left = yami_reader_uint(&reader); left > 0; left--, sequence++) {
                model_message_t *message = s_message(group, sequence);
                assert_int_equal(message->place, index == 3 ? MODEL_FREE : MODEL_DEAD);
                *message = (model_message_t) {.place = MODEL_SETTLED};
            }
        }
    }
    assert_false(reader.failed);
}

static void
s_observe_journal(model_t *self)
{
    fixture_t *f = self->fixture;
    for (; self->seen < f->entry_count; self->seen++) {
        const yami_entry_t *entry = &f->entries[self->seen].entry;
        if (entry->count > 0) {
            s_note_bodies(self, entry);
        }
        if (entry->kind == YAMI_KIND_MOVE) {
            s_note_move(self, entry);
        }
    }
    for (size_t index = 0; index < 4; index++) {
        const yami_relay_group_t *core_group = s_core_group(self, &self->groups[index]);
        if (core_group != NULL) {
            s_reach(&self->groups[index], self->body_count[core_group->channel->number]);
        }
    }
}

//  -- frames
//  ----------------------------------------------------------------------------------------------------

static model_group_t *
s_group_of_handle(model_t *self, uint32_t handle)
{
    assert_in_range(handle, 1, 4);
    return &self->groups[handle - 1];
}

//  Everything of DELIVER must be durable, free, and the content that was published under that
//  sequence.
static void
s_observe_deliver(model_t *self, uint64_t peer)
{
    fixture_t *f = self->fixture;
    model_group_t *group = s_group_of_handle(self, f->frame.handle);
    yami_relay_group_t *core_group = s_core_group(self, group);
    assert_true(f->frame.last < core_group->channel->durable);
    for (uint64_t sequence = f->frame.first; sequence <= f->frame.last; sequence++) {
        model_message_t *message = s_message(group, sequence);
        assert_int_equal(message->place, MODEL_FREE);
        assert_int_equal(message->failures, f->frame.failures);
        assert_string_equal(fixture_body(f, sequence),
                            self->bodies[core_group->channel->number][sequence - 1]);
        message->place = MODEL_LEASED;
        message->token = f->frame.token;
        message->peer = peer;
        message->deadline_ms = f->mono_ms + LEASE_MS;
        self->delivered++;
    }
}

static void
s_observe_acked(model_t *self, uint64_t peer, uint32_t handle, uint64_t serial)
{
    model_group_t *group = s_group_of_handle(self, handle);
    for (size_t index = 0; index < group->count; index++) {
        model_message_t *message = &group->messages[index];
        if (message->place == MODEL_SETTLED && message->peer == peer && message->serial > 0 &&
            message->serial <= serial) {
            message->is_told = true;
        }
    }
}

void
model_observe(model_t *self)
{
    fixture_t *f = self->fixture;
    s_observe_journal(self);
    for (uint64_t peer = 1; peer < 40; peer++) {
        while (f->sent_count > 0 && fixture_take(f, peer, YAMI_FRAME_DELIVER)) {
            s_observe_deliver(self, peer);
        }
        while (f->sent_count > 0 && fixture_take(f, peer, YAMI_FRAME_ACKED)) {
            s_observe_acked(self, peer, f->frame.handle, f->frame.serial);
        }
    }
    fixture_forget(f);
}

//  -- what clients and time do
//  --------------------------------------------------------------------------------

static void
s_fail(const model_t *self, const model_group_t *group, model_message_t *message, bool is_rejected)
{
    message->failures++;
    bool is_over = is_rejected || message->failures >= self->fixture->options.delivery_limit;
    message->place = is_over && group != &self->groups[3] ? MODEL_DEAD : MODEL_FREE;
    message->token = 0;
}

static void
s_extend(const model_t *self, model_group_t *group, uint64_t token)
{
    for (size_t index = 0; index < group->count; index++) {
        if (group->messages[index].place == MODEL_LEASED && group->messages[index].token == token) {
            group->messages[index].deadline_ms = self->fixture->mono_ms + LEASE_MS;
        }
    }
}

void
model_settle(model_t *self, uint64_t peer, uint32_t handle, int type, uint64_t serial,
             uint64_t token, uint64_t first, uint64_t last)
{
    model_group_t *group = s_group_of_handle(self, handle);
    for (uint64_t sequence = first; sequence <= last && sequence <= group->count; sequence++) {
        model_message_t *message = s_message(group, sequence);
        if (message->place != MODEL_LEASED || message->token != token || message->peer != peer) {
            continue;
        }
        if (type == YAMI_FRAME_ACK) {
            message->place = MODEL_SETTLED;
            message->serial = serial;
        } else if (type == YAMI_FRAME_EXTEND) {
            s_extend(self, group, token);
        } else if (type == YAMI_FRAME_RELEASE) {
            message->place = MODEL_FREE;
        } else {
            s_fail(self, group, message, type == YAMI_FRAME_REJECT);
        }
    }
}

void
model_time(model_t *self)
{
    for (size_t at = 0; at < 4; at++) {
        model_group_t *group = &self->groups[at];
        for (size_t index = 0; index < group->count; index++) {
            model_message_t *message = &group->messages[index];
            if (message->place == MODEL_LEASED && message->deadline_ms <= self->fixture->mono_ms) {
                s_fail(self, group, message, false);
            }
        }
    }
}

void
model_gone(model_t *self, uint64_t peer)
{
    for (size_t at = 0; at < 4; at++) {
        model_group_t *group = &self->groups[at];
        for (size_t index = 0; index < group->count; index++) {
            model_message_t *message = &group->messages[index];
            if (message->place == MODEL_LEASED && message->peer == peer) {
                message->place = MODEL_FREE;
            }
            message->serial =
                message->peer == peer ? 0 : message->serial; //  its ACKED will not come
        }
    }
}

void
model_purged(model_t *self, const char *channel)
{
    for (size_t at = 0; at < 4; at++) {
        model_group_t *group = &self->groups[at];
        for (size_t index = 0; index < group->count && strcmp(group->channel, channel) == 0;
             index++) {
            if (group->messages[index].place != MODEL_SETTLED) {
                group->messages[index] = (model_message_t) {.place = MODEL_SETTLED};
            }
        }
    }
}

//  -- against the core
//  --------------------------------------------------------------------------------------------

//  Where the core has it, in the model's words.
static model_message_t
s_core_message(const yami_relay_group_t *group, uint64_t sequence, const yami_piece_t *piece)
{
    static const model_place_t places[] = {[YAMI_PIECE_READY] = MODEL_FREE,
                                           [YAMI_PIECE_WAITING] = MODEL_FREE,
                                           [YAMI_PIECE_LEASED] = MODEL_LEASED,
                                           [YAMI_PIECE_MOVING] = MODEL_DEAD};
    model_message_t message = {.place = sequence < group->next ? MODEL_SETTLED : MODEL_FREE};
    if (piece != NULL && piece->first <= sequence && sequence <= piece->last) {
        message.place = places[piece->state];
        message.failures = piece->failures;
        message.token = piece->lease != NULL ? ((yami_relay_lease_t *) piece->lease)->token : 0;
    }
    return message;
}

static void
s_compare_message(model_message_t *model, const model_message_t *core, bool is_crash)
{
    if (is_crash) {
        bool was_settled = model->place == MODEL_SETTLED;
        assert_true(core->place != MODEL_LEASED);
        assert_true(was_settled || core->place != MODEL_SETTLED);
        assert_true(!model->is_told || core->place == MODEL_SETTLED);
        assert_true(was_settled || core->failures <= model->failures);
        *model = *core;
        model->is_told = core->place == MODEL_SETTLED;
        return;
    }
    assert_int_equal(model->place, core->place);
    if (model->place == MODEL_LEASED) {
        assert_int_equal(model->token, core->token);
    }
    if (model->place != MODEL_SETTLED) {
        assert_int_equal(model->failures, core->failures);
    }
}

//  After a crash: what was not durable was never there.
static void
s_forget(model_t *self)
{
    fixture_t *f = self->fixture;
    for (uint32_t number = 0; number < FIXTURE_CHANNELS; number++) {
        const yami_relay_channel_t *channel =
            number > 0 ? yami_relay_map_get(&f->core->channel_numbers, number) : NULL;
        size_t count = channel != NULL ? (size_t) channel->next - 1 : 0;
        assert_true(count <= self->body_count[number]);
        self->body_count[number] = count;
    }
    self->seen = f->entry_count;
    self->crashes++;
}

void
model_compare(model_t *self, bool is_crash)
{
    if (is_crash) {
        s_forget(self);
    }
    for (size_t at = 0; at < 4; at++) {
        model_group_t *group = &self->groups[at];
        yami_relay_group_t *core_group = s_core_group(self, group);
        size_t count = core_group != NULL ? (size_t) core_group->channel->next - 1 : 0;
        assert_true(is_crash ? count <= group->count : count == group->count);
        group->count = count;
        const yami_piece_t *piece = count > 0 ? yami_pieces_find(&core_group->pieces, 0) : NULL;
        for (uint64_t sequence = 1; sequence <= count; sequence++) {
            while (piece != NULL && piece->last < sequence) {
                piece = yami_pieces_next(piece);
            }
            model_message_t core = s_core_message(core_group, sequence, piece);
            s_compare_message(s_message(group, sequence), &core, is_crash);
        }
    }
}
