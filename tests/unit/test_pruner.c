//  yam_pruner over SQLite: what it forgets and what not, beside claims, locks and forks.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yam_error.h"
#include "yam_inbox.h"
#include "yam_inbox_db.h"
#include "yam_pruner.h"
#include "yami_base.h"
#include "yami_monitor.h"

#define OPTIONS "shards=3&retention=1h"

static char s_path[128];
static sqlite3 *s_database;
static yam_inbox_t *s_inbox;
static yam_pruner_t *s_pruner;

static void
s_run(const char *text)
{
    char *error = NULL;
    if (sqlite3_exec(s_database, text, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", text, error);
    }
}

static int
s_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(s_path, sizeof s_path, "%s/pruner-%d.db", folder ? folder : "/tmp", getpid());
    (void) unlink(s_path);
    assert_int_equal(sqlite3_open(s_path, &s_database), SQLITE_OK);
    (void) sqlite3_busy_timeout(s_database, 60000);
    s_run("PRAGMA synchronous = OFF");
    s_inbox = yam_inbox_new(s_database, OPTIONS);
    assert_non_null(s_inbox);
    s_pruner = NULL;
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_pruner_destroy(&s_pruner);
    yam_inbox_destroy(&s_inbox);
    int code = sqlite3_close(s_database);
    (void) unlink(s_path);
    return code == SQLITE_OK ? 0 : -1;
}

static void
s_new(const char *options)
{
    s_pruner = yam_pruner_new(s_path, OPTIONS, options);
    if (s_pruner == NULL) {
        fail_msg("%s", yam_error());
    }
}

//  Claims PREFIX0 ... in one transaction: all of them must be that.
static void
s_claim(const char *prefix, int count, yam_claim_t verdict)
{
    s_run("BEGIN IMMEDIATE");
    for (int number = 0; number < count; number++) {
        char id[32];
        (void) snprintf(id, sizeof id, "%s%d", prefix, number);
        int rc = yam_inbox_claim_id(s_inbox, id, "x", 1);
        if (rc != (int) verdict) {
            fail_msg("%s: %d (%s)", id, rc, yam_error());
        }
    }
    s_run("COMMIT");
}

//  The claims of that prefix were made so much earlier.
static void
s_age(const char *prefix, int by_ms)
{
    s_run("BEGIN IMMEDIATE");
    for (int shard = 0; shard < 3; shard++) {
        char text[160];
        (void) snprintf(text, sizeof text,
                        "UPDATE yam_inbox_%d SET time_ms = time_ms - %d WHERE id LIKE '%s%%'",
                        shard, by_ms, prefix);
        s_run(text);
    }
    s_run("COMMIT");
}

