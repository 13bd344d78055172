//  yam_outbox_postgres - what people do with an outbox's tables in a PostgreSQL database. See
//  yami_outbox_postgres.h and SPEC.md.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_outbox_postgres.h"

#define S_PAGE 64 //  rows in memory at once

//  -- Looking -------------------------------------------------------------------------------------

static int
s_show(const PGresult *result, int row, yam_outbox_entry_fn fn, void *fn_arg)
{
    int64_t tries_ms[YAM_OUTBOX_TRIES];
    char reason[YAM_OUTBOX_REASON + 1];
    (void) snprintf(reason, sizeof reason, "%.*s", PQgetlength(result, row, 8),
                    PQgetvalue(result, row, 8));
    yam_outbox_entry_t entry = {
        .id = yami_postgres_int(result, row, 0),
        .state = (yam_outbox_state_t) yami_postgres_int(result, row, 1),
        .kind = (int) yami_postgres_int(result, row, 2),
        .channel = PQgetvalue(result, row, 3),
        .time_ms = yami_postgres_int(result, row, 4),
        .epoch = (uint64_t) yami_postgres_int(result, row, 5),
        .sequence = (uint64_t) yami_postgres_int(result, row, 6),
        .status = (yam_status_t) yami_postgres_int(result, row, 7),
        .reason = reason,
        .tries_ms = tries_ms,
        .try_count = yami_postgres_ints(result, row, 9, tries_ms, YAM_OUTBOX_TRIES),
        .record = PQgetvalue(result, row, 10),
        .record_size = (size_t) PQgetlength(result, row, 10),
    };
    return fn(fn_arg, &entry);
}

//  Up to limit rows behind *after_p, which becomes the last one's id. How many, or -1;
//  *has_ended_p: fn wants no more.
static int64_t
s_show_page(yami_outbox_postgres_t *self, const yami_postgres_parameters_t *parameters,
            yam_outbox_entry_fn fn, void *fn_arg, int64_t *after_p, bool *has_ended_p)
{
    PGresult *result = yami_postgres_query_for(
        self->connection, "cannot list the outbox", self->prefix, parameters,
        "SELECT p.id, state, kind, channel, time_ms, epoch, greatest(sequence, 0), status, reason, "
        "coalesce(p.tries, f.tries), record FROM # p JOIN #_lane l ON l.lane = p.lane LEFT JOIN "
        "#_flight f ON f.lane = p.lane AND p.sequence BETWEEN f.first AND f.last WHERE p.id > $1 "
        "AND ($3 = -1 OR state = $3) AND ($4 = '' OR channel = $4) ORDER BY p.id LIMIT $2");
    if (result == NULL) {
        return -1;
    }
    int answer = 0;
    int row = 0;
    for (; row < PQntuples(result) && answer == 0; row++) {
        *after_p = yami_postgres_int(result, row, 0);
        answer = s_show(result, row, fn, fn_arg);
    }
    int error = errno;
    PQclear(result);
    errno = error;
    *has_ended_p = answer != 0;
    return answer == -1 ? -1 : row;
}

int64_t
yami_outbox_postgres_rows(void *arg, int state, const char *channel, int64_t after, int64_t limit,
                          yam_outbox_entry_fn fn, void *fn_arg)
{
    int64_t total = 0;
    int64_t count;
    int64_t wanted;
    bool has_ended = false;
    do {
        wanted = limit - total < S_PAGE ? limit - total : S_PAGE;
        yami_postgres_parameters_t parameters = {0};
        yami_postgres_add_ints(&parameters, 3, (const int64_t[]) {after, wanted, state});
        yami_postgres_add_text(&parameters, channel != NULL ? channel : "");
        count = s_show_page(arg, &parameters, fn, fn_arg, &after, &has_ended);
        total += count;
    } while (count == wanted && total < limit && !has_ended);
    return count == -1 ? -1 : total;
}

//  -- Changing ------------------------------------------------------------------------------------

//  Locks the lane of a row until the transaction ends (2), which will be durable before a
//  dispatcher sees what it has given a sequence. 1, 0 when there is no such row, -1.
static int
s_lock(yami_outbox_postgres_t *self, int64_t id)
{
    return (int) yami_outbox_postgres_number(
        self,
        "SELECT length(set_config('synchronous_commit', 'on', true))::bigint - 1 FROM #_lane WHERE "
        "lane = (SELECT lane FROM # WHERE id = $1) FOR UPDATE",
        1, &id);
}

int
yami_outbox_postgres_retry(void *arg, int64_t id)
{
    int rc = s_lock(arg, id);
    //  Its own sequence was given up, and the relay has been told so: it would take it for known.
    return rc != 1 ? rc
                   : (int) yami_outbox_postgres_run(
                         arg,
                         "WITH back AS (UPDATE # p SET state = 0, sequence = l.next, status = "
                         "NULL, end_ms = NULL, tries = NULL, reason = NULL FROM #_lane l WHERE "
                         "p.id = $1 AND p.state = 2 AND l.lane = p.lane RETURNING p.lane, "
                         "p.sequence), flight AS (INSERT INTO #_flight (lane, first, last) SELECT "
                         "lane, sequence, sequence FROM back) UPDATE #_lane SET next = next + 1 "
                         "WHERE lane = (SELECT lane FROM back)",
                         1, &id);
}

int
yami_outbox_postgres_cancel(void *arg, int64_t id, int64_t time_ms)
{
    const int64_t numbers[] = {id, time_ms};
    int rc = s_lock(arg, id);
    if (rc == 1) {
        rc = (int) yami_outbox_postgres_run(
            arg,
            "UPDATE # SET state = 3, sequence = 0, status = coalesce(status, 0), end_ms = "
            "coalesce(end_ms, $2), reason = coalesce(reason, 'cancelled') WHERE id = $1 AND (state "
            "= 2 OR state = 0 AND sequence <= 0)",
            2, numbers);
    }
    if (rc != 0) {
        return rc;
    }
    int64_t sent = yami_outbox_postgres_number(
        arg, "SELECT 1::bigint FROM # WHERE id = $1 AND state = 0", 1, &id);
    return sent == 1 ? yami_postgres_error(
                           EBUSY, "row %" PRId64 " is on its way: the relay may have it", id)
                     : (int) sent;
}

//  What another dispatcher is deleting already is left to it.
int64_t
yami_outbox_postgres_prune(void *arg, int64_t before_ms, int64_t limit)
{
    return yami_outbox_postgres_run(
        arg,
        "DELETE FROM # WHERE id = ANY (ARRAY (SELECT id FROM # WHERE state IN (1, 3) AND time_ms < "
        "$1 ORDER BY time_ms LIMIT $2 FOR UPDATE SKIP LOCKED))",
        2, (const int64_t[]) {before_ms, limit});
}
