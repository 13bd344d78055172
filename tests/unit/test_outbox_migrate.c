//  yam_outbox over SQLite: tables of an older version become those of today's, and lose nothing.

#include "outbox/outbox_fixture.h"
#include "wrapper_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_outbox_sqlite.h"

#define S_OPTIONS "prefix=old"

//  Version 1, as it was.
static const char s_tables[] =
    "CREATE TABLE old_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO old_meta VALUES ('version', 1), ('producer-1', 4711), ('producer-2', 4712);"
    "CREATE TABLE old (id INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, state INTEGER "
    "NOT NULL, time_ms INTEGER NOT NULL, record BLOB NOT NULL);"
    "CREATE INDEX old_sending ON old (lane) WHERE state = 0;"
    "CREATE TABLE old_lane (lane INTEGER PRIMARY KEY, kind INTEGER NOT NULL, channel TEXT NOT "
    "NULL, epoch INTEGER NOT NULL, next INTEGER NOT NULL, assigned INTEGER NOT NULL, owner INTEGER "
    "NOT NULL, beat INTEGER NOT NULL, UNIQUE (kind, channel));"
    "CREATE TABLE old_flight (lane INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT "
    "NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, tries TEXT NOT NULL, PRIMARY KEY "
    "(lane, first)) WITHOUT ROWID;"
    "CREATE TABLE old_failed (id INTEGER PRIMARY KEY, status INTEGER NOT NULL, time_ms INTEGER NOT "
    "NULL, tries TEXT NOT NULL, reason TEXT NOT NULL);";

//  The rows of a life. "orders" has delivered 1 and 3, put 2 back after it had failed, and has a
//  flight from 4 to 9, tried once, in which 6 was cancelled (its reason is pruned) and 7 failed. A
//  copy that was put back has left 14 delivered behind what is assigned; 12 was cancelled. 16 and
//  18 are of "bills", and the last id that was given is gone.
static const char s_rows[] =
    "INSERT INTO old SELECT id, 1, 0, time_ms, record FROM yam_outbox_row WHERE id <= 18;"
    "UPDATE old SET state = 1 WHERE id IN (1, 3, 14);"
    "UPDATE old SET state = 3 WHERE id IN (6, 12);"
    "UPDATE old SET state = 2 WHERE id = 7;"
    "UPDATE old SET lane = 2 WHERE id IN (16, 18);"
    "UPDATE sqlite_sequence SET seq = 30 WHERE name = 'old';"
    "INSERT INTO old_lane VALUES (1, 1, 'orders', 1, 9, 9, 0, 0), (2, 1, 'bills', 1, 1, 0, 0, 0);"
    "INSERT INTO old_flight VALUES (1, 4, 4, 4, 9, ' 77'), (1, 8, 1, 2, 2, '');"
    "INSERT INTO old_failed VALUES (7, 15, 88, ' 66 77', 'late'), (12, 0, 99, '', 'cancelled');"
    "CREATE VIEW unsound AS SELECT * FROM nowhere;"; //  of the application

static void
s_make_version_1(void)
{
    outbox_put_numbers("orders", 1, 18);
    outbox_run(outbox_database, s_tables);
    outbox_run(outbox_database, s_rows);
    outbox_run(outbox_database, "CREATE TABLE before AS SELECT id, lane, state, time_ms, record "
                                "FROM old");
}

//  The outbox over the migrated tables.
static yam_outbox_t *
s_migrate(void)
{
    yam_outbox_t *old = yam_outbox_new(outbox_database, S_OPTIONS);
    if (old == NULL) {
        fail_msg("%s", yam_error());
    }
    assert_int_equal(outbox_number("SELECT value FROM old_meta WHERE name = 'version'"), 2);
    return old;
}

static void
test_rows_of_version_1_keep_their_states_tries_and_reasons(void **state)
{
    (void) state;
    s_make_version_1();
    yam_outbox_t *old = s_migrate();
    assert_int_equal(outbox_number("SELECT count(*) FROM before JOIN old USING (id, lane, state, "
                                   "time_ms, record)"),
                     18);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE id = 7 AND status = 15 AND "
                                   "reason = 'late' AND tries = ' 66 77' AND end_ms = 88"),
                     1);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE state = 3 AND reason = "
                                   "'cancelled'"),
                     2);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE id BETWEEN 4 AND 9 AND state = "
                                   "0 AND tries = ' 77'"),
                     4);
    assert_int_equal(outbox_number("SELECT value FROM old_meta WHERE name = 'producer-2'"), 4712);
    yam_outbox_destroy(&old);
}

