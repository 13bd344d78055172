//  yam_pruner - its life and its thread, over an inbox of its own. See the header.

#include "yam_pruner.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "yam_error.h"
#include "yam_inbox_db.h"
#include "yami_base.h"
#include "yami_fork.h"
#include "yami_log.h"
#include "yami_monitor.h"
#include "yami_option.h"
#include "yami_thread.h"

#define S_DAY_MS (24ll * 3600 * 1000)

typedef struct {
    int64_t interval_ms;
    int64_t batch;
} s_options_t;

struct yam_pruner {
    const yam_inbox_db_t *db;
    char *place;         //  owned
    char *inbox_options; //  owned; may be NULL
    s_options_t options;
    uint64_t fork_stamp;
    pthread_t thread;

    void *connection;   //  owned; NULL: to be made anew. The thread's, as the next two
    yam_inbox_t *inbox; //  owned; over connection
    yami_log_site_t log_site;

    yami_monitor_t monitor; //  guards the rest
    bool is_stopping;
    yam_pruner_stats_t stats;
};

static const yami_option_t s_table[] = {
    {"interval", YAMI_OPTION_INT, offsetof(s_options_t, interval_ms), 1, S_DAY_MS, "1s", "ms", NULL,
     "how often the database is asked for old claims"},
    {"batch", YAMI_OPTION_INT, offsetof(s_options_t, batch), 1, YAM_INBOX_BATCH, "1000", "claims",
     NULL, "most that are forgotten at once, under the database's locks"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

const char *
yam_pruner_options_help(void)
{
    static char text[1024];
    return yami_options_help_once(s_table, text, sizeof text);
}

//  ---- The thread

//  Keeps errno.
static void
s_disconnect(yam_pruner_t *self)
{
    int error = errno;
    yam_inbox_destroy(&self->inbox);
    if (self->connection != NULL) {
        self->db->disconnect(self->connection);
        self->connection = NULL;
    }
    errno = error;
}

//  0, or -1 with errno and a sentence.
static int
s_connect(yam_pruner_t *self)
{
    self->connection = self->db->connect(self->place);
    if (self->connection != NULL) {
        self->inbox = yam_inbox_new_over(self->db, self->connection, self->inbox_options);
    }
    if (self->inbox == NULL) {
        s_disconnect(self);
        return -1;
    }
    return 0;
}

//  Forgets one batch; adds to *pruned_p what is forgotten, also when it fails. Whether there may be
//  more, or -1: whatever failed, the next one begins with a new connection.
static int
s_forget(yam_pruner_t *self, uint64_t *pruned_p)
{
    if (self->inbox == NULL && s_connect(self) == -1) {
        return -1;
    }
    yam_inbox_stats_t before;
    yam_inbox_stats_t after;
    yam_inbox_stats(self->inbox, &before);
    int64_t count = yam_inbox_prune(self->inbox, self->options.batch);
    yam_inbox_stats(self->inbox, &after);
    *pruned_p += after.pruned - before.pruned;
    if (count == -1) {
        s_disconnect(self);
        return -1;
    }
    return count == self->options.batch;
}

//  Counts what came of a batch, and waits. Whether to go on.
static bool
s_rest(yam_pruner_t *self, int rc, uint64_t pruned, int64_t until_ms)
{
    yami_monitor_lock(&self->monitor);
    self->stats.pruned += pruned;
    self->stats.rounds += rc == 0;
    self->stats.troubles += rc == -1;
    bool has_time = true;
    while (!self->is_stopping && has_time) {
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
    bool goes_on = !self->is_stopping;
    yami_monitor_unlock(&self->monitor);
    return goes_on;
}

static void *
s_run(void *arg)
{
    yam_pruner_t *self = arg;
    bool goes_on = true;
    while (goes_on) {
        uint64_t pruned = 0;
        int64_t start_ms = yami_clock_mono_ms();
        int rc = s_forget(self, &pruned);
        if (rc == -1) {
            yami_log_limited(&self->log_site, YAMI_LOG_WARN, "inbox.prune", "error=%s",
                             yam_error());
        }
        int64_t now_ms = yami_clock_mono_ms();
        //  2: each reading of the clock is up to a millisecond early
        int64_t rest_ms = rc == 1 ? now_ms - start_ms + 2 : self->options.interval_ms;
        goes_on = s_rest(self, rc, pruned, now_ms + rest_ms);
    }
    return NULL;
}

//  ---- Life

//  Keeps errno.
static void
s_free(yam_pruner_t *self)
{
    s_disconnect(self);
    int error = errno;
    yami_monitor_destroy(&self->monitor);
    yami_free(self->place);
    yami_free(self->inbox_options);
    yami_free(self);
    errno = error;
}

//  0, or -1 with errno and a sentence.
static int
s_start(yam_pruner_t *self, const char *options)
{
    if (yami_options_read(s_table, &self->options, options) == -1 || s_connect(self) == -1) {
        return -1;
    }
    int rc = yami_thread_start(&self->thread, s_run, self);
    return rc == 0
               ? 0
               : yami_fail(rc, "cannot start the pruner's thread: %s (raise the limit of threads)",
                           strerror(rc));
}

yam_pruner_t *
yam_pruner_new_over(const yam_inbox_db_t *db, const char *place, const char *inbox_options,
                    const char *options)
{
    if (place == NULL || db->connect == NULL) {
        (void) yami_fail(EINVAL, "a pruner needs a database that keeps what is old, and its place");
        return NULL;
    }
    yami_fork_watch();
    yam_pruner_t *self = yami_alloc(sizeof *self);
    self->db = db;
    self->place = yami_strdup(place);
    self->inbox_options = inbox_options != NULL ? yami_strdup(inbox_options) : NULL;
    self->fork_stamp = yami_fork_stamp();
    yami_monitor_init(&self->monitor);
    yami_options_init(s_table, &self->options);
    if (s_start(self, options) == -1) {
        s_free(self);
        return NULL;
    }
    return self;
}

void
yam_pruner_destroy(yam_pruner_t **self_p)
{
    yam_pruner_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    if (self->fork_stamp != yami_fork_stamp()) {
        return; //  a forked child leaves everything as it is: the database is the parent's
    }
    yami_monitor_lock(&self->monitor);
    self->is_stopping = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    (void) pthread_join(self->thread, NULL);
    s_free(self);
}

void
yam_pruner_stats(yam_pruner_t *self, yam_pruner_stats_t *stats)
{
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    yami_monitor_unlock(&self->monitor);
}
