//  yami_heap against sorting.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "yami_alloc_test.h"
#include "yami_heap.h"

#define COUNT 2000

static int
s_compare(const void *left, const void *right)
{
    const yami_heap_item_t *a = left;
    const yami_heap_item_t *b = right;
    if (a->when != b->when) {
        return a->when < b->when ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static void
test_random_items_come_out_sorted(void **state)
{
    (void) state;
    yami_heap_item_t expected[COUNT];
    yami_heap_item_t item;
    yami_heap_t heap;
    uint32_t seed = 1;
    yami_heap_init(&heap, COUNT);
    for (uint64_t id = 0; id < COUNT; id++) {
        seed = seed * 1664525 + 1013904223;
        expected[id] = (yami_heap_item_t) {.when = (int64_t) (seed >> 23) - 256, .id = id};
        assert_int_equal(yami_heap_push(&heap, expected[id].when, id), 0);
        yami_heap_check(&heap);
    }
    qsort(expected, COUNT, sizeof expected[0], s_compare);
    for (size_t index = 0; index < COUNT; index++) {
        assert_memory_equal(yami_heap_peek(&heap), &expected[index], sizeof item);
        assert_true(yami_heap_pop_due(&heap, INT64_MAX, &item));
        assert_memory_equal(&item, &expected[index], sizeof item);
        yami_heap_check(&heap);
    }
    assert_null(yami_heap_peek(&heap));
    yami_heap_clear(&heap);
}

static void
test_an_item_is_due_at_its_time_and_not_before(void **state)
{
    (void) state;
    yami_heap_item_t item = {.id = 99};
    yami_heap_t heap;
    yami_heap_init(&heap, 4);
    assert_false(yami_heap_pop_due(&heap, INT64_MAX, &item));
    assert_int_equal(yami_heap_push(&heap, 1000, 7), 0);
    assert_false(yami_heap_pop_due(&heap, 999, &item));
    assert_int_equal(item.id, 99);
    assert_true(yami_heap_pop_due(&heap, 1000, &item));
    assert_int_equal(item.id, 7);
    assert_false(yami_heap_pop_due(&heap, 1000, &item));
    yami_heap_clear(&heap);
}

static void
test_a_full_heap_refuses_and_keeps_what_it_has(void **state)
{
    (void) state;
    yami_heap_item_t item;
    yami_heap_t heap;
    yami_heap_init(&heap, 2);
    assert_int_equal(yami_heap_push(&heap, 2, 2), 0);
    assert_int_equal(yami_heap_push(&heap, 1, 1), 0);
    assert_int_equal(yami_heap_push(&heap, 0, 0), -1);
    assert_int_equal(errno, ENOSPC);
    assert_true(yami_heap_pop_due(&heap, 9, &item));
    assert_int_equal(item.id, 1);
    yami_heap_clear(&heap);
    yami_heap_clear(&heap);
}

static void
test_memory_runs_out_and_nothing_changes(void **state)
{
    (void) state;
    yami_heap_t heap;
    yami_heap_init(&heap, 100);
    yami_alloc_fail_after(0);
    assert_int_equal(yami_heap_push(&heap, 1, 1), -1);
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
    assert_int_equal(heap.count, 0);
    yami_heap_check(&heap);
    assert_int_equal(yami_heap_push(&heap, 1, 1), 0);
    yami_heap_clear(&heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_items_come_out_sorted),
        cmocka_unit_test(test_an_item_is_due_at_its_time_and_not_before),
        cmocka_unit_test(test_a_full_heap_refuses_and_keeps_what_it_has),
        cmocka_unit_test(test_memory_runs_out_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
