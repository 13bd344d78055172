//  The session of a client: greeting, signs of life, beginning anew.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "yami_consumer_core.h"
#include "yami_link_core.h"

#define START 1000
#define HEARTBEAT 1000

static yami_link_core_t s_link;

static int
s_setup(void **state)
{
    (void) state;
    yami_link_core_init(&s_link, "test", HEARTBEAT, 42);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    assert_int_equal(yami_link_core_turn(&s_link, START), YAMI_LINK_NOTHING);
    assert_int_equal(yami_link_core_socket(&s_link), 1);
    return 0;
}

//  The type of the frame that is due, 0 for none; sends it.
static uint8_t
s_send(int64_t now_ms)
{
    yami_frame_t frame;
    yami_link_core_check(&s_link);
    if (!yami_link_core_next(&s_link, now_ms, &frame)) {
        return 0;
    }
    yami_block_t *block = yami_frame_encode(&frame);
    assert_non_null(block);
    yami_block_unref(&block);
    yami_link_core_sent(&s_link, now_ms, frame.type);
    yami_link_core_check(&s_link);
    return frame.type;
}

static yami_link_outcome_t
s_welcome(int64_t now_ms, uint64_t session)
{
    yami_frame_t frame = {.type = YAMI_FRAME_WELCOME,
                          .session = session,
                          .heartbeat_ms = HEARTBEAT,
                          .max_frame = YAMI_LIMIT_FRAME};
    return yami_link_core_frame(&s_link, now_ms, &frame);
}

static yami_link_outcome_t
s_receive(int64_t now_ms, uint8_t type, yam_status_t status)
{
    yami_frame_t frame = {.type = type, .status = status};
    return yami_link_core_frame(&s_link, now_ms, &frame);
}

static void
s_greet(int64_t now_ms)
{
    assert_int_equal(s_send(now_ms), YAMI_FRAME_HELLO);
    assert_int_equal(s_welcome(now_ms, s_link.session), YAMI_LINK_STARTED);
    assert_int_equal(s_link.state, YAMI_LINK_UP);
}

static void
test_welcome_that_echoes_the_session_starts_it(void **state)
{
    (void) state;
    s_greet(START);
    assert_int_equal(s_send(START), 0);
    assert_int_equal(s_receive(START, YAMI_FRAME_CONFIRM, 0), YAMI_LINK_PASS);
}

static void
test_welcome_of_an_earlier_session_is_ignored(void **state)
{
    (void) state;
    assert_int_equal(s_send(START), YAMI_FRAME_HELLO);
    assert_int_equal(s_welcome(START, s_link.session + 1), YAMI_LINK_NOTHING);
    assert_int_equal(s_receive(START, YAMI_FRAME_CONFIRM, 0), YAMI_LINK_NOTHING);
    assert_int_equal(s_link.state, YAMI_LINK_GREETING);
}

static void
test_welcome_before_hello_is_ignored(void **state)
{
    (void) state;
    assert_int_equal(s_welcome(START, s_link.session), YAMI_LINK_NOTHING);
    assert_int_equal(s_link.state, YAMI_LINK_WAITING);
}

static void
test_lost_welcome_repeats_the_same_hello_ever_slower(void **state)
{
    (void) state;
    int64_t now_ms = START;
    int64_t expected[] = {250, 500, 1000, 1000};
    uint64_t session = s_link.session;
    assert_int_equal(s_send(now_ms), YAMI_FRAME_HELLO);
    for (size_t index = 0; index < 4; index++) {
        assert_int_equal(yami_link_core_deadline(&s_link, now_ms), now_ms + expected[index]);
        (void) yami_link_core_turn(&s_link, now_ms + expected[index] - 1);
        assert_int_equal(s_send(now_ms + expected[index] - 1), 0);
        now_ms += expected[index];
        (void) yami_link_core_turn(&s_link, now_ms);
        assert_int_equal(s_send(now_ms), YAMI_FRAME_HELLO);
        assert_true(s_link.session == session);
    }
    assert_int_equal(s_welcome(now_ms, session), YAMI_LINK_STARTED);
    assert_int_equal(s_welcome(now_ms, session),
                     YAMI_LINK_NOTHING); //  the answer to a repeated one
}

