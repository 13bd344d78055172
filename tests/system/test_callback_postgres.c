//  Cases in a real PostgreSQL server: kept by content, worked on by two services, and the server
//  killed under them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback_wait.h"
#include "harness/server.h"
#include "yam_callback.h"
#include "yam_callback_postgres.h"
#include "yam_callback_service.h"
#include "yam_error.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_callback_store.h"

#define S_CASES 100
#define S_FEW 10 //  cases where nobody is killed

static server_t s_server;
static yam_t *s_yam;
static yam_relay_t *s_relay;
//  What works for a test, and ends with it also when it fails.
static yam_callback_service_t *s_services[2];
static yam_callback_t *s_producer;
static yam_push_t *s_confirms;
static char s_endpoint[128];
static atomic_uint s_calls[S_CASES];
static yam_case_t s_row;
static yam_case_note_t s_note;

static yam_callback_store_t *
s_open(bool may_create)
{
    yam_callback_store_t *store = yam_callback_store_postgres(s_server.uri, may_create);
    if (store == NULL) {
        fail_msg("%s", yam_error());
    }
    return store;
}

static int
s_count_row(void *arg)
{
    (*(unsigned *) arg)++;
    return 0;
}

//  Cases of a state from a case on.
static unsigned
s_count_from(int state, const char *from)
{
    unsigned count = 0;
    yam_callback_store_t *store = s_open(false);
    assert_int_equal(
        yam_callback_store_walk(store, state, from, 10000, &s_row, s_count_row, &count), 0);
    yam_callback_store_destroy(&store);
    return count;
}

static unsigned
s_count(int state)
{
    return s_count_from(state, NULL);
}

static yam_callback_answer_t
s_answer(void *arg, const yam_callback_case_ref_t *ref, yam_message_t **message_p, char *note,
         size_t note_size)
{
    (void) arg;
    (void) snprintf(note, note_size, "row %s", ref->id);
    s_calls[strtoul(ref->id, NULL, 10) % S_CASES]++;
    *message_p = yam_message_new("pay", 3);
    return YAM_CALLBACK_RESEND;
}

static yam_callback_service_t *
s_start(void)
{
    yam_callback_store_t *store = s_open(true);
    yam_callback_service_t *service = yam_callback_service_new(
        s_yam, s_endpoint, &store, "rounds=1&tries=1000&backoff=20ms&call-timeout=1s");
    if (service == NULL) {
        fail_msg("%s", yam_error());
    }
    return service;
}

static void
s_execute(const char *text)
{
    PGconn *connection = PQconnectdb(s_server.uri);
    PGresult *result = PQexec(connection, text);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(connection);
}

//  -- Tests

static void
test_tables_are_made_only_when_they_may_be(void **state)
{
    (void) state;
    assert_null(yam_callback_store_postgres(s_server.uri, false));
    assert_int_equal(errno, ENOENT);
    yam_callback_store_t *store = s_open(true);
    yam_callback_store_destroy(&store);
    store = s_open(false);
    assert_int_equal(yam_callback_store_retry(store, "none"), -1);
    assert_int_equal(errno, ENOENT);
    yam_callback_store_destroy(&store);
}

//  Two services, and count messages: of number 0, 2, 4 ... the confirm is there before the check is
//  due, unless it is the one that is left out.
static void
s_send(unsigned count, unsigned left_out)
{
    s_services[0] = s_start();
    s_services[1] = s_start();
    s_producer = yam_callback_new(s_yam, "orders", "shop", s_endpoint, "delay=300ms");
    s_confirms = yam_push_new(s_yam, YAM_CALLBACK_CONFIRMS, s_endpoint);
    assert_true(s_producer != NULL && s_confirms != NULL);
    assert_int_equal(yam_callback_serve(s_producer, s_answer, NULL), 0);
    for (unsigned number = 0; number < count; number++) {
        char id[16];
        (void) snprintf(id, sizeof id, "%u", number);
        yam_message_t *message = yam_message_new("pay", 3);
        assert_int_equal(yam_message_set(message, "id", id), 0);
        if (number % 2 == 0 && number != left_out) { //  durable, and sent first
            assert_int_equal(yam_callback_confirm(s_confirms, message), 0);
            assert_int_equal(yam_push_flush(s_confirms, CHILD_PATIENCE_MS), 0);
        }
        assert_int_equal(yam_callback_send(s_producer, &message), 0);
    }
    assert_int_equal(yam_callback_flush(s_producer, CHILD_PATIENCE_MS), 0);
}

//  Of count messages, those of which somebody was called without reason, or nobody though there
//  was one; and those whose case is missing, or should not be there.
static unsigned
s_judge(unsigned count)
{
    unsigned wrong = 0;
    for (unsigned number = 0; number < count; number++) {
        wrong += (number % 2 == 0) == (s_calls[number] > 0);
    }
    unsigned open = s_count(YAM_CASE_OPEN);
    return wrong + (open > count / 2 ? open - count / 2 : count / 2 - open);
}

