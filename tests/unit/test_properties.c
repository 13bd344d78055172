//  yami_properties: maps of optional properties; subjects, filters and names.

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
#include "yami_properties.h"

#define SLICE(literal) yami_slice(literal, sizeof(literal) - 1)

static int
s_walk(yami_slice_t encoded)
{
    yami_properties_t walk;
    yami_property_t property;
    if (yami_properties_start(&walk, encoded) == -1) {
        return -1;
    }
    int count = 0;
    int rc;
    while ((rc = yami_properties_next(&walk, &property)) == 1) {
        assert_non_null(strchr("sxib", property.type));
        count++;
    }
    return rc == 0 ? count : -1;
}

static void
test_each_kind_of_value_is_found(void **state)
{
    (void) state;
    yami_slice_t encoded = SLICE("\x84\xa1t\xa3new\xa1x\xc4\x02\x01\x02\xa1i\xff\xa1"
                                 "b\xc3");
    yami_property_t property;
    assert_true(yami_properties_find(encoded, "t", &property));
    assert_int_equal(property.type, 's');
    assert_true(yami_slice_equal(property.text, "new"));
    assert_true(yami_properties_find(encoded, "x", &property));
    assert_int_equal(property.type, 'x');
    assert_true(yami_slice_equal(property.text, "\x01\x02"));
    assert_true(yami_properties_find(encoded, "i", &property));
    assert_int_equal(property.type, 'i');
    assert_int_equal(property.number, -1);
    assert_true(yami_properties_find(encoded, "b", &property));
    assert_int_equal(property.type, 'b');
    assert_int_equal(property.number, 1);
    assert_false(yami_properties_find(encoded, "other", &property));
    assert_int_equal(s_walk(encoded), 4);
}

static void
test_the_last_of_two_equal_names_counts(void **state)
{
    (void) state;
    yami_property_t property;
    assert_true(yami_properties_find(SLICE("\x82\xa1k\x01\xa1k\x02"), "k", &property));
    assert_int_equal(property.number, 2);
}

static void
test_no_bytes_are_a_map_without_pairs(void **state)
{
    (void) state;
    assert_int_equal(s_walk(yami_slice(NULL, 0)), 0);
    assert_int_equal(s_walk(SLICE("\x80")), 0);
}

static void
test_a_malformed_map_has_no_properties(void **state)
{
    (void) state;
    static const yami_slice_t malformed[] = {
        {(const uint8_t *) "\x91\x01", 2},                         //  not a map
        {(const uint8_t *) "\x81\xa1k\x01\x01", 5},                //  trailing byte
        {(const uint8_t *) "\x81\xa1k", 3},                        //  no value
        {(const uint8_t *) "\x81\xa1k\x90", 4},                    //  a list
        {(const uint8_t *) "\x81\xa1k\xc0", 4},                    //  nil
        {(const uint8_t *) "\x81\x01\x01", 3},                     //  a name that is no text
        {(const uint8_t *) "\x81\xa1k\xcf\x80\0\0\0\0\0\0\0", 12}, //  more than an int64
        {(const uint8_t *) "\x80\x80", 2},
    };
    for (size_t index = 0; index < sizeof malformed / sizeof malformed[0]; index++) {
        yami_property_t property;
        errno = 0;
        assert_int_equal(s_walk(malformed[index]), -1);
        assert_int_equal(errno, EPROTO);
        assert_false(yami_properties_find(malformed[index], "k", &property));
    }
}

static void
test_a_failed_walk_stays_failed(void **state)
{
    (void) state;
    yami_properties_t walk;
    yami_property_t property;
    assert_int_equal(yami_properties_start(&walk, SLICE("\x82\xa1k\xc0\xa1l\x01")), 0);
    assert_int_equal(yami_properties_next(&walk, &property), -1);
    assert_int_equal(yami_properties_next(&walk, &property), -1);
}

