//  Calls through a relay: requests survive servers that are not there, die, or are closed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rpc_fixture.h"
#include "yam_pub.h"
#include "yam_pull.h"
#include "yam_push.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_monitor.h"

#define LEASE "lease=6s" //  a machine that stands still for 4 s extends none in time
#define PATIENT "heartbeat=60s"
#define HELD_MS 13000 //  more than two of these

static yam_relay_t *s_relay;
static char s_sure[300]; //  ">endpoint?grade=sure", and patience with servers that are not there
static yam_pub_t *s_pub; //  owned, as s_pull: of the test that opens it, closed with it
static yam_pull_t *s_pull;

static void
s_open_relay(const char *endpoint, const char *directory, const char *options)
{
    s_relay = yam_relay_new(rpc_yam, endpoint, directory, options);
    if (s_relay == NULL) {
        fail_msg("%s", yam_error());
    }
    (void) snprintf(s_sure, sizeof s_sure, ">%s?grade=sure&connect-timeout=%dms",
                    yam_relay_endpoints(s_relay), PATIENCE_MS);
}

static int
s_setup(void **state)
{
    if (rpc_setup(state) == -1) {
        return -1;
    }
    s_open_relay("@tcp://127.0.0.1:*", NULL, NULL);
    return 0;
}

static int
s_teardown(void **state)
{
    rpc_close_all();
    yam_pub_destroy(&s_pub);
    yam_pull_destroy(&s_pull);
    yam_relay_destroy(&s_relay);
    return rpc_teardown(state);
}

//  Puts text as it is on the service's queue.
static void
s_push(const char *text)
{
    yam_push_t *push = yam_push_new(rpc_yam, "orders", s_sure);
    int rc = yam_push_send(push, text, strlen(text));
    assert_int_equal(yam_push_close(&push, PATIENCE_MS), 0);
    assert_int_equal(rc, 0);
}

static void
test_request_waits_at_the_relay_for_a_server(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    (void) rpc_call(rpc, "echo there at last", PATIENCE_MS);
    (void) rpc_serve(s_sure);
    assert_string_equal(rpc_heard(1).body, "there at last");
}

static void
test_request_of_a_server_that_goes_is_answered_by_the_next(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    yam_rpc_server_t *server = rpc_serve(s_sure);
    (void) rpc_call(rpc, "hold", PATIENCE_MS);
    rpc_wait_held(1);
    assert_int_equal(rpc_close_server(&server, 0), 1);
    yam_rpc_request_t *late = rpc_take_held();
    assert_int_equal(yam_rpc_reply(&late, YAM_STATUS_OK, NULL, NULL), -1);
    assert_int_equal(errno, ESTALE);
    server = rpc_serve(s_sure);
    rpc_wait_held(1);
    assert_int_equal(rpc_release(), 1);
    assert_string_equal(rpc_heard(1).body, "released");
}

typedef struct {
    yami_monitor_t monitor;
    bool is_second_there;
} s_turns_t;

static bool
s_is(yam_message_t *message, const char *text)
{
    return yam_message_size(message) == strlen(text) &&
           memcmp(yam_message_body(message), text, strlen(text)) == 0;
}

//  The first request is answered when somebody has begun the second, others are at once. By the
//  only worker of each server.
static void
s_second_first(void *arg, yam_rpc_request_t *request)
{
    s_turns_t *turns = arg;
    yam_message_t *message = yam_rpc_request_message(request);
    bool is_first = s_is(message, "first");
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS / 2);
    yami_monitor_lock(&turns->monitor);
    turns->is_second_there |= s_is(message, "second");
    yami_monitor_tell(&turns->monitor);
    while (is_first && !turns->is_second_there && yami_monitor_wait(&turns->monitor, until_ms)) {
    }
    yami_monitor_unlock(&turns->monitor);
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, NULL);
}

static void
test_request_that_a_closing_server_has_not_begun_is_answered_by_the_next(void **state)
{
    (void) state;
    static s_turns_t turns; //  servers have it until they are closed
    char endpoint[400];
    (void) snprintf(endpoint, sizeof endpoint, "%s&credit=2", s_sure);
    yami_monitor_init(&turns.monitor);
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    yam_rpc_server_t *first =
        rpc_keep_server(yam_rpc_serve(rpc_yam, "orders", endpoint, s_second_first, &turns));
    (void) rpc_call(rpc, "first", PATIENCE_MS);
    (void) rpc_call(rpc, "second", PATIENCE_MS);
    RPC_WAIT_SERVER(first, requests, 2);
    (void) rpc_keep_server(yam_rpc_serve(rpc_yam, "orders", s_sure, s_second_first, &turns));
    (void) rpc_call(rpc, "third", PATIENCE_MS); //  the relay can give it to the next one only
    (void) rpc_heard(1);
    uint64_t unfinished = rpc_close_server(&first, PATIENCE_MS);
    assert_int_equal(rpc_heard(3).by_status[YAM_STATUS_OK], 3);
    assert_int_equal(unfinished, 0);
}

static void
test_request_nobody_waits_for_is_not_begun(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    (void) rpc_call(rpc, "echo too late", 1);
    assert_int_equal(rpc_heard(1).by_status[YAM_STATUS_TIMEOUT], 1);
    (void) rpc_call(rpc, "echo in time", PATIENCE_MS);
    yam_rpc_server_t *server = rpc_serve(s_sure);
    assert_string_equal(rpc_heard(2).body, "in time");
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(server, &stats);
    assert_int_equal(stats.handled, 1);
}

