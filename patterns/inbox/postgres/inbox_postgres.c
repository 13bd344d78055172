//  yam_inbox_postgres - claims in a PostgreSQL database. See the header and SPEC.md.
//
//  A batch is one statement, whatever its size: two arrays go in, the ids that are new come out. A
//  second one looks up those that are not.

#include "yam_inbox_postgres.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yam_inbox_db.h"
#include "yam_postgres.h"
#include "yami_postgres.h"

#define S_LOCK_MS 1000 //  how long a pruner waits for a lock on a table, and its end for it

typedef struct {
    PGconn *connection; //  borrowed: the application's
    char prefix[YAM_INBOX_PREFIX + 1];
    yami_postgres_array_t ids; //  of the statement that is running
    yami_postgres_array_t fingerprints;
} s_inbox_t;

//  Version 1: the tables. arg is how many.
static int
s_make_tables(PGconn *connection, const char *prefix, void *arg)
{
    const char *what = "cannot make the inbox's tables";
    int64_t noted;
    if (yami_postgres_meta(connection, prefix, "shards", *(const int64_t *) arg, &noted) == -1) {
        return -1;
    }
    for (int shard = 0; shard < (int) noted; shard++) {
        if (yami_postgres_run(connection, what, NULL,
                              "CREATE TABLE %s_%d (id bytea PRIMARY KEY, fingerprint bytea NOT "
                              "NULL, time_ms bigint NOT NULL)",
                              prefix, shard) == -1 ||
            yami_postgres_run(connection, what, NULL, "CREATE INDEX %s_%d_time ON %s_%d (time_ms)",
                              prefix, shard, prefix, shard) == -1) {
            return -1;
        }
    }
    return 0;
}

static const yami_postgres_step_fn s_steps[] = {s_make_tables};
static const yami_postgres_schema_t s_schema = {"inbox", s_steps, 1};

//  ---- Claiming

typedef struct {
    const char *id;
    size_t size;
} s_key_t;

//  For bsearch, in the order that entries have.
static int
s_compare(const void *key_p, const void *entry_p)
{
    const s_key_t *key = key_p;
    const yam_inbox_entry_t *entry = *(yam_inbox_entry_t *const *) entry_p;
    size_t size = key->size < entry->id_size ? key->size : entry->id_size;
    int order = memcmp(key->id, entry->id, size);
    return order != 0 ? order : (key->size > entry->id_size) - (key->size < entry->id_size);
}

//  The entry whose id stands in the first column of a row; NULL for one that was not asked for.
static yam_inbox_entry_t *
s_find(const PGresult *result, int row, yam_inbox_entry_t *const *entries, size_t count)
{
    s_key_t key = {PQgetvalue(result, row, 0), (size_t) PQgetlength(result, row, 0)};
    yam_inbox_entry_t *const *found = bsearch(&key, entries, count, sizeof(void *), s_compare);
    return found ? *found : NULL;
}

//  Writes what is not there; all others are DUPLICATE so far. How many are new, or -1.
static int64_t
s_insert(s_inbox_t *self, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_array_clear(&self->ids);
    yami_postgres_array_clear(&self->fingerprints);
    for (size_t index = 0; index < count; index++) {
        yam_inbox_entry_t *entry = entries[index];
        entry->verdict = YAM_CLAIM_DUPLICATE;
        yami_postgres_array_append(&self->ids, entry->id, entry->id_size);
        yami_postgres_array_append(&self->fingerprints, entry->fingerprint, YAM_INBOX_FINGERPRINT);
    }
    if (yami_postgres_add_array(&parameters, &self->ids) == -1 ||
        yami_postgres_add_array(&parameters, &self->fingerprints) == -1) {
        return -1;
    }
    yami_postgres_add_int(&parameters, now_ms);
    PGresult *result = yami_postgres_query(
        self->connection, "cannot claim a message", &parameters,
        "INSERT INTO %s_%u SELECT id, fingerprint, $3 FROM unnest($1, $2) AS new (id, fingerprint) "
        "ON CONFLICT DO NOTHING RETURNING id",
        self->prefix, entries[0]->shard);
    if (result == NULL) {
        return -1;
    }
    int64_t new_count = PQntuples(result);
    for (int row = 0; row < new_count; row++) {
        yam_inbox_entry_t *entry = s_find(result, row, entries, count);
        if (entry != NULL) {
            entry->verdict = YAM_CLAIM_NEW;
        }
    }
    PQclear(result);
    return new_count;
}

static void
s_compare_fingerprint(const PGresult *result, int row, yam_inbox_entry_t *entry)
{
    bool is_same =
        PQgetlength(result, row, 1) == YAM_INBOX_FINGERPRINT &&
        memcmp(PQgetvalue(result, row, 1), entry->fingerprint, YAM_INBOX_FINGERPRINT) == 0;
    entry->verdict = is_same ? YAM_CLAIM_DUPLICATE : YAM_CLAIM_CONFLICT;
}

