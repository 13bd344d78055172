//  The second check with all its sides: producer, consumer and callback services around a relay in
//  memory, with real calls.
//  One file: every case needs all of it: relay, shop, callback services and what they counted.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callback_wait.h"
#include "yam_callback.h"
#include "yam_callback_service.h"
#include "yam_error.h"
#include "yam_pull.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_callback_store.h"
#include "yami_callback_wire.h"

#define S_TIMEOUT_MS 30000
//  Nobody is given up for its silence, however slow the machine is: what was lost with a session
//  would come, and be asked, twice.
#define S_PATIENT "heartbeat=60s"
#define S_OPTIONS "backoff=20ms&call-timeout=60s&rounds=2&delay=20ms"
#define S_HOUR_MS 3600000

static yam_t *s_yam;
static yam_relay_t *s_relay;
static char s_endpoint[128];
static char s_path[128];
static yam_callback_t *s_producer;
static yam_push_t *s_checks;
static yam_push_t *s_confirms;
static yam_pull_t *s_orders;
static yam_callback_service_t *s_services[2]; //  that run, so that a test may fail amid its work

//  What the application's service answers, and what it was asked.
static atomic_int s_answer;
static atomic_uint s_asked;
static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static char s_last_id[YAM_CALLBACK_ID + 1];
static unsigned s_last_round;
static unsigned s_rounds_of[1000]; //  calls for id "N", by their number

static yam_callback_answer_t
s_shop(void *arg, const yam_callback_case_ref_t *ref, yam_message_t **message_p, char *note,
       size_t note_size)
{
    (void) arg;
    (void) pthread_mutex_lock(&s_lock);
    (void) snprintf(s_last_id, sizeof s_last_id, "%s", ref->id);
    s_last_round = ref->round;
    s_rounds_of[strtoul(ref->id, NULL, 10) % 1000]++;
    (void) pthread_mutex_unlock(&s_lock);
    (void) snprintf(note, note_size, "row %s", ref->id);
    yam_callback_answer_t answer = (yam_callback_answer_t) atomic_load(&s_answer);
    if (answer == YAM_CALLBACK_RESEND) {
        *message_p = yam_message_new("pay", 3);
    }
    s_asked++;
    return answer;
}

//  -- Fixture -----------------------------------------------------------------------------------

static void
s_unlink(void)
{
    char path[160];
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int index = 0; index < 3; index++) {
        (void) snprintf(path, sizeof path, "%s%s", s_path, endings[index]);
        (void) unlink(path);
    }
}

static yam_callback_service_t *
s_start(const char *options)
{
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, true);
    if (store == NULL) {
        fail_msg("%s", yam_error());
    }
    yam_callback_service_t *service = yam_callback_service_new(s_yam, s_endpoint, &store, options);
    if (service == NULL) {
        fail_msg("%s", yam_error());
    }
    assert_null(store);
    s_services[s_services[0] == NULL ? 0 : 1] = service;
    return service;
}

static void
s_stop(yam_callback_service_t **service_p)
{
    s_services[s_services[0] == *service_p ? 0 : 1] = NULL;
    yam_callback_service_destroy(service_p);
}

static int
s_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(s_path, sizeof s_path, "%s/service-%d.db", folder ? folder : "/tmp", getpid());
    s_unlink();
    s_yam = yam_new();
    s_relay = yam_relay_new(s_yam, "tcp://127.0.0.1:*", NULL, S_PATIENT);
    assert_non_null(s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?grade=sure&connect-timeout=60s&" S_PATIENT,
                    yam_relay_endpoints(s_relay));
    s_producer = yam_callback_new(s_yam, "orders", "shop", s_endpoint, "delay=1ms");
    s_checks = yam_push_new(s_yam, YAM_CALLBACK_CHECKS, s_endpoint);
    s_confirms = yam_push_new(s_yam, YAM_CALLBACK_CONFIRMS, s_endpoint);
    s_orders = yam_pull_new(s_yam, "orders", s_endpoint);
    assert_true(s_producer && s_checks && s_confirms && s_orders);
    s_answer = YAM_CALLBACK_RESEND;
    s_asked = 0;
    memset(s_rounds_of, 0, sizeof s_rounds_of);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_callback_service_destroy(&s_services[0]);
    yam_callback_service_destroy(&s_services[1]);
    yam_callback_destroy(&s_producer);
    yam_push_destroy(&s_checks);
    yam_push_destroy(&s_confirms);
    yam_pull_destroy(&s_orders);
    yam_relay_destroy(&s_relay);
    yam_destroy(&s_yam);
    s_unlink();
    return 0;
}

