//  Rates: a mean over ten seconds that forgets what is older.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yami_rate.h"

static void
test_what_happened_counts_for_ten_seconds(void **state)
{
    (void) state;
    yami_rate_t rate = {0};
    assert_int_equal(yami_rate_per_second(&rate, 0), 0);
    yami_rate_add(&rate, 500, 1000);
    assert_int_equal(yami_rate_per_second(&rate, 500), 100);
    assert_int_equal(yami_rate_per_second(&rate, 9999), 100);
    assert_int_equal(yami_rate_per_second(&rate, 10000), 0);
}

static void
test_steady_flow_is_its_rate(void **state)
{
    (void) state;
    yami_rate_t rate = {0};
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 10) {
        yami_rate_add(&rate, now_ms, 5);
    }
    assert_int_equal(yami_rate_per_second(&rate, 59999), 500);
    assert_int_equal(yami_rate_per_second(&rate, 64999), 250);
}

static void
test_lone_message_is_not_rounded_to_nothing(void **state)
{
    (void) state;
    yami_rate_t rate = {0};
    yami_rate_add(&rate, 7000, 1);
    assert_int_equal(yami_rate_per_second(&rate, 7000), 1);
}

static void
test_long_silence_costs_nothing_and_leaves_nothing(void **state)
{
    (void) state;
    yami_rate_t rate = {0};
    yami_rate_add(&rate, 1000, 70);
    yami_rate_add(&rate, INT64_MAX, 30);
    assert_int_equal(yami_rate_per_second(&rate, INT64_MAX), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_happened_counts_for_ten_seconds),
        cmocka_unit_test(test_steady_flow_is_its_rate),
        cmocka_unit_test(test_lone_message_is_not_rounded_to_nothing),
        cmocka_unit_test(test_long_silence_costs_nothing_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