static void
test_flights_of_version_1_keep_the_sequences_of_their_rows(void **state)
{
    (void) state;
    s_make_version_1();
    yam_outbox_t *old = s_migrate();
    static const int64_t sequences[][2] = {{4, 4}, {5, 5}, {8, 6}, {9, 7}, {2, 8}};
    char query[96];
    for (size_t index = 0; index < sizeof sequences / sizeof *sequences; index++) {
        (void) snprintf(query, sizeof query, "SELECT sequence FROM old WHERE id = %lld",
                        (long long) sequences[index][0]);
        assert_int_equal(outbox_number(query), sequences[index][1]);
    }
    //  Those before the row that had been delivered behind them have got theirs.
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE sequence = id - 1 AND id IN "
                                   "(10, 11)"),
                     2);
    assert_int_equal(outbox_number("SELECT sequence FROM old WHERE id = 13"), 11);
    assert_int_equal(outbox_number("SELECT next FROM old_lane WHERE lane = 1"), 12);
    assert_int_equal(outbox_number("SELECT count(*) FROM old_flight"), 5);
    yam_outbox_destroy(&old);
}

static void
test_an_id_that_version_1_gave_is_never_used_again(void **state)
{
    (void) state;
    s_make_version_1();
    yam_outbox_t *old = s_migrate();
    outbox_run(outbox_database, "BEGIN");
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_outbox_put(old, "orders", message), 31);
    yam_message_destroy(&message);
    outbox_run(outbox_database, "COMMIT");
    yam_outbox_destroy(&old);
}

static void
test_migration_that_fails_leaves_version_1(void **state)
{
    (void) state;
    s_make_version_1();
    outbox_run(outbox_database, "CREATE TABLE old_row (x)"); //  in the way
    assert_null(yam_outbox_new(outbox_database, S_OPTIONS));
    assert_int_equal(outbox_number("SELECT value FROM old_meta WHERE name = 'version'"), 1);
    assert_int_equal(outbox_number("SELECT count(*) FROM before JOIN old USING (id, lane, state, "
                                   "time_ms, record)"),
                     18);
    assert_int_equal(outbox_number("SELECT count(*) FROM old_flight"), 2);
}

//  -- Dispatched ----------------------------------------------------------------------------------

//  Owned; closed with the test.
static yam_pull_t *s_pull;
static yam_dispatcher_t *s_dispatcher;

static int
s_setup(void **state)
{
    return outbox_setup(state) == -1 || wrapper_setup(state) == -1 ? -1 : 0;
}

static int
s_teardown(void **state)
{
    yam_dispatcher_destroy(&s_dispatcher);
    yam_pull_destroy(&s_pull);
    return wrapper_teardown(state) == -1 || outbox_teardown(state) == -1 ? -1 : 0;
}

static void
test_rows_of_version_1_are_delivered_once_and_in_order(void **state)
{
    (void) state;
    static const int bodies[] = {4, 5, 8, 9, 2, 10, 11, 13, 15, 17, 19};
    const char *endpoint = "@tcp://127.0.0.1:*?relay=memory";
    s_make_version_1();
    s_pull = wrapper_pull(endpoint);
    s_dispatcher = yam_dispatcher_new(wrapper_yam, outbox_path, endpoint, S_OPTIONS);
    assert_non_null(s_dispatcher);
    assert_int_equal(yam_dispatcher_flush(s_dispatcher, PATIENCE_MS), 0);
    yam_push_t *push = wrapper_push(endpoint);
    assert_int_equal(yam_push_send(push, "19", 2), 0); //  behind all of them
    assert_int_equal(yam_push_flush(push, PATIENCE_MS), 0);
    yam_push_destroy(&push);
    for (size_t index = 0; index < sizeof bodies / sizeof *bodies; index++) {
        yam_message_t *message = yam_pull_recv(s_pull, PATIENCE_MS);
        assert_non_null(message);
        char body[16];
        (void) snprintf(body, sizeof body, "%d", bodies[index]);
        assert_int_equal(yam_message_size(message), strlen(body));
        assert_memory_equal(yam_message_body(message), body, strlen(body));
        assert_int_equal(yam_pull_ack(s_pull, &message), 0);
    }
    yam_dispatcher_destroy(&s_dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE state = 1"), 15);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE state = 2"), 1);
    assert_int_equal(outbox_number("SELECT count(*) FROM old WHERE state = 3"), 2);
    assert_int_equal(yam_pull_close(&s_pull, PATIENCE_MS), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_TEST(test_rows_of_version_1_keep_their_states_tries_and_reasons),
        OUTBOX_TEST(test_flights_of_version_1_keep_the_sequences_of_their_rows),
        OUTBOX_TEST(test_an_id_that_version_1_gave_is_never_used_again),
        OUTBOX_TEST(test_migration_that_fails_leaves_version_1),
        WRAPPER_TEST_WITH(test_rows_of_version_1_are_delivered_once_and_in_order, s_setup,
                          s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
