#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "yam.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROWTH_KIB (600 << 10) //  freed memory stays in quarantine
#else
#define GROWTH_KIB (64 << 10)
#endif

relay_process_t garbage_relay;

static yam_t *s_yam;
static yam_push_t *s_push;
static yam_pull_t *s_pull;
static uint32_t s_served;
static long s_memory_kib;

//  -- The well-behaved client ---------------------------------------------------------------------

bool
garbage_is_confirmed(int patience_ms)
{
    s_served++;
    assert_int_equal(yam_push_send(s_push, &s_served, sizeof s_served), 0);
    return yam_push_flush(s_push, patience_ms) == 0;
}

void
garbage_serve(void)
{
    assert_true(garbage_is_confirmed(GARBAGE_PATIENCE_MS));
    yam_message_t *message = yam_pull_recv(s_pull, GARBAGE_PATIENCE_MS);
    assert_non_null(message);
    assert_int_equal(yam_message_size(message), sizeof s_served);
    assert_memory_equal(yam_message_body(message), &s_served, sizeof s_served);
    assert_int_equal(yam_pull_ack(s_pull, &message), 0);
    int code = 0;
    assert_false(child_has_ended(&garbage_relay.child, &code));
}

int
garbage_setup(void **state)
{
    static const char *const options[] = {"--segment-size", "1M",  "--reserve", "0",
                                          "--heartbeat",    "60s", NULL};
    char endpoint[300];
    (void) state;
    relay_process_init(&garbage_relay, "garbage");
    memcpy(garbage_relay.options, options, sizeof options);
    if (!relay_process_start(&garbage_relay)) {
        return -1;
    }
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&heartbeat=60s",
                    garbage_relay.endpoint);
    s_yam = yam_new();
    s_push = yam_push_new(s_yam, "well-behaved", endpoint);
    s_pull = yam_pull_new(s_yam, "well-behaved", endpoint);
    if (!s_push || !s_pull) {
        return -1;
    }
    garbage_serve();
    s_memory_kib = relay_process_memory_kib(&garbage_relay, "VmRSS");
    return 0;
}

//  A relay that a sanitizer ended, or that forgets how to stop, fails here.
int
garbage_teardown(void **state)
{
    (void) state;
    yam_pull_destroy(&s_pull);
    yam_push_destroy(&s_push);
    yam_destroy(&s_yam);
    int code = relay_process_stop(&garbage_relay);
    if (code != 0) {
        (void) fprintf(stderr, "# yamd ended with %d\n", code);
        relay_process_print_log(&garbage_relay);
    }
    return code == 0 ? 0 : -1;
}

void
garbage_assert_memory(void)
{
    long memory_kib = relay_process_memory_kib(&garbage_relay, "VmRSS");
    if (memory_kib > s_memory_kib + GROWTH_KIB) {
        fail_msg("yamd grew from %ld to %ld KiB", s_memory_kib, memory_kib);
    }
}

void
garbage_expect(raw_link_t *link, const char *what, uint8_t type, yam_status_t status)
{
    yami_frame_t frame;
    if (!raw_link_expect(link, 0, &frame, GARBAGE_PATIENCE_MS)) {
        fail_msg("%s: no answer", what);
    }
    if (frame.type != type || frame.status != status) {
        fail_msg("%s: %s with status %s instead of %s with %s", what,
                 yami_frame_type_name(frame.type), yam_status_name((yam_status_t) frame.status),
                 yami_frame_type_name(type), yam_status_name(status));
    }
}

void
garbage_open(raw_link_t *link)
{
    raw_link_open(link, garbage_relay.endpoint);
    assert_true(raw_link_hello(link));
}
