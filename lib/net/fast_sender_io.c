//  Who sends, and when: the half of the fast sender that touches the socket.

#include <errno.h>
#include <string.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_fast_sender.h"
#include "yami_frame_socket.h"
#include "yami_topic_frame.h"

#define GATE_LIMIT 2   //  frames under way: one being written, one ready to follow
#define PATIENCE_MS 10 //  with a gate that stays shut; see s_gate_is_open
#define IMPATIENCE_MS 1
#define FRAMES_PER_STEP 64
#define SUBSCRIPTIONS_PER_STEP 1024

//  What a frame is made of, beside the records.
typedef struct {
    yami_block_t *batch; //  owned; a closed one, NULL when the records are in a builder
    yami_batch_t head;   //  else
    char subject[YAMI_LIMIT_SUBJECT + 1];
    size_t marks_size;
    uint8_t marks[YAMI_MARKS_SIZE_LIMIT];
} s_envelope_t;

static bool
s_has_gathered(const yami_fast_sender_t *self)
{
    return self->open.count > 0 || self->closed_count > 0;
}

void
yami_fast_hand_over(yami_fast_sender_t *self)
{
    if (!self->engine_owns) {
        self->engine_owns = true;
        yami_engine_wake(self->engine, &self->task);
    }
}

void
yami_fast_take_back(yami_fast_sender_t *self)
{
    self->engine_owns = false;
    yami_monitor_tell(&self->monitor);
}

//  -- Frames ------------------------------------------------------------------------------------

//  The header of the batch that is open now.
static yami_batch_t
s_head(const yami_fast_sender_t *self)
{
    return (yami_batch_t) {.epoch = 1,
                           .producer = self->producer,
                           .first_sequence = self->accepted - self->open.count + 1};
}

//  Under the lock: what the open batch's frame is to have.
static void
s_address(const yami_fast_sender_t *self, s_envelope_t *envelope)
{
    envelope->batch = NULL;
    envelope->head = s_head(self);
    if (self->is_topic) {
        memcpy(envelope->subject, self->subject, strlen(self->subject) + 1);
    }
}

//  Under the lock, by whoever uses the socket, when a frame is made to be sent: its marks. libzmq
//  sends to new subscriptions before it tells of them; but no more is sent between two looks than a
//  new one's queue has room for, so that none loses a frame that is not counted. Returns the prefix
//  the messages are to be counted for; NULL for none.
static yami_prefix_t *
s_mark(yami_fast_sender_t *self, s_envelope_t *envelope)
{
    envelope->marks_size = 0;
    if (!self->is_topic) {
        return NULL;
    }
    if (++self->undrained >= self->undrained_limit) {
        yami_fast_drain_subscriptions(self);
    }
    yami_prefix_t *prefix =
        yami_prefixes_find(&self->prefixes, envelope->subject, strlen(envelope->subject) + 1);
    envelope->marks_size = yami_prefix_marks(prefix, envelope->marks);
    return prefix;
}

//  Under the lock: the frame is made.
static void
s_count_framed(yami_fast_sender_t *self, yami_prefix_t *prefix, uint32_t count)
{
    self->framed += count;
    yami_prefix_add(prefix, count, self->framed);
}

//  A topic's frame, see yami_topic_frame.h.
static yami_block_t *
s_finish_topic(yami_fast_sender_t *self, yami_builder_t *builder, s_envelope_t *envelope)
{
    size_t subject_size = strlen(envelope->subject) + 1;
    size_t batch_size = envelope->batch ? envelope->batch->size : builder->size;
    size_t size = subject_size + batch_size + envelope->marks_size;
    uint8_t *bytes;
    yami_block_t *frame = yami_gate_block(self->gate, size, &bytes);
    if (frame && !envelope->batch) {
        envelope->batch = yami_builder_finish(builder, &envelope->head);
    }
    if (!frame || !envelope->batch) {
        yami_block_unref(&frame);
        return NULL;
    }
    memcpy(bytes, envelope->subject, subject_size);
    memcpy(bytes + subject_size, envelope->batch->data, batch_size);
    memcpy(bytes + subject_size + batch_size, envelope->marks, envelope->marks_size);
    yami_block_unref(&envelope->batch);
    return frame;
}

