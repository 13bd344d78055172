//  Servers that die, are closed, lie, or talk nonsense; and callers that do. Directly, over real
//  sockets.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "rpc_fixture.h"
#include "yami_base.h"
#include "yami_block.h"
#include "yami_limits.h"
#include "yami_rpc_frame.h"

//  A silent server is given up after three heartbeats: soon where one dies, and then one that lives
//  may be taken for dead, too, on a slow machine; never where none does.
#define QUICK "heartbeat=50ms"
#define PATIENT "heartbeat=60s"

static void *s_sockets[2]; //  owned; of servers or callers that do what a test says, closed with it
static size_t s_socket_count;

static int
s_teardown(void **state)
{
    while (s_socket_count > 0) {
        (void) zmq_close(s_sockets[--s_socket_count]);
    }
    return rpc_teardown(state);
}

static void *
s_open_socket(int type)
{
    int patience_ms = PATIENCE_MS;
    int linger_ms = 0;
    void *socket = zmq_socket(yam_zmq_context(rpc_yam), type);
    s_sockets[s_socket_count++] = socket;
    assert_int_equal(zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms), 0);
    return socket;
}

//  -- Servers that go

//  Two servers, and a caller of both that has a call held by the first or the second.
typedef struct {
    yam_rpc_server_t *servers[2];
    yam_rpc_t *rpc;
    size_t holder; //  index
} s_pair_t;

static s_pair_t
s_open_pair(const char *options)
{
    char endpoint[400];
    s_pair_t pair = {.servers = {rpc_serve("@tcp://127.0.0.1:*"), rpc_serve("@tcp://127.0.0.1:*")}};
    (void) snprintf(endpoint, sizeof endpoint, ">%s,>%s?%s",
                    yam_rpc_server_endpoint(pair.servers[0]),
                    yam_rpc_server_endpoint(pair.servers[1]), options);
    pair.rpc = rpc_caller_of(endpoint);
    rpc_wait_alive(pair.rpc, 2);
    (void) rpc_call(pair.rpc, "hold", PATIENCE_MS);
    (void) rpc_wait_held_or_heard(1); //  the latter when it was taken for dead, without retries
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(pair.servers[0], &stats);
    pair.holder = stats.handled > 0 ? 0 : 1; //  pending may be what it has not begun
    return pair;
}

static void
test_call_of_a_server_that_dies_is_answered_by_another(void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair(QUICK "&retries=100");
    assert_true(rpc_close_server(&pair.servers[pair.holder], 0) >= 1);
    rpc_wait_held(2);
    assert_string_equal(rpc_heard_releasing(1).body, "released");
    yam_rpc_stats_t stats;
    yam_rpc_stats(pair.rpc, &stats);
    assert_true(stats.retries >= 1);
    rpc_wait_alive(pair.rpc, 1);
}

static void
test_answer_for_a_server_that_was_closed_is_refused(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), "");
    (void) rpc_call(rpc, "hold", PATIENCE_MS);
    rpc_wait_held(1);
    assert_int_equal(rpc_close_server(&server, 0), 1);
    yam_rpc_request_t *dead = rpc_take_held();
    assert_int_equal(yam_rpc_reply(&dead, YAM_STATUS_OK, NULL, NULL), -1);
    assert_int_equal(errno, ESTALE);
}

static void
test_call_without_retries_ends_when_its_server_dies(void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair(QUICK "&retries=0");
    (void) rpc_close_server(&pair.servers[pair.holder], 0);
    rpc_outcomes_t heard = rpc_heard(1);
    assert_int_equal(heard.by_status[YAM_STATUS_TIMEOUT], 1);
    assert_non_null(strstr(heard.text, "may have"));
}

static void
test_busy_server_sends_the_call_to_another_and_the_last_refusal_is_told(void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair(PATIENT "&retries=1");
    assert_int_equal(rpc_release(), 1);
    (void) rpc_call(pair.rpc, "busy", PATIENCE_MS);
    assert_int_equal(rpc_heard(2).by_status[YAM_STATUS_FULL], 1);
    for (size_t index = 0; index < 2; index++) {
        yam_rpc_server_stats_t stats;
        yam_rpc_server_stats(pair.servers[index], &stats);
        assert_int_equal(stats.handled, index == pair.holder ? 2 : 1);
    }
}