//  A check whose time has come; after each message that was sent again it comes again that late.
static void
s_send_check_every(const char *id, int64_t delay_ms)
{
    yam_case_t row = {.queue = "orders", .service = "shop", .delay_ms = delay_ms};
    (void) snprintf(row.id, sizeof row.id, "%s", id);
    yam_message_t *check = yami_callback_check_build(&row);
    assert_int_equal(yam_push_send_message(s_checks, &check), 0);
    assert_int_equal(yam_push_flush(s_checks, S_TIMEOUT_MS), 0);
}

static void
s_send_check(const char *id)
{
    s_send_check_every(id, S_HOUR_MS);
}

static void
s_send_confirm_for(const char *id, int outcome, const char *reason)
{
    yam_case_confirm_t confirm = {.outcome = outcome};
    (void) snprintf(confirm.id, sizeof confirm.id, "%s", id);
    (void) snprintf(confirm.reason, sizeof confirm.reason, "%s", reason);
    yam_message_t *message = yami_callback_confirm_build(&confirm);
    assert_int_equal(yam_push_send_message(s_confirms, &message), 0);
    assert_int_equal(yam_push_flush(s_confirms, S_TIMEOUT_MS), 0);
}

static void
s_send_confirm(const char *id, int outcome)
{
    s_send_confirm_for(id, outcome, "no stock");
}

static yam_case_t s_row;

static int
s_see(void *arg)
{
    (*(unsigned *) arg)++;
    return 0;
}

static unsigned
s_count(int state)
{
    unsigned count = 0;
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, false);
    assert_non_null(store);
    assert_int_equal(yam_callback_store_walk(store, state, NULL, 100000, &s_row, s_see, &count), 0);
    yam_callback_store_destroy(&store);
    return count;
}

//  Confirms stored. A service counts one twice that came again since its ack did not arrive.
static int64_t
s_confirm_count(void)
{
    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(s_path, &database), SQLITE_OK);
    (void) sqlite3_busy_timeout(database, 5000);
    assert_int_equal(sqlite3_prepare_v2(database, "SELECT count(*) FROM yam_callback_confirms", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    (void) sqlite3_finalize(statement);
    (void) sqlite3_close(database);
    return count;
}

static yam_callback_service_stats_t
s_stats(yam_callback_service_t *service)
{
    yam_callback_service_stats_t stats;
    yam_callback_service_stats(service, &stats);
    return stats;
}

static void
s_assert_history(const char *id, const char *expected)
{
    char seen[512] = "";
    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(s_path, &database), SQLITE_OK);
    (void) sqlite3_busy_timeout(database, 5000);
    assert_int_equal(sqlite3_prepare_v2(database,
                                        "SELECT event, text FROM yam_callback_history WHERE id = ? "
                                        "ORDER BY number",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    (void) sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        size_t used = strlen(seen);
        (void) snprintf(seen + used, sizeof seen - used, "%s:%s; ",
                        (const char *) sqlite3_column_text(statement, 0),
                        (const char *) sqlite3_column_text(statement, 1));
    }
    (void) sqlite3_finalize(statement);
    (void) sqlite3_close(database);
    assert_string_equal(seen, expected);
}

//  -- Tests -------------------------------------------------------------------------------------

static void
test_confirmed_message_calls_nobody_and_leaves_no_case(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    yam_message_t *message = yam_message_new("pay", 3);
    assert_int_equal(yam_message_set(message, "id", "1"), 0);
    s_send_confirm("1", YAM_CONFIRM_DONE); //  quicker than its message
    assert_int_equal(yam_callback_send(s_producer, &message), 0);
    assert_int_equal(yam_callback_flush(s_producer, S_TIMEOUT_MS), 0);
    CALLBACK_WAIT(service, s_stats(service).checks >= 1 && s_stats(service).confirms >= 1);
    CALLBACK_WAIT(service, s_count(0) == 0);
    assert_int_equal(s_stats(service).calls, 0);
    assert_int_equal(s_asked, 0);
    s_stop(&service);
}

static void
test_missing_confirm_has_the_message_resent_with_its_id_and_round(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_check("7");
    yam_message_t *message = yam_pull_recv(s_orders, S_TIMEOUT_MS);
    assert_non_null(message);
    assert_memory_equal(yam_message_body(message), "pay", 3);
    assert_string_equal(yam_message_get(message, "id"), "7");
    assert_string_equal(yam_message_get(message, "yam-round"), "1");
    assert_int_equal(yam_callback_confirm(s_confirms, message), 0);
    assert_int_equal(yam_pull_ack(s_orders, &message), 0);
    CALLBACK_WAIT(service, s_count(YAM_CASE_DONE) == 1);
    assert_int_equal(s_asked, 1);
    assert_int_equal(s_stats(service).calls, 1);
    s_stop(&service);
}

static void
test_case_whose_call_is_due_while_there_is_no_relay_waits_and_loses_no_try(void **state)
{
    (void) state;
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_check("7"); //  of a service that nobody serves
    CALLBACK_WAIT(service, s_count(YAM_CASE_CALLING) == 1);
    s_stop(&service);
    yam_relay_destroy(&s_relay);
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, false);
    assert_non_null(store);
    assert_int_equal(yam_callback_store_retry(store, "7"), 0); //  it is due now
    yam_callback_store_destroy(&store);
    service = s_start(S_OPTIONS);
    int turns = 0;
    CALLBACK_WAIT(service, ++turns > 3);
    yam_callback_service_stats_t stats = s_stats(service);
    s_stop(&service);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(s_count(YAM_CASE_CALLING), 1);
}

