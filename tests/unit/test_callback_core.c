//  The core of a case: each arrow of its diagram, and random histories against an oracle that only
//  knows what came and when.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_callback.h"
#include "yam_error.h"
#include "yami_callback_core.h"
#include "yami_callback_horizon.h"

#define S_DELAY_MS 1000
#define S_LEASE_MS 400

static const yami_callback_rules_t s_rules = {.round_limit = 3,
                                              .try_limit = 4,
                                              .lease_ms = S_LEASE_MS,
                                              .backoff_ms = {10, 100},
                                              .backoff_count = 2};

static yami_callback_view_t s_view;
static yami_callback_effects_t s_effects;
static int64_t s_now_ms;

static int
s_setup(void **state)
{
    (void) state;
    memset(&s_view, 0, sizeof s_view);
    memset(&s_effects, 0, sizeof s_effects);
    s_now_ms = 1700000000000;
    return 0;
}

static int
s_step(const yami_callback_event_t *event)
{
    int rc = yami_callback_step(&s_rules, s_now_ms, event, &s_view, &s_effects);
    if (rc == 0) {
        yami_callback_check(&s_rules, &s_view);
    }
    return rc;
}

static void
s_check(void)
{
    yam_case_t check = {.id = "a", .queue = "orders", .service = "shop", .delay_ms = S_DELAY_MS};
    assert_int_equal(
        s_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_CHECK, .check = &check}), 0);
}

static void
s_confirm(int outcome, uint32_t round)
{
    yam_case_confirm_t confirm = {
        .id = "a", .outcome = outcome, .round = round, .time_ms = s_now_ms, .reason = "no stock"};
    assert_int_equal(
        s_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_CONFIRM, .confirm = &confirm}), 0);
}

static void
s_look(void)
{
    assert_int_equal(
        s_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK, .call = s_view.row.call}), 0);
}

static void
s_answer(uint32_t call, int answer)
{
    assert_int_equal(
        s_step(&(yami_callback_event_t) {
            .type = YAMI_CALLBACK_ANSWER, .call = call, .answer = answer, .text = "because"}),
        0);
}

static int
s_people(yami_callback_event_type_t type)
{
    return s_step(&(yami_callback_event_t) {.type = type, .text = "looked at it"});
}

static void
s_assert_note(size_t index, const char *event, const char *text)
{
    assert_true(index < s_effects.note_count);
    assert_string_equal(s_effects.notes[index].event, event);
    assert_string_equal(s_effects.notes[index].text, text);
}

//  -- Arrows ------------------------------------------------------------------------------------

static void
test_check_after_its_confirm_leaves_nothing(void **state)
{
    (void) state;
    s_confirm(YAM_CONFIRM_DONE, 0);
    assert_true(s_effects.writes_confirm);
    s_check();
    assert_int_equal(s_view.row.state, YAM_CASE_NONE);
    assert_false(s_effects.writes_case);
}

static void
test_confirm_after_its_check_leaves_nothing(void **state)
{
    (void) state;
    s_check();
    assert_int_equal(s_view.row.state, YAM_CASE_WAITING);
    s_confirm(YAM_CONFIRM_DONE, 0);
    assert_true(s_effects.drops_case);
    assert_int_equal(s_view.row.state, YAM_CASE_NONE);
}

static void
test_missing_confirm_calls_and_the_next_look_is_after_the_delay(void **state)
{
    (void) state;
    s_check();
    s_look();
    assert_true(s_effects.calls);
    s_assert_note(0, "missing", "");
    s_answer(1, YAM_CALLBACK_RESEND);
    assert_int_equal(s_view.row.state, YAM_CASE_WAITING);
    assert_int_equal(s_view.row.round, 1);
    assert_int_equal(s_view.row.due_ms, s_now_ms + S_DELAY_MS);
    s_now_ms += S_DELAY_MS - 1;
    s_look();
    assert_false(s_effects.calls);
    s_now_ms++;
    s_look();
    assert_true(s_effects.calls);
}

