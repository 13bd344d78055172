//  The sure receiver: what applications call. See yami_sure_receiver.h.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_message.h"
#include "yami_properties.h"
#include "yami_sure_receiver.h"

static yami_sure_receiver_t *
s_self(yami_receiver_t *base)
{
    return (yami_sure_receiver_t *) base;
}

//  -- Receiving ---------------------------------------------------------------------------------

void
yami_sure_receiver_signal(yami_sure_receiver_t *self)
{
    bool shall_be = self->core.leases.ready > 0 || self->core.state == YAMI_CONSUMER_FINAL ||
                    yami_consumer_core_is_done(&self->core);
    if (self->event_fd == -1 || shall_be == self->is_readable) {
        return;
    }
    uint64_t count = 1;
    ssize_t rc = shall_be ? write(self->event_fd, &count, sizeof count)
                          : read(self->event_fd, &count, sizeof count);
    YAM_ASSERT(rc == sizeof count); //  (2): a counter of 0 or 1
    self->is_readable = shall_be;
}

//  Under the lock: why there is no message and will be none.
static int
s_fail_final(const yami_sure_receiver_t *self)
{
    yam_status_t status = self->core.final_status;
    const char *text = self->core.final_text;
    return yami_fail(yam_status_errno(status), "the relay at %s refuses \"%s\": %s%s%s",
                     self->endpoint, self->core.config.channel, yam_status_name(status),
                     *text != 0 ? ": " : "", text);
}

static int
s_fail_empty(const yami_sure_receiver_t *self)
{
    if (self->core.storage_failed) {
        return yami_fail(EIO, "the store of the relay at %s has failed (restart the relay)",
                         self->endpoint);
    }
    errno = EAGAIN;
    return -1;
}

//  Under the lock.
static yam_message_t *
s_recv_waiting(yami_sure_receiver_t *self, int64_t timeout_ms)
{
    int64_t until_ms = timeout_ms > 0 ? yami_monitor_deadline(timeout_ms) : timeout_ms;
    bool has_time = timeout_ms != 0;
    for (;;) {
        yam_message_t *message = yami_consumer_core_recv(&self->core);
        if (message != NULL) {
            return message;
        }
        if (self->core.state == YAMI_CONSUMER_FINAL) {
            (void) s_fail_final(self);
            return NULL;
        }
        if (yami_consumer_core_is_done(&self->core)) {
            (void) yami_fail(ENODATA, "all %llu messages of option limit have been received",
                             (unsigned long long) self->core.config.limit_messages);
            return NULL;
        }
        if (!has_time) {
            (void) s_fail_empty(self);
            return NULL;
        }
        has_time = yami_monitor_wait(&self->monitor, until_ms < 0 ? INT64_MAX : until_ms);
    }
}

static yam_message_t *
s_recv(yami_receiver_t *base, int timeout_ms)
{
    yami_sure_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return NULL;
    }
    yami_monitor_lock(&self->monitor);
    yam_message_t *message = yami_consumer_core_recv(&self->core);
    if (message == NULL) {
        message = s_recv_waiting(self, timeout_ms);
    }
    if (message != NULL) {
        self->stats.received++;
        self->stats.redelivered += message->deliveries > 1;
        if (self->core.leases.ready == 0) {
            yami_sure_receiver_signal(self);
        }
        if (yami_consumer_core_is_done(&self->core)) {
            yami_monitor_tell(&self->monitor); //  who waits as well waits in vain
        }
    }
    yami_monitor_unlock(&self->monitor);
    return message;
}

static int
s_fd(yami_receiver_t *base)
{
    yami_sure_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    if (self->event_fd == -1) {
        self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (self->event_fd == -1) {
            (void) yami_fail(errno, "cannot open a descriptor for events: %s", strerror(errno));
        }
        yami_sure_receiver_signal(self);
    }
    int fd = self->event_fd;
    yami_monitor_unlock(&self->monitor);
    return fd;
}

//  -- Settling ----------------------------------------------------------------------------------

static void
s_count(yam_receiver_stats_t *stats, yami_settle_kind_t kind)
{
    switch (kind) {
    case YAMI_SETTLE_ACK:
        stats->acked++;
        break;
    case YAMI_SETTLE_NACK:
        stats->nacked++;
        break;
    case YAMI_SETTLE_REJECT:
        stats->rejected++;
        break;
    case YAMI_SETTLE_RELEASE:
        stats->released++;
        break;
    case YAMI_SETTLE_EXTEND:
        break;
    }
}

//  Under the lock: drops the references of settled messages.
static void
s_drop_spent(yami_sure_receiver_t *self)
{
    yami_block_unref_many(&self->spent, self->spent_count);
    self->spent_count = 0;
}