//  Makes a frame of the envelope's batch, or what the builder holds, and empties it. NULL with
//  errno ENOMEM: nothing changed.
static yami_block_t *
s_finish(yami_fast_sender_t *self, yami_builder_t *builder, s_envelope_t *envelope)
{
    return self->is_topic ? s_finish_topic(self, builder, envelope)
                          : yami_builder_finish(builder, &envelope->head);
}

//  Under the lock: makes a parcel of the open batch. 0, or -1 with errno ENOMEM: nothing changed.
static int
s_wrap_open(yami_fast_sender_t *self, yami_parcel_t *parcel)
{
    s_envelope_t envelope;
    uint32_t count = self->open.count;
    s_address(self, &envelope);
    yami_prefix_t *prefix = s_mark(self, &envelope);
    *parcel = (yami_parcel_t) {s_finish(self, &self->open, &envelope), count};
    if (!parcel->block) {
        return -1;
    }
    s_count_framed(self, prefix, count);
    return 0;
}

static int
s_send_frame(yami_fast_sender_t *self, yami_block_t *block)
{
    return self->is_topic ? yami_socket_send_shared(self->socket, block, false)
                          : yami_socket_send(self->socket, block, false);
}

bool
yami_fast_has_room(const yami_fast_sender_t *self)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLOUT) != 0;
}

void
yami_fast_count_handed(yami_fast_sender_t *self, uint32_t count)
{
    self->handed += count;
    self->frames++;
    if (self->confirm && !self->engine_owns) {
        yami_engine_wake(self->engine, &self->task); //  it does the reporting
    }
}

//  -- Topics: the gate, and subscriptions -------------------------------------------------------

//  Frames closed early will not grow by waiting: let more of them go, as far as queues have room.
static uint32_t
s_gate_limit(const yami_fast_sender_t *self)
{
    return self->closed_count > 0 ? self->closed_limit : GATE_LIMIT;
}

//  While two frames are under way, messages gather. A subscriber that is stuck, or within this
//  process and keeps what it got, would keep the gate shut: so after PATIENCE_MS without a frame
//  the next one goes out all the same, from then on after IMPATIENCE_MS, until all frames are back.
//  So a subscriber that can take a full frame per millisecond loses nothing, and a slower one holds
//  nobody up for longer than that: it loses what its queue has no room for.
static bool
s_gate_is_open(yami_fast_sender_t *self, int64_t now_ms)
{
    uint32_t count = yami_gate_count(self->gate);
    if (count < s_gate_limit(self)) {
        self->is_impatient = self->is_impatient && count > 0;
        return true;
    }
    int64_t patience_ms = self->is_impatient ? IMPATIENCE_MS : PATIENCE_MS;
    if (now_ms - self->latest_ms < patience_ms) {
        return false;
    }
    self->is_impatient = true;
    return true;
}

//  In the engine: whether the gate is open; otherwise *deadline_p is when to look again at the
//  latest.
static bool
s_pass_gate(yami_fast_sender_t *self, int64_t now_ms, int64_t *deadline_p)
{
    if (!self->is_topic || s_gate_is_open(self, now_ms) ||
        yami_gate_ask(self->gate, s_gate_limit(self))) {
        return true;
    }
    *deadline_p = self->latest_ms + (self->is_impatient ? IMPATIENCE_MS : PATIENCE_MS);
    return false;
}

//  Under the lock.
static void
s_note_subscription(yami_fast_sender_t *self, bool is_new, const uint8_t *prefix, size_t size)
{
    self->subscriber_count += is_new ? 1 : -1;
    if (is_new && !self->is_raw) {
        yami_prefixes_subscribe(&self->prefixes, prefix, size, self->framed);
    }
    yami_monitor_tell(&self->monitor);
}

void
yami_fast_drain_subscriptions(yami_fast_sender_t *self)
{
    self->undrained = 0;
    for (int count = 0; count < SUBSCRIPTIONS_PER_STEP; count++) {
        bool has_more;
        yami_block_t *block = yami_socket_recv(self->socket, &has_more);
        if (!block) {
            return;
        }
        //  Anything else a peer sends upstream is not for us.
        if (block->size > 0 && block->data[0] <= 1) {
            s_note_subscription(self, block->data[0] == 1, block->data + 1, block->size - 1);
        }
        yami_block_unref(&block);
    }
    yami_engine_wake(self->engine, &self->task);
}

