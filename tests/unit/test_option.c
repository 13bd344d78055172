//  yami_option: what a table accepts, and how it refuses.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "yam_error.h"
#include "yami_option.h"

typedef struct {
    int64_t window;
    int64_t ttl_ms;
    int64_t interval_seconds;
    int64_t offset;
    int64_t count;
    bool is_durable;
    char name[8 + 1];
    char guard; //  behind the string: must never change
    int64_t grade;
} s_values_t;

#define AT(field) offsetof(s_values_t, field)

static const yami_option_t s_table[] = {
    {"window", YAMI_OPTION_INT, AT(window), 1, 1 << 30, "64k", "messages", NULL, "unconfirmed"},
    {"ttl", YAMI_OPTION_INT, AT(ttl_ms), 0, 86400000, "30s", "ms", NULL, "lease"},
    {"interval", YAMI_OPTION_INT, AT(interval_seconds), 0, 86400, NULL, "s", NULL, "pause"},
    {"offset", YAMI_OPTION_INT, AT(offset), INT64_MIN, INT64_MAX, "-5", NULL, NULL, "shift"},
    {"count", YAMI_OPTION_INT, AT(count), -1, INT64_MAX, "-1", "rows", NULL, "at most"},
    {"durable", YAMI_OPTION_BOOL, AT(is_durable), 0, 0, "yes", "", NULL, "keep"},
    {"name", YAMI_OPTION_STRING, AT(name), 2, 8, NULL, "", NULL, "who"},
    {"grade", YAMI_OPTION_CHOICE, AT(grade), 0, 0, "sure", "", "fast|sure|surely", "promise"},
    {0},
};

static s_values_t
s_defaults(void)
{
    s_values_t values;
    memset(&values, 0x55, sizeof values);
    yami_options_init(s_table, &values);
    return values;
}

static const char *
s_get(const s_values_t *values, const char *name)
{
    static char text[64];
    const yami_option_t *entry = yami_options_find(s_table, name, strlen(name));
    assert_non_null(entry);
    return yami_options_get(entry, values, text, sizeof text);
}

//  text is refused, nothing changes, and the sentence says each of the words.
static void
s_assert_refused(const char *name, const char *text, const char *word, const char *other_word)
{
    s_values_t values = s_defaults();
    s_values_t before = values;
    errno = 0;
    assert_int_equal(yami_options_set(s_table, &values, name, text), -1);
    assert_int_equal(errno, EINVAL);
    assert_memory_equal(&values, &before, sizeof values);
    assert_non_null(strstr(yam_error(), name));
    assert_non_null(strstr(yam_error(), word));
    assert_non_null(strstr(yam_error(), other_word));
}

static void
test_init_sets_the_default_of_every_option(void **state)
{
    (void) state;
    s_values_t values = s_defaults();
    assert_int_equal(values.window, 65536);
    assert_int_equal(values.ttl_ms, 30000);
    assert_int_equal(values.interval_seconds, 0);
    assert_int_equal(values.offset, -5);
    assert_true(values.is_durable);
    assert_string_equal(values.name, "");
    assert_int_equal(values.grade, 1);
    assert_int_equal(values.guard, 0x55);
}

static void
test_suffixes_follow_the_unit(void **state)
{
    (void) state;
    static const struct {
        const char *name;
        const char *text;
        const char *expected;
    } cases[] = {
        {"window", "3", "3"},
        {"window", "2k", "2048"},
        {"window", "1M", "1048576"},
        {"window", "2K", "2048"},
        {"window", "2KiB", "2048"},
        {"window", "1m", "1048576"},
        {"window", "1MiB", "1048576"},
        {"window", "1G", "1073741824"},
        {"window", "1g", "1073741824"},
        {"window", "1GiB", "1073741824"},
        {"ttl", "250ms", "250"},
        {"ttl", "2s", "2000"},
        {"ttl", "5m", "300000"},
        {"ttl", "24h", "86400000"},
        {"ttl", "7", "7"},
        {"interval", "90s", "90"},
        {"interval", "2m", "120"},
        {"interval", "1h", "3600"},
        {"offset", "-9223372036854775807", "-9223372036854775807"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        s_values_t values = s_defaults();
        assert_int_equal(yami_options_set(s_table, &values, cases[index].name, cases[index].text),
                         0);
        assert_string_equal(s_get(&values, cases[index].name), cases[index].expected);
    }
}

static void
test_numbers_out_of_range_are_refused_with_the_range(void **state)
{
    (void) state;
    s_assert_refused("window", "0", "1 to 1073741824", "messages");
    s_assert_refused("window", "2G", "'2G'", "1 to 1073741824");
    s_assert_refused("ttl", "25h", "'25h'", "0 to 86400000 ms");
    s_assert_refused("ttl", "-1", "'-1'", "0 to 86400000 ms");
}

static void
test_range_without_an_end_is_told_by_its_beginning(void **state)
{
    (void) state;
    s_assert_refused("count", "-3", "must be -1 or more rows (", "alone or with k");
}

static void
test_what_is_not_a_number_is_refused(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",
        "-",
        "k",
        " 5",
        "5 ",
        "+5",
        "0x10",
        "5kk",
        "5kB",
        "5kib",
        "5 k",
        "5h",
        "1.5",
        "99999999999999999999",
        "9007199254740993G",
    };
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        s_assert_refused("window", texts[index], "1 to 1073741824",
                         "alone or with k, M, G or KiB, MiB, GiB, powers of 1024");
    }
    s_assert_refused("ttl", "5k", "'5k'", "alone or with ms, s, m or h");
    s_assert_refused("interval", "5ms", "'5ms'", "alone or with s, m or h");
}

