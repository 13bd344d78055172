//  The server's desk: which requests are begun, refused, dropped, answered.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "yami_base.h"
#include "yami_rpc_desk_core.h"

static yami_rpc_desk_t s_desk;

static int
s_setup(void **state)
{
    (void) state;
    yami_rpc_desk_init(&s_desk, 3, 10000);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_rpc_request_t *request;
    while ((request = TAILQ_FIRST(&s_desk.leaving)) != NULL ||
           (request = TAILQ_FIRST(&s_desk.running)) != NULL ||
           (request = TAILQ_FIRST(&s_desk.queued)) != NULL) {
        yami_rpc_desk_free(&s_desk, &request);
    }
    yami_rpc_desk_clear(&s_desk);
    return 0;
}

static yami_rpc_verdict_t
s_take(const char *correlation, int64_t deadline_ms, int64_t now_ms, yam_status_t *status_p)
{
    yam_rpc_request_t *request = yami_alloc(sizeof *request);
    yam_rpc_request_t *twin;
    (void) snprintf(request->correlation, sizeof request->correlation, "%s", correlation);
    request->message = yam_message_new("do", 2);
    request->deadline_ms = deadline_ms;
    request->size = 1000;
    yami_rpc_verdict_t verdict = yami_rpc_desk_take(&s_desk, now_ms, &request, status_p, &twin);
    assert_int_equal(request == NULL, verdict == YAMI_RPC_TAKEN);
    yami_rpc_request_free(&request);
    yami_rpc_desk_check(&s_desk);
    return verdict;
}

static void
test_request_that_nobody_waits_for_is_not_begun(void **state)
{
    (void) state;
    yam_status_t status;
    assert_int_equal(s_take("late", 100, 100, &status), YAMI_RPC_EXPIRED);
    assert_int_equal(s_take("in time", 101, 100, &status), YAMI_RPC_TAKEN);
    assert_int_equal(s_take("later", INT64_MAX, 100, &status), YAMI_RPC_TAKEN);
    yam_rpc_request_t *request = yami_rpc_desk_next(&s_desk, 101);
    assert_string_equal(request->correlation, "later");
    assert_int_equal(s_desk.stats.expired, 2);
    assert_true(yami_rpc_desk_leaving(&s_desk)->is_unwanted);
    yami_rpc_desk_check(&s_desk);
}

static void
test_desk_refuses_what_is_too_much(void **state)
{
    (void) state;
    yam_status_t status;
    assert_int_equal(s_take("a", 100, 0, &status), YAMI_RPC_TAKEN);
    assert_int_equal(s_take("b", 100, 0, &status), YAMI_RPC_TAKEN);
    s_desk.bytes = 2999;
    assert_int_equal(s_take("c", 100, 0, &status), YAMI_RPC_REFUSED);
    s_desk.bytes = 10000;
    assert_int_equal(s_take("c", 100, 0, &status), YAMI_RPC_TAKEN);
    assert_int_equal(s_take("d", 100, 0, &status), YAMI_RPC_REFUSED);
    assert_int_equal(status, YAM_STATUS_FULL);
    assert_int_equal(s_desk.stats.refused, 2);
}

static void
test_same_request_twice_is_taken_once(void **state)
{
    (void) state;
    yam_status_t status;
    assert_int_equal(s_take("a", 100, 0, &status), YAMI_RPC_TAKEN);
    assert_int_equal(s_take("a", 100, 0, &status), YAMI_RPC_REPEATED);
    assert_non_null(yami_rpc_desk_next(&s_desk, 0));
    assert_int_equal(s_take("a", 100, 0, &status), YAMI_RPC_REPEATED);
    assert_int_equal(s_desk.stats.duplicates, 2);
    assert_null(yami_rpc_desk_next(&s_desk, 0));
}

static void
test_cancelled_request_is_not_begun_and_its_answer_not_wanted(void **state)
{
    (void) state;
    yam_status_t status;
    yam_message_t *body = NULL;
    (void) s_take("running", 100, 0, &status);
    (void) s_take("queued", 100, 0, &status);
    yam_rpc_request_t *running = yami_rpc_desk_next(&s_desk, 0);
    yami_rpc_desk_cancel(&s_desk, NULL, yami_slice_text("running"));
    yami_rpc_desk_cancel(&s_desk, NULL, yami_slice_text("queued"));
    yami_rpc_desk_cancel(&s_desk, NULL, yami_slice_text("another"));
    assert_null(yami_rpc_desk_next(&s_desk, 0));
    assert_int_equal(s_desk.stats.cancelled, 1);
    assert_int_equal(yami_rpc_desk_left_ms(running, 0), 0);
    assert_false(yami_rpc_desk_answer(&s_desk, 0, running, YAM_STATUS_OK, NULL, &body));
    assert_int_equal(s_desk.stats.unsent, 1);
    yami_rpc_desk_check(&s_desk);
}

static void
test_closing_desk_gives_back_what_was_not_begun(void **state)
{
    (void) state;
    yam_status_t status;
    (void) s_take("begun", 100, 0, &status);
    (void) s_take("queued", 100, 0, &status);
    yam_rpc_request_t *begun = yami_rpc_desk_next(&s_desk, 0);
    yami_rpc_desk_close(&s_desk);
    const yam_rpc_request_t *leaving = yami_rpc_desk_leaving(&s_desk);
    assert_string_equal(leaving->correlation, "queued");
    assert_true(leaving->is_released && leaving->status == YAM_STATUS_CLOSING);
    assert_int_equal(s_take("new", 100, 0, &status), YAMI_RPC_REFUSED);
    assert_int_equal(status, YAM_STATUS_CLOSING);
    assert_int_equal(begun->state, YAMI_RPC_REQUEST_RUNNING);
    yami_rpc_desk_check(&s_desk);
}

#define DESK_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(test_request_that_nobody_waits_for_is_not_begun),
        DESK_TEST(test_desk_refuses_what_is_too_much),
        DESK_TEST(test_same_request_twice_is_taken_once),
        DESK_TEST(test_cancelled_request_is_not_begun_and_its_answer_not_wanted),
        DESK_TEST(test_closing_desk_gives_back_what_was_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