//  -- Sending -----------------------------------------------------------------------------------

void
yami_fast_notice_full(yami_fast_sender_t *self)
{
    int one = 1;
    (void) zmq_setsockopt(self->socket, ZMQ_XPUB_NODROP, &one, sizeof one);
}

void
yami_fast_let_drop(yami_fast_sender_t *self)
{
    int zero = 0;
    (void) zmq_setsockopt(self->socket, ZMQ_XPUB_NODROP, &zero, sizeof zero);
    self->overflows++;
}

//  Sends a parcel; what the socket has no room for becomes pending. Errors other than EAGAIN mean
//  that the context ends: the parcel is dropped and counted.
static bool
s_send_parcel(yami_fast_sender_t *self, yami_parcel_t *parcel)
{
    int rc = s_send_frame(self, parcel->block);
    if (rc == -1 && errno == EAGAIN && yami_fast_has_room(self)) {
        rc = s_send_frame(self, parcel->block);
    }
    if (rc == -1 && errno == EAGAIN && self->is_topic) {
        yami_fast_let_drop(self);
        rc = s_send_frame(self, parcel->block);
        yami_fast_notice_full(self);
    }
    if (rc == -1 && errno == EAGAIN) {
        return false;
    }
    yami_block_unref(&parcel->block);
    return true;
}

int
yami_fast_send_open(yami_fast_sender_t *self)
{
    YAM_ASSERT(!self->engine_owns && self->open.count > 0);
    if (self->is_topic) {
        int64_t now_ms = yami_clock_mono_ms();
        if (!s_gate_is_open(self, now_ms)) {
            yami_fast_hand_over(self);
            return 0;
        }
        self->latest_ms = now_ms;
    }
    yami_parcel_t parcel;
    if (s_wrap_open(self, &parcel) == -1) {
        return -1;
    }
    if (!s_send_parcel(self, &parcel)) {
        self->pending = parcel;
        yami_fast_hand_over(self); //  (1)
        return 0;
    }
    yami_fast_count_handed(self, parcel.count);
    if (self->is_topic && self->monitor.waiter_count > 0) {
        //  Sending has processed libzmq's commands: the engine may not hear of a subscription.
        yami_fast_drain_subscriptions(self);
    }
    return 0;
}

int
yami_fast_close_open(yami_fast_sender_t *self)
{
    if (self->closed_count == YAMI_FAST_CLOSED_LIMIT || self->closed_bytes >= self->batch_bytes) {
        errno = EAGAIN;
        return -1;
    }
    uint32_t count = self->open.count;
    yami_batch_t head = s_head(self);
    yami_block_t *batch = yami_builder_finish(&self->open, &head);
    if (!batch) {
        return -1;
    }
    size_t index = (self->closed_first + self->closed_count++) % YAMI_FAST_CLOSED_LIMIT;
    yami_closed_t *closed = &self->closed[index];
    closed->batch = batch;
    closed->count = count;
    memcpy(closed->subject, self->subject, strlen(self->subject) + 1);
    self->closed_bytes += batch->size;
    return 0;
}

//  Under the lock: takes the first closed batch.
static void
s_take_closed(yami_fast_sender_t *self, s_envelope_t *envelope, uint32_t *count_p)
{
    const yami_closed_t *closed = &self->closed[self->closed_first];
    self->closed_first = (self->closed_first + 1) % YAMI_FAST_CLOSED_LIMIT;
    self->closed_count--;
    self->closed_bytes -= closed->batch->size;
    envelope->batch = closed->batch;
    memcpy(envelope->subject, closed->subject, strlen(closed->subject) + 1);
    *count_p = closed->count;
}

