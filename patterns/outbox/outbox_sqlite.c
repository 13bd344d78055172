//  yam_outbox - its tables in an SQLite database: opening, transactions, and writing rows. See
//  yami_outbox_sqlite.h and SPEC.md.

#include <errno.h>
#include <string.h>
#include <time.h>

#include "yami_base.h"
#include "yami_outbox_sqlite.h"

#define S_BUSY_MS 5000 //  how long a dispatcher waits for another writer
//  SQLite's own waits grow to 100 ms, and the application's gaps are short
#define S_BUSY_STEP_US 200

//  '#' is the prefix. Of one lane the rows to be sent are found by an index that has no others.
static const char *const s_texts[YAMI_OUTBOX_SQL_STATEMENTS] = {
    [YAMI_OUTBOX_SQL_PUT] =
        "INSERT INTO # (lane, state, time_ms, record) SELECT lane, 0, ?1, ?2 FROM "
        "#_lane WHERE kind = ?3 AND channel = ?4",
    [YAMI_OUTBOX_SQL_LANE_COUNT] = "SELECT count(*) FROM #_lane",
    [YAMI_OUTBOX_SQL_LANE_NEW] = "INSERT INTO #_lane (kind, channel, epoch, next, assigned, owner, "
                                 "beat) VALUES (?1, ?2, 1, 1, 0, 0, 0)",
    [YAMI_OUTBOX_SQL_CHANGED] = "PRAGMA data_version",
    [YAMI_OUTBOX_SQL_LANES] =
        "SELECT lane, kind, channel, epoch, next, owner, beat, EXISTS (SELECT 1 FROM #_flight "
        "WHERE #_flight.lane = #_lane.lane) OR EXISTS (SELECT 1 FROM # INDEXED BY #_sending WHERE "
        "#.lane = #_lane.lane AND state = 0 AND id > assigned) AS work FROM #_lane WHERE work OR "
        "owner <> 0",
    [YAMI_OUTBOX_SQL_LANE] = "SELECT next, assigned, owner FROM #_lane WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_TAKE] =
        "UPDATE #_lane SET owner = ?1, beat = beat + 1 WHERE lane = ?2 AND owner "
        "= ?3 AND beat = ?4",
    [YAMI_OUTBOX_SQL_KEEP] = "UPDATE #_lane SET beat = beat + 1 WHERE owner = ?1",
    [YAMI_OUTBOX_SQL_RELEASE] = "UPDATE #_lane SET owner = 0 WHERE owner = ?1 AND lane = ?2",
    [YAMI_OUTBOX_SQL_RELEASE_ALL] = "UPDATE #_lane SET owner = 0 WHERE owner = ?1",
    [YAMI_OUTBOX_SQL_FLIGHTS] = "SELECT first, count, first_id, last_id, tries FROM #_flight WHERE "
                                "lane = ?1 AND first >= ?2 ORDER BY first LIMIT ?3",
    [YAMI_OUTBOX_SQL_OVERLAPS] =
        "SELECT first, count, first_id, last_id, tries FROM #_flight WHERE lane = ?1 AND first <= "
        "?3 AND first + count > ?2 ORDER BY first LIMIT 1",
    [YAMI_OUTBOX_SQL_FLIGHT_NEW] = "INSERT INTO #_flight (lane, first, count, first_id, last_id, "
                                   "tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [YAMI_OUTBOX_SQL_FLIGHT_GONE] = "DELETE FROM #_flight WHERE lane = ?1 AND first = ?2",
    [YAMI_OUTBOX_SQL_WAITING] =
        "SELECT id, length(record) FROM # INDEXED BY #_sending WHERE lane = ?1 "
        "AND state = 0 AND id > ?2 ORDER BY id LIMIT ?3",
    [YAMI_OUTBOX_SQL_ASSIGNED] = "UPDATE #_lane SET next = next + ?2, assigned = max(assigned, ?3) "
                                 "WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_READ] =
        "SELECT id, time_ms, record FROM # INDEXED BY #_sending WHERE lane = ?1 "
        "AND state = 0 AND id BETWEEN ?2 AND ?3 ORDER BY id LIMIT ?4 OFFSET ?5",
    [YAMI_OUTBOX_SQL_MARK] =
        "UPDATE # INDEXED BY #_sending SET state = 1 WHERE lane = ?1 AND state = "
        "0 AND id BETWEEN ?2 AND ?3",
    [YAMI_OUTBOX_SQL_DELETE_MARKED] =
        "DELETE FROM # INDEXED BY #_sending WHERE lane = ?1 AND state = "
        "0 AND id BETWEEN ?2 AND ?3",
    [YAMI_OUTBOX_SQL_TRIED] = "UPDATE #_flight SET tries = tries || ' ' || ?4 WHERE lane = ?1 AND "
                              "first BETWEEN ?2 AND ?3",
    [YAMI_OUTBOX_SQL_IDS] =
        "SELECT id FROM # INDEXED BY #_sending WHERE lane = ?1 AND state = 0 AND "
        "id BETWEEN ?2 AND ?3 ORDER BY id LIMIT ?4 OFFSET ?5",
    [YAMI_OUTBOX_SQL_STATE] = "UPDATE # SET state = ?2 WHERE id = ?1",
    [YAMI_OUTBOX_SQL_REASON_NEW] = "INSERT OR IGNORE INTO #_failed (id, status, time_ms, tries, "
                                   "reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    [YAMI_OUTBOX_SQL_REASON_GONE] = "DELETE FROM #_failed WHERE id = ?1",
    [YAMI_OUTBOX_SQL_FIRST_ID] = "SELECT min(first_id) FROM #_flight WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_RENUMBER] =
        "UPDATE #_lane SET epoch = ?2, next = 1, assigned = min(assigned, ?3) "
        "WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_FLIGHTS_GONE] = "DELETE FROM #_flight WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_FIND] = "SELECT state, #.lane, next, id <= assigned FROM # JOIN #_lane ON "
                             "#_lane.lane = #.lane WHERE id = ?1",
    [YAMI_OUTBOX_SQL_OLD] = "SELECT id, state, time_ms FROM # ORDER BY id",
    [YAMI_OUTBOX_SQL_REASONS_OLD] =
        "DELETE FROM #_failed WHERE id IN (SELECT #.id FROM #_failed JOIN "
        "# ON #.id = #_failed.id WHERE state = 3 AND #.time_ms < ?1)",
    [YAMI_OUTBOX_SQL_ROW_GONE] = "DELETE FROM # WHERE id = ?1",
};

