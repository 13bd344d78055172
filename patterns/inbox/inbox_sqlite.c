//  yam_inbox - claims in an SQLite database. See the headers and SPEC.md.
//
//  One table per shard, (id, fingerprint, time_ms) by primary key without a rowid, and an index by
//  time for pruning. Three statements per shard, prepared when first needed.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yam_inbox_db.h"
#include "yami_base.h"
#include "yami_planted.h"
#include "yami_sqlite.h"

#define S_BUSY_MS 1000 //  how long a pruner waits for another writer, and its end for it

typedef struct {
    sqlite3_stmt *insert;
    sqlite3_stmt *find;
    sqlite3_stmt *prune;
} s_shard_t;

typedef struct {
    sqlite3 *database; //  borrowed: the application's
    char prefix[YAM_INBOX_PREFIX + 1];
    uint32_t shard_count;
    s_shard_t shards[YAM_INBOX_SHARDS]; //  owned statements; NULL until used
} s_inbox_t;

//  Version 1: the tables. arg is how many.
static int
s_make_tables(sqlite3 *database, const char *prefix, void *arg)
{
    const char *what = "cannot make the inbox's tables";
    int64_t shards = *(const int64_t *) arg;
    int64_t noted;
    if (yami_sqlite_meta(database, prefix, "shards", shards, &noted) == -1) {
        return -1;
    }
    for (int shard = 0; shard < (int) noted; shard++) {
        if (yami_sqlite_run(
                database, what,
                "CREATE TABLE %s_%d (id TEXT NOT NULL PRIMARY KEY, fingerprint BLOB NOT "
                "NULL, time_ms INTEGER NOT NULL) WITHOUT ROWID;"
                "CREATE INDEX %s_%d_time ON %s_%d (time_ms)",
                prefix, shard, prefix, shard, prefix, shard) == -1) {
            return -1;
        }
    }
    return 0;
}

static const yami_sqlite_step_fn s_steps[] = {s_make_tables};
static const yami_sqlite_schema_t s_schema = {"inbox", s_steps, 1};

static void
s_clear_shard(s_shard_t *shard)
{
    (void) sqlite3_finalize(shard->insert);
    (void) sqlite3_finalize(shard->find);
    (void) sqlite3_finalize(shard->prune);
    *shard = (s_shard_t) {0};
}

