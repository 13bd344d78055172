/*  PostgreSQL, fsync on: with an inbox, and bare: a prepared insert for each id, pipelined. */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "inbox_driver.h"
#include "yam_error.h"
#include "yam_inbox_postgres.h"
#include "yam_postgres.h"

typedef struct {
    yam_inbox_t *inbox; //  NULL: bare
    PGconn *connection;
} s_postgres_t;

static void
s_run(void *arg, const char *text)
{
    s_postgres_t *self = arg;
    PGresult *result = PQexec(self->connection, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        bench_fail("postgres: %s: %s", text, PQerrorMessage(self->connection));
    }
    PQclear(result);
}

static void
s_ignore_notice(void *arg, const char *message)
{
    (void) arg;
    (void) message;
}

static s_postgres_t *
s_open(const char *uri)
{
    s_postgres_t *self = calloc(1, sizeof *self);
    self->connection = yam_postgres_open(uri);
    if (self->connection == NULL) {
        bench_fail("%s", yam_error());
    }
    (void) PQsetNoticeProcessor(self->connection, s_ignore_notice, NULL);
    s_run(self, "DROP SCHEMA public CASCADE");
    s_run(self, "CREATE SCHEMA public");
    return self;
}

static void *
s_open_inbox(const char *uri, const char *options)
{
    s_postgres_t *self = s_open(uri);
    self->inbox = bench_inbox_opened(yam_inbox_postgres_new(self->connection, options));
    return self;
}

static void *
s_open_bare(const char *uri, const char *options)
{
    (void) options;
    s_postgres_t *self = s_open(uri);
    s_run(self, "CREATE TABLE seen (id bytea PRIMARY KEY, fingerprint bytea NOT NULL, time_ms "
                "bigint NOT NULL)");
    PQclear(PQprepare(self->connection, "put",
                      "INSERT INTO seen VALUES ($1, $1, 1) ON CONFLICT DO NOTHING", 1, NULL));
    return self;
}

static size_t
s_claim_bare(void *arg, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
             size_t count)
{
    (void) messages;
    s_postgres_t *self = arg;
    size_t new_count = 0;
    (void) PQenterPipelineMode(self->connection);
    for (size_t index = 0; index < count; index++) {
        const char *value = ids[index];
        int size = (int) strlen(value);
        int format = 1;
        (void) PQsendQueryPrepared(self->connection, "put", 1, &value, &size, &format, 1);
    }
    (void) PQpipelineSync(self->connection);
    for (size_t index = 0; index < count; index++) {
        PGresult *result = PQgetResult(self->connection);
        new_count += strcmp(PQcmdTuples(result), "1") == 0;
        PQclear(result);
        PQclear(PQgetResult(self->connection)); //  NULL, the end of that one
    }
    PQclear(PQgetResult(self->connection)); //  the sync
    (void) PQexitPipelineMode(self->connection);
    return new_count;
}

static void
s_close(void *arg)
{
    s_postgres_t *self = arg;
    yam_inbox_destroy(&self->inbox);
    PQfinish(self->connection);
    free(self);
}

const bench_inbox_t bench_inbox_yam_postgres = {.name = "yam-postgres",
                                                .server = "YAM_POSTGRES",
                                                .begin = "BEGIN",
                                                .open = s_open_inbox,
                                                .run = s_run,
                                                .claim = bench_inbox_claim,
                                                .close = s_close};
const bench_inbox_t bench_inbox_postgres = {.name = "postgres",
                                            .server = "YAM_POSTGRES",
                                            .begin = "BEGIN",
                                            .open = s_open_bare,
                                            .run = s_run,
                                            .claim = s_claim_bare,
                                            .close = s_close};
