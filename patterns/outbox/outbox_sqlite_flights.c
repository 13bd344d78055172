//  yam_outbox - the flights of an outbox in an SQLite database: which rows have which sequences,
//  and what became of them. See yami_outbox_sqlite.h and SPEC.md.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_outbox_sqlite.h"

//  0 when there can be such a flight, or -1 with errno EBADMSG: others can write into the tables.
static int
s_check_range(const yami_outbox_sqlite_t *self, const yami_outbox_range_t *range)
{
    bool is_sound = range->first > 0 && range->count > 0 &&
                    range->count < INT64_MAX - range->first && range->first_id <= range->last_id;
    return is_sound ? 0
                    : yami_fail(EBADMSG, "flight %" PRId64 " of outbox %s is none (see SPEC.md)",
                                range->first, self->prefix);
}

//  A row of FLIGHTS or OVERLAPS. 0, or -1; the statement is to be reset then.
static int
s_range(const yami_outbox_sqlite_t *self, sqlite3_stmt *statement, yami_outbox_range_t *range)
{
    range->first = sqlite3_column_int64(statement, 0);
    range->count = sqlite3_column_int64(statement, 1);
    range->first_id = sqlite3_column_int64(statement, 2);
    range->last_id = sqlite3_column_int64(statement, 3);
    const unsigned char *tries = sqlite3_column_text(statement, 4);
    (void) snprintf(range->tries, sizeof range->tries, "%s",
                    tries != NULL ? (const char *) tries : "");
    return s_check_range(self, range);
}

static uint32_t
s_try_count(const char *tries)
{
    uint32_t count = 0;
    for (const char *at = tries; *at != 0; at++) {
        count += *at == ' ' ? 1 : 0;
    }
    return count;
}

int
yami_outbox_sqlite_flights(void *arg, int64_t lane, uint64_t first, yam_outbox_flight_t *flights,
                           size_t limit)
{
    yami_outbox_sqlite_t *self = arg;
    const int64_t numbers[] = {lane, (int64_t) first, (int64_t) limit};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_FLIGHTS, 3, numbers);
    if (statement == NULL) {
        return -1;
    }
    int count = 0;
    int rc;
    while ((rc = yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ)) == 1) {
        yami_outbox_range_t range;
        if (s_range(self, statement, &range) == -1) {
            (void) sqlite3_reset(statement);
            return -1;
        }
        flights[count++] = (yam_outbox_flight_t) {
            .first = (uint64_t) range.first,
            .last = (uint64_t) (range.first + range.count - 1),
            .try_count = s_try_count(range.tries),
        };
    }
    //  They may be of a connection that does not sync: whoever puts rows back.
    return rc == -1 || (count > 0 && yami_outbox_sqlite_sync(self) == -1) ? -1 : count;
}

//  The first flight that has one of the sequences first..last. 1, 0 when there is none, -1.
static int
s_find(yami_outbox_sqlite_t *self, int64_t lane, int64_t first, int64_t last,
       yami_outbox_range_t *range)
{
    const int64_t numbers[] = {lane, first, last};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_OVERLAPS, 3, numbers);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ);
    if (rc == 1) {
        rc = s_range(self, statement, range) == 0 ? 1 : -1;
        (void) sqlite3_reset(statement);
    }
    return rc;
}

static int
s_insert(yami_outbox_sqlite_t *self, int64_t lane, const yami_outbox_range_t *range)
{
    const int64_t numbers[] = {lane, range->first, range->count, range->first_id, range->last_id};
    sqlite3_stmt *statement =
        yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_FLIGHT_NEW, 5, numbers);
    if (statement == NULL) {
        return -1;
    }
    (void) sqlite3_bind_text(statement, 6, range->tries, -1, SQLITE_STATIC);
    return yami_sqlite_finish(self->database, statement, "cannot note a flight");
}

