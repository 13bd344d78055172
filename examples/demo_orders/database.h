//  database - SQLite as the services use it: whatever goes wrong ends the program.
#ifndef DATABASE_H
#define DATABASE_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yam.h>

static inline void
fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

//  Opens a database, and makes the tables that are not there yet.
static inline sqlite3 *
database_open(const char *path, const char *tables)
{
    sqlite3 *database = NULL;
    if (sqlite3_open(path, &database) != SQLITE_OK) {
        fail(path, sqlite3_errmsg(database));
    }
    yam_outbox_busy_timeout(database, 10000);
    if (sqlite3_exec(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_exec(database, tables, NULL, NULL, NULL) != SQLITE_OK) {
        fail(path, sqlite3_errmsg(database));
    }
    return database;
}

//  Runs one statement. The first column of its first row, 0 when there is no row.
static inline long long
database_run(sqlite3 *database, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    sqlite3_stmt *statement = NULL;
    long long number = 0;
    int code = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        number = sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement);
    }
    if (code != SQLITE_DONE) {
        fail(text, sqlite3_errmsg(database));
    }
    sqlite3_finalize(statement);
    sqlite3_free(text);
    return number;
}

#endif
