//  yam_inbox over a real PostgreSQL server: what is claimed, what is not, and what happens when the
//  server is killed, locked, read-only, or not what was expected.
//  One file: its cases share one server, started once, which some of them lock or kill.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/database.h"
#include "inbox/claims.h"
#include "yam_error.h"
#include "yam_inbox_db.h"
#include "yam_inbox_postgres.h"
#include "yam_postgres.h"
#include "yami_monitor.h"

static yam_inbox_t *s_inbox;

static int
s_setup(void **state)
{
    (void) state;
    database_setup();
    s_inbox = NULL;
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_inbox_destroy(&s_inbox);
    PQfinish(database);
    return 0;
}

static void
s_new(const char *options)
{
    s_inbox = opened(yam_inbox_postgres_new(database, options));
}

static void
s_new_fails(const char *options, int error, const char *words)
{
    yam_inbox_t *inbox = yam_inbox_postgres_new(database, options);
    int seen = errno;
    if (inbox != NULL || seen != error || strstr(yam_error(), words) == NULL) {
        fail_msg("%s: %s", strerror(seen), yam_error());
    }
}

//  One claim in a transaction of its own.
static int
s_claim(const char *id, const char *content)
{
    database_run("BEGIN");
    int verdict = claim(s_inbox, id, content);
    database_run("COMMIT");
    return verdict;
}

//  ---- What is claimed

static void
test_the_first_claim_is_new_and_the_next_a_duplicate(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("a", "one"), YAM_CLAIM_NEW);
    assert_int_equal(s_claim("a", "one"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(s_claim("b", "one"), YAM_CLAIM_NEW);
    assert_int_equal(s_claim("a", "two"), YAM_CLAIM_CONFLICT);
    assert_int_equal(s_claim("a", "one"), YAM_CLAIM_DUPLICATE);
}

static void
test_a_claim_that_is_rolled_back_never_was(void **state)
{
    (void) state;
    s_new(NULL);
    database_run("BEGIN");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    database_run("ROLLBACK");
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
}

static void
test_a_claim_without_a_sound_transaction_is_refused(void **state)
{
    (void) state;
    s_new(NULL);
    claim_fails(s_inbox, "a", EPERM, "BEGIN");
    database_run("BEGIN");
    PQclear(PQexec(database, "SELECT 1/0"));
    claim_fails(s_inbox, "a", EPERM, "aborted");
    database_run("ROLLBACK");
    database_run("BEGIN");
    assert_int_equal(PQsendQuery(database, "SELECT 1"), 1);
    claim_fails(s_inbox, "a", EBUSY, "under way");
    for (PGresult *result; (result = PQgetResult(database)) != NULL;) {
        PQclear(result);
    }
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    database_run("COMMIT");
}

static void
test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone(void **state)
{
    (void) state;
    s_new("shards=3");
    assert_int_equal(s_claim("other", "x"), YAM_CLAIM_NEW);
    database_run("BEGIN");
    yam_message_t *old = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(old, "id", "old"), 0);
    assert_int_equal(yam_inbox_claim(s_inbox, old), YAM_CLAIM_NEW);
    yam_message_destroy(&old);
    database_run("COMMIT");
    database_run("BEGIN");
    claim_batch(s_inbox);
    database_run("COMMIT");
    assert_int_equal(
        database_number("SELECT (SELECT count(*) FROM yam_inbox_0) + (SELECT count(*) FROM "
                        "yam_inbox_1) + (SELECT count(*) FROM yam_inbox_2)"),
        5);
}

