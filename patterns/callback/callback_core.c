//  yami_callback_core - what a callback service decides about one case. See the header.

#include "yami_callback_core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_callback.h"
#include "yami_base.h"
#include "yami_planted.h"

typedef struct {
    const yami_callback_rules_t *rules; //  borrowed, as all below
    int64_t now_ms;
    yam_case_t *row;
    yam_case_confirm_t *confirm;
    yami_callback_effects_t *effects;
} s_step_t;

static bool
s_is_active(const yam_case_t *row)
{
    return row->state == YAM_CASE_WAITING || row->state == YAM_CASE_CALLING ||
           row->state == YAM_CASE_OPEN;
}

static void
s_note(s_step_t *step, const char *event, const char *text)
{
    YAM_ASSERT(step->effects->note_count < YAMI_CALLBACK_NOTES);
    yam_case_note_t *note = &step->effects->notes[step->effects->note_count++];
    note->time_ms = step->now_ms;
    note->round = step->row->round;
    (void) snprintf(note->event, sizeof note->event, "%s", event);
    (void) snprintf(note->text, sizeof note->text, "%s", text);
}

static void
s_enter(s_step_t *step, yam_case_state_t state, int64_t due_ms)
{
    step->row->state = (int) state;
    step->row->due_ms = due_ms;
    step->row->changed_ms = step->now_ms;
    step->effects->writes_case = true;
}

//  (5)
static void
s_done(s_step_t *step)
{
    if (step->row->call == 0 && step->row->state == YAM_CASE_WAITING) {
        step->row->state = YAM_CASE_NONE;
        step->effects->drops_case = true;
        return;
    }
    s_enter(step, YAM_CASE_DONE, 0);
    s_note(step, "done", "");
}

static void
s_open(s_step_t *step, const char *why)
{
    s_enter(step, YAM_CASE_OPEN, 0);
    s_note(step, "open", why);
}

//  (2): who does not answer until then, is called again.
static void
s_call(s_step_t *step)
{
    step->row->call++;
    step->row->try_count++;
    s_enter(step, YAM_CASE_CALLING, step->now_ms + step->rules->lease_ms);
    step->effects->calls = true;
}

static int64_t
s_backoff_ms(const s_step_t *step)
{
    const yami_callback_rules_t *rules = step->rules;
    YAM_ASSERT(rules->backoff_count > 0 && step->row->try_count > 0);
    size_t index = step->row->try_count - 1;
    return rules->backoff_ms[index < rules->backoff_count ? index : rules->backoff_count - 1];
}

//  -- Messages ----------------------------------------------------------------------------------

static void
s_check(s_step_t *step, const yam_case_t *check)
{
    if (step->row->state != YAM_CASE_NONE || step->confirm->outcome == YAM_CONFIRM_DONE) {
        return; //  a duplicate, or nothing to worry about
    }
    *step->row = *check;
    step->row->round = 0;
    step->row->call = 0;
    step->row->try_count = 0;
    step->row->first_ms = step->now_ms;
    s_enter(step, YAM_CASE_WAITING, step->now_ms);
}

static void
s_confirm(s_step_t *step, const yam_case_confirm_t *confirm)
{
    if (step->confirm->outcome == YAM_CONFIRM_DONE) {
        return; //  (1)
    }
    *step->confirm = *confirm;
    step->effects->writes_confirm = true;
    if (confirm->outcome == YAM_CONFIRM_DONE && s_is_active(step->row)) {
        s_done(step);
    }
}

//  -- Time --------------------------------------------------------------------------------------

//  No confirm came that says done: the next round, or people.
static void
s_judge(s_step_t *step)
{
    bool has_failed =
        step->confirm->outcome == YAM_CONFIRM_FAILED && step->confirm->round == step->row->round;
    s_note(step, has_failed ? "failed" : "missing", has_failed ? step->confirm->reason : "");
    if (step->row->round >= step->rules->round_limit) {
        s_open(step, "not confirmed after the last round");
        return;
    }
    step->row->try_count = 0;
    s_call(step);
}

//  A call whose time is over, or that was put off.
static void
s_call_again(s_step_t *step)
{
    if (step->row->try_count >= step->rules->try_limit) {
        s_open(step, "the producer's service does not answer");
        return;
    }
    s_call(step);
}

