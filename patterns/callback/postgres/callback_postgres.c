//  yam_callback_postgres - confirms and cases in a PostgreSQL database. See the header and SPEC.md.

#include "yam_callback_postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yam_postgres.h"
#include "yami_postgres.h"

#define S_PREFIX "yam_callback"
#define S_TEXT 25 //  OID of text, whose binary form are its bytes
#define S_CASE                                                                                     \
    "id, state, round, call, tries, due_ms, delay_ms, first_ms, changed_ms, queue, service"

typedef struct {
    PGconn *connection; //  owned
} s_postgres_t;

//  Version 1.
static int
s_make_tables(PGconn *connection, const char *prefix, void *arg)
{
    static const char *const texts[] = {
        "CREATE TABLE %s_confirms (id text PRIMARY KEY, outcome bigint NOT NULL, round bigint NOT "
        "NULL, time_ms bigint NOT NULL, reason text NOT NULL)",
        "CREATE INDEX ON %s_confirms (time_ms)",
        "CREATE TABLE %s_cases (id text PRIMARY KEY, state bigint NOT NULL, round bigint NOT NULL, "
        "call bigint NOT NULL, tries bigint NOT NULL, due_ms bigint NOT NULL, delay_ms bigint NOT "
        "NULL, first_ms bigint NOT NULL, changed_ms bigint NOT NULL, queue text NOT NULL, service "
        "text NOT NULL)",
        "CREATE INDEX ON %s_cases (state, due_ms)",
        "CREATE INDEX ON %s_cases (state, changed_ms)",
        "CREATE TABLE %s_history (id text NOT NULL, number bigint NOT NULL, time_ms bigint NOT "
        "NULL, round bigint NOT NULL, event text NOT NULL, text text NOT NULL, PRIMARY KEY (id, "
        "number))",
    };
    char text[600];
    (void) arg;
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        const char *place = strstr(texts[index], "%s");
        (void) snprintf(text, sizeof text, "%.*s%s%s", (int) (place - texts[index]), texts[index],
                        prefix, place + 2);
        if (yami_postgres_run(connection, "cannot make the callback tables", NULL, "%s", text) ==
            -1) {
            return -1;
        }
    }
    return 0;
}

static const yami_postgres_step_fn s_steps[] = {s_make_tables};
static const yami_postgres_schema_t s_schema = {"callback", s_steps, 1};

//  ---- Statements

static void
s_add_text(yami_postgres_parameters_t *parameters, const char *text)
{
    yami_postgres_add_bytes(parameters, text, strlen(text));
    parameters->types[parameters->count - 1] = S_TEXT;
}

static int
s_run(s_postgres_t *self, const char *what, const yami_postgres_parameters_t *parameters,
      const char *text)
{
    return yami_postgres_run(self->connection, what, parameters, "%s", text) == -1 ? -1 : 0;
}

static void
s_copy_text(const PGresult *result, int row, int column, char *text, size_t size)
{
    (void) snprintf(text, size, "%.*s", PQgetlength(result, row, column),
                    PQgetvalue(result, row, column));
}

//  A row of S_CASE.
static void
s_copy_case(const PGresult *result, int at, yam_case_t *row)
{
    s_copy_text(result, at, 0, row->id, sizeof row->id);
    row->state = (int) yami_postgres_int(result, at, 1);
    row->round = (uint32_t) yami_postgres_int(result, at, 2);
    row->call = (uint32_t) yami_postgres_int(result, at, 3);
    row->try_count = (uint32_t) yami_postgres_int(result, at, 4);
    row->due_ms = yami_postgres_int(result, at, 5);
    row->delay_ms = yami_postgres_int(result, at, 6);
    row->first_ms = yami_postgres_int(result, at, 7);
    row->changed_ms = yami_postgres_int(result, at, 8);
    s_copy_text(result, at, 9, row->queue, sizeof row->queue);
    s_copy_text(result, at, 10, row->service, sizeof row->service);
}

//  ---- Transactions

//  Makes a lost connection anew. 0, or -1.
static int
s_connect(s_postgres_t *self)
{
    if (PQstatus(self->connection) != CONNECTION_OK) {
        PQreset(self->connection);
    }
    return PQstatus(self->connection) == CONNECTION_OK
               ? 0
               : yami_postgres_fail(self->connection, NULL, "cannot reach the database");
}

static int
s_begin(void *arg)
{
    s_postgres_t *self = arg;
    return yami_postgres_begin(self->connection, "cannot begin a transaction") == -1
               ? -1
               : yami_postgres_wait_for_turn(self->connection, S_PREFIX);
}

static int
s_commit(void *arg)
{
    s_postgres_t *self = arg;
    return yami_postgres_commit(self->connection, "cannot commit");
}

static void
s_rollback(void *arg)
{
    s_postgres_t *self = arg;
    yami_postgres_rollback(self->connection);
}

//  ---- Rows