//  Tells conflicts from duplicates among what was there, old_count in number. 0, or -1.
static int
s_look_up(s_inbox_t *self, yam_inbox_entry_t *const *entries, size_t count, int64_t old_count)
{
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_array_clear(&self->ids);
    for (size_t index = 0; index < count; index++) {
        if (entries[index]->verdict != YAM_CLAIM_NEW) {
            yami_postgres_array_append(&self->ids, entries[index]->id, entries[index]->id_size);
        }
    }
    if (yami_postgres_add_array(&parameters, &self->ids) == -1) {
        return -1;
    }
    PGresult *result = yami_postgres_query(self->connection, "cannot look up a claim", &parameters,
                                           "SELECT id, fingerprint FROM %s_%u WHERE id = ANY($1)",
                                           self->prefix, entries[0]->shard);
    if (result == NULL) {
        return -1;
    }
    int found = PQntuples(result);
    for (int row = 0; row < found; row++) {
        yam_inbox_entry_t *entry = s_find(result, row, entries, count);
        if (entry != NULL) {
            s_compare_fingerprint(result, row, entry);
        }
    }
    PQclear(result);
    return found == old_count ? 0
                              : yam_error_set(EAGAIN, "a claim was forgotten while it was looked "
                                                      "up (roll back and try again)");
}

static int
s_claim(void *arg, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    s_inbox_t *self = arg;
    if (yami_postgres_check_transaction(self->connection, "a claim") == -1) {
        return -1;
    }
    int64_t new_count = s_insert(self, entries, count, now_ms);
    if (new_count == -1) {
        return -1;
    }
    int64_t old_count = (int64_t) count - new_count;
    return old_count == 0 ? 0 : s_look_up(self, entries, count, old_count);
}

//  What another transaction is forgetting already is left to it: claims must not wait for that.
static int64_t
s_prune(void *arg, uint32_t shard, int64_t time_ms, int64_t limit)
{
    s_inbox_t *self = arg;
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_int(&parameters, time_ms);
    yami_postgres_add_int(&parameters, limit);
    return yami_postgres_run(self->connection, "cannot forget old claims", &parameters,
                             "DELETE FROM %s_%u WHERE id = ANY (ARRAY (SELECT id FROM %s_%u WHERE "
                             "time_ms < $1 ORDER BY time_ms LIMIT $2 FOR UPDATE SKIP LOCKED))",
                             self->prefix, shard, self->prefix, shard);
}

//  ---- Life

static void
s_close(void *arg)
{
    s_inbox_t *self = arg;
    yami_postgres_array_free(&self->ids);
    yami_postgres_array_free(&self->fingerprints);
    free(self);
}

//  The number of shards the tables were made with must be the one asked for: else an id would be
//  looked for where it is not.
static int
s_check_shards(PGconn *connection, const yam_inbox_settings_t *settings)
{
    int64_t noted;
    if (yami_postgres_meta(connection, settings->prefix, "shards", settings->shard_count, &noted) ==
        -1) {
        return -1;
    }
    if (noted != settings->shard_count) {
        return yami_postgres_error(EINVAL, "inbox %s was made with shards=%lld (give that)",
                                   settings->prefix, (long long) noted);
    }
    return 0;
}

static void *
s_open(void *connection, const yam_inbox_settings_t *settings)
{
    int64_t shard_count = settings->shard_count;
    if (yami_postgres_migrate(connection, &s_schema, settings->prefix, &shard_count) == -1 ||
        s_check_shards(connection, settings) == -1) {
        return NULL;
    }
    s_inbox_t *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void) yam_error_set(ENOMEM, "no memory for an inbox");
        return NULL;
    }
    self->connection = connection;
    memcpy(self->prefix, settings->prefix, sizeof self->prefix);
    return self;
}

static void
s_disconnect(void *connection)
{
    PQfinish(connection);
}

static void *
s_connect(const char *uri)
{
    PGconn *connection = yam_postgres_open(uri);
    if (connection != NULL && yami_postgres_run(connection, "cannot set up the pruner", NULL,
                                                "SET lock_timeout = %d", S_LOCK_MS) == -1) {
        int error = errno;
        PQfinish(connection);
        errno = error;
        return NULL;
    }
    return connection;
}

static const yam_inbox_db_t s_db = {.open = s_open,
                                    .claim = s_claim,
                                    .prune = s_prune,
                                    .close = s_close,
                                    .connect = s_connect,
                                    .disconnect = s_disconnect};

yam_inbox_t *
yam_inbox_postgres_new(struct pg_conn *connection, const char *options)
{
    return yam_inbox_new_over(&s_db, connection, options);
}

yam_pruner_t *
yam_pruner_postgres_new(const char *uri, const char *inbox_options, const char *options)
{
    return yam_pruner_new_over(&s_db, uri, inbox_options, options);
}
