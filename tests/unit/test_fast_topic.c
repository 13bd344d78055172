//  The fast grade of topics: subscriptions choose by subject, losses are counted where they show,
//  and nobody is held up by one who does not take.

#include "wrapper_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yam_error.h"
#include "yami_alloc_test.h"
#include "yami_base.h"

static yam_sub_t *
s_sub_to(yam_pub_t *pub, const char *options)
{
    return wrapper_sub(wrapper_peer(yam_pub_endpoint(pub), options));
}

static void
s_publish(yam_pub_t *pub, const char *subject, uint64_t number)
{
    yam_message_t *message = yam_message_new(&number, sizeof number);
    assert_int_equal(yam_message_set(message, "subject", subject), 0);
    assert_int_equal(yam_pub_send_message(pub, &message), 0);
}

static void
s_expect(yam_sub_t *sub, const char *subject, uint64_t number)
{
    yam_message_t *message = yam_sub_recv(sub, PATIENCE_MS);
    assert_non_null(message);
    assert_string_equal(yam_message_subject(message), subject);
    assert_int_equal(yam_message_size(message), sizeof number);
    assert_memory_equal(yam_message_body(message), &number, sizeof number);
    yam_message_destroy(&message);
}

//  Messages on the way: not more than the sockets' queues hold in the worst case, one in a frame.
#define S_UNDER_WAY 50

static void
s_check_fan_out(const char *endpoint)
{
    yam_pub_t *pub = wrapper_pub(endpoint);
    yam_sub_t *first = s_sub_to(pub, "");
    yam_sub_t *second = s_sub_to(pub, "");
    assert_int_equal(yam_pub_wait(pub, 2, PATIENCE_MS), 0);
    for (uint64_t start = 0; start < 2000; start += S_UNDER_WAY) {
        for (uint64_t number = start; number < start + S_UNDER_WAY; number++) {
            assert_int_equal(yam_pub_send(pub, &number, sizeof number), 0);
        }
        for (uint64_t number = start; number < start + S_UNDER_WAY; number++) {
            s_expect(first, "", number);
            s_expect(second, "", number);
        }
    }
    assert_int_equal(yam_pub_flush(pub, PATIENCE_MS), 0);
    yam_sub_destroy(&first);
    yam_sub_destroy(&second);
    yam_pub_destroy(&pub);
}

static void
test_every_subscription_gets_every_message(void **state)
{
    (void) state;
    s_check_fan_out("@tcp://127.0.0.1:*");
    s_check_fan_out("@inproc://fast-topic");
    s_check_fan_out("@ipc://*");
}

static void
test_wait_counts_subscriptions_that_come_and_go(void **state)
{
    (void) state;
    yam_pub_t *pub = wrapper_pub("@tcp://127.0.0.1:*");
    assert_int_equal(yam_pub_wait(pub, 0, 0), 0);
    assert_int_equal(yam_pub_wait(pub, 1, 1), -1);
    assert_int_equal(errno, EAGAIN);
    for (unsigned round = 0; round < 20; round++) {
        yam_sub_t *sub = s_sub_to(pub, "");
        assert_int_equal(yam_pub_wait(pub, 1, PATIENCE_MS), 0);
        uint64_t number = round;
        assert_int_equal(yam_pub_send(pub, &number, sizeof number), 0);
        s_expect(sub, "", number); //  none is missed: that is what wait is for
        yam_sub_destroy(&sub);
        while (yam_pub_wait(pub, 1, 0) == 0) {
            assert_int_equal(yam_pub_send(pub, "", 0), 0); //  goes nowhere; sees the leaving
        }
        assert_int_equal(yam_pub_flush(pub, PATIENCE_MS), 0);
    }
    yam_pub_destroy(&pub);
}

static void
test_a_connecting_publisher_can_wait_too(void **state)
{
    (void) state;
    yam_sub_t *sub = yam_sub_new(wrapper_yam, "prices", "@tcp://127.0.0.1:*");
    char endpoint[300];
    (void) snprintf(endpoint, sizeof endpoint, ">%s", yam_sub_endpoint(sub));
    yam_pub_t *pub = wrapper_pub(endpoint);
    for (int round = 0; yam_pub_wait(pub, 1, 10) == -1; round++) {
        //  As everywhere in ZeroMQ, a bound subscriber greets newcomers when it is asked for
        //  messages.
        assert_null(yam_sub_recv(sub, 0));
        assert_true(round < PATIENCE_MS / 10);
    }
    s_publish(pub, "a", 1);
    s_expect(sub, "a", 1);
    yam_pub_destroy(&pub);
    yam_sub_destroy(&sub);
}

