//  The four wrappers, whatever stands behind them: where they say they are, what they refuse, and
//  how much of a queue one may take.

#include "wrapper_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"

#define PATIENT "connect-timeout=60s" //  of a subscription with its relay

//  ">address?options" for a peer of who said that this is its endpoint.
static const char *
s_peer(const char *endpoint, const char *options)
{
    assert_null(strchr(endpoint, '*'));
    assert_null(strchr(endpoint, ','));
    assert_null(strstr(endpoint, "inproc"));
    return wrapper_peer(endpoint, options);
}

//  One message from push to pull; closes both.
static void
s_check_queue(yam_push_t *push, yam_pull_t *pull)
{
    assert_int_equal(yam_push_send(push, "x", 1), 0);
    yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
    assert_non_null(message);
    assert_int_equal(yam_pull_ack(pull, &message), 0);
    assert_int_equal(yam_push_close(&push, PATIENCE_MS), 0);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
s_check_topic(yam_pub_t *pub, yam_sub_t *sub)
{
    for (int round = 0; yam_pub_wait(pub, 1, 10) == -1; round++) {
        assert_null(yam_sub_recv(sub, 0)); //  when it binds, it greets newcomers only so
        assert_true(round < PATIENCE_MS / 10);
    }
    assert_int_equal(yam_pub_send(pub, "x", 1), 0);
    yam_message_t *message = yam_sub_recv(sub, PATIENCE_MS);
    assert_non_null(message);
    assert_int_equal(yam_sub_ack(sub, &message), 0);
    assert_int_equal(yam_pub_close(&pub, PATIENCE_MS), 0);
    assert_int_equal(yam_sub_close(&sub, PATIENCE_MS), 0);
}

//  Each class binds in turn, and the other one goes where it says it is.
static void
s_check_endpoints(const char *bound, const char *peer_options)
{
    yam_push_t *push = wrapper_push(bound);
    s_check_queue(push, wrapper_pull(s_peer(yam_push_endpoint(push), peer_options)));
    yam_pull_t *pull = wrapper_pull(bound);
    s_check_queue(wrapper_push(s_peer(yam_pull_endpoint(pull), peer_options)), pull);
    yam_pub_t *pub = wrapper_pub(bound);
    s_check_topic(pub, wrapper_sub(s_peer(yam_pub_endpoint(pub), peer_options)));
    yam_sub_t *sub = wrapper_sub(bound);
    s_check_topic(wrapper_pub(s_peer(yam_sub_endpoint(sub), peer_options)), sub);
}

static void
test_endpoint_tells_what_was_bound_in_the_fast_grade(void **state)
{
    (void) state;
    s_check_endpoints("@tcp://127.0.0.1:*", "");
    s_check_endpoints("@ipc://*", "");
}

static void
test_endpoint_tells_where_the_relay_in_here_listens(void **state)
{
    (void) state;
    s_check_endpoints("@tcp://127.0.0.1:*?relay=memory&" PATIENT, "?grade=sure&" PATIENT);
    s_check_endpoints("@ipc://*?relay=memory&" PATIENT, "?grade=sure&" PATIENT);
    s_check_endpoints("@tcp://127.0.0.1:*,@ipc://*?relay=memory&" PATIENT, "?grade=sure&" PATIENT);
}

static void
test_endpoint_is_the_same_for_all_who_share_a_relay(void **state)
{
    (void) state;
    yam_push_t *push = wrapper_push("@tcp://127.0.0.1:*?relay=memory");
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*?relay=memory");
    assert_string_equal(yam_push_endpoint(push), yam_pull_endpoint(pull));
    s_check_queue(push, pull);
}

static void
test_endpoint_of_who_connects_is_the_one_given(void **state)
{
    (void) state;
    yam_push_t *push = wrapper_push(">tcp://127.0.0.1:9?grade=sure&linger=0");
    assert_string_equal(yam_push_endpoint(push), "tcp://127.0.0.1:9");
    yam_push_destroy(&push);
    yam_pull_t *pull = wrapper_pull(">tcp://127.0.0.1:9?linger=0");
    assert_string_equal(yam_pull_endpoint(pull), "tcp://127.0.0.1:9");
    yam_pull_destroy(&pull);
}

static void
test_limit_leaves_the_rest_untouched(void **state)
{
    (void) state;
    yam_push_t *push = wrapper_push("@tcp://127.0.0.1:*?relay=memory");
    for (int count = 0; count < 10; count++) {
        assert_int_equal(yam_push_send(push, "x", 1), 0);
    }
    assert_int_equal(yam_push_flush(push, PATIENCE_MS), 0);
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*?relay=memory&limit=3");
    yam_message_t *message;
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        message = yam_pull_recv(pull, PATIENCE_MS);
        assert_int_equal(yam_message_sequence(message), sequence);
        assert_int_equal(yam_pull_ack(pull, &message), 0);
        assert_int_equal(yam_pull_flush(pull, PATIENCE_MS), 0); //  credit may have been told by now
    }
    assert_null(yam_pull_recv(pull, -1));
    assert_int_equal(errno, ENODATA);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
    pull = wrapper_pull("@tcp://127.0.0.1:*?relay=memory");
    for (uint64_t sequence = 4; sequence <= 10; sequence++) {
        message = yam_pull_recv(pull, PATIENCE_MS);
        assert_int_equal(yam_message_sequence(message), sequence);
        assert_int_equal(yam_message_deliveries(message), 1); //  leased to nobody before
        assert_int_equal(yam_pull_ack(pull, &message), 0);
    }
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
    yam_push_destroy(&push);
}

static void
test_options_of_topics_are_refused_by_a_puller(void **state)
{
    (void) state;
    static const char *const options[] = {"group=g", "start=first", "subject=a"};
    for (size_t index = 0; index < sizeof options / sizeof options[0]; index++) {
        char endpoint[64];
        (void) snprintf(endpoint, sizeof endpoint, "inproc://x?relay=memory&%s", options[index]);
        assert_null(yam_pull_new(wrapper_yam, "q", endpoint));
        assert_int_equal(errno, EINVAL);
        assert_non_null(strstr(yam_error(), "a queue has one group"));
    }
}

static void
test_no_message_and_no_object_are_refused(void **state)
{
    (void) state;
    yam_message_t *none = NULL;
    yam_push_t *push = wrapper_push("@inproc://nothing");
    assert_int_equal(yam_push_send_message(push, &none), -1);
    assert_int_equal(errno, EINVAL);
    yam_pull_t *pull = wrapper_pull(">inproc://nothing");
    assert_int_equal(yam_pull_ack(pull, &none), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_pull_extend(pull, NULL), -1);
    assert_int_equal(errno, EINVAL);
    yam_pull_destroy(&pull);
    assert_null(pull);
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
    assert_null(push);
    assert_int_equal(yam_push_close(&push, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WRAPPER_TEST(test_endpoint_tells_what_was_bound_in_the_fast_grade),
        WRAPPER_TEST(test_endpoint_tells_where_the_relay_in_here_listens),
        WRAPPER_TEST(test_endpoint_is_the_same_for_all_who_share_a_relay),
        WRAPPER_TEST(test_endpoint_of_who_connects_is_the_one_given),
        WRAPPER_TEST(test_limit_leaves_the_rest_untouched),
        WRAPPER_TEST(test_options_of_topics_are_refused_by_a_puller),
        WRAPPER_TEST(test_no_message_and_no_object_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
