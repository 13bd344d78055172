/*  SQLite: WAL, synchronous=FULL, 64 MiB of cache, statements prepared once; with an inbox, and
    bare. */
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "inbox_driver.h"
#include "yam_inbox.h"

typedef struct {
    yam_inbox_t *inbox; //  NULL: bare
    sqlite3 *database;
    sqlite3_stmt *insert;
} s_sqlite_t;

static void
s_run(void *arg, const char *text)
{
    s_sqlite_t *self = arg;
    if (sqlite3_exec(self->database, text, NULL, NULL, NULL) != SQLITE_OK) {
        bench_fail("sqlite: %s: %s", text, sqlite3_errmsg(self->database));
    }
}

static s_sqlite_t *
s_open(const char *path)
{
    s_sqlite_t *self = calloc(1, sizeof *self);
    if (sqlite3_open(path, &self->database) != SQLITE_OK) {
        bench_fail("sqlite: %s", sqlite3_errmsg(self->database));
    }
    s_run(self, "PRAGMA journal_mode = WAL");
    s_run(self, "PRAGMA synchronous = FULL");
    s_run(self, "PRAGMA cache_size = -65536");
    s_run(self, "PRAGMA wal_autocheckpoint = 10000");
    return self;
}

static void *
s_open_inbox(const char *path, const char *options)
{
    s_sqlite_t *self = s_open(path);
    self->inbox = bench_inbox_opened(yam_inbox_new(self->database, options));
    return self;
}

static void *
s_open_bare(const char *path, const char *options)
{
    (void) options;
    s_sqlite_t *self = s_open(path);
    s_run(self, "CREATE TABLE IF NOT EXISTS seen (id TEXT NOT NULL PRIMARY KEY, fingerprint BLOB "
                "NOT NULL, time_ms INTEGER NOT NULL) WITHOUT ROWID");
    (void) sqlite3_prepare_v2(self->database,
                              "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", -1,
                              &self->insert, NULL);
    return self;
}

static size_t
s_claim_bare(void *arg, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
             size_t count)
{
    (void) messages;
    s_sqlite_t *self = arg;
    size_t new_count = 0;
    for (size_t index = 0; index < count; index++) {
        (void) sqlite3_bind_text(self->insert, 1, ids[index], -1, SQLITE_STATIC);
        (void) sqlite3_bind_blob(self->insert, 2, ids[index], 32, SQLITE_STATIC);
        (void) sqlite3_bind_int64(self->insert, 3, (int64_t) time(NULL) * 1000);
        if (sqlite3_step(self->insert) != SQLITE_DONE) {
            bench_fail("sqlite: %s", sqlite3_errmsg(self->database));
        }
        new_count += (size_t) sqlite3_changes(self->database);
        (void) sqlite3_reset(self->insert);
    }
    return new_count;
}

static void
s_close(void *arg)
{
    s_sqlite_t *self = arg;
    yam_inbox_destroy(&self->inbox);
    (void) sqlite3_finalize(self->insert);
    (void) sqlite3_close(self->database);
    free(self);
}

const bench_inbox_t bench_inbox_yam_sqlite = {.name = "yam-sqlite",
                                              .begin = "BEGIN IMMEDIATE",
                                              .open = s_open_inbox,
                                              .run = s_run,
                                              .claim = bench_inbox_claim,
                                              .close = s_close};
const bench_inbox_t bench_inbox_sqlite = {.name = "sqlite",
                                          .begin = "BEGIN IMMEDIATE",
                                          .open = s_open_bare,
                                          .run = s_run,
                                          .claim = s_claim_bare,
                                          .close = s_close};
