//  Servers of a service are killed amid calls, frozen and stopped, and the relay is killed, too:
//  each call is answered all the same, and with its own answer, and what nobody waits for any more
//  is not begun.
//
//  test_rpc_kills serve MODE ENDPOINT is such a server until SIGTERM: it prints "ready ENDPOINT",
//  then "begun N" for each request, which is the number N, and answers with the request itself. In
//  MODE hold it says "joined N" when another request has come since it was started, and answers
//  when it reads a line; in MODE mix it answers what nobody has asked.
//
//  One file: server and tests agree on what it prints.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/relay_process.h"
#include "yam_error.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"

#define QUICK "heartbeat=200ms"
#define PATIENT "heartbeat=20s" //  who is frozen is not taken for dead
#define CALLS 300
#define KILLS 12
#define FREEZE_MS 2000
#define SPEECH_MS 20000 //  a server that says nothing for so long has failed

//  -- A server

static pthread_mutex_t s_output = PTHREAD_MUTEX_INITIALIZER; //  "ready" comes first
static yam_rpc_server_t *s_server;                           //  borrowed; there once that is said

static void
s_say(const char *what, uint64_t number)
{
    (void) pthread_mutex_lock(&s_output);
    (void) printf("%s %llu\n", what, (unsigned long long) number);
    (void) fflush(stdout);
    (void) pthread_mutex_unlock(&s_output);
}

//  Until another request is here, and then until a line is read.
static void
s_hold(uint64_t number)
{
    yam_rpc_server_stats_t stats;
    int byte;
    do {
        child_look_later();
        yam_rpc_server_stats(s_server, &stats);
    } while (stats.requests < 2);
    s_say("joined", number);
    do {
        byte = getchar();
    } while (byte != '\n' && byte != EOF);
}

static void
s_answer(void *arg, yam_rpc_request_t *request)
{
    const char *mode = arg;
    uint64_t number = 0;
    memcpy(&number, yam_message_body(yam_rpc_request_message(request)), sizeof number);
    s_say("begun", number);
    if (strcmp(mode, "hold") == 0) {
        s_hold(number);
    }
    number = strcmp(mode, "mix") == 0 ? 0 : number;
    yam_message_t *body = yam_message_new(&number, sizeof number);
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, &body);
}

static int
s_serve(char *mode, const char *endpoint)
{
    sigset_t stop;
    (void) sigemptyset(&stop);
    (void) sigaddset(&stop, SIGTERM);
    (void) sigprocmask(SIG_BLOCK, &stop, NULL);
    yam_t *yam = yam_new();
    (void) pthread_mutex_lock(&s_output);
    yam_rpc_server_t *server = yam_rpc_serve(yam, "orders", endpoint, s_answer, mode);
    s_server = server;
    if (server == NULL) {
        (void) fprintf(stderr, "test_rpc_kills: %s\n", yam_error());
        return 1;
    }
    (void) printf("ready %s\n", yam_rpc_server_endpoint(server));
    (void) fflush(stdout);
    (void) pthread_mutex_unlock(&s_output);
    (void) sigwait(&stop, &(int) {0});
    uint64_t unfinished = yam_rpc_server_close(&server, CHILD_PATIENCE_MS);
    yam_destroy(&yam);
    return unfinished == 0 ? 0 : 1;
}

//  Its endpoint goes to bound, of 300 bytes, unless that is NULL.
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
    if (bound != NULL) {
        (void) snprintf(bound, 300, "%.293s", line + 6);
    }
}

//  What it says next.
static void
s_expect(child_t *child, const char *said)
{
    char line[400];
    if (!child_read_line(child, line, sizeof line, SPEECH_MS)) {
        fail_msg("a server never said: %s", said);
    }
    assert_string_equal(line, said);
}

//  Has it answer what it holds.
static void
s_tell(const child_t *child)
{
    assert_int_equal(write(child->input, "\n", 1), 1);
}

//  From then on it does nothing until SIGCONT.
static void
s_freeze(const child_t *child)
{
    siginfo_t info;
    assert_int_equal(kill(child->pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t) child->pid, &info, WSTOPPED), 0);
}

//  -- The caller

static yam_t *s_yam;
static yam_rpc_t *s_rpc; //  owned; the caller of the test, closed with it
static relay_process_t s_relay;

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

