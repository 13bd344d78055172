//  consumer_core - what a consumer is handed, settles and says. See yami_consumer_core.h; what
//  comes in is in consumer_core_input.c.

#include "yami_consumer_core.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_message.h"

#define FLUSH_MS 5           //  a settled message waits so long for company
#define FLUSH_MESSAGES 4096  //  or for so many of them
#define STARVED_RETRY_MS 100 //  when memory is out

void
yami_consumer_core_init(yami_consumer_core_t *self, const yami_consumer_config_t *config)
{
    YAM_ASSERT(config->credit_messages > 0 && config->credit_bytes > 0);
    *self = (yami_consumer_core_t) {.config = *config};
    yami_leases_init(&self->leases);
    yami_link_core_init(&self->link, config->name, config->heartbeat_ms, config->seed);
}

void
yami_consumer_core_clear(yami_consumer_core_t *self)
{
    yami_leases_clear(&self->leases);
    yami_settle_list_clear(&self->pending);
    yami_block_unref(&self->control);
}

bool
yami_consumer_core_is_done(const yami_consumer_core_t *self)
{
    return self->config.limit_messages > 0 && self->handed_out >= self->config.limit_messages;
}

yam_message_t *
yami_consumer_core_recv(yami_consumer_core_t *self)
{
    while (!yami_consumer_core_is_done(self)) {
        yami_lease_t *malformed;
        yam_message_t *message = yami_leases_hand_out(&self->leases, &malformed);
        if (malformed == NULL) {
            self->handed_out += message != NULL;
            return message;
        }
        //  Its checksum was right, its records are not: not to be settled, so that the relay counts
        //  a failure.
        self->dropped_count++;
        self->gone_messages += malformed->messages_left;
        self->gone_bytes += malformed->bytes_left;
        yami_leases_remove(&self->leases, malformed);
    }
    return NULL;
}

//  One message of the lease is settled: its credit comes back.
static void
s_settled(yami_consumer_core_t *self, yami_lease_t *lease)
{
    lease->open--;
    self->leases.open--;
    if (lease->messages_left > 0) { //  0: given up before
        uint64_t bytes = lease->messages_left == 1 ? lease->bytes_left : lease->share;
        lease->messages_left--;
        lease->bytes_left -= bytes;
        self->gone_messages++;
        self->gone_bytes += bytes;
    }
    if (lease->open == 0) {
        yami_leases_remove(&self->leases, lease);
    }
}

//  Whether what is pending should leave without waiting for more.
static bool
s_is_enough(const yami_consumer_core_t *self)
{
    uint64_t messages = self->pending.messages;
    return self->leases.ready == 0 || messages >= FLUSH_MESSAGES ||
           messages >= self->config.credit_messages / 4;
}

int
yami_consumer_core_settle(yami_consumer_core_t *self, const yam_message_t *message, uint8_t type,
                          int64_t delay_ms, const char *reason, bool *wakes_p)
{
    *wakes_p = false;
    yami_lease_t *lease =
        message->token == 0 ? NULL : yami_leases_find(&self->leases, message->token);
    if (lease == NULL || message->sequence < lease->delivery.first ||
        message->sequence >= lease->next) {
        self->stale_count++;
        errno = ESTALE;
        return -1; //  (1)
    }
    if (yami_settle_list_add(&self->pending, type, delay_ms, reason, message->token,
                             message->sequence) == -1) {
        return -1;
    }
    if (type != YAMI_FRAME_EXTEND) {
        self->settled++;
        self->unresolved++; //  (4)
        s_settled(self, lease);
    }
    bool is_first = self->pending.messages == 1;
    bool becomes_urgent = !self->is_urgent && s_is_enough(self);
    self->is_urgent = self->is_urgent || becomes_urgent;
    *wakes_p = becomes_urgent || (is_first && !self->is_urgent);
    return 0;
}

void
yami_consumer_core_flush(yami_consumer_core_t *self)
{
    self->is_urgent = self->is_urgent || self->pending.messages > 0;
}

void
yami_consumer_core_close(yami_consumer_core_t *self)
{
    self->is_closing = true;
    yami_consumer_core_flush(self);
    if (self->state < YAMI_CONSUMER_ATTACHED) {
        self->state = YAMI_CONSUMER_LEFT;
        yami_link_core_leave(&self->link);
    }
}