//  The statements of a shard, prepared. NULL with errno and a sentence.
static s_shard_t *
s_shard(s_inbox_t *self, uint32_t number)
{
    YAM_ASSERT(number < self->shard_count);
    s_shard_t *shard = &self->shards[number];
    if (shard->prune != NULL) {
        return shard;
    }
    const char *what = "cannot prepare the inbox";
    const char *prefix = self->prefix;
    shard->insert = yami_sqlite_prepare(self->database, what,
                                        "INSERT INTO %s_%u VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                                        prefix, number);
    shard->find = yami_sqlite_prepare(self->database, what,
                                      "SELECT fingerprint FROM %s_%u WHERE id = ?", prefix, number);
    shard->prune = yami_sqlite_prepare(self->database, what,
                                       "DELETE FROM %s_%u WHERE id IN (SELECT id FROM %s_%u WHERE "
                                       "time_ms < ? ORDER BY time_ms LIMIT ?)",
                                       prefix, number, prefix, number);
    if (shard->insert == NULL || shard->find == NULL || shard->prune == NULL) {
        int error = errno;
        s_clear_shard(shard);
        errno = error;
        return NULL;
    }
    return shard;
}

//  Runs a bound statement that gives no row, and makes it ready again. 0, or -1.
static int
s_step(s_inbox_t *self, sqlite3_stmt *statement, const char *what)
{
    int code = sqlite3_step(statement);
    int rc = code == SQLITE_DONE ? 0 : yami_sqlite_fail(self->database, what);
    int error = errno;
    (void) sqlite3_reset(statement);
    errno = error;
    return rc;
}

//  Duplicate or conflict, of an id that is there. 0, or -1 with errno and a sentence.
static int
s_compare(s_inbox_t *self, s_shard_t *shard, yam_inbox_entry_t *entry)
{
    (void) sqlite3_bind_text(shard->find, 1, entry->id, (int) entry->id_size, SQLITE_STATIC);
    int rc = 0;
    if (sqlite3_step(shard->find) == SQLITE_ROW) {
        bool is_same = sqlite3_column_bytes(shard->find, 0) == YAM_INBOX_FINGERPRINT &&
                       memcmp(sqlite3_column_blob(shard->find, 0), entry->fingerprint,
                              YAM_INBOX_FINGERPRINT) == 0;
        entry->verdict = is_same ? YAM_CLAIM_DUPLICATE : YAM_CLAIM_CONFLICT;
    } else {
        rc = yami_sqlite_fail(self->database, "cannot look up a claim");
    }
    int error = errno;
    (void) sqlite3_reset(shard->find);
    errno = error;
    return rc;
}

static int
s_claim_one(s_inbox_t *self, s_shard_t *shard, yam_inbox_entry_t *entry, int64_t now_ms)
{
    (void) sqlite3_bind_text(shard->insert, 1, entry->id, (int) entry->id_size, SQLITE_STATIC);
    (void) sqlite3_bind_blob(shard->insert, 2, entry->fingerprint, YAM_INBOX_FINGERPRINT,
                             SQLITE_STATIC);
    (void) sqlite3_bind_int64(shard->insert, 3, now_ms);
    if (s_step(self, shard->insert, "cannot claim a message") == -1) {
        return -1;
    }
    entry->verdict = YAM_CLAIM_NEW;
    return sqlite3_changes(self->database) == 1 ? 0 : s_compare(self, shard, entry);
}

static int
s_claim(void *arg, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    s_inbox_t *self = arg;
    if (sqlite3_get_autocommit(self->database) && !YAMI_PLANTED(CLAIM_OUTSIDE)) {
        return yami_fail(EPERM, "a claim needs the transaction of its effect (BEGIN first)");
    }
    s_shard_t *shard = s_shard(self, entries[0]->shard);
    if (shard == NULL) {
        return -1;
    }
    for (size_t index = 0; index < count; index++) {
        if (s_claim_one(self, shard, entries[index], now_ms) == -1) {
            return -1;
        }
    }
    return 0;
}

static int64_t
s_prune(void *arg, uint32_t number, int64_t time_ms, int64_t limit)
{
    s_inbox_t *self = arg;
    s_shard_t *shard = s_shard(self, number);
    if (shard == NULL) {
        return -1;
    }
    (void) sqlite3_bind_int64(shard->prune, 1, time_ms);
    (void) sqlite3_bind_int64(shard->prune, 2, limit);
    if (s_step(self, shard->prune, "cannot forget old claims") == -1) {
        return -1;
    }
    return sqlite3_changes(self->database);
}

static void
s_close(void *arg)
{
    s_inbox_t *self = arg;
    for (uint32_t shard = 0; shard < self->shard_count; shard++) {
        s_clear_shard(&self->shards[shard]);
    }
    yami_free(self);
}

//  The number of shards the tables were made with must be the one asked for: else an id would be
//  looked for where it is not.
static int
s_check_shards(sqlite3 *database, const yam_inbox_settings_t *settings)
{
    int64_t noted;
    if (yami_sqlite_meta(database, settings->prefix, "shards", settings->shard_count, &noted) ==
        -1) {
        return -1;
    }
    if (noted != settings->shard_count) {
        return yami_fail(EINVAL, "inbox %s was made with shards=%lld (give that)", settings->prefix,
                         (long long) noted);
    }
    return 0;
}

static void *
s_open(void *connection, const yam_inbox_settings_t *settings)
{
    sqlite3 *database = connection;
    int64_t shard_count = settings->shard_count;
    if (yami_sqlite_migrate(database, &s_schema, settings->prefix, &shard_count) == -1 ||
        s_check_shards(database, settings) == -1) {
        return NULL;
    }
    s_inbox_t *self = yami_alloc(sizeof *self);
    self->database = database;
    self->shard_count = (uint32_t) shard_count;
    memcpy(self->prefix, settings->prefix, sizeof self->prefix);
    return self;
}

static void *
s_connect(const char *file)
{
    sqlite3 *database = yami_sqlite_connect(file);
    if (database != NULL) {
        (void) sqlite3_busy_timeout(database, S_BUSY_MS);
    }
    return database;
}

static void
s_disconnect(void *connection)
{
    (void) sqlite3_close(connection);
}

static const yam_inbox_db_t s_db = {.open = s_open,
                                    .claim = s_claim,
                                    .prune = s_prune,
                                    .close = s_close,
                                    .connect = s_connect,
                                    .disconnect = s_disconnect};

yam_inbox_t *
yam_inbox_new(struct sqlite3 *database, const char *options)
{
    return yam_inbox_new_over(&s_db, database, options);
}

yam_pruner_t *
yam_pruner_new(const char *file, const char *inbox_options, const char *options)
{
    return yam_pruner_new_over(&s_db, file, inbox_options, options);
}
