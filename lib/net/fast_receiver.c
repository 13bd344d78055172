//  The fast receiver: the thread that calls recv waits on the socket itself, so there is no hop
//  between the transport and the application.
//
//  When several threads receive, one of them (the leader) waits on the socket, the others wait for
//  it.
//
//  Invariants:
//  (1) The socket is used under the lock, or by the leader without it; has_leader says which.
//  (2) index < batch.count while block is not NULL: a frame of which all is read is given back at
//  once, its messages have references of their own.
//  (3) When recv says EAGAIN, the socket's descriptor or the signal will tell of what comes later.

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_frame.h"
#include "yami_frame_socket.h"
#include "yami_gaps.h"
#include "yami_handout.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_monitor.h"
#include "yami_pollable.h"
#include "yami_receiver.h"
#include "yami_socket.h"
#include "yami_topic_frame.h"

#define QUEUE_HWM 8 //  frames of up to batch-bytes that wait for this puller

typedef struct {
    yami_receiver_t base;
    yam_t *yam; //  borrowed
    bool is_topic;
    bool is_raw;
    size_t prefix_size; //  topics: of the subjects wanted; 0: all are
    char endpoint[YAMI_LIMIT_ADDRESS + 1];

    yami_monitor_t monitor; //  guards all below; tells that the leader has come back
    bool has_leader;
    void *socket;        //  (1) owned; PULL or SUB
    int wait_ms;         //  ZMQ_RCVTIMEO as set now
    yami_block_t *block; //  (2) owned; the frame being read, NULL when there is none
    yami_batch_t batch;  //  in block
    size_t offset;       //  of the next record
    uint32_t index;      //  of the next record
    char subject[YAMI_LIMIT_SUBJECT + 1];
    yami_pollable_t pollable;
    yami_gaps_t gaps;
    yam_receiver_stats_t stats;

    //  Not under the lock.
    yami_handout_t handout; //  messages read, ready to be taken
    _Atomic uint64_t settled[YAMI_SETTLE_RELEASE - YAMI_SETTLE_ACK + 1];
} s_receiver_t;

//  The parts of one message that matter: of a classic envelope the first and the last.
typedef struct {
    yami_block_t *first; //  owned; NULL when there is one part
    yami_block_t *last;  //  owned
} s_parts_t;

static s_receiver_t *
s_self(yami_receiver_t *base)
{
    return (s_receiver_t *) base;
}

//  -- Frames in ---------------------------------------------------------------------------------

static void
s_release_parts(s_parts_t *parts)
{
    yami_block_unref(&parts->first);
    yami_block_unref(&parts->last);
}

//  Receives one message, waiting as long as the socket is set to when may_wait. 0, or -1 with
//  errno.
static int
s_receive(s_receiver_t *self, s_parts_t *parts, bool may_wait)
{
    bool has_more;
    parts->first = NULL;
    parts->last = may_wait ? yami_socket_recv_wait(self->socket, &has_more)
                           : yami_socket_recv(self->socket, &has_more);
    if (!parts->last) {
        return -1;
    }
    while (has_more) {
        yami_block_t *next = yami_socket_recv(self->socket, &has_more);
        if (!next) {
            s_release_parts(parts); //  the context ends: the parts of a message come together
            return -1;
        }
        if (!parts->first) {
            parts->first = parts->last;
        } else {
            yami_block_unref(&parts->last);
        }
        parts->last = next;
    }
    return 0;
}

//  Under the lock: whether bytes are a subject that fits, and if so it is taken.
static bool
s_take_subject(s_receiver_t *self, const uint8_t *bytes, size_t size)
{
    if (size > YAMI_LIMIT_SUBJECT || memchr(bytes, 0, size)) {
        return false;
    }
    memcpy(self->subject, bytes, size);
    self->subject[size] = '\0';
    return true;
}

//  Under the lock: a foreign frame becomes a batch of one record.
static bool
s_open_raw(s_receiver_t *self, const s_parts_t *parts)
{
    self->subject[0] = '\0';
    if (parts->first &&
        (!self->is_topic || !s_take_subject(self, parts->first->data, parts->first->size))) {
        return false;
    }
    self->batch = (yami_batch_t) {.count = 1};
    return parts->last->size <= YAMI_LIMIT_BODY;
}

