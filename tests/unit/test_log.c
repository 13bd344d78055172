//  yami_log: what reaches standard error, caught in a file.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_log.h"

static FILE *s_caught;
static int s_stderr_fd;
static char s_text[65536];

static int
s_catch(void **state)
{
    (void) state;
    s_caught = tmpfile();
    s_stderr_fd = dup(STDERR_FILENO);
    return s_caught && dup2(fileno(s_caught), STDERR_FILENO) != -1 ? 0 : -1;
}

static int
s_let_go(void **state)
{
    (void) state;
    (void) dup2(s_stderr_fd, STDERR_FILENO);
    (void) close(s_stderr_fd);
    yami_log_set_level(YAMI_LOG_WARN);
    return fclose(s_caught);
}

//  All that was logged so far.
static const char *
s_read(void)
{
    ssize_t size = pread(fileno(s_caught), s_text, sizeof s_text - 1, 0);
    assert_true(size >= 0);
    s_text[size] = '\0';
    return s_text;
}

static size_t
s_count_lines(void)
{
    size_t count = 0;
    for (const char *cursor = s_read(); *cursor; cursor++) {
        count += *cursor == '\n';
    }
    return count;
}

static void
test_a_line_has_time_level_event_and_values(void **state)
{
    (void) state;
    yami_log(YAMI_LOG_WARN, "store.sync-failed", "path=%s error=%d", "/x", 5);
    (void) s_read();
    for (size_t at = 0; at < strlen("2026-01-31T12:00:00.123Z"); at++) {
        if (s_text[at] >= '0' && s_text[at] <= '9') {
            s_text[at] = '0';
        }
    }
    assert_string_equal(s_text,
                        "0000-00-00T00:00:00.000Z warn store.sync-failed path=/x error=5\n");
}

static void
test_lines_above_the_level_are_dropped(void **state)
{
    (void) state;
    yami_log(YAMI_LOG_INFO, "a", "x=1");
    assert_int_equal(s_count_lines(), 0);
    yami_log_set_level(YAMI_LOG_DEBUG);
    yami_log(YAMI_LOG_DEBUG, "a", "x=1");
    assert_int_equal(s_count_lines(), 1);
    yami_log_set_level(YAMI_LOG_ERROR);
    yami_log(YAMI_LOG_WARN, "a", "x=1");
    assert_int_equal(s_count_lines(), 1);
}

static void
test_control_characters_cannot_forge_a_line(void **state)
{
    (void) state;
    yami_log(YAMI_LOG_ERROR, "peer.hello", "name=%s", "a\n2026 error forged\x1b[2J\x7f\t");
    assert_int_equal(s_count_lines(), 1);
    assert_non_null(strstr(s_text, "name=a\\x0a2026 error forged\\x1b[2J\\x7f\\x09\n"));
}

static void
test_an_overlong_line_is_cut_and_still_one_line(void **state)
{
    (void) state;
    char name[8000];
    memset(name, '\x01', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    yami_log_site_t site = {.window_ms = yami_clock_mono_ms() - 2000, .suppressed = UINT64_MAX};
    yami_log_limited(&site, YAMI_LOG_ERROR, "peer.hello", "name=%s", name);
    assert_int_equal(s_count_lines(), 1);
    assert_true(strlen(s_text) <= 2048);
    assert_non_null(strstr(s_text, " suppressed=18446744073709551615\n"));
}

//  A window that starts in the future cannot end while the test runs.
static void
test_a_call_site_prints_ten_lines_in_a_window_and_counts_the_rest(void **state)
{
    (void) state;
    yami_log_site_t site = {.window_ms = yami_clock_mono_ms() + 3600000};
    for (int line = 0; line < 25; line++) {
        yami_log_limited(&site, YAMI_LOG_WARN, "peer.bad-frame", "line=%d", line);
    }
    assert_int_equal(s_count_lines(), 10);
    assert_int_equal(site.suppressed, 15);

    site.window_ms = yami_clock_mono_ms() - 1000;
    yami_log_limited(&site, YAMI_LOG_WARN, "peer.bad-frame", "line=%d", 25);
    assert_int_equal(s_count_lines(), 11);
    assert_non_null(strstr(s_text, "line=25 suppressed=15\n"));
    yami_log_limited(&site, YAMI_LOG_WARN, "peer.bad-frame", "line=%d", 26);
    assert_non_null(strstr(s_read(), "line=26\n"));
}

static void
test_lines_nobody_wants_do_not_use_up_the_window(void **state)
{
    (void) state;
    yami_log_site_t site = {0};
    yami_log_limited(&site, YAMI_LOG_DEBUG, "a", "x=1");
    assert_int_equal(site.count, 0);
    assert_int_equal(site.suppressed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_catch, s_let_go)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_line_has_time_level_event_and_values),
        TEST(test_lines_above_the_level_are_dropped),
        TEST(test_control_characters_cannot_forge_a_line),
        TEST(test_an_overlong_line_is_cut_and_still_one_line),
        TEST(test_a_call_site_prints_ten_lines_in_a_window_and_counts_the_rest),
        TEST(test_lines_nobody_wants_do_not_use_up_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
