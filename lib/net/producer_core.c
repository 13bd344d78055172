//  producer_core - what a producer sends, and what became of it. See yami_producer_core.h; what
//  comes in is in producer_core_input.c.

#include "yami_producer_core.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"

#define STARVED_RETRY_MS 100 //  when memory is out

void
yami_producer_core_init(yami_producer_core_t *self, const yami_producer_config_t *config)
{
    uint64_t first = config->first_sequence > 0 ? config->first_sequence : 1;
    *self = (yami_producer_core_t) {
        .config = *config,
        .epoch = config->epoch > 0    ? config->epoch
                 : config->is_durable ? 0
                                      : 1,
        .next_sequence = first,
        .confirmed = first - 1,
        .highest_sent = first - 1,
    };
    yami_link_core_init(&self->link, config->name, config->heartbeat_ms, config->seed);
}

void
yami_producer_core_clear(yami_producer_core_t *self)
{
    yami_window_clear(&self->window);
    yami_block_unref(&self->control);
    self->sent_count = 0;
}

yami_id_t
yami_producer_id(const char *name)
{
    yami_id_t id;
    int rc = crypto_generichash(id.bytes, sizeof id.bytes, (const unsigned char *) name,
                                strlen(name), NULL, 0);
    YAM_ASSERT(rc == 0);
    return id;
}

//  Whether anything may be sent now.
static bool
s_is_running(const yami_producer_core_t *self, int64_t now_ms)
{
    return self->state == YAMI_PRODUCER_ATTACHED && now_ms >= self->pause_ms &&
           self->refused_last == 0 && !self->owes_detach && !self->link.is_leaving;
}

bool
yami_producer_core_wants_batch(const yami_producer_core_t *self, int64_t now_ms, bool is_full)
{
    return s_is_running(self, now_ms) && self->sent_count == self->window.count &&
           self->sent_messages < self->credit_messages && self->sent_bytes < self->credit_bytes &&
           self->next_sequence < YAMI_LIMIT_SEQUENCE - YAMI_LIMIT_BATCH_COUNT &&
           (is_full || self->window.count < YAMI_PRODUCER_FLIGHT);
}

void
yami_producer_core_head(const yami_producer_core_t *self, yami_batch_t *head)
{
    YAM_ASSERT(self->epoch > 0); //  a batch states its epoch
    *head = (yami_batch_t) {
        .handle = YAMI_CLIENT_HANDLE,
        .epoch = self->epoch,
        .producer = self->config.producer,
        .first_sequence = self->next_sequence,
    };
}

int
yami_producer_core_add(yami_producer_core_t *self, yami_block_t **block_p, uint32_t message_count)
{
    YAM_ASSERT(message_count > 0);
    uint64_t first = self->next_sequence;
    if (yami_window_push(&self->window, block_p, first, first + message_count - 1) == -1) {
        return -1;
    }
    self->next_sequence += message_count; //  (1)
    return 0;
}

//  (3) Absolute totals: what is left is the difference.
static bool
s_has_credit(const yami_producer_core_t *self, const yami_window_batch_t *batch)
{
    if (self->sent_messages >= self->credit_messages || self->sent_bytes >= self->credit_bytes) {
        return false;
    }
    bool fits = batch->last - batch->first < self->credit_messages - self->sent_messages &&
                batch->block->size <= self->credit_bytes - self->sent_bytes;
    bool is_all_answered =
        self->sent_count == 0 && (self->burst_begin == 0 || self->burst_seen >= self->burst_until);
    return fits || is_all_answered;
}

//  The next batch of the window to send, NULL when there is none now. Skips what has its outcome
//  already.
static const yami_window_batch_t *
s_next_batch(yami_producer_core_t *self, int64_t now_ms)
{
    if (!s_is_running(self, now_ms)) {
        return NULL;
    }
    while (self->sent_count < self->window.count) {
        const yami_window_batch_t *batch = yami_window_at(&self->window, self->sent_count);
        if (batch->status == YAM_STATUS_OK && batch->last > self->confirmed) {
            bool is_takeable = batch->block->size <= self->link.peer_max_frame;
            return is_takeable && s_has_credit(self, batch) ? batch : NULL;
        }
        self->sent_count++;
    }
    return NULL;
}

static void
s_attach_frame(const yami_producer_core_t *self, yami_frame_t *frame)
{
    const yami_window_t *window = &self->window;
    bool has_unconfirmed = window->count > 0 && !YAMI_PLANTED(UNCONFIRMED_FORGOTTEN);
    *frame = (yami_frame_t) {
        .type = YAMI_FRAME_ATTACH,
        .handle = YAMI_CLIENT_HANDLE,
        .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_PRODUCER | YAMI_F_EPOCH |
                   YAMI_F_FIRST,
        .role = YAMI_ROLE_PRODUCER,
        .kind = (uint64_t) self->config.kind,
        .channel = yami_slice_text(self->config.channel),
        .producer = self->config.producer,
        .epoch = self->epoch,
        .first = has_unconfirmed ? yami_window_at(window, 0)->first : self->next_sequence,
    };
}

//  The control frame that is due, if one is.
static bool
s_next_control(const yami_producer_core_t *self, int64_t now_ms, yami_frame_t *frame)
{
    if (self->link.state == YAMI_LINK_UP && self->owes_attach) {
        s_attach_frame(self, frame);
        return true;
    }
    if (self->link.state == YAMI_LINK_UP && self->owes_detach) {
        *frame = (yami_frame_t) {.type = YAMI_FRAME_DETACH, .handle = YAMI_CLIENT_HANDLE};
        return true;
    }
    return yami_link_core_next(&self->link, now_ms, frame);
}