static int
s_read(void *arg, const char *id, yam_case_t *row, yam_case_confirm_t *confirm)
{
    s_postgres_t *self = arg;
    yami_postgres_parameters_t parameters = {0};
    s_add_text(&parameters, id);
    memset(row, 0, sizeof *row);
    memset(confirm, 0, sizeof *confirm);
    PGresult *result =
        yami_postgres_query(self->connection, "cannot read a case", &parameters,
                            "SELECT " S_CASE " FROM " S_PREFIX "_cases WHERE id = $1");
    if (result == NULL) {
        return -1;
    }
    if (PQntuples(result) == 1) {
        s_copy_case(result, 0, row);
    }
    PQclear(result);
    result = yami_postgres_query(self->connection, "cannot read a confirm", &parameters,
                                 "SELECT outcome, round, time_ms, reason FROM " S_PREFIX
                                 "_confirms WHERE id = $1");
    if (result == NULL) {
        return -1;
    }
    if (PQntuples(result) == 1) {
        (void) snprintf(confirm->id, sizeof confirm->id, "%s", id);
        confirm->outcome = (int) yami_postgres_int(result, 0, 0);
        confirm->round = (uint32_t) yami_postgres_int(result, 0, 1);
        confirm->time_ms = yami_postgres_int(result, 0, 2);
        s_copy_text(result, 0, 3, confirm->reason, sizeof confirm->reason);
    }
    PQclear(result);
    return 0;
}

static int
s_write_case(void *arg, const yam_case_t *row)
{
    yami_postgres_parameters_t parameters = {0};
    const int64_t numbers[] = {row->state,  row->round,    row->call,     row->try_count,
                               row->due_ms, row->delay_ms, row->first_ms, row->changed_ms};
    s_add_text(&parameters, row->id);
    for (int index = 0; index < 8; index++) {
        yami_postgres_add_int(&parameters, numbers[index]);
    }
    s_add_text(&parameters, row->queue);
    s_add_text(&parameters, row->service);
    return s_run(arg, "cannot write a case", &parameters,
                 "INSERT INTO " S_PREFIX "_cases (" S_CASE ") VALUES ($1, $2, $3, $4, $5, $6, $7, "
                 "$8, $9, $10, $11) ON CONFLICT (id) DO UPDATE SET state = $2, round = $3, call = "
                 "$4, tries = $5, due_ms = $6, delay_ms = $7, first_ms = $8, changed_ms = $9, "
                 "queue = $10, service = $11");
}

static int
s_drop_case(void *arg, const char *id)
{
    yami_postgres_parameters_t parameters = {0};
    s_add_text(&parameters, id);
    return s_run(arg, "cannot drop a case", &parameters,
                 "DELETE FROM " S_PREFIX "_history WHERE id = $1") == -1 ||
                   s_run(arg, "cannot drop a case", &parameters,
                         "DELETE FROM " S_PREFIX "_cases WHERE id = $1") == -1
               ? -1
               : 0;
}

static int
s_write_confirm(void *arg, const yam_case_confirm_t *confirm)
{
    yami_postgres_parameters_t parameters = {0};
    s_add_text(&parameters, confirm->id);
    yami_postgres_add_int(&parameters, confirm->outcome);
    yami_postgres_add_int(&parameters, confirm->round);
    yami_postgres_add_int(&parameters, confirm->time_ms);
    s_add_text(&parameters, confirm->reason);
    return s_run(arg, "cannot write a confirm", &parameters,
                 "INSERT INTO " S_PREFIX "_confirms (id, outcome, round, time_ms, reason) VALUES "
                 "($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET outcome = $2, round = $3, "
                 "time_ms = $4, reason = $5");
}

static int
s_write_note(void *arg, const char *id, const yam_case_note_t *note)
{
    yami_postgres_parameters_t parameters = {0};
    s_add_text(&parameters, id);
    yami_postgres_add_int(&parameters, note->time_ms);
    yami_postgres_add_int(&parameters, note->round);
    s_add_text(&parameters, note->event);
    s_add_text(&parameters, note->text);
    return s_run(
        arg, "cannot write a case's history", &parameters,
        "INSERT INTO " S_PREFIX "_history (id, number, time_ms, round, event, text) SELECT "
        "$1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5 FROM " S_PREFIX "_history WHERE id = $1");
}

//  ---- Walks

//  Takes over result; NULL is a failure.
static int
s_walk_cases(PGresult *result, yam_case_t *row, yam_case_fn visit, void *arg)
{
    if (result == NULL) {
        return -1;
    }
    for (int at = 0; at < PQntuples(result); at++) {
        s_copy_case(result, at, row);
        if (visit(arg) != 0) {
            break;
        }
    }
    PQclear(result);
    return 0;
}

static int
s_walk(void *self_arg, int state, int64_t limit, yam_case_t *row, yam_case_fn visit, void *arg)
{
    s_postgres_t *self = self_arg;
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_int(&parameters, state);
    yami_postgres_add_int(&parameters, limit);
    return s_connect(self) == -1
               ? -1
               : s_walk_cases(yami_postgres_query(self->connection, "cannot read cases",
                                                  &parameters,
                                                  "SELECT " S_CASE " FROM " S_PREFIX
                                                  "_cases WHERE $1 IN (0, state) ORDER BY "
                                                  "changed_ms DESC, id LIMIT $2"),
                              row, visit, arg);
}