static void
test_request_is_kept_for_as_long_as_it_is_held(void **state)
{
    (void) state;
    char servers[400];
    char callers[400];
    yam_relay_destroy(&s_relay);
    s_open_relay("@tcp://127.0.0.1:*", NULL, PATIENT);
    (void) snprintf(servers, sizeof servers, "%s&" PATIENT "&" LEASE, s_sure);
    (void) snprintf(callers, sizeof callers, "%s&" PATIENT, s_sure);
    yam_rpc_server_t *server = rpc_serve(servers);
    yam_rpc_t *rpc = rpc_caller_of(callers);
    (void) rpc_call(rpc, "hold", -1);
    rpc_wait_held(1);
    rpc_assert_answer(rpc, "echo meanwhile", "meanwhile");
    //  Several leases later it has not come again.
    (void) rpc_call(rpc, "silence", HELD_MS);
    assert_int_equal(rpc_heard(1).by_status[YAM_STATUS_TIMEOUT], 1);
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(server, &stats);
    assert_int_equal(stats.duplicates, 0);
    assert_int_equal(stats.handled, 3);
    assert_int_equal(rpc_release(), 2);
    assert_int_equal(rpc_heard(2).by_status[YAM_STATUS_OK], 1);
    assert_int_equal(rpc_close_server(&server, PATIENCE_MS), 0);
}

static void
test_what_is_no_call_goes_to_the_dead_letters(void **state)
{
    (void) state;
    s_push("nonsense");
    yam_rpc_server_t *server = rpc_serve(s_sure);
    RPC_WAIT_SERVER(server, malformed, 1);
    s_pull = yam_pull_new(rpc_yam, "orders.dead", s_sure);
    yam_message_t *message = yam_pull_recv(s_pull, PATIENCE_MS);
    assert_non_null(message);
    assert_memory_equal(yam_message_body(message), "nonsense", 8);
    (void) yam_pull_ack(s_pull, &message);
}

static void
test_nonsense_among_replies_is_dropped_and_counted(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    (void) rpc_serve(s_sure);
    (void) rpc_call(rpc, "hold", PATIENCE_MS);
    rpc_wait_held(1);
    yam_rpc_request_t *held = rpc_take_held();
    char subject[100];
    (void) snprintf(subject, sizeof subject, "%s",
                    yam_message_get(yam_rpc_request_message(held), "reply-to"));
    s_pub = yam_pub_new(rpc_yam, "orders.replies", s_sure);
    yam_message_t *junk = rpc_message("junk");
    assert_int_equal(yam_message_set(junk, "subject", subject), 0);
    assert_int_equal(yam_pub_send_message(s_pub, &junk), 0);
    RPC_WAIT(rpc, malformed, 1);
    assert_int_equal(yam_rpc_reply(&held, YAM_STATUS_OK, "", NULL), 0);
    assert_int_equal(rpc_heard(1).by_status[YAM_STATUS_OK], 1);
}

static void
test_cancelled_call_drops_its_late_reply(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller_of(s_sure);
    (void) rpc_serve(s_sure);
    uint64_t call = rpc_call(rpc, "hold", PATIENCE_MS);
    rpc_wait_held(1);
    assert_int_equal(yam_rpc_cancel(rpc, call), 0);
    assert_int_equal(rpc_release(), 1);
    RPC_WAIT(rpc, late, 1);
    assert_int_equal(rpc_heard(0).told, 0);
}

static void
test_caller_without_its_relay_is_told_so(void **state)
{
    (void) state;
    assert_null(
        yam_rpc_new(rpc_yam, "orders", ">tcp://127.0.0.1:1?grade=sure&connect-timeout=50ms"));
    assert_int_equal(errno, ETIMEDOUT);
}

static void
test_call_outlives_its_relay(void **state)
{
    (void) state;
    char endpoint[300];
    char callers[400];
    (void) snprintf(endpoint, sizeof endpoint, "%s", yam_relay_endpoints(s_relay));
    (void) snprintf(callers, sizeof callers, "%s&heartbeat=50ms", s_sure);
    yam_rpc_t *rpc = rpc_caller_of(callers);
    (void) rpc_serve(callers);
    (void) rpc_call(rpc, "hold", -1);
    rpc_wait_held(1);
    yam_relay_destroy(&s_relay); //  a memory store forgets all
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    do {
        s_relay = yam_relay_new(rpc_yam, endpoint, NULL, NULL);
    } while (s_relay == NULL && yami_clock_mono_ms() < until_ms);
    assert_non_null(s_relay);
    rpc_wait_held(2); //  it was asked anew
    assert_string_equal(rpc_heard_releasing(1).body, "released");
    yam_rpc_stats_t stats;
    yam_rpc_stats(rpc, &stats);
    assert_true(stats.retries >= 1);
}

#define RELAYED_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RELAYED_TEST(test_request_waits_at_the_relay_for_a_server),
        RELAYED_TEST(test_request_of_a_server_that_goes_is_answered_by_the_next),
        RELAYED_TEST(test_request_that_a_closing_server_has_not_begun_is_answered_by_the_next),
        RELAYED_TEST(test_request_nobody_waits_for_is_not_begun),
        RELAYED_TEST(test_request_is_kept_for_as_long_as_it_is_held),
        RELAYED_TEST(test_what_is_no_call_goes_to_the_dead_letters),
        RELAYED_TEST(test_nonsense_among_replies_is_dropped_and_counted),
        RELAYED_TEST(test_cancelled_call_drops_its_late_reply),
        RELAYED_TEST(test_caller_without_its_relay_is_told_so),
        RELAYED_TEST(test_call_outlives_its_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