//  Under the lock: takes what is next, a closed batch or the open one, into *envelope and *builder.
//  Returns how many messages it has, 0 when there is nothing.
static uint32_t
s_take(yami_fast_sender_t *self, yami_builder_t *builder, s_envelope_t *envelope)
{
    uint32_t count = self->open.count;
    if (self->closed_count > 0) {
        s_take_closed(self, envelope, &count);
    } else if (count > 0) {
        s_address(self, envelope);
        *builder = self->open;
        self->open = self->spare;
        yami_builder_init(&self->spare, self->batch_bytes);
    } else {
        return 0;
    }
    s_count_framed(self, s_mark(self, envelope), count);
    yami_monitor_tell(&self->monitor);
    return count;
}

//  Under the lock: keeps the buffer of a builder that was only borrowed from.
static void
s_keep_buffer(yami_fast_sender_t *self, yami_builder_t *builder)
{
    if (!builder->bytes) {
        return;
    }
    if (!self->spare.bytes) {
        self->spare = *builder;
    } else {
        yami_builder_clear(builder);
    }
}

//  Sends the next frame, without the lock while it works. Whether to go on.
static bool
s_send_next(yami_fast_sender_t *self)
{
    s_envelope_t envelope;
    yami_builder_t builder = {.bytes = NULL};
    yami_parcel_t parcel = self->pending;
    self->pending.block = NULL;
    if (!parcel.block) {
        parcel.count = s_take(self, &builder, &envelope);
    }
    if (parcel.count == 0) {
        yami_fast_take_back(self);
        return false;
    }
    yami_monitor_unlock(&self->monitor);
    if (!parcel.block) {
        parcel.block = s_finish(self, &builder, &envelope);
        yami_block_unref(&envelope.batch); //  when there was no memory
    }
    bool is_lost = !parcel.block; //  out of memory
    bool is_sent = is_lost || s_send_parcel(self, &parcel);
    yami_monitor_lock(&self->monitor);
    s_keep_buffer(self, &builder);
    if (!is_sent) {
        self->pending = parcel;
        return false;
    }
    if (is_lost) {
        self->dropped += parcel.count;
    }
    yami_fast_count_handed(self, parcel.count);
    return true;
}

//  Under the lock: raw frames are sent by who brings them; the engine only listens for room.
static int64_t
s_serve_raw(yami_fast_sender_t *self)
{
    if (yami_fast_has_room(self)) {
        yami_fast_take_back(self);
    }
    return INT64_MAX;
}

//  Under the lock: sends as long as there is something and room for it.
static int64_t
s_serve(yami_fast_sender_t *self, int64_t now_ms)
{
    int64_t deadline_ms = INT64_MAX;
    for (int count = 0; count < FRAMES_PER_STEP; count++) {
        if (s_has_gathered(self) && !s_pass_gate(self, now_ms, &deadline_ms)) {
            return deadline_ms;
        }
        self->latest_ms = now_ms;
        if (!s_send_next(self)) {
            return deadline_ms;
        }
    }
    yami_engine_wake(self->engine, &self->task); //  others come first
    return deadline_ms;
}

//  Tells the application what was handed to the transport. The lock is given up meanwhile.
static void
s_report(yami_fast_sender_t *self)
{
    yam_confirm_fn confirm = self->confirm;
    void *arg = self->confirm_arg;
    uint64_t first = self->reported + 1;
    uint64_t last = self->handed;
    self->reported = last;
    if (!confirm || first > last) {
        return;
    }
    self->is_reporting = true;
    yami_monitor_unlock(&self->monitor);
    confirm(arg, first, last, YAM_STATUS_OK, YAM_LEVEL_NONE, "");
    yami_monitor_lock(&self->monitor);
    self->is_reporting = false;
    yami_monitor_tell(&self->monitor);
}

int64_t
yami_fast_step(void *arg, int64_t now_ms)
{
    yami_fast_sender_t *self = arg;
    int64_t deadline_ms = INT64_MAX;
    yami_monitor_lock(&self->monitor);
    if (self->is_topic) {
        yami_fast_drain_subscriptions(self);
    }
    if (self->engine_owns) {
        deadline_ms = self->is_raw ? s_serve_raw(self) : s_serve(self, now_ms);
    }
    s_report(self);
    //  A queue's descriptor speaks at every frame a puller takes: listen only while we wait for
    //  room.
    self->task.polls_fd = self->is_topic || self->engine_owns;
    yami_monitor_unlock(&self->monitor);
    return deadline_ms;
}
