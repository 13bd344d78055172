//  Where the outbox is that a command looks after. See the header.

#include <stdbool.h>
#include <stdio.h>

#include "cli.h"
#include "outbox_source.h"
#include "yam_outbox_postgres.h"
#include "yam_postgres.h"

#define S_BUSY_MS 5000

//  Looking at an outbox makes none: the database may be another program's.
static int
s_complain_none(const char *prefix)
{
    return cli_complain(EX_UNAVAILABLE,
                        "the database has no outbox '%s' (is it the right one? see --prefix)",
                        prefix);
}

static bool
s_has_table(sqlite3 *database, const char *prefix)
{
    sqlite3_stmt *statement = NULL;
    bool has_table =
        sqlite3_prepare_v2(database,
                           "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 || "
                           "'_lane' COLLATE NOCASE",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW;
    (void) sqlite3_finalize(statement);
    return has_table;
}

static bool
s_has_table_there(PGconn *connection, const char *prefix)
{
    PGresult *result = PQexecParams(connection, "SELECT to_regclass($1 || '_lane') IS NOT NULL", 1,
                                    NULL, &prefix, NULL, NULL, 0);
    bool has_table = PQresultStatus(result) == PGRES_TUPLES_OK && *PQgetvalue(result, 0, 0) == 't';
    PQclear(result);
    return has_table;
}

//  An outbox at a server. EX_OK, or an exit code after a complaint.
static int
s_connect(cli_outbox_t *self, const char *uri, const char *prefix, const char *options)
{
    self->connection = yam_postgres_open(uri);
    if (self->connection == NULL) {
        return cli_complain_errno();
    }
    if (!s_has_table_there(self->connection, prefix)) {
        return s_complain_none(prefix);
    }
    self->outbox = yam_outbox_postgres_new(self->connection, options);
    return EX_OK;
}

//  The same in a file.
static int
s_open_file(cli_outbox_t *self, const char *file, const char *prefix, const char *options)
{
    if (sqlite3_open_v2(file, &self->database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        return cli_complain(EX_NOINPUT, "cannot open database %s: %s", file,
                            sqlite3_errmsg(self->database));
    }
    (void) sqlite3_busy_timeout(self->database, S_BUSY_MS);
    if (!s_has_table(self->database, prefix)) {
        return s_complain_none(prefix);
    }
    self->outbox = yam_outbox_new(self->database, options);
    return EX_OK;
}

int
cli_outbox_open(cli_outbox_t *self, const char *database, const char *prefix)
{
    char options[80];
    (void) snprintf(options, sizeof options, "prefix=%s", prefix);
    int exit_code = yam_postgres_is_uri(database) ? s_connect(self, database, prefix, options)
                                                  : s_open_file(self, database, prefix, options);
    if (exit_code == EX_OK && self->outbox == NULL) {
        exit_code = cli_complain_errno();
    }
    if (exit_code != EX_OK) {
        cli_outbox_close(self);
    }
    return exit_code;
}

void
cli_outbox_close(cli_outbox_t *self)
{
    yam_outbox_destroy(&self->outbox);
    (void) sqlite3_close(self->database);
    PQfinish(self->connection);
    *self = (cli_outbox_t) {NULL, NULL, NULL};
}