static void
s_attach_frame(const yami_consumer_core_t *self, yami_frame_t *frame)
{
    const yami_consumer_config_t *config = &self->config;
    *frame = (yami_frame_t) {
        .type = YAMI_FRAME_ATTACH,
        .handle = YAMI_CLIENT_HANDLE,
        .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_START,
        .role = YAMI_ROLE_CONSUMER,
        .kind = (uint64_t) config->kind,
        .channel = yami_slice_text(config->channel),
        .group = yami_slice_text(config->group),
        .durable = true,
        .start = config->start,
        .sequence = config->sequence,
        .filter = yami_slice_text(config->filter),
        .lease_ms = (uint64_t) config->lease_ms,
    };
    frame->present |= frame->group.size > 0 ? YAMI_F_GROUP | YAMI_F_DURABLE : 0;
    frame->present |= frame->filter.size > 0 ? YAMI_F_FILTER : 0;
    frame->present |= frame->lease_ms > 0 ? YAMI_F_LEASE_MS : 0;
    frame->present |= config->start == YAMI_START_SEQUENCE ? YAMI_F_SEQUENCE : 0;
}

//  (5) What may be granted in this session at the most. Never falls: messages move from "received"
//  through "waiting" to "handed out", and those that turn out malformed make room again.
static uint64_t
s_most(const yami_consumer_core_t *self)
{
    if (self->config.limit_messages == 0) {
        return UINT64_MAX;
    }
    YAM_ASSERT(self->received_messages >= self->leases.ready);
    uint64_t before = self->received_messages - self->leases.ready;
    uint64_t left = self->config.limit_messages - self->handed_out;
    return before > UINT64_MAX - left ? UINT64_MAX : before + left;
}

//  (2) Whether a good part of the credit came back since the relay was told, or all that the limit
//  still allows.
static bool
s_credit_frame(const yami_consumer_core_t *self, yami_frame_t *frame)
{
    const yami_consumer_config_t *config = &self->config;
    uint64_t most = s_most(self);
    uint64_t messages = self->gone_messages + config->credit_messages;
    uint64_t bytes = self->gone_bytes + config->credit_bytes;
    messages = messages < most ? messages : most;
    bool is_last = messages == most && messages > self->granted_messages;
    if (self->is_closing || self->state != YAMI_CONSUMER_ATTACHED ||
        (!is_last && messages - self->granted_messages < (config->credit_messages + 3) / 4 &&
         bytes - self->granted_bytes < (config->credit_bytes + 3) / 4)) {
        return false;
    }
    *frame = (yami_frame_t) {
        .type = YAMI_FRAME_CREDIT,
        .handle = YAMI_CLIENT_HANDLE,
        .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
        .messages = messages,
        .bytes = bytes,
    };
    return true;
}

//  Whether pending settles are due; fills the next frame.
static bool
s_settle_frame(yami_consumer_core_t *self, int64_t now_ms, yami_frame_t *frame)
{
    if (self->state != YAMI_CONSUMER_ATTACHED || self->pending.messages == 0) {
        return false;
    }
    if (self->flush_ms == 0) {
        self->flush_ms = now_ms + FLUSH_MS;
    }
    if (!self->is_urgent && now_ms < self->flush_ms) {
        return false;
    }
    bool is_found = yami_settle_list_next(&self->pending, frame, &self->control_messages);
    self->unresolved -= yami_settle_list_doubles(&self->pending); //  (4)
    if (!is_found) {
        return false;
    }
    frame->handle = YAMI_CLIENT_HANDLE;
    frame->present |= YAMI_F_SERIAL;
    frame->serial = self->serial + 1; //  (3)
    return true;
}

//  Fills the frame that is due, if one is.
static bool
s_next(yami_consumer_core_t *self, int64_t now_ms, yami_frame_t *frame)
{
    self->control_messages = 0;
    if (self->link.state == YAMI_LINK_UP) {
        if (self->owes_attach) {
            s_attach_frame(self, frame);
            return true;
        }
        if (s_settle_frame(self, now_ms, frame) || s_credit_frame(self, frame)) {
            return true;
        }
        if (self->is_closing && self->state == YAMI_CONSUMER_ATTACHED && self->unresolved == 0) {
            *frame = (yami_frame_t) {.type = YAMI_FRAME_DETACH, .handle = YAMI_CLIENT_HANDLE};
            return true;
        }
    }
    return yami_link_core_next(&self->link, now_ms, frame);
}

yami_block_t *
yami_consumer_core_output(yami_consumer_core_t *self, int64_t now_ms)
{
    if (self->control == NULL && s_next(self, now_ms, &self->control_frame)) {
        self->control =
            yami_frame_encode(&self->control_frame); //  NULL: out of memory; tried again
        if (self->control != NULL && (self->control_frame.present & YAMI_F_RANGES)) {
            yami_settle_list_taken(&self->pending, &self->control_frame);
        }
    }
    return self->control;
}

