//  Callers and servers over real sockets: the same program directly, by every transport, and
//  through a relay.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "rpc_fixture.h"
#include "yami_monitor.h"

//  -- The same program everywhere

static void
s_serve_and_ask(const char *server_endpoint, const char *options)
{
    yam_rpc_server_t *server = rpc_serve(server_endpoint);
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), options);
    rpc_assert_answer(rpc, "echo hello", "hello");
    yam_status_t status;
    yam_message_t *request = rpc_message("fail out of stock");
    assert_null(yam_rpc_ask(rpc, &request, PATIENCE_MS, &status));
    assert_int_equal(status, YAM_STATUS_CONFLICT);
    assert_int_equal(errno, EEXIST);
    assert_string_equal(yam_error(), "orders: conflict: out of stock");
    assert_int_equal(rpc_close(&rpc, PATIENCE_MS), 0);
    assert_int_equal(rpc_close_server(&server, PATIENCE_MS), 0);
}

static void
test_call_over_inproc_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@inproc://orders", "");
}

static void
test_call_over_ipc_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@ipc://*", "");
}

static void
test_call_over_tcp_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@tcp://127.0.0.1:*", "");
}

static void
test_call_through_a_relay_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@tcp://127.0.0.1:*?relay=memory", "?grade=sure");
}

static void
test_call_through_a_relay_by_a_named_caller_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@inproc://relay?relay=memory", "?grade=sure&name=desk-1");
}

//  -- What travels

static void
test_properties_travel_both_ways_and_the_id_is_the_one_given(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    yam_message_t *request = rpc_message("id");
    assert_int_equal(yam_message_set(request, "id", "order-7"), 0);
    yam_message_t *answer = yam_rpc_ask(rpc, &request, PATIENCE_MS, NULL);
    assert_int_equal(yam_message_size(answer), 7);
    assert_memory_equal(yam_message_body(answer), "order-7", 7);
    yam_message_destroy(&answer);
    request = rpc_message("hold");
    assert_int_equal(yam_message_set(request, "trace", "t-1"), 0);
    uint64_t call = yam_rpc_call(rpc, &request, -1, NULL, NULL);
    rpc_wait_held(1);
    yam_rpc_request_t *held = rpc_take_held();
    yam_message_t *message = yam_rpc_request_message(held);
    assert_string_equal(yam_message_get(message, "trace"), "t-1");
    assert_non_null(yam_message_get(message, "id"));
    assert_int_equal(yam_rpc_request_left_ms(held), -1);
    yam_message_t *body = rpc_message("");
    assert_int_equal(yam_message_set(body, "content-type", "nothing"), 0);
    assert_int_equal(yam_rpc_reply(&held, YAM_STATUS_OK, NULL, &body), 0);
    answer = yam_rpc_wait(rpc, call, PATIENCE_MS, NULL);
    assert_string_equal(yam_message_get(answer, "content-type"), "nothing");
    assert_int_equal(yam_message_size(answer), 0);
    yam_message_destroy(&answer);
}

static void
test_callback_hears_status_text_and_body(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    (void) rpc_call(rpc, "hold", PATIENCE_MS);
    rpc_wait_held(1);
    yam_rpc_request_t *held = rpc_take_held();
    yam_message_t *body = rpc_message("details");
    assert_in_range(yam_rpc_request_left_ms(held), 1, 2 * PATIENCE_MS); //  and a round trip
    assert_int_equal(yam_rpc_reply(&held, YAM_STATUS_NOT_ALLOWED, "not you", &body), 0);
    rpc_outcomes_t heard = rpc_heard(1);
    assert_int_equal(heard.by_status[YAM_STATUS_NOT_ALLOWED], 1);
    assert_string_equal(heard.text, "not you");
    assert_string_equal(heard.body, "details");
}

//  -- Many at once

#define MANY 1000

static void
s_check_own(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    uint64_t *wanted = arg;
    (void) text;
    if (status == YAM_STATUS_OK && yam_message_size(*reply_p) == sizeof *wanted &&
        memcmp(yam_message_body(*reply_p), wanted, sizeof *wanted) == 0) {
        *wanted = 0; //  it was this one's answer
    }
}

static void
s_mirror(void *arg, yam_rpc_request_t *request)
{
    yam_message_t *message = yam_rpc_request_message(request);
    yam_message_t *body = yam_message_new(yam_message_body(message), yam_message_size(message));
    (void) arg;
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, &body);
}

