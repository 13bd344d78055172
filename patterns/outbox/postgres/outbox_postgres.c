//  yam_outbox_postgres - its tables in a PostgreSQL database: opening, transactions, and writing
//  rows. See yami_outbox_postgres.h and SPEC.md.

#include "yam_outbox_postgres.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "yam_error.h"
#include "yam_postgres.h"
#include "yami_outbox_postgres.h"

#define S_WHAT "cannot change the outbox"

//  -- Statements ----------------------------------------------------------------------------------

PGresult *
yami_outbox_postgres_query(yami_outbox_postgres_t *self, const char *text, size_t count,
                           const int64_t *numbers)
{
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_ints(&parameters, count, numbers);
    return yami_postgres_query_for(self->connection, S_WHAT, self->prefix, &parameters, text);
}

int64_t
yami_outbox_postgres_run(yami_outbox_postgres_t *self, const char *text, size_t count,
                         const int64_t *numbers)
{
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_ints(&parameters, count, numbers);
    return yami_postgres_run_for(self->connection, S_WHAT, self->prefix, &parameters, text);
}

int64_t
yami_outbox_postgres_number(yami_outbox_postgres_t *self, const char *text, size_t count,
                            const int64_t *numbers)
{
    PGresult *result = yami_outbox_postgres_query(self, text, count, numbers);
    if (result == NULL) {
        return -1;
    }
    int64_t number = PQntuples(result) > 0 ? yami_postgres_int(result, 0, 0) : 0;
    PQclear(result);
    return number;
}

//  -- Opening -------------------------------------------------------------------------------------

//  Version 1, '#' being the prefix: tables, and an index for each question that is asked often.
static const char *const s_version_1[] = {
    "CREATE TABLE # (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lane bigint NOT NULL, "
    "state bigint NOT NULL, time_ms bigint NOT NULL, sequence bigint NOT NULL DEFAULT 0, status "
    "bigint, end_ms bigint, tries bigint[], reason bytea, record bytea NOT NULL)",
    "CREATE INDEX #_waiting ON # (lane, sequence, id) WHERE state = 0 AND sequence <= 0",
    "CREATE UNIQUE INDEX #_sending ON # (lane, sequence) WHERE sequence > 0",
    "CREATE INDEX #_over ON # (time_ms) WHERE state IN (1, 3)",
    "CREATE TABLE #_lane (lane bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind bigint NOT "
    "NULL, channel text NOT NULL, epoch bigint NOT NULL DEFAULT 1, next bigint NOT NULL DEFAULT 1, "
    "owner bigint NOT NULL DEFAULT 0, beat bigint NOT NULL DEFAULT 0, UNIQUE (kind, channel))",
    "CREATE TABLE #_flight (lane bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, "
    "tries bigint[] NOT NULL DEFAULT '{}', PRIMARY KEY (lane, first))",
};

static int
s_make_tables(PGconn *connection, const char *prefix, void *arg)
{
    (void) arg;
    int64_t halves[2];
    int64_t noted;
    for (size_t index = 0; index < sizeof s_version_1 / sizeof *s_version_1; index++) {
        if (yami_postgres_run_for(connection, "cannot make the outbox's tables", prefix, NULL,
                                  s_version_1[index]) == -1) {
            return -1;
        }
    }
    if (getrandom(halves, sizeof halves, 0) != sizeof halves) {
        return yam_error_set(EIO, "the system has no random numbers");
    }
    return yami_postgres_meta(connection, prefix, "producer-1", halves[0], &noted) == -1 ||
                   yami_postgres_meta(connection, prefix, "producer-2", halves[1], &noted) == -1
               ? -1
               : 0;
}

static const yami_postgres_step_fn s_steps[] = {s_make_tables};
static const yami_postgres_schema_t s_schema = {"outbox", s_steps, 1};

static void *
s_open(void *connection, const char *prefix)
{
    if (yami_postgres_migrate(connection, &s_schema, prefix, NULL) == -1) {
        return NULL;
    }
    yami_outbox_postgres_t *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void) yam_error_set(ENOMEM, "no memory for an outbox");
        return NULL;
    }
    self->connection = connection;
    memcpy(self->prefix, prefix, strlen(prefix) + 1);
    return self;
}

static void
s_disconnect(void *connection)
{
    PQfinish(connection);
}

static void
s_close(void *arg)
{
    free(arg);
}

//  -- Transactions --------------------------------------------------------------------------------

//  Also when the connection is lost, or a command is under way: what is done inside then fails.
static bool
s_is_inside(void *arg)
{
    const yami_outbox_postgres_t *self = arg;
    return PQtransactionStatus(self->connection) != PQTRANS_IDLE;
}

//  One round trip. Sequences must be durable before they are used, whatever the server does by
//  default, and nobody's lock may hold a dispatcher up for ever.
static int
s_begin(void *arg)
{
    const yami_outbox_postgres_t *self = arg;
    return yami_postgres_begin(self->connection, S_WHAT);
}

static void
s_rollback(void *arg)
{
    const yami_outbox_postgres_t *self = arg;
    yami_postgres_rollback(self->connection);
}

