//  yam_outbox - the lanes of an outbox in an SQLite database: which there are, and whose each is.
//  See yami_outbox_sqlite.h and SPEC.md.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_outbox_sqlite.h"
#include "yami_planted.h"

int
yami_outbox_sqlite_changed(void *arg, uint64_t *mark_p)
{
    yami_outbox_sqlite_t *self = arg;
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_CHANGED, 0, NULL);
    if (statement == NULL ||
        yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ) == -1) {
        return -1;
    }
    *mark_p = (uint64_t) sqlite3_column_int64(statement, 0);
    (void) sqlite3_reset(statement);
    return 0;
}

static void
s_lane(sqlite3_stmt *statement, yam_outbox_lane_t *lane)
{
    *lane = (yam_outbox_lane_t) {
        .lane = sqlite3_column_int64(statement, 0),
        .kind = sqlite3_column_int(statement, 1),
        .epoch = (uint64_t) sqlite3_column_int64(statement, 3),
        .next = (uint64_t) sqlite3_column_int64(statement, 4),
        .owner = (uint64_t) sqlite3_column_int64(statement, 5),
        .beat = (uint64_t) sqlite3_column_int64(statement, 6),
        .has_work = sqlite3_column_int(statement, 7) != 0,
    };
    const unsigned char *channel = sqlite3_column_text(statement, 2);
    (void) snprintf(lane->channel, sizeof lane->channel, "%s",
                    channel != NULL ? (const char *) channel : "");
}

int
yami_outbox_sqlite_lanes(void *arg, yam_outbox_lane_fn fn, void *fn_arg)
{
    yami_outbox_sqlite_t *self = arg;
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_LANES, 0, NULL);
    if (statement == NULL) {
        return -1;
    }
    int rc;
    while ((rc = yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ)) == 1) {
        yam_outbox_lane_t lane;
        s_lane(statement, &lane);
        int answer = fn(fn_arg, &lane);
        if (answer != 0) {
            (void) sqlite3_reset(statement);
            return answer == -1 ? -1 : 0;
        }
    }
    return rc;
}

int
yami_outbox_sqlite_take(void *arg, const yam_outbox_lane_t *seen, uint64_t owner)
{
    return (int) yami_outbox_sqlite_run(arg, YAMI_OUTBOX_SQL_TAKE, 4,
                                        (const int64_t[]) {(int64_t) owner, seen->lane,
                                                           (int64_t) seen->owner,
                                                           (int64_t) seen->beat});
}

int
yami_outbox_sqlite_keep(void *arg, uint64_t owner)
{
    int64_t number = (int64_t) owner;
    return yami_outbox_sqlite_run(arg, YAMI_OUTBOX_SQL_KEEP, 1, &number) == -1 ? -1 : 0;
}

int
yami_outbox_sqlite_release(void *arg, int64_t lane, uint64_t owner)
{
    yami_outbox_statement_t number =
        lane == 0 ? YAMI_OUTBOX_SQL_RELEASE_ALL : YAMI_OUTBOX_SQL_RELEASE;
    const int64_t numbers[] = {(int64_t) owner, lane};
    return yami_outbox_sqlite_run(arg, number, lane == 0 ? 1 : 2, numbers) == -1 ? -1 : 0;
}

int
yami_outbox_sqlite_check_owner(yami_outbox_sqlite_t *self, int64_t lane, uint64_t owner,
                               int64_t *next, int64_t *assigned)
{
    sqlite3_stmt *statement = yami_outbox_sqlite_start(self, YAMI_OUTBOX_SQL_LANE, 1, &lane);
    int rc = statement == NULL
                 ? -1
                 : yami_sqlite_next(self->database, statement, YAMI_OUTBOX_SQLITE_READ);
    if (rc == -1) {
        return -1;
    }
    bool is_owners = rc == 1 && (uint64_t) sqlite3_column_int64(statement, 2) == owner;
    *next = sqlite3_column_int64(statement, 0);
    *assigned = sqlite3_column_int64(statement, 1);
    (void) sqlite3_reset(statement);
    return is_owners || YAMI_PLANTED(LANE_NOT_FENCED)
               ? 0
               : yami_fail(ESTALE, "lane %" PRId64 " of outbox %s is another dispatcher's", lane,
                           self->prefix);
}