#define SILENT_SERVICES 20

static void
test_calls_of_many_services_wait_for_a_silent_relay_once(void **state)
{
    (void) state;
    static const yami_callback_answered_t *answers[SILENT_SERVICES];
    yami_callback_calls_t *calls =
        yami_callback_calls_new(s_yam, ">inproc://nobody?grade=sure&connect-timeout=500ms",
                                SILENT_SERVICES, S_TIMEOUT_MS, -1);
    for (int number = 0; number < SILENT_SERVICES; number++) {
        yam_case_t row = {.id = "7", .queue = "orders", .call = 1};
        (void) snprintf(row.service, sizeof row.service, "shop-%d", number);
        yami_callback_calls_begin(calls, &row);
    }
    assert_int_equal(yami_callback_calls_answers(calls, answers, SILENT_SERVICES), SILENT_SERVICES);
    int waited = 0; //  once, and again after a second that this machine may need for the others
    for (int number = 0; number < SILENT_SERVICES; number++) {
        assert_int_equal(answers[number]->answer, 0);
        waited += strcmp(answers[number]->text, "the relay did not answer just now") == 0 ? 0 : 1;
    }
    assert_in_range(waited, 1, SILENT_SERVICES / 2);
    yami_callback_calls_drop(calls, SILENT_SERVICES);
    assert_int_equal(yami_callback_calls_free(calls), SILENT_SERVICES);
    yami_callback_calls_destroy(&calls);
}

static void
test_after_the_last_round_the_case_is_open_with_its_history(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_confirm("7", YAM_CONFIRM_FAILED);
    s_send_check_every("7", 20);
    CALLBACK_WAIT(service, s_stats(service).opened == 1);
    assert_int_equal(s_count(YAM_CASE_OPEN), 1);
    s_assert_history("7", "failed:no stock; resent:row 7; missing:; resent:row 7; missing:; "
                          "open:not confirmed after the last round; ");
    s_send_confirm("7", YAM_CONFIRM_DONE);
    CALLBACK_WAIT(service, s_count(YAM_CASE_DONE) == 1);
    assert_int_equal(s_stats(service).resent, 2);
    s_stop(&service);
}

static void
test_row_that_is_gone_ends_the_case(void **state)
{
    (void) state;
    s_answer = YAM_CALLBACK_GONE;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_check("7");
    CALLBACK_WAIT(service, s_count(YAM_CASE_GONE) == 1);
    s_assert_history("7", "missing:; gone:row 7; ");
    yam_callback_stats_t stats;
    yam_callback_stats(s_producer, &stats);
    assert_int_equal(stats.gone, 1);
    s_stop(&service);
}