static void
test_a_subject_prefix_chooses(void **state)
{
    (void) state;
    yam_pub_t *pub = wrapper_pub("@tcp://127.0.0.1:*");
    yam_sub_t *all = s_sub_to(pub, "");
    yam_sub_t *eu = s_sub_to(pub, "?subject=eu.");
    assert_int_equal(yam_pub_wait(pub, 2, PATIENCE_MS), 0);
    s_publish(pub, "eu.de", 1);
    s_publish(pub, "us.ny", 2);
    s_publish(pub, "eu.fr", 3);
    s_publish(pub, "eu", 4);
    s_publish(pub, "eu.de", 5);
    s_expect(eu, "eu.de", 1);
    s_expect(eu, "eu.fr", 3);
    s_expect(eu, "eu.de", 5);
    s_expect(all, "eu.de", 1);
    s_expect(all, "us.ny", 2);
    s_expect(all, "eu.fr", 3);
    s_expect(all, "eu", 4);
    s_expect(all, "eu.de", 5);
    yam_sub_stats_t stats;
    yam_sub_stats(eu, &stats);
    assert_int_equal(stats.gaps, 0); //  what it did not want is not missing
    yam_sub_stats(all, &stats);
    assert_int_equal(stats.gaps, 0);
    yam_sub_destroy(&all);
    yam_sub_destroy(&eu);
    yam_pub_destroy(&pub);
}

static void
test_many_subjects_under_load_keep_their_order(void **state)
{
    (void) state;
    static const char *const subjects[] = {"a", "b.c", "d"};
    yam_pub_t *pub = wrapper_pub("@tcp://127.0.0.1:*");
    yam_sub_t *sub = s_sub_to(pub, "");
    assert_int_equal(yam_pub_wait(pub, 1, PATIENCE_MS), 0);
    uint64_t received = 0;
    for (uint64_t number = 0; number < 6000; number++) {
        s_publish(pub, subjects[number / 3 % 3], number);
        for (; number + 1 - received > S_UNDER_WAY; received++) {
            s_expect(sub, subjects[received / 3 % 3], received);
        }
    }
    for (; received < 6000; received++) {
        s_expect(sub, subjects[received / 3 % 3], received);
    }
    yam_sub_destroy(&sub);
    yam_pub_destroy(&pub);
}

//  A publisher of two subjects, whose messages say how many of their subject were before them, and
//  who is slow to take them.
typedef struct {
    yam_pub_t *pub;
    yam_sub_t *slow;
    uint64_t published[2]; //  of "eu.de", of "us"
    uint64_t came;
    uint64_t first;   //  how many of its subject had been published before the first that came
    uint64_t latest;  //  sequence of the latest one that came
    uint64_t upto[2]; //  how many of each had been published with the latest that came of it
} s_stuck_t;

static void
s_publish_next(s_stuck_t *self, size_t which)
{
    s_publish(self->pub, which == 0 ? "eu.de" : "us", self->published[which]++);
}

//  Publishes until that many frames were sent, to nobody who takes.
static void
s_flood(s_stuck_t *self, uint64_t frames)
{
    yam_pub_stats_t sent;
    do {
        s_publish_next(self, 1);
        s_publish_next(self, 0);
        s_publish_next(self, 0);
        yam_pub_stats(self->pub, &sent);
    } while (sent.frames < frames);
    assert_int_equal(yam_pub_flush(self->pub, PATIENCE_MS), 0);
}

//  Whether one came within wait_ms.
static bool
s_take(s_stuck_t *self, int wait_ms)
{
    yam_message_t *message = yam_sub_recv(self->slow, wait_ms);
    if (!message) {
        return false;
    }
    uint64_t number;
    memcpy(&number, yam_message_body(message), sizeof number);
    self->latest = yam_message_sequence(message);
    self->upto[strcmp(yam_message_subject(message), "us") == 0] = number + 1;
    self->first = self->came++ == 0 ? number : self->first;
    yam_message_destroy(&message);
    return true;
}

