/*  SQLite: WAL, synchronous=FULL, a table of blobs by number, statements prepared once, one
    transaction per group. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"

typedef struct {
    sqlite3 *database;
    sqlite3_stmt *insert;
    sqlite3_stmt *erase;
    sqlite3_stmt *select;
    bool is_open; //  a transaction
} sqlite_t;

static void
s_check(const sqlite_t *self, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        bench_fail("sqlite: %s", sqlite3_errmsg(self->database));
    }
}

static void
s_execute(const sqlite_t *self, const char *statement)
{
    s_check(self, sqlite3_exec(self->database, statement, NULL, NULL, NULL));
}

static void
s_begin(sqlite_t *self)
{
    if (!self->is_open) {
        s_execute(self, "BEGIN IMMEDIATE");
        self->is_open = true;
    }
}

static void *
s_open(const char *directory, uint64_t keep_bytes)
{
    char path[4200];
    sqlite_t *self = calloc(1, sizeof *self);
    (void) keep_bytes; //  it grows as it needs to, and uses free pages again
    snprintf(path, sizeof path, "%s/store.sqlite", directory);
    s_check(self, sqlite3_open(path, &self->database));
    s_execute(self,
              "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
              "PRAGMA locking_mode = EXCLUSIVE;"
              "CREATE TABLE blobs (number INTEGER PRIMARY KEY, blob BLOB)");
    s_check(self, sqlite3_prepare_v2(self->database, "INSERT INTO blobs VALUES (?, ?)", -1,
                                     &self->insert, NULL));
    s_check(self, sqlite3_prepare_v2(self->database, "DELETE FROM blobs WHERE number < ?", -1,
                                     &self->erase, NULL));
    s_check(self, sqlite3_prepare_v2(self->database, "SELECT blob FROM blobs WHERE number = ?", -1,
                                     &self->select, NULL));
    return self;
}

static void
s_close(void *arg)
{
    sqlite_t *self = arg;
    sqlite3_finalize(self->insert);
    sqlite3_finalize(self->erase);
    sqlite3_finalize(self->select);
    s_check(self, sqlite3_close(self->database));
    free(self);
}

static void
s_append(void *arg, uint64_t index, void *blob, size_t size)
{
    sqlite_t *self = arg;
    s_begin(self);
    s_check(self, sqlite3_bind_int64(self->insert, 1, (int64_t) index));
    s_check(self, sqlite3_bind_blob(self->insert, 2, blob, (int) size, SQLITE_STATIC));
    s_check(self, sqlite3_step(self->insert));
    s_check(self, sqlite3_reset(self->insert));
    s_check(self, sqlite3_clear_bindings(self->insert));
    free(blob);
}

static void
s_trim(void *arg, uint64_t floor)
{
    sqlite_t *self = arg;
    s_begin(self);
    s_check(self, sqlite3_bind_int64(self->erase, 1, (int64_t) floor));
    s_check(self, sqlite3_step(self->erase));
    s_check(self, sqlite3_reset(self->erase));
}

static void
s_commit(void *arg)
{
    sqlite_t *self = arg;
    s_begin(self);
    s_execute(self, "COMMIT");
    self->is_open = false;
}

static bool
s_read(void *arg, uint64_t index, void *blob, size_t size)
{
    sqlite_t *self = arg;
    s_check(self, sqlite3_bind_int64(self->select, 1, (int64_t) index));
    bool was_read = sqlite3_step(self->select) == SQLITE_ROW &&
                    sqlite3_column_bytes(self->select, 0) == (int) size;
    if (was_read) {
        memcpy(blob, sqlite3_column_blob(self->select, 0), size);
    }
    s_check(self, sqlite3_reset(self->select));
    return was_read;
}

const bench_store_t bench_store_sqlite = {.name = "sqlite-wal",
                                          .open = s_open,
                                          .close = s_close,
                                          .append = s_append,
                                          .trim = s_trim,
                                          .commit = s_commit,
                                          .read = s_read};