//  Under the lock: counts what the sender sent this subscription before, and it did not get.
static void
s_note_gaps(s_receiver_t *self, const yami_topic_frame_t *frame)
{
    yami_mark_t mark = {.before = frame->batch.first_sequence - 1};
    bool has_mark =
        self->prefix_size == 0 || yami_topic_frame_mark(frame, self->prefix_size, &mark);
    self->stats.gaps += yami_gaps_note(&self->gaps, &frame->batch, has_mark ? &mark : NULL);
}

static bool
s_open_topic(s_receiver_t *self, const yami_block_t *block)
{
    yami_topic_frame_t frame;
    if (yami_topic_frame_decode(&frame, block->data, block->size) == -1 ||
        !s_take_subject(self, frame.subject.data, frame.subject.size)) {
        return false;
    }
    self->batch = frame.batch;
    s_note_gaps(self, &frame);
    return true;
}

static bool
s_open_batch(s_receiver_t *self, const s_parts_t *parts)
{
    self->subject[0] = '\0';
    if (parts->first) {
        return false;
    }
    return self->is_topic
               ? s_open_topic(self, parts->last)
               : yami_batch_decode(&self->batch, parts->last->data, parts->last->size) == 0;
}

//  Under the lock: opens a message that was received, taking its parts over. What is not understood
//  is counted and forgotten.
static void
s_open(s_receiver_t *self, s_parts_t *parts)
{
    bool is_good = self->is_raw ? s_open_raw(self, parts) : s_open_batch(self, parts);
    self->stats.frames++;
    if (is_good) {
        self->block = parts->last;
        parts->last = NULL;
        self->offset = 0;
        self->index = 0;
    } else {
        self->stats.dropped++;
    }
    s_release_parts(parts);
}

//  -- Messages out ------------------------------------------------------------------------------

//  Under the lock: the next record of the frame. 0, or -1 with errno EPROTO.
static int
s_read(s_receiver_t *self, yami_record_t *record)
{
    if (self->is_raw) {
        *record = (yami_record_t) {.priority = YAMI_PRIORITY_DEFAULT,
                                   .body = {self->block->data, self->block->size}};
        return 0;
    }
    return yami_batch_next(&self->batch, &self->offset, record);
}

//  Under the lock: reads records of the frame into slab, as many as it takes. What follows a record
//  that is not understood is counted as one and forgotten.
static void
s_read_many(s_receiver_t *self, yami_message_slab_t *slab, uint32_t limit)
{
    yami_record_t record;
    while (slab->count < limit) {
        if (s_read(self, &record) == -1) {
            self->stats.dropped++;
            yami_block_unref(&self->block);
            return;
        }
        uint64_t sequence = self->is_raw ? 0 : self->batch.first_sequence + self->index;
        yami_message_slab_add(slab, &record, sequence);
        self->index++;
    }
    if (self->index == self->batch.count) {
        yami_block_unref(&self->block); //  (2)
    }
}

//  Under the lock, with none ready: makes the next messages of the frame ready. 0, or -1 with errno
//  ENOMEM.
static int
s_make_ready(s_receiver_t *self)
{
    uint32_t left = self->batch.count - self->index;
    uint32_t limit = left < YAMI_MESSAGE_SLAB_LIMIT ? left : YAMI_MESSAGE_SLAB_LIMIT;
    yami_message_slab_t *slab = yami_message_slab_new(self->block, self->subject, limit);
    if (!slab) {
        return -1;
    }
    s_read_many(self, slab, limit);
    if (slab->count > 0) {
        yami_handout_put(&self->handout, slab);
    } else {
        yami_message_slab_free(slab);
    }
    return 0;
}

//  -- Waiting -----------------------------------------------------------------------------------

