//  The sure receiver against a relay that follows a script.
//  One file: every case is a conversation of one receiver with the same relay.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "scripted_relay.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_receiver.h"
#include "yami_sure_receiver.h"

#define WAIT_MS 10000
#define VANISHING_RELAYS 100

static scripted_relay_t s_relay;
static yam_t *s_yam;
static yami_receiver_t *s_receiver;

static int
s_setup(void **state)
{
    (void) state;
    scripted_relay_init(&s_relay);
    s_yam = yam_new();
    assert_non_null(s_yam);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    if (s_receiver != NULL) {
        (void) s_receiver->ops->close(&s_receiver, 0);
    }
    yam_destroy(&s_yam);
    scripted_relay_clear(&s_relay);
    return 0;
}

static void
s_open(const char *options)
{
    yami_endpoint_t endpoint;
    scripted_relay_endpoint(&s_relay, &endpoint, options);
    s_receiver = yami_sure_receiver_new(s_yam, YAMI_KIND_QUEUE, "orders", &endpoint);
    assert_non_null(s_receiver);
}

//  Open, attached, with its first credit taken.
static void
s_open_attached(const char *options)
{
    s_open(options);
    scripted_relay_attach(&s_relay, 0, 1);
    scripted_relay_expect(&s_relay, YAMI_FRAME_CREDIT);
}

static yam_message_t *
s_recv(uint64_t sequence)
{
    char body[64];
    yam_message_t *message = s_receiver->ops->recv(s_receiver, WAIT_MS);
    assert_non_null(message);
    (void) snprintf(body, sizeof body, "message %" PRIu64, sequence);
    assert_int_equal(yam_message_sequence(message), sequence);
    assert_int_equal(yam_message_size(message), strlen(body));
    assert_memory_equal(yam_message_body(message), body, strlen(body));
    return message;
}

static int
s_settle(yam_message_t **message_p, yami_settle_kind_t kind)
{
    return s_receiver->ops->settle(s_receiver, message_p, kind, -1, NULL);
}

static void
s_ack(uint64_t sequence)
{
    yam_message_t *message = s_recv(sequence);
    assert_int_equal(s_settle(&message, YAMI_SETTLE_ACK), 0);
    yam_message_destroy(&message);
}

//  The next frame is of that kind and settles one range of that token, from first on; its last.
static uint64_t
s_expect_settle_from(yami_frame_type_t type, uint64_t token, uint64_t first)
{
    size_t offset = 0;
    yami_settle_t range;
    scripted_relay_expect(&s_relay, type);
    assert_int_equal(s_relay.frame.range_count, 1);
    assert_true(yami_frame_range(&s_relay.frame, &offset, &range));
    assert_int_equal(range.token, token);
    assert_int_equal(range.first, first);
    return range.last;
}

static void
s_expect_settle(yami_frame_type_t type, uint64_t token, uint64_t first, uint64_t last)
{
    assert_int_equal(s_expect_settle_from(type, token, first), last);
}

//  All from first to last is settled, in however many frames the engine made of it; the serial of
//  the latest one.
static uint64_t
s_expect_settles(yami_frame_type_t type, uint64_t token, uint64_t first, uint64_t last)
{
    for (uint64_t next = first; next <= last;) {
        uint64_t settled = s_expect_settle_from(type, token, next);
        assert_in_range(settled, next, last);
        next = settled + 1;
    }
    return s_relay.frame.serial;
}

static void
s_acked(uint64_t serial)
{
    yami_frame_t frame = {
        .type = YAMI_FRAME_ACKED, .handle = 1, .present = YAMI_F_SERIAL, .serial = serial};
    scripted_relay_send(&s_relay, &frame, NULL);
}

static void
s_error(yam_status_t status)
{
    yami_frame_t frame = {
        .type = YAMI_FRAME_ERROR, .present = YAMI_F_STATUS, .status = (uint64_t) status};
    scripted_relay_send(&s_relay, &frame, NULL);
}

static void
test_delivered_messages_are_received_and_acked_in_one_range(void **state)
{
    (void) state;
    s_open_attached("");
    assert_int_equal(s_relay.frame.messages, 65536);
    assert_int_equal(s_relay.frame.bytes, 8 << 20);
    scripted_relay_deliver(&s_relay, 5, 1, 10);
    yam_message_t *messages[10];
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        messages[sequence - 1] = s_recv(sequence);
    }
    for (int index = 0; index < 9; index++) { //  the queue is empty: these may leave in any groups
        assert_int_equal(s_settle(&messages[index], YAMI_SETTLE_RELEASE), 0);
    }
    (void) s_expect_settles(YAMI_FRAME_RELEASE, 5, 1, 9);
    for (int index = 0; index < 10; index++) {
        yam_message_destroy(&messages[index]);
    }
}

