//  The sure receiver's task: carries the consumer core's decisions out. See yami_sure_receiver.h.

#include <errno.h>

#include "yami_base.h"
#include "yami_sure_receiver.h"

#define FRAMES_PER_STEP 64

//  -- Input -------------------------------------------------------------------------------------

//  A DELIVER and its batch: decoded before the lock is taken, one signal for all its messages.
static void
s_deliver(yami_sure_receiver_t *self, int64_t now_ms, const yami_frame_t *frame,
          yami_block_t *second)
{
    yami_delivery_t delivery;
    bool is_sound = yami_delivery_decode(&delivery, frame, second) == 0;
    yami_monitor_lock(&self->monitor);
    yami_consumer_core_deliver(&self->core, now_ms, frame, &delivery, is_sound);
    yami_sure_receiver_signal(self);
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

static void
s_frame(yami_sure_receiver_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    yami_monitor_lock(&self->monitor);
    yami_consumer_core_frame(&self->core, now_ms, frame);
    yami_monitor_unlock(&self->monitor);
}

static void
s_garbage(yami_sure_receiver_t *self, int64_t now_ms, int error)
{
    yami_monitor_lock(&self->monitor);
    yami_consumer_core_garbage(&self->core, now_ms, error);
    yami_monitor_unlock(&self->monitor);
}

//  Gives one message to the core. Whether there was one.
static bool
s_receive_one(yami_sure_receiver_t *self, int64_t now_ms)
{
    yami_block_t *second;
    bool is_odd;
    yami_frame_t frame;
    yami_block_t *first = yami_sure_link_recv(&self->link, &second, &is_odd);
    if (first == NULL) {
        return false;
    }
    bool is_decoded = yami_frame_decode(&frame, first->data, first->size) == 0;
    int error = errno;
    if (!is_decoded) {
        s_garbage(self, now_ms, error);
    } else if (is_odd || (second != NULL) != (frame.type == YAMI_FRAME_DELIVER)) {
        s_garbage(self, now_ms, EPROTO);
    } else if (second != NULL) {
        s_deliver(self, now_ms, &frame, second);
    } else {
        s_frame(self, now_ms, &frame);
    }
    yami_block_unref(&first);
    yami_block_unref(&second);
    return true;
}

//  -- Output ------------------------------------------------------------------------------------

//  Sends what the core has. Whether it stopped with more to do.
static bool
s_send(yami_sure_receiver_t *self, int64_t now_ms)
{
    self->task.wants_output = false;
    for (int count = 0; count < FRAMES_PER_STEP; count++) {
        yami_monitor_lock(&self->monitor);
        yami_block_t *block = yami_consumer_core_output(&self->core, now_ms);
        int rc = block == NULL ? -1 : yami_sure_link_send(&self->link, block);
        if (rc == 0) {
            yami_consumer_core_sent(&self->core, now_ms);
        } else if (block != NULL) {
            self->task.wants_output = errno == EAGAIN && self->link.socket != NULL;
        }
        yami_monitor_unlock(&self->monitor);
        if (rc == -1) {
            return false;
        }
    }
    return true;
}

//  -- The task ----------------------------------------------------------------------------------

//  Under the lock: tells who waits for a state or for acks.
static void
s_publish(yami_sure_receiver_t *self)
{
    const yami_consumer_core_t *core = &self->core;
    bool has_ended = core->link.state == YAMI_LINK_ENDED;
    //  Of what was settled: how much is not acked may have risen again since the lock was let go.
    uint64_t resolved = core->settled - core->unresolved;
    if (core->state != self->told_state || resolved != self->told_resolved || has_ended) {
        yami_monitor_tell(&self->monitor);
    }
    self->told_state = core->state;
    self->told_resolved = resolved;
    yami_sure_receiver_signal(self); //  messages of a lost session are gone
    bool is_attached = core->state == YAMI_CONSUMER_ATTACHED;
    if (self->was_attached && !is_attached && !core->is_closing) {
        bool is_final = core->state == YAMI_CONSUMER_FINAL;
        yami_log_limited(&self->log_site, is_final ? YAMI_LOG_WARN : YAMI_LOG_INFO,
                         "receiver.detached", "channel=%s endpoint=%s status=%s",
                         core->config.channel, self->endpoint,
                         is_final ? yam_status_name(core->final_status) : "lost");
    }
    self->was_attached = is_attached;
}

//  Runs timers and tells which socket is wanted.
static uint64_t
s_turn(yami_sure_receiver_t *self, int64_t now_ms)
{
    yami_monitor_lock(&self->monitor);
    yami_consumer_core_turn(&self->core, now_ms);
    uint64_t wanted = yami_link_core_socket(&self->core.link);
    self->link.is_leaving = self->core.link.is_leaving;
    yami_monitor_unlock(&self->monitor);
    return wanted;
}

static int64_t
s_finish(yami_sure_receiver_t *self, int64_t now_ms, bool has_more)
{
    yami_monitor_lock(&self->monitor);
    s_publish(self);
    int64_t deadline_ms = yami_consumer_core_deadline(&self->core, now_ms);
    bool shall_close = yami_link_core_socket(&self->core.link) == 0;
    yami_monitor_unlock(&self->monitor);
    if (shall_close) { //  GOODBYE was the last thing it said
        (void) yami_sure_link_follow(&self->link, &self->task, 0, &has_more);
    }
    return has_more ? now_ms : deadline_ms;
}

int64_t
yami_sure_receiver_step(void *arg, int64_t now_ms)
{
    yami_sure_receiver_t *self = arg;
    bool has_more = false;
    int count = 0;
    while (s_receive_one(self, now_ms)) {
        if (++count == FRAMES_PER_STEP) {
            has_more = true;
            break;
        }
    }
    uint64_t wanted = s_turn(self, now_ms); //  after input: what waited is a sign of life
    if (yami_sure_link_follow(&self->link, &self->task, wanted, &has_more) == -1) {
        yami_monitor_lock(&self->monitor);
        yami_consumer_core_failed(&self->core, now_ms);
        yami_monitor_unlock(&self->monitor);
    }
    has_more = s_send(self, now_ms) || has_more;
    return s_finish(self, now_ms, has_more);
}
