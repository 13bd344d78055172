//  yam_outbox - what people do with an outbox's tables in an SQLite database. See
//  yami_outbox_sqlite.h and SPEC.md.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "yami_base.h"
#include "yami_outbox_sqlite.h"

#define S_ROWS                                                                                     \
    "SELECT id, state, kind, channel, time_ms, epoch, sequence, status, reason, tries, record "    \
    "FROM "                                                                                        \
    "# WHERE id > ?1 AND (?3 IS NULL OR channel = ?3)"
#define S_ORDER " ORDER BY id LIMIT ?2"

//  By state; no row of state 0 is before the first of a flight or behind a lane's `assigned`.
static const char *const s_texts[] = {
    S_ROWS " AND state = 0 AND id >= (SELECT min(id) FROM (SELECT first_id AS id FROM #_flight "
           "UNION ALL SELECT (SELECT min(p.id) FROM #_row p WHERE p.lane = l.lane AND p.id > "
           "l.assigned) FROM #_lane l))" S_ORDER,
    S_ROWS " AND state = 1" S_ORDER, S_ROWS " AND state = 2" S_ORDER,
    S_ROWS " AND state = 3" S_ORDER, S_ROWS S_ORDER};

//  The times of " 1 2 3". How many.
static size_t
s_tries(const char *text, int64_t *times)
{
    size_t count = 0;
    while (text != NULL && *text != 0 && count < YAM_OUTBOX_TRIES) {
        char *end;
        times[count] = strtoll(text, &end, 10);
        if (end == text) {
            break;
        }
        count++;
        text = end;
    }
    return count;
}

static int
s_show(sqlite3_stmt *statement, yam_outbox_entry_fn fn, void *fn_arg)
{
    int64_t tries_ms[YAM_OUTBOX_TRIES];
    const char *channel = (const char *) sqlite3_column_text(statement, 3);
    const char *reason = (const char *) sqlite3_column_text(statement, 8);
    yam_outbox_entry_t entry = {
        .id = sqlite3_column_int64(statement, 0),
        .state = (yam_outbox_state_t) sqlite3_column_int(statement, 1),
        .kind = sqlite3_column_int(statement, 2),
        .channel = channel != NULL ? channel : "",
        .time_ms = sqlite3_column_int64(statement, 4),
        .epoch = (uint64_t) sqlite3_column_int64(statement, 5),
        .sequence = (uint64_t) sqlite3_column_int64(statement, 6),
        .status = (yam_status_t) sqlite3_column_int(statement, 7),
        .reason = reason != NULL ? reason : "",
        .tries_ms = tries_ms,
        .try_count = s_tries((const char *) sqlite3_column_text(statement, 9), tries_ms),
        .record = sqlite3_column_blob(statement, 10),
        .record_size = (size_t) sqlite3_column_bytes(statement, 10),
    };
    return fn(fn_arg, &entry);
}

int64_t
yami_outbox_sqlite_rows(void *arg, int state, const char *channel, int64_t after, int64_t limit,
                        yam_outbox_entry_fn fn, void *fn_arg)
{
    const yami_outbox_sqlite_t *self = arg;
    const char *what = "cannot list the outbox";
    const char *text = s_texts[state >= 0 && state <= YAM_OUTBOX_CANCELLED ? state : 4];
    sqlite3_stmt *statement = yami_sqlite_prepare_for(self->database, what, self->prefix, text);
    if (statement == NULL) {
        return -1;
    }
    yami_sqlite_bind(statement, 2, (const int64_t[]) {after, limit});
    (void) sqlite3_bind_text(statement, 3, channel, -1, SQLITE_STATIC); //  NULL: all
    int64_t count = 0;
    int rc;
    while ((rc = yami_sqlite_next(self->database, statement, what)) == 1) {
        count++;
        rc = s_show(statement, fn, fn_arg);
        if (rc != 0) {
            break;
        }
    }
    int error = errno;
    (void) sqlite3_finalize(statement);
    errno = error;
    return rc == -1 ? -1 : count;
}

typedef struct {
    int64_t state;
    int64_t lane;
    int64_t next;     //  its lane's next sequence
    bool is_assigned; //  up to where its lane has given sequences
} s_place_t;

//  1, 0 when there is no such row, -1.
static int
s_find(yami_outbox_sqlite_t *self, int64_t id, s_place_t *place)
{
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_FIND, 1, &id);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, "cannot look up a row");
    if (rc == 1) {
        *place = (s_place_t) {
            .state = sqlite3_column_int64(statement, 0),
            .lane = sqlite3_column_int64(statement, 1),
            .next = sqlite3_column_int64(statement, 2),
            .is_assigned = sqlite3_column_int(statement, 3) != 0,
        };
        (void) sqlite3_reset(statement);
    }
    return rc;
}

