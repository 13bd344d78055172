#include "consume_fixture.h"

int
consume_setup(void **state)
{
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    *state = f;
    return 0;
}

void
consume_publish(fixture_t *f, uint64_t first, uint32_t count)
{
    fixture_publish(f, 1, fixture_batch(1, 9, 1, first, count, NULL));
}

void
consume_expect_deliver(fixture_t *f, uint64_t peer, uint64_t first, uint64_t last,
                       uint64_t deliveries, uint64_t failures)
{
    fixture_expect(f, peer, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.first, first);
    assert_int_equal(f->frame.last, last);
    assert_int_equal(f->frame.deliveries, deliveries);
    assert_int_equal(f->frame.failures, failures);
}

void
consume_settle(fixture_t *f, int type, uint64_t token, uint64_t first, uint64_t last)
{
    static uint64_t serial;
    fixture_settle(f, 2, 5, type, ++serial, token, first, last);
}
