//  consumer_core_input - what the relay sends and time do to a consumer. See yami_consumer_core.h.

#include <errno.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_consumer_core.h"
#include "yami_limits.h"

#define FORGET_MS (10 * 60 * 1000) //  an unsettled message is given up after so long, or two leases

//  A subscription of its own ends with the session: it goes on where its messages were not settled
//  yet.
static void
s_note_position(yami_consumer_core_t *self)
{
    yami_consumer_config_t *config = &self->config;
    if (config->kind != YAMI_KIND_TOPIC || config->group[0] != 0 || !self->has_position) {
        return;
    }
    uint64_t position = self->highest + 1;
    const yami_lease_t *lease = TAILQ_FIRST(&self->leases.list);
    for (; lease != NULL; lease = TAILQ_NEXT(lease, link)) {
        if (lease->delivery.first < position) {
            position = lease->delivery.first;
        }
    }
    config->start = YAMI_START_SEQUENCE;
    config->sequence = position;
}

static void
s_lost(yami_consumer_core_t *self)
{
    s_note_position(self);
    yami_leases_clear(&self->leases); //  (1)
    yami_settle_list_clear(&self->pending);
    yami_block_unref(&self->control);
    self->control_messages = 0;
    self->serial_count = 0;
    self->lost += self->unresolved; //  (4)
    self->unresolved = 0;
    self->owes_attach = false;
    self->is_urgent = false;
    self->flush_ms = 0;
    self->received_messages = 0;
    self->gone_messages = 0;
    self->gone_bytes = 0;
    self->granted_messages = 0;
    self->granted_bytes = 0;
    if (self->state == YAMI_CONSUMER_FINAL || self->state == YAMI_CONSUMER_LEFT) {
        return;
    }
    self->state = self->is_closing ? YAMI_CONSUMER_LEFT : YAMI_CONSUMER_DETACHED;
    if (self->is_closing) {
        yami_link_core_leave(&self->link);
    }
}

static void
s_restart(yami_consumer_core_t *self, int64_t now_ms)
{
    if (yami_link_core_restart(&self->link, now_ms) == YAMI_LINK_LOST) {
        s_lost(self);
    }
}

//  Nothing more will come; frame says why.
static void
s_final(yami_consumer_core_t *self, const yami_frame_t *frame)
{
    s_lost(self);
    self->state = YAMI_CONSUMER_FINAL;
    self->final_status = (yam_status_t) frame->status;
    (void) snprintf(self->final_text, sizeof self->final_text, "%.*s", (int) frame->text.size,
                    (const char *) frame->text.data);
    yami_link_core_leave(&self->link);
}

static void
s_started(yami_consumer_core_t *self, int64_t now_ms)
{
    yami_block_unref(&self->control); //  a HELLO that was to be repeated, and has its answer now
    if (self->is_closing) {
        self->state = YAMI_CONSUMER_LEFT;
        yami_link_core_leave(&self->link);
        return;
    }
    self->state = YAMI_CONSUMER_ATTACHING;
    self->serial = 0; //  (3)
    self->owes_attach = true;
    self->progress_ms = now_ms;
}

static void
s_attached(yami_consumer_core_t *self, const yami_frame_t *frame)
{
    if (self->state != YAMI_CONSUMER_ATTACHING || self->owes_attach) {
        return;
    }
    self->state = YAMI_CONSUMER_ATTACHED;
    self->storage_failed = false;
    if (!self->has_position) {
        self->has_position = frame->sequence > 0;
        self->highest = frame->sequence > 0 ? frame->sequence - 1 : 0;
    }
    yami_link_core_prosper(&self->link);
}

static void
s_detached(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    uint64_t status = frame->present & YAMI_F_STATUS ? frame->status : YAM_STATUS_OK;
    if (self->state == YAMI_CONSUMER_DETACHING || self->is_closing) {
        s_lost(self); //  LEFT
        return;
    }
    bool is_unknown = status == YAM_STATUS_UNKNOWN && self->state == YAMI_CONSUMER_ATTACHING;
    if (yami_link_is_final(status) || is_unknown) {
        s_final(self, frame);
        return;
    }
    self->storage_failed = self->storage_failed || status == YAM_STATUS_STORAGE_FAILED;
    s_restart(self, now_ms);
}

static void
s_acked(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    while (self->serial_count > 0 && self->serials[self->serial_head].serial <= frame->serial) {
        uint64_t messages = self->serials[self->serial_head].messages;
        YAM_ASSERT(messages <= self->unresolved);
        self->unresolved -= messages; //  (4)
        self->serial_head = (self->serial_head + 1) % YAMI_CONSUMER_SERIALS;
        self->serial_count--;
        self->progress_ms = now_ms;
    }
}

static void
s_error(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    switch (frame->status) {
    case YAM_STATUS_FENCED:
        self->stale_count++;
        break;
    case YAM_STATUS_STORAGE_FAILED:
        self->storage_failed = true;
        s_restart(self, now_ms);
        break;
    case YAM_STATUS_UNKNOWN:
        if (frame->handle == YAMI_CLIENT_HANDLE) {
            s_restart(self, now_ms); //  the relay forgot the attachment
        }
        break;
    default:
        break;
    }
}

