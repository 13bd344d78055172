//  See relay_model.h. What is seen of the core is in relay_model_seen.c.

#include "relay_model_parts.h"

#include <stdio.h>
#include <string.h>

#include "yami_base.h"

static const struct {
    int channel;
    const char *name;
} s_groups[MODEL_GROUPS] = {{0, ""}, {1, "a"}, {1, "b"}, {1, "c"},
                            {2, ""}, {3, ""},  {4, ""},  {5, ""}};

//  Milliseconds until a message comes again, by its failures; the relay may go a fifth below that.
static const int64_t s_backoff_ms[] = {10, 200, 1000};

void
model_init(model_t *self, fixture_t *fixture)
{
    static const char *const channels[MODEL_CHANNELS] = {"q",      "t",         "q.dead",
                                                         "t.dead", "q.delayed", "t.delayed"};
    memset(self, 0, sizeof *self);
    self->fixture = fixture;
    for (int index = 0; index < MODEL_CHANNELS; index++) {
        self->channels[index].name = channels[index];
    }
    for (int index = 0; index < MODEL_GROUPS; index++) {
        self->groups[index].channel = &self->channels[s_groups[index].channel];
        self->groups[index].name = s_groups[index].name;
    }
    for (int index = 0; index < MODEL_PRODUCERS; index++) {
        self->producers[index].channel = &self->channels[index / 3];
        self->producers[index].id = (uint8_t) (index % 3 + 1);
    }
}

void
model_clear(model_t *self)
{
    for (int index = 0; index < MODEL_GROUPS; index++) {
        yami_free(self->groups[index].messages);
    }
    for (int index = 0; index < MODEL_CHANNELS; index++) {
        yami_free(self->channels[index].contents);
    }
    yami_free(self->facts);
}

bool
model_is_dead(const model_t *self, const model_channel_t *channel)
{
    return channel >= &self->channels[2] && !model_is_delayed(self, channel);
}

model_message_t *
model_message(const model_group_t *group, uint64_t sequence)
{
    assert_true(sequence >= 1 && sequence <= group->count);
    return &group->messages[sequence - 1];
}

model_fact_t *
model_fact(model_t *self)
{
    int rc = yami_grow(&self->facts, &self->fact_capacity, self->fact_count + 1,
                       sizeof *self->facts, MODEL_MEMORY);
    assert_int_equal(rc, 0);
    model_fact_t *fact = &self->facts[self->fact_count++];
    memset(fact, 0, sizeof *fact);
    fact->from = self->fixture->entry_count;
    return fact;
}

//  The message is in every group of its channel.
void
model_add(model_t *self, model_channel_t *channel, const model_content_t *content)
{
    int rc = yami_grow(&channel->contents, &channel->capacity, channel->count + 1,
                       sizeof *channel->contents, MODEL_MEMORY);
    assert_int_equal(rc, 0);
    channel->contents[channel->count++] = *content;
    for (int index = 0; index < MODEL_GROUPS; index++) {
        model_group_t *group = &self->groups[index];
        if (group->channel != channel) {
            continue;
        }
        rc = yami_grow(&group->messages, &group->capacity, channel->count, sizeof *group->messages,
                       MODEL_MEMORY);
        assert_int_equal(rc, 0);
        int64_t due_ms = model_is_delayed(self, channel) ? content->due_ms : 0;
        group->messages[group->count++] = (model_message_t) {
            .now.due_ms = due_ms, .is_wanted = index != MODEL_FILTERED || content->is_eu};
    }
}

model_fact_t *
model_settled(model_t *self, model_group_t *group, uint64_t sequence)
{
    model_message_t *message = model_message(group, sequence);
    message->now.place = PLACE_SETTLED;
    message->now.token = 0;
    model_fact_t *fact = model_fact(self);
    fact->type = FACT_SETTLED;
    fact->group = group;
    fact->sequence = sequence;
    return fact;
}

//  -- producers ---------------------------------------------------------------------------------

void
model_attach(model_t *self, size_t index, uint32_t handle, bool is_new_epoch)
{
    model_producer_t *producer = &self->producers[index];
    producer->handle = handle;
    producer->granted = 0;
    producer->sent = 0;
    producer->confirmed = 0;
    if (is_new_epoch) {
        producer->epoch++;
        producer->last = 0;
        model_fact_t *fact = model_fact(self);
        fact->type = FACT_EPOCH;
        fact->producer = producer;
        fact->epoch = producer->epoch;
    }
}

