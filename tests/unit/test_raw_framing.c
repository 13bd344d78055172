//  framing=raw: any ZeroMQ program can be at the other end.

#include "wrapper_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yam_error.h"
#include "yami_base.h"

static void *s_foreign; //  a context of its own, as in another program
static void *s_peer;    //  owned; a socket of that, closed with the test

//  Owned; closed with the test.
static yam_push_t *s_push;
static yam_pull_t *s_pull;
static yam_pub_t *s_pub;
static yam_sub_t *s_sub;

static int
s_setup(void **state)
{
    s_foreign = zmq_ctx_new();
    return s_foreign ? wrapper_setup(state) : -1;
}

static int
s_teardown(void **state)
{
    if (s_peer != NULL) {
        int linger_ms = 0;
        (void) zmq_setsockopt(s_peer, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        (void) zmq_close(s_peer);
        s_peer = NULL;
    }
    yam_push_destroy(&s_push);
    yam_pull_destroy(&s_pull);
    yam_pub_destroy(&s_pub);
    yam_sub_destroy(&s_sub);
    (void) wrapper_teardown(state);
    return zmq_ctx_term(s_foreign);
}

static void *
s_socket(int type, const char *endpoint)
{
    int patience_ms = PATIENCE_MS;
    s_peer = zmq_socket(s_foreign, type);
    assert_int_equal(zmq_setsockopt(s_peer, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    if (type == ZMQ_SUB) {
        assert_int_equal(zmq_setsockopt(s_peer, ZMQ_SUBSCRIBE, "", 0), 0);
    }
    assert_int_equal(zmq_connect(s_peer, endpoint), 0);
    return s_peer;
}

//  Receives one part and compares it; whether another one must follow.
static void
s_expect_part(void *socket, const char *text, bool has_more)
{
    char part[100];
    int size = zmq_recv(socket, part, sizeof part, 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(part, text, (size_t) size);
    int more = 0;
    size_t more_size = sizeof more;
    assert_int_equal(zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size), 0);
    assert_int_equal(more != 0, has_more);
}

static void
s_expect_message(yam_message_t *message, const char *subject, const char *body)
{
    assert_non_null(message);
    assert_string_equal(yam_message_subject(message), subject);
    assert_int_equal(yam_message_size(message), strlen(body));
    assert_memory_equal(yam_message_body(message), body, strlen(body));
    assert_int_equal(yam_message_sequence(message), 0);
    yam_message_destroy(&message);
}

static void
test_a_plain_pull_gets_bodies(void **state)
{
    (void) state;
    s_push = yam_push_new(wrapper_yam, "q", "@tcp://127.0.0.1:*?framing=raw");
    void *pull = s_socket(ZMQ_PULL, yam_push_endpoint(s_push));
    assert_int_equal(yam_push_send(s_push, "one", 3), 0); //  waits for the puller
    assert_int_equal(yam_push_send(s_push, "", 0), 0);
    assert_int_equal(yam_push_send(s_push, "three", 5), 0);
    s_expect_part(pull, "one", false);
    s_expect_part(pull, "", false);
    s_expect_part(pull, "three", false);
    assert_int_equal(yam_push_flush(s_push, 0), 0);
    yam_push_stats_t stats;
    yam_push_stats(s_push, &stats);
    assert_int_equal(stats.sent, 3);
    assert_int_equal(stats.frames, 3);
}

static void
test_bodies_of_a_plain_push_arrive_and_multipart_is_dropped(void **state)
{
    (void) state;
    s_pull = yam_pull_new(wrapper_yam, "q", "@tcp://127.0.0.1:*?framing=raw");
    void *push = s_socket(ZMQ_PUSH, yam_pull_endpoint(s_pull));
    assert_int_equal(zmq_send(push, "one", 3, 0), 3);
    assert_int_equal(zmq_send(push, "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(push, "b", 1, 0), 1);
    assert_int_equal(zmq_send(push, "two", 3, 0), 3);
    s_expect_message(yam_pull_recv(s_pull, PATIENCE_MS), "", "one");
    s_expect_message(yam_pull_recv(s_pull, PATIENCE_MS), "", "two");
    yam_pull_stats_t stats;
    yam_pull_stats(s_pull, &stats);
    assert_int_equal(stats.received, 2);
    assert_int_equal(stats.dropped, 1);
}

static void
test_a_plain_sub_gets_the_classic_envelope(void **state)
{
    (void) state;
    s_pub = yam_pub_new(wrapper_yam, "t", "@tcp://127.0.0.1:*?framing=raw");
    void *sub = s_socket(ZMQ_SUB, yam_pub_endpoint(s_pub));
    assert_int_equal(yam_pub_wait(s_pub, 1, PATIENCE_MS), 0);
    assert_int_equal(yam_pub_send(s_pub, "alone", 5), 0);
    yam_message_t *message = yam_message_new("body", 4);
    assert_int_equal(yam_message_set(message, "subject", "eu.de"), 0);
    assert_int_equal(yam_pub_send_message(s_pub, &message), 0);
    s_expect_part(sub, "alone", false);
    s_expect_part(sub, "eu.de", true);
    s_expect_part(sub, "body", false);
}

static void
test_messages_of_a_plain_pub_arrive_with_their_subject(void **state)
{
    (void) state;
    s_sub = yam_sub_new(wrapper_yam, "t", "@tcp://127.0.0.1:*?framing=raw&subject=eu");
    void *pub = s_socket(ZMQ_XPUB, yam_sub_endpoint(s_sub));
    zmq_pollitem_t item = {.socket = pub, .events = ZMQ_POLLIN};
    for (int round = 0; zmq_poll(&item, 1, 10) == 0; round++) {
        //  As everywhere in ZeroMQ, a bound subscriber greets newcomers when it is asked for
        //  messages.
        assert_null(yam_sub_recv(s_sub, 0));
        assert_true(round < PATIENCE_MS / 10);
    }
    s_expect_part(pub, "\1eu", false); //  the subscription is there
    assert_int_equal(zmq_send(pub, "us", 2, ZMQ_SNDMORE), 2);
    assert_int_equal(zmq_send(pub, "no", 2, 0), 2);
    assert_int_equal(zmq_send(pub, "eu.de", 5, ZMQ_SNDMORE), 5);
    assert_int_equal(zmq_send(pub, "between", 7, ZMQ_SNDMORE), 7);
    assert_int_equal(zmq_send(pub, "body", 4, 0), 4);
    assert_int_equal(zmq_send(pub, "eu alone", 8, 0), 8);
    s_expect_message(yam_sub_recv(s_sub, PATIENCE_MS), "eu.de", "body");
    s_expect_message(yam_sub_recv(s_sub, PATIENCE_MS), "", "eu alone");
}

static void
test_what_raw_cannot_carry_is_refused(void **state)
{
    (void) state;
    s_push = yam_push_new(wrapper_yam, "q", "@tcp://127.0.0.1:*?framing=raw");
    s_pub = yam_pub_new(wrapper_yam, "t", "@tcp://127.0.0.1:*?framing=raw");
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "key", "k"), 0);
    assert_int_equal(yam_push_send_message(s_push, &message), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_pub_send_message(s_pub, &message), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(message); //  it stays the caller's
    yam_message_destroy(&message);
    message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "subject", "a"), 0);
    assert_int_equal(yam_push_send_message(s_push, &message), -1); //  a queue has no place for it
    assert_int_equal(errno, EINVAL);
    yam_message_destroy(&message);
}

static void
test_without_a_peer_raw_waits_its_timeout(void **state)
{
    (void) state;
    s_push = yam_push_new(wrapper_yam, "q", "@tcp://127.0.0.1:*?framing=raw&send-timeout=5");
    assert_int_equal(yam_push_send(s_push, "x", 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(yam_push_close(&s_push, 0), 0);
}

static void
test_raw_meets_raw_through_a_full_queue(void **state)
{
    (void) state;
    s_pull = yam_pull_new(wrapper_yam, "q", "@inproc://full?framing=raw&hwm=2");
    s_push = yam_push_new(wrapper_yam, "q", ">inproc://full?framing=raw&hwm=2&send-timeout=0");
    uint64_t sent = 0;
    uint64_t received = 0;
    while (received < 10000) {
        while (sent < 10000 && yam_push_send(s_push, &sent, sizeof sent) == 0) {
            sent++;
        }
        assert_true(sent - received <= 4);
        yam_message_t *message = yam_pull_recv(s_pull, PATIENCE_MS);
        assert_non_null(message);
        assert_memory_equal(yam_message_body(message), &received, sizeof received);
        yam_message_destroy(&message);
        received++;
    }
}

static void
test_batches_at_a_raw_end_are_bodies_and_raw_at_a_batch_end_is_dropped(void **state)
{
    (void) state;
    s_pull = yam_pull_new(wrapper_yam, "q", "@inproc://mismatch-1?framing=raw");
    s_push = yam_push_new(wrapper_yam, "q", ">inproc://mismatch-1");
    assert_int_equal(yam_push_send(s_push, "x", 1), 0);
    yam_message_t *message = yam_pull_recv(s_pull, PATIENCE_MS);
    assert_non_null(message);
    assert_memory_equal(yam_message_body(message), "YAMB", 4);
    yam_message_destroy(&message);
    yam_push_destroy(&s_push);
    yam_pull_destroy(&s_pull);
    s_pull = yam_pull_new(wrapper_yam, "q", "@inproc://mismatch-2");
    s_push = yam_push_new(wrapper_yam, "q", ">inproc://mismatch-2?framing=raw");
    assert_int_equal(yam_push_send(s_push, "x", 1), 0);
    assert_null(yam_pull_recv(s_pull, 0));
    yam_pull_stats_t stats;
    yam_pull_stats(s_pull, &stats);
    assert_int_equal(stats.dropped, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define S_TEST(name) WRAPPER_TEST_WITH(name, s_setup, s_teardown)
        S_TEST(test_a_plain_pull_gets_bodies),
        S_TEST(test_bodies_of_a_plain_push_arrive_and_multipart_is_dropped),
        S_TEST(test_a_plain_sub_gets_the_classic_envelope),
        S_TEST(test_messages_of_a_plain_pub_arrive_with_their_subject),
        S_TEST(test_what_raw_cannot_carry_is_refused),
        S_TEST(test_without_a_peer_raw_waits_its_timeout),
        S_TEST(test_raw_meets_raw_through_a_full_queue),
        S_TEST(test_batches_at_a_raw_end_are_bodies_and_raw_at_a_batch_end_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