//  -- Statements ----------------------------------------------------------------------------------

sqlite3_stmt *
yami_outbox_sqlite_start(yami_outbox_sqlite_t *self, yami_outbox_statement_t number, size_t count,
                         const int64_t *numbers)
{
    sqlite3_stmt **statement = &self->statements[number];
    if (*statement == NULL) {
        *statement = yami_sqlite_prepare_for(self->database, "cannot prepare the outbox",
                                             self->prefix, s_texts[number]);
    }
    if (*statement != NULL) {
        yami_sqlite_bind(*statement, count, numbers);
    }
    return *statement;
}

int64_t
yami_outbox_sqlite_run(yami_outbox_sqlite_t *self, yami_outbox_statement_t number, size_t count,
                       const int64_t *numbers)
{
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, number, count, numbers);
    if (statement == NULL ||
        yami_sqlite_finish(self->database, statement, "cannot change the outbox") == -1) {
        return -1;
    }
    return sqlite3_changes(self->database);
}

//  -- Opening -------------------------------------------------------------------------------------

//  Version 1: the tables, and the producer's id.
static int
s_make_tables(sqlite3 *database, const char *prefix, void *arg)
{
    (void) arg;
    int64_t halves[2];
    yami_random(halves, sizeof halves);
    const char *p = prefix;
    int64_t noted;
    return yami_sqlite_run(
               database, "cannot make the outbox's tables",
               "CREATE TABLE %s (id INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, "
               "state INTEGER NOT NULL, time_ms INTEGER NOT NULL, record BLOB NOT NULL);"
               "CREATE INDEX %s_sending ON %s (lane) WHERE state = 0;"
               "CREATE TABLE %s_lane (lane INTEGER PRIMARY KEY, kind INTEGER NOT NULL, channel "
               "TEXT NOT NULL, epoch INTEGER NOT NULL, next INTEGER NOT NULL, assigned INTEGER "
               "NOT NULL, owner INTEGER NOT NULL, beat INTEGER NOT NULL, UNIQUE (kind, channel));"
               "CREATE TABLE %s_flight (lane INTEGER NOT NULL, first INTEGER NOT NULL, count "
               "INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, tries TEXT "
               "NOT NULL, PRIMARY KEY (lane, first)) WITHOUT ROWID;"
               "CREATE TABLE %s_failed (id INTEGER PRIMARY KEY, status INTEGER NOT NULL, time_ms "
               "INTEGER NOT NULL, tries TEXT NOT NULL, reason TEXT NOT NULL)",
               p, p, p, p, p, p) == -1 ||
                   yami_sqlite_meta(database, prefix, "producer-1", halves[0], &noted) == -1 ||
                   yami_sqlite_meta(database, prefix, "producer-2", halves[1], &noted) == -1
               ? -1
               : 0;
}

