//  yam_outbox_postgres - what dispatchers do with an outbox's tables in a PostgreSQL database. See
//  yami_outbox_postgres.h and SPEC.md.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_outbox_postgres.h"

//  How many transactions have ended so far, in all of the server: a snapshot has those before xmax,
//  but for those still under way. No commit leaves that number as it was. Only dispatchers look, so
//  here, outside of any transaction, a connection that was lost is made again.
int
yami_outbox_postgres_changed(void *arg, uint64_t *mark_p)
{
    yami_outbox_postgres_t *self = arg;
    if (PQstatus(self->connection) == CONNECTION_BAD) {
        PQreset(self->connection);
    }
    int64_t mark = yami_outbox_postgres_number(
        self,
        "SELECT txid_snapshot_xmax(now) - (SELECT count(*) FROM txid_snapshot_xip(now)) FROM "
        "txid_current_snapshot() AS now",
        0, NULL);
    *mark_p = (uint64_t) mark;
    return mark == -1 ? -1 : 0;
}

//  -- Lanes ---------------------------------------------------------------------------------------

static void
s_lane(const PGresult *result, int row, yam_outbox_lane_t *lane)
{
    *lane = (yam_outbox_lane_t) {
        .lane = yami_postgres_int(result, row, 0),
        .kind = (int) yami_postgres_int(result, row, 1),
        .epoch = (uint64_t) yami_postgres_int(result, row, 3),
        .next = (uint64_t) yami_postgres_int(result, row, 4),
        .owner = (uint64_t) yami_postgres_int(result, row, 5),
        .beat = (uint64_t) yami_postgres_int(result, row, 6),
        .has_work = yami_postgres_int(result, row, 7) != 0,
    };
    (void) snprintf(lane->channel, sizeof lane->channel, "%s", PQgetvalue(result, row, 2));
}

int
yami_outbox_postgres_lanes(void *arg, yam_outbox_lane_fn fn, void *fn_arg)
{
    PGresult *result = yami_outbox_postgres_query(
        arg,
        "SELECT * FROM (SELECT lane, kind, channel, epoch, next, owner, beat, (EXISTS (SELECT FROM "
        "#_flight f WHERE f.lane = l.lane) OR EXISTS (SELECT FROM # p WHERE p.lane = l.lane AND "
        "state = 0 AND sequence <= 0))::int::bigint AS work FROM #_lane l) AS lanes WHERE work <> "
        "0 "
        "OR owner <> 0",
        0, NULL);
    if (result == NULL) {
        return -1;
    }
    int answer = 0;
    for (int row = 0; row < PQntuples(result) && answer == 0; row++) {
        yam_outbox_lane_t lane;
        s_lane(result, row, &lane);
        answer = fn(fn_arg, &lane);
    }
    PQclear(result);
    return answer == -1 ? -1 : 0;
}

//  What another is about to take or change is left to it: so two dispatchers never wait for each
//  other.
int
yami_outbox_postgres_take(void *arg, const yam_outbox_lane_t *seen, uint64_t owner)
{
    return (int) yami_outbox_postgres_run(
        arg,
        "UPDATE #_lane SET owner = $1, beat = beat + 1 WHERE lane = (SELECT lane FROM #_lane WHERE "
        "lane = $2 FOR UPDATE SKIP LOCKED) AND owner = $3 AND beat = $4",
        4,
        (const int64_t[]) {(int64_t) owner, seen->lane, (int64_t) seen->owner,
                           (int64_t) seen->beat});
}

int
yami_outbox_postgres_keep(void *arg, uint64_t owner)
{
    int64_t number = (int64_t) owner;
    return yami_outbox_postgres_run(arg, "UPDATE #_lane SET beat = beat + 1 WHERE owner = $1", 1,
                                    &number) == -1
               ? -1
               : 0;
}

int
yami_outbox_postgres_release(void *arg, int64_t lane, uint64_t owner)
{
    const int64_t numbers[] = {(int64_t) owner, lane};
    return yami_outbox_postgres_run(arg,
                                    "UPDATE #_lane SET owner = 0 WHERE owner = $1 AND $2 IN (0, "
                                    "lane)",
                                    2, numbers) == -1
               ? -1
               : 0;
}

