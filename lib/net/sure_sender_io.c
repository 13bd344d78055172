//  The sure sender's task: carries the producer core's decisions out. See yami_sure_sender.h.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_sure_sender.h"

#define FRAMES_PER_STEP 256

//  -- Input -------------------------------------------------------------------------------------

//  Gives one message to the core. Whether there was one.
static bool
s_receive_one(yami_sure_sender_t *self, int64_t now_ms)
{
    yami_block_t *second;
    bool is_odd;
    yami_frame_t frame;
    yami_block_t *first = yami_sure_link_recv(&self->link, &second, &is_odd);
    if (first == NULL) {
        return false;
    }
    if (second != NULL || is_odd) {
        yami_producer_core_garbage(&self->core, now_ms, EPROTO);
    } else if (yami_frame_decode(&frame, first->data, first->size) == -1) {
        yami_producer_core_garbage(&self->core, now_ms, errno);
    } else {
        yami_producer_core_frame(&self->core, now_ms, &frame);
    }
    yami_block_unref(&first);
    yami_block_unref(&second);
    return true;
}

//  -- Outcomes ----------------------------------------------------------------------------------

//  Under the lock: what flush will tell of messages that the relay refused.
static void
s_note_refused(yami_sure_sender_t *self, const yami_producer_outcome_t *outcome, uint64_t count)
{
    self->refused_untold += count;
    self->refusal = outcome->status;
    (void) snprintf(self->refusal_text, sizeof self->refusal_text, "%s", outcome->text);
}

