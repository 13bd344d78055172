//  The fast grade of queues: everything sent arrives once and in order, waits where there is no
//  room, and says what it did.
//  One file: every case is a sender and a receiver, and the same few steps between them.

#include "wrapper_fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "wire_samples.h"
#include "yam_error.h"
#include "yami_alloc_test.h"
#include "yami_base.h"

//  A pusher connected to where pull is bound.
static yam_push_t *
s_push_to(yam_pull_t *pull, const char *options)
{
    return wrapper_push(wrapper_peer(yam_pull_endpoint(pull), options));
}

static void
s_send_number(yam_push_t *push, uint64_t number)
{
    assert_int_equal(yam_push_send(push, &number, sizeof number), 0);
}

static uint64_t
s_take_number(yam_message_t **message_p)
{
    uint64_t number;
    assert_non_null(*message_p);
    assert_int_equal(yam_message_size(*message_p), sizeof number);
    memcpy(&number, yam_message_body(*message_p), sizeof number);
    yam_message_destroy(message_p);
    return number;
}

static void
s_expect_number(yam_pull_t *pull, uint64_t number)
{
    yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
    assert_int_equal(s_take_number(&message), number);
}

static void
s_exchange(const char *endpoint, uint64_t count)
{
    yam_pull_t *pull = wrapper_pull(endpoint);
    yam_push_t *push = s_push_to(pull, "");
    for (uint64_t number = 0; number < count; number++) {
        s_send_number(push, number);
        if (number % 1000 == 999) {
            for (uint64_t each = number - 999; each <= number; each++) {
                s_expect_number(pull, each);
            }
        }
    }
    assert_int_equal(yam_push_flush(push, PATIENCE_MS), 0);
    assert_int_equal(yam_push_close(&push, PATIENCE_MS), 0);
    assert_null(yam_pull_recv(pull, 0));
    assert_int_equal(errno, EAGAIN);
    yam_pull_destroy(&pull);
}

static void
test_messages_arrive_once_and_in_order(void **state)
{
    (void) state;
    s_exchange("@tcp://127.0.0.1:*", 20000);
    s_exchange("@inproc://fast-queue", 20000);
    s_exchange("@ipc://*", 20000);
}

static void
test_message_that_finds_no_memory_is_received_later(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@inproc://fast-queue-memory");
    yam_push_t *push = s_push_to(pull, "");
    s_send_number(push, 7);
    yami_alloc_fail_after(0);
    yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
    int error = errno;
    yami_alloc_fail_after(-1);
    assert_null(message);
    assert_int_equal(error, ENOMEM);
    s_expect_number(pull, 7);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
}

static void
test_properties_and_any_size_travel(void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 1000, 1024, 8192, 262000, 262144, 3000000};
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    yam_push_t *push = s_push_to(pull, "");
    uint8_t *body = yami_alloc(3000000);
    yami_random(body, 3000000);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        yam_message_t *message = yam_message_new(body, sizes[index]);
        assert_int_equal(yam_message_set(message, "key", "k"), 0);
        assert_int_equal(yam_message_set(message, "content-type", "text/plain"), 0);
        assert_int_equal(yam_push_send_message(push, &message), 0);
        assert_null(message);
    }
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        assert_non_null(message);
        assert_int_equal(yam_message_size(message), sizes[index]);
        assert_memory_equal(yam_message_body(message), body, sizes[index]);
        assert_string_equal(yam_message_get(message, "key"), "k");
        assert_int_equal(yam_message_sequence(message), index + 1);
        assert_int_equal(yam_message_deliveries(message), 1);
        assert_int_equal(yam_pull_ack(pull, &message), 0);
        assert_null(message);
    }
    yam_pull_stats_t stats;
    yam_pull_stats(pull, &stats);
    assert_int_equal(stats.received, 8);
    assert_int_equal(stats.acked, 8);
    assert_int_equal(stats.dropped, 0);
    yami_free(body);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
}

static void
test_a_message_outlives_its_receiver(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@inproc://outlives");
    yam_push_t *push = s_push_to(pull, "");
    s_send_number(push, 42);
    yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    assert_int_equal(s_take_number(&message), 42);
}

static void
test_without_a_peer_a_send_waits_its_timeout_and_close_tells_what_is_left(void **state)
{
    (void) state;
    yam_push_t *push =
        yam_push_new(wrapper_yam, "orders", "@tcp://127.0.0.1:*?send-timeout=0&batch-bytes=1000");
    uint64_t count = 0;
    while (yam_push_send(push, &count, sizeof count) == 0) {
        count++;
        assert_true(count < 1000); //  memory is bounded
    }
    assert_int_equal(errno, EAGAIN);
    assert_true(count > 10);
    yam_push_stats_t stats;
    yam_push_stats(push, &stats);
    assert_int_equal(stats.sent, count);
    assert_int_equal(stats.confirmed, 0);
    assert_int_equal(yam_push_flush(push, 1), count);
    assert_int_equal(yam_push_close(&push, 0), count);
    assert_null(push);
}