static void
test_after_the_last_round_the_case_is_open(void **state)
{
    (void) state;
    s_check();
    for (uint32_t round = 1; round <= s_rules.round_limit; round++) {
        s_look();
        assert_true(s_effects.calls);
        s_answer(round, YAM_CALLBACK_RESEND);
        s_now_ms += S_DELAY_MS;
    }
    s_look();
    assert_false(s_effects.calls);
    assert_int_equal(s_view.row.state, YAM_CASE_OPEN);
    s_assert_note(1, "open", "not confirmed after the last round");
}

static void
test_failed_confirm_waits_for_the_check_and_is_told(void **state)
{
    (void) state;
    s_confirm(YAM_CONFIRM_FAILED, 0);
    assert_false(s_effects.calls);
    s_check();
    assert_false(s_effects.calls);
    s_look();
    assert_true(s_effects.calls);
    s_assert_note(0, "failed", "no stock");
    s_answer(1, YAM_CALLBACK_RESEND);
    s_now_ms += S_DELAY_MS;
    s_look();
    s_assert_note(0, "missing", ""); //  that failure was of the round before
}

static void
test_failed_confirm_never_replaces_done(void **state)
{
    (void) state;
    s_confirm(YAM_CONFIRM_DONE, 0);
    s_confirm(YAM_CONFIRM_FAILED, 1);
    assert_false(s_effects.writes_confirm);
    assert_int_equal(s_view.confirm.outcome, YAM_CONFIRM_DONE);
    s_check();
    assert_int_equal(s_view.row.state, YAM_CASE_NONE);
}

static void
test_late_confirm_of_an_earlier_round_ends_the_case(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_answer(1, YAM_CALLBACK_RESEND);
    s_confirm(YAM_CONFIRM_DONE, 0);
    assert_int_equal(s_view.row.state, YAM_CASE_DONE);
    s_assert_note(0, "done", "");
    s_now_ms += S_DELAY_MS;
    s_look();
    assert_false(s_effects.calls);
}

static void
test_confirm_during_a_call_ends_the_case_and_its_answer_is_stale(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_confirm(YAM_CONFIRM_DONE, 0);
    assert_int_equal(s_view.row.state, YAM_CASE_DONE);
    s_answer(1, YAM_CALLBACK_RESEND);
    assert_true(s_effects.is_stale);
    assert_int_equal(s_view.row.state, YAM_CASE_DONE);
}

static void
test_confirm_of_an_open_case_ends_it(void **state)
{
    (void) state;
    test_after_the_last_round_the_case_is_open(state);
    s_confirm(YAM_CONFIRM_DONE, 2);
    assert_int_equal(s_view.row.state, YAM_CASE_DONE);
}

static void
test_gone_ends_the_case_with_the_note(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_answer(1, YAM_CALLBACK_GONE);
    assert_int_equal(s_view.row.state, YAM_CASE_GONE);
    s_assert_note(0, "gone", "because");
}

static void
test_calls_without_an_answer_cost_no_round_and_open_the_case_in_the_end(void **state)
{
    (void) state;
    static const int64_t waits_ms[] = {10, 100, 100};
    s_check();
    s_look();
    for (uint32_t call = 1; call < s_rules.try_limit; call++) {
        s_answer(call, call == 1 ? 0 : YAM_CALLBACK_LATER);
        s_assert_note(0, call == 1 ? "unanswered" : "later", "because");
        assert_int_equal(s_view.row.state, YAM_CASE_CALLING);
        assert_int_equal(s_view.row.due_ms, s_now_ms + waits_ms[call - 1]);
        s_look();
        assert_false(s_effects.calls);
        s_now_ms = s_view.row.due_ms;
        s_look();
        assert_true(s_effects.calls);
    }
    s_answer(s_rules.try_limit, 0);
    assert_int_equal(s_view.row.round, 0);
    assert_int_equal(s_view.row.state, YAM_CASE_OPEN);
    s_assert_note(1, "open", "the producer's service does not answer");
}