//  Under the lock: takes a settled message in, with its reference to the frame, which it would drop
//  by an atomic operation of its own.
static void
s_keep_spent(yami_sure_receiver_t *self, yam_message_t **message_p)
{
    yam_message_t *message = *message_p;
    if (self->spent != message->block) {
        s_drop_spent(self);
        self->spent = message->block;
    }
    self->spent_count++;
    message->block = NULL;
    yami_message_pool_put(&self->core.leases.spare, message_p);
    if (self->core.leases.open == 0) {
        s_drop_spent(self); //  (3)
    }
}

//  Under the lock.
static int
s_settle_core(yami_sure_receiver_t *self, const yam_message_t *message, yami_settle_kind_t kind,
              int delay_ms, const char *reason)
{
    bool wakes;
    int rc =
        yami_consumer_core_settle(&self->core, message, (uint8_t) kind, delay_ms, reason, &wakes);
    if (wakes) {
        yami_engine_wake(self->engine, &self->task);
    }
    return rc;
}

static int
s_settle(yami_receiver_t *base, yam_message_t **message_p, yami_settle_kind_t kind, int delay_ms,
         const char *reason)
{
    yami_sure_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    YAM_ASSERT(kind != YAMI_SETTLE_EXTEND);
    yami_monitor_lock(&self->monitor);
    int rc = s_settle_core(self, *message_p, kind, delay_ms, reason);
    if (rc == 0) {
        s_count(&self->stats, kind);
        s_keep_spent(self, message_p);
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

static int
s_extend(yami_receiver_t *base, const yam_message_t *message)
{
    yami_sure_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    int rc = s_settle_core(self, message, YAMI_SETTLE_EXTEND, 0, NULL);
    yami_monitor_unlock(&self->monitor);
    return rc;
}

//  Under the lock: of the first wanted settled messages, how many are not known to be durable, now.
static uint64_t
s_left(const yami_sure_receiver_t *self, uint64_t wanted)
{
    uint64_t resolved = self->core.settled - self->core.unresolved;
    return resolved < wanted ? wanted - resolved : 0;
}

//  Under the lock: those whose session ended before they were known to be durable, told once.
static uint64_t
s_take_lost(yami_sure_receiver_t *self)
{
    uint64_t lost = self->core.lost - self->lost_told;
    self->lost_told = self->core.lost;
    return lost;
}

static uint64_t
s_flush(yami_receiver_t *base, int timeout_ms)
{
    yami_sure_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return self->core.unresolved;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    uint64_t wanted = self->core.settled;
    yami_consumer_core_flush(&self->core);
    yami_engine_wake(self->engine, &self->task);
    while (s_left(self, wanted) > 0 && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    uint64_t left = s_left(self, wanted) + s_take_lost(self);
    yami_monitor_unlock(&self->monitor);
    return left;
}

//  -- The rest of the table, life ---------------------------------------------------------------

static void
s_stats(yami_receiver_t *base, yam_receiver_stats_t *stats)
{
    yami_sure_receiver_t *self = s_self(base);
    memset(stats, 0, sizeof *stats);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    const yami_consumer_core_t *core = &self->core;
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    stats->stale = core->stale_count;
    stats->dropped = core->dropped_count;
    stats->frames = core->frame_count;
    stats->reconnects = core->link.session_count > 0 ? core->link.session_count - 1 : 0;
    stats->is_connected = core->state == YAMI_CONSUMER_ATTACHED;
    yami_monitor_unlock(&self->monitor);
}

static const char *
s_endpoint(const yami_receiver_t *base)
{
    return ((const yami_sure_receiver_t *) base)->endpoint;
}

static void
s_free(yami_sure_receiver_t *self)
{
    if (self->event_fd != -1) {
        (void) close(self->event_fd);
    }
    s_drop_spent(self);
    yami_consumer_core_clear(&self->core);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
}

static bool
s_has_left(const yami_sure_receiver_t *self)
{
    return self->core.state == YAMI_CONSUMER_LEFT || self->core.state == YAMI_CONSUMER_FINAL;
}

//  Under the lock: acks out and acked, then detached, then GOODBYE; each as far as time allows.
static void
s_leave(yami_sure_receiver_t *self, int64_t until_ms)
{
    yami_consumer_core_close(&self->core);
    yami_engine_wake(self->engine, &self->task);
    while (!s_has_left(self) && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    yami_consumer_core_leave(&self->core);
    yami_engine_wake(self->engine, &self->task);
    int64_t farewell_ms = yami_monitor_deadline(YAMI_SURE_FAREWELL_MS);
    while (self->core.link.state != YAMI_LINK_ENDED &&
           yami_monitor_wait(&self->monitor, farewell_ms)) {
    }
}

static uint64_t
s_close(yami_receiver_t **base_p, int timeout_ms)
{
    yami_sure_receiver_t *self = s_self(*base_p);
    *base_p = NULL;
    if (!yami_context_is_ours(self->yam)) {
        //  A forked child leaves everything as it is: the locks may be held by threads that are not
        //  here.
        return self->core.unresolved;
    }
    yami_monitor_lock(&self->monitor);
    s_leave(self, yami_monitor_deadline(timeout_ms));
    uint64_t left = s_take_lost(self);
    yami_monitor_unlock(&self->monitor);
    yami_engine_remove(self->engine, &self->task);
    yami_sure_link_close(&self->link);
    s_free(self);
    return left;
}

static const yami_receiver_ops_t s_ops = {
    .recv = s_recv,
    .settle = s_settle,
    .extend = s_extend,
    .flush = s_flush,
    .close = s_close,
    .fd = s_fd,
    .stats = s_stats,
    .endpoint = s_endpoint,
};

//  "first", "new" or a sequence; "" is new for a subscription of its own, else first. 0, or -1 with
//  errno EINVAL.
static int
s_parse_start(yami_consumer_config_t *config, const char *start)
{
    bool is_own = config->kind == YAMI_KIND_TOPIC && config->group[0] == 0;
    if (start[0] == 0 || strcmp(start, "first") == 0 || strcmp(start, "new") == 0) {
        bool is_new = start[0] == 'n' || (start[0] == 0 && is_own);
        config->start = is_new ? YAMI_START_NEW : YAMI_START_FIRST;
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long long sequence = strtoull(start, &end, 10);
    if (errno != 0 || *end != 0 || start[0] < '0' || start[0] > '9' || sequence == 0 ||
        sequence > YAMI_LIMIT_SEQUENCE) {
        return yami_fail(EINVAL, "option start=%s: it is first, new or a sequence", start);
    }
    config->start = YAMI_START_SEQUENCE;
    config->sequence = sequence;
    return 0;
}

int
yami_sure_receiver_configure(yami_consumer_config_t *config, int kind, const char *channel,
                             const yami_endpoint_options_t *options)
{
    *config = (yami_consumer_config_t) {
        .kind = kind,
        .lease_ms = options->lease_ms,
        .credit_messages = (uint64_t) options->credit,
        .credit_bytes = (uint64_t) options->credit_bytes,
        .limit_messages = (uint64_t) options->limit,
        .heartbeat_ms = options->heartbeat_ms,
    };
    (void) snprintf(config->channel, sizeof config->channel, "%s", channel);
    (void) snprintf(config->group, sizeof config->group, "%s", options->group);
    (void) snprintf(config->filter, sizeof config->filter, "%s", options->subject);
    if ((config->group[0] != 0 && yami_name_check(yami_slice_text(config->group), "group") == -1) ||
        (config->filter[0] != 0 && yami_subject_check(config->filter, true) == -1)) {
        return -1;
    }
    yami_sure_link_name(config->name, sizeof config->name, options->name);
    yami_random(&config->seed, sizeof config->seed);
    return s_parse_start(config, options->start);
}

//  Waits until the relay has the subscription. 0, or -1 with errno ETIMEDOUT or the relay's
//  refusal.
static int
s_wait_attached(yami_sure_receiver_t *self, int64_t timeout_ms)
{
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    bool has_time = true;
    int rc = 0;
    yami_monitor_lock(&self->monitor);
    while (rc == 0 && self->core.state != YAMI_CONSUMER_ATTACHED) {
        if (self->core.state == YAMI_CONSUMER_FINAL) {
            rc = s_fail_final(self);
        } else if (!has_time) {
            rc = yami_fail(ETIMEDOUT, "no relay answered at %s within %lld ms (is it running?)",
                           self->endpoint, (long long) timeout_ms);
        } else {
            has_time = yami_monitor_wait(&self->monitor, until_ms);
        }
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

yami_receiver_t *
yami_sure_receiver_new(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint)
{
    const yami_endpoint_options_t *options = &endpoint->options;
    yami_consumer_config_t config;
    if (yami_sure_receiver_configure(&config, kind, channel, options) == -1) {
        return NULL;
    }
    yami_sure_receiver_t *self = yami_alloc(sizeof *self);
    self->base.ops = &s_ops;
    self->base.linger_ms = options->linger_ms;
    self->yam = yam;
    self->engine = yami_context_engine(yam);
    self->event_fd = -1;
    (void) snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint->addresses[0].address);
    yami_monitor_init(&self->monitor);
    yami_consumer_core_init(&self->core, &config);
    yami_sure_link_init(&self->link, yam, endpoint, true);
    self->task.step = yami_sure_receiver_step;
    self->task.arg = self;
    if (yami_engine_add(self->engine, &self->task) == -1) {
        s_free(self);
        return NULL;
    }
    if (kind == YAMI_KIND_TOPIC && s_wait_attached(self, options->connect_timeout_ms) == -1) {
        int error = errno;
        yami_receiver_t *base = &self->base;
        (void) s_close(&base, 0);
        errno = error;
        return NULL;
    }
    return &self->base;
}
