//  Relay core: what clients are told when the relay goes away, or has more to do than it can hold.

#include "relay/relay_fixture.h"

#include <stdio.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_parts.h"

#define QUEUE YAMI_KIND_QUEUE
#define LEASE_MS 30000
#define PLENTY (1u << 30)
#define QUEUES 20
#define BATCH 20000

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

//  Bytes of moves, from an entry on.
static uint64_t
s_moved_bytes(const fixture_t *f, size_t from)
{
    uint64_t bytes = 0;
    for (size_t index = from; index < f->entry_count; index++) {
        const yami_entry_t *entry = &f->entries[index].entry;
        bytes += entry->kind == YAMI_KIND_MOVE ? entry->data->size : 0;
    }
    return bytes;
}

//  All that one event leads to relies on the room there was before it.
static void
test_many_queues_that_reject_everything_move_a_bounded_amount_in_one_turn(void **state)
{
    fixture_t *f = *state;
    f->is_unchecked = true;
    fixture_forget(f);
    for (uint32_t handle = 10; handle < 10 + QUEUES; handle++) {
        char name[16];
        (void) snprintf(name, sizeof name, "r%u", handle);
        fixture_producer(f, 1, handle, QUEUE, name, (uint8_t) handle, 0, 1);
        fixture_consumer(f, 2, handle, QUEUE, name, "", "", 0, LEASE_MS);
        fixture_credit(f, 2, handle, BATCH, PLENTY);
        fixture_settle_down(f);
        fixture_publish(f, 1, fixture_batch(handle, (uint8_t) handle, 1, 1, BATCH, NULL));
        fixture_settle_down(f);
    }
    while (fixture_take(f, 2, YAMI_FRAME_DELIVER)) {
        fixture_settle(f, 2, f->frame.handle, YAMI_FRAME_REJECT, 1, f->frame.token, f->frame.first,
                       f->frame.last);
    }
    size_t before = f->entry_count;
    fixture_turn(f);
    uint64_t first_bytes = s_moved_bytes(f, before);
    fixture_settle_down(f);
    uint64_t all_bytes = s_moved_bytes(f, before);
    assert_in_range(first_bytes, 1, 2 * YAMI_RELAY_TURN_BYTES);
    assert_true(all_bytes > 3 * first_bytes);
    fixture_admin(f, 1, "stat", "r10", false);
    assert_int_equal(fixture_number(f, "dead"), BATCH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_relay_that_goes_away_says_so_to_all_peers),
        TEST(test_what_was_leased_comes_again_without_blame_after_a_close),
        TEST(test_acked_that_found_all_waits_taken_comes_later),
        TEST(test_many_queues_that_reject_everything_move_a_bounded_amount_in_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