static void
test_ack_leaves_soon_though_messages_wait(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 3);
    s_ack(1);
    s_expect_settle(YAMI_FRAME_ACK, 5, 1, 1); //  after five milliseconds
    s_ack(2);
    s_ack(3);
    (void) s_expect_settles(YAMI_FRAME_ACK, 5, 2, 3);
}

static void
test_flush_waits_for_acked(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 1);
    s_ack(1);
    s_expect_settle(YAMI_FRAME_ACK, 5, 1, 1);
    assert_int_equal(s_receiver->ops->flush(s_receiver, 0), 1);
    s_acked(1);
    assert_int_equal(s_receiver->ops->flush(s_receiver, WAIT_MS), 0);
    yam_receiver_stats_t stats;
    s_receiver->ops->stats(s_receiver, &stats);
    assert_int_equal(stats.received, 1);
    assert_int_equal(stats.acked, 1);
    assert_int_equal(stats.frames, 1);
    assert_int_equal(stats.is_connected, 1);
}

static void
test_limit_reached_is_enodata_at_once_and_readable(void **state)
{
    (void) state;
    s_open_attached("limit=2");
    assert_int_equal(s_relay.frame.messages, 2);
    struct pollfd poller = {.fd = s_receiver->ops->fd(s_receiver), .events = POLLIN};
    scripted_relay_deliver(&s_relay, 5, 1, 2);
    s_ack(1);
    s_ack(2);
    assert_null(s_receiver->ops->recv(s_receiver, -1));
    assert_int_equal(errno, ENODATA);
    assert_int_equal(poll(&poller, 1, WAIT_MS), 1);
    s_acked(s_expect_settles(YAMI_FRAME_ACK, 5, 1, 2)); //  two frames, had there been time for one
    assert_int_equal(s_receiver->ops->flush(s_receiver, WAIT_MS), 0);
}

//  *arg becomes what recv failed with, or 0.
static void *
s_take_one(void *arg)
{
    yam_message_t *message = s_receiver->ops->recv(s_receiver, WAIT_MS);
    *(int *) arg = message != NULL ? 0 : errno;
    yam_message_destroy(&message);
    return NULL;
}

static void
test_limit_reached_by_one_thread_ends_the_wait_of_another(void **state)
{
    (void) state;
    s_open_attached("limit=1");
    pthread_t threads[2];
    int errors[2];
    for (int index = 0; index < 2; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_take_one, &errors[index]), 0);
    }
    scripted_relay_deliver(&s_relay, 5, 1, 1);
    for (int index = 0; index < 2; index++) {
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    }
    assert_int_equal(errors[0] + errors[1], ENODATA); //  one got it, the other heard at once
}

static void
test_no_message_in_time_is_eagain(void **state)
{
    (void) state;
    s_open_attached("");
    assert_null(s_receiver->ops->recv(s_receiver, 0));
    assert_int_equal(errno, EAGAIN);
    assert_null(s_receiver->ops->recv(s_receiver, 1));
    assert_int_equal(errno, EAGAIN);
}

static void *
s_recv_in_thread(void *arg)
{
    (void) arg;
    return s_receiver->ops->recv(s_receiver, WAIT_MS);
}

static void
test_waiting_receiver_is_woken(void **state)
{
    (void) state;
    s_open_attached("");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_recv_in_thread, NULL), 0);
    scripted_relay_deliver(&s_relay, 5, 7, 1);
    void *result;
    (void) pthread_join(thread, &result);
    yam_message_t *message = result;
    assert_non_null(message);
    assert_int_equal(yam_message_sequence(message), 7);
    yam_message_destroy(&message);
}

