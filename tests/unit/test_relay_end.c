//  Relay core: what clients are told when the relay goes away, or has more to do than it can hold.

#include "relay/relay_fixture.h"

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_parts.h"

#define QUEUE YAMI_KIND_QUEUE
#define LEASE_MS 30000
#define PLENTY (1u << 30)

//  Peer 1 produces to "q" as producer 9; peer 2 consumes it on handle 5 and holds message 1.
//  Message 2 is not durable.
static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 5, 1, PLENTY);
    fixture_settle_down(f);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, 1, 1, NULL));
    fixture_settle_down(f);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, 2, 1, NULL));
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    *state = f;
    return 0;
}

static int
s_teardown(void **state)
{
    fixture_free((fixture_t **) state);
    return 0;
}

static void
s_close(fixture_t *f)
{
    yami_relay_event_t event = {.type = YAMI_EVENT_CLOSE};
    fixture_step(f, &event);
}

static void
test_relay_that_goes_away_says_so_to_all_peers(void **state)
{
    fixture_t *f = *state;
    fixture_forget(f);
    s_close(f);
    for (uint64_t peer = 1; peer <= 2; peer++) {
        fixture_expect(f, peer, YAMI_FRAME_DETACHED);
        assert_int_equal(f->frame.handle, peer == 1 ? 1 : 5);
        assert_int_equal(f->frame.status, YAM_STATUS_CLOSING);
        fixture_expect(f, peer, YAMI_FRAME_GOODBYE);
        fixture_expect_none(f, peer, YAMI_FRAME_CONFIRM); //  not durable, not confirmed
    }
    assert_int_not_equal(f->closed, 0);
}

static void
test_what_was_leased_comes_again_without_blame_after_a_close(void **state)
{
    fixture_t *f = *state;
    s_close(f);
    fixture_restart(f);
    fixture_hello(f, 2);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 5, 1, PLENTY);
    fixture_forget(f);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.first, 1);
    assert_int_equal(f->frame.failures, 0);
}

//  The disk stands still, and all that may wait for it waits.
static void
test_acked_that_found_all_waits_taken_comes_later(void **state)
{
    fixture_t *f = *state;
    uint64_t token = f->frame.token;
    yami_relay_wait_t nobody = {.ticket = f->core->ticket, .type = YAMI_WAIT_ACKED};
    while (f->core->waits.count < YAMI_LIMIT_WAITING) {
        yami_relay_wait(f->core, &nobody);
    }
    fixture_settle(f, 2, 5, YAMI_FRAME_ACK, 77, token, 1, 1);
    fixture_turn(f);
    fixture_turn(f);
    fixture_expect_none(f, 2, YAMI_FRAME_ACKED);
    fixture_durable(f);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_ACKED);
    assert_int_equal(f->frame.serial, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_relay_that_goes_away_says_so_to_all_peers),
        TEST(test_what_was_leased_comes_again_without_blame_after_a_close),
        TEST(test_acked_that_found_all_waits_taken_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
