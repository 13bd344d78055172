//  yam_dispatcher - the sure push of one lane. See yami_dispatcher.h.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yam_relay_embed.h"
#include "yami_base.h"
#include "yami_dispatcher.h"
#include "yami_failpoint.h"
#include "yami_frame.h"
#include "yami_outbox_parts.h"
#include "yami_planted.h"
#include "yami_properties.h"

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_embedded_endpoints,
                                             yam_relay_unembed};
static const yami_place_kind_t s_queue = {YAMI_KIND_QUEUE, false, &s_embedding};
static const yami_place_kind_t s_topic = {YAMI_KIND_TOPIC, false, &s_embedding};

const yami_place_kind_t *
yami_dispatcher_place(int kind)
{
    return kind == YAMI_KIND_QUEUE ? &s_queue : &s_topic;
}

//  -- What the engine calls
//  -------------------------------------------------------------------------

static void
s_tell(yam_dispatcher_t *self)
{
    self->has_news = true;
    yami_monitor_tell(&self->monitor);
}

//  A refusal comes as the sender's end.
static void
s_on_confirm(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
             const char *text)
{
    yami_dispatcher_push_t *push = arg;
    bool counts = (int64_t) level >= push->dispatcher->options.core.level;
    (void) first;
    (void) text;
    if (status == YAM_STATUS_OK && counts) {
        yami_monitor_lock(&push->dispatcher->monitor);
        push->confirmed = last;
        s_tell(push->dispatcher);
        yami_monitor_unlock(&push->dispatcher->monitor);
    }
}

static void
s_on_change(void *arg)
{
    yami_dispatcher_push_t *push = arg;
    yami_monitor_lock(&push->dispatcher->monitor);
    s_tell(push->dispatcher);
    yami_monitor_unlock(&push->dispatcher->monitor);
}

static void
s_log_refusal(yam_dispatcher_t *self, const yami_outbox_lane_t *lane,
              const yami_outbox_refusal_t *refusal)
{
    yami_log_limited(&self->log_site, YAMI_LOG_WARN, "outbox.refused",
                     "channel=%s status=%s text=%s", lane->seen.channel,
                     yam_status_name(refusal->status), refusal->text);
}

//  -- Open and close
//  --------------------------------------------------------------------------------

//  The row of that sequence will be taken by no sender, or (0) none of the lane: text says why.
static void
s_refuse(yam_dispatcher_t *self, yami_outbox_lane_t *lane, uint64_t sequence, const char *text)
{
    yami_outbox_refusal_t refusal = {sequence, sequence, YAM_STATUS_MALFORMED, ""};
    (void) snprintf(refusal.text, sizeof refusal.text, "%s", text);
    s_log_refusal(self, lane, &refusal);
    yami_outbox_core_refused(lane, &refusal);
}

void
yami_dispatcher_open(yam_dispatcher_t *self, yami_outbox_lane_t *lane, uint64_t first,
                     int64_t now_ms)
{
    YAM_ASSERT(lane->shell == NULL);
    if (yami_name_check(yami_slice_text(lane->seen.channel),
                        lane->seen.kind == YAMI_KIND_QUEUE ? "queue" : "topic") == -1) {
        s_refuse(self, lane, 0, yam_error());
        return;
    }
    yami_dispatcher_push_t *push = yami_alloc(sizeof *push);
    yami_identity_t identity = {
        .epoch = (uint32_t) lane->seen.epoch + (YAMI_PLANTED(NEW_IDENTITY) ? (uint32_t) now_ms : 0),
        .first_sequence = first,
        .changed = s_on_change,
        .arg = push,
    };
    memcpy(identity.producer.bytes, self->producer, sizeof identity.producer.bytes);
    push->dispatcher = self;
    push->outlet = yami_outlet_new_as(yami_dispatcher_place(lane->seen.kind), self->yam,
                                      lane->seen.channel, self->endpoint, &identity);
    if (push->outlet == NULL) {
        yami_log_limited(&self->log_site, YAMI_LOG_WARN, "outbox.push-failed",
                         "channel=%s error=%s", lane->seen.channel, yam_error());
        yami_free(push);
    } else {
        yami_outlet_set_confirm(push->outlet, s_on_confirm, push);
        lane->shell = push;
    }
    yami_outbox_core_opened(&self->driver.core, now_ms, lane, lane->shell != NULL);
}

void
yami_dispatcher_close(yam_dispatcher_t *self, yami_outbox_lane_t *lane)
{
    yami_dispatcher_push_t *push = lane->shell;
    if (push != NULL) {
        (void) yami_outlet_close(push->outlet, 0); //  no callback runs after that
        yami_free(push);
        lane->shell = NULL;
    }
    yami_outbox_core_closed(&self->driver.core, lane);
}

//  -- Sending
//  ---------------------------------------------------------------------------------------

typedef struct {
    yam_dispatcher_t *dispatcher;
    yami_dispatcher_push_t *push;
    uint64_t count; //  messages taken
    bool is_full;
    bool is_refused;                  //  the row that was next: no sender will take it
    char text[YAM_OUTBOX_REASON + 1]; //  why
} s_sending_t;

//  Gives the record the property "id" unless it has one, or no room for it.
static void
s_add_identity(yam_dispatcher_t *self, yami_record_t *record, int64_t id)
{
    yami_property_t property;
    if (record->properties.size > 0 && yami_properties_find(record->properties, "id", &property)) {
        return;
    }
    char identity[YAMI_OUTBOX_IDENTITY];
    yami_outbox_identity(identity, self->producer, id);
    yami_slice_t extended =
        yami_properties_add(&self->properties, record->properties, "id", identity);
    if (extended.size > 0) {
        record->properties = extended;
    }
}

