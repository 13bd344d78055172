//  yamd - a relay as a daemon. What daemons have in common is in daemons/common; all else is
//  yam_relay.

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "daemon.h"
#include "yam_relay.h"
#include "yam_relay_option.h"
#include "yami_base.h"

typedef struct {
    char listen[2048];
    char store[1024];
    bool memory;
} s_own_t;

static const yami_option_t s_table[] = {
    {"listen", YAMI_OPTION_STRING, offsetof(s_own_t, listen), 1,
     sizeof((s_own_t *) NULL)->listen - 1, "tcp://127.0.0.1:9260", "", "ENDPOINT[,..]",
     "where to listen"},
    {"store", YAMI_OPTION_STRING, offsetof(s_own_t, store), 0, sizeof((s_own_t *) NULL)->store - 1,
     "", "", "DIR", "directory of the store, created when missing"},
    {"memory", YAMI_OPTION_BOOL, offsetof(s_own_t, memory), 0, 0, "false", "", NULL,
     "keep messages in memory only: nothing survives a stop"},
    {NULL, YAMI_OPTION_BOOL, 0, 0, 0, NULL, NULL, NULL, NULL},
};

static int
s_check(const void *own)
{
    const s_own_t *values = own;
    if (values->memory && values->store[0]) {
        return yami_fail(EINVAL, "both --memory and --store are given (choose one)");
    }
    if (!values->memory && !values->store[0]) {
        return yami_fail(EINVAL, "no store (give --store DIR, or --memory)");
    }
    if (strstr(values->listen, "inproc://") != NULL) {
        return yami_fail(EINVAL, "no other process reaches %s (use tcp, ipc, ws or tipc)",
                         values->listen);
    }
    return yam_relay_check(values->listen, "insecure=true"); //  s_try_out knows better
}

//  The relay checks its options itself, and whether the certificates can be read: one in memory
//  that nobody can reach tells without touching anything.
static int
s_try_out(yam_t *yam, const void *own, const char *options)
{
    const s_own_t *values = own;
    yam_relay_t *relay = NULL;
    if (yam_relay_check(values->listen, options) == 0) {
        relay = yam_relay_new(yam, "inproc://yamd-check-config", NULL, options);
    }
    if (!relay) {
        return -1;
    }
    yam_relay_destroy(&relay);
    return 0;
}

static void *
s_open(yam_t *yam, const void *own, const char *options)
{
    const s_own_t *values = own;
    return yam_relay_new(yam, values->listen, values->memory ? NULL : values->store, options);
}

static const char *
s_where(void *object)
{
    return yam_relay_endpoints(object);
}

static const char *
s_failure(void *object)
{
    return yam_relay_has_failed(object)
               ? "the store has failed: what was confirmed is safe, nothing more was confirmed "
                 "(look "
                 "at the disk and the log, then start yamd again: it recovers)"
               : NULL;
}

static int64_t
s_last_turn_ms(void *object)
{
    return yam_relay_last_turn_ms(object);
}

static int
s_set(void *object, const char *name, const char *value)
{
    return yam_relay_set(object, name, value);
}

static int
s_close(void *object, int timeout_ms)
{
    yam_relay_t *relay = object;
    return yam_relay_close(&relay, timeout_ms);
}

static const daemon_class_t s_class = {
    .kind = {.name = "yamd",
             .usage = "Usage: yamd --store DIR [--listen ENDPOINT[,..]] [--config FILE] "
                      "[OPTION...]\nThe relay that remembers: keeps messages between senders and "
                      "receivers.\n\n",
             .signals =
                 "SIGTERM drains and stops, a second one stops at once; SIGHUP rereads FILE.",
             .letters = "h=help V=version c=config l=listen s=store",
             .own = s_table,
             .own_size = sizeof(s_own_t),
             .describe = yam_relay_option},
    .check = s_check,
    .try_out = s_try_out,
    .open = s_open,
    .where = s_where,
    .failure = s_failure,
    .last_turn_ms = s_last_turn_ms,
    .set = s_set,
    .close = s_close,
};

int
main(int argc, char **argv)
{
    return daemon_run(&s_class, argc, argv);
}