//  What is left of a deadline (INT64_MAX: none), in ms rounded up; -1 for ever.
static int
s_left_ms(int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) {
        return -1;
    }
    int64_t left_us = deadline_us - yami_clock_mono_us();
    return left_us > 0 ? (int) ((left_us + 999) / 1000) : 0;
}

//  Under the lock, given up meanwhile: waits on the socket for everybody. 0, or -1 with errno.
static int
s_lead(s_receiver_t *self, int left_ms)
{
    s_parts_t parts;
    self->has_leader = true; //  (1)
    yami_monitor_unlock(&self->monitor);
    if (self->wait_ms != left_ms) {
        self->wait_ms = left_ms;
        (void) zmq_setsockopt(self->socket, ZMQ_RCVTIMEO, &left_ms, sizeof left_ms);
    }
    int rc = s_receive(self, &parts, true);
    int error = errno;
    yami_monitor_lock(&self->monitor);
    self->has_leader = false;
    if (rc == 0) {
        s_open(self, &parts);
    }
    yami_monitor_tell(&self->monitor);
    errno = error;
    return rc == -1 && error == EINTR ? 0 : rc;
}

//  Under the lock, given up meanwhile: waits for the leader.
static int
s_follow(s_receiver_t *self, int64_t deadline_us)
{
    int64_t until_ms = deadline_us == INT64_MAX ? INT64_MAX : (deadline_us + 999) / 1000;
    if (!yami_monitor_wait(&self->monitor, until_ms)) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

//  Under the lock: gets a frame. 0 (there may be one now), or -1 with errno EAGAIN when there is
//  none in time. Who may wait does so at once: libzmq looks first, and asks the kernel once less.
static int
s_fetch(s_receiver_t *self, int64_t deadline_us)
{
    int left_ms = deadline_us == 0 ? 0 : s_left_ms(deadline_us);
    if (left_ms != 0) {
        return self->has_leader ? s_follow(self, deadline_us) : s_lead(self, left_ms);
    }
    s_parts_t parts;
    if (self->has_leader) {
        errno = EAGAIN;
        return -1;
    }
    if (s_receive(self, &parts, false) == -1) {
        return errno == EINTR ? 0 : -1;
    }
    s_open(self, &parts);
    return 0;
}

//  Takes the next message, waiting for it.
static yam_message_t *
s_recv_waiting(s_receiver_t *self, int timeout_ms)
{
    int64_t deadline_us = timeout_ms < 0    ? INT64_MAX
                          : timeout_ms == 0 ? 0
                                            : yami_clock_mono_us() + timeout_ms * 1000ll;
    yami_monitor_lock(&self->monitor);
    yam_message_t *message = yami_handout_take(&self->handout);
    int rc = 0;
    while (!message && rc == 0) {
        rc = self->block ? s_make_ready(self) : s_fetch(self, deadline_us);
        message = yami_handout_take(&self->handout);
    }
    yami_pollable_set(&self->pollable, message != NULL); //  (3)
    yami_monitor_unlock(&self->monitor);
    return message;
}

static yam_message_t *
s_recv(yami_receiver_t *base, int timeout_ms)
{
    s_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return NULL;
    }
    yam_message_t *message = yami_handout_take(&self->handout);
    return message ? message : s_recv_waiting(self, timeout_ms);
}

//  -- The rest of the table ---------------------------------------------------------------------

//  Settling means nothing here, so that one program fits both grades. It is counted all the same.
static int
s_settle(yami_receiver_t *base, yam_message_t **message_p, yami_settle_kind_t kind, int delay_ms,
         const char *reason)
{
    s_receiver_t *self = s_self(base);
    (void) delay_ms;
    (void) reason;
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    YAM_ASSERT(kind >= YAMI_SETTLE_ACK && kind <= YAMI_SETTLE_RELEASE);
    atomic_fetch_add_explicit(&self->settled[kind - YAMI_SETTLE_ACK], 1, memory_order_relaxed);
    yam_message_destroy(message_p);
    return 0;
}

static int
s_extend(yami_receiver_t *base, const yam_message_t *message)
{
    (void) message;
    return yami_context_is_ours(s_self(base)->yam) ? 0 : -1;
}

