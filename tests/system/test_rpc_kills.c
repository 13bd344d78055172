//  Servers of a service are killed amid calls, and the relay, too: each call is answered all the
//  same, and with its own answer.
//
//  test_rpc_kills serve MODE ENDPOINT is such a server: it prints "ready ENDPOINT", then "begun"
//  for each request, and answers with the request itself; in MODE hold it answers nothing, in MODE
//  mix what nobody has asked.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/relay_process.h"
#include "yam_error.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"

#define QUICK "heartbeat=200ms"
#define CALLS 300
#define KILLS 12

//  -- A server

static pthread_mutex_t s_output = PTHREAD_MUTEX_INITIALIZER; //  "ready" comes first

static void
s_answer(void *arg, yam_rpc_request_t *request)
{
    static const uint64_t other = 0;
    const char *mode = arg;
    (void) pthread_mutex_lock(&s_output);
    (void) printf("begun\n");
    (void) fflush(stdout);
    (void) pthread_mutex_unlock(&s_output);
    if (strcmp(mode, "hold") != 0) {
        yam_message_t *message = yam_rpc_request_message(request);
        bool is_mixed = strcmp(mode, "mix") == 0;
        yam_message_t *body = yam_message_new(is_mixed ? &other : yam_message_body(message),
                                              is_mixed ? sizeof other : yam_message_size(message));
        (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, &body);
    }
}

static int
s_serve(char *mode, const char *endpoint)
{
    yam_t *yam = yam_new();
    (void) pthread_mutex_lock(&s_output);
    yam_rpc_server_t *server = yam_rpc_serve(yam, "orders", endpoint, s_answer, mode);
    if (server == NULL) {
        (void) fprintf(stderr, "test_rpc_kills: %s\n", yam_error());
        return 1;
    }
    (void) printf("ready %s\n", yam_rpc_server_endpoint(server));
    (void) fflush(stdout);
    (void) pthread_mutex_unlock(&s_output);
    for (;;) { //  until it is killed
        (void) pause();
    }
}

//  Its endpoint goes to bound, of 300 bytes.
static void
s_start_server(child_t *child, const char *mode, const char *endpoint, char *bound)
{
    char line[300];
    char path[300];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_in_range(size, 1, sizeof path - 1);
    path[size] = '\0';
    const char *const arguments[] = {path, "serve", mode, endpoint, NULL};
    child_start(child, arguments, NULL);
    assert_true(child_read_line(child, line, sizeof line, CHILD_PATIENCE_MS));
    assert_int_equal(strncmp(line, "ready ", 6), 0);
    (void) snprintf(bound, 300, "%.293s", line + 6);
}

static void
s_wait_begun(child_t *child)
{
    char line[400];
    assert_true(child_read_line(child, line, sizeof line, CHILD_PATIENCE_MS));
    assert_string_equal(line, "begun");
}

//  -- The caller

static yam_t *s_yam;
static yam_rpc_t *s_rpc; //  owned; the caller of the test, closed with it

static int
s_setup(void **state)
{
    (void) state;
    s_yam = yam_new();
    return s_yam != NULL ? 0 : -1;
}

static int
s_teardown(void **state)
{
    (void) state;
    (void) yam_rpc_close(&s_rpc, 0);
    yam_destroy(&s_yam);
    return 0;
}

static yam_rpc_t *
s_caller(const char *endpoint)
{
    s_rpc = yam_rpc_new(s_yam, "orders", endpoint);
    if (s_rpc == NULL) {
        fail_msg("%s", yam_error());
    }
    return s_rpc;
}

static uint64_t
s_call_within(yam_rpc_t *rpc, uint64_t content, int64_t timeout_ms)
{
    yam_message_t *request = yam_message_new(&content, sizeof content);
    uint64_t call = yam_rpc_call(rpc, &request, timeout_ms, NULL, NULL);
    assert_int_not_equal(call, 0);
    return call;
}

static uint64_t
s_call(yam_rpc_t *rpc, uint64_t content)
{
    return s_call_within(rpc, content, CHILD_PATIENCE_MS);
}

//  What is wrong with the answer to a call; NULL when it is its own.
static const char *
s_judge(yam_rpc_t *rpc, uint64_t call, uint64_t content)
{
    yam_message_t *answer = yam_rpc_wait(rpc, call, -1, NULL);
    if (answer == NULL) {
        return yam_error();
    }
    bool is_own = yam_message_size(answer) == sizeof content &&
                  memcmp(yam_message_body(answer), &content, sizeof content) == 0;
    yam_message_destroy(&answer);
    return is_own ? NULL : "the answer is another's";
}

static void
s_assert_answered(yam_rpc_t *rpc, uint64_t call, uint64_t content)
{
    const char *wrong = s_judge(rpc, call, content);
    if (wrong != NULL) {
        fail_msg("call %llu: %s", (unsigned long long) content, wrong);
    }
}