static void
test_more_pairs_than_allowed_are_refused(void **state)
{
    (void) state;
    for (uint32_t count = YAMI_LIMIT_PROPERTY_COUNT; count <= YAMI_LIMIT_PROPERTY_COUNT + 1;
         count++) {
        yami_writer_t writer;
        yami_writer_init(&writer, 1000);
        yami_writer_map(&writer, count);
        for (uint32_t index = 0; index < count; index++) {
            yami_writer_str(&writer, "k");
            yami_writer_uint(&writer, index);
        }
        yami_block_t *block = yami_writer_finish(&writer);
        int expected = count > YAMI_LIMIT_PROPERTY_COUNT ? -1 : (int) count;
        assert_int_equal(s_walk(yami_slice(block->data, block->size)), expected);
        yami_block_unref(&block);
    }
}

static void
test_each_truncation_is_refused(void **state)
{
    (void) state;
    yami_slice_t encoded = wire_batch_samples[1].records[0].properties;
    assert_int_equal(s_walk(encoded), 4);
    for (size_t size = 1; size < encoded.size; size++) {
        assert_int_equal(s_walk(yami_slice(encoded.data, size)), -1);
    }
}

static void
test_random_and_flipped_bytes_never_crash(void **state)
{
    (void) state;
    uint64_t seed = 5;
    yami_slice_t encoded = wire_batch_samples[1].records[0].properties;
    for (int round = 0; round < 50000; round++) {
        uint8_t bytes[64];
        memcpy(bytes, encoded.data, encoded.size);
        size_t start = round % 2 == 0 ? 0 : encoded.size - 4;
        for (size_t at = start; at < encoded.size; at++) {
            bytes[at] = (uint8_t) wire_random(&seed);
        }
        int count = s_walk(yami_slice(bytes, encoded.size));
        assert_true(count >= -1 && count <= (int) YAMI_LIMIT_PROPERTY_COUNT);
    }
    for (size_t bit = 0; bit < 8 * encoded.size; bit++) {
        uint8_t bytes[64];
        memcpy(bytes, encoded.data, encoded.size);
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        s_walk(yami_slice(bytes, encoded.size));
    }
}

static void
test_subjects_match_filters_by_the_table(void **state)
{
    (void) state;
    static const struct {
        const char *subject;
        const char *filter;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a.b", "a.b", true},
        {"a.b", "a", false},
        {"a", "a.b", false},
        {"a.b", "a.*", true},
        {"a.b.c", "a.*", false},
        {"a.b.c", "a.*.c", true},
        {"a.b.c", "*.*.*", true},
        {"a.b.c", "*.*", false},
        {"a", "*", true},
        {"", "*", false},
        {"a", ">", true},
        {"a.b.c", ">", true},
        {"", ">", false},
        {"a.b.c", "a.>", true},
        {"a", "a.>", false},
        {"a.b", "a.b.>", false},
        {"a.b.c.d", "a.*.>", true},
        {"a.b", "a.*.>", false},
        {"ab", "a", false},
        {"a", "ab", false},
        {"", "", true},
        {"a.b", "", true},
        {"", "a", false},
        {"a.b", "a.B", false},
        {"abc.def", "abc.de", false},
        {"abc.def", "ab.def", false},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        bool matches = yami_subject_matches(yami_slice_text(cases[index].subject),
                                            yami_slice_text(cases[index].filter));
        if (matches != cases[index].matches) {
            fail_msg("\"%s\" and \"%s\"", cases[index].subject, cases[index].filter);
        }
    }
}

static void
test_malformed_subjects_and_filters_match_without_a_crash(void **state)
{
    (void) state;
    static const char alphabet[] = "a.*>";
    for (unsigned left = 0; left < 256; left++) {
        for (unsigned right = 0; right < 256; right++) {
            char subject[5] = {0};
            char filter[5] = {0};
            for (unsigned at = 0; at < 4; at++) {
                subject[at] = alphabet[left >> 2 * at & 3];
                filter[at] = alphabet[right >> 2 * at & 3];
            }
            bool matches = yami_subject_matches(yami_slice_text(subject), yami_slice_text(filter));
            assert_true(matches || strcmp(subject, filter) != 0);
        }
    }
}