static void
test_what_waited_for_a_peer_leaves_when_it_comes(void **state)
{
    (void) state;
    yam_push_t *push = yam_push_new(wrapper_yam, "orders", "@tcp://127.0.0.1:*");
    for (uint64_t number = 0; number < 5000; number++) {
        s_send_number(push, number);
    }
    char endpoint[300];
    (void) snprintf(endpoint, sizeof endpoint, ">%s", yam_push_endpoint(push));
    yam_pull_t *pull = wrapper_pull(endpoint);
    for (uint64_t number = 0; number < 5000; number++) {
        s_expect_number(pull, number);
    }
    assert_int_equal(yam_push_flush(push, PATIENCE_MS), 0);
    yam_push_stats_t stats;
    yam_push_stats(push, &stats);
    assert_true(stats.frames < 100); //  what waited went together
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
}

//  -- Several threads ---------------------------------------------------------------------------

enum {
    THREADS = 4,
    PER_THREAD = 20000
};

static void *
s_send_many(void *arg)
{
    for (uint64_t number = 0; number < PER_THREAD; number++) {
        if (yam_push_send(arg, &number, sizeof number) == -1) {
            return arg;
        }
    }
    return NULL;
}

typedef struct {
    yam_pull_t *pull;
    uint64_t count;
    uint64_t sum;
} s_taker_t;

static void *
s_take_many(void *arg)
{
    s_taker_t *self = arg;
    yam_message_t *message;
    while ((message = yam_pull_recv(self->pull, PATIENCE_MS)) != NULL) {
        if (yam_message_size(message) == 1) {
            yam_message_destroy(&message);
            break; //  the end
        }
        self->sum += s_take_number(&message);
        self->count++;
    }
    return NULL;
}

static void
test_threads_share_a_sender_and_a_receiver(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    yam_push_t *push = s_push_to(pull, "");
    pthread_t senders[THREADS];
    pthread_t takers[THREADS];
    s_taker_t taken[THREADS] = {{0}};
    for (int index = 0; index < THREADS; index++) {
        taken[index].pull = pull;
        (void) pthread_create(&takers[index], NULL, s_take_many, &taken[index]);
        (void) pthread_create(&senders[index], NULL, s_send_many, push);
    }
    void *failed;
    for (int index = 0; index < THREADS; index++) {
        (void) pthread_join(senders[index], &failed);
        assert_null(failed);
    }
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(yam_push_send(push, "e", 1), 0);
    }
    uint64_t count = 0;
    uint64_t sum = 0;
    for (int index = 0; index < THREADS; index++) {
        (void) pthread_join(takers[index], NULL);
        count += taken[index].count;
        sum += taken[index].sum;
    }
    assert_int_equal(count, THREADS * PER_THREAD);
    assert_int_equal(sum, THREADS * ((uint64_t) PER_THREAD * (PER_THREAD - 1) / 2));
    assert_int_equal(yam_push_close(&push, PATIENCE_MS), 0);
    yam_pull_destroy(&pull);
}

//  -- Descriptors and confirms ------------------------------------------------------------------

static bool
s_is_readable(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, timeout_ms) == 1;
}

static void
test_the_descriptor_tells_of_every_message_to_who_drains(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    yam_push_t *push = s_push_to(pull, "");
    s_send_number(push, 0);
    s_expect_number(pull, 0);
    s_send_number(push, 1);
    int fd = yam_pull_fd(pull);
    assert_true(fd >= 0);
    assert_int_equal(yam_pull_fd(pull), fd);
    uint64_t next = 1;
    for (uint64_t sent = 2; sent <= 3000; sent++) {
        s_send_number(push, sent);
        if (sent % 7 != 0) {
            continue;
        }
        while (next <= sent) {
            assert_true(s_is_readable(fd, PATIENCE_MS));
            for (yam_message_t *message; (message = yam_pull_recv(pull, 0)) != NULL; next++) {
                assert_int_equal(s_take_number(&message), next);
            }
        }
        assert_false(s_is_readable(fd, 0));
    }
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
}

