//  The core of a case: each arrow of its diagram; and the horizon.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback/case_fixture.h"
#include "yam_callback.h"
#include "yam_error.h"
#include "yami_callback_horizon.h"

static void
s_assert_note(size_t index, const char *event, const char *text)
{
    assert_true(index < case_effects.note_count);
    assert_string_equal(case_effects.notes[index].event, event);
    assert_string_equal(case_effects.notes[index].text, text);
}

//  -- Arrows ------------------------------------------------------------------------------------

static void
test_check_after_its_confirm_leaves_nothing(void **state)
{
    (void) state;
    case_confirm(YAM_CONFIRM_DONE, 0);
    assert_true(case_effects.writes_confirm);
    case_check();
    assert_int_equal(case_view.row.state, YAM_CASE_NONE);
    assert_false(case_effects.writes_case);
}

static void
test_confirm_after_its_check_leaves_nothing(void **state)
{
    (void) state;
    case_check();
    assert_int_equal(case_view.row.state, YAM_CASE_WAITING);
    case_confirm(YAM_CONFIRM_DONE, 0);
    assert_true(case_effects.drops_case);
    assert_int_equal(case_view.row.state, YAM_CASE_NONE);
}

static void
test_missing_confirm_calls_and_the_next_look_is_after_the_delay(void **state)
{
    (void) state;
    case_check();
    case_look();
    assert_true(case_effects.calls);
    s_assert_note(0, "missing", "");
    case_answer(1, YAM_CALLBACK_RESEND);
    assert_int_equal(case_view.row.state, YAM_CASE_WAITING);
    assert_int_equal(case_view.row.round, 1);
    assert_int_equal(case_view.row.due_ms, case_now_ms + CASE_DELAY_MS);
    case_now_ms += CASE_DELAY_MS - 1;
    case_look();
    assert_false(case_effects.calls);
    case_now_ms++;
    case_look();
    assert_true(case_effects.calls);
}

static void
test_after_the_last_round_the_case_is_open(void **state)
{
    (void) state;
    case_check();
    for (uint32_t round = 1; round <= case_rules.round_limit; round++) {
        case_look();
        assert_true(case_effects.calls);
        case_answer(round, YAM_CALLBACK_RESEND);
        case_now_ms += CASE_DELAY_MS;
    }
    case_look();
    assert_false(case_effects.calls);
    assert_int_equal(case_view.row.state, YAM_CASE_OPEN);
    s_assert_note(1, "open", "not confirmed after the last round");
}

static void
test_failed_confirm_waits_for_the_check_and_is_told(void **state)
{
    (void) state;
    case_confirm(YAM_CONFIRM_FAILED, 0);
    assert_false(case_effects.calls);
    case_check();
    assert_false(case_effects.calls);
    case_look();
    assert_true(case_effects.calls);
    s_assert_note(0, "failed", "no stock");
    case_answer(1, YAM_CALLBACK_RESEND);
    case_now_ms += CASE_DELAY_MS;
    case_look();
    s_assert_note(0, "missing", ""); //  that failure was of the round before
}

static void
test_failed_confirm_never_replaces_done(void **state)
{
    (void) state;
    case_confirm(YAM_CONFIRM_DONE, 0);
    case_confirm(YAM_CONFIRM_FAILED, 1);
    assert_false(case_effects.writes_confirm);
    assert_int_equal(case_view.confirm.outcome, YAM_CONFIRM_DONE);
    case_check();
    assert_int_equal(case_view.row.state, YAM_CASE_NONE);
}

static void
test_late_confirm_of_an_earlier_round_ends_the_case(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_answer(1, YAM_CALLBACK_RESEND);
    case_confirm(YAM_CONFIRM_DONE, 0);
    assert_int_equal(case_view.row.state, YAM_CASE_DONE);
    s_assert_note(0, "done", "");
    case_now_ms += CASE_DELAY_MS;
    case_look();
    assert_false(case_effects.calls);
}

