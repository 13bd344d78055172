//  yami_outbox_core: what a dispatcher does with what it sees, hears and loses.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yami_outbox_core.h"

#define OWNER 7
#define LEASE_MS 100
#define NOW_MS 1000

static yami_outbox_core_t s_core;
static yami_outbox_effect_t s_effects[YAMI_OUTBOX_EFFECTS];

static int
s_setup(void **state)
{
    static const yami_outbox_core_options_t options = {
        .limit_ms = 1000, .try_limit = 3, .lease_ms = LEASE_MS, .keep_ms = 0, .batch = 10};
    (void) state;
    yami_outbox_core_init(&s_core, &options, OWNER);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yami_outbox_core_check(&s_core);
    yami_outbox_core_clear(&s_core);
    return 0;
}

#define S_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

//  A look that sees one lane with work.
static void
s_see(int64_t now_ms, int64_t lane, uint64_t next, uint64_t owner, uint64_t beat)
{
    yam_outbox_lane_t seen = {.lane = lane,
                              .kind = 1,
                              .channel = "orders",
                              .epoch = 1,
                              .next = next,
                              .owner = owner,
                              .beat = beat,
                              .has_work = true};
    yami_outbox_core_look(&s_core);
    yami_outbox_core_saw(&s_core, now_ms, &seen);
    yami_outbox_core_looked(&s_core, now_ms);
}

//  Plans, and checks that this is the only change but for beats.
static const yami_outbox_effect_t *
s_plan(int64_t now_ms, yami_outbox_change_t change)
{
    size_t count = yami_outbox_core_plan(&s_core, now_ms, now_ms, s_effects);
    count -= count > 0 && s_effects[count - 1].change == YAMI_OUTBOX_KEEP ? 1 : 0;
    assert_int_equal(count, 1);
    assert_int_equal(s_effects[0].change, change);
    return &s_effects[0];
}

static void
s_plan_nothing(int64_t now_ms)
{
    size_t count = yami_outbox_core_plan(&s_core, now_ms, now_ms, s_effects);
    assert_true(count == 0 || (count == 1 && s_effects[0].change == YAMI_OUTBOX_KEEP));
}