static void
s_expect_refusal(model_t *self, const model_producer_t *producer, uint32_t epoch, uint64_t first,
                 uint64_t last, yam_status_t status)
{
    self->refusal = (yami_frame_t) {.type = YAMI_FRAME_REFUSE,
                                    .handle = producer->handle,
                                    .epoch = epoch,
                                    .first = first,
                                    .last = last,
                                    .status = (uint64_t) status};
}

//  What is for later waits elsewhere; the journal has it in another entry.
static void
s_store(model_t *self, model_producer_t *producer, const model_content_t *content)
{
    bool is_later = content->due_ms > self->fixture->wall_ms;
    model_channel_t *channel =
        is_later ? model_delayed(self, producer->channel) : producer->channel;
    model_add(self, channel, content);
    producer->last++;
    model_fact_t *fact = model_fact(self);
    fact->type = FACT_STORED;
    fact->channel = channel;
    fact->count = channel->count;
    fact->producer = producer;
    fact->epoch = producer->epoch;
    fact->last = producer->last;
}

void
model_publish(model_t *self, size_t index, uint8_t id, uint32_t epoch, uint64_t first,
              uint32_t count, const model_content_t *contents)
{
    model_producer_t *producer = &self->producers[index];
    uint64_t last = first + count - 1;
    producer->sent += count;
    if (id != producer->id) {
        s_expect_refusal(self, producer, epoch, first, last, YAM_STATUS_CONFLICT);
    } else if (epoch != producer->epoch) {
        s_expect_refusal(self, producer, epoch, first, last, YAM_STATUS_FENCED);
    } else if (last <= producer->last) {
        return; //  all of it is known
    } else if (first > producer->last + 1) {
        s_expect_refusal(self, producer, epoch, producer->last + 1, last, YAM_STATUS_GAP);
    } else if (!self->fixture->has_room) {
        s_expect_refusal(self, producer, epoch, producer->last + 1, last, YAM_STATUS_DISK);
    } else {
        while (producer->last < last) {
            s_store(self, producer, &contents[producer->last + 1 - first]);
        }
    }
}

//  -- consumers ---------------------------------------------------------------------------------

void
model_credit(model_t *self, uint64_t peer, uint32_t handle, uint64_t messages)
{
    uint64_t *granted = &self->granted[peer][handle];
    *granted = messages > *granted ? messages : *granted;
}

static int64_t
s_delay_ms(const model_t *self, const model_group_t *group, uint32_t failures, int64_t delay_ms)
{
    bool is_dead = model_is_dead(self, group->channel);
    if (delay_ms >= 0 && !is_dead) {
        return delay_ms;
    }
    return s_backoff_ms[is_dead || failures > 3 ? 2 : failures - 1] * 4 / 5;
}

static void
s_fail(model_t *self, model_group_t *group, uint64_t sequence, bool is_rejected, int64_t delay_ms,
       const char *reason)
{
    model_message_t *message = model_message(group, sequence);
    view_t *now = &message->now;
    now->failures++;
    bool is_over = is_rejected || now->failures >= MODEL_LIMIT;
    now->place = is_over && !model_is_dead(self, group->channel) ? PLACE_DEAD : PLACE_FREE;
    now->token = 0;
    (void) snprintf(now->reason, sizeof now->reason, "%s", reason != NULL ? reason : "");
    message->again_ms = self->now_ms + s_delay_ms(self, group, now->failures, delay_ms);
    message->forward_ms = self->forward_ms;
    model_fact_t *fact = model_fact(self);
    fact->type = FACT_FAILED;
    fact->group = group;
    fact->sequence = sequence;
    fact->view = *now;
}

//  A message that is leased so; NULL when there is none.
static const model_message_t *
s_leased(const model_group_t *group, uint64_t peer, uint64_t token)
{
    for (uint64_t index = group->floor; index < group->count; index++) {
        const model_message_t *message = &group->messages[index];
        if (message->now.place == PLACE_LEASED && message->now.token == token &&
            message->peer == peer) {
            return message;
        }
    }
    return NULL;
}