static void
test_greeting_in_vain_takes_another_socket(void **state)
{
    (void) state;
    int64_t now_ms = START;
    int hello_count = 0;
    while (yami_link_core_socket(&s_link) == 1) {
        hello_count += s_send(now_ms) == YAMI_FRAME_HELLO;
        now_ms += 50;
        (void) yami_link_core_turn(&s_link, now_ms);
    }
    assert_int_equal(hello_count, 5);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    (void) yami_link_core_turn(&s_link, now_ms + YAMI_LINK_BACKOFF_MAX_MS);
    assert_int_equal(yami_link_core_socket(&s_link), 2);
}

static void
test_hello_to_an_absent_relay_waits_for_the_socket_alone(void **state)
{
    (void) state;
    assert_int_equal(yami_link_core_deadline(&s_link, START), INT64_MAX);
    (void) yami_link_core_turn(&s_link, START + 1000000);
    assert_int_equal(yami_link_core_socket(&s_link), 1);
    s_greet(START + 1000000);
}

static void
test_silence_of_three_intervals_closes_the_socket(void **state)
{
    (void) state;
    s_greet(START);
    assert_int_equal(yami_link_core_turn(&s_link, START + 3 * HEARTBEAT - 1), YAMI_LINK_NOTHING);
    assert_int_equal(s_receive(START + 500, YAMI_FRAME_HEARTBEAT, 0), YAMI_LINK_NOTHING);
    assert_int_equal(yami_link_core_turn(&s_link, START + 3 * HEARTBEAT), YAMI_LINK_NOTHING);
    assert_int_equal(yami_link_core_turn(&s_link, START + 3 * HEARTBEAT + 500), YAMI_LINK_LOST);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    assert_true(yami_link_core_deadline(&s_link, START) > START + 3 * HEARTBEAT + 500);
}

static void
test_any_bytes_are_a_sign_of_life(void **state)
{
    (void) state;
    s_greet(START);
    yami_link_core_heard(&s_link, START + 2000, EPROTO);
    assert_int_equal(yami_link_core_turn(&s_link, START + 3 * HEARTBEAT), YAMI_LINK_NOTHING);
}

//  Else a relay could have its clients do nothing but greet.
static void
test_interval_of_the_relay_has_a_least_value(void **state)
{
    (void) state;
    assert_int_equal(yami_link_core_restart(&s_link, START), YAMI_LINK_NOTHING); //  there is none
    assert_int_equal(s_send(START), YAMI_FRAME_HELLO);
    yami_frame_t frame = {.type = YAMI_FRAME_WELCOME,
                          .session = s_link.session,
                          .heartbeat_ms = 1,
                          .max_frame = YAMI_LIMIT_FRAME};
    assert_int_equal(yami_link_core_frame(&s_link, START, &frame), YAMI_LINK_STARTED);
    assert_int_equal(yami_link_core_turn(&s_link, START + 20), YAMI_LINK_NOTHING);
    assert_int_equal(s_link.state, YAMI_LINK_UP);
}

static void
test_nothing_sent_for_an_interval_sends_a_heartbeat(void **state)
{
    (void) state;
    s_greet(START);
    assert_int_equal(yami_link_core_deadline(&s_link, START), START + HEARTBEAT);
    assert_int_equal(s_send(START + HEARTBEAT - 1), 0);
    assert_int_equal(s_send(START + HEARTBEAT), YAMI_FRAME_HEARTBEAT);
    yami_link_core_sent(&s_link, START + HEARTBEAT + 500, 0); //  a batch is one, too
    assert_int_equal(s_send(START + 2 * HEARTBEAT), 0);
}