static void
s_call_many(const char *server_endpoint, const char *options)
{
    static uint64_t wanted[MANY];
    yam_rpc_server_t *server =
        rpc_keep_server(yam_rpc_serve(rpc_yam, "orders", server_endpoint, s_mirror, NULL));
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), options);
    for (uint64_t index = 0; index < MANY; index++) {
        wanted[index] = index + 1;
        yam_message_t *request = yam_message_new(&wanted[index], sizeof wanted[index]);
        assert_int_not_equal(yam_rpc_call(rpc, &request, PATIENCE_MS, s_check_own, &wanted[index]),
                             0);
    }
    assert_int_equal(rpc_close(&rpc, PATIENCE_MS), 0);
    for (size_t index = 0; index < MANY; index++) {
        assert_int_equal(wanted[index], 0);
    }
}

static void
test_thousand_calls_at_once_get_their_own_answers(void **state)
{
    (void) state;
    s_call_many("@tcp://127.0.0.1:*?workers=4", "");
}

static void
test_thousand_calls_through_a_relay_get_their_own_answers(void **state)
{
    (void) state;
    s_call_many("@tcp://127.0.0.1:*?relay=memory&workers=2", "?grade=sure");
}

//  How many handlers run, and the most that did.
static struct {
    yami_monitor_t monitor;
    unsigned running;
    unsigned most;
} s_crowd;

#define WORKERS 3

//  Stays until as many are here as ever will, for once.
static void
s_crowd_in(void *arg, yam_rpc_request_t *request)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    (void) arg;
    yami_monitor_lock(&s_crowd.monitor);
    s_crowd.running++;
    s_crowd.most = s_crowd.running > s_crowd.most ? s_crowd.running : s_crowd.most;
    yami_monitor_tell(&s_crowd.monitor);
    while (s_crowd.most < WORKERS && yami_monitor_wait(&s_crowd.monitor, until_ms)) {
    }
    s_crowd.running--;
    yami_monitor_unlock(&s_crowd.monitor);
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, NULL);
}

static void
test_handler_runs_in_as_many_workers_as_asked_for(void **state)
{
    (void) state;
    memset(&s_crowd, 0, sizeof s_crowd);
    yami_monitor_init(&s_crowd.monitor);
    yam_rpc_server_t *server = rpc_keep_server(
        yam_rpc_serve(rpc_yam, "orders", "@inproc://orders?workers=3", s_crowd_in, NULL));
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    for (int count = 0; count < 30; count++) {
        (void) rpc_call(rpc, "", PATIENCE_MS);
    }
    assert_int_equal(rpc_heard(30).by_status[YAM_STATUS_OK], 30);
    assert_int_equal(s_crowd.most, WORKERS);
    (void) rpc_close_server(&server, 0);
    yami_monitor_destroy(&s_crowd.monitor);
}

//  -- Ways to hear of it

static void
test_future_is_waited_for_and_taken_once(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    yam_message_t *request = rpc_message("hold");
    uint64_t call = yam_rpc_call(rpc, &request, -1, NULL, NULL);
    assert_int_not_equal(call, 0);
    assert_null(yam_rpc_wait(rpc, call, 0, NULL));
    assert_int_equal(errno, EAGAIN);
    rpc_wait_held(1);
    assert_int_equal(rpc_release(), 1);
    yam_status_t status;
    yam_message_t *answer = yam_rpc_wait(rpc, call, PATIENCE_MS, &status);
    assert_non_null(answer);
    assert_int_equal(status, YAM_STATUS_OK);
    yam_message_destroy(&answer);
    assert_null(yam_rpc_wait(rpc, call, 0, NULL));
    assert_int_equal(errno, ENOENT);
}

static void
test_descriptor_is_readable_until_outcomes_are_dispatched(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    struct pollfd item = {.fd = yam_rpc_fd(rpc), .events = POLLIN};
    assert_int_equal(poll(&item, 1, 0), 0);
    (void) rpc_call(rpc, "echo x", PATIENCE_MS);
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
    assert_int_equal(rpc_heard(0).told, 0);
    assert_int_equal(yam_rpc_dispatch(rpc), 1);
    assert_string_equal(rpc_heard(1).body, "x");
    assert_int_equal(poll(&item, 1, 0), 0);
}

//  -- Giving up

static void
test_deadline_ends_a_call_and_its_answer_is_wanted_no_more(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "");
    rpc_assert_answer(rpc, "echo there", "there");
    uint64_t calls = 0;
    do { //  until it is begun in time, on however slow a machine
        (void) rpc_call(rpc, "hold", 50 << calls++);
    } while (!rpc_wait_held_or_heard(calls));
    assert_int_equal(rpc_heard(calls).by_status[YAM_STATUS_TIMEOUT], calls);
    yam_rpc_request_t *held = rpc_take_held();
    while (yam_rpc_request_left_ms(held) > 0) { //  up to a round trip later
    }
    assert_int_equal(yam_rpc_reply(&held, YAM_STATUS_OK, NULL, NULL), -1);
    assert_int_equal(errno, ESTALE);
    rpc_assert_answer(rpc, "echo next", "next");
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(server, &stats);
    assert_int_equal(stats.unsent, 1);
}

