//  yami_block: shared bytes live exactly as long as somebody holds them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_block.h"

#define THREADS 4
#define TURNS 20000

static void
s_count_release(void *hint)
{
    (*(int *) hint)++;
}

static void
test_the_last_reference_releases_once(void **state)
{
    (void) state;
    int release_count = 0;
    yami_block_t *first = yami_block_new("abc", 3, s_count_release, &release_count);
    yami_block_t *second = yami_block_ref(first);
    assert_ptr_equal(first, second);
    yami_block_unref(&first);
    assert_null(first);
    assert_int_equal(release_count, 0);
    assert_memory_equal(second->data, "abc", 3);
    yami_block_unref(&second);
    assert_int_equal(release_count, 1);
    yami_block_unref(&second);
    assert_int_equal(release_count, 1);
    assert_null(yami_block_ref(NULL));
}

static void
test_many_references_are_taken_and_dropped_at_once(void **state)
{
    (void) state;
    int release_count = 0;
    yami_block_t *block = yami_block_new("abc", 3, s_count_release, &release_count);
    yami_block_t *message = block;
    yami_block_t *rest = block;
    yami_block_ref_many(block, 1000);
    yami_block_ref_many(block, 0);
    yami_block_unref(&message);
    yami_block_unref_many(&rest, 999);
    assert_null(rest);
    assert_int_equal(release_count, 0);
    rest = block;
    yami_block_unref_many(&rest, 0);
    assert_null(rest);
    assert_int_equal(release_count, 0);
    yami_block_unref(&block);
    assert_int_equal(release_count, 1);
    yami_block_unref_many(&block, 7);
}

static void *
s_take_and_drop(void *arg)
{
    for (int turn = 0; turn < TURNS; turn++) {
        yami_block_t *mine = yami_block_ref(arg);
        yami_block_unref(&mine);
    }
    yami_block_t *last = arg;
    yami_block_unref(&last);
    return NULL;
}

static void
test_threads_that_take_and_drop_release_once(void **state)
{
    (void) state;
    int release_count = 0;
    pthread_t threads[THREADS];
    yami_block_t *block = yami_block_new("abc", 3, s_count_release, &release_count);
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(
            pthread_create(&threads[index], NULL, s_take_and_drop, yami_block_ref(block)), 0);
    }
    yami_block_unref(&block);
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    }
    assert_int_equal(release_count, 1);
}

static void
test_allocated_bytes_can_be_filled_and_shrunk(void **state)
{
    (void) state;
    uint8_t *bytes;
    yami_block_t *block = yami_block_alloc(100, 100, &bytes);
    assert_non_null(block);
    assert_ptr_equal(block->data, bytes);
    memset(bytes, 7, 100);
    yami_block_shrink(block, 40);
    assert_int_equal(block->size, 40);
    assert_int_equal(block->data[39], 7);
    yami_block_unref(&block);
}

static void
test_a_copy_is_independent_and_may_be_empty(void **state)
{
    (void) state;
    char text[] = "letter";
    yami_block_t *block = yami_block_copy(text, 6, 6);
    text[0] = 'b';
    assert_memory_equal(block->data, "letter", 6);
    yami_block_unref(&block);
    block = yami_block_copy(NULL, 0, 6);
    assert_non_null(block);
    assert_int_equal(block->size, 0);
    yami_block_unref(&block);
}

static void
test_too_large_or_out_of_memory_gives_no_block(void **state)
{
    (void) state;
    uint8_t *bytes;
    assert_null(yami_block_alloc(101, 100, &bytes));
    assert_int_equal(errno, EMSGSIZE);
    assert_null(yami_block_alloc(SIZE_MAX, SIZE_MAX, &bytes));
    assert_int_equal(errno, EMSGSIZE);
    assert_null(yami_block_copy("abc", 3, 2));
    assert_int_equal(errno, EMSGSIZE);
    yami_alloc_fail_after(0);
    assert_null(yami_block_copy("abc", 3, 3));
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_reference_releases_once),
        cmocka_unit_test(test_many_references_are_taken_and_dropped_at_once),
        cmocka_unit_test(test_threads_that_take_and_drop_release_once),
        cmocka_unit_test(test_allocated_bytes_can_be_filled_and_shrunk),
        cmocka_unit_test(test_a_copy_is_independent_and_may_be_empty),
        cmocka_unit_test(test_too_large_or_out_of_memory_gives_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
