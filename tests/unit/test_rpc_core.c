//  The caller's core, step by step in virtual time.
//  One file: every case is one caller, with the clock and the servers played by hand.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_message.h"
#include "yami_rpc_core.h"

#define START 1000000
#define HEARTBEAT 1000
#define FIRST_CLOCK 5000 //  of server 0 at START; that of the others is a thousand more each

static yami_rpc_core_t s_core;
static int64_t s_now;
static uint32_t s_epochs[YAMI_LIMIT_ADDRESSES];
static yami_block_t *s_latest; //  the reply given last

static void
s_start(size_t servers, uint32_t retries)
{
    yami_rpc_config_t config = {.servers = servers,
                                .calls = 100,
                                .bytes = 1 << 20,
                                .retries = retries,
                                .heartbeat_ms = HEARTBEAT};
    yami_id_t id = {{1, 2, 3}};
    s_now = START;
    yami_rpc_core_init(&s_core, &config, &id);
    for (size_t index = 0; index < servers; index++) {
        s_epochs[index] = (uint32_t) index + 1;
    }
}

static int
s_teardown(void **state)
{
    (void) state;
    yami_rpc_core_clear(&s_core);
    yami_block_unref(&s_latest);
    return 0;
}

static void
s_ignore(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    (void) arg, (void) status, (void) text, (void) reply_p;
}

static uint64_t
s_call(int64_t timeout_ms)
{
    yam_message_t *request = yam_message_new("do", 2);
    uint64_t call = yami_rpc_core_add(
        &s_core, s_now, &request, timeout_ms < 0 ? INT64_MAX : s_now + timeout_ms, s_ignore, NULL);
    yam_message_destroy(&request);
    yami_rpc_core_check(&s_core);
    return call;
}

//  What is due for that server goes: its kind, 0 for nothing. Of a call sending has what was sent.
static yami_rpc_kind_t
s_send(size_t server, yami_rpc_sending_t *sending)
{
    (void) yami_rpc_core_turn(&s_core, s_now, server);
    if (!yami_rpc_core_next(&s_core, server, sending)) {
        return 0;
    }
    yami_rpc_core_sent(&s_core, s_now, server, sending, YAM_STATUS_OK);
    yami_rpc_core_check(&s_core);
    return sending->frame.kind;
}

//  A frame from that server, through bytes.
static void
s_receive(size_t server, yami_rpc_frame_t *frame)
{
    yami_id_t id = {{9}};
    yami_rpc_frame_t decoded;
    frame->epoch = s_epochs[server];
    yami_block_unref(&s_latest);
    s_latest = yami_rpc_encode(frame, &id, 1);
    assert_non_null(s_latest);
    assert_int_equal(yami_rpc_decode(&decoded, s_latest->data, s_latest->size), 0);
    yami_rpc_core_frame(&s_core, s_now, server, &decoded, s_latest);
    yami_rpc_core_check(&s_core);
}

static void
s_reply(size_t server, const char *correlation, yam_status_t status, const char *body)
{
    yami_rpc_frame_t frame = {
        .kind = YAMI_RPC_REPLY,
        .correlation = yami_slice_text(correlation),
        .status = status,
        .text = yami_slice_text(status == YAM_STATUS_OK ? "" : "because"),
        .record = {.priority = YAMI_PRIORITY_DEFAULT, .body = yami_slice_text(body)}};
    s_receive(server, &frame);
}

static int64_t
s_clock(size_t server)
{
    return FIRST_CLOCK + (int64_t) server * 1000 + s_now - START;
}

//  The server is asked, and answers after that time.
static void
s_greet(size_t server, int64_t way_ms)
{
    yami_rpc_sending_t sending;
    assert_int_equal(s_send(server, &sending), YAMI_RPC_PING);
    s_now += way_ms;
    yami_rpc_frame_t pong = {.kind = YAMI_RPC_PONG,
                             .correlation = sending.frame.correlation,
                             .record = {.priority = YAMI_PRIORITY_DEFAULT},
                             .clock_ms = s_clock(server)};
    s_receive(server, &pong);
    assert_true(s_core.servers[server].is_alive);
}

//  The call is sent to that server; its correlation id.
static const char *
s_send_call(size_t server)
{
    static yami_rpc_sending_t sending;
    yami_rpc_kind_t kind;
    while ((kind = s_send(server, &sending)) == YAMI_RPC_PING) {
    }
    assert_int_equal(kind, YAMI_RPC_CALL);
    return sending.correlation;
}

