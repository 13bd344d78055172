//  yam_outbox over SQLite: what every outbox must do, and what a database's troubles look like.

#include "outbox/outbox_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_outbox_sqlite.h"

//  -- Syncs ---------------------------------------------------------------------------------------

static int s_sync_count;
static bool s_syncs_fail;

//  What SQLite calls.
__attribute__((visibility("default"))) int
fdatasync(int fd) //  NOLINT(readability-inconsistent-declaration-parameter-name)
{
    s_sync_count++;
    errno = EIO;
    return s_syncs_fail ? -1 : (int) syscall(SYS_fdatasync, fd);
}

//  A row has failed, and is put back in a connection that does not sync. The dispatcher's provider.
static void *
s_put_back_without_a_sync(sqlite3 *dispatcher)
{
    outbox_put_numbers("orders", 0, 1);
    void *provider = yami_outbox_sqlite.open(dispatcher, "yam_outbox");
    yam_outbox_lane_t seen = {.lane = 1};
    yam_outbox_waiting_t waiting = {.count = 0};
    yam_outbox_flight_t flight;
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 1, 1};
    assert_int_equal(yami_outbox_sqlite.take(provider, &seen, 7), 1);
    assert_int_equal(yami_outbox_sqlite.assign(provider, 1, 7, 1, 1, &waiting, &flight), 1);
    assert_int_equal(yami_outbox_sqlite.failed(provider, 1, 7, 1, 1, &failure), 1);
    outbox_run(outbox_database, "PRAGMA synchronous = OFF");
    s_sync_count = 0;
    assert_int_equal(yam_outbox_retry(outbox, 1), 1);
    assert_int_equal(s_sync_count, 0);
    return provider;
}

static void
test_row_put_back_without_a_sync_is_durable_before_it_is_sent(void **state)
{
    (void) state;
    sqlite3 *dispatcher = yami_outbox_sqlite_connect(outbox_path);
    void *provider = s_put_back_without_a_sync(dispatcher);
    yam_outbox_flight_t flight;
    assert_int_equal(yami_outbox_sqlite.flights(provider, 1, 1, &flight, 1), 1);
    assert_int_equal(flight.first, 2);
    assert_int_equal(s_sync_count, 1);
    yami_outbox_sqlite.close(provider);
    yami_outbox_sqlite.disconnect(dispatcher);
}

static void
test_row_put_back_whose_sync_has_failed_is_never_sent(void **state)
{
    (void) state;
    sqlite3 *dispatcher = yami_outbox_sqlite_connect(outbox_path);
    void *provider = s_put_back_without_a_sync(dispatcher);
    yam_outbox_flight_t flight;
    s_syncs_fail = true;
    assert_int_equal(yami_outbox_sqlite.flights(provider, 1, 1, &flight, 1), -1);
    assert_int_equal(errno, EIO);
    s_syncs_fail = false;
    assert_int_equal(yami_outbox_sqlite.flights(provider, 1, 1, &flight, 1), -1);
    assert_non_null(strstr(yam_error(), "sync"));
    yami_outbox_sqlite.close(provider);
    yami_outbox_sqlite.disconnect(dispatcher);
}

//  -- A database's troubles -----------------------------------------------------------------------

static void
test_tables_of_a_newer_version_are_refused_in_plain_words(void **state)
{
    (void) state;
    outbox_run(outbox_database, "UPDATE yam_outbox_meta SET value = 9 WHERE name = 'version'");
    assert_null(yam_outbox_new(outbox_database, NULL));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 9"));
}

static void
test_locked_database_says_so(void **state)
{
    (void) state;
    sqlite3 *other = outbox_open();
    outbox_run(other, "BEGIN IMMEDIATE");
    (void) sqlite3_busy_timeout(outbox_database, 0);
    outbox_run(outbox_database, "BEGIN");
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, EAGAIN);
    outbox_run(outbox_database, "ROLLBACK");
    outbox_run(other, "COMMIT");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    outbox_put_numbers("orders", 0, 1);
}

