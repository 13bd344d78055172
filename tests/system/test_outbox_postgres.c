//  yam_outbox and yam_dispatcher over a real PostgreSQL server: what every outbox must do, what
//  only a database of several writers can do to it, and what happens when the server is killed.

#include "outbox_cases.h"

#include <errno.h>
#include <string.h>

#include "harness/database.h"
#include "yam_error.h"
#include "yam_outbox_postgres.h"
#include "yam_postgres.h"
#include "yami_outbox_postgres.h"

#define OWNER 7
#define LANE 1

static yam_outbox_t *s_outbox;

static yam_outbox_t *
s_open(PGconn *connection)
{
    yam_outbox_t *outbox = yam_outbox_postgres_new(connection, NULL);
    if (outbox == NULL) {
        fail_msg("%s", yam_error());
    }
    return outbox;
}

static int
s_setup(void **state)
{
    (void) state;
    database_setup();
    s_outbox = s_open(database);
    outbox_subject = (outbox_subject_t) {&yami_outbox_postgres, database,       s_outbox, "BEGIN",
                                         database_run,          database_number};
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_outbox_destroy(&s_outbox);
    PQfinish(database);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

//  ---- Several writers

static void
s_put_on(PGconn *connection, yam_outbox_t *outbox, const char *body)
{
    yam_message_t *message = yam_message_new(body, strlen(body));
    if (PQtransactionStatus(connection) == PQTRANS_IDLE) {
        database_run_on(connection, "BEGIN");
    }
    assert_true(yam_outbox_put(outbox, "orders", message) > 0);
    yam_message_destroy(&message);
}

//  The tables as a dispatcher of lane 1 sees them.
static void *
s_provider(PGconn *connection)
{
    void *provider = yami_outbox_postgres.open(connection, "yam_outbox");
    assert_non_null(provider);
    return provider;
}

static int
s_take(void *provider, uint64_t seen_owner, uint64_t seen_beat, uint64_t owner)
{
    yam_outbox_lane_t seen = {.lane = LANE, .owner = seen_owner, .beat = seen_beat};
    return yami_outbox_postgres.take(provider, &seen, owner);
}

static int
s_note_id(void *arg, const yam_outbox_entry_t *entry)
{
    *(int64_t *) arg = *(int64_t *) arg * 10 + entry->id;
    return 0;
}

//  Gives sequences, and returns the ids of all that have one: 312 for rows 3, 1, 2. -1: no new one.
static int64_t
s_assign(void *provider)
{
    int64_t ids = 0;
    yam_outbox_flight_t flight = {0, 0, 0};
    if (yami_outbox_postgres.assign(provider, LANE, OWNER, 100, 1 << 20, NULL, &flight) <= 0) {
        return -1;
    }
    assert_true(yami_outbox_postgres.read(provider, LANE, 1, flight.last, s_note_id, &ids) > 0);
    return ids;
}

static uint64_t
s_mark(void *provider)
{
    uint64_t mark;
    assert_int_equal(yami_outbox_postgres.changed(provider, &mark), 0);
    return mark;
}

static void
test_commits_that_overtake_each_other_are_all_seen_and_sent(void **state)
{
    (void) state;
    PGconn *slow = database_connect();
    yam_outbox_t *other = s_open(slow);
    outbox_put_numbers("orders", 0, 1);
    void *provider = s_provider(database);
    assert_int_equal(s_take(provider, 0, 0, OWNER), 1);
    s_put_on(slow, other, "slow"); //  2
    outbox_put_numbers("orders", 2, 1);
    assert_int_equal(s_assign(provider), 13);
    assert_int_equal(s_assign(provider), -1);
    uint64_t mark = s_mark(provider);
    assert_int_equal(s_mark(provider), mark);
    database_run_on(slow, "COMMIT");
    assert_int_not_equal(s_mark(provider), mark);
    assert_int_equal(s_assign(provider), 132);
    //  A new epoch keeps that order, before what comes then; and so does another one amid it.
    outbox_put_numbers("orders", 3, 1);
    yam_outbox_flight_t flight = {0, 0, 0};
    assert_int_equal(yami_outbox_postgres.renumber(provider, LANE, OWNER, 2), 0);
    assert_int_equal(yami_outbox_postgres.assign(provider, LANE, OWNER, 2, 1 << 20, NULL, &flight),
                     2);
    assert_int_equal(yami_outbox_postgres.renumber(provider, LANE, OWNER, 3), 0);
    assert_int_equal(s_assign(provider), 1324);
    yami_outbox_postgres.close(provider);
    yam_outbox_destroy(&other);
    PQfinish(slow);
}

static void
test_of_two_that_take_a_lane_at_once_one_gets_it_and_the_other_does_not_wait(void **state)
{
    (void) state;
    PGconn *connection = database_connect();
    outbox_put_numbers("orders", 0, 1);
    void *mine = s_provider(database);
    void *other = s_provider(connection);
    assert_int_equal(yami_outbox_postgres.begin(mine), 0);
    assert_int_equal(s_take(mine, 0, 0, OWNER), 1);
    assert_int_equal(yami_outbox_postgres.begin(other), 0);
    assert_int_equal(s_take(other, 0, 0, 8), 0);
    assert_int_equal(yami_outbox_postgres.commit(mine), 0);
    assert_int_equal(s_take(other, 0, 0, 8), 0);
    assert_int_equal(s_take(other, OWNER, 1, 8), 1);
    assert_int_equal(yami_outbox_postgres.commit(other), 0);
    assert_int_equal(database_number("SELECT owner FROM yam_outbox_lane"), 8);
    yami_outbox_postgres.close(mine);
    yami_outbox_postgres.close(other);
    PQfinish(connection);
}

static void
test_writers_that_add_channels_at_once_stay_below_the_limit(void **state)
{
    (void) state;
    PGconn *connection = database_connect();
    yam_outbox_t *other = s_open(connection);
    database_run("INSERT INTO yam_outbox_lane (kind, channel) SELECT 1, 'queue-' || number FROM "
                 "generate_series(1, 1023) AS number");
    database_run("BEGIN");
    assert_true(outbox_put("orders", "x", NULL) > 0);
    database_run_on(connection, "BEGIN; SET LOCAL lock_timeout = '50ms'");
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_outbox_put(other, "bills", message), -1);
    assert_int_equal(errno, EAGAIN);
    database_run_on(connection, "ROLLBACK; BEGIN");
    database_run("COMMIT");
    assert_int_equal(yam_outbox_put(other, "bills", message), -1);
    assert_int_equal(errno, ENOSPC);
    assert_true(yam_outbox_put(other, "orders", message) > 0);
    database_run_on(connection, "COMMIT");
    yam_message_destroy(&message);
    yam_outbox_destroy(&other);
    PQfinish(connection);
}

