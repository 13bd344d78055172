//  yam_outbox - its tables in an SQLite database: opening, transactions, and writing rows. See
//  yami_outbox_sqlite.h and SPEC.md.

#include <errno.h>
#include <string.h>
#include <time.h>

#include "yam_outbox.h"
#include "yami_base.h"
#include "yami_outbox_sqlite.h"

#define S_BUSY_MS 5000 //  how long a dispatcher waits for another writer
//  SQLite's own waits grow to 100 ms, and the application's gaps are short
#define S_BUSY_STEP_US 200

//  '#' is the prefix. What is to be sent is found by its lane; rows are written once and never
//  again.
static const char *const s_texts[YAMI_OUTBOX_SQL_STATEMENTS] = {
    [YAMI_OUTBOX_SQL_PUT] = "INSERT INTO #_row (lane, time_ms, record) VALUES ((SELECT lane FROM "
                            "#_lane WHERE kind = ?3 AND channel = ?4), ?1, ?2)",
    [YAMI_OUTBOX_SQL_LANE_COUNT] = "SELECT count(*) FROM #_lane",
    [YAMI_OUTBOX_SQL_LANE_NEW] = "INSERT INTO #_lane (kind, channel, epoch, next, assigned, owner, "
                                 "beat) VALUES (?1, ?2, 1, 1, 0, 0, 0)",
    [YAMI_OUTBOX_SQL_CHANGED] = "PRAGMA data_version",
    [YAMI_OUTBOX_SQL_LANES] =
        "SELECT lane, kind, channel, epoch, next, owner, beat, EXISTS (SELECT 1 FROM #_flight w "
        "WHERE w.lane = l.lane) OR EXISTS (SELECT 1 FROM #_row p WHERE p.lane = l.lane AND p.id > "
        "l.assigned AND NOT EXISTS (SELECT 1 FROM #_failed f WHERE f.id = p.id)) AS work FROM "
        "#_lane l WHERE work OR owner <> 0",
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
    [YAMI_OUTBOX_SQL_FLIGHT_MOVE] = "UPDATE #_flight SET first = ?3 WHERE lane = ?1 AND first = ?2",
    [YAMI_OUTBOX_SQL_WAITING] =
        "SELECT p.id, length(p.record), f.id FROM #_row p LEFT JOIN #_failed f ON f.id = p.id "
        "WHERE p.lane = ?1 AND p.id > ?2 ORDER BY p.id",
    [YAMI_OUTBOX_SQL_CANCELLED] = "SELECT 1 FROM #_failed WHERE id BETWEEN ?1 AND ?2 LIMIT 1",
    [YAMI_OUTBOX_SQL_ASSIGNED] = "UPDATE #_lane SET next = next + ?2, assigned = max(assigned, ?3) "
                                 "WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_READ] =
        "SELECT id, time_ms, record FROM #_row WHERE lane = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY "
        "id LIMIT ?4 OFFSET ?5",
    [YAMI_OUTBOX_SQL_ROWS_GONE] = "DELETE FROM #_row WHERE lane = ?1 AND id BETWEEN ?2 AND ?3",
    [YAMI_OUTBOX_SQL_TRIED] = "UPDATE #_flight SET tries = tries || ' ' || ?4 WHERE lane = ?1 AND "
                              "first BETWEEN ?2 AND ?3",
    [YAMI_OUTBOX_SQL_IDS] = "SELECT id FROM #_row WHERE lane = ?1 AND id BETWEEN ?2 AND ?3 ORDER "
                            "BY id LIMIT ?4 OFFSET ?5",
    [YAMI_OUTBOX_SQL_REASON_NEW] =
        "INSERT INTO #_failed (id, state, status, time_ms, tries, reason) VALUES (?1, ?2, ?3, ?4, "
        "?5, ?6) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
    [YAMI_OUTBOX_SQL_REASON_GONE] = "DELETE FROM #_failed WHERE id = ?1",
    [YAMI_OUTBOX_SQL_NEW_EPOCH] = "UPDATE #_lane SET epoch = ?2, next = ?3 WHERE lane = ?1",
    [YAMI_OUTBOX_SQL_FIND] =
        "SELECT p.state, p.lane, l.next, p.id <= l.assigned FROM # p JOIN #_lane l ON l.lane = "
        "p.lane WHERE p.id = ?1",
    [YAMI_OUTBOX_SQL_OLD] = "SELECT id, state, time_ms FROM # ORDER BY id",
    [YAMI_OUTBOX_SQL_ROW_GONE] = "DELETE FROM #_row WHERE id = ?1",
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

//  Whether there is a WAL: which cannot change while a connection is open that has read.
static bool
s_has_wal(sqlite3 *database)
{
    bool has_wal = false;
    sqlite3_stmt *statement =
        yami_sqlite_prepare(database, "cannot look up the journal", "PRAGMA main.journal_mode");
    if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        const char *mode = (const char *) sqlite3_column_text(statement, 0);
        has_wal = mode != NULL && strcmp(mode, "wal") == 0;
    }
    (void) sqlite3_finalize(statement);
    return has_wal;
}