//  The next outcome is that one.
static void
s_assert_outcome(uint64_t number, yam_status_t status, const char *body)
{
    yami_rpc_call_t *call = yami_rpc_core_take(&s_core);
    assert_non_null(call);
    assert_int_equal(call->number, number);
    assert_int_equal(call->status, status);
    assert_int_equal(call->answer != NULL, body != NULL);
    if (body != NULL) {
        assert_int_equal(yam_message_size(call->answer), strlen(body));
        assert_memory_equal(yam_message_body(call->answer), body, strlen(body));
    }
    yami_rpc_call_free(&call);
    yami_rpc_core_check(&s_core);
}

//  -- Replies

static void
test_reply_is_the_outcome_of_its_call(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t first = s_call(500);
    uint64_t second = s_call(500);
    char correlation[YAMI_RPC_CORRELATION_SIZE];
    (void) snprintf(correlation, sizeof correlation, "%s", s_send_call(0));
    s_reply(0, s_send_call(0), YAM_STATUS_OK, "two");
    s_assert_outcome(second, YAM_STATUS_OK, "two");
    s_reply(0, correlation, YAM_STATUS_OK, "one");
    s_assert_outcome(first, YAM_STATUS_OK, "one");
    assert_int_equal(s_core.stats.replied, 2);
}

static void
test_late_reply_is_dropped_and_counted(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t first = s_call(500);
    char correlation[YAMI_RPC_CORRELATION_SIZE];
    (void) snprintf(correlation, sizeof correlation, "%s", s_send_call(0));
    s_now += 500;
    (void) yami_rpc_core_turn(&s_core, s_now, 0);
    s_assert_outcome(first, YAM_STATUS_TIMEOUT, NULL);
    uint64_t second = s_call(500);
    (void) s_send_call(0);
    s_reply(0, correlation, YAM_STATUS_OK, "one");
    assert_null(yami_rpc_core_take(&s_core));
    assert_int_equal(s_core.stats.late, 1);
    assert_int_equal(yami_rpc_core_find(&s_core, second)->state, YAMI_RPC_SENT);
}

static void
test_duplicate_reply_is_dropped_and_counted(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t call = s_call(500);
    char correlation[YAMI_RPC_CORRELATION_SIZE];
    (void) snprintf(correlation, sizeof correlation, "%s", s_send_call(0));
    s_reply(0, correlation, YAM_STATUS_OK, "one");
    s_reply(0, correlation, YAM_STATUS_OK, "once more"); //  before it was told
    s_assert_outcome(call, YAM_STATUS_OK, "one");
    s_reply(0, correlation, YAM_STATUS_OK, "and again");
    assert_null(yami_rpc_core_take(&s_core));
    assert_int_equal(s_core.stats.duplicates, 2);
    assert_int_equal(s_core.stats.late, 0);
}

static void
test_replies_to_what_was_never_asked_are_counted(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "x",
        "01020300000000000000000000000000",
        "01020300000000000000000000000000.",
        "01020300000000000000000000000000.1",
        "01020300000000000000000000000000.1.",
        "01020300000000000000000000000000.1.2",
        "01020300000000000000000000000000.01.1",
        "01020300000000000000000000000000.2.1",
        "01020300000000000000000000000000.0.1",
        "01020300000000000000000000000000.1.0",
        "01020300000000000000000000000000.1.1.1",
        "01020300000000000000000000000000.1.x",
        "01020300000000000000000000000000.99999999999999999999.1",
        "01020300000000000000000000000000.1.4294967296",
        "01020300000000000000000000000001.1.1",
    };
    size_t count = sizeof wrong / sizeof wrong[0];
    s_start(2, 0);
    s_greet(0, 1);
    uint64_t call = s_call(-1);
    const char *correlation = s_send_call(0);
    for (size_t index = 0; index < count; index++) {
        s_reply(0, wrong[index], YAM_STATUS_OK, "no");
    }
    s_reply(1, correlation, YAM_STATUS_OK, "of another server");
    assert_int_equal(s_core.stats.unknown, count + 1);
    s_reply(0, "01020300000000000000000000000000.1.1", YAM_STATUS_OK, "yes");
    s_assert_outcome(call, YAM_STATUS_OK, "yes");
}

