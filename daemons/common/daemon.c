//  What all daemons have in common. See the header.

#include "daemon.h"

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

#include "signals.h"
#include "yam_context.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_log.h"

#define S_LOOK_MS 200        //  between looks at the object
#define S_LINGER_MS 5000     //  for a class that has no such option
#define S_TURN_LIMIT_MS 3000 //  its loop turns every second, also when it is idle

typedef struct {
    const daemon_class_t *kind; //  borrowed
    daemon_options_t options;
    int signals;           //  descriptor
    yam_t *yam;            //  owned
    void *object;          //  owned; of the class
    uint64_t watchdog_ms;  //  0: systemd wants no signs of life
    int64_t notified_ms;   //  last sign of life
    atomic_bool is_closed; //  the drain has ended
    atomic_int close_code; //  errno of it, 0 when all is well
} daemon_t;

//  The exit code for what kept the object from starting; the man pages have the same table.
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
    case ENODEV:
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
s_complain(const daemon_t *self, int exit_code, const char *what, const char *why)
{
    (void) fprintf(stderr, "%s: %s%s%s\n", self->kind->kind.name, what, *what ? ": " : "", why);
    (void) sd_notifyf(0, "STATUS=%s", why);
    return exit_code;
}

//  -- Starting ----------------------------------------------------------------------------------

static int
s_check_config(daemon_t *self, const char *options)
{
    if (self->kind->try_out(self->yam, daemon_options_own(&self->options), options) == -1) {
        return s_complain(self, EX_CONFIG, "the configuration is not right", yam_error());
    }
    (void) printf("%s: the configuration is right\n", self->kind->kind.name);
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
s_open(daemon_t *self)
{
    char options[YAMI_LIMIT_CLASS_OPTIONS + 1];
    if (daemon_options_class(&self->options, options, sizeof options) == -1) {
        return s_complain(self, EX_CONFIG, "", yam_error());
    }
    self->signals = daemon_signals_open();
    self->yam = self->signals == -1 ? NULL : yam_new();
    if (!self->yam) {
        return s_complain(self, EX_OSERR, "cannot start", yam_error());
    }
    if (self->options.common.check_config) {
        return s_check_config(self, options);
    }
    self->object = self->kind->open(self->yam, daemon_options_own(&self->options), options);
    if (!self->object) {
        int exit_code = s_exit_code(errno);
        return s_complain(self, exit_code, "cannot start", yam_error());
    }
    return EX_OK;
}

//  -- Serving -----------------------------------------------------------------------------------

//  A sign of life for systemd, and only while the object's loop turns.
static void
s_feed_watchdog(daemon_t *self)
{
    static yami_log_site_t site;
    int64_t now_ms = yami_clock_mono_ms();
    int64_t watchdog_ms = (int64_t) self->watchdog_ms;
    int64_t limit_ms = watchdog_ms / 2 > S_TURN_LIMIT_MS ? watchdog_ms / 2 : S_TURN_LIMIT_MS;
    int64_t silent_ms = now_ms - self->kind->last_turn_ms(self->object);
    if (watchdog_ms == 0 || now_ms - self->notified_ms < watchdog_ms / 4) {
        return;
    }
    if (silent_ms > limit_ms) {
        yami_log_limited(&site, YAMI_LOG_ERROR, "daemon.hangs", "silent-ms=%" PRId64, silent_ms);
        return;
    }
    self->notified_ms = now_ms;
    (void) sd_notify(0, "WATCHDOG=1");
}

static void
s_apply(void *arg, const char *name, const char *value, bool is_class)
{
    daemon_t *self = arg;
    const char *error = "";
    if (is_class ? self->kind->set == NULL : strcmp(name, "log-level") != 0) {
        error = "it needs a restart";
    } else if (is_class && self->kind->set(self->object, name, value) == -1) {
        error = yam_error();
    }
    if (*error) {
        yami_log(YAMI_LOG_WARN, "daemon.not-reloaded", "option=%s value=%s error=\"%s\"", name,
                 value, error);
    } else {
        yami_log(YAMI_LOG_INFO, "daemon.reloaded", "option=%s value=%s", name, value);
    }
}

//  SIGHUP: a file with an error changes nothing.
static void
s_reload(daemon_t *self)
{
    daemon_options_t newer = self->options;
    (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, yami_clock_mono_us());
    if (newer.common.config[0] == '\0') {
        yami_log(YAMI_LOG_INFO, "daemon.not-reloaded", "error=\"there is no file (see --config)\"");
    } else if (daemon_options_load(&newer) == -1) {
        yami_log(YAMI_LOG_ERROR, "daemon.reload-failed", "error=\"%s\"", yam_error());
    } else {
        daemon_options_compare(&self->options, &newer, s_apply, self);
        self->options = newer;
        yami_log_set_level((yami_log_level_t) newer.common.log_level);
    }
    (void) sd_notify(0, "READY=1");
}

//  Until a signal says stop, or the object has failed.
static int
s_serve(daemon_t *self)
{
    for (;;) {
        int number = daemon_signals_wait(self->signals, S_LOOK_MS);
        if (number == SIGTERM || number == SIGINT) {
            yami_log(YAMI_LOG_INFO, "daemon.stopping", "signal=%s",
                     number == SIGTERM ? "SIGTERM" : "SIGINT");
            return EX_OK;
        }
        if (number == SIGHUP) {
            s_reload(self);
        }
        const char *failure = self->kind->failure ? self->kind->failure(self->object) : NULL;
        if (failure) {
            return s_complain(self, EX_IOERR, "failed", failure);
        }
        s_feed_watchdog(self);
    }
}

//  -- Stopping ----------------------------------------------------------------------------------

//  Drains in a thread of its own, so that signals are still heard.
static void *
s_close(void *arg)
{
    daemon_t *self = arg;
    int timeout_ms = (int) daemon_options_number(&self->options, "linger", S_LINGER_MS);
    int rc = self->kind->close(self->object, timeout_ms);
    atomic_store(&self->close_code, rc == -1 ? errno : 0);
    atomic_store(&self->is_closed, true);
    (void) kill(getpid(), SIGHUP); //  wakes the waiting loop
    return NULL;
}

static int
s_drain(daemon_t *self)
{
    pthread_t thread;
    (void) sd_notify(0, "STOPPING=1\nSTATUS=draining");
    if (pthread_create(&thread, NULL, s_close, self) != 0) {
        (void) s_close(self);
    } else {
        while (!atomic_load(&self->is_closed)) {
            int number = daemon_signals_wait(self->signals, S_LOOK_MS);
            if (number == SIGTERM || number == SIGINT) {
                //  What is durable is durable: the next start recovers, as after any crash.
                _exit(s_complain(self, EX_TEMPFAIL, "stopped at once",
                                 "the drain was not waited for"));
            }
            (void) sd_notify(0, "WATCHDOG=1");
        }
        (void) pthread_join(thread, NULL);
    }
    self->object = NULL;
    return atomic_load(&self->close_code) == 0 ? EX_OK : EX_IOERR;
}

static int
s_run(daemon_t *self)
{
    int exit_code = s_open(self);
    if (exit_code != EX_OK || !self->object) {
        return exit_code;
    }
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        self->watchdog_ms = watchdog_us / 1000;
    }
    (void) printf("ready %s\n", self->kind->where(self->object));
    (void) fflush(stdout);
    (void) sd_notifyf(0, "READY=1\nSTATUS=serving %s", self->kind->where(self->object));
    yami_log(YAMI_LOG_INFO, "daemon.started", "name=%s version=%s where=%s", self->kind->kind.name,
             yam_version(), self->kind->where(self->object));
    exit_code = s_serve(self);
    int drain_code = s_drain(self);
    yami_log(YAMI_LOG_INFO, "daemon.stopped", "exit-code=%d",
             exit_code == EX_OK ? drain_code : exit_code);
    return exit_code == EX_OK && drain_code != EX_OK
               ? s_complain(self, drain_code, "stopped", "not everything could be made durable")
               : exit_code;
}