static void *
s_open(void *connection, const char *prefix)
{
    if (yami_sqlite_migrate(connection, &yami_outbox_sqlite_schema, prefix, NULL) == -1) {
        return NULL;
    }
    yami_outbox_sqlite_t *self = yami_alloc(sizeof *self);
    self->database = connection;
    self->has_wal = s_has_wal(connection);
    memcpy(self->prefix, prefix, strlen(prefix) + 1);
    return self;
}

//  Waits in short steps: who commits one transaction after the other leaves gaps that long waits
//  miss.
static int
s_wait_for_lock(void *timeout_ms, int count)
{
    struct timespec pause = {0, S_BUSY_STEP_US * 1000};
    (void) nanosleep(&pause, NULL);
    return count < (intptr_t) timeout_ms * 1000 / S_BUSY_STEP_US;
}

int
yam_outbox_busy_timeout(sqlite3 *database, int timeout_ms)
{
    bool waits = timeout_ms > 0;
    if (database == NULL || sqlite3_busy_handler(database, waits ? s_wait_for_lock : NULL,
                                                 (void *) (intptr_t) timeout_ms) != SQLITE_OK) {
        return yami_fail(EINVAL, "a busy timeout needs an open database");
    }
    return 0;
}

sqlite3 *
yami_outbox_sqlite_connect(const char *file)
{
    sqlite3 *database = yami_sqlite_connect(file);
    if (database == NULL) {
        return NULL;
    }
    (void) yam_outbox_busy_timeout(database, S_BUSY_MS);
    //  Sequences must be durable before they are used, whatever the application asks for its rows.
    //  The sync is within COMMIT, and others wait for it: one that failed later could not be taken
    //  back, and would leave a hole before what they commit.
    if (yami_sqlite_run(database, "cannot set up the outbox", "PRAGMA synchronous = FULL") == -1) {
        int error = errno;
        (void) sqlite3_close(database);
        errno = error;
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

int
yami_outbox_sqlite_sync(yami_outbox_sqlite_t *self)
{
    sqlite3_file *wal = NULL;
    if (self->has_wal && !self->has_failed &&
        sqlite3_file_control(self->database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) ==
            SQLITE_OK &&
        wal != NULL && wal->pMethods != NULL) {
        self->has_failed = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) != SQLITE_OK;
    }
    return self->has_failed
               ? yami_fail(EIO, "cannot make the outbox durable: a sync has failed (look "
                                "after the disk, then start the dispatcher again)")
               : 0;
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

//  Inserts a row. Its id, 0 when its channel has no lane, -1.
static int64_t
s_insert(yami_outbox_sqlite_t *self, int kind, const char *channel, int64_t time_ms,
         const void *record, size_t size)
{
    sqlite3_stmt *insert = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_PUT, 1, &time_ms);
    if (insert == NULL) {
        return -1;
    }
    (void) sqlite3_bind_blob64(insert, 2, record, size, SQLITE_STATIC);
    (void) sqlite3_bind_int(insert, 3, kind);
    (void) sqlite3_bind_text(insert, 4, channel, -1, SQLITE_STATIC);
    int rc = yami_sqlite_finish(self->database, insert, "cannot write to the outbox");
    if (rc == -1) {
        bool has_lane = sqlite3_extended_errcode(self->database) != SQLITE_CONSTRAINT_NOTNULL;
        return has_lane ? -1 : 0;
    }
    return sqlite3_last_insert_rowid(self->database);
}

static int64_t
s_put(void *arg, int kind, const char *channel, int64_t time_ms, const void *record, size_t size)
{
    int64_t id = s_insert(arg, kind, channel, time_ms, record, size);
    if (id == 0) {
        id = s_add_lane(arg, kind, channel) == -1
                 ? -1
                 : s_insert(arg, kind, channel, time_ms, record, size);
    }
    return id != 0 ? id : yami_fail(EBADMSG, "the outbox's channels cannot be found again");
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
    .gather = yami_outbox_sqlite_gather,
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