//  Room is there before confirm runs, since it may send; flush is told after it has run.
static void
s_report(yami_sure_sender_t *self, const yami_producer_outcome_t *outcome, bool was_sent)
{
    uint64_t count = outcome->last - outcome->first + 1;
    yami_monitor_lock(&self->monitor);
    YAM_ASSERT(self->settled + 1 == outcome->first); //  (1)
    self->settled = outcome->last;
    self->held_bytes -= outcome->bytes; //  (2)
    if (outcome->status == YAM_STATUS_OK) {
        self->stats.confirmed += count;
        self->stats.level = (uint64_t) outcome->level;
    } else {
        self->stats.refused += count;
    }
    yam_confirm_fn confirm = self->confirm;
    void *arg = self->confirm_arg;
    self->is_reporting = confirm != NULL;
    if (confirm != NULL) {
        yami_monitor_unlock(&self->monitor);
        confirm(arg, outcome->first, outcome->last, outcome->status, outcome->level, outcome->text);
        yami_monitor_lock(&self->monitor);
        self->is_reporting = false;
    }
    self->reported = outcome->last;
    if (!was_sent) {
        self->never_sent += count;
    } else if (outcome->status != YAM_STATUS_OK) {
        s_note_refused(self, outcome, count);
    }
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

static void
s_report_all(yami_sure_sender_t *self)
{
    yami_producer_outcome_t outcome;
    while (yami_producer_core_outcome(&self->core, &outcome)) {
        s_report(self, &outcome, true);
    }
}

//  A relay that will have none of this producer's messages refuses what was never sent, too. What
//  was on its way may be stored: of that nobody knows, so neither it nor what is behind it has an
//  outcome. The owner of an identity decides itself.
static void
s_report_never_sent(yami_sure_sender_t *self)
{
    const yami_producer_core_t *core = &self->core;
    yami_producer_outcome_t outcome = {.status = core->final_status};
    bool knows_all = core->state == YAMI_PRODUCER_FINAL && !core->config.ends_when_refused &&
                     core->highest_sent == core->confirmed;
    yami_monitor_lock(&self->monitor);
    outcome.first = self->settled + 1;
    outcome.last = self->accepted;
    outcome.bytes = self->held_bytes;
    bool is_final = self->error != 0 && !self->has_reported_all; //  no more are accepted
    yami_monitor_unlock(&self->monitor);
    if (!is_final) {
        return;
    }
    if (knows_all && outcome.first <= outcome.last) {
        memcpy(outcome.text, core->final_text, sizeof outcome.text);
        s_report(self, &outcome, false);
    }
    yami_monitor_lock(&self->monitor);
    self->has_reported_all = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

//  -- Output ------------------------------------------------------------------------------------

//  Under the lock: moves the batch whose turn it is into taken. Whether the core wants it now.
static bool
s_take_under_lock(yami_sure_sender_t *self, int64_t now_ms)
{
    yami_sure_closed_t *closed = STAILQ_FIRST(&self->closed);
    bool has_any = closed != NULL || self->open.count > 0;
    if (!has_any || !yami_producer_core_wants_batch(&self->core, now_ms, closed != NULL)) {
        return false;
    }
    if (closed == NULL) {
        yami_builder_t empty = self->taken;
        self->taken = self->open;
        self->open = empty;
        return true;
    }
    STAILQ_REMOVE_HEAD(&self->closed, link);
    yami_builder_clear(&self->taken);
    self->taken = closed->builder;
    yami_free(closed);
    return true;
}

//  Finishes the next batch and gives it to the core. Whether there was one. When memory is out it
//  stays taken.
static bool
s_take(yami_sure_sender_t *self, int64_t now_ms)
{
    if (self->taken.count == 0) {
        yami_monitor_lock(&self->monitor);
        bool has_taken = s_take_under_lock(self, now_ms);
        yami_monitor_unlock(&self->monitor);
        if (!has_taken) {
            return false;
        }
    }
    yami_batch_t head;
    yami_producer_core_head(&self->core, &head);
    uint32_t count = self->taken.count;
    yami_block_t *block = yami_builder_finish(&self->taken, &head);
    if (block == NULL) {
        return false;
    }
    int rc = yami_producer_core_add(&self->core, &block, count);
    YAM_ASSERT(rc == 0); //  a few KiB per thousand batches: as fixed-size objects
    return true;
}

//  Sends what the core has, and new batches as long as it wants them. Whether it stopped with more
//  to do.
static bool
s_send(yami_sure_sender_t *self, int64_t now_ms)
{
    self->task.wants_output = false;
    for (int count = 0; count < FRAMES_PER_STEP; count++) {
        yami_block_t *block = yami_producer_core_output(&self->core, now_ms);
        if (block == NULL && s_take(self, now_ms)) {
            block = yami_producer_core_output(&self->core, now_ms);
        }
        if (block == NULL) {
            return false;
        }
        if (yami_sure_link_send(&self->link, block) == -1) {
            self->task.wants_output = errno == EAGAIN && self->link.socket != NULL;
            return false;
        }
        yami_producer_core_sent(&self->core, now_ms);
    }
    return true;
}

//  -- The task ----------------------------------------------------------------------------------

//  What the owner of an identity may see of it.
static yami_sure_state_t
s_state(const yami_producer_core_t *core)
{
    bool is_final = core->state == YAMI_PRODUCER_FINAL;
    return (yami_sure_state_t) {
        .is_attached = core->state == YAMI_PRODUCER_ATTACHED,
        .is_pressed = core->refusal_count > 0 || core->storage_failed,
        .sessions = core->link.session_count,
        .known = core->known,
        .level = core->level,
        .final_status = is_final ? core->final_status : YAM_STATUS_OK,
        .final_first = core->final_first,
        .final_last = core->final_last,
    };
}

static bool
s_is_same(const yami_sure_state_t *one, const yami_sure_state_t *other)
{
    return one->is_attached == other->is_attached && one->is_pressed == other->is_pressed &&
           one->sessions == other->sessions && one->final_status == other->final_status;
}

//  What applications may see of the core's state.
static void
s_publish(yami_sure_sender_t *self)
{
    const yami_producer_core_t *core = &self->core;
    bool is_connected = core->state == YAMI_PRODUCER_ATTACHED;
    bool has_ended = core->link.state == YAMI_LINK_ENDED;
    int error = core->state == YAMI_PRODUCER_FINAL ? yam_status_errno(core->final_status) : 0;
    yami_monitor_lock(&self->monitor);
    bool has_changed = self->is_connected != is_connected || self->error != error ||
                       self->storage_failed != core->storage_failed || self->has_ended != has_ended;
    bool is_lost = self->is_connected && !is_connected && !self->is_closing;
    yami_sure_state_t state = s_state(core);
    bool tells = self->changed != NULL && !s_is_same(&self->state, &state);
    if (state.final_status != YAM_STATUS_OK) {
        memcpy(self->final_text, core->final_text, sizeof self->final_text);
    }
    self->state = state;
    self->is_connected = is_connected;
    self->error = error;
    self->storage_failed = core->storage_failed;
    self->has_ended = has_ended;
    self->stats.resent = core->resent_messages;
    self->stats.frames = core->frame_count;
    self->stats.epoch = core->epoch;
    self->stats.reconnects = core->link.session_count > 0 ? core->link.session_count - 1 : 0;
    if (has_changed) {
        yami_monitor_tell(&self->monitor);
    }
    yami_monitor_unlock(&self->monitor);
    if (tells) {
        self->changed(self->changed_arg);
    }
    if (is_lost) {
        yami_log_limited(&self->log_site, error == 0 ? YAMI_LOG_INFO : YAMI_LOG_WARN,
                         "sender.detached", "channel=%s endpoint=%s status=%s",
                         core->config.channel, self->endpoint,
                         error == 0 ? "lost" : yam_status_name(core->final_status));
    }
}

//  Under no lock: what the application asked for since the last step.
static void
s_follow_application(yami_sure_sender_t *self)
{
    yami_monitor_lock(&self->monitor);
    bool is_closing = self->is_closing;
    yami_monitor_unlock(&self->monitor);
    if (is_closing && !self->link.is_leaving) {
        self->link.is_leaving = true;
        yami_producer_core_leave(&self->core);
    }
}

int64_t
yami_sure_sender_step(void *arg, int64_t now_ms)
{
    yami_sure_sender_t *self = arg;
    bool has_more = false;
    int count = 0;
    while (s_receive_one(self, now_ms)) {
        if (++count == FRAMES_PER_STEP) {
            has_more = true;
            break;
        }
    }
    s_report_all(self);
    s_follow_application(self);
    yami_producer_core_turn(&self->core, now_ms); //  after input: what waited is a sign of life
    uint64_t wanted = yami_link_core_socket(&self->core.link);
    if (yami_sure_link_follow(&self->link, &self->task, wanted, &has_more) == -1) {
        yami_producer_core_failed(&self->core, now_ms);
    }
    s_publish(self); //  who sees a message arrive sees us connected
    s_report_never_sent(self);
    has_more = s_send(self, now_ms) || has_more;
    wanted = yami_link_core_socket(&self->core.link);
    if (wanted == 0) { //  GOODBYE was the last thing it said
        (void) yami_sure_link_follow(&self->link, &self->task, wanted, &has_more);
    }
    s_publish(self);
    return has_more ? now_ms : yami_producer_core_deadline(&self->core, now_ms);
}