//  What is lost shows with the first frame after it; libzmq may take a moment to see that there is
//  room.
static void
s_recover(s_stuck_t *self)
{
    while (s_take(self, 0)) {
    }
    int round = 0;
    do {
        assert_true(round++ < PATIENCE_MS / 10);
        s_publish_next(self, 1);
        s_publish_next(self, 0);
    } while (!s_take(self, 10));
}

//  However slow a subscriber is: what came and what it counts as missing are what was published.
static void
s_check_slow(const char *subject)
{
    char options[64];
    (void) snprintf(options, sizeof options, "@inproc://slow-%s?hwm=2&batch-bytes=1000", subject);
    s_stuck_t stuck = {.pub = wrapper_pub(options)};
    (void) snprintf(options, sizeof options, "?hwm=2&subject=%s", subject);
    stuck.slow = s_sub_to(stuck.pub, options);
    assert_int_equal(yam_pub_wait(stuck.pub, 1, PATIENCE_MS), 0);
    yam_pub_stats_t sent;
    for (uint64_t round = 1; round <= 3; round++) {
        yam_pub_stats(stuck.pub, &sent);
        uint64_t overflows = sent.overflows;
        s_flood(&stuck, sent.frames + 50);
        yam_pub_stats(stuck.pub, &sent);
        assert_true(sent.overflows > overflows);
        s_recover(&stuck);
    }
    yam_sub_stats_t stats;
    yam_sub_stats(stuck.slow, &stats);
    assert_true(stats.gaps > 0);
    assert_int_equal(stats.gaps + stuck.came,
                     *subject ? stuck.upto[0] + stuck.upto[1] : stuck.latest);
    yam_sub_destroy(&stuck.slow);
    yam_pub_destroy(&stuck.pub);
}

static void
test_a_subscriber_that_does_not_take_holds_nobody_up_and_counts_its_gaps(void **state)
{
    (void) state;
    s_check_slow("");
}

static void
test_a_slow_subscriber_to_a_prefix_counts_what_it_missed_of_it(void **state)
{
    (void) state;
    s_check_slow("eu.");
    s_check_slow("eu.de");
    s_check_slow("us");
}

//  Batches that were closed before the subscription was heard, and go out after it, count, too: the
//  queue is small, and most are lost. Who comes after somebody else is not told what that one
//  missed.
static void
test_a_subscriber_that_comes_under_load_counts_just_what_it_misses(void **state)
{
    (void) state;
    for (unsigned round = 0; round < 10; round++) {
        char options[64];
        (void) snprintf(options, sizeof options, "@inproc://late-%u?hwm=2", round);
        s_stuck_t late = {.pub = wrapper_pub(options)};
        if (round % 2 == 1) {
            yam_sub_t *earlier = s_sub_to(late.pub, "?subject=eu.");
            assert_int_equal(yam_pub_wait(late.pub, 1, PATIENCE_MS), 0);
            yam_sub_destroy(&earlier);
        }
        s_flood(&late, 100);
        late.slow = s_sub_to(late.pub, "?hwm=2&subject=eu.");
        s_flood(&late, 200);
        s_recover(&late);
        yam_sub_stats_t stats;
        yam_sub_stats(late.slow, &stats);
        assert_int_equal(stats.gaps + late.came, late.upto[0] - late.first);
        yam_sub_destroy(&late.slow);
        yam_pub_destroy(&late.pub);
    }
}

//  Raw messages have no numbers: that some were lost is all that can be known of them.
static void
test_a_publisher_of_raw_messages_counts_how_often_a_subscriber_was_too_slow(void **state)
{
    (void) state;
    yam_pub_t *pub = wrapper_pub("@inproc://slow-raw?hwm=2&framing=raw");
    yam_sub_t *slow = s_sub_to(pub, "?hwm=2&framing=raw");
    assert_int_equal(yam_pub_wait(pub, 1, PATIENCE_MS), 0);
    yam_pub_stats_t stats;
    for (uint64_t number = 0; number < 4; number++) { //  hwm of both ends
        s_publish(pub, "a", number);
    }
    yam_pub_stats(pub, &stats);
    assert_int_equal(stats.overflows, 0);
    for (uint64_t number = 4; number < 100; number++) {
        s_publish(pub, "a", number);
    }
    yam_pub_stats(pub, &stats);
    assert_int_equal(stats.overflows, 1);
    for (uint64_t number = 0; number < 4; number++) {
        s_expect(slow, "a", number);
    }
    assert_null(yam_sub_recv(slow, 0));
    yam_sub_destroy(&slow);
    yam_pub_destroy(&pub);
}

