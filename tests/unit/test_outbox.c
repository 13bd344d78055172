//  yam_outbox over SQLite: what every outbox must do, and what a database's troubles look like.

#include "outbox/outbox_fixture.h"

#include <errno.h>
#include <string.h>

#include "yam_error.h"

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
        OUTBOX_TEST(test_tables_of_a_newer_version_are_refused_in_plain_words),
        OUTBOX_TEST(test_locked_database_says_so),
        OUTBOX_TEST(test_full_database_says_so_and_loses_nothing),
        OUTBOX_TEST(test_readonly_database_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