static void
s_extend(const model_t *self, const model_group_t *group, uint64_t token)
{
    for (uint64_t index = group->floor; index < group->count; index++) {
        model_message_t *message = &group->messages[index];
        if (message->now.place == PLACE_LEASED && message->now.token == token) {
            message->deadline_ms = self->now_ms + MODEL_LEASE_MS;
        }
    }
}

static void
s_settle_one(model_t *self, model_group_t *group, uint64_t sequence, const model_settle_t *settle)
{
    model_message_t *message = model_message(group, sequence);
    if (settle->type == YAMI_FRAME_ACK) {
        model_fact_t *fact = model_settled(self, group, sequence);
        fact->peer = settle->peer;
        fact->handle = settle->handle;
        fact->serial = settle->serial;
    } else if (settle->type == YAMI_FRAME_RELEASE) {
        message->now.place = PLACE_FREE;
        message->now.token = 0;
    } else {
        s_fail(self, group, sequence, settle->type == YAMI_FRAME_REJECT, settle->delay_ms,
               settle->reason);
    }
}

void
model_settle(model_t *self, const model_settle_t *settle)
{
    const yami_settle_t *range = &settle->range;
    model_group_t *group = &self->groups[settle->handle - 1];
    const model_message_t *leased = s_leased(group, settle->peer, range->token);
    self->now_ms = self->fixture->mono_ms;
    if (leased == NULL || range->first < leased->lease_first || range->last > leased->lease_last) {
        self->may_be_stale = true; //  all of the range
        return;
    }
    if (settle->type == YAMI_FRAME_EXTEND) { //  of the whole lease, whatever part is named
        s_extend(self, group, range->token);
        return;
    }
    for (uint64_t sequence = range->first; sequence <= range->last; sequence++) {
        const view_t *now = &model_message(group, sequence)->now;
        if (now->place == PLACE_LEASED && now->token == range->token) {
            s_settle_one(self, group, sequence, settle);
        } else {
            self->may_be_stale = true;
        }
    }
}

void
model_leave(model_t *self, uint64_t peer, uint32_t handle)
{
    for (uint32_t at = 1; at <= MODEL_HANDLES; at++) {
        model_group_t *group = &self->groups[at - 1];
        if (handle != 0 && handle != at) {
            continue;
        }
        self->granted[peer][at] = 0;
        self->received[peer][at] = 0;
        for (uint64_t index = group->floor; index < group->count; index++) {
            model_message_t *message = &group->messages[index];
            if (message->now.place == PLACE_LEASED && message->peer == peer) {
                message->now.place = PLACE_FREE;
                message->now.token = 0;
            }
        }
    }
}

//  -- administration, time ----------------------------------------------------------------------

void
model_purge(model_t *self, const char *channel, const char *group_name)
{
    model_request_t *request = &self->request;
    *request = (model_request_t) {.type = ASKS_PURGE};
    for (int at = 0; at < MODEL_GROUPS; at++) {
        model_group_t *group = &self->groups[at];
        if (strcmp(group->channel->name, channel) != 0 ||
            (group_name[0] != '\0' && strcmp(group->name, group_name) != 0)) {
            continue;
        }
        uint64_t count = 0;
        for (uint64_t sequence = group->floor + 1; sequence <= group->count; sequence++) {
            const model_message_t *message = model_message(group, sequence);
            if (message->now.place != PLACE_SETTLED && message->is_wanted) {
                model_settled(self, group, sequence)->is_asked = true;
                count++;
            }
        }
        //  which of those that a filter leaves out the relay has skipped already, nobody can say
        uint64_t most = at == MODEL_FILTERED ? group->count : count;
        request->min = count > request->min ? count : request->min;
        request->max = most > request->max ? most : request->max;
    }
}

void
model_redrive(model_t *self)
{
    self->request =
        (model_request_t) {.type = ASKS_REDRIVE, .may_fail = self->fixture->read_error != 0};
}

void
model_time(model_t *self, int64_t ms)
{
    self->now_ms = self->fixture->mono_ms + ms;
    for (int at = 0; at < MODEL_GROUPS; at++) {
        model_group_t *group = &self->groups[at];
        for (uint64_t sequence = group->floor + 1; sequence <= group->count; sequence++) {
            const model_message_t *message = model_message(group, sequence);
            if (message->now.place == PLACE_LEASED && message->deadline_ms <= self->now_ms) {
                s_fail(self, group, sequence, false, -1, "lease timeout");
            }
        }
    }
}