//  ---- Troubles

static void
test_tables_of_a_newer_version_are_refused_in_words(void **state)
{
    (void) state;
    database_run("UPDATE yam_outbox_meta SET value = 9 WHERE name = 'version'");
    assert_null(yam_outbox_postgres_new(database, NULL));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 9"));
}

static void
test_put_into_an_aborted_transaction_is_refused(void **state)
{
    (void) state;
    database_run("BEGIN");
    PQclear(PQexec(database, "SELECT 1/0"));
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_non_null(strstr(yam_error(), "roll it back"));
    database_run("ROLLBACK");
}

static void
test_a_session_that_is_ended_has_put_nothing(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 1);
    database_run("BEGIN");
    assert_true(outbox_put("orders", "x", NULL) > 0);
    database_end(database);
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_int_equal(yam_outbox_retry(s_outbox, 1), -1);
    assert_int_equal(errno, ENOTCONN);
    database_reconnect();
    assert_int_equal(database_number("SELECT count(*) FROM yam_outbox"), 1);
}

static void
test_a_dispatcher_whose_connection_was_lost_makes_it_again(void **state)
{
    (void) state;
    uint64_t mark;
    PGconn *connection = database_connect();
    void *provider = s_provider(connection);
    database_end(connection);
    assert_int_equal(yami_outbox_postgres.begin(provider), -1);
    assert_int_equal(errno, ENOTCONN);
    server_kill(&database_server);
    assert_int_equal(yami_outbox_postgres.changed(provider, &mark), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_true(server_start(&database_server, NULL));
    (void) s_mark(provider);
    yami_outbox_postgres.close(provider);
    PQfinish(connection);
    database_reconnect();
}

static void
test_a_commit_that_became_a_rollback_is_told(void **state)
{
    (void) state;
    void *provider = s_provider(database);
    assert_int_equal(yami_outbox_postgres.begin(provider), 0);
    PQclear(PQexec(database, "SELECT 1/0"));
    assert_int_equal(yami_outbox_postgres.commit(provider), -1);
    assert_int_equal(errno, EPERM);
    assert_false(yami_outbox_postgres.is_inside(provider));
    yami_outbox_postgres.close(provider);
}

static void
test_a_transaction_of_a_dispatcher_is_durable_whatever_the_default(void **state)
{
    (void) state;
    void *provider = s_provider(database);
    database_run("SET synchronous_commit = off; SET default_transaction_isolation = serializable");
    assert_int_equal(yami_outbox_postgres.begin(provider), 0);
    assert_int_equal(
        database_number("SELECT (current_setting('synchronous_commit') = 'on' AND "
                        "current_setting('transaction_isolation') = 'read committed')::int"),
        1);
    assert_int_equal(yami_outbox_postgres.commit(provider), 0);
    yami_outbox_postgres.close(provider);
}

//  A dispatcher sends what was put back as soon as it sees it.
static void
test_a_transaction_that_puts_a_row_back_is_durable_whatever_the_default(void **state)
{
    (void) state;
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 0, 1};
    outbox_put_numbers("orders", 0, 1);
    void *provider = s_provider(database);
    assert_int_equal(s_take(provider, 0, 0, OWNER), 1);
    assert_int_equal(s_assign(provider), 1);
    assert_int_equal(yami_outbox_postgres.failed(provider, LANE, OWNER, 1, 1, &failure), 1);
    database_run("SET synchronous_commit = off; BEGIN");
    assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 1), 1);
    assert_int_equal(database_number("SELECT (current_setting('synchronous_commit') = 'on')::int"),
                     1);
    database_run("COMMIT");
    yami_outbox_postgres.close(provider);
}