//  Whether it is for the sender, not for the row, that it was not taken: its window is full, its
//  relay's store has failed, or it has ended, and says why by its state.
static bool
s_is_full(yami_sender_t *sender, int error)
{
    yami_sure_state_t state;
    char text[1];
    yami_sure_sender_state(sender, &state, text, sizeof text);
    return error == EAGAIN || error == ENOTCONN || error == EIO ||
           state.final_status != YAM_STATUS_OK;
}

//  yam_error() says why; what is done until the row is marked may say another thing by it.
static void
s_note_refused(s_sending_t *sending)
{
    sending->is_refused = true;
    (void) snprintf(sending->text, sizeof sending->text, "%s", yam_error());
}

static int
s_send_row(void *arg, const yam_outbox_entry_t *entry)
{
    s_sending_t *sending = arg;
    yami_record_t record;
    yami_sender_t *sender = sending->push->outlet->sender;
    if (yami_outbox_record(&record, entry->record, entry->record_size, entry->id) == -1) {
        s_note_refused(sending);
        return 1;
    }
    s_add_identity(sending->dispatcher, &record, entry->id);
    if (sender->ops->send(sender, &record, "") == -1) {
        int error = errno;
        sending->is_full = error != ENOMEM && s_is_full(sender, error);
        if (error != ENOMEM && !sending->is_full) {
            s_note_refused(sending);
        }
        return error == ENOMEM ? -1 : 1;
    }
    sending->count++;
    YAMI_FAILPOINT("send");
    return 0;
}

int
yami_dispatcher_send(yam_dispatcher_t *self, const yami_outbox_output_t *output, int64_t now_ms)
{
    yami_outbox_lane_t *lane = output->lane;
    yami_outbox_core_t *core = &self->driver.core;
    s_sending_t sending = {.dispatcher = self, .push = lane->shell};
    int64_t rows = self->driver.db->read(self->driver.database, lane->seen.lane, output->first,
                                         output->last, s_send_row, &sending);
    if (rows == -1 && errno != EBADMSG) {
        yami_outbox_core_sent(core, now_ms, yami_clock_wall_ms(), output, sending.count, false);
        return -1;
    }
    bool is_whole =
        sending.is_full || sending.is_refused || sending.count == output->last - output->first + 1;
    if (!is_whole) {
        yami_log_limited(&self->log_site, YAMI_LOG_WARN, "outbox.rows-missing",
                         "channel=%s error=%s", lane->seen.channel,
                         rows == -1 ? yam_error() : "another dispatcher has it");
        yami_outbox_core_lost(core, now_ms, lane);
        return 0;
    }
    yami_outbox_core_sent(core, now_ms, yami_clock_wall_ms(), output, sending.count,
                          sending.is_full);
    if (sending.is_refused) {
        s_refuse(self, lane, lane->next, sending.text);
    }
    return 0;
}

//  -- Hearing
//  ---------------------------------------------------------------------------------------

//  The relay's last word on this push.
static void
s_hear_end(yam_dispatcher_t *self, yami_outbox_lane_t *lane, const yami_sure_state_t *state,
           const char *text, int64_t now_ms)
{
    yami_outbox_refusal_t refusal = {
        .first = state->final_first,
        .last = state->final_last,
        .status = state->final_status,
    };
    (void) snprintf(refusal.text, sizeof refusal.text, "%s",
                    *text != 0 ? text : yam_status_name(state->final_status));
    s_log_refusal(self, lane, &refusal);
    yami_outbox_core_final(&self->driver.core, now_ms, lane, &refusal);
}

//  A session with the relay began.
static void
s_hear_session(yam_dispatcher_t *self, yami_outbox_lane_t *lane, const yami_sure_state_t *state,
               int64_t now_ms)
{
    if ((int64_t) state->level < self->options.core.level) {
        yami_log_limited(&self->log_site, YAMI_LOG_WARN, "outbox.level",
                         "channel=%s relay=%s level=%s", lane->seen.channel,
                         yam_level_name(state->level),
                         yam_level_name((yam_level_t) self->options.core.level));
    }
    yami_outbox_core_attached(&self->driver.core, now_ms, lane, state->known, state->level);
}

void
yami_dispatcher_hear(yam_dispatcher_t *self, yami_outbox_lane_t *lane, int64_t now_ms)
{
    yami_dispatcher_push_t *push = lane->shell;
    yami_sure_state_t state;
    char text[YAM_OUTBOX_REASON + 1];
    yami_sure_sender_state(push->outlet->sender, &state, text, sizeof text); //  (2) read first
    yami_monitor_lock(&self->monitor);
    uint64_t confirmed = push->confirmed;
    push->confirmed = 0;
    yami_monitor_unlock(&self->monitor);
    if (confirmed > 0) {
        YAMI_FAILPOINT("confirm");
        yami_outbox_core_confirmed(lane, now_ms, confirmed);
    }
    bool is_new = state.sessions != push->told.sessions || !push->told.is_attached;
    if (state.is_attached && is_new) {
        s_hear_session(self, lane, &state, now_ms);
    } else if (!state.is_attached && push->told.is_attached) {
        yami_outbox_core_detached(lane);
    }
    yami_outbox_core_pressed(lane, now_ms, state.is_pressed);
    if (state.final_status != YAM_STATUS_OK && push->told.final_status == YAM_STATUS_OK) {
        s_hear_end(self, lane, &state, text, now_ms);
    }
    push->told = state;
}