static void
test_call_waits_for_a_server_that_comes_and_for_one_that_comes_again(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "?retries=100&" QUICK);
    (void) rpc_call(rpc, "echo a", PATIENCE_MS);
    for (uint64_t round = 1; round <= 3; round++) {
        yam_rpc_server_t *server = rpc_serve("@inproc://orders");
        assert_int_equal(rpc_heard(round).by_status[YAM_STATUS_OK], round);
        (void) rpc_close_server(&server, 0);
        (void) rpc_call(rpc, "echo b", PATIENCE_MS);
    }
    assert_int_equal(rpc_close(&rpc, 0), 1);
}

static void
test_no_server_at_all_is_a_timeout(void **state)
{
    (void) state;
    yam_rpc_t *rpc = rpc_caller("tcp://127.0.0.1:1", "");
    (void) rpc_call(rpc, "echo", 50);
    rpc_outcomes_t heard = rpc_heard(1);
    assert_int_equal(heard.by_status[YAM_STATUS_TIMEOUT], 1);
    assert_string_equal(heard.text, "no server was there in time");
}

static void
test_server_closed_gracefully_answers_what_it_has_begun(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    char endpoint[300];
    (void) snprintf(endpoint, sizeof endpoint, "@%s", yam_rpc_server_endpoint(server));
    yam_rpc_t *rpc = rpc_caller(endpoint + 1, "?retries=100&heartbeat=5s");
    for (int count = 0; count < 200; count++) {
        (void) rpc_call(rpc, "echo x", PATIENCE_MS);
    }
    RPC_WAIT_SERVER(server, handled, 100);
    assert_int_equal(rpc_close_server(&server, PATIENCE_MS), 0);
    server = rpc_serve(endpoint); //  the others are for the next one
    assert_int_equal(rpc_heard(200).by_status[YAM_STATUS_OK], 200);
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(server, &stats);
    assert_true(stats.handled <= 100);
}

static void
test_requests_beyond_the_credit_are_refused(void **state)
{
    (void) state;
    (void) rpc_serve("@inproc://orders?credit=2");
    yam_rpc_t *rpc = rpc_caller("inproc://orders", "?retries=0");
    for (int count = 0; count < 3; count++) {
        (void) rpc_call(rpc, "hold", PATIENCE_MS);
    }
    assert_int_equal(rpc_heard(1).by_status[YAM_STATUS_FULL], 1);
    rpc_wait_held(2);
    assert_int_equal(rpc_release(), 2);
    assert_int_equal(rpc_heard(3).by_status[YAM_STATUS_OK], 2);
}

//  -- A server that does what a test says

typedef struct {
    void *socket; //  borrowed
    char endpoint[256];
    uint8_t peer[256];
    size_t peer_size;
    yami_block_t *block;    //  owned; what came last
    yami_rpc_frame_t frame; //  of that
    uint32_t epoch;
} s_liar_t;

static void
s_liar_open(s_liar_t *self)
{
    size_t size = sizeof self->endpoint;
    memset(self, 0, sizeof *self);
    self->epoch = 5;
    self->socket = s_open_socket(ZMQ_ROUTER);
    assert_int_equal(zmq_bind(self->socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size), 0);
}

static void
s_liar_send(s_liar_t *self, const void *bytes, size_t size, int flags)
{
    assert_true(zmq_send(self->socket, self->peer, self->peer_size, ZMQ_SNDMORE) > 0);
    assert_int_equal(zmq_send(self->socket, bytes, size, flags), size);
}

static void
s_liar_send_frame(s_liar_t *self, yami_rpc_frame_t *frame)
{
    yami_id_t id = {{5}};
    frame->epoch = self->epoch;
    frame->record.priority = YAMI_PRIORITY_DEFAULT;
    yami_block_t *block = yami_rpc_encode(frame, &id, 1);
    s_liar_send(self, block->data, block->size, 0);
    yami_block_unref(&block);
}

//  The next frame of that kind; pings are answered.
static void
s_liar_receive(s_liar_t *self, yami_rpc_kind_t kind)
{
    static uint8_t bytes[65536];
    do {
        self->peer_size = (size_t) zmq_recv(self->socket, self->peer, sizeof self->peer, 0);
        int size = zmq_recv(self->socket, bytes, sizeof bytes, 0);
        assert_in_range(size, 1, sizeof bytes);
        yami_block_unref(&self->block);
        self->block = yami_block_copy(bytes, (size_t) size, sizeof bytes);
        assert_int_equal(yami_rpc_decode(&self->frame, self->block->data, self->block->size), 0);
        if (self->frame.kind == YAMI_RPC_PING) {
            yami_rpc_frame_t pong = {.kind = YAMI_RPC_PONG,
                                     .correlation = self->frame.correlation,
                                     .clock_ms = yami_clock_mono_ms()};
            s_liar_send_frame(self, &pong);
        }
    } while (self->frame.kind != kind);
}