static void
test_the_descriptor_stays_readable_while_a_frame_is_not_used_up(void **state)
{
    (void) state;
    yam_push_t *push = yam_push_new(wrapper_yam, "orders", "@inproc://descriptor");
    for (uint64_t number = 0; number < 10; number++) {
        s_send_number(push, number); //  gather: there is no peer
    }
    yam_pull_t *pull = wrapper_pull(">inproc://descriptor");
    int fd = yam_pull_fd(pull);
    for (uint64_t number = 0; number < 10; number++) {
        assert_true(s_is_readable(fd, PATIENCE_MS));
        s_expect_number(pull, number);
    }
    assert_null(yam_pull_recv(pull, 0));
    assert_false(s_is_readable(fd, 0));
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t last;
    bool is_in_order;
} s_confirms_t;

static void
s_confirm(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
          const char *text)
{
    s_confirms_t *self = arg;
    (void) pthread_mutex_lock(&self->lock);
    self->is_in_order = self->is_in_order && first == self->last + 1 && last >= first &&
                        status == YAM_STATUS_OK && level == YAM_LEVEL_NONE && *text == '\0';
    self->last = last;
    (void) pthread_cond_broadcast(&self->changed);
    (void) pthread_mutex_unlock(&self->lock);
}

static void
test_confirms_tell_what_was_handed_to_the_transport(void **state)
{
    (void) state;
    s_confirms_t confirms = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true};
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    yam_push_t *push = s_push_to(pull, "");
    yam_push_set_confirm(push, s_confirm, &confirms);
    for (uint64_t number = 0; number < 1000; number++) {
        s_send_number(push, number);
        s_expect_number(pull, number);
    }
    (void) pthread_mutex_lock(&confirms.lock);
    while (confirms.last < 1000) {
        (void) pthread_cond_wait(&confirms.changed, &confirms.lock);
    }
    (void) pthread_mutex_unlock(&confirms.lock);
    assert_true(confirms.is_in_order);
    yam_push_set_confirm(push, NULL, NULL);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
}

//  Sends out of the callback until nothing more is taken; waiting there would be waiting for
//  itself.
typedef struct {
    yam_push_t *push;
    uint64_t next; //  number to send
    int error;     //  of the send that was refused
    pthread_mutex_t lock;
    pthread_cond_t done;
} s_echo_t;

static void
s_send_on_confirm(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
                  const char *text)
{
    s_echo_t *self = arg;
    (void) first, (void) last, (void) status, (void) level, (void) text;
    yam_push_set_confirm(self->push, NULL, NULL);
    (void) pthread_mutex_lock(&self->lock);
    while (yam_push_send(self->push, &self->next, sizeof self->next) == 0) {
        self->next++;
    }
    self->error = errno;
    (void) pthread_cond_signal(&self->done);
    (void) pthread_mutex_unlock(&self->lock);
}