static void
test_cancelled_call_is_told_to_nobody_but_its_server(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), "");
    uint64_t call = rpc_call(rpc, "hold", -1);
    rpc_wait_held(1);
    assert_int_equal(yam_rpc_cancel(rpc, call), 0);
    assert_int_equal(yam_rpc_cancel(rpc, call), -1);
    assert_int_equal(errno, ENOENT);
    rpc_assert_answer(rpc, "echo behind it", "behind it"); //  so the server has heard of it
    yam_rpc_request_t *held = rpc_take_held();
    assert_int_equal(yam_rpc_request_left_ms(held), 0);
    assert_int_equal(yam_rpc_reply(&held, YAM_STATUS_OK, NULL, NULL), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(rpc_heard(0).told, 0);
    assert_int_equal(rpc_close(&rpc, 0), 0);
}

static void
test_calls_beyond_the_window_are_refused(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller("tcp://127.0.0.1:1", "?window=2");
    (void) rpc_call(rpc, "echo", -1);
    (void) rpc_call(rpc, "echo", -1);
    yam_message_t *request = rpc_message("echo");
    assert_int_equal(yam_rpc_call(rpc, &request, -1, NULL, NULL), 0);
    assert_int_equal(errno, EAGAIN);
    assert_non_null(request);
    assert_int_equal(rpc_close(&rpc, 0), 2);
    assert_int_equal(rpc_heard(2).by_status[YAM_STATUS_CLOSING], 2);
    yam_message_destroy(&request);
}

//  -- Mistakes

static void
test_mistakes_are_refused_in_words(void **state)
{
    (void) state;
    assert_null(yam_rpc_new(rpc_yam, "orders", "@tcp://127.0.0.1:*"));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "use '>'"));
    assert_null(yam_rpc_new(rpc_yam, "a b", ">tcp://127.0.0.1:1"));
    assert_int_equal(errno, EINVAL);
    assert_null(yam_rpc_serve(rpc_yam, "orders", ">tcp://127.0.0.1:1", s_mirror, NULL));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "use '@'"));
    assert_null(yam_rpc_serve(rpc_yam, "orders", "@tcp://127.0.0.1:*", NULL, NULL));
    assert_int_equal(errno, EINVAL);
    yam_rpc_t *rpc = rpc_caller("tcp://127.0.0.1:1", "");
    yam_message_t *request = rpc_message("echo");
    assert_int_equal(yam_rpc_call(rpc, &request, 0, NULL, NULL), 0);
    assert_int_equal(errno, EINVAL);
    yam_message_destroy(&request);
    (void) rpc_close(&rpc, 0);
    yam_rpc_destroy(&rpc);
}

static void
test_another_service_is_not_served(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders");
    yam_rpc_t *rpc = rpc_keep(yam_rpc_new(rpc_yam, "bills", ">inproc://orders"));
    yam_message_t *request = rpc_message("echo");
    yam_status_t status;
    assert_null(yam_rpc_ask(rpc, &request, PATIENCE_MS, &status));
    assert_int_equal(status, YAM_STATUS_UNKNOWN);
    assert_int_equal(errno, ENOENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RPC_TEST(test_call_over_inproc_is_answered),
        RPC_TEST(test_call_over_ipc_is_answered),
        RPC_TEST(test_call_over_tcp_is_answered),
        RPC_TEST(test_call_through_a_relay_is_answered),
        RPC_TEST(test_call_through_a_relay_by_a_named_caller_is_answered),
        RPC_TEST(test_properties_travel_both_ways_and_the_id_is_the_one_given),
        RPC_TEST(test_callback_hears_status_text_and_body),
        RPC_TEST(test_thousand_calls_at_once_get_their_own_answers),
        RPC_TEST(test_thousand_calls_through_a_relay_get_their_own_answers),
        RPC_TEST(test_handler_runs_in_as_many_workers_as_asked_for),
        RPC_TEST(test_future_is_waited_for_and_taken_once),
        RPC_TEST(test_descriptor_is_readable_until_outcomes_are_dispatched),
        RPC_TEST(test_deadline_ends_a_call_and_its_answer_is_wanted_no_more),
        RPC_TEST(test_cancelled_call_is_told_to_nobody_but_its_server),
        RPC_TEST(test_calls_beyond_the_window_are_refused),
        RPC_TEST(test_mistakes_are_refused_in_words),
        RPC_TEST(test_another_service_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