static void
test_descriptor_is_readable_while_messages_wait(void **state)
{
    (void) state;
    s_open_attached("");
    struct pollfd poll_fd = {.fd = s_receiver->ops->fd(s_receiver), .events = POLLIN};
    assert_true(poll_fd.fd >= 0);
    assert_int_equal(s_receiver->ops->fd(s_receiver), poll_fd.fd);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    scripted_relay_deliver(&s_relay, 5, 1, 2);
    assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
    yam_message_t *message = s_recv(1);
    yam_message_destroy(&message);
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    message = s_recv(2);
    yam_message_destroy(&message);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

static void
test_new_session_makes_old_messages_stale(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 3);
    yam_message_t *message = s_recv(1);
    s_error(YAM_STATUS_NO_SESSION);
    scripted_relay_attach(&s_relay, 0, 1);
    scripted_relay_expect(&s_relay, YAMI_FRAME_CREDIT);
    assert_int_equal(s_settle(&message, YAMI_SETTLE_ACK), -1);
    assert_int_equal(errno, ESTALE);
    yam_message_destroy(&message);
    scripted_relay_deliver(&s_relay, 6, 1, 3);
    s_ack(1);
    s_ack(2);
    s_ack(3);
    yam_receiver_stats_t stats;
    s_receiver->ops->stats(s_receiver, &stats);
    assert_int_equal(stats.stale, 1);
    assert_int_equal(stats.reconnects, 1);
}

static void
test_close_says_goodbye_though_nobody_answers_detach(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 2);
    s_ack(1);
    assert_int_equal(s_receiver->ops->flush(s_receiver, 0), 1); //  leaves at once
    s_expect_settle(YAMI_FRAME_ACK, 5, 1, 1);
    s_acked(1);
    assert_int_equal(s_receiver->ops->flush(s_receiver, WAIT_MS), 0);
    int64_t begun_ms = yami_clock_mono_ms();
    assert_int_equal(s_receiver->ops->close(&s_receiver, 1), 0);
    if (yami_clock_mono_ms() - begun_ms >= YAMI_SURE_FAREWELL_MS) {
        print_message("# not here: the engine's thread did not run, so no GOODBYE is promised\n");
        skip();
    }
    do {
        assert_int_equal(scripted_relay_recv(&s_relay), 'c');
    } while (s_relay.frame.type == YAMI_FRAME_DETACH); //  for which a millisecond may not do
    assert_int_equal(s_relay.frame.type, YAMI_FRAME_GOODBYE);
}

static void *
s_close_in_thread(void *arg)
{
    *(uint64_t *) arg = s_receiver->ops->close(&s_receiver, WAIT_MS);
    return NULL;
}

static void
test_close_waits_for_what_was_settled_last(void **state)
{
    (void) state;
    uint64_t left = 99;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 2);
    s_ack(1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_close_in_thread, &left), 0);
    s_expect_settle(YAMI_FRAME_ACK, 5, 1, 1);
    s_acked(1);
    scripted_relay_expect(&s_relay, YAMI_FRAME_DETACH);
    yami_frame_t detached = {.type = YAMI_FRAME_DETACHED, .handle = 1};
    scripted_relay_send(&s_relay, &detached, NULL);
    scripted_relay_expect(&s_relay, YAMI_FRAME_GOODBYE);
    (void) pthread_join(thread, NULL);
    assert_int_equal(left, 0);
}

static void
test_close_returns_what_was_never_acked(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 5, 1, 2);
    s_ack(1);
    s_ack(2);
    assert_int_equal(s_receiver->ops->close(&s_receiver, 1), 2);
}

static void
test_refused_receiver_gets_the_reason(void **state)
{
    (void) state;
    s_open("");
    scripted_relay_welcome(&s_relay);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    yami_frame_t detached = {.type = YAMI_FRAME_DETACHED,
                             .handle = 1,
                             .present = YAMI_F_STATUS,
                             .status = YAM_STATUS_CONFLICT};
    scripted_relay_send(&s_relay, &detached, NULL);
    assert_null(s_receiver->ops->recv(s_receiver, WAIT_MS));
    assert_int_equal(errno, EEXIST);
    assert_non_null(strstr(yam_error(), "conflict"));
}

static void
test_topic_without_a_relay_times_out(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    scripted_relay_endpoint(&s_relay, &endpoint, "connect-timeout=1");
    assert_null(yami_sure_receiver_new(s_yam, YAMI_KIND_TOPIC, "prices", &endpoint));
    assert_int_equal(errno, ETIMEDOUT);
}

static void
test_unknown_start_is_refused_in_words(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    scripted_relay_endpoint(&s_relay, &endpoint, "");
    (void) snprintf(endpoint.options.start, sizeof endpoint.options.start, "soon");
    assert_null(yami_sure_receiver_new(s_yam, YAMI_KIND_TOPIC, "prices", &endpoint));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "soon"));
}

typedef struct {
    yami_endpoint_t endpoint;
    yami_receiver_t *receiver;
} s_opening_t;