static void
test_error_status_and_text_are_the_outcome(void **state)
{
    (void) state;
    s_start(1, 2);
    s_greet(0, 1);
    (void) s_call(500);
    s_reply(0, s_send_call(0), YAM_STATUS_CONFLICT, "details");
    yami_rpc_call_t *call = yami_rpc_core_take(&s_core);
    assert_int_equal(call->status, YAM_STATUS_CONFLICT);
    assert_string_equal(call->text, "because");
    assert_int_equal(yam_message_size(call->answer), 7);
    yami_rpc_call_free(&call);
}

static void
test_answers_nobody_takes_are_bounded(void **state)
{
    (void) state;
    s_start(1, 0);
    s_core.config.bytes = 1000;
    s_greet(0, 1);
    static char body[800];
    memset(body, 'x', sizeof body - 1);
    uint64_t first = s_call(-1);
    uint64_t second = s_call(-1);
    s_reply(0, s_send_call(0), YAM_STATUS_OK, body);
    s_reply(0, s_send_call(0), YAM_STATUS_OK, body);
    s_assert_outcome(first, YAM_STATUS_OK, body);
    s_assert_outcome(second, YAM_STATUS_TOO_BIG, NULL);
}

//  -- Deadlines

static void
test_deadline_comes_to_the_millisecond(void **state)
{
    (void) state;
    s_start(1, 0);
    uint64_t call = s_call(500);
    assert_int_equal(yami_rpc_core_turn(&s_core, s_now, 0), s_now + 500);
    (void) yami_rpc_core_turn(&s_core, s_now + 499, 0);
    assert_null(yami_rpc_core_take(&s_core));
    (void) yami_rpc_core_turn(&s_core, s_now + 500, 0);
    s_assert_outcome(call, YAM_STATUS_TIMEOUT, NULL);
    assert_int_equal(s_core.stats.timeouts, 1);
}

static void
test_deadline_travels_on_the_clock_of_the_server(void **state)
{
    (void) state;
    yami_rpc_sending_t sending;
    s_start(1, 0);
    s_greet(0, 7);
    (void) s_call(500);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
    //  Not too early, and at most a round trip too late.
    assert_in_range(sending.frame.deadline_ms, s_clock(0) + 500, s_clock(0) + 500 + 7);
    assert_int_equal(sending.frame.epoch, s_epochs[0]);
    (void) s_call(-1);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
    assert_int_equal(sending.frame.deadline_ms, 0);
}

static void
test_thousands_of_calls_long_done_leave_few_timers(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    for (int count = 0; count < 10000; count++) {
        uint64_t call = s_call(3600 * 1000);
        s_reply(0, s_send_call(0), YAM_STATUS_OK, "");
        s_assert_outcome(call, YAM_STATUS_OK, "");
    }
    assert_true(s_core.timers.count < 2000);
}

//  -- Servers

static void
test_call_waits_for_a_server_that_answers(void **state)
{
    (void) state;
    yami_rpc_sending_t sending;
    s_start(1, 0);
    (void) s_call(500);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_PING);
    assert_int_equal(s_send(0, &sending), 0);
    yami_rpc_frame_t old = {.kind = YAMI_RPC_PONG,
                            .correlation = yami_slice_text("77"),
                            .record = {.priority = YAMI_PRIORITY_DEFAULT},
                            .clock_ms = 1};
    s_receive(0, &old); //  to another question
    assert_int_equal(s_send(0, &sending), 0);
    s_now += HEARTBEAT / 4;
    old.correlation = yami_slice_text("1");
    s_receive(0, &old);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
}

static void
test_silent_server_is_given_up_and_its_calls_go_to_another(void **state)
{
    (void) state;
    s_start(2, 1);
    s_greet(0, 1);
    uint64_t call = s_call(-1);
    char correlation[YAMI_RPC_CORRELATION_SIZE];
    (void) snprintf(correlation, sizeof correlation, "%s", s_send_call(0));
    s_greet(1, 1);
    uint64_t socket = s_core.servers[0].socket;
    yami_rpc_sending_t sending;
    for (int beat = 0; beat <= YAMI_RPC_PATIENCE; beat++) {
        s_now += HEARTBEAT;
        s_greet(1, 0);
        (void) s_send(0, &sending);
    }
    assert_false(s_core.servers[0].is_alive);
    assert_int_equal(s_core.servers[0].socket, socket + 1);
    s_reply(1, s_send_call(1), YAM_STATUS_OK, "by the other");
    s_assert_outcome(call, YAM_STATUS_OK, "by the other");
    assert_int_equal(s_core.stats.retries, 1);
    s_reply(0, correlation, YAM_STATUS_OK, "it lived");
    assert_int_equal(s_core.stats.duplicates, 1);
}