static void
s_look(s_step_t *step, uint32_t call)
{
    yam_case_t *row = step->row;
    bool is_timed = row->state == YAM_CASE_WAITING || row->state == YAM_CASE_CALLING;
    if (!is_timed || row->call != call) {
        return; //  somebody moved it on since it was noted
    }
    if (step->confirm->outcome == YAM_CONFIRM_DONE) {
        s_done(step); //  two services stored check and confirm at the same time
        return;
    }
    if (row->changed_ms > step->now_ms + YAMI_CALLBACK_SKEW_MS) {
        int64_t span_ms = row->due_ms > row->changed_ms ? row->due_ms - row->changed_ms : 0;
        s_enter(step, (yam_case_state_t) row->state, step->now_ms + span_ms);
        return;
    }
    if (row->due_ms > step->now_ms) {
        return;
    }
    if (row->state == YAM_CASE_WAITING) {
        s_judge(step);
    } else {
        s_call_again(step);
    }
}

//  -- Answers -----------------------------------------------------------------------------------

static void
s_unanswered(s_step_t *step, const yami_callback_event_t *event)
{
    s_note(step, event->answer == YAM_CALLBACK_LATER ? "later" : "unanswered", event->text);
    if (step->row->try_count >= step->rules->try_limit) {
        s_open(step, "the producer's service does not answer");
        return;
    }
    s_enter(step, YAM_CASE_CALLING, step->now_ms + s_backoff_ms(step));
}

static void
s_answer(s_step_t *step, const yami_callback_event_t *event)
{
    bool is_latest = step->row->call == event->call || YAMI_PLANTED(STALE_ANSWER_TAKEN);
    if (step->row->state != YAM_CASE_CALLING || !is_latest) {
        step->effects->is_stale = true; //  (3)
        return;
    }
    switch (event->answer) {
    case YAM_CALLBACK_RESEND:
        step->row->round++; //  (4)
        s_note(step, "resent", event->text);
        s_enter(step, YAM_CASE_WAITING, step->now_ms + step->row->delay_ms);
        break;
    case YAM_CALLBACK_GONE:
        s_note(step, "gone", event->text);
        s_enter(step, YAM_CASE_GONE, 0);
        break;
    default:
        s_unanswered(step, event);
        break;
    }
}

//  -- People ------------------------------------------------------------------------------------

static int
s_retry(s_step_t *step)
{
    if (step->row->state == YAM_CASE_DONE || step->confirm->outcome == YAM_CONFIRM_DONE) {
        return yami_fail(EINVAL, "case %s is confirmed: there is nothing to try again",
                         step->row->id);
    }
    step->row->call++; //  (3): what was asked before does not count any more
    step->row->try_count = 0;
    s_note(step, "retry", "");
    s_enter(step, YAM_CASE_CALLING, step->now_ms);
    return 0;
}

static int
s_close(s_step_t *step, const char *text)
{
    if (!s_is_active(step->row)) {
        return yami_fail(EINVAL, "case %s has ended already", step->row->id);
    }
    s_note(step, "closed", text);
    s_enter(step, YAM_CASE_CLOSED, 0);
    return 0;
}

int
yami_callback_step(const yami_callback_rules_t *rules, int64_t now_ms,
                   const yami_callback_event_t *event, yami_callback_view_t *view,
                   yami_callback_effects_t *effects)
{
    s_step_t step = {rules, now_ms, &view->row, &view->confirm, effects};
    memset(effects, 0, sizeof *effects);
    switch (event->type) {
    case YAMI_CALLBACK_CHECK:
        s_check(&step, event->check);
        return 0;
    case YAMI_CALLBACK_CONFIRM:
        s_confirm(&step, event->confirm);
        return 0;
    case YAMI_CALLBACK_LOOK:
        s_look(&step, event->call);
        return 0;
    case YAMI_CALLBACK_ANSWER:
        s_answer(&step, event);
        return 0;
    case YAMI_CALLBACK_RETRY:
        return s_retry(&step);
    case YAMI_CALLBACK_CLOSE:
        return s_close(&step, event->text);
    }
    YAM_ASSERT(false);
}

void
yami_callback_check(const yami_callback_rules_t *rules, const yami_callback_view_t *view)
{
    const yam_case_t *row = &view->row;
    YAM_ASSERT(row->state >= YAM_CASE_NONE && row->state <= YAM_CASE_CLOSED);
    YAM_ASSERT(!s_is_active(row) || view->confirm.outcome != YAM_CONFIRM_DONE); //  (1)
    YAM_ASSERT(row->round <= row->call);                                        //  (4)
    YAM_ASSERT(row->try_count <= rules->try_limit);
    if (row->state == YAM_CASE_CALLING || row->state == YAM_CASE_WAITING) {
        YAM_ASSERT(row->due_ms > 0); //  (2)
    }
}
