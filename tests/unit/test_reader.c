//  yami_reader: fixed-width integers and msgpack, from bytes nobody has checked.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "wire_samples.h"
#include "yami_limits.h"
#include "yami_reader.h"

#define READER(reader, ...)                                                                        \
    yami_reader_t reader;                                                                          \
    const uint8_t bytes_of_##reader[] = {__VA_ARGS__};                                             \
    yami_reader_init(&reader, bytes_of_##reader, sizeof bytes_of_##reader)

static void
test_fixed_width_integers_are_little_endian(void **state)
{
    (void) state;
    READER(reader, 1, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1);
    assert_int_equal(yami_reader_u8(&reader), 1);
    assert_int_equal(yami_reader_u16(&reader), 0x0102);
    assert_int_equal(yami_reader_u32(&reader), 0x01020304);
    assert_int_equal(yami_reader_u64(&reader), 0x0102030405060708);
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_a_read_past_the_end_fails_for_good(void **state)
{
    (void) state;
    READER(reader, 1, 2, 3);
    assert_int_equal(yami_reader_u32(&reader), 0);
    assert_int_equal(yami_reader_u8(&reader), 0);
    assert_int_equal(yami_reader_left(&reader), 0);
    assert_int_equal(yami_reader_peek(&reader), 0);
    assert_null(yami_reader_bytes(&reader, 1).data);
    errno = 0;
    assert_int_equal(yami_reader_finish(&reader), -1);
    assert_int_equal(errno, EPROTO);
}

static void
test_trailing_bytes_are_an_error(void **state)
{
    (void) state;
    READER(reader, 1, 2);
    yami_reader_u8(&reader);
    assert_int_equal(yami_reader_finish(&reader), -1);
    yami_reader_u8(&reader);
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_integers_of_each_width_are_read(void **state)
{
    (void) state;
    READER(reader, 0x7f, 0xcc, 0xff, 0xcd, 1, 2, 0xce, 1, 2, 3, 4, 0xcf, 0xff, 0xff, 0xff, 0xff,
           0xff, 0xff, 0xff, 0xff, 0xd0, 5, 0xd1, 0, 6, 0xd3, 0, 0, 0, 0, 0, 0, 0, 7);
    static const uint64_t expected[] = {127, 255, 0x0102, 0x01020304, UINT64_MAX, 5, 6, 7};
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++) {
        assert_int_equal(yami_reader_peek(&reader), 'i');
        assert_true(yami_reader_uint(&reader) == expected[index]);
    }
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_signed_integers_of_each_width_are_read(void **state)
{
    (void) state;
    READER(reader, 0xff, 0xe0, 0xd0, 0x80, 0xd1, 0x80, 0, 0xd2, 0x80, 0, 0, 0, 0xd3, 0x80, 0, 0, 0,
           0, 0, 0, 0, 0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    static const int64_t expected[] = {-1,        -32,       INT8_MIN, INT16_MIN,
                                       INT32_MIN, INT64_MIN, INT64_MAX};
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++) {
        assert_true(yami_reader_int(&reader) == expected[index]);
    }
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_an_integer_out_of_its_type_fails(void **state)
{
    (void) state;
    READER(negative, 0xff);
    assert_int_equal(yami_reader_uint(&negative), 0);
    assert_true(negative.failed);
    READER(huge, 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(yami_reader_int(&huge), 0);
    assert_true(huge.failed);
}

static void
test_text_and_bytes_of_each_width_are_read(void **state)
{
    (void) state;
    READER(reader, 0xa1, 'a', 0xd9, 1, 'b', 0xda, 0, 1, 'c', 0xdb, 0, 0, 0, 1, 'd', 0xc4, 1, 'e',
           0xc5, 0, 1, 'f', 0xc6, 0, 0, 0, 1, 'g', 0xa0);
    for (int expected = 'a'; expected <= 'g'; expected++) {
        yami_slice_t slice = yami_reader_text(&reader);
        assert_int_equal(slice.size, 1);
        assert_int_equal(slice.data[0], expected);
    }
    assert_int_equal(yami_reader_str(&reader).size, 0);
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_a_wrong_type_fails(void **state)
{
    (void) state;
    READER(text, 0xa1, 'a');
    yami_reader_bin(&text);
    assert_true(text.failed);
    READER(bytes, 0xc4, 1, 'a');
    yami_reader_str(&bytes);
    assert_true(bytes.failed);
    READER(number, 1);
    assert_false(yami_reader_bool(&number));
    assert_true(number.failed);
    READER(list, 0x90);
    yami_reader_map(&list);
    assert_true(list.failed);
    READER(truth, 0xc3, 0xc2);
    assert_true(yami_reader_bool(&truth));
    assert_false(yami_reader_bool(&truth));
    assert_int_equal(yami_reader_finish(&truth), 0);
}

static void
test_a_count_larger_than_the_bytes_left_is_not_believed(void **state)
{
    (void) state;
    READER(array, 0xdd, 0x08, 0, 0, 0);
    assert_int_equal(yami_reader_array(&array), 0);
    assert_true(array.failed);
    READER(map, 0x82, 1, 2, 3);
    assert_int_equal(yami_reader_map(&map), 0);
    assert_true(map.failed);
    READER(just, 0x82, 1, 2, 3, 4);
    assert_int_equal(yami_reader_map(&just), 2);
    READER(text, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a');
    assert_null(yami_reader_str(&text).data);
    assert_true(text.failed);
}

static void
test_peek_names_each_first_byte(void **state)
{
    (void) state;
    static const char expected[] = "n"
                                   "\0"
                                   "bbxxxeeeffiiiiiiiieeeeesssaamm";
    for (unsigned first = 0; first < 256; first++) {
        yami_reader_t reader;
        uint8_t byte = (uint8_t) first;
        yami_reader_init(&reader, &byte, 1);
        char type = first < 0x80   ? 'i'
                    : first < 0x90 ? 'm'
                    : first < 0xa0 ? 'a'
                    : first < 0xc0 ? 's'
                    : first < 0xe0 ? expected[first - 0xc0]
                                   : 'i';
        assert_int_equal(yami_reader_peek(&reader), type);
        assert_int_equal(reader.position, 0);
    }
}

static void
test_skip_passes_over_one_value_of_each_kind(void **state)
{
    (void) state;
    READER(reader, 0x82, 0xa1, 'k', 0x93, 1, 0xc0, 0xc3, 0x01, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8, //
           0xd8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,                   //
           0xc7, 2, 1, 1, 2,                                                                 //
           0xca, 1, 2, 3, 4,                                                                 //
           0xdc, 0, 1, 0x80, 42);
    for (int index = 0; index < 5; index++) {
        yami_reader_skip(&reader);
    }
    assert_int_equal(yami_reader_uint(&reader), 42);
    assert_int_equal(yami_reader_finish(&reader), 0);
}

static void
test_skip_goes_as_deep_as_the_limit(void **state)
{
    (void) state;
    uint8_t nested[YAMI_LIMIT_DEPTH + 2];
    memset(nested, 0x91, sizeof nested);
    nested[YAMI_LIMIT_DEPTH] = 1;
    yami_reader_t reader;
    yami_reader_init(&reader, nested, YAMI_LIMIT_DEPTH + 1);
    yami_reader_skip(&reader);
    assert_int_equal(yami_reader_finish(&reader), 0);
    nested[YAMI_LIMIT_DEPTH] = 0x91;
    nested[YAMI_LIMIT_DEPTH + 1] = 1;
    yami_reader_init(&reader, nested, sizeof nested);
    yami_reader_skip(&reader);
    assert_true(reader.failed);
}

static void
test_a_byte_msgpack_never_uses_fails(void **state)
{
    (void) state;
    READER(reader, 0xc1, 1);
    yami_reader_skip(&reader);
    assert_true(reader.failed);
}

static void
test_each_truncation_of_a_value_fails(void **state)
{
    (void) state;
    static const uint8_t value[] = {0x82, 0xa1, 'k', 0xcd, 1, 2, 0xc4, 2, 1, 2, 0x92, 0xd2, 1,
                                    2,    3,    4,   0xcb, 1, 2, 3,    4, 5, 6, 7,    8};
    for (size_t size = 0; size <= sizeof value; size++) {
        yami_reader_t reader;
        yami_reader_init(&reader, value, size);
        yami_reader_skip(&reader);
        assert_int_equal(yami_reader_finish(&reader), size == sizeof value ? 0 : -1);
    }
}

static void
test_random_bytes_never_move_the_position_past_the_end(void **state)
{
    (void) state;
    uint64_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        for (size_t index = 0; index < sizeof bytes; index++) {
            bytes[index] = (uint8_t) wire_random(&seed);
        }
        yami_reader_t reader;
        yami_reader_init(&reader, bytes, wire_random(&seed) % sizeof bytes);
        while (yami_reader_left(&reader) > 0) {
            size_t before = reader.position;
            yami_reader_skip(&reader);
            assert_true(reader.failed || reader.position > before);
            assert_true(reader.position <= reader.size);
        }
    }
}

static void
test_slices_compare_with_text(void **state)
{
    (void) state;
    assert_true(yami_slice_equal(yami_slice_text("abc"), "abc"));
    assert_false(yami_slice_equal(yami_slice("abc", 2), "abc"));
    assert_false(yami_slice_equal(yami_slice_text("abd"), "abc"));
    assert_true(yami_slice_equal(yami_slice(NULL, 0), ""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_width_integers_are_little_endian),
        cmocka_unit_test(test_a_read_past_the_end_fails_for_good),
        cmocka_unit_test(test_trailing_bytes_are_an_error),
        cmocka_unit_test(test_integers_of_each_width_are_read),
        cmocka_unit_test(test_signed_integers_of_each_width_are_read),
        cmocka_unit_test(test_an_integer_out_of_its_type_fails),
        cmocka_unit_test(test_text_and_bytes_of_each_width_are_read),
        cmocka_unit_test(test_a_wrong_type_fails),
        cmocka_unit_test(test_a_count_larger_than_the_bytes_left_is_not_believed),
        cmocka_unit_test(test_peek_names_each_first_byte),
        cmocka_unit_test(test_skip_passes_over_one_value_of_each_kind),
        cmocka_unit_test(test_skip_goes_as_deep_as_the_limit),
        cmocka_unit_test(test_a_byte_msgpack_never_uses_fails),
        cmocka_unit_test(test_each_truncation_of_a_value_fails),
        cmocka_unit_test(test_random_bytes_never_move_the_position_past_the_end),
        cmocka_unit_test(test_slices_compare_with_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