static void
test_call_whose_maker_died_is_made_again_and_the_old_answer_is_stale(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_now_ms += S_LEASE_MS - 1;
    s_look();
    assert_false(s_effects.calls);
    s_now_ms++;
    s_look();
    assert_true(s_effects.calls);
    assert_int_equal(s_view.row.call, 2);
    s_answer(1, YAM_CALLBACK_RESEND);
    assert_true(s_effects.is_stale);
    assert_int_equal(s_view.row.round, 0);
    s_answer(2, YAM_CALLBACK_RESEND);
    assert_int_equal(s_view.row.round, 1);
    s_answer(2, YAM_CALLBACK_RESEND);
    assert_true(s_effects.is_stale);
    assert_int_equal(s_view.row.round, 1);
}

static void
test_duplicate_checks_change_nothing(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_answer(1, YAM_CALLBACK_RESEND);
    s_now_ms += 1;
    s_check();
    assert_false(s_effects.writes_case);
    assert_int_equal(s_view.row.round, 1);
    s_confirm(YAM_CONFIRM_DONE, 1);
    s_check();
    assert_int_equal(s_view.row.state, YAM_CASE_DONE);
}

static void
test_case_that_somebody_moved_on_since_it_was_noted_is_left_alone(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_answer(1, YAM_CALLBACK_RESEND);
    s_now_ms += S_DELAY_MS; //  due again, but the horizon was asked for before that
    assert_int_equal(s_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK, .call = 0}), 0);
    assert_false(s_effects.calls);
    assert_false(s_effects.writes_case);
}

static void
test_clock_that_was_set_back_makes_nothing_wait_longer(void **state)
{
    (void) state;
    s_check();
    s_look();
    s_answer(1, YAM_CALLBACK_RESEND);
    s_now_ms -= 3600 * 1000;
    s_look();
    assert_false(s_effects.calls); //  nor less long
    assert_int_equal(s_view.row.due_ms, s_now_ms + S_DELAY_MS);
    s_now_ms += S_DELAY_MS;
    s_look();
    assert_true(s_effects.calls);
}

//  -- People ------------------------------------------------------------------------------------

static void
test_people_try_an_open_case_once_more(void **state)
{
    (void) state;
    test_after_the_last_round_the_case_is_open(state);
    assert_int_equal(s_people(YAMI_CALLBACK_RETRY), 0);
    s_assert_note(0, "retry", "");
    s_look();
    assert_true(s_effects.calls);
    s_answer(s_view.row.call, YAM_CALLBACK_RESEND);
    s_now_ms += S_DELAY_MS;
    s_look();
    assert_int_equal(s_view.row.state, YAM_CASE_OPEN);
}

static void
test_people_close_a_case_and_nobody_is_called(void **state)
{
    (void) state;
    s_check();
    s_look();
    assert_int_equal(s_people(YAMI_CALLBACK_CLOSE), 0);
    s_assert_note(0, "closed", "looked at it");
    s_answer(1, YAM_CALLBACK_RESEND);
    assert_true(s_effects.is_stale);
    s_now_ms += 10 * S_DELAY_MS;
    s_look();
    assert_false(s_effects.calls);
    assert_int_equal(s_people(YAMI_CALLBACK_CLOSE), -1);
    assert_int_equal(errno, EINVAL);
}

static void
test_what_is_done_cannot_be_tried_again(void **state)
{
    (void) state;
    test_late_confirm_of_an_earlier_round_ends_the_case(state);
    assert_int_equal(s_people(YAMI_CALLBACK_RETRY), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "confirmed"));
}

//  -- The horizon -------------------------------------------------------------------------------

static void
test_horizon_is_reached_when_all_that_was_there_is_acknowledged(void **state)
{
    (void) state;
    yami_callback_horizon_t horizon;
    yami_callback_horizon_ask(&horizon);
    assert_true(yami_callback_horizon_hear(&horizon, 0, 1)); //  nothing ever came
    yami_callback_horizon_ask(&horizon);
    assert_false(yami_callback_horizon_hear(&horizon, 1000, 1));
    //  what comes later is not waited for
    assert_false(yami_callback_horizon_hear(&horizon, 2000, 1000));
    assert_true(yami_callback_horizon_hear(&horizon, 3000, 1001));
}