static const yami_sqlite_step_fn s_steps[] = {s_make_tables};
static const yami_sqlite_schema_t s_schema = {"outbox", s_steps, 1};

static void *
s_open(void *connection, const char *prefix)
{
    if (yami_sqlite_migrate(connection, &s_schema, prefix, NULL) == -1) {
        return NULL;
    }
    yami_outbox_sqlite_t *self = yami_alloc(sizeof *self);
    self->database = connection;
    memcpy(self->prefix, prefix, strlen(prefix) + 1);
    return self;
}

//  Waits in short steps: who commits one transaction after the other leaves gaps that long waits
//  miss.
static int
s_wait_for_lock(void *arg, int count)
{
    (void) arg;
    struct timespec pause = {0, S_BUSY_STEP_US * 1000};
    (void) nanosleep(&pause, NULL);
    return count < S_BUSY_MS * 1000 / S_BUSY_STEP_US;
}

sqlite3 *
yami_outbox_sqlite_connect(const char *file)
{
    sqlite3 *database = NULL;
    int code = sqlite3_open_v2(file, &database, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) {
        (void) sqlite3_busy_handler(database, s_wait_for_lock, NULL);
        //  Sequences must be durable before they are used, whatever the application asks for its
        //  rows.
        code = sqlite3_exec(database, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        (void) yami_fail(ENOENT, "cannot open database %s: %s", file,
                         database != NULL ? sqlite3_errmsg(database) : "out of memory");
        (void) sqlite3_close(database);
        errno = ENOENT;
        return NULL;
    }
    return database;
}

static void
s_disconnect(void *connection)
{
    (void) sqlite3_close(connection);
}

static void
s_close(void *arg)
{
    yami_outbox_sqlite_t *self = arg;
    for (size_t index = 0; index < YAMI_OUTBOX_SQL_STATEMENTS; index++) {
        (void) sqlite3_finalize(self->statements[index]);
    }
    yami_free(self);
}

//  -- Transactions --------------------------------------------------------------------------------

static bool
s_is_inside(void *arg)
{
    const yami_outbox_sqlite_t *self = arg;
    return !sqlite3_get_autocommit(self->database);
}

static int
s_begin(void *arg)
{
    const yami_outbox_sqlite_t *self = arg;
    return yami_sqlite_run(self->database, "cannot change the outbox", "BEGIN IMMEDIATE");
}

static void
s_rollback(void *arg)
{
    const yami_outbox_sqlite_t *self = arg;
    int error = errno;
    if (!sqlite3_get_autocommit(self->database)) { //  a full disk may have rolled back by itself
        (void) sqlite3_exec(self->database, "ROLLBACK", NULL, NULL, NULL);
    }
    errno = error;
}

static int
s_commit(void *arg)
{
    const yami_outbox_sqlite_t *self = arg;
    if (yami_sqlite_run(self->database, "cannot commit to the outbox", "COMMIT") == -1) {
        s_rollback(arg);
        return -1;
    }
    return 0;
}

//  -- Rows ----------------------------------------------------------------------------------------

static int
s_producer(void *arg, uint8_t producer[YAM_OUTBOX_PRODUCER])
{
    const yami_outbox_sqlite_t *self = arg;
    int64_t halves[2];
    if (yami_sqlite_meta(self->database, self->prefix, "producer-1", 0, &halves[0]) == -1 ||
        yami_sqlite_meta(self->database, self->prefix, "producer-2", 0, &halves[1]) == -1) {
        return -1;
    }
    memcpy(producer, halves, sizeof halves);
    return 0;
}

//  The lane of a channel that has none. 0, or -1.
static int
s_add_lane(yami_outbox_sqlite_t *self, int kind, const char *channel)
{
    sqlite3_stmt *count = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_LANE_COUNT, 0, NULL);
    if (count == NULL || yami_sqlite_next(self->database, count, "cannot count channels") == -1) {
        return -1;
    }
    bool is_full = sqlite3_column_int64(count, 0) >= YAM_OUTBOX_LANES;
    (void) sqlite3_reset(count);
    if (is_full) {
        return yami_fail(ENOSPC, "outbox %s has %d channels already (use another prefix)",
                         self->prefix, YAM_OUTBOX_LANES);
    }
    sqlite3_stmt *insert =
        yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_LANE_NEW, 1, (const int64_t[]) {kind});
    if (insert == NULL) {
        return -1;
    }
    (void) sqlite3_bind_text(insert, 2, channel, -1, SQLITE_TRANSIENT);
    return yami_sqlite_finish(self->database, insert, "cannot add a channel to the outbox");
}