static void
test_confirm_during_a_call_ends_the_case_and_its_answer_is_stale(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_confirm(YAM_CONFIRM_DONE, 0);
    assert_int_equal(case_view.row.state, YAM_CASE_DONE);
    case_answer(1, YAM_CALLBACK_RESEND);
    assert_true(case_effects.is_stale);
    assert_int_equal(case_view.row.state, YAM_CASE_DONE);
}

static void
test_confirm_of_an_open_case_ends_it(void **state)
{
    (void) state;
    test_after_the_last_round_the_case_is_open(state);
    case_confirm(YAM_CONFIRM_DONE, 2);
    assert_int_equal(case_view.row.state, YAM_CASE_DONE);
}

static void
test_gone_ends_the_case_with_the_note(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_answer(1, YAM_CALLBACK_GONE);
    assert_int_equal(case_view.row.state, YAM_CASE_GONE);
    s_assert_note(0, "gone", "because");
}

static void
test_calls_without_an_answer_cost_no_round_and_open_the_case_in_the_end(void **state)
{
    (void) state;
    static const int64_t waits_ms[] = {10, 100, 100};
    case_check();
    case_look();
    for (uint32_t call = 1; call <= sizeof waits_ms / sizeof *waits_ms; call++) {
        case_answer(call, call == 1 ? 0 : YAM_CALLBACK_LATER);
        s_assert_note(0, call == 1 ? "unanswered" : "later", "because");
        assert_int_equal(case_view.row.state, YAM_CASE_CALLING);
        assert_int_equal(case_view.row.due_ms, case_now_ms + waits_ms[call - 1]);
        case_look();
        assert_false(case_effects.calls);
        case_now_ms = case_view.row.due_ms;
        case_look();
        assert_true(case_effects.calls);
    }
    case_answer(case_rules.try_limit, 0);
    assert_int_equal(case_view.row.round, 0);
    assert_int_equal(case_view.row.state, YAM_CASE_OPEN);
    s_assert_note(1, "open", "the producer's service does not answer");
}

static void
test_call_whose_maker_died_is_made_again_and_the_old_answer_is_stale(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_now_ms += CASE_LEASE_MS - 1;
    case_look();
    assert_false(case_effects.calls);
    case_now_ms++;
    case_look();
    assert_true(case_effects.calls);
    assert_int_equal(case_view.row.call, 2);
    case_answer(1, YAM_CALLBACK_RESEND);
    assert_true(case_effects.is_stale);
    assert_int_equal(case_view.row.round, 0);
    case_answer(2, YAM_CALLBACK_RESEND);
    assert_int_equal(case_view.row.round, 1);
    case_answer(2, YAM_CALLBACK_RESEND);
    assert_true(case_effects.is_stale);
    assert_int_equal(case_view.row.round, 1);
}

static void
test_duplicate_checks_change_nothing(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_answer(1, YAM_CALLBACK_RESEND);
    case_now_ms += 1;
    case_check();
    assert_false(case_effects.writes_case);
    assert_int_equal(case_view.row.round, 1);
    case_confirm(YAM_CONFIRM_DONE, 1);
    case_check();
    assert_int_equal(case_view.row.state, YAM_CASE_DONE);
}

static void
test_case_that_somebody_moved_on_since_it_was_noted_is_left_alone(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_answer(1, YAM_CALLBACK_RESEND);
    case_now_ms += CASE_DELAY_MS; //  due again, but the horizon was asked for before that
    assert_int_equal(case_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK, .call = 0}),
                     0);
    assert_false(case_effects.calls);
    assert_false(case_effects.writes_case);
}