static void
test_call_of_a_killed_server_is_answered_by_another(void **state)
{
    (void) state;
    child_t servers[2];
    char bound[2][300];
    char endpoint[700];
    s_start_server(&servers[0], "hold", "@tcp://127.0.0.1:*", bound[0]);
    (void) snprintf(endpoint, sizeof endpoint, ">%s,>tcp://127.0.0.1:%d?retries=100&" QUICK,
                    bound[0], child_free_port());
    const char *second = strstr(endpoint, ",>tcp") + 2;
    (void) snprintf(bound[1], sizeof bound[1], "@%.*s", (int) strcspn(second, "?"), second);
    yam_rpc_t *rpc = s_caller(endpoint);
    uint64_t call = s_call(rpc, 7);
    s_wait_begun(&servers[0]);
    (void) child_kill(&servers[0]);
    s_start_server(&servers[1], "answer", bound[1], bound[0]);
    s_assert_answered(rpc, call, 7);
    yam_rpc_stats_t stats;
    yam_rpc_stats(rpc, &stats);
    assert_true(stats.retries >= 1); //  more, when the other seemed dead for a moment
    (void) child_kill(&servers[1]);
}

static void
test_request_at_a_relay_survives_the_server_that_is_killed_with_it(void **state)
{
    (void) state;
    relay_process_t relay;
    child_t server;
    char endpoint[300];
    char bound[300];
    relay_process_init(&relay, "rpc-server");
    assert_true(relay_process_start(&relay));
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&" QUICK, relay.endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    uint64_t call = s_call(rpc, 7);
    s_start_server(&server, "hold", endpoint, bound);
    s_wait_begun(&server);
    (void) child_kill(&server);
    s_start_server(&server, "answer", endpoint, bound);
    s_assert_answered(rpc, call, 7);
    (void) child_kill(&server);
    assert_int_equal(relay_process_stop(&relay), 0);
}

static void
test_request_survives_the_relay_that_is_killed_with_it(void **state)
{
    (void) state;
    relay_process_t relay;
    child_t server;
    char endpoint[300];
    char bound[300];
    relay_process_init(&relay, "rpc-relay");
    assert_true(relay_process_start(&relay));
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&" QUICK, relay.endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    uint64_t call = s_call(rpc, 7);
    s_start_server(&server, "hold", endpoint, bound);
    s_wait_begun(&server); //  so the relay has it
    (void) child_kill(&server);
    (void) child_kill(&relay.child);
    assert_true(relay_process_start(&relay));
    s_start_server(&server, "answer", endpoint, bound);
    s_assert_answered(rpc, call, 7);
    (void) child_kill(&server);
    assert_int_equal(relay_process_stop(&relay), 0);
}

static void
test_all_calls_are_answered_while_servers_and_relay_are_killed(void **state)
{
    (void) state;
    relay_process_t relay;
    child_t servers[2];
    char endpoint[300];
    char bound[300];
    static uint64_t calls[CALLS];
    relay_process_init(&relay, "rpc-all");
    assert_true(relay_process_start(&relay));
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&retries=100&" QUICK, relay.endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    for (size_t index = 0; index < 2; index++) {
        s_start_server(&servers[index], "answer", endpoint, bound);
    }
    for (size_t round = 0; round < KILLS; round++) {
        for (size_t index = round; index < CALLS; index += KILLS) {
            calls[index] = s_call(rpc, index);
        }
        child_t *victim = &servers[round % 2];
        s_assert_answered(rpc, calls[round], round); //  they are at work
        (void) child_kill(victim);
        if (round % 3 == 2) {
            (void) child_kill(&relay.child);
            assert_true(relay_process_start(&relay));
        }
        s_start_server(victim, "answer", endpoint, bound);
    }
    for (size_t index = KILLS; index < CALLS; index++) {
        s_assert_answered(rpc, calls[index], index);
    }
    (void) child_kill(&servers[0]);
    (void) child_kill(&servers[1]);
    assert_int_equal(relay_process_stop(&relay), 0);
}

//  -- A run that cannot fail proves nothing: what breaks the promise must be found ----------------

//  What is found wrong with a call to a server in that mode.
static const char *
s_find(const char *mode, int64_t timeout_ms)
{
    child_t server;
    char endpoint[320];
    char bound[300];
    s_start_server(&server, mode, "@tcp://127.0.0.1:*", bound);
    (void) snprintf(endpoint, sizeof endpoint, ">%s?" QUICK, bound);
    yam_rpc_t *rpc = s_caller(endpoint);
    const char *wrong = s_judge(rpc, s_call_within(rpc, 7, timeout_ms), 7);
    (void) child_kill(&server);
    return wrong;
}

static void
test_oracle_finds_an_answer_that_is_anothers(void **state)
{
    (void) state;
    assert_string_equal(s_find("mix", CHILD_PATIENCE_MS), "the answer is another's");
}

static void
test_oracle_finds_a_call_that_is_never_answered(void **state)
{
    (void) state;
    assert_non_null(strstr(s_find("hold", 500), "no answer came in time"));
}

#define KILL_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(int argc, char **argv)
{
    (void) signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return s_serve(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        KILL_TEST(test_call_of_a_killed_server_is_answered_by_another),
        KILL_TEST(test_request_at_a_relay_survives_the_server_that_is_killed_with_it),
        KILL_TEST(test_request_survives_the_relay_that_is_killed_with_it),
        KILL_TEST(test_all_calls_are_answered_while_servers_and_relay_are_killed),
        KILL_TEST(test_oracle_finds_an_answer_that_is_anothers),
        KILL_TEST(test_oracle_finds_a_call_that_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