static void
test_an_id_may_be_any_bytes_in_any_encoding_of_the_client(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("\xff\xfe'\\", "x"), YAM_CLAIM_NEW);
    database_run("SET client_encoding = 'LATIN1'");
    assert_int_equal(s_claim("\xff\xfe'\\", "x"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(s_claim("\xc3\xa4", "x"), YAM_CLAIM_NEW);
    database_run("SET client_encoding = 'UTF8'");
    assert_int_equal(s_claim("\xc3\xa4", "x"), YAM_CLAIM_DUPLICATE);
}

static void
test_old_claims_are_forgotten_and_young_ones_not(void **state)
{
    (void) state;
    s_new("retention=1h");
    char id[16];
    for (int number = 0; number < 5; number++) {
        (void) snprintf(id, sizeof id, "old-%d", number);
        assert_int_equal(s_claim(id, "x"), YAM_CLAIM_NEW);
    }
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_NEW);
    database_run("UPDATE yam_inbox_0 SET time_ms = time_ms - 3600001 WHERE id <> 'young'");
    yam_inbox_destroy(&s_inbox); //  that one found nothing to forget a moment ago
    s_new("retention=1h");
    assert_int_equal(s_claim("new", "x"), YAM_CLAIM_NEW);
    assert_int_equal(database_number("SELECT count(*) FROM yam_inbox_0"), 5);
    //  What another transaction forgets already is not waited for.
    PGconn *other = database_connect();
    database_run_on(other, "BEGIN; DELETE FROM yam_inbox_0 WHERE id = 'old-2'");
    database_run("BEGIN; SET LOCAL lock_timeout = '10s'");
    assert_int_equal(yam_inbox_prune(s_inbox, 100), 2);
    database_run("COMMIT");
    database_run_on(other, "COMMIT");
    PQfinish(other);
    assert_int_equal(database_number("SELECT count(*) FROM yam_inbox_0"), 2);
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_DUPLICATE);
}

static void
s_wait_for_pruned(yam_pruner_t *pruner, uint64_t count)
{
    yam_pruner_stats_t stats;
    do {
        yam_pruner_stats(pruner, &stats);
    } while (stats.pruned < count);
}

//  Ends the sessions of all others, as an administrator would. How many.
static int64_t
s_end_sessions(void)
{
    return database_number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                           "datname = current_database() AND pid <> pg_backend_pid()");
}

static void
test_a_pruner_forgets_in_the_background_and_survives_its_connection(void **state)
{
    (void) state;
    static const char options[] = "shards=2&retention=1h";
    s_new(options);
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_NEW);
    database_run("INSERT INTO yam_inbox_0 SELECT number::text::bytea, '', 0 FROM "
                 "generate_series(1, 2500) AS number");
    yam_pruner_t *pruner = yam_pruner_postgres_new(database_server.uri, options, "interval=1ms");
    if (pruner == NULL) {
        fail_msg("%s", yam_error());
    }
    s_wait_for_pruned(pruner, 2500);
    assert_true(s_end_sessions() > 0);
    database_run("INSERT INTO yam_inbox_1 SELECT number::text::bytea, '', 0 FROM "
                 "generate_series(1, 500) AS number");
    s_wait_for_pruned(pruner, 3000);
    yam_pruner_destroy(&pruner);
    assert_int_equal(database_number("SELECT (SELECT count(*) FROM yam_inbox_0) + (SELECT count(*) "
                                     "FROM yam_inbox_1)"),
                     1);
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_DUPLICATE);
}

//  ---- Two at once

typedef struct {
    PGconn *connection;
    yam_inbox_t *inbox;
    int verdict;
} s_other_t;

static void *
s_claim_in_thread(void *arg)
{
    s_other_t *other = arg;
    other->verdict = claim(other->inbox, "a", "x");
    return NULL;
}

//  Claims "a" in two transactions, the first of which ends by the given statement while the second
//  waits. The verdict of the second.
static int
s_claim_twice(const char *end)
{
    pthread_t thread;
    s_other_t other = {.connection = database_connect()};
    other.inbox = opened(yam_inbox_postgres_new(other.connection, NULL));
    database_run("BEGIN");
    database_run_on(other.connection, "BEGIN");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(pthread_create(&thread, NULL, s_claim_in_thread, &other), 0);
    while (database_number("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
    }
    database_run(end);
    (void) pthread_join(thread, NULL);
    database_run_on(other.connection, "COMMIT");
    yam_inbox_destroy(&other.inbox);
    PQfinish(other.connection);
    return other.verdict;
}

static void
test_of_two_that_claim_one_id_the_second_waits_for_the_first(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim_twice("ROLLBACK"), YAM_CLAIM_NEW);
    database_run("DELETE FROM yam_inbox_0");
    assert_int_equal(s_claim_twice("COMMIT"), YAM_CLAIM_DUPLICATE);
}

static void
test_a_claim_that_waits_longer_than_lock_timeout_fails(void **state)
{
    (void) state;
    s_new(NULL);
    PGconn *other = database_connect();
    yam_inbox_t *second = opened(yam_inbox_postgres_new(other, NULL));
    database_run("BEGIN");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    database_run_on(other, "BEGIN; SET LOCAL lock_timeout = '50ms'");
    claim_fails(second, "a", EAGAIN, "try again");
    database_run_on(other, "ROLLBACK");
    database_run("LOCK TABLE yam_inbox_0");
    database_run_on(other, "BEGIN; SET LOCAL lock_timeout = '50ms'");
    claim_fails(second, "b", EAGAIN, "try again");
    database_run_on(other, "ROLLBACK");
    database_run("COMMIT");
    yam_inbox_destroy(&second);
    PQfinish(other);
}

