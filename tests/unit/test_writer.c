//  yami_writer: what it writes the reader reads, within its limit.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "yami_alloc_test.h"
#include "yami_reader.h"
#include "yami_writer.h"

static void
test_values_come_out_as_golden_bytes(void **state)
{
    (void) state;
    static const uint8_t golden[] = {7,   2,    1,    4,    3,    2,    1,    8,    7,    6,
                                     5,   4,    3,    2,    1,    'r',  'a',  'w',  0x81, 0xa1,
                                     'k', 0x93, 0xcc, 0x80, 0xd0, 0xdf, 0xc3, 0xc4, 1,    'x'};
    yami_writer_t writer;
    yami_writer_init(&writer, 100);
    yami_writer_u8(&writer, 7);
    yami_writer_u16(&writer, 0x0102);
    yami_writer_u32(&writer, 0x01020304);
    yami_writer_u64(&writer, 0x0102030405060708);
    yami_writer_bytes(&writer, "raw", 3);
    yami_writer_map(&writer, 1);
    yami_writer_str(&writer, "k");
    yami_writer_array(&writer, 3);
    yami_writer_uint(&writer, 128);
    yami_writer_int(&writer, -33);
    yami_writer_bool(&writer, true);
    yami_writer_bin(&writer, "x", 1);
    yami_block_t *block = yami_writer_finish(&writer);
    assert_non_null(block);
    assert_int_equal(block->size, sizeof golden);
    assert_memory_equal(block->data, golden, sizeof golden);
    assert_null(writer.data);
    yami_block_unref(&block);
}

static void
test_integers_at_the_edges_read_back(void **state)
{
    (void) state;
    static const int64_t edges[] = {
        0,   127,      128,       255,       256,       65535,     65536,     -1,        -32,
        -33, INT8_MIN, INT16_MIN, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, UINT32_MAX};
    yami_writer_t writer;
    yami_writer_init(&writer, 1000);
    for (size_t index = 0; index < sizeof edges / sizeof edges[0]; index++) {
        yami_writer_int(&writer, edges[index]);
    }
    yami_writer_uint(&writer, UINT64_MAX);
    yami_block_t *block = yami_writer_finish(&writer);
    yami_reader_t reader;
    yami_reader_init(&reader, block->data, block->size);
    for (size_t index = 0; index < sizeof edges / sizeof edges[0]; index++) {
        assert_true(yami_reader_int(&reader) == edges[index]);
    }
    assert_true(yami_reader_uint(&reader) == UINT64_MAX);
    assert_int_equal(yami_reader_finish(&reader), 0);
    yami_block_unref(&block);
}

static void
test_the_limit_is_reached_but_not_passed(void **state)
{
    (void) state;
    yami_writer_t writer;
    yami_writer_init(&writer, 4);
    yami_writer_u32(&writer, 1);
    assert_int_equal(writer.failed, 0);
    yami_writer_u8(&writer, 1);
    yami_writer_bytes(&writer, NULL, 0);
    assert_int_equal(writer.size, 4);
    assert_null(yami_writer_finish(&writer));
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(writer.failed, 0);
    yami_writer_u8(&writer, 1); //  clear, so it can be used again
    yami_block_t *block = yami_writer_finish(&writer);
    assert_int_equal(block->size, 1);
    yami_block_unref(&block);
}

static void
test_text_longer_than_msgpack_can_say_is_refused(void **state)
{
    (void) state;
    yami_writer_t writer;
    yami_writer_init(&writer, 100);
    yami_writer_str_slice(&writer, "a", (size_t) UINT32_MAX + 2);
    assert_null(yami_writer_finish(&writer));
    assert_int_equal(errno, EMSGSIZE);
}

static void
test_a_failing_allocation_is_told_in_the_end(void **state)
{
    (void) state;
    yami_writer_t writer;
    yami_writer_init(&writer, 100);
    yami_alloc_fail_after(0);
    yami_writer_str(&writer, "text");
    yami_alloc_fail_after(-1);
    yami_writer_str(&writer, "more"); //  sticky
    assert_int_equal(writer.size, 0);
    assert_null(yami_writer_finish(&writer));
    assert_int_equal(errno, ENOMEM);
}

static void
test_an_empty_writer_gives_an_empty_block(void **state)
{
    (void) state;
    yami_writer_t writer;
    yami_writer_init(&writer, 100);
    yami_block_t *block = yami_writer_finish(&writer);
    assert_int_equal(block->size, 0);
    yami_block_unref(&block);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_out_as_golden_bytes),
        cmocka_unit_test(test_integers_at_the_edges_read_back),
        cmocka_unit_test(test_the_limit_is_reached_but_not_passed),
        cmocka_unit_test(test_text_longer_than_msgpack_can_say_is_refused),
        cmocka_unit_test(test_a_failing_allocation_is_told_in_the_end),
        cmocka_unit_test(test_an_empty_writer_gives_an_empty_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
