//  yam_inbox - claims in an SQLite database. See the headers and SPEC.md.
//
//  One table per shard, (id, fingerprint, time_ms) by primary key without a rowid, and an index by
//  time for pruning. Three statements per shard, prepared when first needed.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_inbox.h"
#include "yami_sqlite.h"

typedef struct {
    sqlite3_stmt *insert;
    sqlite3_stmt *find;
    sqlite3_stmt *prune;
} s_shard_t;

typedef struct {
    sqlite3 *database; //  borrowed: the application's
    char prefix[YAMI_SQLITE_PREFIX + 1];
    uint32_t shard_count;
    s_shard_t shards[YAMI_INBOX_SHARDS]; //  owned statements; NULL until used
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

//  Duplicate or conflict, of an id that is there. -1 with errno and a sentence.
static int
s_compare(s_inbox_t *self, s_shard_t *shard, const yami_inbox_claim_t *claim)
{
    (void) sqlite3_bind_text(shard->find, 1, claim->id, -1, SQLITE_STATIC);
    int verdict;
    if (sqlite3_step(shard->find) == SQLITE_ROW) {
        bool is_same = sqlite3_column_bytes(shard->find, 0) == YAMI_INBOX_FINGERPRINT &&
                       memcmp(sqlite3_column_blob(shard->find, 0), claim->fingerprint,
                              YAMI_INBOX_FINGERPRINT) == 0;
        verdict = is_same ? YAM_CLAIM_DUPLICATE : YAM_CLAIM_CONFLICT;
    } else {
        verdict = yami_sqlite_fail(self->database, "cannot look up a claim");
    }
    int error = errno;
    (void) sqlite3_reset(shard->find);
    errno = error;
    return verdict;
}

static int
s_claim(void *arg, const yami_inbox_claim_t *claim)
{
    s_inbox_t *self = arg;
    if (sqlite3_get_autocommit(self->database)) {
        return yami_fail(EPERM, "a claim needs the transaction of its effect (BEGIN first)");
    }
    s_shard_t *shard = s_shard(self, claim->shard);
    if (shard == NULL) {
        return -1;
    }
    (void) sqlite3_bind_text(shard->insert, 1, claim->id, -1, SQLITE_STATIC);
    (void) sqlite3_bind_blob(shard->insert, 2, claim->fingerprint, YAMI_INBOX_FINGERPRINT,
                             SQLITE_STATIC);
    (void) sqlite3_bind_int64(shard->insert, 3, claim->now_ms);
    if (s_step(self, shard->insert, "cannot claim a message") == -1) {
        return -1;
    }
    return sqlite3_changes(self->database) == 1 ? YAM_CLAIM_NEW : s_compare(self, shard, claim);
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
s_destroy(void *arg)
{
    s_inbox_t *self = arg;
    for (uint32_t shard = 0; shard < self->shard_count; shard++) {
        s_clear_shard(&self->shards[shard]);
    }
    yami_free(self);
}

static const yami_inbox_db_t s_db = {s_claim, s_prune, s_destroy};

//  The number of shards the tables were made with must be the one asked for: else an id would be
//  looked for where it is not.
static int
s_check_shards(sqlite3 *database, const yami_inbox_options_t *options)
{
    int64_t noted;
    if (yami_sqlite_meta(database, options->prefix, "shards", options->shards, &noted) == -1) {
        return -1;
    }
    if (noted != options->shards) {
        return yami_fail(EINVAL, "inbox %s was made with shards=%lld (give that)", options->prefix,
                         (long long) noted);
    }
    return 0;
}

yam_inbox_t *
yam_inbox_new(struct sqlite3 *database, const char *text)
{
    yami_inbox_options_t options;
    if (database == NULL) {
        (void) yami_fail(EINVAL, "an inbox needs an open database");
        return NULL;
    }
    if (yami_inbox_options_read(&options, text) == -1 ||
        yami_sqlite_migrate(database, &s_schema, options.prefix, &options.shards) == -1 ||
        s_check_shards(database, &options) == -1) {
        return NULL;
    }
    s_inbox_t *self = yami_alloc(sizeof *self);
    self->database = database;
    self->shard_count = (uint32_t) options.shards;
    memcpy(self->prefix, options.prefix, strlen(options.prefix) + 1);
    return yami_inbox_new(&s_db, self, &options);
}
