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
#define S_INT8 20 //  OID of bigint: pg_type.dat

typedef struct {
    PGconn *connection; //  owned
    bool is_inside;     //  of a transaction, which is gone when the connection is
} s_postgres_t;

//  Version 1.
static int
s_make_tables(PGconn *connection, const char *prefix, void *arg)
{
    const char *text;
    (void) prefix;
    (void) arg;
    for (size_t index = 0; (text = yam_callback_schema(index)) != NULL; index++) {
        if (yami_postgres_run(connection, "cannot make the callback tables", NULL, "%s", text) ==
            -1) {
            return -1;
        }
    }
    return 0;
}

static const yami_postgres_step_fn s_steps[] = {s_make_tables};
static const yami_postgres_schema_t s_schema = {"callback", s_steps, 1};

//  ---- Transactions

static void
s_rollback(void *arg)
{
    s_postgres_t *self = arg;
    self->is_inside = false;
    yami_postgres_rollback(self->connection);
}

//  One writer after the other.
static int
s_begin(void *arg)
{
    s_postgres_t *self = arg;
    self->is_inside = true;
    if (yami_postgres_begin(self->connection, "cannot begin a transaction") == -1 ||
        yami_postgres_wait_for_turn(self->connection, S_PREFIX) == -1) {
        s_rollback(self);
        return -1;
    }
    return 0;
}

static int
s_commit(void *arg)
{
    s_postgres_t *self = arg;
    self->is_inside = false;
    return yami_postgres_commit(self->connection, "cannot commit");
}

//  ---- Statements

static int
s_take(const PGresult *result, int row, yam_callback_row_fn take, void *arg)
{
    yam_callback_value_t columns[YAM_CALLBACK_VALUES] = {{0}};
    for (int column = 0; column < PQnfields(result) && column < YAM_CALLBACK_VALUES; column++) {
        if (PQftype(result, column) == S_INT8) {
            columns[column].number = yami_postgres_int(result, row, column);
        } else {
            columns[column].text = PQgetvalue(result, row, column); //  libpq ends it with a zero
        }
    }
    return take(arg, columns);
}

static int64_t
s_run(void *self_arg, const yam_callback_statement_t *statement, const yam_callback_value_t *values,
      yam_callback_row_fn take, void *arg)
{
    s_postgres_t *self = self_arg;
    yami_postgres_parameters_t parameters = {0};
    if (!self->is_inside && PQstatus(self->connection) != CONNECTION_OK) {
        PQreset(self->connection);
    }
    for (int index = 0; index < statement->parameter_count; index++) {
        if (values[index].text != NULL) {
            yami_postgres_add_text(&parameters, values[index].text);
        } else {
            yami_postgres_add_int(&parameters, values[index].number);
        }
    }
    if (take == NULL) {
        return yami_postgres_run(self->connection, statement->what, &parameters, "%s",
                                 statement->text);
    }
    PGresult *result =
        yami_postgres_query(self->connection, statement->what, &parameters, "%s", statement->text);
    bool goes_on = result != NULL;
    for (int row = 0; goes_on && row < PQntuples(result); row++) {
        goes_on = s_take(result, row, take, arg) == 0;
    }
    PQclear(result);
    return result != NULL ? 0 : -1;
}

//  ---- Life

static void
s_destroy(void *arg)
{
    s_postgres_t *self = arg;
    PQfinish(self->connection);
    free(self);
}

static const yam_callback_db_t s_db = {s_begin, s_commit, s_rollback, s_run, s_destroy};

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
