/*  Redis, appendfsync always: with an inbox, claimed and done, and bare: SET NX PX, pipelined. */
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "bench.h"
#include "inbox_driver.h"
#include "yam_error.h"
#include "yam_inbox_redis.h"

typedef struct {
    yam_inbox_t *inbox; //  NULL: bare
    redisContext *connection;
} s_redis_t;

static s_redis_t *
s_open(const char *path)
{
    s_redis_t *self = calloc(1, sizeof *self);
    self->connection = redisConnectUnix(path);
    if (self->connection == NULL || self->connection->err) {
        bench_fail("redis: cannot connect to %s", path);
    }
    freeReplyObject(redisCommand(self->connection, "FLUSHALL"));
    return self;
}

static void *
s_open_inbox(const char *path, const char *options)
{
    s_redis_t *self = s_open(path);
    self->inbox = bench_inbox_opened(yam_inbox_redis_new(self->connection, options));
    return self;
}

static void *
s_open_bare(const char *path, const char *options)
{
    (void) options;
    return s_open(path);
}

static size_t
s_claim_inbox(void *arg, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
              size_t count)
{
    s_redis_t *self = arg;
    size_t new_count = bench_inbox_claim(self, messages, ids, count);
    if (new_count == count && yam_inbox_done(self->inbox, messages, count) == -1) {
        bench_fail("%s", yam_error());
    }
    return new_count;
}

static size_t
s_claim_bare(void *arg, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
             size_t count)
{
    (void) messages;
    s_redis_t *self = arg;
    size_t new_count = 0;
    for (size_t index = 0; index < count; index++) {
        (void) redisAppendCommand(self->connection, "SET %s %s NX PX 604800000", ids[index],
                                  ids[index]);
    }
    for (size_t index = 0; index < count; index++) {
        void *reply = NULL;
        (void) redisGetReply(self->connection, &reply);
        if (reply == NULL) {
            bench_fail("redis: %s", self->connection->errstr);
        }
        new_count += ((redisReply *) reply)->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
    }
    return new_count;
}

static void
s_close(void *arg)
{
    s_redis_t *self = arg;
    yam_inbox_destroy(&self->inbox);
    redisFree(self->connection);
    free(self);
}

const bench_inbox_t bench_inbox_yam_redis = {.name = "yam-redis",
                                             .server = "YAM_REDIS",
                                             .open = s_open_inbox,
                                             .claim = s_claim_inbox,
                                             .close = s_close};
const bench_inbox_t bench_inbox_redis = {.name = "redis",
                                         .server = "YAM_REDIS",
                                         .open = s_open_bare,
                                         .claim = s_claim_bare,
                                         .close = s_close};