static void
test_horizon_of_a_relay_that_begins_anew_is_its_own(void **state)
{
    (void) state;
    yami_callback_horizon_t horizon;
    yami_callback_horizon_ask(&horizon);
    assert_false(yami_callback_horizon_hear(&horizon, 1000, 1));
    assert_false(yami_callback_horizon_hear(&horizon, 7, 1));
    assert_true(yami_callback_horizon_hear(&horizon, 9, 8));
}

//  -- Random histories --------------------------------------------------------------------------

//  What an onlooker knows: nothing of states, only of what came and what was done.
typedef struct {
    bool is_checked; //  a check came
    bool is_done;    //  a confirm that says so
    bool is_ended;   //  gone, or closed by people
    bool is_asked;   //  a call is under way
    uint32_t call;   //  the latest
    uint32_t resent; //  answers to a latest call, that said so
    uint32_t tries;  //  calls since then
    int64_t called_ms;
    int64_t not_before_ms; //  nothing is called before
} s_oracle_t;

static s_oracle_t s_oracle;
static uint64_t s_seed;

static uint32_t
s_random(uint32_t below)
{
    s_seed = s_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (s_seed >> 33) % below;
}

static void
s_see_call(void)
{
    assert_true(s_oracle.is_checked);
    assert_false(s_oracle.is_done);
    assert_false(s_oracle.is_ended);
    assert_true(s_now_ms >= s_oracle.not_before_ms);
    s_oracle.call++;
    s_oracle.tries++;
    assert_int_equal(s_view.row.call, s_oracle.call);
    assert_true(s_oracle.tries <= s_rules.try_limit);
    s_oracle.is_asked = true;
    s_oracle.not_before_ms = s_now_ms + S_LEASE_MS;
}

static void
s_do_answer(void)
{
    static const int answers[] = {0, YAM_CALLBACK_RESEND, YAM_CALLBACK_RESEND, YAM_CALLBACK_GONE,
                                  YAM_CALLBACK_LATER};
    if (s_oracle.call == 0) {
        return;
    }
    //  A call has one answer: the latest, or that of one made before it.
    uint32_t call = s_oracle.is_asked && s_random(3) > 0 ? s_oracle.call : s_oracle.call - 1;
    int answer = answers[s_random(5)];
    bool counts = call == s_oracle.call && !s_oracle.is_done && !s_oracle.is_ended &&
                  s_view.row.state == YAM_CASE_CALLING;
    s_answer(call, answer);
    if (!counts) {
        assert_true(s_effects.is_stale);
        return;
    }
    s_oracle.is_asked = false;
    s_oracle.is_ended = answer == YAM_CALLBACK_GONE;
    s_oracle.not_before_ms = s_now_ms;
    if (answer == YAM_CALLBACK_RESEND) {
        s_oracle.resent++;
        s_oracle.tries = 0;
        s_oracle.not_before_ms = s_now_ms + S_DELAY_MS;
    }
}

static void
s_do_people(void)
{
    bool is_close = s_random(4) == 0;
    if (!s_oracle.is_checked || s_view.row.state == YAM_CASE_NONE) {
        return; //  the store refuses what is not there
    }
    int rc = s_people(is_close ? YAMI_CALLBACK_CLOSE : YAMI_CALLBACK_RETRY);
    if (rc == 0) {
        s_oracle.is_ended = is_close;
        s_oracle.is_asked = false;
        s_oracle.call += is_close ? 0 : 1;
        s_oracle.tries = 0;
        s_oracle.not_before_ms = s_now_ms;
    } else {
        assert_true(s_oracle.is_done || (is_close && s_oracle.is_ended));
    }
}

static void
s_do_confirm(void)
{
    bool is_done = s_random(8) == 0;
    s_confirm(is_done ? YAM_CONFIRM_DONE : YAM_CONFIRM_FAILED, s_random(s_oracle.resent + 1));
    s_oracle.is_done = s_oracle.is_done || is_done;
}

