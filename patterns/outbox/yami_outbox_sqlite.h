/*  yami_outbox_sqlite - an outbox's tables in an SQLite database: what its parts share.

    outbox_sqlite.c opens and writes rows, outbox_sqlite_lanes.c and outbox_sqlite_flights.c are for
    dispatchers, and outbox_sqlite_rows.c for people; outbox_sqlite_schema.c has the tables.
    Statements are prepared when first used. Invariants:
    (1) A flight is all rows of its lane within first_id..last_id, `count` of them, in order of id;
    the ranges of a lane's flights are disjoint.
    (2) A row is written once. It has failed or is cancelled when it stands in `failed`; else it is
    to be sent when it is in a flight or behind its lane's `assigned`, and delivered when neither.
    SQLite has one writer at a time, so ids are in the order of commits, and (2) holds for rows that
    come later.
    (3) What flights says is durable, whatever connection it is of: a person may put a row back in
    one that does not sync.
*/
#ifndef YAMI_OUTBOX_SQLITE_H
#define YAMI_OUTBOX_SQLITE_H

#include "yam_outbox_db.h"
#include "yami_sqlite.h"

//  Statements; outbox_sqlite.c has their texts.
typedef enum {
    YAMI_OUTBOX_SQL_PUT,
    YAMI_OUTBOX_SQL_LANE_COUNT,
    YAMI_OUTBOX_SQL_LANE_NEW,
    YAMI_OUTBOX_SQL_CHANGED,
    YAMI_OUTBOX_SQL_LANES,
    YAMI_OUTBOX_SQL_LANE,
    YAMI_OUTBOX_SQL_TAKE,
    YAMI_OUTBOX_SQL_KEEP,
    YAMI_OUTBOX_SQL_RELEASE,
    YAMI_OUTBOX_SQL_RELEASE_ALL,
    YAMI_OUTBOX_SQL_FLIGHTS,
    YAMI_OUTBOX_SQL_OVERLAPS,
    YAMI_OUTBOX_SQL_FLIGHT_NEW,
    YAMI_OUTBOX_SQL_FLIGHT_GONE,
    YAMI_OUTBOX_SQL_FLIGHT_MOVE,
    YAMI_OUTBOX_SQL_WAITING,
    YAMI_OUTBOX_SQL_CANCELLED,
    YAMI_OUTBOX_SQL_ASSIGNED,
    YAMI_OUTBOX_SQL_READ,
    YAMI_OUTBOX_SQL_ROWS_GONE,
    YAMI_OUTBOX_SQL_TRIED,
    YAMI_OUTBOX_SQL_IDS,
    YAMI_OUTBOX_SQL_REASON_NEW,
    YAMI_OUTBOX_SQL_REASON_GONE,
    YAMI_OUTBOX_SQL_NEW_EPOCH,
    YAMI_OUTBOX_SQL_FIND,
    YAMI_OUTBOX_SQL_OLD,
    YAMI_OUTBOX_SQL_ROW_GONE,
    YAMI_OUTBOX_SQL_STATEMENTS,
} yami_outbox_statement_t;

typedef struct {
    sqlite3 *database; //  borrowed
    char prefix[YAMI_SQLITE_PREFIX + 1];
    bool has_wal;
    bool has_failed;                                      //  a sync, which is final
    sqlite3_stmt *statements[YAMI_OUTBOX_SQL_STATEMENTS]; //  owned; NULL until used
} yami_outbox_sqlite_t;

//  A flight as it stands in its table.
typedef struct {
    int64_t first; //  sequence
    int64_t count;
    int64_t first_id;
    int64_t last_id;
    char tries[YAM_OUTBOX_TRIES * 16 + 1]; //  milliseconds, each behind a blank
} yami_outbox_range_t;

extern const yam_outbox_db_t yami_outbox_sqlite;
extern const yami_sqlite_schema_t yami_outbox_sqlite_schema;

//  Opens a database file for a dispatcher. NULL as yami_sqlite_connect.
sqlite3 *
yami_outbox_sqlite_connect(const char *file);

//  A statement with numbers bound from its first parameter on, ready to be stepped; borrowed. NULL
//  with errno and a sentence.
sqlite3_stmt *
yami_outbox_sqlite_start(yami_outbox_sqlite_t *self, yami_outbox_statement_t number, size_t count,
                         const int64_t *numbers);

//  The same, run to its end. How many rows it changed, or -1.
int64_t
yami_outbox_sqlite_run(yami_outbox_sqlite_t *self, yami_outbox_statement_t number, size_t count,
                       const int64_t *numbers);

//  Makes durable what anybody has committed, in a database with a WAL. 0, or -1 with EIO, and from
//  then on always: after a sync that failed the next one says nothing.
int
yami_outbox_sqlite_sync(yami_outbox_sqlite_t *self);

//  Notes that a row has failed, or is cancelled. A reason that it has stays. 0, or -1.
int
yami_outbox_sqlite_note(yami_outbox_sqlite_t *self, int64_t id, yam_outbox_state_t state,
                        const char *tries, const yam_outbox_failure_t *failure);

#define YAMI_OUTBOX_SQLITE_READ "cannot read the outbox"

//  Reads a lane's next sequence and the last id that has one, if it is owner's. 0, or -1 with
//  ESTALE.
int
yami_outbox_sqlite_check_owner(yami_outbox_sqlite_t *self, int64_t lane, uint64_t owner,
                               int64_t *next, int64_t *assigned);

//  The parts of the table; see yam_outbox_db.h.
int
yami_outbox_sqlite_changed(void *arg, uint64_t *mark_p);
int
yami_outbox_sqlite_lanes(void *arg, yam_outbox_lane_fn fn, void *fn_arg);
int
yami_outbox_sqlite_take(void *arg, const yam_outbox_lane_t *seen, uint64_t owner);
int
yami_outbox_sqlite_keep(void *arg, uint64_t owner);
int
yami_outbox_sqlite_release(void *arg, int64_t lane, uint64_t owner);
int
yami_outbox_sqlite_flights(void *arg, int64_t lane, uint64_t first, yam_outbox_flight_t *flights,
                           size_t limit);
int
yami_outbox_sqlite_gather(void *arg, int64_t lane, uint32_t row_limit, uint64_t byte_limit,
                          yam_outbox_waiting_t *waiting);
int
yami_outbox_sqlite_assign(void *arg, int64_t lane, uint64_t owner, uint32_t row_limit,
                          uint64_t byte_limit, const yam_outbox_waiting_t *waiting,
                          yam_outbox_flight_t *flight);
int64_t
yami_outbox_sqlite_read(void *arg, int64_t lane, uint64_t first, uint64_t last,
                        yam_outbox_entry_fn fn, void *fn_arg);
int64_t
yami_outbox_sqlite_delivered(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                             bool is_kept);
int
yami_outbox_sqlite_tried(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                         int64_t time_ms);
int64_t
yami_outbox_sqlite_failed(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                          const yam_outbox_failure_t *failure);
int
yami_outbox_sqlite_renumber(void *arg, int64_t lane, uint64_t owner, uint64_t epoch);
int64_t
yami_outbox_sqlite_rows(void *arg, int state, const char *channel, int64_t after, int64_t limit,
                        yam_outbox_entry_fn fn, void *fn_arg);
int
yami_outbox_sqlite_retry(void *arg, int64_t id);
int
yami_outbox_sqlite_cancel(void *arg, int64_t id, int64_t time_ms);
int64_t
yami_outbox_sqlite_prune(void *arg, int64_t before_ms, int64_t limit);

#endif