//  Locks a lane until the transaction ends (2), if it is owner's. Its next sequence, or -1 with
//  ESTALE.
static int64_t
s_lock(yami_outbox_postgres_t *self, int64_t lane, uint64_t owner)
{
    int64_t next = yami_outbox_postgres_number(
        self, "SELECT next FROM #_lane WHERE lane = $1 AND owner = $2 FOR UPDATE", 2,
        (const int64_t[]) {lane, (int64_t) owner});
    return next != 0 ? next
                     : yami_postgres_error(ESTALE,
                                           "lane %" PRId64 " of outbox %s is another dispatcher's",
                                           lane, self->prefix);
}

//  -- Flights -------------------------------------------------------------------------------------

int
yami_outbox_postgres_flights(void *arg, int64_t lane, uint64_t first, yam_outbox_flight_t *flights,
                             size_t limit)
{
    PGresult *result = yami_outbox_postgres_query(
        arg,
        "SELECT first, last, cardinality(tries)::bigint FROM #_flight WHERE lane = $1 AND first >= "
        "$2 ORDER BY first LIMIT $3",
        3, (const int64_t[]) {lane, (int64_t) first, (int64_t) limit});
    if (result == NULL) {
        return -1;
    }
    int count = PQntuples(result);
    for (int row = 0; row < count; row++) {
        flights[row] = (yam_outbox_flight_t) {
            .first = (uint64_t) yami_postgres_int(result, row, 0),
            .last = (uint64_t) yami_postgres_int(result, row, 1),
            .try_count = (uint32_t) yami_postgres_int(result, row, 2),
        };
    }
    PQclear(result);
    return count;
}

//  Rows are locked before they are numbered: one that a person deletes by hand leaves no gap.
int
yami_outbox_postgres_assign(void *arg, int64_t lane, uint64_t owner, uint32_t row_limit,
                            uint64_t byte_limit, const yam_outbox_waiting_t *waiting,
                            yam_outbox_flight_t *flight)
{
    (void) waiting;
    int64_t first = s_lock(arg, lane, owner);
    if (first == -1) {
        return -1;
    }
    int64_t next = yami_outbox_postgres_number(
        arg,
        "WITH waiting AS (SELECT id, sequence, octet_length(record) AS size FROM # WHERE lane = $1 "
        "AND state = 0 AND sequence <= 0 ORDER BY sequence, id LIMIT $2 FOR UPDATE), numbered AS "
        "(SELECT id, row_number() OVER line AS place, sum(size) OVER line - size AS before FROM "
        "waiting WINDOW line AS (ORDER BY sequence, id)), given AS (UPDATE # p SET sequence = $4 + "
        "place - 1 FROM numbered n WHERE p.id = n.id AND before < $3 RETURNING p.id), flight AS "
        "(INSERT INTO #_flight (lane, first, last) SELECT $1, $4, $4 + count(*) - 1 FROM given "
        "HAVING count(*) > 0) UPDATE #_lane SET next = next + (SELECT count(*) FROM given) WHERE "
        "lane = $1 AND EXISTS (SELECT FROM given) RETURNING next",
        4, (const int64_t[]) {lane, row_limit, (int64_t) byte_limit, first});
    if (next > 0) {
        *flight = (yam_outbox_flight_t) {.first = (uint64_t) first, .last = (uint64_t) (next - 1)};
    }
    return next > 0 ? 2 : (int) next;
}

//  The statement is the snapshot. A row that is missing ends what can be sent.
int64_t
yami_outbox_postgres_read(void *arg, int64_t lane, uint64_t first, uint64_t last,
                          yam_outbox_entry_fn fn, void *fn_arg)
{
    PGresult *result = yami_outbox_postgres_query(
        arg,
        "SELECT id, time_ms, sequence, record FROM # WHERE lane = $1 AND sequence > 0 AND sequence "
        "BETWEEN $2 AND $3 ORDER BY sequence",
        3, (const int64_t[]) {lane, (int64_t) first, (int64_t) last});
    if (result == NULL) {
        return -1;
    }
    int64_t count = 0;
    int answer = 0;
    for (int row = 0; row < PQntuples(result) && answer == 0; row++) {
        yam_outbox_entry_t entry = {
            .id = yami_postgres_int(result, row, 0),
            .time_ms = yami_postgres_int(result, row, 1),
            .sequence = (uint64_t) yami_postgres_int(result, row, 2),
            .record = PQgetvalue(result, row, 3),
            .record_size = (size_t) PQgetlength(result, row, 3),
        };
        if (entry.sequence != first + (uint64_t) row) {
            break;
        }
        answer = fn(fn_arg, &entry);
        count++;
    }
    PQclear(result);
    return answer == -1 ? -1 : count;
}

