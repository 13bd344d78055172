/*  yami_outbox_postgres - an outbox's tables in a PostgreSQL database: what its parts share.

    outbox_postgres.c opens and writes rows, outbox_postgres_lanes.c is for dispatchers, and
    outbox_postgres_rows.c for people. Invariants:
    (1) A row of state 0 with `sequence` > 0 is in the flight of its lane whose first..last has it;
    no two rows of a lane have the same. All others have `sequence` <= 0: those of state 0 wait for
    one, in the order of (sequence, id). Ids come in no order of commits, so none decides alone
    whether a row waits.
    (2) Whoever changes a row of state 0, or a flight, holds the lane's row locked: so what is read
    behind that lock is the latest, in READ COMMITTED, and stays so.
*/
#ifndef YAMI_OUTBOX_POSTGRES_H
#define YAMI_OUTBOX_POSTGRES_H

#include "yam_outbox_db.h"
#include "yami_postgres.h"

typedef struct {
    PGconn *connection; //  borrowed
    char prefix[YAM_OUTBOX_PREFIX + 1];
} yami_outbox_postgres_t;

extern const yam_outbox_db_t yami_outbox_postgres;

//  Runs a statement of numbers $1, $2 ...; '#' in it is the prefix. As yami_postgres_query and run.
PGresult *
yami_outbox_postgres_query(yami_outbox_postgres_t *self, const char *text, size_t count,
                           const int64_t *numbers);
int64_t
yami_outbox_postgres_run(yami_outbox_postgres_t *self, const char *text, size_t count,
                         const int64_t *numbers);

//  The same for what gives one number: that, or -1; 0 when there was no row.
int64_t
yami_outbox_postgres_number(yami_outbox_postgres_t *self, const char *text, size_t count,
                            const int64_t *numbers);

//  The parts of the table; see yam_outbox_db.h.
int
yami_outbox_postgres_changed(void *arg, uint64_t *mark_p);
int
yami_outbox_postgres_lanes(void *arg, yam_outbox_lane_fn fn, void *fn_arg);
int
yami_outbox_postgres_take(void *arg, const yam_outbox_lane_t *seen, uint64_t owner);
int
yami_outbox_postgres_keep(void *arg, uint64_t owner);
int
yami_outbox_postgres_release(void *arg, int64_t lane, uint64_t owner);
int
yami_outbox_postgres_flights(void *arg, int64_t lane, uint64_t first, yam_outbox_flight_t *flights,
                             size_t limit);
int
yami_outbox_postgres_assign(void *arg, int64_t lane, uint64_t owner, uint32_t row_limit,
                            uint64_t byte_limit, const yam_outbox_waiting_t *waiting,
                            yam_outbox_flight_t *flight);
int64_t
yami_outbox_postgres_read(void *arg, int64_t lane, uint64_t first, uint64_t last,
                          yam_outbox_entry_fn fn, void *fn_arg);
int64_t
yami_outbox_postgres_delivered(void *arg, int64_t lane, uint64_t owner, uint64_t first,
                               uint64_t last, bool is_kept);
int
yami_outbox_postgres_tried(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                           int64_t time_ms);
int64_t
yami_outbox_postgres_failed(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                            const yam_outbox_failure_t *failure);
int
yami_outbox_postgres_renumber(void *arg, int64_t lane, uint64_t owner, uint64_t epoch);
int64_t
yami_outbox_postgres_rows(void *arg, int state, const char *channel, int64_t after, int64_t limit,
                          yam_outbox_entry_fn fn, void *fn_arg);
int
yami_outbox_postgres_retry(void *arg, int64_t id);
int
yami_outbox_postgres_cancel(void *arg, int64_t id, int64_t time_ms);
int64_t
yami_outbox_postgres_prune(void *arg, int64_t before_ms, int64_t limit);

#endif
