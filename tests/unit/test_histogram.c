//  yami_histogram: how far off a quantile may be.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yami_histogram.h"

static void
test_an_empty_histogram_says_zero(void **state)
{
    (void) state;
    yami_histogram_t histogram = {0};
    assert_int_equal(yami_histogram_quantile(&histogram, 0), 0);
    assert_int_equal(yami_histogram_quantile(&histogram, 1000), 0);
}

static void
test_one_value_is_every_quantile(void **state)
{
    (void) state;
    for (uint64_t value = 1; value < (UINT64_C(1) << 43); value = value * 3 + 1) {
        yami_histogram_t histogram = {0};
        yami_histogram_add(&histogram, value);
        assert_int_equal(yami_histogram_quantile(&histogram, 0), value);
        assert_int_equal(yami_histogram_quantile(&histogram, 500), value);
        assert_int_equal(yami_histogram_quantile(&histogram, 1000), value);
    }
}

static void
test_quantiles_are_off_by_at_most_a_sixteenth(void **state)
{
    (void) state;
    static yami_histogram_t histogram;
    for (uint64_t value = 1; value <= 100000; value++) {
        yami_histogram_add(&histogram, value);
    }
    for (unsigned permille = 1; permille <= 1000; permille++) {
        uint64_t exact = UINT64_C(100) * permille;
        uint64_t answer = yami_histogram_quantile(&histogram, permille);
        assert_true(answer >= exact);
        assert_true(answer <= exact + exact / 16);
    }
    assert_int_equal(histogram.max, 100000);
}

static void
test_each_value_falls_into_a_bucket_no_lower_than_smaller_ones(void **state)
{
    (void) state;
    uint64_t previous = 0;
    for (uint64_t value = 0; value < 5000; value++) {
        yami_histogram_t histogram = {.max = 0};
        yami_histogram_add(&histogram, value);
        yami_histogram_add(&histogram, UINT64_MAX);
        uint64_t answer = yami_histogram_quantile(&histogram, 500);
        assert_true(answer >= value && answer - value <= value / 16);
        assert_true(answer >= previous);
        previous = answer;
    }
}

static void
test_values_beyond_the_last_bucket_are_counted_and_their_maximum_kept(void **state)
{
    (void) state;
    yami_histogram_t histogram = {0};
    yami_histogram_add(&histogram, UINT64_MAX);
    yami_histogram_add(&histogram, UINT64_C(1) << 50);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(yami_histogram_quantile(&histogram, 1000), UINT64_MAX);
}

static void
test_merging_equals_adding_everything_to_one(void **state)
{
    (void) state;
    yami_histogram_t left = {0};
    yami_histogram_t right = {0};
    yami_histogram_t both = {0};
    for (uint64_t value = 0; value < 10000; value += 3) {
        yami_histogram_add(value % 2 ? &left : &right, value * value);
        yami_histogram_add(&both, value * value);
    }
    yami_histogram_merge(&left, &right);
    assert_memory_equal(&left, &both, sizeof both);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_histogram_says_zero),
        cmocka_unit_test(test_one_value_is_every_quantile),
        cmocka_unit_test(test_quantiles_are_off_by_at_most_a_sixteenth),
        cmocka_unit_test(test_each_value_falls_into_a_bucket_no_lower_than_smaller_ones),
        cmocka_unit_test(test_values_beyond_the_last_bucket_are_counted_and_their_maximum_kept),
        cmocka_unit_test(test_merging_equals_adding_everything_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
