//  yami_ranges against a bitmap that cannot be wrong.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_ranges.h"

#define UNIVERSE 300
#define ROUNDS 20000

typedef struct {
    bool has[UNIVERSE];
} s_model_t;

//  xorshift64*: the same numbers on every machine, so a failure can be run again.
static uint64_t
s_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1DULL;
}

static int64_t
s_model_set(s_model_t *model, uint64_t first, uint64_t last, bool value)
{
    int64_t changed = 0;
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        changed += model->has[sequence] != value;
        model->has[sequence] = value;
    }
    return changed;
}

static size_t
s_model_count_ranges(const s_model_t *model)
{
    size_t count = 0;
    for (size_t sequence = 0; sequence < UNIVERSE; sequence++) {
        count += model->has[sequence] && (sequence == 0 || !model->has[sequence - 1]);
    }
    return count;
}

//  The first run of value in from..until.
static uint64_t
s_model_find(const s_model_t *model, uint64_t from, uint64_t until, bool value, uint64_t *start_p)
{
    while (from <= until && model->has[from] != value) {
        from++;
    }
    *start_p = from;
    while (from <= until && model->has[from] == value) {
        from++;
    }
    return from - *start_p;
}

static void
s_compare(const yami_ranges_t *ranges, const s_model_t *model)
{
    yami_ranges_check(ranges);
    assert_int_equal(ranges->count, s_model_count_ranges(model));
    for (uint64_t sequence = 0; sequence < UNIVERSE; sequence++) {
        assert_int_equal(yami_ranges_has(ranges, sequence), model->has[sequence]);
    }
}

static void
s_compare_runs(const yami_ranges_t *ranges, const s_model_t *model, uint64_t from, uint64_t until)
{
    uint64_t expected_start;
    uint64_t start;
    uint64_t expected = s_model_find(model, from, until, false, &expected_start);
    assert_int_equal(yami_ranges_gap(ranges, from, until, &start), expected);
    assert_true(expected == 0 || start == expected_start);
    expected = s_model_find(model, from, until, true, &expected_start);
    assert_int_equal(yami_ranges_run(ranges, from, until, &start), expected);
    assert_true(expected == 0 || start == expected_start);
}

static void
test_random_changes_agree_with_a_bitmap(void **state)
{
    (void) state;
    uint64_t seed = 20260131;
    s_model_t model = {0};
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, UNIVERSE);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t first = s_random(&seed) % UNIVERSE;
        uint64_t last = first + s_random(&seed) % 12;
        last = last < UNIVERSE ? last : UNIVERSE - 1;
        switch (s_random(&seed) % 16) {
        case 0:
            yami_ranges_remove_below(&ranges, first / 4);
            (void) (first >= 4 && s_model_set(&model, 0, first / 4 - 1, false));
            break;
        case 1 ... 8:
            assert_int_equal(yami_ranges_add(&ranges, first, last),
                             s_model_set(&model, first, last, true));
            break;
        default:
            assert_int_equal(yami_ranges_remove(&ranges, first, last),
                             s_model_set(&model, first, last, false));
            break;
        }
        s_compare(&ranges, &model);
        s_compare_runs(&ranges, &model, last / 2, UNIVERSE - 1 - first / 2);
    }
    yami_ranges_clear(&ranges);
}

static void
test_appending_one_by_one_stays_one_range(void **state)
{
    (void) state;
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, 1);
    for (uint64_t sequence = 1; sequence <= 1000000; sequence++) {
        assert_int_equal(yami_ranges_add(&ranges, sequence, sequence), 1);
    }
    assert_int_equal(ranges.count, 1);
    assert_int_equal(ranges.total, 1000000);
    yami_ranges_check(&ranges);
    yami_ranges_clear(&ranges);
}

static void
test_one_range_more_than_the_limit_is_refused_unchanged(void **state)
{
    (void) state;
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, 2);
    assert_int_equal(yami_ranges_add(&ranges, 10, 19), 10);
    assert_int_equal(yami_ranges_add(&ranges, 30, 39), 10);
    errno = 0;
    assert_int_equal(yami_ranges_add(&ranges, 50, 50), -1);
    assert_int_equal(errno, ENOSPC);
    errno = 0;
    assert_int_equal(yami_ranges_remove(&ranges, 15, 15), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(ranges.total, 20);
    yami_ranges_check(&ranges);
    //  Filling the gap makes room.
    assert_int_equal(yami_ranges_add(&ranges, 20, 29), 10);
    assert_int_equal(yami_ranges_add(&ranges, 50, 50), 1);
    yami_ranges_check(&ranges);
    yami_ranges_clear(&ranges);
}

static void
test_memory_runs_out_and_nothing_changes(void **state)
{
    (void) state;
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, 1000);
    yami_alloc_fail_after(1);
    uint64_t sequence = 0;
    while (yami_ranges_add(&ranges, sequence, sequence) == 1) {
        sequence += 2;
    }
    assert_int_equal(errno, ENOMEM);
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    assert_int_equal(ranges.total, sequence / 2);
    yami_ranges_check(&ranges);
    assert_int_equal(yami_ranges_add(&ranges, sequence, sequence), 1);
    yami_ranges_clear(&ranges);
}

static void
test_the_ends_of_the_number_space_do_not_wrap(void **state)
{
    (void) state;
    uint64_t start;
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, 4);
    assert_int_equal(yami_ranges_gap(&ranges, 0, UINT64_MAX, &start), UINT64_MAX);
    assert_int_equal(yami_ranges_add(&ranges, 0, UINT64_MAX), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yami_ranges_add(&ranges, 0, INT64_MAX - 1), INT64_MAX);
    assert_int_equal(yami_ranges_gap(&ranges, 0, UINT64_MAX, &start), (uint64_t) INT64_MAX + 2);
    assert_int_equal(start, INT64_MAX);
    assert_int_equal(yami_ranges_remove(&ranges, 1, UINT64_MAX), INT64_MAX - 1);
    assert_int_equal(ranges.total, 1);
    yami_ranges_check(&ranges);
    yami_ranges_clear(&ranges);
    yami_ranges_clear(&ranges);
}

static void
test_an_empty_interval_holds_neither_gap_nor_run(void **state)
{
    (void) state;
    uint64_t start;
    yami_ranges_t ranges;
    yami_ranges_init(&ranges, 4);
    assert_int_equal(yami_ranges_add(&ranges, 5, 9), 5);
    assert_int_equal(yami_ranges_gap(&ranges, 4, 3, &start), 0);
    assert_int_equal(yami_ranges_run(&ranges, 7, 6, &start), 0);
    assert_int_equal(yami_ranges_gap(&ranges, 5, 9, &start), 0);
    assert_int_equal(yami_ranges_run(&ranges, 10, 20, &start), 0);
    yami_ranges_clear(&ranges);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes_agree_with_a_bitmap),
        cmocka_unit_test(test_appending_one_by_one_stays_one_range),
        cmocka_unit_test(test_one_range_more_than_the_limit_is_refused_unchanged),
        cmocka_unit_test(test_memory_runs_out_and_nothing_changes),
        cmocka_unit_test(test_the_ends_of_the_number_space_do_not_wrap),
        cmocka_unit_test(test_an_empty_interval_holds_neither_gap_nor_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
