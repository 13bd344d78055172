/*  yamd - a relay as a daemon. Options, readiness, signals and the watchdog are here; all else is
    yam_relay.

        starting --ready--> serving --SIGTERM--> draining --done or SIGTERM--> gone
                              | SIGHUP: reread the file      the store failed: gone, EX_IOERR
*/
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "options.h"
#include "signals.h"
#include "yam_context.h"
#include "yam_error.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_endpoint.h"
#include "yami_log.h"

#define S_LOOK_MS 200        //  between looks at the relay
#define S_TURN_LIMIT_MS 3000 //  the relay's loop turns every second, also when it is idle
#define S_RELAY_OPTIONS_LIMIT 8192

typedef struct {
    yamd_options_t options;
    int signals;           //  descriptor
    yam_t *yam;            //  owned
    yam_relay_t *relay;    //  owned
    uint64_t watchdog_ms;  //  0: systemd wants no signs of life
    int64_t notified_ms;   //  last sign of life
    atomic_bool is_closed; //  the drain has ended
    atomic_int close_code; //  errno of it, 0 when all is well
} yamd_t;

//  The exit code for what kept the relay from starting; the man page has the same table.
static int
s_exit_code(int error)
{
    switch (error) {
    case EINVAL:
        return EX_CONFIG;
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case EWOULDBLOCK:
    case EADDRINUSE:
    case EADDRNOTAVAIL:
        return EX_UNAVAILABLE;
    case EBADMSG:
    case EPROTO:
    case EPROTONOSUPPORT:
        return EX_DATAERR;
    case ENOSPC:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
        return EX_CANTCREAT;
    case EIO:
        return EX_IOERR;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return EX_OSERR;
    default:
        return EX_SOFTWARE;
    }
}

static int
s_complain(int exit_code, const char *what, const char *why)
{
    (void) fprintf(stderr, "yamd: %s%s%s\n", what, *what ? ": " : "", why);
    (void) sd_notifyf(0, "STATUS=%s", why);
    return exit_code;
}

//  -- Starting ----------------------------------------------------------------------------------

static int
s_check_values(const yamd_values_t *values)
{
    yami_endpoint_t endpoint;
    if (values->memory && values->store[0]) {
        return yami_fail(EINVAL, "both --memory and --store are given (choose one)");
    }
    if (!values->memory && !values->store[0]) {
        return yami_fail(EINVAL, "no store (give --store DIR, or --memory)");
    }
    return yami_endpoint_parse(&endpoint, values->listen, true);
}

//  The relay checks its options itself: one in memory that nobody can reach tells without touching
//  anything.
static int
s_check_config(yamd_t *self, const char *options)
{
    yam_relay_t *relay = yam_relay_new(self->yam, "inproc://yamd-check-config", NULL, options);
    if (!relay) {
        return s_complain(EX_CONFIG, "the configuration is not right", yam_error());
    }
    yam_relay_destroy(&relay);
    (void) puts("yamd: the configuration is right");
    return EX_OK;
}

//  Links and segments need descriptors, and nothing here waits with select, so there is no reason
//  to stop at the soft limit. Where it cannot be raised, there are fewer.
static void
s_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int
s_open(yamd_t *self)
{
    char options[S_RELAY_OPTIONS_LIMIT];
    const yamd_values_t *values = &self->options.values;
    if (yamd_options_relay(&self->options, options, sizeof options) == -1) {
        return s_complain(EX_CONFIG, "", yam_error());
    }
    self->signals = yamd_signals_open();
    self->yam = self->signals == -1 ? NULL : yam_new();
    if (!self->yam) {
        return s_complain(EX_OSERR, "cannot start", yam_error());
    }
    if (values->check_config) {
        return s_check_config(self, options);
    }
    self->relay =
        yam_relay_new(self->yam, values->listen, values->memory ? NULL : values->store, options);
    if (!self->relay) {
        int exit_code = s_exit_code(errno);
        return s_complain(exit_code, "cannot start", yam_error());
    }
    return EX_OK;
}

//  -- Serving -----------------------------------------------------------------------------------

//  A sign of life for systemd, and only while the relay's loop turns.
static void
s_feed_watchdog(yamd_t *self)
{
    static yami_log_site_t site;
    int64_t now_ms = yami_clock_mono_ms();
    int64_t watchdog_ms = (int64_t) self->watchdog_ms;
    int64_t limit_ms = watchdog_ms / 2 > S_TURN_LIMIT_MS ? watchdog_ms / 2 : S_TURN_LIMIT_MS;
    int64_t silent_ms = now_ms - yam_relay_last_turn_ms(self->relay);
    if (watchdog_ms == 0 || now_ms - self->notified_ms < watchdog_ms / 4) {
        return;
    }
    if (silent_ms > limit_ms) {
        yami_log_limited(&site, YAMI_LOG_ERROR, "yamd.relay-hangs", "silent-ms=%" PRId64,
                         silent_ms);
        return;
    }
    self->notified_ms = now_ms;
    (void) sd_notify(0, "WATCHDOG=1");
}