//  The oldest rows behind waiting->after, up to the limits: a cancelled one ends them. 0, or -1.
static int
s_gather(yami_outbox_sqlite_t *self, int64_t lane, uint32_t row_limit, uint64_t byte_limit,
         yam_outbox_waiting_t *waiting)
{
    const int64_t numbers[] = {lane, waiting->after};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_WAITING, 2, numbers);
    if (statement == NULL) {
        return -1;
    }
    uint64_t bytes = 0;
    int rc;
    while ((rc = yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ)) == 1) {
        bool is_cancelled = sqlite3_column_type(statement, 2) != SQLITE_NULL;
        if (waiting->count == row_limit || bytes >= byte_limit ||
            (is_cancelled && waiting->count > 0)) {
            waiting->has_more = true;
            (void) sqlite3_reset(statement);
            return 0;
        }
        if (!is_cancelled) {
            waiting->last_id = sqlite3_column_int64(statement, 0);
            waiting->first_id = waiting->count == 0 ? waiting->last_id : waiting->first_id;
            waiting->count++;
            bytes += (uint64_t) sqlite3_column_int64(statement, 1);
        }
    }
    return rc;
}

int
yami_outbox_sqlite_gather(void *arg, int64_t lane, uint32_t row_limit, uint64_t byte_limit,
                          yam_outbox_waiting_t *waiting)
{
    yami_outbox_sqlite_t *self = arg;
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_LANE, 1, &lane);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ);
    if (rc != 1) {
        return rc;
    }
    waiting->after = sqlite3_column_int64(statement, 1);
    (void) sqlite3_reset(statement);
    return s_gather(self, lane, row_limit, byte_limit, waiting);
}

//  Whether what was found is what s_gather would find, but for rows that have come since. 1, 0, -1.
static int
s_is_true(yami_outbox_sqlite_t *self, const yam_outbox_waiting_t *waiting, int64_t assigned)
{
    if (waiting->count == 0 || waiting->after != assigned) {
        return 0;
    }
    const int64_t numbers[] = {waiting->first_id, waiting->last_id};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_CANCELLED, 2, numbers);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ);
    if (rc == 1) {
        (void) sqlite3_reset(statement);
    }
    return rc == -1 ? -1 : 1 - rc;
}

int
yami_outbox_sqlite_assign(void *arg, int64_t lane, uint64_t owner, uint32_t row_limit,
                          uint64_t byte_limit, const yam_outbox_waiting_t *waiting,
                          yam_outbox_flight_t *flight)
{
    yami_outbox_sqlite_t *self = arg;
    yam_outbox_waiting_t found = *waiting;
    int64_t next;
    int64_t assigned;
    int rc = yami_outbox_sqlite_check_owner(self, lane, owner, &next, &assigned);
    rc = rc == -1 ? -1 : s_is_true(self, waiting, assigned);
    if (rc == 0) {
        found = (yam_outbox_waiting_t) {.after = assigned};
        rc = s_gather(self, lane, row_limit, byte_limit, &found);
    }
    if (rc == -1 || found.count == 0) {
        return rc == -1 ? -1 : 0;
    }
    const int64_t numbers[] = {lane, found.count, found.last_id};
    yami_outbox_range_t range = {next, found.count, found.first_id, found.last_id, ""};
    if (s_check_range(self, &range) == -1 || s_insert(self, lane, &range) == -1 ||
        yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_ASSIGNED, 3, numbers) == -1) {
        return -1;
    }
    *flight = (yam_outbox_flight_t) {.first = (uint64_t) next,
                                     .last = (uint64_t) (next + found.count - 1)};
    return found.has_more ? 2 : 1;
}

//  Hands the rows of READ out. How many, or -1.
static int64_t
s_hand_out(yami_outbox_sqlite_t *self, sqlite3_stmt *statement, uint64_t sequence,
           yam_outbox_entry_fn fn, void *fn_arg)
{
    int64_t count = 0;
    int rc;
    while ((rc = yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ)) == 1) {
        yam_outbox_entry_t entry = {
            .id = sqlite3_column_int64(statement, 0),
            .time_ms = sqlite3_column_int64(statement, 1),
            .sequence = sequence,
            .record = sqlite3_column_blob(statement, 2),
            .record_size = (size_t) sqlite3_column_bytes(statement, 2),
        };
        sequence++;
        int answer = fn(fn_arg, &entry);
        count += answer == -1 ? 0 : 1;
        if (answer != 0) {
            (void) sqlite3_reset(statement);
            return answer == -1 ? -1 : count;
        }
    }
    return rc == -1 ? -1 : count;
}