//  A new relay; option may be NULL. endpoint, of 300 bytes, is that of its clients, with options.
static void
s_start_relay(const char *name, const char *option, const char *options, char *endpoint)
{
    relay_process_init(&s_relay, name);
    s_relay.options[0] = option;
    assert_true(relay_process_start(&s_relay));
    (void) snprintf(endpoint, 300, ">%s?grade=sure%s", s_relay.endpoint, options);
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
    s_expect(&servers[0], "begun 7");
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
    child_t server;
    char endpoint[300];
    s_start_relay("rpc-server", NULL, "&" QUICK, endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    uint64_t call = s_call(rpc, 7);
    s_start_server(&server, "hold", endpoint, NULL);
    s_expect(&server, "begun 7");
    (void) child_kill(&server);
    s_start_server(&server, "answer", endpoint, NULL);
    s_assert_answered(rpc, call, 7);
    (void) child_kill(&server);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

static void
test_request_survives_the_relay_that_is_killed_with_it(void **state)
{
    (void) state;
    child_t server;
    char endpoint[300];
    s_start_relay("rpc-relay", NULL, "&" QUICK, endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    uint64_t call = s_call(rpc, 7);
    s_start_server(&server, "hold", endpoint, NULL);
    s_expect(&server, "begun 7"); //  so the relay has it
    (void) child_kill(&server);
    (void) child_kill(&s_relay.child);
    assert_true(relay_process_start(&s_relay));
    s_start_server(&server, "answer", endpoint, NULL);
    s_assert_answered(rpc, call, 7);
    (void) child_kill(&server);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

static void
test_all_calls_are_answered_while_servers_and_relay_are_killed(void **state)
{
    (void) state;
    child_t servers[2];
    char endpoint[300];
    static uint64_t calls[CALLS];
    s_start_relay("rpc-all", NULL, "&retries=100&" QUICK, endpoint);
    yam_rpc_t *rpc = s_caller(endpoint);
    for (size_t index = 0; index < 2; index++) {
        s_start_server(&servers[index], "answer", endpoint, NULL);
    }
    for (size_t round = 0; round < KILLS; round++) {
        for (size_t index = round; index < CALLS; index += KILLS) {
            calls[index] = s_call(rpc, index);
        }
        child_t *victim = &servers[round % 2];
        s_assert_answered(rpc, calls[round], round); //  they are at work
        (void) child_kill(victim);
        if (round % 3 == 2) {
            (void) child_kill(&s_relay.child);
            assert_true(relay_process_start(&s_relay));
        }
        s_start_server(victim, "answer", endpoint, NULL);
    }
    for (size_t index = KILLS; index < CALLS; index++) {
        s_assert_answered(rpc, calls[index], index);
    }
    (void) child_kill(&servers[0]);
    (void) child_kill(&servers[1]);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

//  While it is frozen the deadlines of two calls come. It knows them up to one round trip only, so
//  it may begin the second.
static void
s_assert_not_begun(child_t *server, const char *endpoint)
{
    char line[400] = "";
    yam_rpc_t *rpc = s_caller(endpoint);
    s_assert_answered(rpc, s_call(rpc, 1), 1);
    s_expect(server, "begun 1");
    s_freeze(server);
    uint64_t first = s_call_within(rpc, 2, FREEZE_MS / 10);
    uint64_t second = s_call_within(rpc, 3, FREEZE_MS);
    assert_non_null(strstr(s_judge(rpc, first, 2), "in time")); //  no answer, or not even sent
    assert_non_null(strstr(s_judge(rpc, second, 3), "in time"));
    assert_int_equal(kill(server->pid, SIGCONT), 0);
    s_assert_answered(rpc, s_call(rpc, 4), 4);
    while (strcmp(line, "begun 4") != 0) {
        assert_true(child_read_line(server, line, sizeof line, CHILD_PATIENCE_MS));
        assert_string_not_equal(line, "begun 2");
    }
    (void) child_kill(server);
}

static void
test_frozen_server_does_not_begin_what_nobody_waits_for_any_more(void **state)
{
    (void) state;
    child_t server;
    char endpoint[400], bound[300];
    s_start_server(&server, "answer", "@tcp://127.0.0.1:*", bound);
    (void) snprintf(endpoint, sizeof endpoint, ">%s?" PATIENT, bound);
    s_assert_not_begun(&server, endpoint);
}

static void
test_frozen_server_does_not_begin_what_a_relay_gave_it_and_nobody_waits_for(void **state)
{
    (void) state;
    child_t server;
    char endpoint[300];
    s_start_relay("rpc-frozen", "--" PATIENT, "&" PATIENT, endpoint);
    s_start_server(&server, "answer", endpoint, NULL);
    s_assert_not_begun(&server, endpoint);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

//  The server at a new relay has begun the first of two calls, and taken the second.
static void
s_occupy(child_t *server, const char *name, const char *options, char *endpoint, uint64_t *calls)
{
    s_start_relay(name, "--" PATIENT, options, endpoint);
    s_start_server(server, "hold", endpoint, NULL);
    (void) s_caller(endpoint);
    calls[0] = s_call(s_rpc, 1);
    s_expect(server, "begun 1");
    calls[1] = s_call(s_rpc, 2);
    s_expect(server, "joined 1");
}

static void
test_reply_to_a_call_that_was_given_up_answers_no_other(void **state)
{
    (void) state;
    child_t server;
    char endpoint[300];
    uint64_t calls[2];
    yam_rpc_stats_t stats;
    s_occupy(&server, "rpc-late", "&" PATIENT, endpoint, calls);
    assert_int_equal(yam_rpc_cancel(s_rpc, calls[0]), 0);
    s_tell(&server); //  so its answer comes, and the other call waits for one
    s_expect(&server, "begun 2");
    s_tell(&server);
    s_assert_answered(s_rpc, calls[1], 2);
    yam_rpc_stats(s_rpc, &stats);
    assert_int_equal(stats.late, 1);
    (void) child_kill(&server);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

//  Both calls are answered once the second server has begun the second one, and all end.
static void
s_assert_handed_over(child_t *servers, const uint64_t *calls)
{
    s_expect(&servers[1], "begun 2"); //  so the other closes, and does not begin it any more
    s_tell(&servers[0]);
    s_assert_answered(s_rpc, calls[1], 2);
    s_assert_answered(s_rpc, calls[0], 1);
    assert_int_equal(child_wait(&servers[0], CHILD_PATIENCE_MS), 0);
    (void) child_kill(&servers[1]);
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

static void
test_request_that_a_stopped_server_has_not_begun_is_answered_by_the_next(void **state)
{
    (void) state;
    child_t servers[2];
    char endpoint[300];
    uint64_t calls[2];
    s_occupy(&servers[0], "rpc-stopped", "&credit=2&" PATIENT, endpoint, calls);
    s_start_server(&servers[1], "answer", endpoint, NULL);
    s_assert_answered(s_rpc, s_call(s_rpc, 3), 3);
    s_expect(&servers[1], "begun 3"); //  it is there, and the other has no credit left
    assert_int_equal(kill(servers[0].pid, SIGTERM), 0);
    s_assert_handed_over(servers, calls);
}

static void
test_request_that_comes_again_to_a_stopped_server_goes_to_the_next(void **state)
{
    (void) state;
    child_t servers[2];
    char endpoint[300];
    uint64_t calls[2];
    s_occupy(&servers[0], "rpc-again", "&lease=10m&" PATIENT, endpoint, calls);
    assert_int_equal(kill(servers[0].pid, SIGTERM), 0); //  there is no other that could have it
    s_start_server(&servers[1], "answer", endpoint, NULL);
    s_assert_handed_over(servers, calls);
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
    assert_non_null(strstr(s_find("hold", 500), "in time"));
}

#define KILL_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(int argc, char **argv)
{
    (void) signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return s_serve(argv[2], argv[3]);
    }
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        KILL_TEST(test_call_of_a_killed_server_is_answered_by_another),
        KILL_TEST(test_request_at_a_relay_survives_the_server_that_is_killed_with_it),
        KILL_TEST(test_request_survives_the_relay_that_is_killed_with_it),
        KILL_TEST(test_all_calls_are_answered_while_servers_and_relay_are_killed),
        KILL_TEST(test_reply_to_a_call_that_was_given_up_answers_no_other),
        KILL_TEST(test_frozen_server_does_not_begin_what_nobody_waits_for_any_more),
        KILL_TEST(test_frozen_server_does_not_begin_what_a_relay_gave_it_and_nobody_waits_for),
        KILL_TEST(test_request_that_a_stopped_server_has_not_begun_is_answered_by_the_next),
        KILL_TEST(test_request_that_comes_again_to_a_stopped_server_goes_to_the_next),
        KILL_TEST(test_oracle_finds_an_answer_that_is_anothers),
        KILL_TEST(test_oracle_finds_a_call_that_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