//  Nothing is forgotten, nothing alarms without reason, rounds are what was resent.
static void
s_compare(void)
{
    int now = s_view.row.state;
    bool is_known = now != YAM_CASE_NONE;
    assert_int_equal(s_view.row.round, is_known ? s_oracle.resent : 0);
    if (s_oracle.is_checked && !s_oracle.is_done && !s_oracle.is_ended) {
        assert_true(now == YAM_CASE_WAITING || now == YAM_CASE_CALLING || now == YAM_CASE_OPEN);
    }
    if (s_oracle.is_done) {
        assert_int_equal(s_view.confirm.outcome, YAM_CONFIRM_DONE);
        assert_true(now == YAM_CASE_NONE || now == YAM_CASE_DONE || s_oracle.is_ended);
    }
    if (now == YAM_CASE_OPEN) {
        assert_true(s_oracle.resent >= s_rules.round_limit || s_oracle.tries == s_rules.try_limit);
    }
}

static void
s_do_one(void)
{
    switch (s_random(10)) {
    case 0:
        s_check();
        s_oracle.is_checked = s_oracle.is_checked || !s_oracle.is_done;
        break;
    case 1:
        s_do_confirm();
        break;
    case 2:
    case 3:
        s_do_answer();
        break;
    case 4:
        s_now_ms += s_random(2 * S_DELAY_MS);
        break;
    case 5:
        s_do_people();
        break;
    default:
        s_look();
        if (s_effects.calls) {
            if (s_view.row.try_count == 1) {
                s_oracle.tries = 0;
            }
            s_see_call();
        }
        break;
    }
}

static void
test_random_histories_forget_nothing_and_alarm_nobody(void **state)
{
    (void) state;
    const char *steps = getenv("STEPS");
    const char *from = getenv("SEED");
    uint64_t histories = steps != NULL ? strtoull(steps, NULL, 10) / 60 : 20000;
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + histories; seed++) {
        s_setup(NULL);
        memset(&s_oracle, 0, sizeof s_oracle);
        s_seed = seed * 2654435761u;
        (void) printf(seed == first ? "# SEED=%llu and on\n" : "", (unsigned long long) seed);
        for (int step = 0; step < 60; step++) {
            s_do_one();
            s_compare();
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_check_after_its_confirm_leaves_nothing, s_setup),
        cmocka_unit_test_setup(test_confirm_after_its_check_leaves_nothing, s_setup),
        cmocka_unit_test_setup(test_missing_confirm_calls_and_the_next_look_is_after_the_delay,
                               s_setup),
        cmocka_unit_test_setup(test_after_the_last_round_the_case_is_open, s_setup),
        cmocka_unit_test_setup(test_failed_confirm_waits_for_the_check_and_is_told, s_setup),
        cmocka_unit_test_setup(test_failed_confirm_never_replaces_done, s_setup),
        cmocka_unit_test_setup(test_late_confirm_of_an_earlier_round_ends_the_case, s_setup),
        cmocka_unit_test_setup(test_confirm_during_a_call_ends_the_case_and_its_answer_is_stale,
                               s_setup),
        cmocka_unit_test_setup(test_confirm_of_an_open_case_ends_it, s_setup),
        cmocka_unit_test_setup(test_gone_ends_the_case_with_the_note, s_setup),
        cmocka_unit_test_setup(
            test_calls_without_an_answer_cost_no_round_and_open_the_case_in_the_end, s_setup),
        cmocka_unit_test_setup(test_call_whose_maker_died_is_made_again_and_the_old_answer_is_stale,
                               s_setup),
        cmocka_unit_test_setup(test_duplicate_checks_change_nothing, s_setup),
        cmocka_unit_test_setup(test_case_that_somebody_moved_on_since_it_was_noted_is_left_alone,
                               s_setup),
        cmocka_unit_test_setup(test_clock_that_was_set_back_makes_nothing_wait_longer, s_setup),
        cmocka_unit_test_setup(test_people_try_an_open_case_once_more, s_setup),
        cmocka_unit_test_setup(test_people_close_a_case_and_nobody_is_called, s_setup),
        cmocka_unit_test_setup(test_what_is_done_cannot_be_tried_again, s_setup),
        cmocka_unit_test(test_horizon_is_reached_when_all_that_was_there_is_acknowledged),
        cmocka_unit_test(test_horizon_of_a_relay_that_begins_anew_is_its_own),
        cmocka_unit_test(test_random_histories_forget_nothing_and_alarm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
