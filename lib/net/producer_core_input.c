//  producer_core_input - what the relay's answers and time do to a producer. See
//  yami_producer_core.h.

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_producer_core.h"

#define REFUSED_BACKOFF_MIN_MS 50 //  what SPEC.md advises
#define REFUSED_BACKOFF_MAX_MS 1000
#define GAP_LIMIT 3 //  in a row, then only a new session tells the relay where we stand
#define PATIENCE_MIN_MS 10000
#define PATIENCE_MAX_MS 60000

//  The session is over: all of the window goes again in the next one, refused batches, too: the
//  relay expects them.
static void
s_lost(yami_producer_core_t *self)
{
    yami_block_unref(&self->control);
    self->owes_attach = false;
    self->owes_detach = false;
    self->sent_count = 0;
    self->burst_begin = 0;
    self->pause_ms = 0;
    self->refused_last = 0;
    for (size_t index = 0; index < self->window.count; index++) {
        yami_window_batch_t *batch = yami_window_at(&self->window, index);
        batch->status = YAM_STATUS_OK;
        yami_free(batch->text);
        batch->text = NULL;
    }
    if (self->state != YAMI_PRODUCER_FINAL) {
        self->state = YAMI_PRODUCER_DETACHED;
    }
}

static void
s_restart(yami_producer_core_t *self, int64_t now_ms)
{
    if (yami_link_core_restart(&self->link, now_ms) == YAMI_LINK_LOST) {
        s_lost(self);
    }
}

//  Nothing more can be done for this producer; frame says why.
static void
s_final(yami_producer_core_t *self, const yami_frame_t *frame)
{
    s_lost(self);
    self->state = YAMI_PRODUCER_FINAL;
    self->final_status = (yam_status_t) frame->status;
    (void) snprintf(self->final_text, sizeof self->final_text, "%.*s", (int) frame->text.size,
                    (const char *) frame->text.data);
    yami_link_core_leave(&self->link);
}

static void
s_progress(yami_producer_core_t *self, int64_t now_ms)
{
    self->progress_ms = now_ms;
    self->patience_ms = PATIENCE_MIN_MS;
}

//  A session began. A batch this relay cannot take is refused here: the relay would drop the
//  connection.
static void
s_started(yami_producer_core_t *self, int64_t now_ms)
{
    if (self->patience_ms == 0) {
        self->patience_ms = PATIENCE_MIN_MS;
    }
    yami_block_unref(&self->control); //  a HELLO that was to be repeated, and has its answer now
    self->state = YAMI_PRODUCER_ATTACHING;
    self->owes_attach = true;
    self->progress_ms = now_ms;
    for (size_t index = 0; index < self->window.count; index++) {
        yami_window_batch_t *batch = yami_window_at(&self->window, index);
        if (batch->block->size <= self->link.peer_max_frame) {
            break; //  one behind it waits until it is the first
        }
        batch->status = YAM_STATUS_TOO_BIG;
    }
}

static void
s_attached(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    uint64_t needed = YAMI_F_EPOCH | YAMI_F_MESSAGES | YAMI_F_BYTES;
    bool is_expected = self->state == YAMI_PRODUCER_ATTACHING && !self->owes_attach;
    if (!is_expected) {
        return;
    }
    bool is_ours = self->epoch == 0 || frame->epoch == self->epoch; //  (4)
    if ((frame->present & needed) != needed || frame->epoch == 0 || !is_ours) {
        s_restart(self, now_ms);
        return;
    }
    self->epoch = (uint32_t) frame->epoch;
    self->credit_messages = frame->messages;
    self->credit_bytes = frame->bytes;
    self->sent_messages = 0;
    self->sent_bytes = 0;
    self->level = (yam_level_t) frame->level;
    self->known = frame->present & YAMI_F_SEQUENCE ? frame->sequence : 0;
    self->storage_failed = false;
    self->state = YAMI_PRODUCER_ATTACHED;
    self->progress_ms = now_ms;
    yami_link_core_prosper(&self->link);
}

//  Sends from batch index on once more; refusals of what was sent behind it are on their way and
//  mean nothing.
static void
s_go_back(yami_producer_core_t *self, int64_t now_ms, size_t index, uint64_t refused_last)
{
    YAM_ASSERT(index < self->sent_count);
    self->burst_begin = yami_window_at(&self->window, index)->last;
    self->burst_seen = refused_last;
    self->burst_until = yami_window_at(&self->window, self->sent_count - 1)->last;
    self->sent_count = index; //  (5)
    bool is_first_gap = self->gap_count == 1;
    self->pause_ms =
        is_first_gap
            ? now_ms
            : now_ms + yami_link_backoff_ms(&self->link.random, self->refusal_count,
                                            REFUSED_BACKOFF_MIN_MS, REFUSED_BACKOFF_MAX_MS);
    self->refusal_count++;
    s_progress(self, self->pause_ms);
}

