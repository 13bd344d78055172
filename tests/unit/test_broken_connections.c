//  Peers whose connections break, or who break the rules, while what they sent is not all taken:
//  where ZeroMQ ends the process. See tests/support/raw_peer.h.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "raw_peer.h"
#include "yam.h"
#include "yami_context.h"
#include "yami_engine.h"

#define QUICK "heartbeat=50ms"
#define QUICK_MS 50
#define BEATS 3
#define FLOOD_SIZE 8000 //  bytes that ZeroMQ reads at once: thousands of empty frames
#define PING "\4\7\4PING\0\0"
#define PING_OF_100_MS "\4\7\4PING\0\1" //  that promises another one before that

static yam_t *s_yam;
static raw_peer_t s_peer;
static raw_peer_t s_witness;
static void *s_asking; //  ZeroMQ's own socket, which s_witness hears

//  Whose connection breaks: closed with the test, which may fail amid its work.
static yam_push_t *s_push;
static yam_pull_t *s_pull;
static yam_rpc_t *s_rpc;
static yam_rpc_server_t *s_server;

//  -- An engine that does not come to take anything

static yami_task_t s_task;
static bool s_is_held;
static int s_held_fd;
static int s_free_fd;

static int64_t
s_hold(void *arg, int64_t now_ms)
{
    (void) arg, (void) now_ms;
    assert_int_equal(eventfd_write(s_held_fd, 1), 0);
    eventfd_t value;
    assert_int_equal(eventfd_read(s_free_fd, &value), 0);
    return INT64_MAX;
}

static void
s_hold_engine(void)
{
    eventfd_t value;
    s_task = (yami_task_t) {.step = s_hold};
    assert_int_equal(yami_engine_add(yami_context_engine(s_yam), &s_task), 0);
    s_is_held = true;
    assert_int_equal(eventfd_read(s_held_fd, &value), 0);
}

static void
s_free_engine(void)
{
    s_is_held = false;
    assert_int_equal(eventfd_write(s_free_fd, 1), 0);
    yami_engine_remove(yami_context_engine(s_yam), &s_task);
}

//  -- The scene

static int
s_setup(void **state)
{
    (void) state;
    s_held_fd = eventfd(0, EFD_CLOEXEC);
    s_free_fd = eventfd(0, EFD_CLOEXEC);
    s_yam = yam_new();
    assert_non_null(s_yam);
    raw_peer_listen(&s_peer, "ROUTER");
    raw_peer_listen(&s_witness, "ROUTER");
    s_asking = zmq_socket(yam_zmq_context(s_yam), ZMQ_DEALER);
    assert_non_null(s_asking);
    int interval_ms = QUICK_MS;
    int never_ms = 3600000;
    assert_int_equal(zmq_setsockopt(s_asking, ZMQ_HEARTBEAT_IVL, &interval_ms, sizeof interval_ms),
                     0);
    assert_int_equal(zmq_setsockopt(s_asking, ZMQ_HEARTBEAT_TIMEOUT, &never_ms, sizeof never_ms),
                     0);
    assert_int_equal(zmq_connect(s_asking, s_witness.address), 0);
    raw_peer_meet(&s_witness);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    if (s_is_held) {
        s_free_engine();
    }
    (void) yam_push_close(&s_push, 0);
    (void) yam_pull_close(&s_pull, 0);
    (void) yam_rpc_close(&s_rpc, 0);
    (void) yam_rpc_server_close(&s_server, 0);
    (void) zmq_close(s_asking);
    yam_destroy(&s_yam);
    raw_peer_clear(&s_peer);
    raw_peer_clear(&s_witness);
    (void) close(s_held_fd);
    (void) close(s_free_fd);
    return 0;
}

//  ZeroMQ's thread has had so many heartbeats to ask with, and lives.
static void
s_wait_for_beats(void)
{
    assert_true(raw_peer_hear(&s_witness, "PING", BEATS));
}

static const char *
s_endpoint(const char *options)
{
    static char s_text[512];
    (void) snprintf(s_text, sizeof s_text, ">%s?%s", s_peer.address, options);
    return s_text;
}

//  A connection that is there while the engine is held.
static void
s_meet_held(void)
{
    for (;;) {
        raw_peer_meet(&s_peer);
        s_hold_engine();
        raw_peer_say(&s_peer, PING, sizeof PING - 1);
        if (raw_peer_hear(&s_peer, "PONG", 1)) {
            return;
        }
        s_free_engine(); //  it was given up before, for its silence
    }
}