yami_block_t *
yami_producer_core_output(yami_producer_core_t *self, int64_t now_ms)
{
    yami_frame_t frame;
    if (self->control == NULL && s_next_control(self, now_ms, &frame)) {
        self->control = yami_frame_encode(&frame); //  NULL: out of memory; tried again
        self->control_type = frame.type;
    }
    if (self->control != NULL) {
        return self->control;
    }
    const yami_window_batch_t *batch = s_next_batch(self, now_ms);
    return batch == NULL ? NULL : batch->block;
}

static void
s_control_sent(yami_producer_core_t *self, int64_t now_ms)
{
    yami_block_unref(&self->control);
    if (self->control_type == YAMI_FRAME_ATTACH) {
        self->owes_attach = false;
        self->progress_ms = now_ms;
    } else if (self->control_type == YAMI_FRAME_DETACH) {
        self->owes_detach = false;
    } else if (self->control_type == YAMI_FRAME_GOODBYE && self->state != YAMI_PRODUCER_FINAL) {
        self->state = YAMI_PRODUCER_DETACHED;
        self->sent_count = 0;
    }
    yami_link_core_sent(&self->link, now_ms, self->control_type);
}

void
yami_producer_core_sent(yami_producer_core_t *self, int64_t now_ms)
{
    if (self->control != NULL) {
        s_control_sent(self, now_ms);
        return;
    }
    const yami_window_batch_t *batch = yami_window_at(&self->window, self->sent_count);
    uint64_t message_count = batch->last - batch->first + 1;
    if (self->sent_count == 0) {
        self->progress_ms = now_ms; //  the relay owes nothing before this
    }
    if (batch->first <= self->highest_sent) {
        self->resent_messages += message_count;
    } else {
        self->highest_sent = batch->last;
    }
    self->sent_messages += message_count;
    self->sent_bytes += batch->block->size;
    self->sent_count++; //  (5)
    self->frame_count++;
    yami_link_core_sent(&self->link, now_ms, 0);
}

//  Takes the first batch out of the window into outcome.
static void
s_take(yami_producer_core_t *self, yami_producer_outcome_t *outcome)
{
    const yami_window_batch_t *batch = yami_window_at(&self->window, 0);
    outcome->last = batch->last;
    outcome->bytes += batch->block->size;
    if (batch->text != NULL) {
        (void) snprintf(outcome->text, sizeof outcome->text, "%s", batch->text);
    }
    yami_window_pop(&self->window);
    self->sent_count -= self->sent_count > 0 ? 1 : 0;
}

bool
yami_producer_core_outcome(yami_producer_core_t *self, yami_producer_outcome_t *outcome)
{
    if (self->window.count == 0) {
        return false;
    }
    const yami_window_batch_t *batch = yami_window_at(&self->window, 0);
    if (batch->status == YAM_STATUS_OK && batch->last > self->confirmed) {
        return false; //  (2)
    }
    outcome->first = batch->first;
    outcome->bytes = 0;
    outcome->status = batch->status;
    outcome->level = batch->status == YAM_STATUS_OK ? self->level : YAM_LEVEL_NONE;
    outcome->text[0] = 0;
    s_take(self, outcome);
    if (outcome->status != YAM_STATUS_OK) {
        return true;
    }
    while (self->window.count > 0) {
        batch = yami_window_at(&self->window, 0);
        if (batch->status != YAM_STATUS_OK || batch->last > self->confirmed) {
            break;
        }
        s_take(self, outcome);
    }
    return true;
}

void
yami_producer_core_leave(yami_producer_core_t *self)
{
    self->owes_detach = self->state == YAMI_PRODUCER_ATTACHED && !self->link.is_leaving;
    yami_link_core_leave(&self->link);
}

static int64_t
s_earlier(int64_t left_ms, int64_t right_ms)
{
    return left_ms < right_ms ? left_ms : right_ms;
}

int64_t
yami_producer_core_deadline(const yami_producer_core_t *self, int64_t now_ms)
{
    int64_t deadline_ms = yami_link_core_deadline(&self->link, now_ms);
    yami_frame_t frame;
    if (self->control == NULL && s_next_control(self, now_ms, &frame)) {
        return s_earlier(deadline_ms, now_ms + STARVED_RETRY_MS);
    }
    if (self->state == YAMI_PRODUCER_ATTACHED && self->pause_ms > now_ms) {
        deadline_ms = s_earlier(deadline_ms, self->pause_ms);
    }
    bool waits = self->state == YAMI_PRODUCER_ATTACHING || self->window.count > 0;
    if (self->link.state == YAMI_LINK_UP && waits) {
        int64_t impatient_ms = self->progress_ms + self->patience_ms;
        deadline_ms = s_earlier(deadline_ms, impatient_ms > now_ms ? impatient_ms : now_ms);
    }
    return deadline_ms;
}

void
yami_producer_core_check(const yami_producer_core_t *self)
{
    yami_link_core_check(&self->link);
    yami_window_check(&self->window);
    const yami_window_t *window = &self->window;
    if (window->count > 0) {
        YAM_ASSERT(yami_window_at(window, window->count - 1)->last + 1 ==
                   self->next_sequence); //  (1)
    }
    YAM_ASSERT(self->sent_count <= window->count); //  (5)
    YAM_ASSERT(self->confirmed <= self->highest_sent);
    YAM_ASSERT(self->highest_sent < self->next_sequence);
    YAM_ASSERT(window->count == 0 || self->epoch > 0); //  (4)
    bool has_session = self->link.state == YAMI_LINK_UP;
    YAM_ASSERT(self->state != YAMI_PRODUCER_ATTACHED || has_session);
    YAM_ASSERT(self->state != YAMI_PRODUCER_ATTACHING || has_session);
}