static void
s_confirm(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    uint64_t sequence = frame->sequence;
    if (frame->epoch != self->epoch || sequence > self->highest_sent ||
        sequence <= self->confirmed) {
        return; //  of what was never sent, or known already
    }
    self->confirmed = sequence; //  (2)
    self->level = (yam_level_t) frame->level;
    self->refusal_count = 0;
    self->gap_count = 0;
    s_progress(self, now_ms);
    if (self->burst_begin == 0 || sequence < self->burst_begin) {
        return;
    }
    //  The relay took all of the batch that was sent anew (of the first sending it may have taken a
    //  part), so no refusal of the earlier burst can follow. Should it
    //  not have refused each batch of that burst, one that we took for such a refusal may have
    //  meant the new sending.
    bool may_have_ignored = self->burst_seen > sequence && self->burst_seen < self->burst_until;
    size_t index = yami_window_find(&self->window, sequence + 1);
    if (may_have_ignored && index < self->sent_count) {
        self->sent_count = index;
    }
    self->burst_begin = 0;
}

//  Whether this answers an earlier sending of what lies behind the batch we went back to. Refusals
//  come in the order of sending, so their last sequences ascend within one burst; first is what the
//  relay expects.
static bool
s_is_of_earlier_burst(yami_producer_core_t *self, const yami_frame_t *frame)
{
    if (self->burst_begin == 0 || self->burst_seen >= self->burst_until ||
        frame->last <= self->burst_seen) {
        return false;
    }
    self->burst_seen = frame->last;
    return frame->last <= self->burst_until;
}

static void
s_refuse_for_now(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    bool is_gap = frame->status == YAM_STATUS_GAP;
    if (self->refused_last > 0 || s_is_of_earlier_burst(self, frame)) {
        return; //  what follows a refused batch goes again in the next session
    }
    size_t index = yami_window_find(&self->window, frame->first);
    size_t last_index = yami_window_find(&self->window, frame->last);
    if (last_index >= self->sent_count || (index >= self->sent_count && !is_gap)) {
        return; //  not on its way
    }
    self->gap_count += is_gap ? 1 : 0;
    if (self->gap_count > GAP_LIMIT) {
        self->gap_count = 0;
        s_restart(self, now_ms);
        return;
    }
    s_go_back(self, now_ms, is_gap ? 0 : index, frame->last);
}

//  The relay goes on expecting what it refused, and refuses the rest as gaps, so that a lost REFUSE
//  is not taken for a confirm. Once all before it is confirmed, only attaching anew tells the relay
//  that we gave it up.
static void
s_refuse_for_good(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    for (size_t index = 0; index < self->sent_count; index++) {
        yami_window_batch_t *batch = yami_window_at(&self->window, index);
        bool is_meant = batch->first <= frame->last && batch->last >= frame->first;
        if (!is_meant || batch->status != YAM_STATUS_OK || batch->last <= self->confirmed) {
            continue;
        }
        batch->status = (yam_status_t) frame->status;
        self->refused_last = batch->last;
        batch->text = yami_try_alloc(frame->text.size + 1, YAMI_LIMIT_TEXT + 1);
        if (batch->text != NULL) {
            if (frame->text.size > 0) {
                memcpy(batch->text, frame->text.data, frame->text.size);
            }
            batch->text[frame->text.size] = 0;
        }
    }
    s_progress(self, now_ms);
}

static void
s_refuse(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    if (frame->epoch != self->epoch) {
        return;
    }
    switch (frame->status) {
    case YAM_STATUS_FENCED:
        s_final(self, frame);
        return;
    //  the relay stops; what it had not confirmed goes again to its successor
    case YAM_STATUS_STORAGE_FAILED:
        self->storage_failed = true;
        s_restart(self, now_ms);
        return;
    case YAM_STATUS_OK:
    case YAM_STATUS_NO_SESSION:
    case YAM_STATUS_UNKNOWN:
        s_restart(self, now_ms);
        return;
    default:
        break;
    }
    if (frame->status == YAM_STATUS_GAP || yam_status_is_temporary((yam_status_t) frame->status)) {
        s_refuse_for_now(self, now_ms, frame);
    } else if (self->config.ends_when_refused) {
        self->final_first = frame->first;
        self->final_last = frame->last;
        s_final(self, frame);
    } else {
        s_refuse_for_good(self, now_ms, frame);
    }
}