//  When the connection is lost meanwhile, nobody knows what came of it: all that a dispatcher does
//  may be done twice.
static int
s_commit(void *arg)
{
    const yami_outbox_postgres_t *self = arg;
    return yami_postgres_commit(self->connection, "cannot commit to the outbox");
}

//  -- Rows ----------------------------------------------------------------------------------------

static int
s_producer(void *arg, uint8_t producer[YAM_OUTBOX_PRODUCER])
{
    const yami_outbox_postgres_t *self = arg;
    int64_t halves[2];
    if (yami_postgres_meta(self->connection, self->prefix, "producer-1", 0, &halves[0]) == -1 ||
        yami_postgres_meta(self->connection, self->prefix, "producer-2", 0, &halves[1]) == -1) {
        return -1;
    }
    memcpy(producer, halves, sizeof halves);
    return 0;
}

//  The lane of a channel that has none, unless there are too many. One writer after the other: else
//  each would count without what the others have not committed. 0, or -1.
static int
s_add_lane(yami_outbox_postgres_t *self, int kind, const char *channel)
{
    if (yami_postgres_wait_for_turn(self->connection, self->prefix) == -1) {
        return -1;
    }
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_ints(&parameters, 2, (const int64_t[]) {kind, YAM_OUTBOX_LANES});
    yami_postgres_add_text(&parameters, channel);
    return yami_postgres_run_for(self->connection, "cannot add a channel to the outbox",
                                 self->prefix, &parameters,
                                 "INSERT INTO #_lane (kind, channel) SELECT $1, $3 WHERE (SELECT "
                                 "count(*) FROM #_lane) < $2 ON CONFLICT DO NOTHING") == -1
               ? -1
               : 0;
}

//  The row's id, 0 when there is no such lane, -1.
static int64_t
s_insert(yami_outbox_postgres_t *self, const yami_postgres_parameters_t *parameters)
{
    PGresult *result = yami_postgres_query_for(self->connection, "cannot write to the outbox",
                                               self->prefix, parameters,
                                               "INSERT INTO # (lane, state, time_ms, record) "
                                               "SELECT lane, 0, $2, $4 FROM #_lane WHERE kind "
                                               "= $1 AND channel = $3 RETURNING id");
    if (result == NULL) {
        return -1;
    }
    int64_t id = PQntuples(result) == 1 ? yami_postgres_int(result, 0, 0) : 0;
    PQclear(result);
    return id;
}

static int64_t
s_put(void *arg, int kind, const char *channel, int64_t time_ms, const void *record, size_t size)
{
    yami_outbox_postgres_t *self = arg;
    yami_postgres_parameters_t parameters = {0};
    yami_postgres_add_ints(&parameters, 2, (const int64_t[]) {kind, time_ms});
    yami_postgres_add_text(&parameters, channel);
    yami_postgres_add_bytes(&parameters, record, size);
    if (yami_postgres_check_transaction(self->connection, "a message") == -1) {
        return -1;
    }
    int64_t id = s_insert(self, &parameters);
    if (id == 0) {
        id = s_add_lane(self, kind, channel) == -1 ? -1 : s_insert(self, &parameters);
    }
    return id != 0 ? id
                   : yami_postgres_error(ENOSPC,
                                         "outbox %s has %d channels already (use another prefix)",
                                         self->prefix, YAM_OUTBOX_LANES);
}

//  -- Life ----------------------------------------------------------------------------------------

const yam_outbox_db_t yami_outbox_postgres = {
    .open = s_open,
    .close = s_close,
    .disconnect = s_disconnect,
    .is_inside = s_is_inside,
    .begin = s_begin,
    .commit = s_commit,
    .rollback = s_rollback,
    .producer = s_producer,
    .put = s_put,
    .changed = yami_outbox_postgres_changed,
    .lanes = yami_outbox_postgres_lanes,
    .take = yami_outbox_postgres_take,
    .keep = yami_outbox_postgres_keep,
    .release = yami_outbox_postgres_release,
    .flights = yami_outbox_postgres_flights,
    .assign = yami_outbox_postgres_assign,
    .read = yami_outbox_postgres_read,
    .delivered = yami_outbox_postgres_delivered,
    .tried = yami_outbox_postgres_tried,
    .failed = yami_outbox_postgres_failed,
    .renumber = yami_outbox_postgres_renumber,
    .rows = yami_outbox_postgres_rows,
    .retry = yami_outbox_postgres_retry,
    .cancel = yami_outbox_postgres_cancel,
    .prune = yami_outbox_postgres_prune,
};

yam_outbox_t *
yam_outbox_postgres_new(struct pg_conn *connection, const char *options)
{
    return yam_outbox_new_over(&yami_outbox_postgres, connection, options);
}

yam_dispatcher_t *
yam_dispatcher_postgres_new(yam_t *yam, const char *uri, const char *endpoint, const char *options)
{
    PGconn *connection = yam_postgres_open(uri != NULL ? uri : "");
    return connection == NULL
               ? NULL
               : yam_dispatcher_new_over(yam, &yami_outbox_postgres, connection, endpoint, options);
}
