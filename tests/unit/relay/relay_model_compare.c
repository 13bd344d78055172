//  The model against what a relay core has, also after power loss. See relay_model.h.

#include <string.h>

#include "relay_model_parts.h"

static const view_t *
s_views(const model_t *self, const model_group_t *group)
{
    static view_t views[1 << 16];
    assert_true(group->count < sizeof views / sizeof views[0]);
    if (group->count > group->floor) {
        relay_view_group(self->fixture, group->channel->name, group->name, group->floor + 1,
                         group->count, views);
    }
    return views;
}

void
model_compare(model_t *self)
{
    for (int at = 0; at < MODEL_CHANNELS; at++) {
        const model_channel_t *channel = &self->channels[at];
        assert_int_equal(relay_view_count(self->fixture, channel->name), channel->count);
    }
    for (int at = 0; at < MODEL_GROUPS; at++) {
        const model_group_t *group = &self->groups[at];
        const view_t *views = s_views(self, group);
        for (uint64_t index = group->floor; index < group->count; index++) {
            const view_t *now = &group->messages[index].now;
            const view_t *view = &views[index - group->floor];
            if (!group->messages[index].is_wanted) {
                assert_true(view->place == PLACE_SETTLED || now->place == PLACE_FREE);
                continue;
            }
            assert_int_equal(view->place, now->place);
            if (now->place != PLACE_SETTLED) {
                assert_int_equal(view->failures, now->failures);
                assert_int_equal(view->deliveries, now->deliveries);
                assert_int_equal(view->token, now->token);
                assert_string_equal(view->reason, now->reason);
                assert_int_equal(view->due_ms, now->due_ms);
            }
        }
    }
}

//  After a crash, one message is somewhere between what every restart knows and what one may know.
static void
s_check_restarted(const model_message_t *message, const view_t *view)
{
    const view_t *kept = &message->kept;
    const view_t *most = &message->most;
    assert_true(view->place != PLACE_LEASED);
    if (view->place == PLACE_SETTLED) {
        assert_true(most->place == PLACE_SETTLED || !message->is_wanted);
        return;
    }
    assert_true(kept->place != PLACE_SETTLED);
    assert_int_equal(view->due_ms, message->now.due_ms);
    assert_in_range(view->failures, kept->failures, most->failures);
    assert_in_range(view->deliveries, kept->deliveries, message->now.deliveries);
    if (view->failures == kept->failures) {
        assert_int_equal(view->place, kept->place);
        assert_string_equal(view->reason, kept->reason);
    }
}

static void
s_restart_group(model_t *self, model_group_t *group)
{
    group->count = group->channel->count;
    group->floor = group->floor < group->count ? group->floor : group->count;
    const view_t *views = s_views(self, group);
    for (uint64_t index = group->floor; index < group->count; index++) {
        model_message_t *message = &group->messages[index];
        const view_t *view = &views[index - group->floor];
        s_check_restarted(message, view);
        message->again_ms -= self->forward_ms - message->forward_ms; //  it was kept by that clock
        message->forward_ms = self->forward_ms;
        message->again_ms = view->failures == message->now.failures ? message->again_ms : 0;
        message->now = *view;
        message->kept = *view;
    }
}

//  What is neither surely in the journal nor surely not.
static void
s_note_doubts(model_t *self, size_t entry_count)
{
    for (int at = 0; at < MODEL_GROUPS; at++) {
        for (uint64_t index = self->groups[at].floor; index < self->groups[at].count; index++) {
            model_message_t *message = &self->groups[at].messages[index];
            message->most = message->kept;
        }
    }
    for (size_t index = 0; index < self->fact_count; index++) {
        const model_fact_t *fact = &self->facts[index];
        bool is_message = fact->type == FACT_SETTLED || fact->type == FACT_FAILED;
        if (fact->from >= entry_count || !is_message) {
            continue;
        }
        view_t *most = &model_message(fact->group, fact->sequence)->most;
        if (fact->type == FACT_SETTLED) {
            most->place = PLACE_SETTLED;
        } else if (fact->view.failures > most->failures) {
            most->failures = fact->view.failures;
        }
    }
    self->fact_count = 0;
}

void
model_crashed(model_t *self, size_t entry_count)
{
    model_keep(self, entry_count);
    s_note_doubts(self, entry_count);
    for (int at = 0; at < MODEL_CHANNELS; at++) {
        model_channel_t *channel = &self->channels[at];
        assert_int_equal(relay_view_count(self->fixture, channel->name), channel->kept);
        channel->count = channel->kept;
    }
    for (int at = 0; at < MODEL_GROUPS; at++) {
        s_restart_group(self, &self->groups[at]);
    }
    for (int at = 0; at < MODEL_PRODUCERS; at++) {
        self->producers[at].epoch = self->producers[at].kept_epoch;
        self->producers[at].last = self->producers[at].kept_last;
    }
    memset(self->granted, 0, sizeof self->granted);
    memset(self->received, 0, sizeof self->received);
    self->seen = entry_count;
    self->request.type = ASKS_NOTHING;
    self->crashes++;
}