static void
test_no_session_says_hello_at_once_with_a_new_session(void **state)
{
    (void) state;
    s_greet(START);
    uint64_t session = s_link.session;
    assert_int_equal(s_receive(START + 100, YAMI_FRAME_ERROR, YAM_STATUS_NO_SESSION),
                     YAMI_LINK_LOST);
    assert_int_equal(yami_link_core_socket(&s_link), 1);
    assert_int_equal(s_send(START + 100), YAMI_FRAME_HELLO);
    assert_true(s_link.session != session);
}

static void
test_storm_of_no_session_errors_sends_one_hello_per_gap(void **state)
{
    (void) state;
    int hello_count = 0;
    s_greet(START);
    for (int64_t now_ms = START; now_ms < START + 1000; now_ms++) {
        (void) s_receive(now_ms, YAMI_FRAME_ERROR, YAM_STATUS_NO_SESSION);
        if (s_send(now_ms) == YAMI_FRAME_HELLO) {
            hello_count++;
            (void) s_receive(now_ms, YAMI_FRAME_ERROR,
                             YAM_STATUS_NO_SESSION); //  while it is outstanding
            (void) s_welcome(now_ms, s_link.session);
        }
    }
    assert_int_equal(hello_count, 1000 / YAMI_LINK_HELLO_GAP_MS - 1);
}

static void
test_backoff_grows_until_it_prospers(void **state)
{
    (void) state;
    int64_t now_ms = START;
    int64_t longest_ms = 0;
    for (int round = 0; round < 10; round++) {
        s_greet(now_ms);
        assert_int_equal(yami_link_core_restart(&s_link, now_ms), YAMI_LINK_LOST);
        longest_ms = s_link.until_ms - now_ms;
        assert_true(longest_ms >= YAMI_LINK_HELLO_GAP_MS);
        assert_true(longest_ms <= YAMI_LINK_BACKOFF_MAX_MS);
        assert_int_equal(s_send(s_link.until_ms - 1), 0);
        now_ms = s_link.until_ms;
    }
    assert_true(longest_ms >= YAMI_LINK_BACKOFF_MAX_MS / 2);
    s_greet(now_ms);
    yami_link_core_prosper(&s_link);
    (void) yami_link_core_restart(&s_link, now_ms);
    assert_int_equal(s_link.until_ms - now_ms, YAMI_LINK_HELLO_GAP_MS);
}

static void
test_goodbye_of_the_relay_begins_anew_after_a_while(void **state)
{
    (void) state;
    s_greet(START);
    assert_int_equal(s_receive(START + 100, YAMI_FRAME_GOODBYE, 0), YAMI_LINK_LOST);
    assert_int_equal(s_send(START + 100), 0);
    assert_int_equal(s_send(s_link.until_ms), YAMI_FRAME_HELLO);
}

static void
test_unknown_frame_is_answered_with_one_error(void **state)
{
    (void) state;
    s_greet(START);
    yami_link_core_heard(&s_link, START, EOPNOTSUPP);
    yami_link_core_heard(&s_link, START, EOPNOTSUPP);
    assert_int_equal(s_send(START), YAMI_FRAME_ERROR);
    assert_int_equal(s_send(START), 0);
}

static void
test_leave_says_goodbye_and_ends(void **state)
{
    (void) state;
    s_greet(START);
    yami_link_core_leave(&s_link);
    assert_int_equal(s_send(START), YAMI_FRAME_GOODBYE);
    assert_int_equal(s_link.state, YAMI_LINK_ENDED);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    assert_int_equal(yami_link_core_turn(&s_link, START + 100000), YAMI_LINK_NOTHING);
    assert_int_equal(yami_link_core_deadline(&s_link, START), INT64_MAX);
}

//  Found by fuzzing: it greeted the relay once more, and a consumer that had been refused for good
//  attached again and was then in a session that had ended.
static void
test_session_that_is_lost_before_its_goodbye_left_ends(void **state)
{
    (void) state;
    s_greet(START);
    yami_link_core_leave(&s_link);
    assert_int_equal(s_receive(START, YAMI_FRAME_ERROR, YAM_STATUS_NO_SESSION), YAMI_LINK_LOST);
    assert_int_equal(s_link.state, YAMI_LINK_ENDED);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    assert_int_equal(s_send(START + 10 * HEARTBEAT), 0);
    assert_int_equal(yami_link_core_deadline(&s_link, START), INT64_MAX);
}