static void *
s_open_topic_in_thread(void *arg)
{
    s_opening_t *opening = arg;
    opening->receiver =
        yami_sure_receiver_new(s_yam, YAMI_KIND_TOPIC, "prices", &opening->endpoint);
    return NULL;
}

static void
test_topic_is_attached_when_new_returns(void **state)
{
    (void) state;
    s_opening_t opening = {.receiver = NULL};
    scripted_relay_endpoint(&s_relay, &opening.endpoint,
                            "group=audit&subject=eu.*&start=17&lease=5s&connect-timeout=60s");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_open_topic_in_thread, &opening), 0);
    scripted_relay_welcome(&s_relay);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    yami_frame_t *attach = &s_relay.frame;
    assert_int_equal(attach->role, YAMI_ROLE_CONSUMER);
    assert_int_equal(attach->kind, YAMI_KIND_TOPIC);
    assert_true(yami_slice_equal(attach->channel, "prices"));
    assert_true(yami_slice_equal(attach->group, "audit"));
    assert_true(yami_slice_equal(attach->filter, "eu.*"));
    assert_true(attach->durable);
    assert_int_equal(attach->start, YAMI_START_SEQUENCE);
    assert_int_equal(attach->sequence, 17);
    assert_int_equal(attach->lease_ms, 5000);
    yami_frame_t attached = {.type = YAMI_FRAME_ATTACHED,
                             .handle = 1,
                             .present = YAMI_F_LEVEL | YAMI_F_SEQUENCE,
                             .sequence = 17};
    scripted_relay_send(&s_relay, &attached, NULL);
    (void) pthread_join(thread, NULL);
    assert_non_null(opening.receiver);
    s_receiver = opening.receiver;
}

static void
test_child_after_fork_gets_echild(void **state)
{
    (void) state;
    s_open("");
    pid_t child = fork();
    if (child == 0) {
        _exit(s_receiver->ops->recv(s_receiver, 0) == NULL && errno == ECHILD ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static _Atomic(yam_message_t *) s_late; //  settled once the engine has taken in that all is acked

//  In the place of libzmq's: when the engine's step has taken all in, and not told of it yet,
//  another thread may settle.
int
zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    int (*receive)(zmq_msg_t *, void *, int);
    *(void **) &receive = dlsym(RTLD_NEXT, "zmq_msg_recv");
    int rc = receive(message, socket, flags);
    int error = errno;
    yam_message_t *late = s_late;
    if (rc == -1 && late != NULL && socket == ((yami_sure_receiver_t *) s_receiver)->link.socket) {
        yami_sure_receiver_t *inside = (yami_sure_receiver_t *) s_receiver;
        yami_monitor_lock(&inside->monitor);
        bool is_acked = inside->core.unresolved == 0;
        yami_monitor_unlock(&inside->monitor);
        if (is_acked) {
            (void) s_settle(&late, YAMI_SETTLE_ACK);
            s_late = NULL;
        }
    }
    errno = error;
    return rc;
}

typedef struct {
    yami_monitor_t monitor;
    bool is_done;
    uint64_t left;
} s_flushing_t;

static void *
s_flush(void *arg)
{
    s_flushing_t *self = arg;
    uint64_t left = s_receiver->ops->flush(s_receiver, -1);
    yami_monitor_lock(&self->monitor);
    self->is_done = true;
    self->left = left;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return NULL;
}

static void
s_assert_flushed(s_flushing_t *self)
{
    int64_t until_ms = yami_monitor_deadline(WAIT_MS);
    yami_monitor_lock(&self->monitor);
    while (!self->is_done && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    bool is_flushed = self->is_done && self->left == 0;
    yami_monitor_unlock(&self->monitor);
    assert_true(is_flushed);
}

static void
s_wait_for_waiter(void)
{
    yami_sure_receiver_t *inside = (yami_sure_receiver_t *) s_receiver;
    bool has_waiter = false;
    while (!has_waiter) {
        yami_monitor_lock(&inside->monitor);
        has_waiter = inside->monitor.waiter_count > 0;
        yami_monitor_unlock(&inside->monitor);
    }
}

static void
test_flush_ends_when_all_is_acked_though_another_thread_settles_on(void **state)
{
    (void) state;
    s_open_attached("");
    scripted_relay_deliver(&s_relay, 7, 1, 2);
    yam_message_t *first = s_recv(1);
    yam_message_t *second = s_recv(2);
    assert_int_equal(s_settle(&first, YAMI_SETTLE_ACK), 0);
    pthread_t thread;
    static s_flushing_t flushing;
    yami_monitor_init(&flushing.monitor);
    assert_int_equal(pthread_create(&thread, NULL, s_flush, &flushing), 0);
    s_wait_for_waiter();
    scripted_relay_expect(&s_relay, YAMI_FRAME_ACK);
    s_late = second;
    s_acked(1);
    s_assert_flushed(&flushing);
    (void) pthread_join(thread, NULL);
    assert_null(s_late);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ACK);
    s_acked(2);
    assert_int_equal(s_receiver->ops->flush(s_receiver, WAIT_MS), 0);
}

#define THREAD_COUNT 3
#define FRAME_COUNT 200
#define PER_FRAME 100

static _Atomic uint64_t s_received;

static void *
s_consume(void *arg)
{
    (void) arg;
    while (s_received < FRAME_COUNT * PER_FRAME) {
        yam_message_t *message = s_receiver->ops->recv(s_receiver, 10);
        if (message != NULL) {
            s_received++;
            (void) s_settle(&message, YAMI_SETTLE_ACK);
            yam_message_destroy(&message);
        }
    }
    return NULL;
}

static void
test_many_threads_receive_and_settle_each_message_once(void **state)
{
    (void) state;
    s_received = 0;
    s_open_attached("");
    pthread_t threads[THREAD_COUNT];
    for (int index = 0; index < THREAD_COUNT; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_consume, NULL), 0);
    }
    for (uint64_t frame = 0; frame < FRAME_COUNT; frame++) {
        scripted_relay_deliver(&s_relay, frame + 1, frame * PER_FRAME + 1, PER_FRAME);
    }
    uint64_t settled = 0;
    while (settled < FRAME_COUNT * PER_FRAME) {
        size_t offset = 0;
        yami_settle_t range;
        assert_int_equal(scripted_relay_recv(&s_relay), 'c');
        while (s_relay.frame.type == YAMI_FRAME_ACK &&
               yami_frame_range(&s_relay.frame, &offset, &range)) {
            assert_int_equal((range.first - 1) / PER_FRAME, range.token - 1);
            assert_int_equal((range.last - 1) / PER_FRAME, range.token - 1);
            settled += range.last - range.first + 1;
        }
    }
    assert_int_equal(settled, FRAME_COUNT * PER_FRAME);
    for (int index = 0; index < THREAD_COUNT; index++) {
        (void) pthread_join(threads[index], NULL);
    }
}

