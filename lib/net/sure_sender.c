//  The sure sender: what applications call. See yami_sure_sender.h.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_frame.h"
#include "yami_properties.h"
#include "yami_sure_sender.h"

#define BATCH_BYTES ((size_t) 256 << 10)

static yami_sure_sender_t *
s_self(yami_sender_t *base)
{
    return (yami_sure_sender_t *) base;
}

//  -- Sending -----------------------------------------------------------------------------------

//  Bytes of a record in a batch.
static size_t
s_record_size(const yami_record_t *record)
{
    size_t times = (record->flags & YAMI_RECORD_DUE ? 8u : 0u) +
                   (record->flags & YAMI_RECORD_EXPIRY ? 8u : 0u);
    return YAMI_RECORD_HEADER_SIZE + times + record->properties.size + record->body.size;
}

//  (2) Under the lock.
static bool
s_has_room(const yami_sure_sender_t *self, size_t size)
{
    uint64_t held = self->accepted - self->settled;
    return (held < self->window &&
            self->held_bytes + size + YAMI_BATCH_HEADER_SIZE <= self->window_bytes) ||
           held == 0;
}

//  Under the lock: the open batch is full. 0, or -1 with errno ENOMEM.
static int
s_close_open(yami_sure_sender_t *self)
{
    yami_sure_closed_t *closed = yami_try_alloc(sizeof *closed, SIZE_MAX);
    if (closed == NULL) {
        return -1;
    }
    bool was_empty = STAILQ_EMPTY(&self->closed);
    closed->builder = self->open;
    STAILQ_INSERT_TAIL(&self->closed, closed, link); //  (1)
    yami_builder_init(&self->open, closed->builder.limit);
    if (was_empty) {
        yami_engine_wake(self->engine, &self->task); //  (3)
    }
    return 0;
}

//  Under the lock, with room: 0, or -1 with the builder's errno.
static int
s_append(yami_sure_sender_t *self, const yami_record_t *record, size_t size)
{
    uint8_t due = record->flags & YAMI_RECORD_DUE;
    if (due != self->open_due && self->open.count > 0 && s_close_open(self) == -1) {
        return -1;
    }
    self->open_due = due;
    int rc = yami_builder_append(&self->open, record);
    if (rc == -1 && errno == EAGAIN && s_close_open(self) == 0) {
        rc = yami_builder_append(&self->open, record);
    }
    if (rc == -1) {
        return -1;
    }
    self->accepted++;
    self->held_bytes += size;
    if (self->open.count == 1) {
        self->held_bytes += YAMI_BATCH_HEADER_SIZE;
        if (STAILQ_EMPTY(&self->closed)) {
            yami_engine_wake(self->engine, &self->task); //  (3)
        }
    }
    return 0;
}

//  Under the lock: why a message that found no room in time is not taken.
static int
s_fail_full(const yami_sure_sender_t *self)
{
    if (self->storage_failed) {
        return yami_fail(EIO, "the store of the relay at %s has failed (restart the relay)",
                         self->endpoint);
    }
    if (!self->is_connected) {
        return yami_fail(ENOTCONN, "no relay answers at %s, and the window is full of messages",
                         self->endpoint);
    }
    return yami_fail(EAGAIN, "the window is full of messages that %s has not confirmed",
                     self->endpoint);
}

static int
s_fail_final(const yami_sure_sender_t *self)
{
    const char *what = self->error == ESTALE      ? "a newer producer of this name took over"
                       : self->final_text[0] != 0 ? self->final_text
                       : self->error == EACCES    ? "not allowed"
                       : self->error == EEXIST    ? "the channel is of another kind"
                                                  : "refused for good";
    return yami_fail(self->error, "the relay at %s: %s", self->endpoint, what);
}