static int
s_walk_due(void *self_arg, int state, int64_t now_ms, int64_t skew_ms, int64_t limit,
           yam_case_t *row, yam_case_fn visit, void *arg)
{
    s_postgres_t *self = self_arg;
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_int(&parameters, state);
    yami_postgres_add_int(&parameters, limit);
    yami_postgres_add_int(&parameters, now_ms);
    yami_postgres_add_int(&parameters, skew_ms);
    return s_connect(self) == -1
               ? -1
               : s_walk_cases(yami_postgres_query(
                                  self->connection, "cannot read cases", &parameters,
                                  "SELECT " S_CASE " FROM " S_PREFIX
                                  "_cases WHERE state = $1 AND (due_ms <= $3 OR changed_ms > $4) "
                                  "ORDER BY due_ms, id LIMIT $2"),
                              row, visit, arg);
}

static int
s_history(void *self_arg, const char *id, yam_case_note_t *note, yam_case_fn visit, void *arg)
{
    s_postgres_t *self = self_arg;
    yami_postgres_parameters_t parameters = {0};
    s_add_text(&parameters, id);
    PGresult *result = yami_postgres_query(self->connection, "cannot read history", &parameters,
                                           "SELECT time_ms, round, event, text FROM " S_PREFIX
                                           "_history WHERE id = $1 ORDER BY number");
    if (result == NULL) {
        return -1;
    }
    for (int at = 0; at < PQntuples(result); at++) {
        note->time_ms = yami_postgres_int(result, at, 0);
        note->round = (uint32_t) yami_postgres_int(result, at, 1);
        s_copy_text(result, at, 2, note->event, sizeof note->event);
        s_copy_text(result, at, 3, note->text, sizeof note->text);
        if (visit(arg) != 0) {
            break;
        }
    }
    PQclear(result);
    return 0;
}

#define S_ENDED                                                                                    \
    "ANY (ARRAY (SELECT id FROM " S_PREFIX "_cases WHERE state IN (4, 5, 6) AND changed_ms < $1 "  \
    "ORDER BY changed_ms, id LIMIT $2))"

static int64_t
s_prune(void *arg, int64_t time_ms, int64_t limit)
{
    static const char *const texts[] = {
        "DELETE FROM " S_PREFIX "_confirms WHERE id = ANY (ARRAY (SELECT id FROM " S_PREFIX
        "_confirms WHERE time_ms < $1 ORDER BY time_ms LIMIT $2))",
        "DELETE FROM " S_PREFIX "_history WHERE id = " S_ENDED,
        "DELETE FROM " S_PREFIX "_cases WHERE id = " S_ENDED,
    };
    s_postgres_t *self = arg;
    yami_postgres_parameters_t parameters = {0};
    int64_t counts[3];
    yami_postgres_add_int(&parameters, time_ms);
    yami_postgres_add_int(&parameters, limit);
    for (int index = 0; index < 3; index++) {
        counts[index] = yami_postgres_run(self->connection, "cannot forget what is old",
                                          &parameters, "%s", texts[index]);
        if (counts[index] == -1) {
            return -1;
        }
    }
    return counts[0] + counts[2];
}

//  ---- Life

static void
s_destroy(void *arg)
{
    s_postgres_t *self = arg;
    PQfinish(self->connection);
    free(self);
}

static const yam_callback_db_t s_db = {
    .begin = s_begin,
    .commit = s_commit,
    .rollback = s_rollback,
    .read = s_read,
    .write_case = s_write_case,
    .drop_case = s_drop_case,
    .write_confirm = s_write_confirm,
    .write_note = s_write_note,
    .walk = s_walk,
    .walk_due = s_walk_due,
    .history = s_history,
    .prune = s_prune,
    .destroy = s_destroy,
};

//  A database that is somebody else's stays as it is. 0, or -1 with errno ENOENT.
static int
s_check_tables(PGconn *connection)
{
    PGresult *result =
        yami_postgres_query(connection, "cannot find the tables of a callback service", NULL,
                            "SELECT value FROM %s_meta", S_PREFIX);
    PQclear(result);
    return result != NULL ? 0 : -1;
}

yam_callback_store_t *
yam_callback_store_postgres(const char *uri, bool may_create)
{
    s_postgres_t *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void) yam_error_set(ENOMEM, "no memory for a database");
        return NULL;
    }
    self->connection = yam_postgres_open(uri);
    if (self->connection == NULL || (!may_create && s_check_tables(self->connection) == -1) ||
        yami_postgres_migrate(self->connection, &s_schema, S_PREFIX, NULL) == -1) {
        int error = errno;
        s_destroy(self);
        errno = error;
        return NULL;
    }
    return yam_callback_store_new(&s_db, self);
}
