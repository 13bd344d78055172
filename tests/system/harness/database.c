//  database - see the header.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "database.h"
#include "yam_error.h"
#include "yam_postgres.h"

server_t database_server;
PGconn *database;

bool
database_start(void)
{
    //  Nobody but the test makes transactions: it counts them.
    static const char *const options[] = {"autovacuum=off", NULL};
    server_init(&database_server, "postgres");
    return server_start(&database_server, options);
}

int
database_stop(int failed)
{
    server_stop(&database_server);
    return failed;
}

static void
s_ignore_notice(void *arg, const char *message)
{
    (void) arg;
    (void) message;
}

PGconn *
database_connect(void)
{
    PGconn *connection = yam_postgres_open(database_server.uri);
    if (connection == NULL) {
        fail_msg("%s", yam_error());
    }
    (void) PQsetNoticeProcessor(connection, s_ignore_notice, NULL);
    return connection;
}

void
database_setup(void)
{
    database = database_connect();
    //  A case that failed left its transactions open.
    database_run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type "
                 "= 'client backend' AND pid <> pg_backend_pid()");
    database_run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

void
database_reconnect(void)
{
    PQfinish(database);
    database = database_connect();
}

void
database_run_on(PGconn *connection, const char *text)
{
    PGresult *result = PQexec(connection, text);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", text, PQerrorMessage(connection));
    }
}

void
database_run(const char *text)
{
    database_run_on(database, text);
}

int64_t
database_number(const char *query)
{
    PGresult *result = PQexec(database, query);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        fail_msg("%s: %s", query, PQerrorMessage(database));
    }
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

void
database_end(PGconn *connection)
{
    char text[64];
    PGconn *other = database_connect();
    (void) snprintf(text, sizeof text, "SELECT pg_terminate_backend(%d, 10000)",
                    PQbackendPID(connection));
    database_run_on(other, text);
    PQfinish(other);
}