static void
test_clock_that_was_set_back_makes_nothing_wait_longer(void **state)
{
    (void) state;
    case_check();
    case_look();
    case_answer(1, YAM_CALLBACK_RESEND);
    case_now_ms -= 3600 * 1000;
    case_look();
    assert_false(case_effects.calls); //  nor less long
    assert_int_equal(case_view.row.due_ms, case_now_ms + CASE_DELAY_MS);
    case_now_ms += CASE_DELAY_MS;
    case_look();
    assert_true(case_effects.calls);
}

//  -- People ------------------------------------------------------------------------------------

static void
test_people_try_an_open_case_once_more(void **state)
{
    (void) state;
    test_after_the_last_round_the_case_is_open(state);
    assert_int_equal(case_people(YAMI_CALLBACK_RETRY), 0);
    s_assert_note(0, "retry", "");
    case_look();
    assert_true(case_effects.calls);
    case_answer(case_view.row.call, YAM_CALLBACK_RESEND);
    case_now_ms += CASE_DELAY_MS;
    case_look();
    assert_int_equal(case_view.row.state, YAM_CASE_OPEN);
}

static void
test_people_close_a_case_and_nobody_is_called(void **state)
{
    (void) state;
    case_check();
    case_look();
    assert_int_equal(case_people(YAMI_CALLBACK_CLOSE), 0);
    s_assert_note(0, "closed", "looked at it");
    case_answer(1, YAM_CALLBACK_RESEND);
    assert_true(case_effects.is_stale);
    case_now_ms += 10 * CASE_DELAY_MS;
    case_look();
    assert_false(case_effects.calls);
    assert_int_equal(case_people(YAMI_CALLBACK_CLOSE), -1);
    assert_int_equal(errno, EINVAL);
}

static void
test_what_is_done_cannot_be_tried_again(void **state)
{
    (void) state;
    test_late_confirm_of_an_earlier_round_ends_the_case(state);
    assert_int_equal(case_people(YAMI_CALLBACK_RETRY), -1);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_check_after_its_confirm_leaves_nothing, case_setup),
        cmocka_unit_test_setup(test_confirm_after_its_check_leaves_nothing, case_setup),
        cmocka_unit_test_setup(test_missing_confirm_calls_and_the_next_look_is_after_the_delay,
                               case_setup),
        cmocka_unit_test_setup(test_after_the_last_round_the_case_is_open, case_setup),
        cmocka_unit_test_setup(test_failed_confirm_waits_for_the_check_and_is_told, case_setup),
        cmocka_unit_test_setup(test_failed_confirm_never_replaces_done, case_setup),
        cmocka_unit_test_setup(test_late_confirm_of_an_earlier_round_ends_the_case, case_setup),
        cmocka_unit_test_setup(test_confirm_during_a_call_ends_the_case_and_its_answer_is_stale,
                               case_setup),
        cmocka_unit_test_setup(test_confirm_of_an_open_case_ends_it, case_setup),
        cmocka_unit_test_setup(test_gone_ends_the_case_with_the_note, case_setup),
        cmocka_unit_test_setup(
            test_calls_without_an_answer_cost_no_round_and_open_the_case_in_the_end, case_setup),
        cmocka_unit_test_setup(test_call_whose_maker_died_is_made_again_and_the_old_answer_is_stale,
                               case_setup),
        cmocka_unit_test_setup(test_duplicate_checks_change_nothing, case_setup),
        cmocka_unit_test_setup(test_case_that_somebody_moved_on_since_it_was_noted_is_left_alone,
                               case_setup),
        cmocka_unit_test_setup(test_clock_that_was_set_back_makes_nothing_wait_longer, case_setup),
        cmocka_unit_test_setup(test_people_try_an_open_case_once_more, case_setup),
        cmocka_unit_test_setup(test_people_close_a_case_and_nobody_is_called, case_setup),
        cmocka_unit_test_setup(test_what_is_done_cannot_be_tried_again, case_setup),
        cmocka_unit_test(test_horizon_is_reached_when_all_that_was_there_is_acknowledged),
        cmocka_unit_test(test_horizon_of_a_relay_that_begins_anew_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