static void
s_liar_reply(s_liar_t *self, const char *correlation, const char *body)
{
    yami_rpc_frame_t frame = {.kind = YAMI_RPC_REPLY, .correlation = yami_slice_text(correlation)};
    frame.record.body = yami_slice_text(body);
    s_liar_send_frame(self, &frame);
}

//  The call that comes next; its correlation id.
static const char *
s_liar_take(s_liar_t *self)
{
    static char correlations[4][YAMI_LIMIT_CORRELATION + 1];
    static unsigned turn;
    char *correlation = correlations[turn++ % 4];
    s_liar_receive(self, YAMI_RPC_CALL);
    (void) snprintf(correlation, sizeof correlations[0], "%.*s", (int) self->frame.correlation.size,
                    (const char *) self->frame.correlation.data);
    return correlation;
}

static void
test_late_duplicate_and_unknown_replies_are_dropped_and_counted(void **state)
{
    (void) state;
    s_liar_t liar;
    s_liar_open(&liar);
    yam_rpc_t *rpc = rpc_caller(liar.endpoint, "?" PATIENT);
    uint64_t call = rpc_call(rpc, "first", PATIENCE_MS);
    const char *first = s_liar_take(&liar);
    assert_int_equal(yam_rpc_cancel(rpc, call), 0);
    (void) rpc_call(rpc, "second", PATIENCE_MS);
    const char *second = s_liar_take(&liar);
    s_liar_reply(&liar, first, "to the first, too late");
    s_liar_reply(&liar, "nobody's", "unknown");
    s_liar_reply(&liar, second, "to the second");
    s_liar_reply(&liar, second, "to the second, again");
    assert_string_equal(rpc_heard(1).body, "to the second");
    RPC_WAIT(rpc, duplicates, 1);
    yam_rpc_stats_t stats;
    yam_rpc_stats(rpc, &stats);
    assert_int_equal(stats.late, 1);
    assert_int_equal(stats.unknown, 1);
    yami_block_unref(&liar.block);
}

static void
test_nonsense_from_a_server_is_dropped_and_counted(void **state)
{
    (void) state;
    s_liar_t liar;
    s_liar_open(&liar);
    yam_rpc_t *rpc = rpc_caller(liar.endpoint, "?" PATIENT);
    (void) rpc_call(rpc, "call", PATIENCE_MS);
    const char *correlation = s_liar_take(&liar);
    s_liar_send(&liar, "", 0, 0);
    s_liar_send(&liar, "nonsense", 8, 0);
    s_liar_send(&liar, liar.block->data, liar.block->size, 0); //  a call, to a caller
    s_liar_send(&liar, "two", 3, ZMQ_SNDMORE);
    assert_int_equal(zmq_send(liar.socket, "parts", 5, 0), 5);
    s_liar_send(&liar, liar.block->data, liar.block->size - 1, 0);
    s_liar_reply(&liar, correlation, "at last");
    assert_string_equal(rpc_heard(1).body, "at last");
    yam_rpc_stats_t stats;
    yam_rpc_stats(rpc, &stats);
    assert_int_equal(stats.malformed, 5);
    yami_block_unref(&liar.block);
}

static void
test_server_that_was_restarted_gets_the_call_anew(void **state)
{
    (void) state;
    s_liar_t liar;
    s_liar_open(&liar);
    yam_rpc_t *rpc = rpc_caller(liar.endpoint, "?" PATIENT);
    (void) rpc_call(rpc, "call", PATIENCE_MS);
    const char *before = s_liar_take(&liar);
    liar.epoch = 6;
    s_liar_reply(&liar, "nobody's", "of who is there now");
    const char *after = s_liar_take(&liar);
    assert_string_not_equal(before, after);
    s_liar_reply(&liar, after, "done");
    assert_string_equal(rpc_heard(1).body, "done");
    yami_block_unref(&liar.block);
}

//  -- Callers that lie