static void
test_producer_that_cannot_say_costs_no_round(void **state)
{
    (void) state;
    s_answer = YAM_CALLBACK_LATER;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start("tries=1000&" S_OPTIONS);
    s_send_check("7");
    CALLBACK_WAIT(service, s_stats(service).unanswered >= 3);
    s_answer = YAM_CALLBACK_RESEND;
    CALLBACK_WAIT(service, s_stats(service).resent >= 1);
    assert_int_equal(s_last_round, 1);
    s_stop(&service);
}

static void
test_producer_that_is_not_there_is_called_until_it_is(void **state)
{
    (void) state;
    yam_callback_service_t *service = s_start("call-timeout=1s&tries=1000&backoff=10ms");
    s_send_check("7");
    CALLBACK_WAIT(service, s_stats(service).unanswered >= 2);
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_message_t *message = yam_pull_recv(s_orders, S_TIMEOUT_MS);
    assert_non_null(message);
    yam_message_destroy(&message);
    CALLBACK_WAIT(service, s_stats(service).resent >= 1);
    s_stop(&service);
}

static void
test_service_was_down_a_thousand_wait_and_nobody_is_called(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    for (int number = 0; number < 1000; number++) {
        char id[16];
        (void) snprintf(id, sizeof id, "%d", number);
        yam_case_t row = {.queue = "orders", .service = "shop"};
        yam_case_confirm_t confirm = {.outcome = YAM_CONFIRM_DONE};
        (void) snprintf(row.id, sizeof row.id, "%s", id);
        (void) snprintf(confirm.id, sizeof confirm.id, "%d", 999 - number);
        yam_message_t *message = yami_callback_check_build(&row);
        assert_int_equal(yam_push_send_message(s_checks, &message), 0);
        message = yami_callback_confirm_build(&confirm);
        assert_int_equal(yam_push_send_message(s_confirms, &message), 0);
    }
    assert_int_equal(yam_push_flush(s_confirms, S_TIMEOUT_MS), 0);
    assert_int_equal(yam_push_flush(s_checks, S_TIMEOUT_MS), 0);
    yam_callback_service_t *services[] = {s_start(S_OPTIONS), s_start(S_OPTIONS)};
    //  More when an ack does not arrive, and what was stored comes again.
    CALLBACK_WAIT(services[0],
                  s_stats(services[0]).checks + s_stats(services[1]).checks >= 1000 &&
                      s_stats(services[0]).confirms + s_stats(services[1]).confirms >= 1000);
    CALLBACK_WAIT(services[0], s_count(0) == 0);
    assert_int_equal(s_stats(services[0]).calls + s_stats(services[1]).calls, 0);
    assert_int_equal(s_asked, 0);
    s_stop(&services[0]);
    s_stop(&services[1]);
}

static void
test_confirm_that_another_service_holds_is_waited_for(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_pull_t *other = yam_pull_new(s_yam, YAM_CALLBACK_CONFIRMS, s_endpoint);
    s_send_confirm("7", YAM_CONFIRM_DONE);
    yam_message_t *held = yam_pull_recv(other, S_TIMEOUT_MS);
    assert_non_null(held);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_check("7");
    CALLBACK_WAIT(service, s_stats(service).asked >= 10);
    assert_int_equal(s_stats(service).calls, 0);
    assert_int_equal(yam_pull_release(other, &held), 0);
    yam_pull_destroy(&other);
    CALLBACK_WAIT(service, s_count(0) == 0);
    assert_int_equal(s_stats(service).calls, 0);
    s_stop(&service);
}

static void
test_locked_database_holds_everything_up_and_loses_nothing(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS);
    s_send_confirm("3", YAM_CONFIRM_DONE);
    s_send_check("3");
    CALLBACK_WAIT(service,
                  s_stats(service).checks >= 1 && s_stats(service).confirms >= 1); //  it works
    sqlite3 *other;
    assert_int_equal(sqlite3_open(s_path, &other), SQLITE_OK);
    (void) sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    s_send_confirm("1", YAM_CONFIRM_DONE);
    s_send_check("1");
    s_send_check("2");
    CALLBACK_WAIT(service, s_stats(service).store_failures >= 2);
    assert_int_equal(s_stats(service).checks + s_stats(service).confirms, 2);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    CALLBACK_WAIT(service, s_stats(service).checks >= 3 && s_stats(service).confirms >= 2);
    CALLBACK_WAIT(service, s_stats(service).resent >= 1);
    assert_string_equal(s_last_id, "2");
    assert_int_equal(s_rounds_of[1], 0);
    s_stop(&service);
}