int
yami_outbox_sqlite_note(yami_outbox_sqlite_t *self, int64_t id, yam_outbox_state_t state,
                        const char *tries, const yam_outbox_failure_t *failure)
{
    const int64_t numbers[] = {id, (int64_t) state, (int64_t) failure->status, failure->time_ms};
    sqlite3_stmt *insert = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_REASON_NEW, 4, numbers);
    if (insert == NULL) {
        return -1;
    }
    (void) sqlite3_bind_text(insert, 5, tries, -1, SQLITE_STATIC);
    (void) sqlite3_bind_text(insert, 6, failure->reason, -1, SQLITE_STATIC);
    return yami_sqlite_finish(self->database, insert, "cannot note why a row failed");
}

int
yami_outbox_sqlite_retry(void *arg, int64_t id)
{
    yami_outbox_sqlite_t *self = arg;
    s_place_t place;
    int rc = s_find(self, id, &place);
    if (rc != 1 || place.state != YAM_OUTBOX_FAILED) {
        return rc == -1 ? -1 : 0;
    }
    //  Its own sequence was given up, and the relay has been told so: it would take it for known.
    const int64_t numbers[] = {place.lane, place.next, 1, id, id};
    sqlite3_stmt *flight = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_FLIGHT_NEW, 5, numbers);
    if (flight == NULL) {
        return -1;
    }
    (void) sqlite3_bind_text(flight, 6, "", -1, SQLITE_STATIC);
    const int64_t next[] = {place.lane, 1, 0};
    return yami_sqlite_finish(self->database, flight, "cannot put a row back") == -1 ||
                   yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_ASSIGNED, 3, next) == -1 ||
                   yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_REASON_GONE, 1, &id) == -1
               ? -1
               : 1;
}

int
yami_outbox_sqlite_cancel(void *arg, int64_t id, int64_t time_ms)
{
    yami_outbox_sqlite_t *self = arg;
    s_place_t place;
    int rc = s_find(self, id, &place);
    if (rc != 1 || place.state == YAM_OUTBOX_DELIVERED || place.state == YAM_OUTBOX_CANCELLED) {
        return rc == -1 ? -1 : 0;
    }
    if (place.state == YAM_OUTBOX_SENDING && place.is_assigned) {
        return yami_fail(EBUSY, "row %" PRId64 " is on its way: the relay may have it", id);
    }
    yam_outbox_failure_t end = {YAM_STATUS_OK, "cancelled", 0, time_ms};
    return yami_outbox_sqlite_note(self, id, YAM_OUTBOX_CANCELLED, "", &end) == -1 ? -1 : 1;
}

//  The ids of up to limit rows that are over and older than before_ms. How many, or -1.
static int64_t
s_gather_old(yami_outbox_sqlite_t *self, int64_t before_ms, int64_t limit, int64_t *ids)
{
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_OLD, 0, NULL);
    if (statement == NULL) {
        return -1;
    }
    int64_t count = 0;
    int rc = 1;
    while (count < limit &&
           (rc = yami_sqlite_next(self->database, statement, "cannot look for old rows")) == 1) {
        int64_t state = sqlite3_column_int64(statement, 1);
        if (sqlite3_column_int64(statement, 2) >= before_ms) {
            break; //  those behind are younger
        }
        if (state == YAM_OUTBOX_DELIVERED || state == YAM_OUTBOX_CANCELLED) {
            ids[count++] = sqlite3_column_int64(statement, 0);
        }
    }
    (void) (rc == 1 ? sqlite3_reset(statement) : 0);
    return rc == -1 ? -1 : count;
}

int64_t
yami_outbox_sqlite_prune(void *arg, int64_t before_ms, int64_t limit)
{
    yami_outbox_sqlite_t *self = arg;
    int64_t ids[256];
    int64_t total = 0;
    int64_t count;
    do {
        int64_t left = limit - total;
        count = s_gather_old(self, before_ms, left < 256 ? left : 256, ids);
        for (int64_t index = 0; index < count; index++) {
            if (yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_ROW_GONE, 1, &ids[index]) == -1 ||
                yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_REASON_GONE, 1, &ids[index]) == -1) {
                return -1;
            }
        }
        total += count > 0 ? count : 0;
    } while (count == 256 && total < limit);
    return count == -1 ? -1 : total;
}