static void
s_apply(void *arg, const char *name, const char *value, bool is_relays)
{
    yamd_t *self = arg;
    const char *error = "";
    if (!is_relays && strcmp(name, "log-level") != 0) {
        error = "it needs a restart";
    } else if (is_relays && yam_relay_set(self->relay, name, value) == -1) {
        error = yam_error();
    }
    if (*error) {
        yami_log(YAMI_LOG_WARN, "yamd.not-reloaded", "option=%s value=%s error=\"%s\"", name, value,
                 error);
    } else {
        yami_log(YAMI_LOG_INFO, "yamd.reloaded", "option=%s value=%s", name, value);
    }
}

//  SIGHUP: a file with an error changes nothing.
static void
s_reload(yamd_t *self)
{
    yamd_options_t newer = self->options;
    (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, yami_clock_mono_us());
    if (yamd_options_load(&newer) == -1) {
        yami_log(YAMI_LOG_ERROR, "yamd.reload-failed", "error=\"%s\"", yam_error());
    } else {
        yamd_options_compare(&self->options, &newer, s_apply, self);
        self->options = newer;
        yami_log_set_level((yami_log_level_t) newer.values.log_level);
    }
    (void) sd_notify(0, "READY=1");
}

//  Until a signal says stop, or the store has failed.
static int
s_serve(yamd_t *self)
{
    for (;;) {
        int number = yamd_signals_wait(self->signals, S_LOOK_MS);
        if (number == SIGTERM || number == SIGINT) {
            return EX_OK;
        }
        if (number == SIGHUP) {
            s_reload(self);
        }
        if (yam_relay_has_failed(self->relay)) {
            return s_complain(
                EX_IOERR, self->options.values.store,
                "the store has failed: what was confirmed is safe, nothing more was confirmed "
                "(look at the disk and the log, then start yamd again: it recovers)");
        }
        s_feed_watchdog(self);
    }
}

//  -- Stopping ----------------------------------------------------------------------------------

//  Drains in a thread of its own, so that signals are still heard.
static void *
s_close(void *arg)
{
    yamd_t *self = arg;
    yam_relay_t *relay = self->relay;
    int rc = yam_relay_close(&relay, (int) yamd_options_number(&self->options, "linger"));
    atomic_store(&self->close_code, rc == -1 ? errno : 0);
    atomic_store(&self->is_closed, true);
    (void) kill(getpid(), SIGHUP); //  wakes the waiting loop
    return NULL;
}

static int
s_drain(yamd_t *self)
{
    pthread_t thread;
    (void) sd_notify(0, "STOPPING=1\nSTATUS=draining");
    if (pthread_create(&thread, NULL, s_close, self) != 0) {
        (void) s_close(self);
    } else {
        while (!atomic_load(&self->is_closed)) {
            int number = yamd_signals_wait(self->signals, S_LOOK_MS);
            if (number == SIGTERM || number == SIGINT) {
                //  What is durable is durable: the next start recovers, as after any crash.
                _exit(s_complain(EX_TEMPFAIL, "stopped at once", "the drain was not waited for"));
            }
            (void) sd_notify(0, "WATCHDOG=1");
        }
        (void) pthread_join(thread, NULL);
    }
    self->relay = NULL;
    return atomic_load(&self->close_code) == 0 ? EX_OK : EX_IOERR;
}

static int
s_run(yamd_t *self)
{
    int exit_code = s_open(self);
    if (exit_code != EX_OK || !self->relay) {
        return exit_code;
    }
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        self->watchdog_ms = watchdog_us / 1000;
    }
    (void) printf("ready %s\n", yam_relay_endpoints(self->relay));
    (void) fflush(stdout);
    (void) sd_notifyf(0, "READY=1\nSTATUS=serving %s", yam_relay_endpoints(self->relay));
    exit_code = s_serve(self);
    int drain_code = s_drain(self);
    return exit_code == EX_OK && drain_code != EX_OK
               ? s_complain(drain_code, "stopped", "not everything could be made durable")
               : exit_code;
}

int
main(int argc, char **argv)
{
    static yamd_t self;
    (void) setenv("ZSYS_SIGHANDLER", "false", 1); //  CZMQ must not take our signals
    if (yamd_options_parse(&self.options, argc, argv) == -1) {
        return s_complain(EX_USAGE, "", yam_error());
    }
    if (self.options.values.help) {
        yamd_options_help(stdout);
        return EX_OK;
    }
    if (self.options.values.version) {
        (void) printf("yamd %s\n", yam_version());
        return EX_OK;
    }
    if (yamd_options_load(&self.options) == -1) {
        return s_complain(EX_CONFIG, "", yam_error());
    }
    if (self.options.values.dump_config) {
        yamd_options_dump(&self.options, stdout);
        return EX_OK;
    }
    yami_log_set_level((yami_log_level_t) self.options.values.log_level);
    if (s_check_values(&self.options.values) == -1) {
        return s_complain(self.options.values.config[0] ? EX_CONFIG : EX_USAGE, "", yam_error());
    }
    s_raise_limit();
    int exit_code = s_run(&self);
    yam_relay_destroy(&self.relay);
    yam_destroy(&self.yam);
    return exit_code;
}