static uint64_t
s_flush(yami_receiver_t *base, int timeout_ms)
{
    (void) base;
    (void) timeout_ms;
    return 0;
}

static int
s_fd(yami_receiver_t *base)
{
    s_receiver_t *self = s_self(base);
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    int socket_fd = -1;
    size_t size = sizeof socket_fd;
    if (zmq_getsockopt(self->socket, ZMQ_FD, &socket_fd, &size) == -1) {
        return yami_fail(errno, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    yami_monitor_lock(&self->monitor);
    int fd = yami_pollable_fd(&self->pollable, socket_fd);
    yami_monitor_unlock(&self->monitor);
    return fd;
}

static void
s_stats(yami_receiver_t *base, yam_receiver_stats_t *stats)
{
    s_receiver_t *self = s_self(base);
    memset(stats, 0, sizeof *stats);
    if (!yami_context_is_ours(self->yam)) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    stats->received = yami_handout_taken(&self->handout);
    yami_monitor_unlock(&self->monitor);
    stats->acked = atomic_load(&self->settled[0]);
    stats->nacked = atomic_load(&self->settled[YAMI_SETTLE_NACK - YAMI_SETTLE_ACK]);
    stats->rejected = atomic_load(&self->settled[YAMI_SETTLE_REJECT - YAMI_SETTLE_ACK]);
    stats->released = atomic_load(&self->settled[YAMI_SETTLE_RELEASE - YAMI_SETTLE_ACK]);
    stats->is_connected = 1;
}

static const char *
s_endpoint(const yami_receiver_t *base)
{
    return ((const s_receiver_t *) base)->endpoint;
}

//  -- Life --------------------------------------------------------------------------------------

static void
s_free(s_receiver_t *self)
{
    yami_pollable_close(&self->pollable); //  before the socket, whose descriptor it watches
    yami_socket_close(self->socket);
    yami_block_unref(&self->block);
    yami_handout_clear(&self->handout);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
}

static uint64_t
s_close(yami_receiver_t **base_p, int timeout_ms)
{
    s_receiver_t *self = s_self(*base_p);
    (void) timeout_ms;
    *base_p = NULL;
    //  A forked child leaves everything as it is: the socket belongs to threads that are not here.
    if (yami_context_is_ours(self->yam)) {
        s_free(self);
    }
    return 0;
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

static int
s_open_socket(s_receiver_t *self, const yami_endpoint_t *endpoint)
{
    yami_endpoint_options_t options = endpoint->options;
    if (options.hwm == 0 && !self->is_topic && !self->is_raw) {
        options.hwm = QUEUE_HWM;
    }
    self->socket = yami_context_socket(self->yam, self->is_topic ? ZMQ_SUB : ZMQ_PULL, &options);
    if (!self->socket) {
        return -1;
    }
    if (self->is_topic && zmq_setsockopt(self->socket, ZMQ_SUBSCRIBE, options.subject,
                                         strlen(options.subject)) == -1) {
        return yami_fail(errno, "cannot subscribe: %s", zmq_strerror(errno));
    }
    return yami_context_attach(self->socket, endpoint, self->endpoint, sizeof self->endpoint);
}

yami_receiver_t *
yami_fast_receiver_new(yam_t *yam, int kind, const yami_endpoint_t *endpoint)
{
    const yami_endpoint_options_t *options = &endpoint->options;
    s_receiver_t *self = yami_alloc(sizeof *self);
    self->base.ops = &s_ops;
    self->base.linger_ms = options->linger_ms;
    self->yam = yam;
    self->is_topic = kind == YAMI_KIND_TOPIC;
    self->is_raw = options->framing == YAMI_FRAMING_RAW;
    self->prefix_size = self->is_topic ? strlen(options->subject) : 0;
    self->wait_ms = -1; //  libzmq's default
    yami_pollable_init(&self->pollable);
    yami_monitor_init(&self->monitor);
    if (s_open_socket(self, endpoint) == -1) {
        int error = errno;
        s_free(self);
        errno = error;
        return NULL;
    }
    return &self->base;
}