static void
test_id_is_the_same_when_a_call_is_tried_again(void **state)
{
    (void) state;
    yami_rpc_sending_t sending;
    char first[YAMI_RPC_CORRELATION_SIZE];
    s_start(1, 1);
    s_greet(0, 1);
    (void) s_call(-1);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
    (void) snprintf(first, sizeof first, "%s", sending.id);
    assert_string_equal(first, "01020300000000000000000000000000.1");
    s_epochs[0] = 77;
    s_now += HEARTBEAT;
    s_greet(0, 1); //  another one answers: what the first had is lost
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
    assert_string_equal(sending.id, first);
    assert_string_equal(sending.correlation, "01020300000000000000000000000000.1.2");
}

static void
test_without_retries_a_call_ends_with_its_server(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t call = s_call(-1);
    (void) s_send_call(0);
    uint64_t unsent = s_call(-1); //  this one was not there yet
    s_epochs[0] = 77;
    s_now += HEARTBEAT;
    s_greet(0, 1);
    s_assert_outcome(call, YAM_STATUS_TIMEOUT, NULL);
    assert_int_equal(s_core.stats.failed, 1);
    s_reply(0, s_send_call(0), YAM_STATUS_OK, "");
    s_assert_outcome(unsent, YAM_STATUS_OK, "");
}

static void
test_temporary_refusal_is_tried_elsewhere_then_later_then_told(void **state)
{
    (void) state;
    s_start(2, 2);
    s_greet(0, 1);
    s_greet(1, 1);
    uint64_t call = s_call(-1);
    s_reply(0, s_send_call(0), YAM_STATUS_FULL, "");
    s_reply(1, s_send_call(1), YAM_STATUS_FULL, "");
    yami_rpc_sending_t sending;
    assert_int_equal(s_send(0, &sending), 0); //  not at once
    s_now += YAMI_RPC_PAUSE_LIMIT_MS - 1;
    s_reply(0, s_send_call(0), YAM_STATUS_FULL, "");
    s_assert_outcome(call, YAM_STATUS_FULL, "");
    assert_int_equal(s_core.stats.retries, 2);
}

static void
test_server_that_was_restarted_is_asked_and_gets_the_call_without_a_retry(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t call = s_call(-1);
    const char *correlation = s_send_call(0);
    s_epochs[0] = 77;
    s_reply(0, correlation, YAM_STATUS_NO_SESSION, "");
    s_now += YAMI_RPC_PAUSE_MS;
    s_greet(0, 1);
    s_now += YAMI_RPC_PAUSE_MS;
    s_reply(0, s_send_call(0), YAM_STATUS_OK, "");
    s_assert_outcome(call, YAM_STATUS_OK, "");
    assert_int_equal(s_core.stats.retries, 0);
}

static void
test_server_that_always_says_no_session_does_not_go_on_for_ever(void **state)
{
    (void) state;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t call = s_call(-1);
    for (uint32_t count = 0; count <= YAMI_RPC_FREE_TRIES; count++) {
        s_reply(0, s_send_call(0), YAM_STATUS_NO_SESSION, "");
        s_now += YAMI_RPC_PAUSE_MS;
        (void) yami_rpc_core_turn(&s_core, s_now, 0);
    }
    s_assert_outcome(call, YAM_STATUS_NO_SESSION, "");
}

static void
test_calls_go_to_who_has_least_to_do(void **state)
{
    (void) state;
    s_start(3, 0);
    for (size_t index = 0; index < 3; index++) {
        s_greet(index, 1);
    }
    for (int count = 0; count < 30; count++) {
        (void) s_call(-1);
    }
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(s_core.servers[index].load, 10);
    }
}