static void
test_database_that_is_readonly_or_full_holds_everything_up_and_loses_nothing(void **state)
{
    (void) state;
    static const char *const faults[][2] = {
        {"PRAGMA query_only = 1", "PRAGMA query_only = 0"},
        {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 100000"}};
    char reason[1024];
    memset(reason, 'x', sizeof reason);
    reason[sizeof reason - 1] = 0;
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, true);
    assert_non_null(store);
    sqlite3 *database = *(sqlite3 **) store->database; //  its first member
    yam_callback_service_t *service =
        yam_callback_service_new(s_yam, s_endpoint, &store, S_OPTIONS);
    assert_non_null(service);
    s_services[0] = service;
    for (unsigned fault = 0; fault < 2; fault++) {
        uint64_t failures = s_stats(service).store_failures;
        assert_int_equal(sqlite3_exec(database, faults[fault][0], NULL, NULL, NULL), SQLITE_OK);
        for (unsigned number = 0; number < 40; number++) { //  more than there is room for
            char id[16];
            (void) snprintf(id, sizeof id, "%u", 100 * fault + number);
            s_send_confirm_for(id, YAM_CONFIRM_FAILED, reason);
        }
        CALLBACK_WAIT(service, s_stats(service).store_failures >= failures + 2);
        assert_true(s_confirm_count() < 40 * (fault + 1));
        assert_int_equal(sqlite3_exec(database, faults[fault][1], NULL, NULL, NULL), SQLITE_OK);
        CALLBACK_WAIT(service, s_confirm_count() == 40 * (fault + 1));
    }
    s_stop(&service);
}

static void
test_two_services_call_once_for_each_case(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    const char *options = "delay=1h&call-timeout=60s";
    yam_callback_service_t *services[] = {s_start(options), s_start(options)};
    for (int number = 0; number < 200; number++) {
        char id[16];
        yam_case_t row = {.queue = "orders", .service = "shop"};
        (void) snprintf(id, sizeof id, "%d", number);
        (void) snprintf(row.id, sizeof row.id, "%s", id);
        yam_message_t *check = yami_callback_check_build(&row);
        assert_int_equal(yam_push_send_message(s_checks, &check), 0);
    }
    CALLBACK_WAIT(services[0], s_stats(services[0]).resent + s_stats(services[1]).resent >= 200);
    for (int number = 0; number < 200; number++) {
        assert_int_equal(s_rounds_of[number], 1);
    }
    assert_int_equal(s_stats(services[0]).stale + s_stats(services[1]).stale, 0);
    s_stop(&services[0]);
    s_stop(&services[1]);
}

static void
test_service_that_starts_anew_goes_on_with_what_was_under_way(void **state)
{
    (void) state;
    yam_callback_service_t *service = s_start("tries=1000&call-timeout=10ms&backoff=1ms");
    s_send_check("7");
    CALLBACK_WAIT(service, s_stats(service).calls >= 1);
    s_stop(&service);
    assert_int_equal(s_count(YAM_CASE_CALLING), 1);
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, false);
    assert_int_equal(yam_callback_store_retry(store, "7"), 0); //  people are quicker than its lease
    yam_callback_store_destroy(&store);
    service = s_start(S_OPTIONS);
    CALLBACK_WAIT(service, s_stats(service).resent >= 1);
    s_stop(&service);
}