//  The server ends whoever sleeps amid a transaction: others would wait for its locks as long as it
//  does.
static void
test_a_dispatcher_that_freezes_in_a_transaction_holds_its_locks_for_seconds_only(void **state)
{
    (void) state;
    void *provider = s_provider(database);
    assert_int_equal(yami_outbox_postgres.begin(provider), 0);
    assert_int_equal(
        database_number("SELECT (current_setting('idle_in_transaction_session_timeout') = '5s' AND "
                        "current_setting('lock_timeout') = '5s')::int"),
        1);
    assert_int_equal(yami_outbox_postgres.commit(provider), 0);
    yami_outbox_postgres.close(provider);
}

//  What was committed, and of which nobody heard, is done again: nothing changes by that.
static void
test_what_is_done_twice_since_an_answer_was_lost_is_done_once(void **state)
{
    (void) state;
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 0, 1};
    outbox_put_numbers("orders", 0, 5);
    void *provider = s_provider(database);
    assert_int_equal(s_take(provider, 0, 0, OWNER), 1);
    assert_int_equal(s_assign(provider), 12345);
    for (int round = 0; round < 2; round++) {
        const yam_outbox_db_t *db = &yami_outbox_postgres;
        assert_int_equal(db->tried(provider, LANE, OWNER, 1, 5, 77), 0);
        assert_int_equal(db->failed(provider, LANE, OWNER, 2, 3, &failure), round == 0 ? 2 : 0);
        assert_int_equal(db->delivered(provider, LANE, OWNER, 1, 1, true), round == 0 ? 1 : 0);
    }
    assert_int_equal(database_number("SELECT count(*) FROM yam_outbox_flight WHERE first = 4 AND "
                                     "last = 5 AND tries = '{77}'"),
                     1);
    assert_int_equal(database_number("SELECT count(*) FROM yam_outbox WHERE state = 2"), 2);
    yami_outbox_postgres.close(provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_CASES(CASE),
        CASE(test_commits_that_overtake_each_other_are_all_seen_and_sent),
        CASE(test_of_two_that_take_a_lane_at_once_one_gets_it_and_the_other_does_not_wait),
        CASE(test_writers_that_add_channels_at_once_stay_below_the_limit),
        CASE(test_tables_of_a_newer_version_are_refused_in_words),
        CASE(test_put_into_an_aborted_transaction_is_refused),
        CASE(test_a_session_that_is_ended_has_put_nothing),
        CASE(test_a_dispatcher_whose_connection_was_lost_makes_it_again),
        CASE(test_a_commit_that_became_a_rollback_is_told),
        CASE(test_a_transaction_of_a_dispatcher_is_durable_whatever_the_default),
        CASE(test_a_transaction_that_puts_a_row_back_is_durable_whatever_the_default),
        CASE(test_a_dispatcher_that_freezes_in_a_transaction_holds_its_locks_for_seconds_only),
        CASE(test_what_is_done_twice_since_an_answer_was_lost_is_done_once),
    };
    return DATABASE_MAIN(tests);
}
