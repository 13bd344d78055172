//  yami_arguments: command lines over a table.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_arguments.h"

typedef struct {
    int64_t count;
    bool is_json;
    char file[32 + 1];
} s_values_t;

static const yami_option_t s_table[] = {
    {"count", YAMI_OPTION_INT, offsetof(s_values_t, count), 0, 100, "7", "messages", NULL,
     "how many"},
    {"json", YAMI_OPTION_BOOL, offsetof(s_values_t, is_json), 0, 0, "false", "", NULL, "as JSON"},
    {"file", YAMI_OPTION_STRING, offsetof(s_values_t, file), 0, 32, "", "", "FILE", "from where"},
    {0},
};
static const yami_arguments_t s_arguments = {s_table, "n=count f=file"};

static s_values_t s_values;
static bool s_given[YAMI_ARGUMENTS_LIMIT];
static char *s_line[9]; //  argv; reordered by parse

//  Parses up to seven arguments; NULL ends them.
static int
s_parse(const char *const arguments[7])
{
    int count = 1;
    s_line[0] = (char *) "program";
    for (; count < 8 && arguments[count - 1]; count++) {
        s_line[count] = (char *) arguments[count - 1];
    }
    s_line[count] = NULL;
    memset(s_given, 0, sizeof s_given);
    yami_options_init(s_table, &s_values);
    return yami_arguments_parse(&s_arguments, &s_values, s_given, count, s_line);
}

#define PARSE(...) s_parse((const char *const[7]) {__VA_ARGS__})

static void
test_no_options_leave_the_defaults(void **state)
{
    (void) state;
    assert_int_equal(PARSE("a", "b"), 1);
    assert_int_equal(s_values.count, 7);
    assert_false(s_given[0] || s_given[1] || s_given[2]);
}

static void
test_letters_and_names_mean_the_same(void **state)
{
    (void) state;
    assert_int_equal(PARSE("-n5", "-f", "x", "--json"), 5);
    assert_int_equal(s_values.count, 5);
    assert_string_equal(s_values.file, "x");
    assert_true(s_values.is_json && s_given[0] && s_given[1] && s_given[2]);
    assert_int_equal(PARSE("--count=6", "--file", "y"), 4);
    assert_int_equal(s_values.count, 6);
    assert_string_equal(s_values.file, "y");
}

static void
test_options_may_follow_operands(void **state)
{
    (void) state;
    int first = PARSE("queue", "--count", "9");
    assert_int_equal(first, 3);
    assert_string_equal(s_line[first], "queue");
    assert_int_equal(s_values.count, 9);
}

static void
test_two_dashes_end_the_options(void **state)
{
    (void) state;
    int first = PARSE("--", "--count");
    assert_string_equal(s_line[first], "--count");
}

static void
s_assert_refused(int rc, const char *word)
{
    assert_int_equal(rc, -1);
    assert_int_equal(errno, EINVAL);
    if (!strstr(yam_error(), word)) {
        fail_msg("'%s' is not in '%s'", word, yam_error());
    }
}

static void
test_what_is_wrong_is_named(void **state)
{
    (void) state;
    s_assert_refused(PARSE("--cuont", "5"), "did you mean '--count'?");
    s_assert_refused(PARSE("operand", "--fiel=x"), "did you mean '--file'?");
    s_assert_refused(PARSE("--quite-another"), "'--quite-another' (see --help)");
    s_assert_refused(PARSE("-x"), "'-x'");
    s_assert_refused(PARSE("a", "b", "-x"), "'-x'");
    s_assert_refused(PARSE("-n"), "'-n' needs a value");
    s_assert_refused(PARSE("--file"), "'--file' needs a value");
    s_assert_refused(PARSE("--json=yes"), "'--json' takes no value");
    s_assert_refused(PARSE("--count", "101"), "0 to 100");
    s_assert_refused(PARSE("--count", "5", "--count", "x"), "'x'");
}

static void
test_help_shows_letter_argument_meaning_and_default(void **state)
{
    (void) state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    yami_arguments_help(&s_arguments, out);
    (void) fclose(out);
    assert_non_null(strstr(text, "  -n, --count=N               how many [7]\n"));
    assert_non_null(strstr(text, "      --json                  as JSON\n"));
    assert_non_null(strstr(text, "  -f, --file=FILE             from where\n"));
    free(text);
}

static const char *
s_next_word(const void *arg, size_t index)
{
    return ((const char *const *) arg)[index];
}

static void
test_nearest_word_is_near_or_none(void **state)
{
    (void) state;
    static const char *const words[] = {"push", "pull", "pub", "redrive", NULL};
    char longest[5000];
    assert_string_equal(yami_nearest("psuh", s_next_word, words), "push");
    assert_string_equal(yami_nearest("redirve", s_next_word, words), "redrive");
    assert_null(yami_nearest("telescope", s_next_word, words));
    assert_null(yami_nearest("", s_next_word, words));
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    (void) yami_nearest(longest, s_next_word, words); //  bounded, whatever it says
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_options_leave_the_defaults),
        cmocka_unit_test(test_letters_and_names_mean_the_same),
        cmocka_unit_test(test_options_may_follow_operands),
        cmocka_unit_test(test_two_dashes_end_the_options),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_help_shows_letter_argument_meaning_and_default),
        cmocka_unit_test(test_nearest_word_is_near_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
