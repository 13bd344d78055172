//  Memory, error text, clocks, randomness, checksum.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_alloc_test.h"
#include "yami_base.h"

static void
test_fresh_memory_is_zero(void **state)
{
    (void) state;
    static const uint8_t zeros[256];
    uint8_t *memory = yami_alloc(sizeof zeros);
    assert_memory_equal(memory, zeros, sizeof zeros);
    yami_free(memory);
    yami_free(yami_alloc(0));
    yami_free(NULL);
}

static void
test_a_size_above_the_limit_is_refused_by_name(void **state)
{
    (void) state;
    assert_null(yami_try_alloc(1025, 1024));
    assert_int_equal(errno, EMSGSIZE);
    assert_non_null(strstr(yam_error(), "1025"));
    assert_non_null(strstr(yam_error(), "1024"));
    void *memory = yami_try_alloc(1024, 1024);
    assert_non_null(memory);
    yami_free(memory);
}

static void
test_an_impossible_size_is_enomem(void **state)
{
    (void) state;
    assert_null(yami_try_alloc(PTRDIFF_MAX, SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
}

static void
test_the_allocation_chosen_to_fail_fails(void **state)
{
    (void) state;
    yami_alloc_fail_after(1);
    void *first = yami_try_alloc(1, 1);
    assert_non_null(first);
    assert_false(yami_alloc_has_failed());
    assert_null(yami_try_alloc(1, 1));
    assert_int_equal(errno, ENOMEM);
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    void *third = yami_try_alloc(1, 1);
    assert_non_null(third);
    yami_free(first);
    yami_free(third);
}

static void
test_growing_keeps_content_and_doubles(void **state)
{
    (void) state;
    uint32_t *array = NULL;
    size_t capacity = 0;
    size_t growth_count = 0;
    for (uint32_t index = 0; index < 1000; index++) {
        size_t before = capacity;
        assert_int_equal(yami_grow(&array, &capacity, index + 1, sizeof *array, 1000), 0);
        growth_count += capacity != before;
        array[index] = index;
    }
    for (uint32_t index = 0; index < 1000; index++) {
        assert_int_equal(array[index], index);
    }
    assert_int_equal(capacity, 1000);
    assert_true(growth_count <= 9);
    yami_free(array);
}

static void
test_growing_beyond_the_limit_changes_nothing(void **state)
{
    (void) state;
    uint32_t *array = NULL;
    size_t capacity = 0;
    assert_int_equal(yami_grow(&array, &capacity, 4, sizeof *array, 4), 0);
    uint32_t *before = array;
    assert_int_equal(yami_grow(&array, &capacity, 5, sizeof *array, 4), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(yami_grow(&array, &capacity, SIZE_MAX, sizeof *array, SIZE_MAX), -1);
    assert_int_equal(errno, EMSGSIZE);
    yami_alloc_fail_after(0);
    assert_int_equal(yami_grow(&array, &capacity, 5, sizeof *array, 100), -1);
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
    assert_ptr_equal(array, before);
    assert_int_equal(capacity, 4);
    yami_free(array);
}

static void *
s_read_error(void *arg)
{
    *(bool *) arg = yam_error()[0] == '\0';
    return NULL;
}

static void
test_a_failure_is_seen_by_its_own_thread_only(void **state)
{
    (void) state;
    pthread_t thread;
    bool is_empty = false;
    assert_int_equal(yami_fail(EBUSY, "locked by process %d", 4711), -1);
    assert_int_equal(errno, EBUSY);
    assert_string_equal(yam_error(), "locked by process 4711");
    assert_int_equal(pthread_create(&thread, NULL, s_read_error, &is_empty), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(is_empty);
}

static void
test_a_failure_can_quote_the_one_before_and_is_cut(void **state)
{
    (void) state;
    char text[2000];
    (void) yami_fail(EIO, "disk full");
    (void) yami_fail(EIO, "cannot open: %s", yam_error());
    assert_string_equal(yam_error(), "cannot open: disk full");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void) yami_fail(EIO, "%s", text);
    assert_int_equal(strlen(yam_error()), 511);
}

static void
test_clocks_use_the_units_they_name(void **state)
{
    (void) state;
    int64_t ms = yami_clock_mono_ms();
    int64_t us = yami_clock_mono_us();
    assert_true(us / 1000 - ms >= 0 && us / 1000 - ms < 1000);
    assert_true(yami_clock_wall_ms() > INT64_C(1767225600000)); //  2026-01-01
    assert_true(yami_clock_wall_ms() < INT64_C(4102444800000)); //  2100-01-01
}

static void
test_random_bytes_differ(void **state)
{
    (void) state;
    uint8_t first[16] = {0};
    uint8_t second[16] = {0};
    yami_random(first, sizeof first);
    yami_random(second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
}

static void
test_strdup_gives_a_copy_of_its_own(void **state)
{
    (void) state;
    char text[] = "relay";
    char *copy = yami_strdup(text);
    text[0] = 'd';
    assert_string_equal(copy, "relay");
    yami_free(copy);
}

//  RFC 3720, appendix B.4.
static void
test_crc32c_gives_the_vectors_of_rfc_3720(void **state)
{
    (void) state;
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    uint8_t zeros[32];
    uint8_t ones[32];
    uint8_t up[32];
    uint8_t down[32];
    for (uint8_t index = 0; index < 32; index++) {
        zeros[index] = 0;
        ones[index] = 0xff;
        up[index] = index;
        down[index] = 31 - index;
    }
    assert_int_equal(yami_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(yami_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(yami_crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(yami_crc32c(0, down, 32), 0x113fdb5c);
    assert_int_equal(yami_crc32c(0, read_command, 48), 0xd9963a56);
    assert_int_equal(yami_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(yami_crc32c(0, NULL, 0), 0);
}

static void
test_crc32c_of_pieces_is_that_of_the_whole(void **state)
{
    (void) state;
    static uint8_t bytes[4099];
    for (size_t index = 0; index < sizeof bytes; index++) {
        bytes[index] = (uint8_t) (index * 31 + index / 256);
    }
    uint32_t whole = yami_crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 7) {
        uint32_t head = yami_crc32c(0, bytes, cut);
        assert_int_equal(yami_crc32c(head, bytes + cut, sizeof bytes - cut), whole);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_memory_is_zero),
        cmocka_unit_test(test_a_size_above_the_limit_is_refused_by_name),
        cmocka_unit_test(test_an_impossible_size_is_enomem),
        cmocka_unit_test(test_the_allocation_chosen_to_fail_fails),
        cmocka_unit_test(test_growing_keeps_content_and_doubles),
        cmocka_unit_test(test_growing_beyond_the_limit_changes_nothing),
        cmocka_unit_test(test_a_failure_is_seen_by_its_own_thread_only),
        cmocka_unit_test(test_a_failure_can_quote_the_one_before_and_is_cut),
        cmocka_unit_test(test_clocks_use_the_units_they_name),
        cmocka_unit_test(test_random_bytes_differ),
        cmocka_unit_test(test_strdup_gives_a_copy_of_its_own),
        cmocka_unit_test(test_crc32c_gives_the_vectors_of_rfc_3720),
        cmocka_unit_test(test_crc32c_of_pieces_is_that_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