static void
test_two_services_whose_server_is_killed_forget_nothing_and_alarm_nobody(void **state)
{
    (void) state;
    s_send(S_CASES, S_CASES);
    server_kill(&s_server);
    assert_true(server_start(&s_server, NULL));
    //  Either service may be the last to end what it holds: a confirm whose check has not come yet.
    CALLBACK_WAIT(s_services[0],
                  s_count(YAM_CASE_OPEN) == S_CASES / 2 && s_count(0) == S_CASES / 2);
    assert_int_equal(s_judge(S_CASES), 0);
    unsigned count = 0;
    yam_callback_store_t *store = s_open(false);
    assert_int_equal(yam_callback_store_history(store, "1", &s_note, s_count_row, &count), 0);
    assert_true(count >= 4); //  missing, resent, missing, open
    assert_string_equal(s_note.event, "open");
    assert_int_equal(yam_callback_store_close_case(store, "1", "seen"), 0);
    assert_int_equal(s_count_from(0, "1"), S_CASES / 2); //  the latest changed now
    assert_int_equal(s_count_from(YAM_CASE_OPEN, "1"), S_CASES / 2 - 1);
    yam_callback_store_destroy(&store);
}

//  A run that cannot fail proves nothing: a confirm that does not come, and a case that is lost.
static void
test_oracle_finds_a_call_without_reason_and_a_case_that_is_lost(void **state)
{
    (void) state;
    s_send(S_FEW, 4);
    CALLBACK_WAIT(s_services[0],
                  s_count(YAM_CASE_OPEN) == S_FEW / 2 + 1 && s_count(0) == S_FEW / 2 + 1);
    assert_int_equal(s_judge(S_FEW), 2); //  number 4 was called, and has a case
    s_execute("DELETE FROM yam_callback_cases WHERE id IN ('1', '3', '4')");
    assert_int_equal(s_judge(S_FEW), 3); //  the call is left, and two cases are missing
}

//  Whoever freezes in a transaction keeps the others waiting for seconds, not for ever.
static void
test_a_service_that_freezes_in_a_transaction_holds_its_locks_for_seconds_only(void **state)
{
    (void) state;
    yam_callback_store_t *frozen = s_open(true);
    yam_callback_store_t *other = s_open(false);
    assert_int_equal(frozen->db->begin(frozen->database), 0);
    int64_t begun_ms = yami_clock_mono_ms();
    while (other->db->begin(other->database) == -1) {
        assert_int_equal(errno, EAGAIN);
        other->db->rollback(other->database);
        assert_true(yami_clock_mono_ms() - begun_ms < CHILD_PATIENCE_MS);
    }
    other->db->rollback(other->database);
    assert_int_equal(frozen->db->commit(frozen->database), -1); //  it was thrown out
    frozen->db->rollback(frozen->database);
    assert_int_equal(frozen->db->begin(frozen->database), 0); //  and comes back
    frozen->db->rollback(frozen->database);
    yam_callback_store_destroy(&frozen);
    yam_callback_store_destroy(&other);
}

static void
test_tables_of_a_newer_version_are_refused_in_plain_words(void **state)
{
    (void) state;
    yam_callback_store_t *store = s_open(true);
    yam_callback_store_destroy(&store);
    s_execute("UPDATE yam_callback_meta SET value = 99 WHERE name = 'version'");
    assert_null(yam_callback_store_postgres(s_server.uri, true));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 99"));
    s_execute("UPDATE yam_callback_meta SET value = 1 WHERE name = 'version'");
}

static int
s_setup(void **state)
{
    (void) state;
    s_yam = yam_new();
    s_relay = yam_relay_new(s_yam, "tcp://127.0.0.1:*", NULL, NULL);
    assert_non_null(s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?grade=sure", yam_relay_endpoints(s_relay));
    return 0;
}

//  The same, over a database without tables.
static int
s_setup_anew(void **state)
{
    memset((void *) s_calls, 0, sizeof s_calls);
    s_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    return s_setup(state);
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_callback_service_destroy(&s_services[0]);
    yam_callback_service_destroy(&s_services[1]);
    yam_push_destroy(&s_confirms);
    yam_callback_destroy(&s_producer);
    yam_relay_destroy(&s_relay);
    yam_destroy(&s_yam);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_made_only_when_they_may_be),
        cmocka_unit_test(test_tables_of_a_newer_version_are_refused_in_plain_words),
        cmocka_unit_test(
            test_a_service_that_freezes_in_a_transaction_holds_its_locks_for_seconds_only),
        cmocka_unit_test(test_two_services_whose_server_is_killed_forget_nothing_and_alarm_nobody),
    };
    const struct CMUnitTest oracle[] = {
        cmocka_unit_test(test_oracle_finds_a_call_without_reason_and_a_case_that_is_lost),
    };
    server_init(&s_server, "postgres");
    if (!server_start(&s_server, NULL)) {
        return SERVER_SKIPPED;
    }
    int failed = cmocka_run_group_tests(tests, s_setup, s_teardown);
    failed += cmocka_run_group_tests(oracle, s_setup_anew, s_teardown);
    server_stop(&s_server);
    return failed;
}