static void
test_words_for_bool(void **state)
{
    (void) state;
    static const char *const yes[] = {"true", "yes", "1", "", NULL};
    static const char *const no[] = {"false", "no", "0"};
    s_values_t values = s_defaults();
    for (size_t index = 0; index < sizeof yes / sizeof yes[0]; index++) {
        values.is_durable = false;
        assert_int_equal(yami_options_set(s_table, &values, "durable", yes[index]), 0);
        assert_string_equal(s_get(&values, "durable"), "true");
    }
    for (size_t index = 0; index < sizeof no / sizeof no[0]; index++) {
        values.is_durable = true;
        assert_int_equal(yami_options_set(s_table, &values, "durable", no[index]), 0);
        assert_string_equal(s_get(&values, "durable"), "false");
    }
    s_assert_refused("durable", "maybe", "'maybe'", "true or false");
}

static void
test_strings_are_bounded_in_bytes(void **state)
{
    (void) state;
    s_values_t values = s_defaults();
    assert_int_equal(yami_options_set(s_table, &values, "name", "12345678"), 0);
    assert_string_equal(values.name, "12345678");
    assert_int_equal(values.guard, 0x55);
    s_assert_refused("name", "123456789", "'123456789'", "2 to 8 bytes");
    s_assert_refused("name", "1", "'1'", "2 to 8 bytes");
}

static void
test_a_choice_is_one_of_its_words_and_not_a_part_of_one(void **state)
{
    (void) state;
    static const char *const words[] = {"fast", "sure", "surely"};
    s_values_t values = s_defaults();
    for (int64_t index = 0; index < 3; index++) {
        assert_int_equal(yami_options_set(s_table, &values, "grade", words[index]), 0);
        assert_int_equal(values.grade, index);
        assert_string_equal(s_get(&values, "grade"), words[index]);
    }
    s_assert_refused("grade", "sur", "'sur'", "fast|sure|surely");
    s_assert_refused("grade", "fast|sure", "'fast|sure'", "fast|sure|surely");
    s_assert_refused("grade", "", "''", "fast|sure|surely");
}

static void
test_an_unknown_option_is_refused_with_those_there_are(void **state)
{
    (void) state;
    s_assert_refused("grad", "sure", "'grad'", "window, ttl, interval");
    s_assert_refused("GRADE", "sure", "'GRADE'", "durable, name, grade)");
    assert_null(yami_options_find(s_table, "window", 3));
    assert_null(yami_options_find(s_table, "windows", 7));
}

static void
test_an_option_without_its_value_is_refused(void **state)
{
    (void) state;
    s_assert_refused("window", NULL, "needs a value", "unconfirmed");
}

static void
test_get_cuts_at_the_size_of_the_buffer(void **state)
{
    (void) state;
    char text[4];
    s_values_t values = s_defaults();
    const yami_option_t *entry = yami_options_find(s_table, "window", 6);
    assert_string_equal(yami_options_get(entry, &values, text, sizeof text), "655");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_sets_the_default_of_every_option),
        cmocka_unit_test(test_suffixes_follow_the_unit),
        cmocka_unit_test(test_numbers_out_of_range_are_refused_with_the_range),
        cmocka_unit_test(test_range_without_an_end_is_told_by_its_beginning),
        cmocka_unit_test(test_what_is_not_a_number_is_refused),
        cmocka_unit_test(test_words_for_bool),
        cmocka_unit_test(test_strings_are_bounded_in_bytes),
        cmocka_unit_test(test_a_choice_is_one_of_its_words_and_not_a_part_of_one),
        cmocka_unit_test(test_an_unknown_option_is_refused_with_those_there_are),
        cmocka_unit_test(test_an_option_without_its_value_is_refused),
        cmocka_unit_test(test_get_cuts_at_the_size_of_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