static void
test_subjects_are_checked_by_the_table(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        int as_subject;
        int as_filter;
    } cases[] = {
        {"a", 0, 0},
        {"eu.de.orders", 0, 0},
        {"", -1, 0},
        {".", -1, -1},
        {"a.", -1, -1},
        {".a", -1, -1},
        {"a..b", -1, -1},
        {"*", -1, 0},
        {">", -1, 0},
        {"a.*.b", -1, 0},
        {"a.>", -1, 0},
        {">.a", -1, -1},
        {"a.b*", -1, -1},
        {"a.>>", -1, -1},
        {"a\n", -1, -1},
        {"a\x7f", -1, -1},
        {"\xc3\xa9", 0, 0},
        {"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16", 0, 0},
        {"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", -1, -1},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        errno = 0;
        if (yami_subject_check(cases[index].text, false) != cases[index].as_subject ||
            yami_subject_check(cases[index].text, true) != cases[index].as_filter) {
            fail_msg("\"%s\"", cases[index].text);
        }
        assert_true(cases[index].as_subject == 0 || errno == EINVAL);
    }
}

static void
test_a_subject_longer_than_the_limit_is_refused(void **state)
{
    (void) state;
    char text[YAMI_LIMIT_SUBJECT + 2] = {0};
    memset(text, 'a', YAMI_LIMIT_SUBJECT);
    assert_int_equal(yami_subject_check(text, false), 0);
    text[YAMI_LIMIT_SUBJECT] = 'a';
    assert_int_equal(yami_subject_check(text, false), -1);
    assert_int_equal(yami_subject_check_slice(SLICE("a\0b"), false), -1);
}

static void
test_names_are_checked_by_the_table(void **state)
{
    (void) state;
    char text[YAMI_LIMIT_NAME + 1];
    memset(text, 'n', sizeof text);
    assert_int_equal(yami_name_check(SLICE("aZ09.-_:/"), "channel"), 0);
    assert_int_equal(yami_name_check(yami_slice(text, YAMI_LIMIT_NAME), "channel"), 0);
    assert_int_equal(yami_name_check(yami_slice(text, YAMI_LIMIT_NAME + 1), "channel"), -1);
    assert_int_equal(yami_name_check(SLICE(""), "channel"), -1);
    assert_int_equal(yami_name_check(SLICE(".a"), "channel"), -1);
    static const char refused[] = " !\"#$%&'()*+,;<=>?@[\\]^`{|}~\t\n\x7f\x80\xff";
    for (size_t index = 0; index < sizeof refused; index++) { //  the NUL, too
        char name[2] = {'a', refused[index]};
        errno = 0;
        assert_int_equal(yami_name_check(yami_slice(name, 2), "channel"), -1);
        assert_int_equal(errno, EINVAL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_value_is_found),
        cmocka_unit_test(test_the_last_of_two_equal_names_counts),
        cmocka_unit_test(test_no_bytes_are_a_map_without_pairs),
        cmocka_unit_test(test_a_malformed_map_has_no_properties),
        cmocka_unit_test(test_a_failed_walk_stays_failed),
        cmocka_unit_test(test_more_pairs_than_allowed_are_refused),
        cmocka_unit_test(test_each_truncation_is_refused),
        cmocka_unit_test(test_random_and_flipped_bytes_never_crash),
        cmocka_unit_test(test_subjects_match_filters_by_the_table),
        cmocka_unit_test(test_malformed_subjects_and_filters_match_without_a_crash),
        cmocka_unit_test(test_subjects_are_checked_by_the_table),
        cmocka_unit_test(test_a_subject_longer_than_the_limit_is_refused),
        cmocka_unit_test(test_names_are_checked_by_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