static void
s_confirm_sends(const char *endpoint, const char *options)
{
    yam_pull_t *pull = wrapper_pull(endpoint);
    yam_push_t *push = s_push_to(pull, options);
    s_echo_t echo = {push, 1, 0, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
    (void) pthread_mutex_lock(&echo.lock);
    yam_push_set_confirm(push, s_send_on_confirm, &echo);
    s_send_number(push, 0);
    while (echo.error == 0) {
        (void) pthread_cond_wait(&echo.done, &echo.lock);
    }
    (void) pthread_mutex_unlock(&echo.lock);
    assert_int_equal(echo.error, EAGAIN);
    for (uint64_t number = 0; number < echo.next; number++) {
        s_expect_number(pull, number);
    }
    assert_int_equal(yam_push_close(&push, PATIENCE_MS), 0);
    yam_pull_destroy(&pull);
}

static void
test_confirm_that_sends_into_a_full_queue_is_refused_and_does_not_wait_for_itself(void **state)
{
    (void) state;
    s_confirm_sends("@inproc://echo?hwm=1", "?hwm=1&batch-bytes=1");
    s_confirm_sends("@inproc://echo-raw?hwm=1&framing=raw", "?hwm=1&framing=raw");
}

//  -- What is refused ---------------------------------------------------------------------------

static void
test_names_endpoints_and_grades_are_checked(void **state)
{
    (void) state;
    static const char *const wrong[][2] = {
        {"", ">tcp://127.0.0.1:1"},
        {"a b", ">tcp://127.0.0.1:1"},
        {"q", "tcp//127.0.0.1:1"},
        {"q", "@tcp://127.0.0.1:1?grade=sure"},
        {"q", ">tcp://127.0.0.1:1,>tcp://127.0.0.1:2?grade=sure"},
        {"q", ">tcp://127.0.0.1:1?relay=memory"},
        {"q", ">tcp://127.0.0.1:1?server-key=rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
    };
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_null(yam_push_new(wrapper_yam, wrong[index][0], wrong[index][1]));
        assert_int_equal(errno, EINVAL);
        assert_null(yam_pull_new(wrapper_yam, wrong[index][0], wrong[index][1]));
        assert_int_equal(errno, EINVAL);
    }
    assert_null(yam_push_new(NULL, "q", ">tcp://127.0.0.1:1"));
    assert_null(yam_push_new(wrapper_yam, NULL, ">tcp://127.0.0.1:1"));
    assert_null(yam_push_new(wrapper_yam, "q", NULL));
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    assert_null(yam_pull_new(wrapper_yam, "q", yam_pull_endpoint(pull)));
    assert_int_equal(errno, EADDRINUSE);
    yam_pull_destroy(&pull);
}

static void
test_a_delay_needs_a_relay(void **state)
{
    (void) state;
    static const char *const endpoints[] = {"@tcp://127.0.0.1:*", "@tcp://127.0.0.1:*?framing=raw"};
    for (size_t index = 0; index < 2; index++) {
        yam_push_t *push = yam_push_new(wrapper_yam, "q", endpoints[index]);
        yam_message_t *message = yam_message_new("x", 1);
        assert_int_equal(yam_message_set_due(message, 1), 0);
        assert_int_equal(yam_push_send_message(push, &message), -1);
        assert_int_equal(errno, ENOTSUP);
        assert_non_null(message);
        yam_message_destroy(&message);
        yam_push_destroy(&push);
    }
}

static void
test_frames_that_are_no_batch_are_counted_and_dropped(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*");
    void *foreign = zmq_socket(yam_zmq_context(wrapper_yam), ZMQ_PUSH);
    assert_int_equal(zmq_connect(foreign, yam_pull_endpoint(pull)), 0);
    static const uint8_t magic[] = {'Y', 'A', 'M', 'B', 1};
    uint8_t noise[200];
    for (int round = 0; round < 500; round++) {
        yami_random(noise, sizeof noise);
        if (round % 2 == 0) {
            memcpy(noise, magic, sizeof magic);
        }
        int flags = round % 5 == 0 ? ZMQ_SNDMORE : 0;
        assert_int_not_equal(zmq_send(foreign, noise, noise[9] % sizeof noise, flags), -1);
    }
    assert_int_not_equal(zmq_send(foreign, "", 0, 0), -1);
    const wire_batch_sample_t *sample = &wire_batch_samples[0]; //  behind all that are none
    yami_block_t *frame = wire_batch_sample_encode(sample);
    assert_int_equal(zmq_send(foreign, frame->data, frame->size, 0), frame->size);
    yami_block_unref(&frame);
    for (uint32_t index = 0; index < sample->record_count; index++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        assert_non_null(message);
        yam_message_destroy(&message);
    }
    yam_push_t *push = s_push_to(pull, "");
    s_send_number(push, 7);
    s_expect_number(pull, 7);
    yam_pull_stats_t stats;
    yam_pull_stats(pull, &stats);
    assert_int_equal(stats.dropped, 401);
    assert_int_equal(stats.received, sample->record_count + 1);
    (void) zmq_close(foreign);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
}

static void
test_destroy_is_safe_on_null(void **state)
{
    (void) state;
    yam_push_t *push = NULL;
    yam_pull_t *pull = NULL;
    yam_push_destroy(&push);
    yam_push_destroy(NULL);
    yam_pull_destroy(&pull);
    yam_pull_destroy(NULL);
    assert_int_equal(yam_push_close(&push, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WRAPPER_TEST(test_messages_arrive_once_and_in_order),
        WRAPPER_TEST(test_message_that_finds_no_memory_is_received_later),
        WRAPPER_TEST(test_properties_and_any_size_travel),
        WRAPPER_TEST(test_a_message_outlives_its_receiver),
        WRAPPER_TEST(test_without_a_peer_a_send_waits_its_timeout_and_close_tells_what_is_left),
        WRAPPER_TEST(test_what_waited_for_a_peer_leaves_when_it_comes),
        WRAPPER_TEST(test_threads_share_a_sender_and_a_receiver),
        WRAPPER_TEST(test_the_descriptor_tells_of_every_message_to_who_drains),
        WRAPPER_TEST(test_the_descriptor_stays_readable_while_a_frame_is_not_used_up),
        WRAPPER_TEST(test_confirms_tell_what_was_handed_to_the_transport),
        WRAPPER_TEST(
            test_confirm_that_sends_into_a_full_queue_is_refused_and_does_not_wait_for_itself),
        WRAPPER_TEST(test_names_endpoints_and_grades_are_checked),
        WRAPPER_TEST(test_a_delay_needs_a_relay),
        WRAPPER_TEST(test_frames_that_are_no_batch_are_counted_and_dropped),
        WRAPPER_TEST(test_destroy_is_safe_on_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
