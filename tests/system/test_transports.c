//  The same small program, unchanged, over every transport and with the relay anywhere:
//  examples/01_queue.c itself, and the same scheme with both halves in processes of their own.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "harness/relay_process.h"

int
queue_main(int argc, char **argv);

#define main queue_main
#include "../../examples/01_queue.c" // NOLINT(bugprone-suspicious-include)
#undef main

#define COUNT 1000
#define PATIENCE_MS 30000

static char s_self[512]; //  path of this program

//  -- The halves ----------------------------------------------------------------------------------

static int
s_fail(const char *what)
{
    (void) fprintf(stderr, "# %s: %s (%s)\n", what, yam_error(), strerror(errno));
    return 1;
}

static void
s_say(const char *line)
{
    (void) puts(line);
    (void) fflush(stdout);
}

//  Returns when the test has heard enough of this half.
static void
s_wait_for_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

static int
s_push(const char *endpoint)
{
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "orders", endpoint);
    if (!push) {
        return s_fail("cannot push");
    }
    s_say("open");
    for (uint32_t number = 0; number < COUNT; number++) {
        if (yam_push_send(push, &number, sizeof number) == -1) {
            return s_fail("cannot send");
        }
    }
    if (yam_push_flush(push, PATIENCE_MS) != 0) {
        return s_fail("not flushed");
    }
    s_say("flushed");
    s_wait_for_end();
    uint64_t missing = yam_push_close(&push, PATIENCE_MS);
    yam_destroy(&yam);
    return missing == 0 ? 0 : s_fail("not confirmed");
}

static int
s_pull(const char *endpoint)
{
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "orders", endpoint);
    if (!pull) {
        return s_fail("cannot pull");
    }
    s_say("open");
    for (uint32_t number = 0; number < COUNT; number++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        if (!message) {
            return s_fail("nothing came");
        }
        if (yam_message_size(message) != sizeof number ||
            memcmp(yam_message_body(message), &number, sizeof number) != 0) {
            return s_fail("another message came");
        }
        if (yam_pull_ack(pull, &message) == -1) {
            return s_fail("cannot ack");
        }
    }
    if (yam_pull_flush(pull, PATIENCE_MS) != 0) {
        return s_fail("acks are not durable");
    }
    s_say("received");
    s_wait_for_end();
    uint64_t missing = yam_pull_close(&pull, PATIENCE_MS);
    yam_destroy(&yam);
    return missing == 0 ? 0 : s_fail("not settled");
}

//  -- Both together -------------------------------------------------------------------------------

static void
s_expect(child_t *child, const char *expected)
{
    char line[64] = "";
    assert_true(child_read_line(child, line, sizeof line, PATIENCE_MS));
    assert_string_equal(line, expected);
}

static void
s_start(child_t *child, const char *half, const char *endpoint)
{
    const char *argv[] = {s_self, half, endpoint, NULL};
    child_start(child, argv, NULL);
    s_expect(child, "open");
}

static void
s_run_example(const char *push, const char *pull)
{
    char text[4096];
    const char *argv[] = {s_self, "01_queue", push, pull, NULL};
    int code = child_run(argv, text, sizeof text);
    assert_string_equal(text, "hello\n");
    assert_int_equal(code, 0);
}

//  Whoever binds starts first.
static void
s_run_halves(const char *push_endpoint, const char *pull_endpoint)
{
    child_t push, pull;
    if (push_endpoint[0] == '@') {
        s_start(&push, "push", push_endpoint);
        s_start(&pull, "pull", pull_endpoint);
    } else {
        s_start(&pull, "pull", pull_endpoint);
        s_start(&push, "push", push_endpoint);
    }
    s_expect(&push, "flushed");
    s_expect(&pull, "received");
    assert_int_equal(child_wait(&pull, PATIENCE_MS), 0);
    assert_int_equal(child_wait(&push, PATIENCE_MS), 0);
}