static void
test_leave_without_a_session_ends_at_once(void **state)
{
    (void) state;
    yami_link_core_leave(&s_link);
    assert_int_equal(s_link.state, YAMI_LINK_ENDED);
    assert_int_equal(yami_link_core_failed(&s_link, START), YAMI_LINK_NOTHING);
    assert_int_equal(s_link.state, YAMI_LINK_ENDED);
}

static void
test_socket_that_cannot_be_opened_is_tried_again(void **state)
{
    (void) state;
    assert_int_equal(yami_link_core_failed(&s_link, START), YAMI_LINK_NOTHING);
    assert_int_equal(yami_link_core_socket(&s_link), 0);
    int64_t deadline_ms = yami_link_core_deadline(&s_link, START);
    assert_true(deadline_ms > START && deadline_ms <= START + YAMI_LINK_BACKOFF_MAX_MS);
    (void) yami_link_core_turn(&s_link, deadline_ms);
    assert_int_equal(yami_link_core_socket(&s_link), 2);
}

#define TEST(name) cmocka_unit_test_setup(name, s_setup)

//  The core above had made the second HELLO, which the socket did not take.
static void
test_welcome_while_a_consumers_repeated_hello_waits_begins_the_session(void **state)
{
    (void) state;
    yami_consumer_core_t core;
    yami_consumer_config_t config = {.kind = YAMI_KIND_QUEUE,
                                     .channel = "orders",
                                     .credit_messages = 1,
                                     .credit_bytes = 1,
                                     .heartbeat_ms = 1000};
    yami_consumer_core_init(&core, &config);
    yami_consumer_core_turn(&core, 1000);
    assert_non_null(yami_consumer_core_output(&core, 1000));
    yami_consumer_core_sent(&core, 1000);
    yami_consumer_core_turn(&core, 2000);
    assert_non_null(yami_consumer_core_output(&core, 2000));
    yami_frame_t welcome = {.type = YAMI_FRAME_WELCOME,
                            .session = core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME};
    yami_consumer_core_frame(&core, 2000, &welcome);
    yami_block_t *next = yami_consumer_core_output(&core, 2000);
    yami_frame_t frame;
    assert_int_equal(yami_frame_decode(&frame, next->data, next->size), 0);
    assert_int_equal(frame.type, YAMI_FRAME_ATTACH);
    yami_consumer_core_sent(&core, 2000);
    yami_consumer_core_clear(&core);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_welcome_that_echoes_the_session_starts_it),
        TEST(test_welcome_of_an_earlier_session_is_ignored),
        TEST(test_welcome_before_hello_is_ignored),
        TEST(test_lost_welcome_repeats_the_same_hello_ever_slower),
        TEST(test_greeting_in_vain_takes_another_socket),
        TEST(test_hello_to_an_absent_relay_waits_for_the_socket_alone),
        TEST(test_silence_of_three_intervals_closes_the_socket),
        TEST(test_any_bytes_are_a_sign_of_life),
        TEST(test_interval_of_the_relay_has_a_least_value),
        TEST(test_nothing_sent_for_an_interval_sends_a_heartbeat),
        TEST(test_no_session_says_hello_at_once_with_a_new_session),
        TEST(test_storm_of_no_session_errors_sends_one_hello_per_gap),
        TEST(test_backoff_grows_until_it_prospers),
        TEST(test_goodbye_of_the_relay_begins_anew_after_a_while),
        TEST(test_unknown_frame_is_answered_with_one_error),
        TEST(test_leave_says_goodbye_and_ends),
        TEST(test_session_that_is_lost_before_its_goodbye_left_ends),
        TEST(test_leave_without_a_session_ends_at_once),
        TEST(test_socket_that_cannot_be_opened_is_tried_again),
        TEST(test_welcome_while_a_consumers_repeated_hello_waits_begins_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