//  -- Outcomes ------------------------------------------------------------------------------------

int64_t
yami_outbox_postgres_delivered(void *arg, int64_t lane, uint64_t owner, uint64_t first,
                               uint64_t last, bool is_kept)
{
    static const char mark[] =
        "WITH flights AS (DELETE FROM #_flight WHERE lane = $1 AND first >= $2 AND last <= $3) "
        "UPDATE # SET state = 1, sequence = 0 WHERE lane = $1 AND sequence > 0 AND sequence "
        "BETWEEN $2 AND $3";
    static const char forget[] =
        "WITH flights AS (DELETE FROM #_flight WHERE lane = $1 AND first >= $2 AND last <= $3) "
        "DELETE FROM # WHERE lane = $1 AND sequence > 0 AND sequence BETWEEN $2 AND $3";
    const int64_t numbers[] = {lane, (int64_t) first, (int64_t) last};
    return s_lock(arg, lane, owner) == -1
               ? -1
               : yami_outbox_postgres_run(arg, is_kept ? mark : forget, 3, numbers);
}

//  Once, also when the answer of the first time was lost.
int
yami_outbox_postgres_tried(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                           int64_t time_ms)
{
    const int64_t numbers[] = {lane, (int64_t) first, (int64_t) last, time_ms};
    return s_lock(arg, lane, owner) == -1 ||
                   yami_outbox_postgres_run(arg,
                                            "UPDATE #_flight SET tries = tries || $4 WHERE lane = "
                                            "$1 AND first BETWEEN $2 AND $3 AND "
                                            "tries[cardinality(tries)] IS DISTINCT FROM $4",
                                            4, numbers) == -1
               ? -1
               : 0;
}

//  Flights that lose rows are cut: what is left of each before and behind them stays.
int64_t
yami_outbox_postgres_failed(void *arg, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                            const yam_outbox_failure_t *failure)
{
    yami_outbox_postgres_t *self = arg;
    const int64_t numbers[] = {lane,
                               (int64_t) first,
                               (int64_t) last,
                               (int64_t) failure->status,
                               failure->time_ms,
                               failure->try_ms};
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_ints(&parameters, sizeof numbers / sizeof *numbers, numbers);
    yami_postgres_add_bytes(&parameters, failure->reason, strlen(failure->reason));
    return s_lock(self, lane, owner) == -1
               ? -1
               : yami_postgres_run_for(
                     self->connection, "cannot note why rows failed", self->prefix, &parameters,
                     "WITH hit AS (DELETE FROM #_flight WHERE lane = $1 AND first <= $3 AND last "
                     ">= $2 RETURNING first, last, tries), parts AS (INSERT INTO #_flight (lane, "
                     "first, last, tries) SELECT $1, first, $2 - 1, tries FROM hit WHERE first < "
                     "$2 UNION ALL SELECT $1, $3 + 1, last, tries FROM hit WHERE last > $3) UPDATE "
                     "# p SET state = 2, sequence = 0, status = $4, end_ms = $5, reason = $7, "
                     "tries = CASE $6 WHEN 0 THEN hit.tries ELSE hit.tries || $6 END FROM hit "
                     "WHERE "
                     "p.lane = $1 AND p.sequence > 0 AND p.sequence BETWEEN $2 AND $3 AND "
                     "p.sequence BETWEEN hit.first AND hit.last");
}

//  What had a sequence waits again, before all that waits already, in its old order.
int
yami_outbox_postgres_renumber(void *arg, int64_t lane, uint64_t owner, uint64_t epoch)
{
    int64_t next = s_lock(arg, lane, owner);
    const int64_t numbers[] = {lane, (int64_t) epoch, next};
    return next == -1 ||
                   yami_outbox_postgres_run(
                       arg,
                       "WITH flights AS (DELETE FROM #_flight WHERE lane = $1), rows AS (UPDATE # "
                       "SET sequence = sequence - $3 + (SELECT least(min(sequence), 0) FROM # "
                       "WHERE "
                       "lane = $1 AND state = 0 AND sequence <= 0) WHERE lane = $1 AND sequence > "
                       "0) UPDATE #_lane SET epoch = $2, next = 1 WHERE lane = $1",
                       3, numbers) == -1
               ? -1
               : 0;
}