static void
s_run_both(const char *push, const char *pull)
{
    s_run_example(push, pull);
    s_run_halves(push, pull);
}

//  A bound and a connecting endpoint at a free port, each with options.
static void
s_tcp(char *bound, const char *bound_options, char *connected, const char *connected_options)
{
    int port = child_free_port();
    (void) snprintf(bound, 600, "@tcp://127.0.0.1:%d%s", port, bound_options);
    (void) snprintf(connected, 600, ">tcp://127.0.0.1:%d%s", port, connected_options);
}

static void
test_over_inproc(void **state)
{
    (void) state;
    s_run_example(">inproc://orders", "@inproc://orders");
}

static void
test_over_ipc(void **state)
{
    char bound[600], connected[600];
    (void) state;
    (void) snprintf(bound, sizeof bound, "@ipc://%s/orders", child_folder());
    (void) snprintf(connected, sizeof connected, ">ipc://%s/orders", child_folder());
    s_run_both(connected, bound);
}

static void
test_over_tcp(void **state)
{
    char bound[600], connected[600];
    (void) state;
    s_tcp(bound, "", connected, "");
    s_run_both(connected, bound);
}

//  ZeroMQ may be built without it: zmq_has does not say, a socket does.
static bool
s_has_ws(void)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_PULL);
    bool has = zmq_bind(socket, "ws://127.0.0.1:*") == 0 || errno != EPROTONOSUPPORT;
    (void) zmq_close(socket);
    (void) zmq_ctx_term(context);
    return has;
}

static void
test_over_ws(void **state)
{
    char bound[600], connected[600];
    (void) state;
    if (!s_has_ws()) {
        print_message("# needs a ZeroMQ that has ws\n");
        skip();
    }
    int port = child_free_port();
    (void) snprintf(bound, sizeof bound, "@ws://127.0.0.1:%d", port);
    (void) snprintf(connected, sizeof connected, ">ws://127.0.0.1:%d", port);
    s_run_both(connected, bound);
}

static void
test_with_the_relay_in_the_producer(void **state)
{
    char bound[600], connected[600], options[400];
    (void) state;
    (void) snprintf(options, sizeof options, "?relay=%s/outbound", child_folder());
    s_tcp(bound, options, connected, "?grade=sure");
    s_run_both(bound, connected);
}

static void
test_with_the_relay_in_the_consumer(void **state)
{
    char bound[600], connected[600], options[400];
    (void) state;
    (void) snprintf(options, sizeof options, "?relay=%s/inbound", child_folder());
    s_tcp(bound, options, connected, "?grade=sure");
    s_run_both(connected, bound);
}

static void
test_with_a_relay_in_memory(void **state)
{
    char bound[600], connected[600];
    (void) state;
    s_tcp(bound, "?relay=memory", connected, "?grade=sure");
    s_run_both(connected, bound);
}

static void
test_through_yamd(void **state)
{
    relay_process_t relay;
    char endpoint[600];
    (void) state;
    relay_process_init(&relay, "yamd");
    assert_true(relay_process_start(&relay));
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure", relay.endpoint);
    s_run_both(endpoint, endpoint);
    assert_int_equal(relay_process_stop(&relay), 0);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "01_queue") == 0) {
        return queue_main(argc - 1, argv + 1);
    }
    if (argc == 3) {
        return strcmp(argv[1], "push") == 0 ? s_push(argv[2]) : s_pull(argv[2]);
    }
    if (readlink("/proc/self/exe", s_self, sizeof s_self - 1) == -1) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over_inproc),
        cmocka_unit_test(test_over_ipc),
        cmocka_unit_test(test_over_tcp),
        cmocka_unit_test(test_over_ws),
        cmocka_unit_test(test_with_the_relay_in_the_producer),
        cmocka_unit_test(test_with_the_relay_in_the_consumer),
        cmocka_unit_test(test_with_a_relay_in_memory),
        cmocka_unit_test(test_through_yamd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