//  More empty frames than any socket queues, the last bytes of which are tail.
static void
s_flood(const char *tail, size_t size)
{
    char bytes[FLOOD_SIZE] = {0};
    memcpy(bytes + sizeof bytes - size, tail, size);
    raw_peer_say(&s_peer, bytes, sizeof bytes);
}

static void
s_break_off(void)
{
    s_meet_held();
    s_flood("", 0);
    raw_peer_reset(&s_peer);
    s_wait_for_beats();
    s_free_engine();
    raw_peer_meet(&s_peer); //  and so it lives, and comes again
}

//  -- Heartbeats that are due on a broken connection

static void
test_sender_whose_connection_breaks_amid_a_flood_comes_again(void **state)
{
    (void) state;
    s_push = yam_push_new(s_yam, "orders", s_endpoint("grade=sure&" QUICK));
    assert_non_null(s_push);
    s_break_off();
}

static void
test_receiver_whose_connection_breaks_amid_a_flood_comes_again(void **state)
{
    (void) state;
    s_pull = yam_pull_new(s_yam, "orders", s_endpoint("grade=sure&" QUICK));
    assert_non_null(s_pull);
    s_break_off();
}

static void
test_caller_whose_connection_breaks_amid_a_flood_comes_again(void **state)
{
    (void) state;
    s_rpc = yam_rpc_new(s_yam, "orders", s_endpoint(QUICK "&hwm=10"));
    assert_non_null(s_rpc);
    s_break_off();
}

static void
s_refuse(void *arg, yam_rpc_request_t *request)
{
    (void) arg;
    (void) yam_rpc_reply(&request, YAM_STATUS_NOT_ALLOWED, "not today", NULL);
}

static void
test_server_whose_connection_breaks_amid_a_flood_takes_the_next(void **state)
{
    (void) state;
    s_server =
        yam_rpc_serve(s_yam, "orders", "@tcp://127.0.0.1:*?" QUICK "&hwm=10", s_refuse, NULL);
    assert_non_null(s_server);
    raw_peer_clear(&s_peer);
    raw_peer_aim(&s_peer, "DEALER", yam_rpc_server_endpoint(s_server));
    s_break_off();
}

//  -- Heartbeats of the peer's own

//  They come behind what the socket has room for, and are read when the connection is broken.
static void
s_ask_and_break_off(void)
{
    s_meet_held();
    s_flood(PING, sizeof PING - 1);
    raw_peer_reset(&s_peer);
    s_wait_for_beats();
    s_free_engine();
    raw_peer_meet(&s_peer);
}

//  ZeroMQ gives the connection up, and has another one when what came by the first one is taken.
static void
s_ask_and_fall_silent(void)
{
    s_meet_held();
    raw_peer_say(&s_peer, PING_OF_100_MS, sizeof PING_OF_100_MS - 1);
    s_flood("", 0);
    raw_peer_meet(&s_peer);
    s_free_engine();
    s_wait_for_beats();
    raw_peer_meet(&s_peer);
}

static void
test_sender_whose_relay_asks_behind_a_flood_comes_again(void **state)
{
    (void) state;
    s_push = yam_push_new(s_yam, "orders", s_endpoint("grade=sure&" QUICK));
    assert_non_null(s_push);
    s_ask_and_break_off();
    s_ask_and_fall_silent();
}

static void
test_receiver_whose_relay_asks_behind_a_flood_comes_again(void **state)
{
    (void) state;
    s_pull = yam_pull_new(s_yam, "orders", s_endpoint("grade=sure&" QUICK));
    assert_non_null(s_pull);
    s_ask_and_break_off();
    s_ask_and_fall_silent();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sender_whose_connection_breaks_amid_a_flood_comes_again),
        TEST(test_receiver_whose_connection_breaks_amid_a_flood_comes_again),
        TEST(test_caller_whose_connection_breaks_amid_a_flood_comes_again),
        TEST(test_server_whose_connection_breaks_amid_a_flood_takes_the_next),
        TEST(test_sender_whose_relay_asks_behind_a_flood_comes_again),
        TEST(test_receiver_whose_relay_asks_behind_a_flood_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
