//  yam_dispatcher against a real relay: what is committed arrives once and in order, whoever sends.

#include "outbox/outbox_fixture.h"
#include "wrapper_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_dispatcher.h"
#include "yam_error.h"
#include "yam_relay.h"

static yam_relay_t *s_relay;
static char s_endpoint[256];

static int
s_setup(void **state)
{
    if (outbox_setup(state) == -1 || wrapper_setup(state) == -1) {
        return -1;
    }
    s_relay = yam_relay_new(wrapper_yam, "@tcp://127.0.0.1:*", NULL, NULL);
    assert_non_null(s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?grade=sure", yam_relay_endpoints(s_relay));
    return 0;
}

static int
s_teardown(void **state)
{
    yam_relay_destroy(&s_relay);
    return wrapper_teardown(state) == -1 || outbox_teardown(state) == -1 ? -1 : 0;
}

#define S_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

static yam_dispatcher_t *
s_dispatcher(const char *options)
{
    yam_dispatcher_t *dispatcher =
        yam_dispatcher_new(wrapper_yam, outbox_path, s_endpoint, options);
    if (dispatcher == NULL) {
        fail_msg("%s", yam_error());
    }
    return dispatcher;
}

static void
s_flush(yam_dispatcher_t *dispatcher)
{
    if (yam_dispatcher_flush(dispatcher, PATIENCE_MS) == -1) {
        fail_msg("%s", yam_error());
    }
}

//  Takes count messages, whose bodies must be first, first + 1 ...
static void
s_expect(yam_pull_t *pull, int first, int count)
{
    for (int number = first; number < first + count; number++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        assert_non_null(message);
        char body[16];
        (void) snprintf(body, sizeof body, "%.*s", (int) yam_message_size(message),
                        (const char *) yam_message_body(message));
        assert_int_equal(atoi(body), number);
        assert_int_equal(yam_pull_ack(pull, &message), 0);
    }
}

static void
s_expect_no_more(yam_pull_t *pull)
{
    assert_null(yam_pull_recv(pull, 50));
}

static void
test_what_is_committed_is_delivered_once_and_in_order(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_put_numbers("orders", 0, 100);
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    outbox_put_numbers("orders", 100, 5000);
    s_flush(dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 5100);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox_flight"), 0);
    s_expect(pull, 0, 5100);
    s_expect_no_more(pull);
    yam_dispatcher_stats_t stats;
    yam_dispatcher_stats(dispatcher, &stats);
    assert_int_equal(stats.delivered, 5100);
    assert_int_equal(stats.sent, 5100);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        S_TEST(test_what_is_committed_is_delivered_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