//  Reads the options; -1 to go on, else the exit code.
static int
s_read_options(daemon_t *self, int argc, char **argv)
{
    const daemon_common_t *common = &self->options.common;
    if (daemon_options_parse(&self->options, &self->kind->kind, argc, argv) == -1) {
        return s_complain(self, EX_USAGE, "", yam_error());
    }
    if (common->help) {
        daemon_options_help(stdout);
        return EX_OK;
    }
    if (common->version) {
        (void) printf("%s %s\n", self->kind->kind.name, yam_version());
        return EX_OK;
    }
    if (daemon_options_load(&self->options) == -1) {
        return s_complain(self, EX_CONFIG, "", yam_error());
    }
    if (common->dump_config) {
        daemon_options_dump(&self->options, stdout);
        return EX_OK;
    }
    yami_log_set_level((yami_log_level_t) common->log_level);
    if (self->kind->check(daemon_options_own(&self->options)) == -1) {
        return s_complain(self, common->config[0] ? EX_CONFIG : EX_USAGE, "", yam_error());
    }
    return -1;
}

int
daemon_run(const daemon_class_t *kind, int argc, char **argv)
{
    static daemon_t self;
    (void) setenv("ZSYS_SIGHANDLER", "false", 1); //  CZMQ must not take our signals
    self.kind = kind;
    int exit_code = s_read_options(&self, argc, argv);
    if (exit_code != -1) {
        return exit_code;
    }
    s_raise_limit();
    exit_code = s_run(&self);
    yam_destroy(&self.yam);
    return exit_code;
}
