//  yamd that is told to stop: its clients hear of it, and go on with the next one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "harness/raw_link.h"
#include "harness/relay_process.h"

static void
test_idle_client_hears_at_once_that_the_relay_stops(void **state)
{
    static const yami_id_t producer = {{1}};
    relay_process_t relay;
    raw_link_t link;
    yami_frame_t frame;
    (void) state;
    relay_process_init(&relay, "close");
    assert_true(relay_process_start(&relay));
    raw_link_open(&link, relay.endpoint);
    assert_true(raw_link_hello(&link));
    assert_true(raw_link_produce(&link, 3, "q", &producer, NULL));
    assert_int_equal(relay_process_stop(&relay), 0);
    assert_true(raw_link_expect(&link, YAMI_FRAME_DETACHED, &frame, RAW_LINK_PATIENCE_MS));
    assert_int_equal(frame.handle, 3);
    assert_int_equal(frame.status, YAM_STATUS_CLOSING);
    assert_true(raw_link_expect(&link, YAMI_FRAME_GOODBYE, &frame, RAW_LINK_PATIENCE_MS));
    assert_true(relay_process_start(&relay));
    assert_true(raw_link_hello(&link)); //  the same connection serves the next one
    raw_link_close(&link);
    assert_int_equal(relay_process_stop(&relay), 0);
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_client_hears_at_once_that_the_relay_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