static void
test_call_at_a_relay_is_asked_again_however_often_its_session_is_lost(void **state)
{
    (void) state;
    yami_rpc_sending_t sending;
    s_start(1, 2);
    s_core.config.is_relayed = true;
    s_core.servers[0].is_alive = true;
    s_core.servers[0].must_ask = false;
    uint64_t call = s_call(-1);
    for (uint32_t attempt = 1; attempt <= 10; attempt++) {
        assert_int_equal(s_send(0, &sending), YAMI_RPC_CALL);
        assert_string_equal(sending.id, "01020300000000000000000000000000.1");
        yami_rpc_core_lost(&s_core, s_now, 0);
    }
    s_core.config.retries = 0; //  then the relay's word is waited for
    const char *correlation = s_send_call(0);
    yami_rpc_core_lost(&s_core, s_now, 0);
    assert_int_equal(s_send(0, &sending), 0);
    s_reply(0, correlation, YAM_STATUS_OK, "at last");
    s_assert_outcome(call, YAM_STATUS_OK, "at last");
}

//  -- Giving up, limits

static void
test_cancelled_call_has_no_outcome_and_its_server_is_told(void **state)
{
    (void) state;
    yami_rpc_sending_t sending;
    s_start(1, 0);
    s_greet(0, 1);
    uint64_t call = s_call(500);
    const char *correlation = s_send_call(0);
    assert_int_equal(yami_rpc_core_cancel(&s_core, call), 0);
    assert_int_equal(s_send(0, &sending), YAMI_RPC_CANCEL);
    assert_string_equal(sending.correlation, correlation);
    s_reply(0, correlation, YAM_STATUS_OK, "");
    assert_null(yami_rpc_core_take(&s_core));
    assert_int_equal(s_core.stats.late, 1);
    assert_int_equal(yami_rpc_core_cancel(&s_core, call), -1);
    assert_int_equal(errno, ENOENT);
}

static void
test_calls_and_bytes_are_limited(void **state)
{
    (void) state;
    s_start(1, 0);
    for (int count = 0; count < 100; count++) {
        assert_int_not_equal(s_call(-1), 0);
    }
    assert_int_equal(s_call(-1), 0);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(yami_rpc_core_cancel(&s_core, 1), 0);
    s_core.config.bytes = s_core.bytes;
    assert_int_equal(s_call(-1), 0);
    assert_int_equal(errno, EAGAIN);
    yami_rpc_core_end(&s_core, YAM_STATUS_CLOSING, "closed");
    yami_rpc_core_check(&s_core);
    for (uint64_t number = 2; number <= 100; number++) {
        yami_rpc_call_t *call = yami_rpc_core_take(&s_core);
        assert_int_equal(call->status, YAM_STATUS_CLOSING);
        yami_rpc_call_free(&call);
    }
}

#define CORE_TEST(name) cmocka_unit_test_teardown(name, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_reply_is_the_outcome_of_its_call),
        CORE_TEST(test_late_reply_is_dropped_and_counted),
        CORE_TEST(test_duplicate_reply_is_dropped_and_counted),
        CORE_TEST(test_replies_to_what_was_never_asked_are_counted),
        CORE_TEST(test_error_status_and_text_are_the_outcome),
        CORE_TEST(test_answers_nobody_takes_are_bounded),
        CORE_TEST(test_deadline_comes_to_the_millisecond),
        CORE_TEST(test_deadline_travels_on_the_clock_of_the_server),
        CORE_TEST(test_thousands_of_calls_long_done_leave_few_timers),
        CORE_TEST(test_call_waits_for_a_server_that_answers),
        CORE_TEST(test_silent_server_is_given_up_and_its_calls_go_to_another),
        CORE_TEST(test_id_is_the_same_when_a_call_is_tried_again),
        CORE_TEST(test_without_retries_a_call_ends_with_its_server),
        CORE_TEST(test_temporary_refusal_is_tried_elsewhere_then_later_then_told),
        CORE_TEST(test_server_that_was_restarted_is_asked_and_gets_the_call_without_a_retry),
        CORE_TEST(test_server_that_always_says_no_session_does_not_go_on_for_ever),
        CORE_TEST(test_calls_go_to_who_has_least_to_do),
        CORE_TEST(test_call_at_a_relay_is_asked_again_however_often_its_session_is_lost),
        CORE_TEST(test_cancelled_call_has_no_outcome_and_its_server_is_told),
        CORE_TEST(test_calls_and_bytes_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
