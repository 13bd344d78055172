//  A producer and a consumer with a database each, for test_callback_faults.py, which kills them:
//
//      second_check produce DATABASE ENDPOINT [hasty]     until stdin ends; then it only answers
//      second_check consume DATABASE ENDPOINT [hasty]
//
//  What happens to message N is decided by N % 5. The oracle reads both databases. A hasty one does
//  its steps in an order that loses something, which the oracle must find. In the environment
//  DELAY_MS [1000] says how long after a message its check is due; CERTIFICATE is for CURVE.

#include <poll.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YAMI_FAILPOINTS //  of the steps that are the application's own

#include "yam_callback.h"
#include "yam_error.h"
#include "yam_inbox.h"
#include "yam_pull.h"
#include "yami_base.h"
#include "yami_failpoint.h"

#define S_PAUSE_MS 15 //  between messages
#define S_KINDS 5

enum {
    S_DONE = 0,        //  done and confirmed at once
    S_LOST = 1,        //  acknowledged and forgotten; done when it is resent
    S_NEVER = 2,       //  never done
    S_FAILS = 3,       //  failed at first; done when it is resent
    S_ROLLED_BACK = 4, //  expected, and never committed
};

static int64_t s_delay_ms;
static atomic_int_fast64_t s_current; //  the number whose transaction may still commit

static void
s_must(bool is_well)
{
    if (!is_well) {
        (void) fprintf(stderr, "second_check: %s\n", yam_error());
        abort();
    }
}

//  Runs a statement with up to two numbers; returns the number it gives, 0 for none.
static int64_t
s_run(sqlite3 *database, const char *text, int64_t one, int64_t two)
{
    sqlite3_stmt *statement;
    int64_t number = 0;
    s_must(sqlite3_prepare_v2(database, text, -1, &statement, NULL) == SQLITE_OK);
    (void) sqlite3_bind_int64(statement, 1, one);
    (void) sqlite3_bind_int64(statement, 2, two);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        number = sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement);
    }
    if (code != SQLITE_DONE) {
        (void) fprintf(stderr, "second_check: %s: %s\n", text, sqlite3_errmsg(database));
        abort();
    }
    (void) sqlite3_finalize(statement);
    return number;
}

//  Nothing here loses power, so nothing has to be synced.
static sqlite3 *
s_open(const char *path)
{
    sqlite3 *database;
    s_must(sqlite3_open(path, &database) == SQLITE_OK);
    (void) sqlite3_busy_timeout(database, 30000);
    s_must(sqlite3_exec(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", NULL, NULL,
                        NULL) == SQLITE_OK);
    return database;
}

static yam_t *
s_yam(void)
{
    yam_t *yam = yam_new();
    const char *certificate = getenv("CERTIFICATE");
    if (certificate != NULL && *certificate != 0) {
        s_must(yam_set_certificate(yam, certificate) == 0);
    }
    return yam;
}

//  -- The producer ------------------------------------------------------------------------------

//  Reads the business row again. What is not there, and may still be committed, is not gone.
static yam_callback_answer_t
s_answer(void *arg, const yam_callback_case_ref_t *ref, yam_message_t **message_p, char *note,
         size_t note_size)
{
    sqlite3 *database = arg;
    int64_t number = strtoll(ref->id, NULL, 10);
    (void) s_run(database, "INSERT INTO call (id, round) VALUES (?, ?)", number, ref->round);
    if (atomic_load(&s_current) == number) {
        return YAM_CALLBACK_LATER;
    }
    if (s_run(database, "SELECT count(*) FROM business WHERE id = ?", number, 0) == 0) {
        (void) snprintf(note, note_size, "no row");
        return YAM_CALLBACK_GONE;
    }
    *message_p = yam_message_new("pay", 3);
    return YAM_CALLBACK_RESEND;
}

static void
s_produce_one(sqlite3 *database, yam_callback_t *producer, int64_t number, bool is_hasty)
{
    char id[24];
    yam_message_t *message = yam_message_new("pay", 3);
    (void) snprintf(id, sizeof id, "%lld", (long long) number);
    s_must(yam_message_set(message, "id", id) == 0);
    (void) s_run(database, "INSERT INTO plan (id, due_ms) VALUES (?, ?)", number,
                 yami_clock_wall_ms() + s_delay_ms);
    if (!is_hasty) {
        s_must(yam_callback_expect(producer, id, -1) == 0);
        (void) s_run(database, "UPDATE plan SET expected = 1 WHERE id = ?", number, 0);
    }
    (void) s_run(database, "BEGIN IMMEDIATE", 0, 0);
    (void) s_run(database, "INSERT INTO business (id) VALUES (?)", number, 0);
    YAMI_FAILPOINT("row");
    if (number % S_KINDS == S_ROLLED_BACK) {
        (void) s_run(database, "ROLLBACK", 0, 0);
        yam_message_destroy(&message);
        return;
    }
    (void) s_run(database, "COMMIT", 0, 0);
    s_must((is_hasty ? yam_callback_send(producer, &message)
                     : yam_callback_send_expected(producer, &message)) == 0);
}