//  Under the lock: waits for room. 0, or -1 with errno; the engine's thread never waits.
static int
s_wait_room(yami_sure_sender_t *self, size_t size)
{
    bool may_wait = !yami_engine_is_inside(self->engine);
    int64_t until_ms = yami_monitor_deadline(may_wait ? self->send_timeout_ms : 0);
    bool has_time = may_wait;
    while (self->error == 0 && !s_has_room(self, size)) {
        if (!has_time || self->storage_failed) {
            return s_fail_full(self);
        }
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
    return self->error == 0 ? 0 : s_fail_final(self);
}

//  Under the lock: record's properties with the subject added, in the scratch writer.
static int
s_add_subject(yami_sure_sender_t *self, yami_record_t *record, const char *subject)
{
    yami_slice_t extended =
        yami_properties_add(&self->properties, record->properties, "subject", subject);
    if (extended.size == 0) {
        return yami_fail(errno == EPROTO ? EINVAL : errno,
                         "the subject does not fit the message's properties");
    }
    record->properties = extended;
    return 0;
}

//  Under the lock.
static int
s_put(yami_sure_sender_t *self, const yami_record_t *record)
{
    size_t size = s_record_size(record);
    if ((self->error != 0 || !s_has_room(self, size)) && s_wait_room(self, size) == -1) {
        return -1;
    }
    return s_append(self, record, size);
}

static int
s_send_subject(yami_sure_sender_t *self, const yami_record_t *record, const char *subject)
{
    yami_property_t property;
    yami_record_t extended = *record;
    if (yami_subject_check(subject, false) == -1) {
        return -1;
    }
    bool has_subject = yami_properties_find(record->properties, "subject", &property);
    yami_monitor_lock(&self->monitor);
    size_t needed = s_record_size(record) + YAMI_LIMIT_SUBJECT;
    int rc = self->error == 0 && s_has_room(self, needed) ? 0 : s_wait_room(self, needed);
    //  The scratch is good until the lock is let go, so the room comes first.
    if (rc == 0 && !has_subject) {
        rc = s_add_subject(self, &extended, subject);
    }
    if (rc == 0) {
        rc = s_append(self, &extended, s_record_size(&extended));
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

static int
s_check_due(const yami_sure_sender_t *self, const yami_record_t *record)
{
    return record->flags & YAMI_RECORD_DUE
               ? yami_delayed_name_check(yami_slice_text(self->core.config.channel))
               : 0;
}

static int
s_send(yami_sender_t *base, const yami_record_t *record, const char *subject)
{
    yami_sure_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam) || s_check_due(self, record) == -1) {
        return -1;
    }
    if (*subject != 0) {
        return s_send_subject(self, record, subject);
    }
    yami_monitor_lock(&self->monitor);
    int rc = s_put(self, record);
    yami_monitor_unlock(&self->monitor);
    return rc;
}

//  -- Waiting, and the rest of the table --------------------------------------------------------

//  Under the lock: waits until all accepted by now were reported, as far as they ever will be. How
//  many were not, were never sent, or were refused since this was asked last; errno then says
//  whether more will be. The engine's thread never waits.
static uint64_t
s_flush_until(yami_sure_sender_t *self, int64_t until_ms)
{
    uint64_t wanted = self->accepted;
    bool has_time = !yami_engine_is_inside(self->engine);
    while (self->reported < wanted && !self->has_reported_all && has_time) {
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
    uint64_t left = self->reported < wanted ? wanted - self->reported : 0;
    uint64_t refused = self->refused_untold;
    self->refused_untold = 0;
    if (self->error != 0) {
        (void) s_fail_final(self);
    } else if (left == 0 && refused > 0) {
        (void) yami_fail(
            yam_status_errno(self->refusal), "the relay at %s refused %" PRIu64 " message%s: %s",
            self->endpoint, refused, refused == 1 ? "" : "s",
            self->refusal_text[0] != 0 ? self->refusal_text : yam_status_name(self->refusal));
    } else {
        errno = EAGAIN;
    }
    left += refused + self->never_sent;
    return left;
}

static uint64_t
s_flush(yami_sender_t *base, int timeout_ms)
{
    yami_sure_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return self->accepted - self->reported;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    uint64_t left = s_flush_until(self, until_ms);
    yami_monitor_unlock(&self->monitor);
    return left;
}

static int
s_wait(yami_sender_t *base, unsigned count, int timeout_ms)
{
    (void) count;
    (void) timeout_ms;
    return yami_context_is_ours(s_self(base)->yam)
               ? 0
               : -1; //  the relay keeps for those who come later
}

static void
s_set_confirm(yami_sender_t *base, yam_confirm_fn confirm, void *arg)
{
    yami_sure_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    while (self->is_reporting && !yami_engine_is_inside(self->engine)) {
        (void) yami_monitor_wait(&self->monitor, INT64_MAX);
    }
    self->confirm = confirm;
    self->confirm_arg = arg;
    yami_monitor_unlock(&self->monitor);
}

static void
s_stats(yami_sender_t *base, yam_sender_stats_t *stats)
{
    yami_sure_sender_t *self = s_self(base);
    memset(stats, 0, sizeof *stats);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    stats->sent = self->accepted - self->before_first;
    stats->is_connected = self->is_connected;
    yami_monitor_unlock(&self->monitor);
}

void
yami_sure_sender_state(yami_sender_t *base, yami_sure_state_t *state, char *text, size_t size)
{
    yami_sure_sender_t *self = s_self(base);
    YAM_ASSERT(base->ops->send == s_send);
    yami_monitor_lock(&self->monitor);
    *state = self->state;
    (void) snprintf(text, size, "%s", self->final_text);
    yami_monitor_unlock(&self->monitor);
}

static const char *
s_endpoint(const yami_sender_t *base)
{
    return ((const yami_sure_sender_t *) base)->endpoint;
}

//  -- Life --------------------------------------------------------------------------------------

static void
s_free(yami_sure_sender_t *self)
{
    while (!STAILQ_EMPTY(&self->closed)) {
        yami_sure_closed_t *closed = STAILQ_FIRST(&self->closed);
        STAILQ_REMOVE_HEAD(&self->closed, link);
        yami_builder_clear(&closed->builder);
        yami_free(closed);
    }
    yami_builder_clear(&self->open);
    yami_builder_clear(&self->taken);
    yami_writer_clear(&self->properties);
    yami_producer_core_clear(&self->core);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
}

//  Under the lock: tells the relay, when there is a session and time.
static void
s_leave(yami_sure_sender_t *self, int64_t until_ms)
{
    int64_t farewell_ms = yami_monitor_deadline(YAMI_SURE_FAREWELL_MS);
    int64_t end_ms = farewell_ms < until_ms ? farewell_ms : until_ms;
    self->is_closing = true;
    yami_engine_wake(self->engine, &self->task);
    while (!self->has_ended && yami_monitor_wait(&self->monitor, end_ms)) {
    }
}

static uint64_t
s_close(yami_sender_t **base_p, int timeout_ms)
{
    yami_sure_sender_t *self = s_self(*base_p);
    *base_p = NULL;
    if (!yami_context_is_ours(self->yam)) {
        //  A forked child leaves everything as it is: the locks may be held by threads that are not
        //  here.
        return self->accepted - self->reported;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    uint64_t left = s_flush_until(self, until_ms);
    s_leave(self, until_ms);
    yami_monitor_unlock(&self->monitor);
    yami_engine_remove(self->engine, &self->task);
    yami_sure_link_close(&self->link);
    s_free(self);
    return left;
}

static const yami_sender_ops_t s_ops = {
    .send = s_send,
    .flush = s_flush,
    .close = s_close,
    .set_confirm = s_set_confirm,
    .wait = s_wait,
    .stats = s_stats,
    .endpoint = s_endpoint,
};

//  Its owner's identity, a durable name's, or a random one.
static void
s_identify(yami_sure_sender_t *self, yami_producer_config_t *config, const char *name,
           const yami_identity_t *identity)
{
    config->is_durable = identity != NULL || name[0] != 0;
    if (identity != NULL) {
        config->producer = identity->producer;
        config->epoch = identity->epoch;
        config->first_sequence = identity->first_sequence;
        config->ends_when_refused = true;
        self->before_first = identity->first_sequence - 1;
        self->accepted = self->settled = self->reported = self->before_first;
        self->changed = identity->changed;
        self->changed_arg = identity->arg;
    } else if (config->is_durable) {
        config->producer = yami_producer_id(name);
    } else {
        yami_random(config->producer.bytes, sizeof config->producer.bytes);
    }
}

static void
s_init_core(yami_sure_sender_t *self, int kind, const char *channel,
            const yami_endpoint_options_t *options, const yami_identity_t *identity)
{
    yami_producer_config_t config = {.kind = kind, .heartbeat_ms = options->heartbeat_ms};
    (void) snprintf(config.channel, sizeof config.channel, "%s", channel);
    yami_sure_link_name(config.name, sizeof config.name, options->name);
    s_identify(self, &config, options->name, identity);
    yami_random(&config.seed, sizeof config.seed);
    yami_producer_core_init(&self->core, &config);
}

yami_sender_t *
yami_sure_sender_new(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint,
                     const yami_identity_t *identity)
{
    const yami_endpoint_options_t *options = &endpoint->options;
    yami_sure_sender_t *self = yami_alloc(sizeof *self);
    self->base.ops = &s_ops;
    self->base.linger_ms = options->linger_ms;
    self->yam = yam;
    self->engine = yami_context_engine(yam);
    self->window = (uint64_t) options->window;
    self->window_bytes = (uint64_t) options->window_bytes;
    self->send_timeout_ms = options->send_timeout_ms;
    (void) snprintf(self->endpoint, sizeof self->endpoint, "%s", endpoint->addresses[0].address);
    size_t limit = options->batch_bytes == 0 ? BATCH_BYTES : (size_t) options->batch_bytes;
    yami_monitor_init(&self->monitor);
    yami_builder_init(&self->open, limit);
    yami_builder_init(&self->taken, limit);
    STAILQ_INIT(&self->closed);
    yami_writer_init(&self->properties, YAMI_LIMIT_PROPERTIES);
    s_init_core(self, kind, channel, options, identity);
    yami_sure_link_init(&self->link, yam, endpoint, false);
    self->task.step = yami_sure_sender_step;
    self->task.arg = self;
    if (yami_engine_add(self->engine, &self->task) == -1) {
        s_free(self);
        return NULL;
    }
    return &self->base;
}