//  A lane that is ours, attached, and has sent nothing.
static yami_outbox_lane_t *
s_open_lane(void)
{
    s_see(NOW_MS, 1, 1, 0, 0);
    yami_outbox_core_done(&s_core, NOW_MS, s_plan(NOW_MS, YAMI_OUTBOX_TAKE), 1, NULL);
    s_see(NOW_MS, 1, 1, OWNER, 1);
    yami_outbox_lane_t *lane = s_core.lanes[0];
    yami_outbox_core_loaded(&s_core, lane, NULL, 0, true);
    yami_outbox_output_t output;
    assert_true(yami_outbox_core_output(&s_core, NOW_MS, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_OPEN);
    yami_outbox_core_opened(&s_core, NOW_MS, lane, true);
    yami_outbox_core_attached(&s_core, NOW_MS, lane, 0, YAM_LEVEL_SYNCED);
    s_core.keep_ms = INT64_MAX;
    return lane;
}

//  Rows first..last have got their sequences: result 1 when there are no more, 2 when there may be.
static void
s_give_sequences(uint64_t first, uint64_t last, int result)
{
    yam_outbox_flight_t flight = {first, last, 0};
    yami_outbox_core_done(&s_core, NOW_MS, s_plan(NOW_MS, YAMI_OUTBOX_ASSIGN), result, &flight);
}

//  Lane's sender is to send from first on.
static yami_outbox_output_t
s_expect_send(int64_t now_ms, const yami_outbox_lane_t *lane, uint64_t first)
{
    yami_outbox_output_t output;
    assert_true(yami_outbox_core_output(&s_core, now_ms, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_SEND);
    assert_ptr_equal(output.lane, lane);
    assert_int_equal(output.first, first);
    return output;
}

//  The same, and they have been sent.
static void
s_assign(yami_outbox_lane_t *lane, uint64_t first, uint64_t last, int result)
{
    s_give_sequences(first, last, result);
    yami_outbox_output_t output = s_expect_send(NOW_MS, lane, first);
    yami_outbox_core_sent(&s_core, NOW_MS, NOW_MS, &output, last - first + 1, false);
}

static void
test_nothing_is_read_and_sent_while_the_database_is_left_alone(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    yami_outbox_output_t output;
    s_give_sequences(1, 7, 1);
    yami_outbox_core_troubled(&s_core, NOW_MS); //  reading them failed
    assert_false(yami_outbox_core_output(&s_core, NOW_MS, &output));
    (void) s_expect_send(s_core.pause_ms, lane, 1);
}

//  It was taken for a full window, and no confirm ever came: nothing was owed.
static void
test_rows_that_could_not_be_read_once_are_sent_though_nothing_is_left_to_be_confirmed(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    s_give_sequences(1, 7, 1);
    yami_outbox_output_t output = s_expect_send(NOW_MS, lane, 1);
    yami_outbox_core_sent(&s_core, NOW_MS, NOW_MS, &output, 0, false);
    yami_outbox_core_troubled(&s_core, NOW_MS);
    output = s_expect_send(s_core.pause_ms, lane, 1);
    yami_outbox_core_sent(&s_core, NOW_MS, NOW_MS, &output, 3, true);
    assert_false(yami_outbox_core_output(&s_core, s_core.pause_ms, &output)); //  until a confirm
    yami_outbox_core_confirmed(lane, NOW_MS, 3);
    (void) s_expect_send(s_core.pause_ms, lane, 4);
}

//  -- Levels --------------------------------------------------------------------------------------

//  It has restarted in memory, and knows the rows: the engine has sent them again by itself.
static void
test_relay_below_the_level_marks_nothing_and_gets_nothing_until_it_is_a_better_one(void **state)
{
    (void) state;
    s_core.options.level = YAM_LEVEL_SYNCED;
    yami_outbox_lane_t *lane = s_open_lane();
    s_assign(lane, 1, 3, 1);
    yami_outbox_output_t output;
    yami_outbox_core_attached(&s_core, NOW_MS, lane, 3, YAM_LEVEL_RECEIVED);
    s_plan_nothing(NOW_MS);
    assert_true(yami_outbox_core_output(&s_core, NOW_MS, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_CLOSE); //  with the rows that it holds
    yami_outbox_core_closed(&s_core, lane);
    assert_true(yami_outbox_core_output(&s_core, NOW_MS, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_OPEN);
    assert_int_equal(output.first, 1);
    yami_outbox_core_opened(&s_core, NOW_MS, lane, true);
    yami_outbox_core_attached(&s_core, NOW_MS, lane, 3, YAM_LEVEL_WRITTEN);
    int64_t late_ms = NOW_MS + 100 * s_core.options.limit_ms;
    assert_false(yami_outbox_core_output(&s_core, late_ms, &output));
    s_plan_nothing(late_ms); //  no try was in vain
    yami_outbox_core_detached(lane);
    yami_outbox_core_attached(&s_core, late_ms, lane, 0, YAM_LEVEL_SYNCED);
    (void) s_expect_send(late_ms, lane, 1);
}

//  -- Leases --------------------------------------------------------------------------------------

static void
test_lane_whose_taking_was_not_answered_is_taken_again_after_a_lease(void **state)
{
    (void) state;
    s_see(NOW_MS, 1, 1, 0, 0);
    (void) s_plan(NOW_MS, YAMI_OUTBOX_TAKE);
    yami_outbox_core_troubled(&s_core, NOW_MS); //  it was committed, and the answer lost
    //  Our beats for our other lanes are this one's, too: they are no sign of another's life.
    for (int64_t elapsed_ms = 20; elapsed_ms < LEASE_MS; elapsed_ms += 20) {
        s_see(NOW_MS + elapsed_ms, 1, 1, OWNER, 1 + (uint64_t) elapsed_ms);
        if (elapsed_ms > 20) {
            s_plan_nothing(NOW_MS + elapsed_ms);
        }
    }
    const yami_outbox_effect_t *take = s_plan(NOW_MS + 20 + LEASE_MS, YAMI_OUTBOX_TAKE);
    yami_outbox_core_done(&s_core, NOW_MS + 20 + LEASE_MS, take, 1, NULL);
    assert_true(s_core.lanes[0]->is_ours);
}

static void
test_lane_whose_owner_beats_is_not_taken(void **state)
{
    (void) state;
    for (int64_t elapsed_ms = 0; elapsed_ms < 5 * LEASE_MS; elapsed_ms += 20) {
        s_see(NOW_MS + elapsed_ms, 1, 1, OWNER + 1, 1 + (uint64_t) elapsed_ms);
        s_plan_nothing(NOW_MS + elapsed_ms);
    }
}

//  -- Few transactions ----------------------------------------------------------------------------

static void
test_rows_that_come_to_an_idle_lane_are_given_sequences_at_once(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    s_assign(lane, 1, 1, 1);
    yami_outbox_core_confirmed(lane, NOW_MS, 1);
    yami_outbox_core_done(&s_core, NOW_MS, s_plan(NOW_MS, YAMI_OUTBOX_MARKED), 1, NULL);
    s_plan_nothing(NOW_MS);
    s_see(NOW_MS, 1, 2, OWNER, 1);
    s_assign(lane, 2, 2, 1);
}

static void
test_rows_that_come_while_a_flight_is_on_its_way_wait_for_its_mark(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    s_assign(lane, 1, 3, 1);
    s_see(NOW_MS, 1, 4, OWNER, 1);
    s_plan_nothing(NOW_MS);
    yami_outbox_core_confirmed(lane, NOW_MS, 3);
    assert_int_equal(yami_outbox_core_plan(&s_core, NOW_MS, NOW_MS, s_effects), 2);
    assert_int_equal(s_effects[0].change, YAMI_OUTBOX_MARKED);
    assert_int_equal(s_effects[1].change, YAMI_OUTBOX_ASSIGN);
}

static void
test_more_rows_than_a_flight_takes_do_not_wait(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    s_assign(lane, 1, 10, 2);
    s_assign(lane, 11, 20, 2);
    s_assign(lane, 21, 25, 1);
    s_plan_nothing(NOW_MS);
}

static void
test_row_that_its_sender_refuses_fails_alone_and_those_before_it_stay_on_their_way(void **state)
{
    (void) state;
    yami_outbox_lane_t *lane = s_open_lane();
    s_give_sequences(1, 5, 1);
    yami_outbox_output_t output = s_expect_send(NOW_MS, lane, 1);
    yami_outbox_core_sent(&s_core, NOW_MS, NOW_MS, &output, 2, false);
    yami_outbox_refusal_t refusal = {3, 3, YAM_STATUS_MALFORMED, "none takes it"};
    yami_outbox_core_refused(lane, &refusal);
    assert_false(yami_outbox_core_output(&s_core, NOW_MS, &output)); //  first it is noted
    const yami_outbox_effect_t *effect = s_plan(NOW_MS, YAMI_OUTBOX_FAIL);
    assert_int_equal(effect->first, 3);
    assert_int_equal(effect->last, 3);
    assert_int_equal(effect->failure.status, YAM_STATUS_MALFORMED);
    assert_string_equal(effect->failure.reason, "none takes it");
    yami_outbox_core_done(&s_core, NOW_MS, effect, 1, NULL);
    yami_outbox_core_check(&s_core);
    assert_false(yami_outbox_core_output(&s_core, NOW_MS, &output)); //  1 and 2 have no confirm
    yami_outbox_core_confirmed(lane, NOW_MS, 2);
    effect = s_plan(NOW_MS, YAMI_OUTBOX_MARKED);
    assert_int_equal(effect->last, 2);
    yami_outbox_core_done(&s_core, NOW_MS, effect, 2, NULL);
    assert_true(yami_outbox_core_output(&s_core, NOW_MS, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_CLOSE);
    yami_outbox_core_closed(&s_core, lane);
    assert_true(yami_outbox_core_output(&s_core, NOW_MS, &output));
    assert_int_equal(output.action, YAMI_OUTBOX_DO_OPEN);
    assert_int_equal(output.first, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        S_TEST(test_nothing_is_read_and_sent_while_the_database_is_left_alone),
        S_TEST(
            test_rows_that_could_not_be_read_once_are_sent_though_nothing_is_left_to_be_confirmed),
        S_TEST(test_relay_below_the_level_marks_nothing_and_gets_nothing_until_it_is_a_better_one),
        S_TEST(test_lane_whose_taking_was_not_answered_is_taken_again_after_a_lease),
        S_TEST(test_lane_whose_owner_beats_is_not_taken),
        S_TEST(test_rows_that_come_to_an_idle_lane_are_given_sequences_at_once),
        S_TEST(test_rows_that_come_while_a_flight_is_on_its_way_wait_for_its_mark),
        S_TEST(test_more_rows_than_a_flight_takes_do_not_wait),
        S_TEST(test_row_that_its_sender_refuses_fails_alone_and_those_before_it_stay_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
