//  yami_admin_rows: replies of a relay, sound and not.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yami_admin_rows.h"
#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_writer.h"

//  Two rows: {name: "a", n: -5, ok: true, raw: 00 01, list: [1]} and {}.
static yami_block_t *
s_sample(void)
{
    yami_writer_t writer;
    yami_writer_init(&writer, 1024);
    yami_writer_array(&writer, 2);
    yami_writer_map(&writer, 5);
    yami_writer_str(&writer, "name");
    yami_writer_str(&writer, "a");
    yami_writer_str(&writer, "n");
    yami_writer_int(&writer, -5);
    yami_writer_str(&writer, "ok");
    yami_writer_bool(&writer, true);
    yami_writer_str(&writer, "raw");
    yami_writer_bin(&writer, "\0\1", 2);
    yami_writer_str(&writer, "list");
    yami_writer_array(&writer, 1);
    yami_writer_uint(&writer, 1);
    yami_writer_map(&writer, 0);
    yami_block_t *block = yami_writer_finish(&writer);
    assert_non_null(block);
    return block;
}

static void
test_rows_are_found_by_name(void **state)
{
    (void) state;
    yami_admin_rows_t rows = {0};
    yami_block_t *block = s_sample();
    assert_int_equal(yami_admin_rows_read(&rows, yami_slice(block->data, block->size)), 0);
    assert_int_equal(rows.row_count, 2);
    assert_int_equal(rows.field_count, 5);
    assert_string_equal(yami_admin_rows_find(&rows, 0, "name")->bytes, "a");
    assert_int_equal(yami_admin_rows_find(&rows, 0, "n")->number, -5);
    assert_int_equal(yami_admin_rows_find(&rows, 0, "ok")->type, 'b');
    assert_int_equal(yami_admin_rows_find(&rows, 0, "raw")->size, 2);
    assert_int_equal(yami_admin_rows_find(&rows, 0, "list")->size, 0);
    assert_null(yami_admin_rows_find(&rows, 0, "none"));
    assert_null(yami_admin_rows_find(&rows, 1, "name"));
    assert_null(yami_admin_rows_find(&rows, 9, "name"));
    yami_admin_rows_clear(&rows);
    yami_admin_rows_clear(&rows);
    yami_block_unref(&block);
}

static void
test_no_bytes_are_no_rows(void **state)
{
    (void) state;
    yami_admin_rows_t rows = {0};
    assert_int_equal(yami_admin_rows_read(&rows, yami_slice(NULL, 0)), 0);
    assert_int_equal(rows.row_count, 0);
}

static void
test_every_truncation_and_trailing_bytes_are_refused(void **state)
{
    (void) state;
    yami_admin_rows_t rows = {0};
    yami_block_t *block = s_sample();
    for (size_t size = 1; size < block->size; size++) {
        assert_int_equal(yami_admin_rows_read(&rows, yami_slice(block->data, size)), -1);
        assert_int_equal(errno, EPROTO);
        assert_int_equal(rows.row_count, 0);
        assert_null(rows.fields);
    }
    uint8_t longer[256];
    memcpy(longer, block->data, block->size);
    longer[block->size] = 0xC0;
    assert_int_equal(yami_admin_rows_read(&rows, yami_slice(longer, block->size + 1)), -1);
    yami_block_unref(&block);
}

static void
test_random_bytes_give_rows_or_an_error(void **state)
{
    (void) state;
    yami_admin_rows_t rows = {0};
    uint8_t bytes[64];
    for (int round = 0; round < 20000; round++) {
        yami_random(bytes, sizeof bytes);
        bytes[0] = (uint8_t) (0x90 | (bytes[0] & 0x0F)); //  an array, mostly of maps
        bytes[1] = (uint8_t) (0x80 | (bytes[1] & 0x0F));
        int rc = yami_admin_rows_read(&rows, yami_slice(bytes, sizeof bytes));
        assert_true(rc == 0 || errno == EPROTO);
    }
    yami_admin_rows_clear(&rows);
}

static void
test_memory_that_runs_out_leaves_no_rows(void **state)
{
    (void) state;
    yami_admin_rows_t rows = {0};
    yami_block_t *block = s_sample();
    for (int64_t count = 0; count < 8; count++) {
        yami_alloc_fail_after(count);
        int rc = yami_admin_rows_read(&rows, yami_slice(block->data, block->size));
        int error = errno;
        yami_alloc_fail_after(-1);
        assert_int_equal(rc, -1);
        assert_int_equal(error, ENOMEM);
        assert_int_equal(rows.row_count, 0);
    }
    yami_block_unref(&block);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_found_by_name),
        cmocka_unit_test(test_no_bytes_are_no_rows),
        cmocka_unit_test(test_every_truncation_and_trailing_bytes_are_refused),
        cmocka_unit_test(test_random_bytes_give_rows_or_an_error),
        cmocka_unit_test(test_memory_that_runs_out_leaves_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
