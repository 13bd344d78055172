//  yam_dispatcher - its life and its thread. See yami_dispatcher.h.

#include "yam_dispatcher.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_dispatcher.h"
#include "yami_frame.h"
#include "yami_limits.h"
#include "yami_option.h"
#include "yami_outbox_sqlite.h"
#include "yami_thread.h"

#define S_DAY_MS (24ll * 3600 * 1000)
#define S_OUTPUTS 64 //  of one round: then the database has its turn
//  Who had to wait for the write lock leaves it to the others for a while: what gathers meanwhile
//  is marked and given sequences at once, and they wait for it seldom.
#define S_CONTENDED_US 100
#define S_REST_MS 4

#define OPTION(field) offsetof(yami_dispatcher_options_t, field)

static const yami_option_t s_table[] = {
    {"prefix", YAMI_OPTION_STRING, OPTION(prefix), 1, YAM_OUTBOX_PREFIX, "yam_outbox", "", NULL,
     "what the names of tables begin with"},
    {"limit", YAMI_OPTION_INT, OPTION(core.limit_ms), 10, S_DAY_MS, "30s", "ms", NULL,
     "what has no confirm after so long is sent again"},
    {"tries", YAMI_OPTION_INT, OPTION(core.try_limit), 1, YAM_OUTBOX_TRIES, "3", "", NULL,
     "so many times, and then it has failed"},
    {"level", YAMI_OPTION_CHOICE, OPTION(core.level), 0, 0, "received", "",
     "none|received|written|synced|replicated", "a relay that confirms below it gets nothing"},
    {"keep", YAMI_OPTION_INT, OPTION(core.keep_ms), 0, 3650 * S_DAY_MS, "24h", "ms", NULL,
     "how long delivered rows are kept, 0: not at all"},
    {"lease", YAMI_OPTION_INT, OPTION(core.lease_ms), 10, S_DAY_MS, "5s", "ms", NULL,
     "a dispatcher that is silent for so long has its channels taken over"},
    {"poll", YAMI_OPTION_INT, OPTION(poll_ms), 1, S_DAY_MS, "20ms", "ms", NULL,
     "how often the database is asked for something new"},
    {"batch", YAMI_OPTION_INT, OPTION(core.batch), 1, 65536, "4096", "messages", NULL,
     "most rows that are given sequences at once"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

const char *
yam_dispatcher_options_help(void)
{
    static char text[1024];
    return yami_options_help_once(s_table, text, sizeof text);
}

//  -- The thread ----------------------------------------------------------------------------------

static void
s_hear(yam_dispatcher_t *self, int64_t now_ms)
{
    yami_monitor_lock(&self->monitor);
    self->has_news = false;
    yami_monitor_unlock(&self->monitor);
    for (size_t index = 0; index < self->driver.core.lane_count; index++) {
        yami_outbox_lane_t *lane = self->driver.core.lanes[index];
        if (lane->shell != NULL) {
            yami_dispatcher_hear(self, lane, now_ms);
        }
    }
}

static void
s_complain(yam_dispatcher_t *self)
{
    yami_log_limited(&self->log_site, YAMI_LOG_WARN, "outbox.database", "error=%s", yam_error());
}

//  What pushes are to do. Whether there was anything.
static bool
s_act(yam_dispatcher_t *self, int64_t now_ms)
{
    yami_outbox_output_t output;
    int count = 0;
    while (count < S_OUTPUTS && yami_outbox_core_output(&self->driver.core, now_ms, &output)) {
        count++;
        if (output.action == YAMI_OUTBOX_DO_OPEN) {
            yami_dispatcher_open(self, output.lane, output.first, now_ms);
        } else if (output.action == YAMI_OUTBOX_DO_CLOSE) {
            yami_dispatcher_close(self, output.lane);
        } else if (yami_dispatcher_send(self, &output, now_ms) == -1) {
            s_complain(self);
            yami_outbox_core_troubled(&self->driver.core, now_ms);
            break;
        }
    }
    return count > 0;
}

//  Publishes counters, answers those who flush, and waits for something to do. Whether to go on.
static bool
s_wait(yam_dispatcher_t *self, uint64_t asked, bool has_worked, bool is_resting)
{
    int64_t until_ms =
        is_resting ? self->rest_until_ms : yami_monitor_deadline(self->options.poll_ms);
    yami_monitor_lock(&self->monitor);
    self->stats = self->driver.core.stats;
    if (!has_worked && !is_resting && asked > self->answered &&
        yami_outbox_core_is_idle(&self->driver.core)) {
        self->answered = asked;
        yami_monitor_tell(&self->monitor);
    }
    bool has_time = true;
    while (has_time && !has_worked && !self->is_stopping && !self->is_woken && !self->has_news) {
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
    self->is_woken = false;
    bool goes_on = !self->is_stopping;
    yami_monitor_unlock(&self->monitor);
    return goes_on;
}

static void
s_leave(yam_dispatcher_t *self)
{
    yami_outbox_core_t *core = &self->driver.core;
    for (size_t index = 0; index < core->lane_count; index++) {
        if (core->lanes[index]->shell != NULL) {
            yami_dispatcher_close(self, core->lanes[index]);
        }
    }
    if (yami_outbox_driver_leave(&self->driver) == -1) {
        s_complain(self); //  others wait for the lease
    }
}

//  A turn with the database, unless it is left to others for now. 1, 0 or -1 as the driver's.
static int
s_turn(yam_dispatcher_t *self, int64_t now_ms)
{
    int rc = yami_outbox_driver_turn(&self->driver, now_ms, yami_clock_wall_ms());
    if (rc == -1) {
        s_complain(self);
    }
    if (rc == 1 && self->driver.waited_us >= S_CONTENDED_US) {
        self->rest_until_ms = yami_clock_mono_ms() + S_REST_MS;
    }
    return rc;
}

static void *
s_run(void *arg)
{
    yam_dispatcher_t *self = arg;
    bool goes_on = true;
    while (goes_on) {
        yami_monitor_lock(&self->monitor);
        uint64_t asked = self->asked;
        yami_monitor_unlock(&self->monitor);
        int64_t now_ms = yami_clock_mono_ms();
        s_hear(self, now_ms);
        bool is_resting = now_ms < self->rest_until_ms;
        int rc = is_resting ? 0 : s_turn(self, now_ms);
        bool has_acted = s_act(self, now_ms);
        goes_on = s_wait(self, asked, rc == 1 || has_acted, is_resting);
    }
    s_leave(self);
    return NULL;
}

//  -- Life ----------------------------------------------------------------------------------------

//  The endpoint with what a dispatcher needs of its pushes. 0, or -1.
static int
s_compose(yam_dispatcher_t *self, const char *endpoint)
{
    if (endpoint == NULL) {
        return yami_fail(EINVAL, "a dispatcher needs an endpoint, where the relay is");
    }
    bool has_options = strchr(endpoint, '?') != NULL;
    int length = snprintf(self->endpoint, sizeof self->endpoint, "%s%s", endpoint,
                          has_options ? "&send-timeout=0" : "?grade=sure&send-timeout=0");
    return length < 0 || (size_t) length >= sizeof self->endpoint
               ? yami_fail(EINVAL, "the endpoint is longer than %d bytes", YAMI_DISPATCHER_ENDPOINT)
               : 0;
}

//  A share of the relay that may be in this process, as long as the dispatcher lives. 0, or -1.
static int
s_enter(yam_dispatcher_t *self)
{
    const yami_place_kind_t *kind = yami_dispatcher_place(YAMI_KIND_QUEUE);
    yami_endpoint_t endpoint;
    if (yami_place_open(&self->place, kind, self->yam, "outbox", self->endpoint, &endpoint) == -1) {
        return -1;
    }
    if (endpoint.options.grade != YAMI_GRADE_SURE) {
        return yami_fail(EINVAL, "an outbox needs the confirms of a relay (grade=sure, or relay=)");
    }
    return 0;
}

static void
s_free(yam_dispatcher_t *self)
{
    int error = errno;
    yami_place_leave(&self->place, yami_clock_mono_ms());
    yami_monitor_destroy(&self->monitor);
    yami_writer_clear(&self->properties);
    const yam_outbox_db_t *db = self->driver.db;
    yami_outbox_driver_clear(&self->driver);
    db->disconnect(self->connection);
    yami_free(self);
    errno = error;
}

//  Opens the database and starts the thread. 0, or -1.
static int
s_start(yam_dispatcher_t *self)
{
    const yam_outbox_db_t *db = self->driver.db;
    uint64_t owner;
    yami_random(&owner, sizeof owner);
    owner = owner >> 1 | 1;
    void *database = db->open(self->connection, self->options.prefix);
    if (database == NULL) {
        return -1;
    }
    yami_outbox_driver_init(&self->driver, db, database, &self->options.core, owner);
    if (db->producer(database, self->producer) == -1) {
        return -1;
    }
    int rc = yami_thread_start(&self->thread, s_run, self);
    return rc == 0 ? 0
                   : yami_fail(rc,
                               "cannot start the dispatcher's thread: %s (raise the limit of "
                               "threads)",
                               strerror(rc));
}

yam_dispatcher_t *
yam_dispatcher_new_over(yam_t *yam, const yam_outbox_db_t *db, void *connection,
                        const char *endpoint, const char *options)
{
    if (connection == NULL) {
        (void) yami_fail(EINVAL, "a dispatcher needs an open database");
        return NULL;
    }
    yam_dispatcher_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->connection = connection;
    self->driver.db = db;
    yami_monitor_init(&self->monitor);
    yami_writer_init(&self->properties, YAMI_LIMIT_PROPERTIES);
    yami_options_init(s_table, &self->options);
    if (yami_options_read(s_table, &self->options, options) == -1 ||
        yami_sqlite_prefix_check(self->options.prefix) == -1 || s_compose(self, endpoint) == -1 ||
        s_enter(self) == -1 || s_start(self) == -1) {
        s_free(self);
        return NULL;
    }
    return self;
}

yam_dispatcher_t *
yam_dispatcher_new(yam_t *yam, const char *file, const char *endpoint, const char *options)
{
    sqlite3 *database = yami_outbox_sqlite_connect(file);
    return database == NULL
               ? NULL
               : yam_dispatcher_new_over(yam, &yami_outbox_sqlite, database, endpoint, options);
}

void
yam_dispatcher_destroy(yam_dispatcher_t **self_p)
{
    yam_dispatcher_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    if (!yami_context_is_ours(self->yam)) {
        return; //  a forked child leaves everything as it is
    }
    yami_monitor_lock(&self->monitor);
    self->is_stopping = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    (void) pthread_join(self->thread, NULL);
    s_free(self);
}

void
yam_dispatcher_wake(yam_dispatcher_t *self)
{
    yami_monitor_lock(&self->monitor);
    self->is_woken = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

int
yam_dispatcher_flush(yam_dispatcher_t *self, int timeout_ms)
{
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    uint64_t wanted = ++self->asked;
    self->is_woken = true;
    yami_monitor_tell(&self->monitor);
    bool has_time = true;
    while (self->answered < wanted && has_time) {
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
    bool is_done = self->answered >= wanted;
    yami_monitor_unlock(&self->monitor);
    return is_done ? 0 : yami_fail(EAGAIN, "rows of the outbox are still on their way");
}

void
yam_dispatcher_stats(yam_dispatcher_t *self, yam_dispatcher_stats_t *stats)
{
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    yami_monitor_unlock(&self->monitor);
}
