//  The fast sender: what applications call. See yami_fast_sender.h for when things are sent.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_fast_sender.h"
#include "yami_frame.h"
#include "yami_frame_socket.h"
#include "yami_properties.h"
#include "yami_socket.h"

#define QUEUE_HWM 4  //  frames; few, so that what a puller does not take gathers into large ones
#define TOPIC_HWM 64 //  frames; many, since what finds no room is lost
#define QUEUE_BATCH_BYTES ((size_t) 512 << 10) //  less costs more system calls and wake-ups
#define TOPIC_BATCH_BYTES ((size_t) 256 << 10)

static yami_fast_sender_t *
s_self(yami_sender_t *base)
{
    return (yami_fast_sender_t *) base;
}

//  -- Waiting -----------------------------------------------------------------------------------

//  Under the lock: waits for a change until until_ms. 0, or -1 with errno EAGAIN: at once in the
//  engine's thread, since it is the engine that makes room.
static int
s_wait_change(yami_fast_sender_t *self, int64_t until_ms)
{
    bool has_time =
        !yami_engine_is_inside(self->engine) && yami_monitor_wait(&self->monitor, until_ms);
    if (!has_time) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

//  -- Sending -----------------------------------------------------------------------------------

//  Under the lock: puts the record into the open batch, after closing one of another subject. 0, or
//  -1 with errno EAGAIN when there is no room now.
static int
s_append(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    if (self->is_topic && self->open.count > 0 && strcmp(self->subject, subject) != 0 &&
        yami_fast_close_open(self) == -1) {
        return -1;
    }
    if (yami_builder_append(&self->open, record) == -1) {
        return -1;
    }
    if (self->is_topic && self->open.count == 1) {
        memcpy(self->subject, subject, strlen(subject) + 1);
    }
    self->accepted++;
    return 0;
}

//  Under the lock: the slow path of s_append, waiting for room.
static int
s_append_waiting(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    int64_t until_ms = yami_monitor_deadline(self->send_timeout_ms);
    while (s_append(self, record, subject) == -1) {
        if (errno != EAGAIN) {
            return -1;
        }
        if (s_wait_change(self, until_ms) == -1) {
            return yami_fail(EAGAIN, "the peers of %s take no more now", self->endpoint);
        }
    }
    return 0;
}

static int
s_check(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    if (record->flags != 0) {
        return yami_fail(ENOTSUP, "due and expiry times need a relay (grade=sure)");
    }
    return self->is_topic && *subject ? yami_subject_check(subject, false) : 0;
}

static int
s_send(yami_sender_t *base, const yami_record_t *record, const char *subject)
{
    yami_fast_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    if ((record->flags != 0 || *subject) && s_check(self, record, subject) == -1) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    int rc = s_append(self, record, subject);
    if (rc == -1 && errno == EAGAIN) {
        rc = s_append_waiting(self, record, subject);
    }
    if (rc == 0 && !self->engine_owns && yami_fast_send_open(self) == -1) {
        yami_fast_hand_over(self); //  (1) out of memory: the engine tries again
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

//  -- Raw framing: one message per frame, for any ZeroMQ program at the other end ---------------

//  Properties cannot travel: a message that has some is refused rather than sent without them.
static int
s_check_raw(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    yami_properties_t walk;
    yami_property_t property;
    if (s_check(self, record, subject) == -1 ||
        yami_properties_start(&walk, record->properties) == -1) {
        return -1;
    }
    int rc;
    while ((rc = yami_properties_next(&walk, &property)) == 1) {
        if (!self->is_topic || !yami_slice_equal(property.name, "subject")) {
            return yami_fail(EINVAL, "framing=raw has no place for property \"%.*s\"",
                             (int) property.name.size, (const char *) property.name.data);
        }
    }
    return rc;
}

//  Under the lock. A subject goes ahead as a part of its own, the classic envelope: when it
//  has gone the body must go, too. So there is memory for that first; room there is for both.
static int
s_put_raw(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    if (!*subject) {
        return yami_socket_send_copy(self->socket, record->body.data, record->body.size, false);
    }
    yami_block_t *body = yami_block_copy(record->body.data, record->body.size, YAMI_LIMIT_BODY);
    int rc = body ? yami_socket_send_copy(self->socket, subject, strlen(subject), true) : -1;
    if (rc == 0) {
        rc = yami_socket_send(self->socket, body, false);
    }
    yami_block_unref(&body);
    return rc;
}

//  Under the lock: sends, or has the engine listen for room. 0, or -1 with errno EAGAIN.
static int
s_try_raw(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    if (self->engine_owns) {
        if (!yami_fast_has_room(self)) {
            errno = EAGAIN;
            return -1;
        }
        yami_fast_take_back(self); //  the engine will not hear of the room we have seen
    }
    int rc = s_put_raw(self, record, subject);
    if (rc == -1 && errno == EAGAIN && yami_fast_has_room(self)) {
        rc = s_put_raw(self, record, subject);
    }
    if (rc == -1 && errno == EAGAIN && self->is_topic) {
        yami_fast_let_drop(self);
        rc = s_put_raw(self, record, subject);
        yami_fast_notice_full(self);
    }
    if (rc == -1 && errno == EAGAIN) {
        yami_fast_hand_over(self);
    }
    return rc;
}

//  Under the lock: the slow path of s_try_raw, waiting for room.
static int
s_try_raw_waiting(yami_fast_sender_t *self, const yami_record_t *record, const char *subject)
{
    int64_t until_ms = yami_monitor_deadline(self->send_timeout_ms);
    while (s_try_raw(self, record, subject) == -1) {
        if (errno != EAGAIN || s_wait_change(self, until_ms) == -1) {
            return yami_fail(errno, "the peers of %s take no more now", self->endpoint);
        }
    }
    return 0;
}

static int
s_send_raw(yami_sender_t *base, const yami_record_t *record, const char *subject)
{
    yami_fast_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    if (record->body.size > YAMI_LIMIT_BODY) {
        return yami_fail(EMSGSIZE, "a body of %zu bytes is more than the limit of %u",
                         record->body.size, YAMI_LIMIT_BODY);
    }
    if ((record->flags != 0 || record->properties.size > 0 || *subject) &&
        s_check_raw(self, record, subject) == -1) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    int rc = s_try_raw(self, record, subject);
    if (rc == -1) {
        rc = s_try_raw_waiting(self, record, subject);
    }
    if (rc == 0) {
        self->accepted++;
        yami_fast_count_handed(self, 1);
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

//  -- Waiting for what was sent, and the rest of the table --------------------------------------

static uint64_t
s_flush(yami_sender_t *base, int timeout_ms)
{
    yami_fast_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return self->accepted - self->handed;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    uint64_t wanted = self->accepted;
    while (self->handed < wanted && s_wait_change(self, until_ms) == 0) {
    }
    uint64_t left = self->handed < wanted ? wanted - self->handed : 0;
    yami_monitor_unlock(&self->monitor);
    errno = EAGAIN; //  more may go, given time
    return left;
}

static int
s_wait(yami_sender_t *base, unsigned count, int timeout_ms)
{
    yami_fast_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    if (!self->can_wait) {
        return 0;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    int rc = 0;
    yami_monitor_lock(&self->monitor);
    yami_engine_wake(self->engine, &self->task); //  to look for what nobody has looked for yet
    while (self->subscriber_count < (int64_t) count && rc == 0) {
        rc = s_wait_change(self, until_ms);
    }
    if (self->subscriber_count >= (int64_t) count) {
        rc = 0;
    } else {
        (void) yami_fail(EAGAIN, "%lld of %u subscribers are there",
                         (long long) self->subscriber_count, count);
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

static void
s_set_confirm(yami_sender_t *base, yam_confirm_fn confirm, void *arg)
{
    yami_fast_sender_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    while (self->is_reporting && s_wait_change(self, INT64_MAX) == 0) {
    }
    self->confirm = confirm;
    self->confirm_arg = arg;
    yami_monitor_unlock(&self->monitor);
}

static void
s_stats(yami_sender_t *base, yam_sender_stats_t *stats)
{
    yami_fast_sender_t *self = s_self(base);
    memset(stats, 0, sizeof *stats);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    stats->sent = self->accepted;
    stats->confirmed = self->handed - self->dropped;
    stats->dropped = self->dropped;
    stats->overflows = self->overflows;
    stats->frames = self->frames;
    stats->is_connected = !self->can_wait || self->subscriber_count > 0;
    yami_monitor_unlock(&self->monitor);
}

static const char *
s_endpoint(const yami_sender_t *base)
{
    return ((const yami_fast_sender_t *) base)->endpoint;
}

//  -- Life --------------------------------------------------------------------------------------

static void
s_free(yami_fast_sender_t *self)
{
    yami_builder_clear(&self->open);
    yami_builder_clear(&self->spare);
    yami_block_unref(&self->pending.block);
    for (; self->closed_count > 0; self->closed_count--) {
        yami_block_unref(&self->closed[self->closed_first].batch);
        self->closed_first = (self->closed_first + 1) % YAMI_FAST_CLOSED_LIMIT;
    }
    yami_gate_leave(&self->gate);
    yami_prefixes_clear(&self->prefixes);
    yami_free(self->closed);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
}

//  What is in libzmq's queues by then goes out within the time that is left, while the context
//  lives.
static void
s_close_socket(yami_fast_sender_t *self, int timeout_ms, int64_t begun_ms)
{
    int linger_ms = -1;
    if (timeout_ms >= 0) {
        int64_t left_ms = begun_ms + timeout_ms - yami_clock_mono_ms();
        linger_ms = left_ms > 0 ? (int) left_ms : 0;
    }
    (void) zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    yami_socket_close(self->socket);
}

static uint64_t
s_close(yami_sender_t **base_p, int timeout_ms)
{
    yami_fast_sender_t *self = s_self(*base_p);
    *base_p = NULL;
    int64_t begun_ms = yami_clock_mono_ms();
    uint64_t left = s_flush(&self->base, timeout_ms);
    if (yami_context_is_ours(self->yam)) {
        yami_gate_silence(self->gate);
        yami_engine_remove(self->engine, &self->task);
        s_close_socket(self, timeout_ms, begun_ms);
        s_free(self);
    }
    //  A forked child leaves everything as it is: the locks may be held by threads that are not
    //  here.
    return left;
}

static const yami_sender_ops_t s_batch_ops = {
    .send = s_send,
    .flush = s_flush,
    .close = s_close,
    .set_confirm = s_set_confirm,
    .wait = s_wait,
    .stats = s_stats,
    .endpoint = s_endpoint,
};

static const yami_sender_ops_t s_raw_ops = {
    .send = s_send_raw,
    .flush = s_flush,
    .close = s_close,
    .set_confirm = s_set_confirm,
    .wait = s_wait,
    .stats = s_stats,
    .endpoint = s_endpoint,
};

static bool
s_is_multicast(const yami_endpoint_t *endpoint)
{
    for (size_t index = 0; index < endpoint->address_count; index++) {
        const char *address = endpoint->addresses[index].address;
        if (strncmp(address, "pgm:", 4) == 0 || strncmp(address, "epgm:", 5) == 0 ||
            strncmp(address, "norm:", 5) == 0) {
            return true;
        }
    }
    return false;
}

//  XPUB is a PUB that also shows the subscriptions it got: the moment a subscription counts from.
static int
s_open_socket(yami_fast_sender_t *self, const yami_endpoint_t *endpoint)
{
    yami_endpoint_options_t options = endpoint->options;
    if (options.hwm == 0 && !self->is_raw) {
        options.hwm = self->is_topic ? TOPIC_HWM : QUEUE_HWM;
    }
    self->socket = yami_context_socket(self->yam, self->is_topic ? ZMQ_XPUB : ZMQ_PUSH, &options);
    if (!self->socket) {
        return -1;
    }
    int one = 1;
    if (self->is_topic) {
        (void) zmq_setsockopt(self->socket, ZMQ_XPUB_VERBOSER, &one, sizeof one);
        yami_fast_notice_full(self);
    }
    size_t fd_size = sizeof self->task.fd;
    if (zmq_getsockopt(self->socket, ZMQ_FD, &self->task.fd, &fd_size) == -1) {
        return yami_fail(errno, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    return yami_context_attach(self->socket, endpoint, self->endpoint, sizeof self->endpoint);
}

yami_sender_t *
yami_fast_sender_new(yam_t *yam, int kind, const yami_endpoint_t *endpoint)
{
    const yami_endpoint_options_t *options = &endpoint->options;
    yami_fast_sender_t *self = yami_alloc(sizeof *self);
    self->base.linger_ms = options->linger_ms;
    self->yam = yam;
    self->engine = yami_context_engine(yam);
    self->is_topic = kind == YAMI_KIND_TOPIC;
    self->is_raw = options->framing == YAMI_FRAMING_RAW;
    self->base.ops = self->is_raw ? &s_raw_ops : &s_batch_ops;
    self->can_wait = self->is_topic && !s_is_multicast(endpoint);
    self->send_timeout_ms = options->send_timeout_ms;
    self->batch_bytes = options->batch_bytes != 0 ? (size_t) options->batch_bytes
                        : self->is_topic          ? TOPIC_BATCH_BYTES
                                                  : QUEUE_BATCH_BYTES;
    yami_random(self->producer.bytes, sizeof self->producer.bytes);
    yami_builder_init(&self->open, self->batch_bytes);
    yami_builder_init(&self->spare, self->batch_bytes);
    yami_monitor_init(&self->monitor);
    self->task.step = yami_fast_step;
    self->task.arg = self;
    if (s_open_socket(self, endpoint) == -1) {
        int error = errno;
        yami_socket_close(self->socket);
        s_free(self);
        errno = error;
        return NULL;
    }
    if (self->is_topic) {
        self->gate = yami_gate_new(self->engine, &self->task);
        self->closed = yami_alloc(YAMI_FAST_CLOSED_LIMIT * sizeof *self->closed);
        self->closed_limit = options->hwm == 0 ? TOPIC_HWM / 2 : (uint32_t) options->hwm / 2 + 1;
        self->undrained_limit = options->hwm == 0 ? TOPIC_HWM : (uint32_t) options->hwm;
    }
    (void) yami_engine_add(self->engine, &self->task);
    return &self->base;
}