//  Commits what arg, a database, has open.
static void *
s_commit(void *arg)
{
    outbox_run(arg, "COMMIT");
    return NULL;
}

static void
test_busy_timeout_waits_for_another_writer_or_not_at_all(void **state)
{
    (void) state;
    pthread_t thread;
    sqlite3 *other = outbox_open();
    outbox_run(other, "BEGIN IMMEDIATE");
    assert_int_equal(yam_outbox_busy_timeout(outbox_database, 0), 0);
    outbox_run(outbox_database, "BEGIN");
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(yam_outbox_busy_timeout(outbox_database, 5), 0);
    assert_int_equal(outbox_put("orders", "x", NULL), -1); //  and not for ever
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(yam_outbox_busy_timeout(outbox_database, 60000), 0);
    assert_int_equal(pthread_create(&thread, NULL, s_commit, other), 0);
    assert_true(outbox_put("orders", "x", NULL) > 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    outbox_run(outbox_database, "COMMIT");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(yam_outbox_busy_timeout(NULL, 1), -1);
    assert_int_equal(errno, EINVAL);
}

//  Also when one row goes after the other, and with triggers that set off themselves.
static void
test_no_id_is_used_again_when_all_rows_are_gone(void **state)
{
    (void) state;
    outbox_run(outbox_database, "PRAGMA recursive_triggers = ON");
    for (int round = 1; round <= 3; round++) {
        outbox_put_numbers("orders", 0, 10);
        assert_int_equal(outbox_number("SELECT min(id) FROM yam_outbox"), 10 * round - 9);
        assert_int_equal(outbox_number("SELECT max(id) FROM yam_outbox"), 10 * round);
        outbox_run(outbox_database, round < 3 ? "DELETE FROM yam_outbox_row"
                                              : "DELETE FROM yam_outbox_row WHERE lane > 0");
        assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox"), 0);
        assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox_row"), 1);
        outbox_run(outbox_database, "PRAGMA recursive_triggers = OFF");
    }
}

static void
test_full_database_says_so_and_loses_nothing(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 10);
    outbox_run(outbox_database, "PRAGMA max_page_count = 1");
    outbox_run(outbox_database, "BEGIN");
    int64_t id = 1;
    for (int number = 0; number < 100000 && id > 0; number++) {
        id = outbox_put("orders", "and on it goes, until the last page is full", NULL);
    }
    assert_int_equal(id, -1);
    assert_int_equal(errno, ENOSPC);
    if (sqlite3_get_autocommit(outbox_database) == 0) {
        outbox_run(outbox_database, "ROLLBACK");
    }
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox"), 10);
    outbox_run(outbox_database, "PRAGMA max_page_count = 1000000");
    outbox_put_numbers("orders", 10, 1);
}

static void
test_readonly_database_says_so(void **state)
{
    (void) state;
    sqlite3 *reader;
    assert_int_equal(sqlite3_open_v2(outbox_path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    yam_outbox_t *other = yam_outbox_new(reader, NULL);
    assert_non_null(other); //  it may look
    outbox_run(reader, "BEGIN");
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_outbox_put(other, "orders", message), -1);
    assert_int_equal(errno, EROFS);
    yam_message_destroy(&message);
    outbox_run(reader, "ROLLBACK");
    yam_outbox_destroy(&other);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_CASES(OUTBOX_TEST),
        OUTBOX_TEST(test_row_put_back_without_a_sync_is_durable_before_it_is_sent),
        OUTBOX_TEST(test_row_put_back_whose_sync_has_failed_is_never_sent),
        OUTBOX_TEST(test_tables_of_a_newer_version_are_refused_in_plain_words),
        OUTBOX_TEST(test_locked_database_says_so),
        OUTBOX_TEST(test_busy_timeout_waits_for_another_writer_or_not_at_all),
        OUTBOX_TEST(test_no_id_is_used_again_when_all_rows_are_gone),
        OUTBOX_TEST(test_full_database_says_so_and_loses_nothing),
        OUTBOX_TEST(test_readonly_database_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