static void
s_pass(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    if (frame->type == YAMI_FRAME_ERROR) {
        s_error(self, now_ms, frame);
    } else if (frame->handle != YAMI_CLIENT_HANDLE) {
        return;
    } else if (frame->type == YAMI_FRAME_ATTACHED) {
        s_attached(self, frame);
    } else if (frame->type == YAMI_FRAME_DETACHED) {
        s_detached(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_ACKED) {
        s_acked(self, now_ms, frame);
    } else if (frame->type == YAMI_FRAME_DELIVER) {
        self->dropped_count++; //  without its second part
    }
}

//  What the link makes of a frame; whether it is for us.
static bool
s_take(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    switch (yami_link_core_frame(&self->link, now_ms, frame)) {
    case YAMI_LINK_STARTED:
        s_started(self, now_ms);
        return false;
    case YAMI_LINK_LOST:
        s_lost(self);
        return false;
    case YAMI_LINK_PASS:
        return true;
    default:
        return false;
    }
}

void
yami_consumer_core_frame(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    if (s_take(self, now_ms, frame)) {
        s_pass(self, now_ms, frame);
    }
}

//  The batch is not what its checksums say: failed, so that the relay tries again, and stops trying
//  some day.
static void
s_deliver_malformed(yami_consumer_core_t *self, const yami_frame_t *frame,
                    const yami_delivery_t *delivery)
{
    self->dropped_count++;
    self->received_messages += frame->last - frame->first + 1;
    self->gone_bytes += delivery->block->size;
    for (uint64_t sequence = frame->first; sequence <= frame->last; sequence++) {
        self->gone_messages++;
        if (yami_settle_list_add(&self->pending, YAMI_FRAME_NACK, -1, "malformed batch",
                                 frame->token, sequence) == 0) {
            self->settled++;
            self->unresolved++; //  (4)
        }
    }
    yami_consumer_core_flush(self);
}

void
yami_consumer_core_deliver(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame,
                           const yami_delivery_t *delivery, bool is_sound)
{
    YAM_ASSERT(frame->type == YAMI_FRAME_DELIVER);
    bool is_ours = s_take(self, now_ms, frame) && frame->handle == YAMI_CLIENT_HANDLE &&
                   self->state == YAMI_CONSUMER_ATTACHED && !self->is_closing;
    if (!is_ours) {
        return;
    }
    if (yami_leases_find(&self->leases, frame->token) != NULL) {
        self->dropped_count++; //  a frame that came twice
        return;
    }
    uint64_t count = frame->last - frame->first + 1;
    if (count > YAMI_LIMIT_BATCH_COUNT ||
        self->leases.count > self->config.credit_messages + YAMI_LIMIT_EXCESS_LEASES ||
        self->leases.bytes > self->config.credit_bytes + YAMI_LIMIT_EXCESS_BYTES) {
        //  not a relay to trust our memory to
        self->dropped_count++;
        s_restart(self, now_ms);
        return;
    }
    if (!is_sound) {
        s_deliver_malformed(self, frame, delivery);
        return;
    }
    self->frame_count++;
    self->received_messages += count;
    self->highest = frame->last > self->highest ? frame->last : self->highest;
    self->has_position = true;
    (void) yami_leases_add(&self->leases, delivery);
}

void
yami_consumer_core_leave(yami_consumer_core_t *self)
{
    self->is_closing = true;
    if (self->state != YAMI_CONSUMER_FINAL) {
        self->state = YAMI_CONSUMER_LEFT;
    }
    s_lost(self);
    yami_link_core_leave(&self->link);
}

void
yami_consumer_core_garbage(yami_consumer_core_t *self, int64_t now_ms, int error)
{
    self->dropped_count++;
    yami_link_core_heard(&self->link, now_ms, error);
}

void
yami_consumer_core_failed(yami_consumer_core_t *self, int64_t now_ms)
{
    (void) yami_link_core_failed(&self->link, now_ms);
    s_lost(self);
}

static int64_t
s_patience_ms(const yami_consumer_core_t *self)
{
    int64_t lease_ms = self->config.lease_ms;
    return lease_ms > 0 ? 2 * lease_ms : FORGET_MS;
}

int64_t
yami_consumer_core_forget_ms(const yami_consumer_core_t *self)
{
    const yami_lease_t *oldest = TAILQ_FIRST(&self->leases.list);
    bool is_waiting = oldest != NULL && oldest->delivery.block == NULL && oldest->messages_left > 0;
    return is_waiting && oldest->handed_out_ms > 0 ? oldest->handed_out_ms + s_patience_ms(self)
                                                   : INT64_MAX;
}

//  A message that the application forgot would keep its credit for ever: after two leases the relay
//  has given it to another, or to us again. Settling it late is still tried, as long as not too
//  many are remembered.
static void
s_forget(yami_consumer_core_t *self, int64_t now_ms)
{
    yami_lease_t *lease = TAILQ_FIRST(&self->leases.list);
    while (lease != NULL && lease->delivery.block == NULL) {
        yami_lease_t *next = TAILQ_NEXT(lease, link);
        if (lease->handed_out_ms == 0) {
            lease->handed_out_ms = now_ms;
        }
        if (now_ms < lease->handed_out_ms + s_patience_ms(self)) {
            break;
        }
        self->gone_messages += lease->messages_left;
        self->gone_bytes += lease->bytes_left;
        lease->messages_left = 0;
        lease->bytes_left = 0;
        if (self->leases.count > self->config.credit_messages) {
            yami_leases_remove(&self->leases, lease);
        }
        lease = next;
    }
}

bool
yami_consumer_core_waits(const yami_consumer_core_t *self)
{
    return self->state == YAMI_CONSUMER_ATTACHING || self->state == YAMI_CONSUMER_DETACHING ||
           (self->state == YAMI_CONSUMER_ATTACHED && self->serial_count > 0);
}

void
yami_consumer_core_turn(yami_consumer_core_t *self, int64_t now_ms)
{
    if (yami_link_core_turn(&self->link, now_ms) == YAMI_LINK_LOST) {
        s_lost(self);
    }
    if (yami_consumer_core_waits(self) && now_ms >= self->progress_ms + YAMI_CONSUMER_PATIENCE_MS) {
        s_restart(self, now_ms);
    }
    s_forget(self, now_ms);
}