//  The relay ended the attachment, or would not have it.
static void
s_detached(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    uint64_t status = frame->present & YAMI_F_STATUS ? frame->status : YAM_STATUS_OK;
    if (self->link.is_leaving) {
        return;
    }
    if (yami_link_is_final(status)) {
        s_final(self, frame);
        return;
    }
    self->storage_failed = self->storage_failed || status == YAM_STATUS_STORAGE_FAILED;
    s_restart(self, now_ms);
}

static void
s_credit(yami_producer_core_t *self, const yami_frame_t *frame)
{
    if (frame->messages > self->credit_messages) {
        self->credit_messages = frame->messages;
    }
    if (frame->bytes > self->credit_bytes) {
        self->credit_bytes = frame->bytes;
    }
}

//  Not tied to one batch: an unknown handle means that the relay forgot the attachment.
static void
s_error(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    if (frame->handle == YAMI_CLIENT_HANDLE && frame->status == YAM_STATUS_FENCED) {
        s_final(self, frame);
    } else if (frame->status == YAM_STATUS_STORAGE_FAILED) {
        self->storage_failed = true;
        s_restart(self, now_ms);
    } else if (frame->handle == YAMI_CLIENT_HANDLE && frame->status == YAM_STATUS_UNKNOWN) {
        s_restart(self, now_ms);
    }
}

static void
s_pass(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    bool is_attached = self->state == YAMI_PRODUCER_ATTACHED;
    if (frame->type == YAMI_FRAME_ERROR) {
        s_error(self, now_ms, frame);
    } else if (frame->handle != YAMI_CLIENT_HANDLE) {
        return;
    } else if (frame->type == YAMI_FRAME_ATTACHED) {
        s_attached(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_DETACHED) {
        s_detached(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_CONFIRM && is_attached) {
        s_confirm(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_REFUSE && is_attached) {
        s_refuse(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_CREDIT && is_attached) {
        s_credit(self, frame);
    }
}

void
yami_producer_core_frame(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    switch (yami_link_core_frame(&self->link, now_ms, frame)) {
    case YAMI_LINK_STARTED:
        s_started(self, now_ms);
        break;
    case YAMI_LINK_LOST:
        s_lost(self);
        break;
    case YAMI_LINK_PASS:
        s_pass(self, now_ms, frame);
        break;
    default:
        break;
    }
}

void
yami_producer_core_garbage(yami_producer_core_t *self, int64_t now_ms, int error)
{
    yami_link_core_heard(&self->link, now_ms, error);
}

void
yami_producer_core_failed(yami_producer_core_t *self, int64_t now_ms)
{
    (void) yami_link_core_failed(&self->link, now_ms);
    s_lost(self);
}

//  Whether the relay owes us something and has been silent about it for too long.
static bool
s_is_impatient(const yami_producer_core_t *self, int64_t now_ms)
{
    bool waits = self->state == YAMI_PRODUCER_ATTACHING ||
                 (self->state == YAMI_PRODUCER_ATTACHED && self->window.count > 0);
    return waits && now_ms >= self->progress_ms + self->patience_ms;
}

//  Whether the relay's sequence must be taken past a batch it refused, or cannot take.
static bool
s_must_attach_anew(const yami_producer_core_t *self)
{
    const yami_window_batch_t *first =
        self->window.count > 0 ? yami_window_at(&self->window, 0) : NULL;
    bool has_given_up =
        self->refused_last > 0 && (first == NULL || first->first > self->refused_last);
    return has_given_up || (first != NULL && first->block->size > self->link.peer_max_frame);
}

void
yami_producer_core_turn(yami_producer_core_t *self, int64_t now_ms)
{
    if (yami_link_core_turn(&self->link, now_ms) == YAMI_LINK_LOST) {
        s_lost(self);
    }
    if (s_is_impatient(self, now_ms)) {
        self->patience_ms =
            self->patience_ms < PATIENCE_MAX_MS / 2 ? self->patience_ms * 2 : PATIENCE_MAX_MS;
        s_restart(self, now_ms);
    }
    if (self->state == YAMI_PRODUCER_ATTACHED && s_must_attach_anew(self)) {
        s_restart(self, now_ms);
    }
}