static void
test_a_claim_that_the_snapshot_does_not_see_asks_for_another_try(void **state)
{
    (void) state;
    s_new(NULL);
    PGconn *other = database_connect();
    yam_inbox_t *second = opened(yam_inbox_postgres_new(other, NULL));
    database_run_on(other,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM yam_inbox_0");
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
    claim_fails(second, "a", EAGAIN, "try again");
    database_run_on(other, "ROLLBACK; BEGIN");
    assert_int_equal(claim(second, "a", "x"), YAM_CLAIM_DUPLICATE);
    database_run_on(other, "COMMIT");
    yam_inbox_destroy(&second);
    PQfinish(other);
}

#define OPENERS 4

static void *
s_open_in_thread(void *arg)
{
    (void) arg;
    PGconn *connection = yam_postgres_open(database_server.uri);
    yam_inbox_t *inbox = connection ? yam_inbox_postgres_new(connection, "shards=8") : NULL;
    bool is_open = inbox != NULL;
    if (!is_open) {
        print_message("%s\n", yam_error());
    }
    yam_inbox_destroy(&inbox);
    PQfinish(connection);
    return is_open ? &database_server : NULL;
}

static void
test_several_that_make_the_tables_at_once_make_them_once(void **state)
{
    (void) state;
    pthread_t threads[OPENERS];
    for (int index = 0; index < OPENERS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_open_in_thread, NULL), 0);
    }
    for (int index = 0; index < OPENERS; index++) {
        void *is_open;
        (void) pthread_join(threads[index], &is_open);
        assert_non_null(is_open);
    }
    assert_int_equal(database_number("SELECT value FROM yam_inbox_meta WHERE name = 'shards'"), 8);
}

//  ---- Tables

static void
test_tables_made_inside_a_transaction_go_with_it(void **state)
{
    (void) state;
    database_run("BEGIN");
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    database_run("ROLLBACK");
    assert_int_equal(database_number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
                     0);
}

static void
test_tables_of_a_newer_version_or_another_number_of_shards_are_refused(void **state)
{
    (void) state;
    s_new("shards=3");
    yam_inbox_destroy(&s_inbox);
    s_new_fails("shards=4", EINVAL, "shards=3");
    database_run("UPDATE yam_inbox_meta SET value = 9 WHERE name = 'version'");
    s_new_fails("shards=3", EPROTONOSUPPORT, "version 9");
    s_new_fails("prefix=9x", EINVAL, "prefix");
}

static void
test_a_read_only_session_is_refused_in_words(void **state)
{
    (void) state;
    database_run("SET default_transaction_read_only = on");
    s_new_fails(NULL, EROFS, "read-only");
    database_run("SET default_transaction_read_only = off");
    s_new(NULL);
    database_run("SET default_transaction_read_only = on");
    database_run("BEGIN");
    claim_fails(s_inbox, "a", EROFS, "read-only");
    database_run("ROLLBACK");
}

static void
test_missing_rights_and_missing_tables_are_told(void **state)
{
    (void) state;
    s_new(NULL);
    database_run(
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest; GRANT USAGE ON SCHEMA public TO guest; SET "
        "ROLE guest; BEGIN");
    claim_fails(s_inbox, "a", EACCES, "GRANT");
    database_run("ROLLBACK; RESET ROLE; DROP TABLE yam_inbox_0; BEGIN");
    claim_fails(s_inbox, "a", ENOENT, "yam_inbox_0");
    database_run("ROLLBACK");
}

//  ---- The server goes away

static void
s_reconnect(void)
{
    yam_inbox_destroy(&s_inbox);
    database_reconnect();
}

