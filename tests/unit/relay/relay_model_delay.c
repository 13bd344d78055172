//  Delayed messages: they wait in a channel of their own until their time has come, or somebody
//  cancels them. See relay_model.h.

#include <stdlib.h>
#include <string.h>

#include "relay_model_parts.h"
#include "yami_base.h"
#include "yami_relay_core.h"

bool
model_is_delayed(const model_t *self, const model_channel_t *channel)
{
    return channel >= &self->channels[4];
}

model_channel_t *
model_delayed(model_t *self, const model_channel_t *channel)
{
    return &self->channels[channel - self->channels + 4];
}

static const model_group_t *s_sorted; //  the group whose sequences are sorted

static int
s_by_time(const void *left_p, const void *right_p)
{
    uint64_t left = *(const uint64_t *) left_p;
    uint64_t right = *(const uint64_t *) right_p;
    int64_t left_ms = model_message(s_sorted, left)->now.due_ms;
    int64_t right_ms = model_message(s_sorted, right)->now.due_ms;
    return left_ms < right_ms ? -1 : left_ms > right_ms ? 1 : left < right ? -1 : left > right;
}

uint64_t *
model_due(const model_t *self, const model_group_t *origin, size_t *count_p)
{
    uint64_t *due = yami_try_alloc((origin->count + 1) * sizeof *due, MODEL_MEMORY);
    size_t count = 0;
    assert_non_null(due);
    for (uint64_t sequence = origin->floor + 1; sequence <= origin->count; sequence++) {
        const view_t *now = &model_message(origin, sequence)->now;
        if (now->place == PLACE_FREE && now->due_ms <= self->fixture->wall_ms) {
            due[count++] = sequence;
        }
    }
    s_sorted = origin;
    qsort(due, count, sizeof *due, s_by_time);
    for (*count_p = 0; *count_p < count && due[*count_p] <= origin->channel->kept;) {
        ++*count_p;
    }
    return due;
}

//  -- cancels -----------------------------------------------------------------------------------

void
model_cancel(model_t *self, const char *channel, const char *id)
{
    model_group_t *group = NULL;
    for (int at = 0; at < MODEL_GROUPS; at++) {
        model_group_t *other = &self->groups[at];
        size_t size = strlen(channel);
        bool is_meant = model_is_delayed(self, other->channel) &&
                        strncmp(other->channel->name, channel, size) == 0;
        group = is_meant ? other : group;
    }
    assert_non_null(group);
    self->request = (model_request_t) {.type = ASKS_CANCEL,
                                       .group = group,
                                       .id = id,
                                       .last = group->count,
                                       .may_fail = self->fixture->read_error != 0};
}

static bool
s_is_meant(const model_t *self, uint64_t sequence)
{
    const model_request_t *request = &self->request;
    const char *id = request->group->channel->contents[sequence - 1].id;
    return id != NULL && strcmp(id, request->id) == 0;
}

//  Only what was asked for ends so, and not before it is durable.
void
model_see_cancelled(model_t *self, model_group_t *group, uint64_t sequence, size_t index)
{
    assert_int_equal(self->request.type, ASKS_CANCEL);
    assert_ptr_equal(self->request.group, group);
    assert_true(s_is_meant(self, sequence));
    assert_true(sequence <= group->channel->kept);
    model_fact_t *fact = model_settled(self, group, sequence);
    fact->from = index;
    fact->is_asked = true;
    self->request.done++;
    self->cancelled++;
}

void
model_see_none_left(const model_t *self)
{
    const model_group_t *group = self->request.group;
    for (uint64_t sequence = group->floor + 1; sequence <= self->request.last; sequence++) {
        assert_true(model_message(group, sequence)->now.place == PLACE_SETTLED ||
                    !s_is_meant(self, sequence));
    }
}

//  -- time --------------------------------------------------------------------------------------

void
model_set_clock(model_t *self, int64_t ms)
{
    self->fixture->wall_ms += ms;
    self->forward_ms += ms > 0 ? ms : 0;
}

void
model_no_delay_is_over(const model_t *self)
{
    const fixture_t *f = self->fixture;
    for (int at = MODEL_HANDLES; at < MODEL_GROUPS; at++) {
        const model_group_t *group = &self->groups[at];
        for (uint64_t sequence = group->floor + 1; sequence <= group->count; sequence++) {
            const view_t *now = &model_message(group, sequence)->now;
            if (now->place == PLACE_FREE) {
                assert_true(now->due_ms > f->wall_ms);
                assert_true(yami_relay_core_deadline(f->core) - f->mono_ms <=
                            now->due_ms - f->wall_ms);
            }
        }
    }
}