//  Publishes a message with the subject "lost" that finds no memory after so many allocations.
static void
s_publish_without_memory(yam_pub_t *pub, int64_t allocations)
{
    yam_message_t *message = yam_message_new("body", 4);
    assert_int_equal(yam_message_set(message, "subject", "lost"), 0);
    yami_alloc_fail_after(allocations);
    int rc = yam_pub_send_message(pub, &message);
    int error = errno;
    yami_alloc_fail_after(-1);
    assert_int_equal(rc, -1);
    assert_int_equal(error, ENOMEM);
    assert_non_null(message);
    yam_message_destroy(&message);
}

//  Without memory for its subject; and for its body, when its subject would have gone as a part of
//  its own, which the next message's would be taken for one of.
static void
test_a_message_without_memory_is_not_sent_in_part_or_with_another_subject(void **state)
{
    (void) state;
    yam_pub_t *pub = wrapper_pub("@inproc://raw-memory?framing=raw");
    yam_sub_t *sub = s_sub_to(pub, "?framing=raw");
    assert_int_equal(yam_pub_wait(pub, 1, PATIENCE_MS), 0);
    s_publish_without_memory(pub, 0);
    s_publish_without_memory(pub, 1);
    s_publish(pub, "next", 1);
    s_expect(sub, "next", 1);
    yam_sub_destroy(&sub);
    yam_pub_destroy(&pub);
}

static void
test_a_subscriber_that_keeps_messages_does_not_stop_the_next(void **state)
{
    (void) state;
    yam_pub_t *pub = wrapper_pub("@inproc://keeps");
    yam_sub_t *sub = s_sub_to(pub, "");
    assert_int_equal(yam_pub_wait(pub, 1, PATIENCE_MS), 0);
    yam_message_t *kept[20];
    uint8_t body[5000] = {0};
    for (int index = 0; index < 20; index++) {
        assert_int_equal(yam_pub_send(pub, body, sizeof body), 0);
        kept[index] = yam_sub_recv(sub, PATIENCE_MS);
        assert_non_null(kept[index]);
    }
    yam_pub_destroy(&pub);
    yam_sub_destroy(&sub);
    for (int index = 0; index < 20; index++) {
        assert_int_equal(yam_message_size(kept[index]), sizeof body);
        yam_message_destroy(&kept[index]);
    }
}

static void
test_subjects_that_cannot_be_are_refused(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "subject", "a..b"), -1);
    assert_int_equal(yam_message_set(message, "subject", "a.*"), -1);
    yam_message_destroy(&message);
    assert_null(yam_pub_new(wrapper_yam, "t", "@tcp://127.0.0.1:*?subject=a\x01"));
    assert_int_equal(errno, EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WRAPPER_TEST(test_every_subscription_gets_every_message),
        WRAPPER_TEST(test_wait_counts_subscriptions_that_come_and_go),
        WRAPPER_TEST(test_a_connecting_publisher_can_wait_too),
        WRAPPER_TEST(test_a_subject_prefix_chooses),
        WRAPPER_TEST(test_many_subjects_under_load_keep_their_order),
        WRAPPER_TEST(test_a_subscriber_that_does_not_take_holds_nobody_up_and_counts_its_gaps),
        WRAPPER_TEST(test_a_slow_subscriber_to_a_prefix_counts_what_it_missed_of_it),
        WRAPPER_TEST(test_a_subscriber_that_comes_under_load_counts_just_what_it_misses),
        WRAPPER_TEST(test_a_publisher_of_raw_messages_counts_how_often_a_subscriber_was_too_slow),
        WRAPPER_TEST(test_a_message_without_memory_is_not_sent_in_part_or_with_another_subject),
        WRAPPER_TEST(test_a_subscriber_that_keeps_messages_does_not_stop_the_next),
        WRAPPER_TEST(test_subjects_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