static int64_t
s_put(void *arg, int kind, const char *channel, int64_t time_ms, const void *record, size_t size)
{
    yami_outbox_sqlite_t *self = arg;
    for (int round = 0; round < 2; round++) {
        sqlite3_stmt *insert = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_PUT, 1, &time_ms);
        if (insert == NULL) {
            return -1;
        }
        (void) sqlite3_bind_blob64(insert, 2, record, size, SQLITE_STATIC);
        (void) sqlite3_bind_int(insert, 3, kind);
        (void) sqlite3_bind_text(insert, 4, channel, -1, SQLITE_STATIC);
        if (yami_sqlite_finish(self->database, insert, "cannot write to the outbox") == -1) {
            return -1;
        }
        if (sqlite3_changes(self->database) == 1) {
            return sqlite3_last_insert_rowid(self->database);
        }
        if (s_add_lane(self, kind, channel) == -1) {
            return -1;
        }
    }
    return yami_fail(EBADMSG, "the outbox's channels cannot be found again");
}

const yam_outbox_db_t yami_outbox_sqlite = {
    .open = s_open,
    .close = s_close,
    .disconnect = s_disconnect,
    .is_inside = s_is_inside,
    .begin = s_begin,
    .commit = s_commit,
    .rollback = s_rollback,
    .producer = s_producer,
    .put = s_put,
    .changed = yami_outbox_sqlite_changed,
    .lanes = yami_outbox_sqlite_lanes,
    .take = yami_outbox_sqlite_take,
    .keep = yami_outbox_sqlite_keep,
    .release = yami_outbox_sqlite_release,
    .flights = yami_outbox_sqlite_flights,
    .assign = yami_outbox_sqlite_assign,
    .read = yami_outbox_sqlite_read,
    .delivered = yami_outbox_sqlite_delivered,
    .tried = yami_outbox_sqlite_tried,
    .failed = yami_outbox_sqlite_failed,
    .renumber = yami_outbox_sqlite_renumber,
    .rows = yami_outbox_sqlite_rows,
    .retry = yami_outbox_sqlite_retry,
    .cancel = yami_outbox_sqlite_cancel,
    .prune = yami_outbox_sqlite_prune,
};