static void
s_produce(const char *path, const char *endpoint, bool is_hasty)
{
    yam_t *yam = s_yam();
    sqlite3 *database = s_open(path);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char options[64];
    const char *delay = getenv("DELAY_MS");
    s_delay_ms = delay != NULL ? strtoll(delay, NULL, 10) : 1000;
    (void) snprintf(options, sizeof options, "delay=%lld", (long long) s_delay_ms);
    s_must(sqlite3_exec(database,
                        "CREATE TABLE IF NOT EXISTS plan (id INTEGER PRIMARY KEY, due_ms, expected "
                        "DEFAULT 0); CREATE TABLE IF NOT EXISTS business (id INTEGER PRIMARY KEY); "
                        "CREATE TABLE IF NOT EXISTS call (id, round)",
                        NULL, NULL, NULL) == SQLITE_OK);
    yam_callback_t *producer = yam_callback_new(yam, "orders", "shop", endpoint, options);
    s_must(producer != NULL && yam_callback_serve(producer, s_answer, s_open(path)) == 0);
    int64_t number = s_run(database, "SELECT max(id) FROM plan", 0, 0);
    while (poll(&input, 1, S_PAUSE_MS) == 0) {
        atomic_store(&s_current, ++number);
        s_produce_one(database, producer, number, is_hasty);
        atomic_store(&s_current, 0);
    }
    s_must(yam_callback_flush(producer, -1) == 0);
    (void) puts("quiet");
    (void) fflush(stdout);
    (void) poll(NULL, 0, -1); //  it answers until it is killed
}

//  -- The consumer ------------------------------------------------------------------------------

typedef struct {
    sqlite3 *database;
    yam_inbox_t *inbox;
    yam_push_t *confirms;
    yam_pull_t *orders;
    bool is_hasty;
} s_consumer_t;

static void
s_ack(const s_consumer_t *self, yam_message_t **message_p)
{
    (void) yam_pull_ack(self->orders, message_p); //  stale: it comes again
    YAMI_FAILPOINT("settled");
}

//  Confirms until the relay has it, notes when it had, and acknowledges.
static void
s_confirm(const s_consumer_t *self, yam_message_t **message_p, int64_t number)
{
    s_must(yam_callback_confirm(self->confirms, *message_p) == 0 &&
           yam_push_flush(self->confirms, -1) == 0);
    YAMI_FAILPOINT("safe");
    (void) s_run(self->database, "INSERT OR IGNORE INTO confirmed (id, time_ms) VALUES (?, ?)",
                 number, yami_clock_wall_ms());
    s_ack(self, message_p);
}

//  The effect, once: in the transaction of its claim. Its confirm comes after it, and once more
//  when it is a duplicate: whoever had the effect may have died before it confirmed.
static void
s_work(const s_consumer_t *self, yam_message_t **message_p, int64_t number)
{
    (void) s_run(self->database, "BEGIN IMMEDIATE", 0, 0);
    int claim = yam_inbox_claim(self->inbox, *message_p);
    s_must(claim == YAM_CLAIM_NEW || claim == YAM_CLAIM_DUPLICATE);
    YAMI_FAILPOINT("claimed");
    if (self->is_hasty) {
        s_confirm(self, message_p, number);
    }
    if (claim == YAM_CLAIM_NEW) {
        (void) s_run(self->database, "INSERT INTO effect (id) VALUES (?)", number, 0);
    }
    YAMI_FAILPOINT("effect");
    (void) s_run(self->database, "COMMIT", 0, 0);
    YAMI_FAILPOINT("done");
    if (!self->is_hasty) {
        s_confirm(self, message_p, number);
    }
}

static void
s_handle(const s_consumer_t *self, yam_message_t **message_p)
{
    int64_t number = strtoll(yam_message_get(*message_p, "id"), NULL, 10);
    bool is_resent = yam_message_get(*message_p, "yam-round") != NULL;
    YAMI_FAILPOINT("received");
    if (number % S_KINDS == S_DONE || (number % S_KINDS != S_NEVER && is_resent)) {
        s_work(self, message_p, number);
        return;
    }
    if (number % S_KINDS == S_FAILS) {
        s_must(yam_callback_confirm_failed(self->confirms, *message_p, "no stock") == 0);
    }
    s_ack(self, message_p);
}

static void
s_consume(const char *path, const char *endpoint, bool is_hasty)
{
    yam_t *yam = s_yam();
    s_consumer_t self = {.database = s_open(path), .is_hasty = is_hasty};
    s_must(sqlite3_exec(self.database,
                        "CREATE TABLE IF NOT EXISTS effect (id); CREATE TABLE IF NOT EXISTS "
                        "confirmed (id INTEGER PRIMARY KEY, time_ms)",
                        NULL, NULL, NULL) == SQLITE_OK);
    self.inbox = yam_inbox_new(self.database, NULL);
    self.confirms = yam_push_new(yam, YAM_CALLBACK_CONFIRMS, endpoint);
    self.orders = yam_pull_new(yam, "orders", endpoint);
    s_must(self.inbox != NULL && self.confirms != NULL && self.orders != NULL);
    while (true) {
        yam_message_t *message = yam_pull_recv(self.orders, -1);
        s_must(message != NULL);
        s_handle(&self, &message);
    }
}

int
main(int argc, char **argv)
{
    bool is_hasty = argc == 5 && strcmp(argv[4], "hasty") == 0;
    if (argc >= 4 && strcmp(argv[1], "produce") == 0) {
        s_produce(argv[2], argv[3], is_hasty);
    } else if (argc >= 4 && strcmp(argv[1], "consume") == 0) {
        s_consume(argv[2], argv[3], is_hasty);
    }
    (void) fprintf(stderr, "usage: second_check produce|consume DATABASE ENDPOINT [hasty]\n");
    return 64;
}