static void
test_a_server_killed_before_the_commit_has_claimed_nothing(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("committed", "x"), YAM_CLAIM_NEW);
    database_run("BEGIN");
    assert_int_equal(claim(s_inbox, "open", "x"), YAM_CLAIM_NEW);
    server_kill(&database_server);
    claim_fails(s_inbox, "next", ENOTCONN, "connect again");
    claim_fails(s_inbox, "next", ENOTCONN, "connect again");
    assert_null(yam_postgres_open(database_server.uri));
    assert_int_equal(errno, ENOTCONN);
    assert_true(server_start(&database_server, NULL));
    s_reconnect();
    s_new(NULL);
    assert_int_equal(s_claim("committed", "x"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(s_claim("open", "x"), YAM_CLAIM_NEW);
}

static void
test_a_session_that_is_ended_has_claimed_nothing(void **state)
{
    (void) state;
    s_new(NULL);
    database_run("BEGIN");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    database_end(database);
    claim_fails(s_inbox, "b", ENOTCONN, "connect again");
    s_reconnect();
    s_new(NULL);
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
}

//  ---- Many at once, and the server killed again and again: each effect once

#define CLAIMERS 3
#define EFFECTS 600
#define FEW 20 //  where nobody is killed
#define KILLS 3
#define PATIENCE_MS 60000 //  how long a failure takes to show

static yami_monitor_t s_monitor; //  guards
static int s_committed_count;    //  of all claimers, those that were told so

//  Claims number in one transaction with its effect. Whether that is known to be done.
static bool
s_handle(PGconn *connection, yam_inbox_t *inbox, int number)
{
    char text[96];
    char id[24];
    (void) snprintf(id, sizeof id, "order-%d", number);
    (void) snprintf(text, sizeof text, "INSERT INTO effects VALUES (%d)", number);
    PQclear(PQexec(connection, "BEGIN"));
    int verdict = claim(inbox, id, "x");
    if (verdict == YAM_CLAIM_NEW) {
        PQclear(PQexec(connection, text));
    }
    PGresult *result = PQexec(connection, verdict == -1 ? "ROLLBACK" : "COMMIT");
    bool is_done = verdict != -1 && PQresultStatus(result) == PGRES_COMMAND_OK &&
                   strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    return is_done;
}

//  Goes over all numbers below arg's, and again over what is not known to be done, with a new
//  connection each time that one is lost.
static void *
s_claimer(void *arg)
{
    int count = *(const int *) arg;
    PGconn *connection = NULL;
    yam_inbox_t *inbox = NULL;
    for (int number = 0; number < count;) {
        if (inbox == NULL) {
            connection = yam_postgres_open(database_server.uri);
            inbox = connection ? yam_inbox_postgres_new(connection, NULL) : NULL;
        }
        if (inbox != NULL && s_handle(connection, inbox, number)) {
            number++;
            yami_monitor_lock(&s_monitor);
            s_committed_count++;
            yami_monitor_tell(&s_monitor);
            yami_monitor_unlock(&s_monitor);
        } else {
            yam_inbox_destroy(&inbox);
            PQfinish(connection);
            connection = NULL;
        }
    }
    yam_inbox_destroy(&inbox);
    PQfinish(connection);
    return NULL;
}

static void
s_wait_for_commits(int count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&s_monitor);
    while (s_committed_count < count && yami_monitor_wait(&s_monitor, until_ms)) {
    }
    bool is_there = s_committed_count >= count;
    yami_monitor_unlock(&s_monitor);
    assert_true(is_there);
}

static void
s_begin_effects(void)
{
    s_new(NULL);
    database_run("CREATE TABLE effects (number int)");
    s_committed_count = 0;
    yami_monitor_init(&s_monitor);
}

//  Whether each number below count has had its effect, and no more than once.
static bool
s_is_each_there_once(int count)
{
    return database_number("SELECT count(*) FROM effects") == count &&
           database_number("SELECT count(DISTINCT number) FROM effects") == count;
}

static void
test_kills_of_the_server_leave_each_effect_once(void **state)
{
    (void) state;
    pthread_t threads[CLAIMERS];
    int count = EFFECTS;
    s_begin_effects();
    for (int index = 0; index < CLAIMERS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_claimer, &count), 0);
    }
    for (int number = 1; number <= KILLS; number++) {
        s_wait_for_commits(number * CLAIMERS * EFFECTS / (KILLS + 1));
        server_kill(&database_server);
        assert_true(server_start(&database_server, NULL));
    }
    for (int index = 0; index < CLAIMERS; index++) {
        (void) pthread_join(threads[index], NULL);
    }
    s_reconnect();
    assert_true(s_is_each_there_once(EFFECTS));
}