static void
test_messages_that_are_none_go_to_the_dead_letters(void **state)
{
    (void) state;
    yam_callback_service_t *service = s_start(S_OPTIONS);
    assert_int_equal(yam_push_send(s_checks, "what?", 5), 0);
    assert_int_equal(yam_push_send(s_confirms, "what?", 5), 0);
    yam_pull_t *dead[] = {yam_pull_new(s_yam, YAM_CALLBACK_CHECKS ".dead", s_endpoint),
                          yam_pull_new(s_yam, YAM_CALLBACK_CONFIRMS ".dead", s_endpoint)};
    for (int index = 0; index < 2; index++) {
        yam_message_t *message = yam_pull_recv(dead[index], S_TIMEOUT_MS);
        assert_non_null(message);
        assert_non_null(strstr(yam_message_get(message, "yam-reason"), "malformed"));
        yam_message_destroy(&message);
        yam_pull_destroy(&dead[index]);
    }
    CALLBACK_WAIT(service, s_stats(service).malformed >= 2);
    s_stop(&service);
}

static void
test_expected_message_is_checked_before_it_is_sent(void **state)
{
    (void) state;
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    assert_int_equal(yam_callback_expect(s_producer, "7", S_TIMEOUT_MS), 0);
    yam_callback_service_t *service = s_start(S_OPTIONS); //  and the producer died here
    yam_message_t *message = yam_pull_recv(s_orders, S_TIMEOUT_MS);
    assert_non_null(message);
    assert_string_equal(yam_message_get(message, "id"), "7");
    yam_message_destroy(&message);
    s_stop(&service);
}

static void
test_what_cannot_be_sent_or_served_is_told(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("pay", 3);
    assert_int_equal(yam_callback_send(s_producer, &message), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(message);
    assert_int_equal(yam_callback_confirm(s_confirms, message), -1);
    assert_int_equal(errno, EINVAL);
    yam_message_destroy(&message);
    assert_int_equal(yam_callback_send(s_producer, &message), -1);
    assert_int_equal(yam_callback_expect(s_producer, "\xff", 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), 0);
    assert_int_equal(yam_callback_serve(s_producer, s_shop, NULL), -1);
    assert_int_equal(errno, EALREADY);
    assert_null(yam_callback_new(s_yam, "orders", "sh op", s_endpoint, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(yam_callback_new(s_yam, "orders", "shop", s_endpoint, "delay=0"));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_callback_options_help(), "delay"));
}

static void
test_service_without_a_relay_elsewhere_is_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {">tcp://127.0.0.1:1", "@tcp://127.0.0.1:*?relay=memory"};
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, true);
    for (int index = 0; index < 2; index++) {
        assert_null(yam_callback_service_new(s_yam, bad[index], &store, NULL));
        assert_int_equal(errno, EINVAL);
        assert_non_null(store);
    }
    assert_null(yam_callback_service_new(s_yam, s_endpoint, &store, "backoff=never"));
    assert_int_equal(errno, EINVAL);
    yam_callback_store_destroy(&store);
    yam_option_t option;
    assert_true(yam_callback_service_option(0, &option));
    assert_string_equal(option.name, "checks");
    assert_false(yam_callback_service_option(1000, &option));
    assert_non_null(strstr(yam_callback_service_options_help(), "retention"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define S_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)
        S_TEST(test_confirmed_message_calls_nobody_and_leaves_no_case),
        S_TEST(test_missing_confirm_has_the_message_resent_with_its_id_and_round),
        S_TEST(test_case_whose_call_is_due_while_there_is_no_relay_waits_and_loses_no_try),
        S_TEST(test_calls_of_many_services_wait_for_a_silent_relay_once),
        S_TEST(test_after_the_last_round_the_case_is_open_with_its_history),
        S_TEST(test_row_that_is_gone_ends_the_case),
        S_TEST(test_producer_that_cannot_say_costs_no_round),
        S_TEST(test_producer_that_is_not_there_is_called_until_it_is),
        S_TEST(test_service_was_down_a_thousand_wait_and_nobody_is_called),
        S_TEST(test_confirm_that_another_service_holds_is_waited_for),
        S_TEST(test_locked_database_holds_everything_up_and_loses_nothing),
        S_TEST(test_database_that_is_readonly_or_full_holds_everything_up_and_loses_nothing),
        S_TEST(test_two_services_call_once_for_each_case),
        S_TEST(test_service_that_starts_anew_goes_on_with_what_was_under_way),
        S_TEST(test_messages_that_are_none_go_to_the_dead_letters),
        S_TEST(test_expected_message_is_checked_before_it_is_sent),
        S_TEST(test_what_cannot_be_sent_or_served_is_told),
        S_TEST(test_service_without_a_relay_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