//  libzmq asserts that the second part of a message can be read when the first was; with
//  ZMQ_IMMEDIATE a connection that breaks takes it away in between, once in a hundred reads.
static void
test_relay_that_vanishes_amid_deliveries_aborts_nobody(void **state)
{
    (void) state;
    for (int round = 0; round < VANISHING_RELAYS; round++) {
        s_open_attached("");
        for (uint64_t sequence = 1; sequence <= 60; sequence++) {
            scripted_relay_deliver(&s_relay, sequence, sequence, 1);
        }
        scripted_relay_vanish(&s_relay);
        yam_message_t *message; //  what libzmq had not read yet is lost with the connection
        while ((message = s_receiver->ops->recv(s_receiver, 2)) != NULL) {
            yam_message_destroy(&message);
        }
        (void) s_receiver->ops->close(&s_receiver, 0);
        scripted_relay_clear(&s_relay);
        scripted_relay_init(&s_relay);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_delivered_messages_are_received_and_acked_in_one_range),
        TEST(test_ack_leaves_soon_though_messages_wait),
        TEST(test_flush_waits_for_acked),
        TEST(test_flush_ends_when_all_is_acked_though_another_thread_settles_on),
        TEST(test_limit_reached_is_enodata_at_once_and_readable),
        TEST(test_limit_reached_by_one_thread_ends_the_wait_of_another),
        TEST(test_no_message_in_time_is_eagain),
        TEST(test_waiting_receiver_is_woken),
        TEST(test_descriptor_is_readable_while_messages_wait),
        TEST(test_new_session_makes_old_messages_stale),
        TEST(test_close_says_goodbye_though_nobody_answers_detach),
        TEST(test_close_waits_for_what_was_settled_last),
        TEST(test_close_returns_what_was_never_acked),
        TEST(test_refused_receiver_gets_the_reason),
        TEST(test_topic_without_a_relay_times_out),
        TEST(test_unknown_start_is_refused_in_words),
        TEST(test_topic_is_attached_when_new_returns),
        TEST(test_child_after_fork_gets_echild),
        TEST(test_many_threads_receive_and_settle_each_message_once),
        TEST(test_relay_that_vanishes_amid_deliveries_aborts_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