static int64_t
s_read(yami_outbox_sqlite_t *self, int64_t lane, int64_t first, int64_t last,
       yam_outbox_entry_fn fn, void *fn_arg)
{
    yami_outbox_range_t range;
    int rc = s_find(self, lane, first, first, &range);
    if (rc != 1) {
        return rc;
    }
    int64_t end = range.first + range.count - 1 < last ? range.first + range.count - 1 : last;
    const int64_t numbers[] = {lane, range.first_id, range.last_id, end - first + 1,
                               first - range.first};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_READ, 5, numbers);
    return statement == NULL ? -1 : s_hand_out(self, statement, (uint64_t) first, fn, fn_arg);
}

int64_t
yami_outbox_sqlite_read(void *arg, int64_t lane, uint64_t first, uint64_t last,
                        yam_outbox_entry_fn fn, void *fn_arg)
{
    yami_outbox_sqlite_t *self = arg;
    //  One snapshot: which rows a flight has, and those rows.
    if (yami_sqlite_run(self->database, YAMI_OUTBOX_SQLITE_READ, "BEGIN") == -1) {
        return -1;
    }
    int64_t count = s_read(self, lane, (int64_t) first, (int64_t) last, fn, fn_arg);
    int error = errno;
    (void) sqlite3_exec(self->database, "COMMIT", NULL, NULL, NULL); //  of nothing
    errno = error;
    return count;
}

//  -- Outcomes ------------------------------------------------------------------------------------

int64_t
yami_outbox_sqlite_delivered(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                             bool is_kept)
{
    yami_outbox_sqlite_t *self = arg;
    yami_outbox_range_t range;
    int64_t next;
    int64_t assigned;
    if (yami_outbox_sqlite_check_owner(self, lane, owner, &next, &assigned) == -1) {
        return -1;
    }
    int64_t count = 0;
    int rc;
    while ((rc = s_find(self, lane, (int64_t) first, (int64_t) last, &range)) == 1) {
        if (range.first < (int64_t) first || range.first + range.count - 1 > (int64_t) last) {
            return yami_fail(EBADMSG, "a flight of outbox %s is not as it was read", self->prefix);
        }
        const int64_t ids[] = {lane, range.first_id, range.last_id};
        const int64_t key[] = {lane, range.first};
        if ((!is_kept && yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_ROWS_GONE, 3, ids) == -1) ||
            yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_FLIGHT_GONE, 2, key) == -1) {
            return -1;
        }
        count += range.count;
    }
    return rc == -1 ? -1 : count;
}

int
yami_outbox_sqlite_tried(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                         int64_t time_ms)
{
    int64_t next;
    int64_t assigned;
    const int64_t numbers[] = {lane, (int64_t) first, (int64_t) last, time_ms};
    return yami_outbox_sqlite_check_owner(arg, lane, owner, &next, &assigned) == -1 ||
                   yami_outbox_sqlite_run(arg, YAMI_OUTBOX_SQL_TRIED, 4, numbers) == -1
               ? -1
               : 0;
}

//  The id of the row at offset of a flight. 1, 0 when there is none, -1.
static int
s_id_at(yami_outbox_sqlite_t *self, int64_t lane, const yami_outbox_range_t *range, int64_t offset,
        int64_t *id)
{
    const int64_t numbers[] = {lane, range->first_id, range->last_id, 1, offset};
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_IDS, 5, numbers);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ);
    if (rc == 1) {
        *id = sqlite3_column_int64(statement, 0);
        (void) sqlite3_reset(statement);
    }
    return rc;
}