static int
s_count(void)
{
    static const char query[] = "SELECT (SELECT count(*) FROM yam_inbox_0) + (SELECT count(*) FROM "
                                "yam_inbox_1) + (SELECT count(*) FROM yam_inbox_2)";
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(s_database, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static yam_pruner_stats_t
s_stats(void)
{
    yam_pruner_stats_t stats;
    yam_pruner_stats(s_pruner, &stats);
    return stats;
}

static void
s_wait_for_pruned(uint64_t count)
{
    while (s_stats().pruned < count) {
    }
}

//  Until it has looked once more, from beginning to end, and found nothing more.
static void
s_wait_for_round(void)
{
    uint64_t end = s_stats().rounds + 2;
    while (s_stats().rounds < end) {
    }
}

static void
test_old_claims_are_forgotten_while_nobody_claims(void **state)
{
    (void) state;
    s_claim("old", 2500, YAM_CLAIM_NEW);
    s_claim("young", 100, YAM_CLAIM_NEW);
    s_age("old", 3600001);
    s_age("young", 3500000);
    s_new("interval=1ms&batch=100");
    s_wait_for_pruned(2500);
    s_wait_for_round();
    assert_int_equal(s_stats().pruned, 2500);
    assert_int_equal(s_stats().troubles, 0);
    assert_int_equal(s_count(), 100);
    s_claim("young", 100, YAM_CLAIM_DUPLICATE);
    s_claim("old", 1, YAM_CLAIM_NEW);
}

static void
test_claims_that_grow_old_later_are_forgotten_later(void **state)
{
    (void) state;
    s_claim("a", 10, YAM_CLAIM_NEW);
    s_new("interval=1ms");
    s_wait_for_round();
    assert_int_equal(s_count(), 10);
    s_age("a", 3600001);
    s_wait_for_pruned(10);
    assert_int_equal(s_count(), 0);
}

static void
test_claims_go_on_beside_a_pruner_and_find_nothing_to_forget(void **state)
{
    (void) state;
    s_claim("old", 20000, YAM_CLAIM_NEW); //  these have looked for old ones, and the next need not
    s_age("old", 3600001);
    yam_inbox_stats_t before;
    yam_inbox_stats(s_inbox, &before);
    s_new("interval=1ms&batch=50");
    for (int number = 0; number < 200; number++) {
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "new%d-", number);
        s_claim(prefix, 3, YAM_CLAIM_NEW);
        s_claim(prefix, 3, YAM_CLAIM_DUPLICATE);
    }
    s_wait_for_pruned(20000);
    assert_int_equal(s_count(), 600);
    yam_inbox_stats_t after;
    yam_inbox_stats(s_inbox, &after);
    assert_int_equal(after.failed, 0);
    assert_int_equal(after.pruned, before.pruned);
}

static void
test_a_database_that_is_locked_or_broken_is_tried_again(void **state)
{
    (void) state;
    s_claim("old", 10, YAM_CLAIM_NEW);
    s_new("interval=1ms");
    s_wait_for_round();
    s_run("BEGIN EXCLUSIVE");
    uint64_t troubles = s_stats().troubles;
    while (s_stats().troubles < troubles + 2) { //  the second is of the new connection
    }
    s_run("COMMIT");
    s_run("ALTER TABLE yam_inbox_0 RENAME TO away"); //  somebody repairs something
    troubles = s_stats().troubles;
    while (s_stats().troubles < troubles + 2) {
    }
    s_run("ALTER TABLE away RENAME TO yam_inbox_0");
    s_age("old", 3600001);
    s_wait_for_pruned(10);
    assert_int_equal(s_count(), 0);
}

static void
s_refused(const char *file, const char *inbox_options, const char *options, int error,
          const char *word)
{
    errno = 0;
    yam_pruner_t *pruner = yam_pruner_new(file, inbox_options, options);
    if (pruner != NULL || errno != error || strstr(yam_error(), word) == NULL) {
        fail_msg("%s: %s", strerror(errno), yam_error());
    }
}

static void
test_what_cannot_be_pruned_is_refused_in_words(void **state)
{
    (void) state;
    s_refused(NULL, OPTIONS, NULL, EINVAL, "place");
    s_refused("", OPTIONS, NULL, EINVAL, "file");
    s_refused(":memory:", OPTIONS, NULL, EINVAL, "file");
    s_refused("/no/such/file", OPTIONS, NULL, ENOENT, "/no/such/file");
    s_refused(s_path, "shards=4&retention=1h", NULL, EINVAL, "shards=3");
    s_refused(s_path, "retention=soon", NULL, EINVAL, "retention");
    s_refused(s_path, OPTIONS, "interval=0ms", EINVAL, "interval");
    s_refused(s_path, OPTIONS, "batch=10001", EINVAL, "batch");
    s_refused(s_path, OPTIONS, "retention=1h", EINVAL, "retention");
    assert_non_null(strstr(yam_pruner_options_help(), "interval"));
}

static void
test_neither_a_backlog_nor_the_end_waits_for_the_interval_and_a_child_leaves_it_alone(void **state)
{
    (void) state;
    s_claim("old", 1000, YAM_CLAIM_NEW);
    s_age("old", 3600001);
    s_new("interval=24h&batch=100"); //  between batches it does not wait for that
    s_wait_for_pruned(1000);
    pid_t child = fork();
    if (child == 0) {
        yam_pruner_destroy(&s_pruner);
        _exit(s_pruner == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    yam_pruner_destroy(&s_pruner);
    assert_null(s_pruner);
    yam_pruner_destroy(&s_pruner);
}

//  ---- Over a database of the test's own: slow, and always with more to forget

#define BATCH_US 20000
#define BATCHES 5

static yami_monitor_t s_monitor; //  guards the rest
static int64_t s_last_end_us;
static int s_batch_count;
static int s_early_count; //  batches that began sooner after the last than that took

static void *
s_slow_open(void *connection, const yam_inbox_settings_t *settings)
{
    (void) settings;
    return connection;
}

static void
s_slow_close(void *self)
{
    (void) self;
}

static void *
s_slow_connect(const char *place)
{
    (void) place;
    return &s_monitor;
}

static int64_t
s_slow_prune(void *self, uint32_t shard, int64_t time_ms, int64_t limit)
{
    (void) self;
    (void) shard;
    (void) time_ms;
    int64_t start_us = yami_clock_mono_us();
    while (yami_clock_mono_us() - start_us < BATCH_US) {
    }
    yami_monitor_lock(&s_monitor);
    s_early_count += s_batch_count > 0 && start_us - s_last_end_us < BATCH_US;
    s_batch_count++;
    s_last_end_us = yami_clock_mono_us();
    yami_monitor_tell(&s_monitor);
    yami_monitor_unlock(&s_monitor);
    return limit;
}

static void
test_between_two_batches_the_database_is_left_alone_as_long_as_one_took(void **state)
{
    (void) state;
    static const yam_inbox_db_t db = {.open = s_slow_open,
                                      .prune = s_slow_prune,
                                      .close = s_slow_close,
                                      .connect = s_slow_connect,
                                      .disconnect = s_slow_close};
    yami_monitor_init(&s_monitor);
    s_batch_count = s_early_count = 0;
    s_pruner = yam_pruner_new_over(&db, "somewhere", NULL, "interval=1ms&batch=7");
    assert_non_null(s_pruner);
    yami_monitor_lock(&s_monitor);
    while (s_batch_count < BATCHES) {
        (void) yami_monitor_wait(&s_monitor, INT64_MAX);
    }
    yami_monitor_unlock(&s_monitor);
    yam_pruner_destroy(&s_pruner);
    assert_int_equal(s_early_count, 0);
    yami_monitor_destroy(&s_monitor);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_old_claims_are_forgotten_while_nobody_claims),
        CASE(test_claims_that_grow_old_later_are_forgotten_later),
        CASE(test_claims_go_on_beside_a_pruner_and_find_nothing_to_forget),
        CASE(test_a_database_that_is_locked_or_broken_is_tried_again),
        CASE(test_what_cannot_be_pruned_is_refused_in_words),
        CASE(test_between_two_batches_the_database_is_left_alone_as_long_as_one_took),
        CASE(test_neither_a_backlog_nor_the_end_waits_for_the_interval_and_a_child_leaves_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