//  Remembers what a serial stands for; when too many are on their way, the last ones are told apart
//  no more.
static void
s_note_serial(yami_consumer_core_t *self)
{
    self->serial = self->control_frame.serial;
    size_t index = (self->serial_head + self->serial_count) % YAMI_CONSUMER_SERIALS;
    if (self->serial_count == YAMI_CONSUMER_SERIALS) {
        index = (index + YAMI_CONSUMER_SERIALS - 1) % YAMI_CONSUMER_SERIALS;
    } else {
        self->serials[index].messages = 0;
        self->serial_count++;
    }
    self->serials[index].serial = self->serial;
    self->serials[index].messages += self->control_messages;
    if (self->pending.messages == 0) {
        self->is_urgent = false;
        self->flush_ms = 0;
    }
}

void
yami_consumer_core_sent(yami_consumer_core_t *self, int64_t now_ms)
{
    YAM_ASSERT(self->control != NULL);
    yami_block_unref(&self->control);
    const yami_frame_t *frame = &self->control_frame;
    if (frame->present & YAMI_F_RANGES) {
        if (self->serial_count == 0) {
            self->progress_ms = now_ms;
        }
        s_note_serial(self);
    } else if (frame->type == YAMI_FRAME_ATTACH) {
        self->owes_attach = false;
        self->progress_ms = now_ms;
    } else if (frame->type == YAMI_FRAME_CREDIT) {
        self->granted_messages = frame->messages; //  (2)
        self->granted_bytes = frame->bytes;
    } else if (frame->type == YAMI_FRAME_DETACH) {
        self->state = YAMI_CONSUMER_DETACHING;
        self->progress_ms = now_ms;
    }
    yami_link_core_sent(&self->link, now_ms, frame->type);
}

static int64_t
s_earlier(int64_t left_ms, int64_t right_ms)
{
    return left_ms < right_ms ? left_ms : right_ms;
}

int64_t
yami_consumer_core_deadline(const yami_consumer_core_t *self, int64_t now_ms)
{
    int64_t deadline_ms = yami_link_core_deadline(&self->link, now_ms);
    if (self->state == YAMI_CONSUMER_ATTACHED && self->pending.messages > 0 &&
        self->control == NULL) {
        int64_t flush_ms = self->flush_ms > now_ms ? self->flush_ms : now_ms + STARVED_RETRY_MS;
        deadline_ms =
            s_earlier(deadline_ms, self->is_urgent ? now_ms + STARVED_RETRY_MS : flush_ms);
    }
    if (self->owes_attach && self->control == NULL) {
        deadline_ms = s_earlier(deadline_ms, now_ms + STARVED_RETRY_MS);
    }
    if (yami_consumer_core_waits(self)) {
        int64_t impatient_ms = self->progress_ms + YAMI_CONSUMER_PATIENCE_MS;
        deadline_ms = s_earlier(deadline_ms, impatient_ms > now_ms ? impatient_ms : now_ms);
    }
    return s_earlier(deadline_ms, yami_consumer_core_forget_ms(self));
}

void
yami_consumer_core_check(const yami_consumer_core_t *self)
{
    yami_link_core_check(&self->link);
    yami_leases_check(&self->leases);
    bool has_session = self->link.state == YAMI_LINK_UP;
    bool is_active =
        self->state >= YAMI_CONSUMER_ATTACHING && self->state <= YAMI_CONSUMER_DETACHING;
    YAM_ASSERT(!is_active || has_session);
    YAM_ASSERT(self->leases.count == 0 || has_session); //  (1)
    YAM_ASSERT(self->granted_messages <=
               self->gone_messages + self->config.credit_messages);                  //  (2)
    YAM_ASSERT(self->granted_bytes <= self->gone_bytes + self->config.credit_bytes); //  (2)
    YAM_ASSERT(self->granted_messages <= s_most(self));                              //  (5)
    uint64_t on_their_way = self->control != NULL ? self->control_messages : 0;
    for (size_t index = 0; index < self->serial_count; index++) {
        on_their_way += self->serials[(self->serial_head + index) % YAMI_CONSUMER_SERIALS].messages;
    }
    YAM_ASSERT(self->unresolved >= on_their_way); //  (4)
    YAM_ASSERT(self->unresolved <= on_their_way + self->pending.messages);
    YAM_ASSERT(self->unresolved + self->lost <= self->settled);
}