//  Fails count rows of a flight from offset on, and splits it around them (1). 0, or -1.
static int
s_fail_part(yami_outbox_sqlite_t *self, int64_t lane, const yami_outbox_range_t *range,
            int64_t offset, int64_t count, const yam_outbox_failure_t *failure)
{
    yami_outbox_range_t left = *range;
    yami_outbox_range_t right = *range;
    char tries[sizeof range->tries + 24];
    int length = failure->try_ms != 0
                     ? snprintf(tries, sizeof tries, "%s %" PRId64, range->tries, failure->try_ms)
                     : snprintf(tries, sizeof tries, "%s", range->tries);
    YAM_ASSERT(length >= 0 && (size_t) length < sizeof tries);
    int64_t id = 0;
    for (int64_t done = 0; done < count; done++) {
        int rc = s_id_at(self, lane, range, offset + done, &id);
        if (rc != 1) {
            return rc == 0 ? yami_fail(EBADMSG, "outbox %s lacks rows of a flight", self->prefix)
                           : -1;
        }
        left.last_id = done == 0 ? id - 1 : left.last_id;
        if (yami_outbox_sqlite_note(self, id, YAM_OUTBOX_FAILED, tries, failure) == -1) {
            return -1;
        }
    }
    const int64_t key[] = {lane, range->first};
    left.count = offset;
    right.first = range->first + offset + count;
    right.count = range->count - offset - count;
    right.first_id = id + 1;
    return yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_FLIGHT_GONE, 2, key) == -1 ||
                   (left.count > 0 && s_insert(self, lane, &left) == -1) ||
                   (right.count > 0 && s_insert(self, lane, &right) == -1)
               ? -1
               : 0;
}

int64_t
yami_outbox_sqlite_failed(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                          const yam_outbox_failure_t *failure)
{
    yami_outbox_sqlite_t *self = arg;
    yami_outbox_range_t range;
    int64_t next;
    int64_t assigned;
    if (yami_outbox_sqlite_check_owner(self, lane, owner, &next, &assigned) == -1) {
        return -1;
    }
    int64_t failed = 0;
    int rc;
    while ((rc = s_find(self, lane, (int64_t) first, (int64_t) last, &range)) == 1) {
        int64_t begin = range.first > (int64_t) first ? range.first : (int64_t) first;
        int64_t range_last = range.first + range.count - 1;
        int64_t end = range_last < (int64_t) last ? range_last : (int64_t) last;
        if (s_fail_part(self, lane, &range, begin - range.first, end - begin + 1, failure) == -1) {
            return -1;
        }
        failed += end - begin + 1;
    }
    return rc == -1 ? -1 : failed;
}

//  Gives the flights of a lane sequences from 1 on, in their old order. The one behind them, or -1.
static int64_t
s_renumber_flights(yami_outbox_sqlite_t *self, int64_t lane)
{
    int64_t next = 1;
    yami_outbox_range_t range = {.first = 1};
    int rc;
    while ((rc = s_find(self, lane, range.first + range.count, INT64_MAX, &range)) == 1) {
        const int64_t numbers[] = {lane, range.first, next};
        if (next > range.first) { //  it would be met again behind itself
            return yami_fail(EBADMSG, "flights of outbox %s overlap", self->prefix);
        }
        if (yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_FLIGHT_MOVE, 3, numbers) == -1) {
            return -1;
        }
        next += range.count;
    }
    return rc == -1 ? -1 : next;
}

int
yami_outbox_sqlite_renumber(void *arg, int64_t lane, uint64_t owner, uint64_t epoch)
{
    yami_outbox_sqlite_t *self = arg;
    int64_t next;
    int64_t assigned;
    if (yami_outbox_sqlite_check_owner(self, lane, owner, &next, &assigned) == -1 ||
        (next = s_renumber_flights(self, lane)) == -1) {
        return -1;
    }
    const int64_t numbers[] = {lane, (int64_t) epoch, next};
    return yami_outbox_sqlite_run(self, YAMI_OUTBOX_SQL_NEW_EPOCH, 3, numbers) == -1 ? -1 : 0;
}