//  A run that cannot fail proves nothing: claims that are lost, and one without its effect.
static void
test_oracle_finds_an_effect_that_an_inbox_forgot(void **state)
{
    (void) state;
    int count = FEW;
    s_begin_effects();
    (void) s_claimer(&count);
    (void) s_claimer(&count);
    assert_true(s_is_each_there_once(FEW));
    database_run("DELETE FROM yam_inbox_0 WHERE id = 'order-7'");
    (void) s_claimer(&count);
    assert_false(s_is_each_there_once(FEW));
}

static void
test_oracle_finds_a_claim_that_is_committed_without_its_effect(void **state)
{
    (void) state;
    int count = FEW;
    s_begin_effects();
    assert_int_equal(s_claim("order-7", "x"), YAM_CLAIM_NEW);
    (void) s_claimer(&count);
    assert_false(s_is_each_there_once(FEW));
}

//  The value of an option that a connection was made with.
static void
s_check_option(const char *parameters, const char *name, const char *value)
{
    char uri[512];
    (void) snprintf(uri, sizeof uri, "%s%s", database_server.uri, parameters);
    PGconn *connection = yam_postgres_open(uri);
    assert_non_null(connection);
    PQconninfoOption *options = PQconninfo(connection);
    assert_non_null(options);
    const PQconninfoOption *option = options;
    while (option->keyword != NULL && strcmp(option->keyword, name) != 0) {
        option++;
    }
    assert_non_null(option->keyword);
    assert_string_equal(option->val, value);
    PQconninfoFree(options);
    PQfinish(connection);
}

//  What the kernel makes of them takes a network that swallows everything.
static void
test_a_connection_has_limits_of_silence_unless_the_uri_has_others(void **state)
{
    (void) state;
    s_check_option("", "tcp_user_timeout", "30000");
    s_check_option("", "keepalives_idle", "10");
    s_check_option("", "keepalives_interval", "5");
    s_check_option("", "keepalives_count", "4");
    s_check_option("&tcp_user_timeout=1234", "tcp_user_timeout", "1234");
    s_check_option("&keepalives_idle=77", "keepalives_idle", "77");
}

static void
test_a_uri_that_cannot_be_used_is_told_without_its_password(void **state)
{
    (void) state;
    static const char *const wrong[] = {"postgresql://me:secret@[::1/x",
                                        "postgresql://me:secret@h?no=1", "host=me password=secret"};
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        assert_null(yam_postgres_open(wrong[index]));
        assert_int_equal(errno, EINVAL);
        assert_null(strstr(yam_error(), "secret"));
    }
    assert_null(yam_postgres_open("postgresql://me:secret@localhost:1/x"));
    assert_int_equal(errno, ENOTCONN);
    assert_null(strstr(yam_error(), "secret"));
    assert_true(yam_postgres_is_uri("postgres://h/x"));
    assert_false(yam_postgres_is_uri("/var/lib/postgres.db"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_first_claim_is_new_and_the_next_a_duplicate),
        CASE(test_a_claim_that_is_rolled_back_never_was),
        CASE(test_a_claim_without_a_sound_transaction_is_refused),
        CASE(test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone),
        CASE(test_an_id_may_be_any_bytes_in_any_encoding_of_the_client),
        CASE(test_old_claims_are_forgotten_and_young_ones_not),
        CASE(test_a_pruner_forgets_in_the_background_and_survives_its_connection),
        CASE(test_of_two_that_claim_one_id_the_second_waits_for_the_first),
        CASE(test_a_claim_that_waits_longer_than_lock_timeout_fails),
        CASE(test_a_claim_that_the_snapshot_does_not_see_asks_for_another_try),
        CASE(test_several_that_make_the_tables_at_once_make_them_once),
        CASE(test_tables_made_inside_a_transaction_go_with_it),
        CASE(test_tables_of_a_newer_version_or_another_number_of_shards_are_refused),
        CASE(test_a_read_only_session_is_refused_in_words),
        CASE(test_missing_rights_and_missing_tables_are_told),
        CASE(test_a_server_killed_before_the_commit_has_claimed_nothing),
        CASE(test_a_session_that_is_ended_has_claimed_nothing),
        CASE(test_kills_of_the_server_leave_each_effect_once),
        CASE(test_oracle_finds_an_effect_that_an_inbox_forgot),
        CASE(test_oracle_finds_a_claim_that_is_committed_without_its_effect),
        CASE(test_a_connection_has_limits_of_silence_unless_the_uri_has_others),
        CASE(test_a_uri_that_cannot_be_used_is_told_without_its_password),
    };
    return DATABASE_MAIN(tests);
}
