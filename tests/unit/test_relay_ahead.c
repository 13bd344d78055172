//  Records that are kept until their time has come: how many, which, and for how long.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "yami_alloc_test.h"
#include "yami_relay_ahead.h"

#define NOW 1000000
#define LIMIT 100000
#define MINUTE 60000

static yami_relay_ahead_t s_ahead;
static yami_relay_shelf_t s_shelf;
static yami_relay_shelf_t s_other;
static int64_t s_mono_ms;

static int
s_setup(void **state)
{
    (void) state;
    yami_relay_ahead_init(&s_ahead, LIMIT);
    s_mono_ms = 5000;
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yami_relay_ahead_clear(&s_ahead, &s_shelf);
    yami_relay_ahead_clear(&s_ahead, &s_other);
    yami_relay_ahead_check(&s_ahead);
    assert_int_equal(s_ahead.bytes, 0);
    return 0;
}

//  Keeps a record of 900 bytes that says its sequence. Whether it is there then.
static bool
s_keep(yami_relay_shelf_t *shelf, uint64_t sequence, int64_t due_ms)
{
    uint8_t bytes[900] = {0};
    memcpy(bytes, &sequence, sizeof sequence);
    yami_relay_ahead_keep(&s_ahead, shelf, s_mono_ms, NOW, sequence, due_ms,
                          yami_slice(bytes, sizeof bytes));
    yami_relay_ahead_check(&s_ahead);
    yami_slice_t record = yami_relay_ahead_find(shelf, sequence);
    assert_true(record.size == 0 || memcmp(record.data, bytes, sizeof bytes) == 0);
    return record.size > 0;
}

static void
test_what_is_kept_is_found_by_channel_and_sequence_until_it_is_dropped(void **state)
{
    (void) state;
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        assert_true(s_keep(&s_shelf, sequence, NOW + 1000));
        assert_true(s_keep(&s_other, sequence, NOW + 1000));
    }
    uint64_t bytes = s_ahead.bytes;
    assert_true(s_keep(&s_shelf, 5, NOW + 1000)); //  once only
    assert_int_equal(s_ahead.bytes, bytes);
    yami_relay_ahead_drop(&s_ahead, &s_shelf, 4, 6);          //  by sequence
    yami_relay_ahead_drop(&s_ahead, &s_other, 2, UINT64_MAX); //  by what is there
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        bool is_kept = sequence < 4 || sequence > 6;
        assert_int_equal(yami_relay_ahead_find(&s_shelf, sequence).size > 0, is_kept);
        assert_int_equal(yami_relay_ahead_find(&s_other, sequence).size > 0, sequence < 2);
    }
    yami_relay_ahead_check(&s_ahead);
}

static void
test_what_is_due_later_than_a_minute_is_not_kept(void **state)
{
    (void) state;
    assert_true(s_keep(&s_shelf, 1, NOW - 1));
    assert_true(s_keep(&s_shelf, 2, NOW + MINUTE));
    assert_false(s_keep(&s_shelf, 3, NOW + MINUTE + 1));
}

static void
test_without_room_what_is_due_last_makes_way_for_what_is_due_soon(void **state)
{
    (void) state;
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        (void) s_keep(&s_shelf, sequence, NOW + (int64_t) (yami_relay_mix(sequence) % MINUTE));
    }
    assert_true(s_ahead.bytes <= LIMIT);
    assert_true(s_ahead.bytes > LIMIT / 4);
    assert_true(s_ahead.horizon_ms < MINUTE / 8); //  a hundredth of a thousand fits ten times
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        int64_t due_ms = NOW + (int64_t) (yami_relay_mix(sequence) % MINUTE);
        bool is_kept = yami_relay_ahead_find(&s_shelf, sequence).size > 0;
        assert_int_equal(is_kept, yami_relay_ahead_wants(&s_ahead, NOW, due_ms));
    }
}

static void
test_with_room_again_it_looks_further_bit_by_bit(void **state)
{
    (void) state;
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        (void) s_keep(&s_shelf, sequence, NOW + (int64_t) (yami_relay_mix(sequence) % MINUTE));
    }
    int64_t horizon_ms = s_ahead.horizon_ms;
    yami_relay_ahead_clear(&s_ahead, &s_shelf);
    assert_true(s_keep(&s_shelf, 1, NOW));
    assert_int_equal(s_ahead.horizon_ms, horizon_ms); //  not at once
    uint64_t sequence = 2;
    for (; s_ahead.horizon_ms < MINUTE; sequence++) {
        assert_true(sequence < 100);
        s_mono_ms += s_ahead.horizon_ms;
        assert_true(s_keep(&s_shelf, sequence, NOW));
        yami_relay_ahead_drop(&s_ahead, &s_shelf, sequence, sequence);
        assert_true(s_ahead.horizon_ms <= horizon_ms + horizon_ms / 8 + 1);
        horizon_ms = s_ahead.horizon_ms;
    }
}

static void
test_without_memory_nothing_is_kept_and_nothing_is_wrong(void **state)
{
    (void) state;
    yami_alloc_fail_after(0);
    assert_false(s_keep(&s_shelf, 1, NOW));
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    assert_true(s_keep(&s_shelf, 1, NOW));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_kept_is_found_by_channel_and_sequence_until_it_is_dropped),
        TEST(test_what_is_due_later_than_a_minute_is_not_kept),
        TEST(test_without_room_what_is_due_last_makes_way_for_what_is_due_soon),
        TEST(test_with_room_again_it_looks_further_bit_by_bit),
        TEST(test_without_memory_nothing_is_kept_and_nothing_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
