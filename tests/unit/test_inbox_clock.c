//  yam_inbox over SQLite while the wall clock jumps: within the retention nothing is forgotten.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "yam_error.h"
#include "yam_inbox.h"

#define HOUR_S 3600

static int64_t s_wrong_s; //  what the wall clock of this program is wrong by

//  Stands before the C library's, whose header names these parameters with reserved names.
//  NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = (int) syscall(SYS_clock_gettime, clock, now);
    if (rc == 0 && clock == CLOCK_REALTIME) {
        now->tv_sec += s_wrong_s;
    }
    return rc;
}
//  NOLINTEND(readability-inconsistent-declaration-parameter-name)

static sqlite3 *s_database;
static yam_inbox_t *s_inbox;

static void
s_run(const char *text)
{
    assert_int_equal(sqlite3_exec(s_database, text, NULL, NULL, NULL), SQLITE_OK);
}

//  An inbox that remembers for three hours: longer than the clock jumps, together.
static int
s_setup(void **state)
{
    (void) state;
    s_wrong_s = 0;
    assert_int_equal(sqlite3_open(":memory:", &s_database), SQLITE_OK);
    s_inbox = yam_inbox_new(s_database, "retention=3h");
    assert_non_null(s_inbox);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_inbox_destroy(&s_inbox);
    return sqlite3_close(s_database) == SQLITE_OK ? 0 : -1;
}

//  One claim in a transaction of its own.
static int
s_claim(const char *id, const char *content)
{
    s_run("BEGIN");
    int verdict = yam_inbox_claim_id(s_inbox, id, content, strlen(content));
    s_run("COMMIT");
    return verdict;
}

static uint64_t
s_pruned(void)
{
    yam_inbox_stats_t stats;
    yam_inbox_stats(s_inbox, &stats);
    return stats.pruned;
}

static void
test_clock_that_jumps_an_hour_either_way_makes_nothing_new_again(void **state)
{
    (void) state;
    static const char *const ids[] = {"right", "ahead", "behind", "right again"};
    static const int64_t jumps[] = {0, HOUR_S, -HOUR_S, 0};
    for (size_t count = 0; count < 4; count++) {
        s_wrong_s = jumps[count];
        for (size_t index = 0; index < count; index++) {
            assert_int_equal(s_claim(ids[index], "x"), YAM_CLAIM_DUPLICATE);
            assert_int_equal(s_claim(ids[index], "y"), YAM_CLAIM_CONFLICT);
        }
        assert_int_equal(s_claim(ids[count], "x"), YAM_CLAIM_NEW);
        assert_int_equal(yam_inbox_prune(s_inbox, 100), 0);
    }
    assert_int_equal(s_pruned(), 0);
}

//  The last look for old claims lies ahead then; that is no reason not to look.
static void
test_clock_that_was_set_back_does_not_keep_claims_for_ever(void **state)
{
    (void) state;
    s_wrong_s = HOUR_S;
    assert_int_equal(s_claim("old", "x"), YAM_CLAIM_NEW); //  and nothing was there to forget
    s_run("UPDATE yam_inbox_0 SET time_ms = time_ms - 5 * 3600000");
    s_wrong_s = 0;
    assert_int_equal(s_claim("new", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_pruned(), 1);
}

//  What retention has to be longer than; so what is forgotten too early would be seen above.
static void
test_clock_that_jumps_farther_than_retention_forgets_what_is_younger(void **state)
{
    (void) state;
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_NEW);
    s_wrong_s = 4 * HOUR_S;
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_DUPLICATE); //  as long as nobody has looked
    assert_int_equal(yam_inbox_prune(s_inbox, 100), 1);
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_NEW);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_clock_that_jumps_an_hour_either_way_makes_nothing_new_again),
        CASE(test_clock_that_was_set_back_does_not_keep_claims_for_ever),
        CASE(test_clock_that_jumps_farther_than_retention_forgets_what_is_younger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