static void *
s_connect(const char *endpoint)
{
    void *socket = s_open_socket(ZMQ_DEALER);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

//  Sends that frame.
static void
s_dealer_send(void *dealer, yami_rpc_frame_t *frame)
{
    yami_id_t id = {{6}};
    frame->record.priority = YAMI_PRIORITY_DEFAULT;
    yami_block_t *block = yami_rpc_encode(frame, &id, 1);
    assert_int_equal(zmq_send(dealer, block->data, block->size, 0), block->size);
    yami_block_unref(&block);
}

//  The status of the reply that comes next.
static yam_status_t
s_dealer_receive(void *dealer)
{
    uint8_t bytes[4096];
    yami_rpc_frame_t frame;
    int size = zmq_recv(dealer, bytes, sizeof bytes, 0);
    assert_in_range(size, 1, sizeof bytes);
    assert_int_equal(yami_rpc_decode(&frame, bytes, (size_t) size), 0);
    assert_int_equal(frame.kind, YAMI_RPC_REPLY);
    return frame.status;
}

//  Calls, and is answered. Returns the call.
static yami_rpc_frame_t
s_dealer_call(void *dealer)
{
    yami_rpc_frame_t call = {.kind = YAMI_RPC_CALL,
                             .correlation = yami_slice_text("7"),
                             .service = yami_slice_text("orders")};
    call.record.body = yami_slice_text("echo x");
    s_dealer_send(dealer, &call);
    assert_int_equal(s_dealer_receive(dealer), YAM_STATUS_OK);
    return call;
}

static void
test_junk_on_the_port_of_a_service_is_counted_and_harms_nobody(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    void *dealer = s_connect(yam_rpc_server_endpoint(server));
    unsigned seed = 1;
    const int count = 1000;
    for (int index = 0; index < count; index++) {
        uint8_t bytes[200];
        size_t size = (size_t) rand_r(&seed) % sizeof bytes;
        for (size_t at = 0; at < size; at++) {
            bytes[at] = (uint8_t) rand_r(&seed);
        }
        if (index % 10 == 0) {
            assert_int_equal(zmq_send(dealer, "part", 4, ZMQ_SNDMORE), 4);
        }
        assert_int_equal(zmq_send(dealer, bytes, size, 0), size);
    }
    RPC_WAIT_SERVER(server, malformed, (uint64_t) count);
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), "");
    rpc_assert_answer(rpc, "echo still here", "still here");
}

static void
test_message_of_many_parts_ends_its_connection_to_a_service(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    void *dealer = s_open_socket(ZMQ_DEALER);
    void *monitor = s_open_socket(ZMQ_PAIR);
    assert_int_equal(zmq_socket_monitor(dealer, "inproc://parts", ZMQ_EVENT_DISCONNECTED), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://parts"), 0);
    assert_int_equal(zmq_connect(dealer, yam_rpc_server_endpoint(server)), 0);
    (void) s_dealer_call(dealer); //  so it may stay
    for (int parts = 100; parts > 0; parts--) {
        assert_int_equal(zmq_send(dealer, "", 0, parts > 1 ? ZMQ_SNDMORE : 0), 0);
    }
    uint8_t event[6];
    assert_int_equal(zmq_recv(monitor, event, sizeof event, 0), sizeof event);
    RPC_WAIT_SERVER(server, malformed, 1);
}

static void
test_call_of_a_stranger_is_answered_and_of_a_stale_one_refused(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    void *dealer = s_connect(yam_rpc_server_endpoint(server));
    yami_rpc_frame_t call = s_dealer_call(dealer);
    call.deadline_ms = 1; //  on the clock of which server?
    s_dealer_send(dealer, &call);
    assert_int_equal(s_dealer_receive(dealer), YAM_STATUS_NO_SESSION);
    call.deadline_ms = 0;
    call.epoch = 1;
    s_dealer_send(dealer, &call);
    assert_int_equal(s_dealer_receive(dealer), YAM_STATUS_NO_SESSION);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, rpc_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_call_of_a_server_that_dies_is_answered_by_another),
        FAULT_TEST(test_answer_for_a_server_that_was_closed_is_refused),
        FAULT_TEST(test_call_without_retries_ends_when_its_server_dies),
        FAULT_TEST(test_busy_server_sends_the_call_to_another_and_the_last_refusal_is_told),
        FAULT_TEST(test_call_waits_for_a_server_that_comes_and_for_one_that_comes_again),
        FAULT_TEST(test_no_server_at_all_is_a_timeout),
        FAULT_TEST(test_server_closed_gracefully_answers_what_it_has_begun),
        FAULT_TEST(test_requests_beyond_the_credit_are_refused),
        FAULT_TEST(test_late_duplicate_and_unknown_replies_are_dropped_and_counted),
        FAULT_TEST(test_nonsense_from_a_server_is_dropped_and_counted),
        FAULT_TEST(test_server_that_was_restarted_gets_the_call_anew),
        FAULT_TEST(test_junk_on_the_port_of_a_service_is_counted_and_harms_nobody),
        FAULT_TEST(test_message_of_many_parts_ends_its_connection_to_a_service),
        FAULT_TEST(test_call_of_a_stranger_is_answered_and_of_a_stale_one_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
