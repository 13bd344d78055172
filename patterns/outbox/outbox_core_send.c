//  outbox_core_send - what senders do, and what they hear. See yami_outbox_core.h.

#include <stdio.h>

#include "yami_base.h"
#include "yami_outbox_core.h"

#define S_REFUSED_MIN_MS 50 //  until a lane that was refused for good is tried with other rows

//  -- Output --------------------------------------------------------------------------------------

//  The flight that `next` is in, or NULL.
static const yam_outbox_flight_t *
s_next_flight(const yami_outbox_lane_t *lane)
{
    for (size_t index = 0; index < lane->flight_count; index++) {
        const yam_outbox_flight_t *flight = &lane->flights[index];
        if (flight->first <= lane->next && lane->next <= flight->last) {
            return flight;
        }
    }
    return NULL;
}

//  Whether what is left begins behind `next`: the sender cannot jump, and another one must begin
//  there.
static bool
s_has_gap(const yami_outbox_lane_t *lane)
{
    return lane->flight_count > 0 && lane->flights[0].first > lane->next;
}

static bool
s_wants_sender(const yami_outbox_lane_t *lane, int64_t now_ms)
{
    bool has_rows = lane->flight_count > 0 || (!lane->must_load && !lane->is_drained);
    return has_rows && lane->is_ours && !lane->must_look && !lane->must_renumber &&
           lane->refusal.status == YAM_STATUS_OK && lane->closure.status == YAM_STATUS_OK &&
           now_ms >= lane->pause_ms;
}

//  While the database is left alone nothing is sent, since rows are read for it: a read that failed
//  again and again would put the end of that pause, and with it a new connection, off for ever.
static bool
s_lane_output(const yami_outbox_core_t *self, yami_outbox_lane_t *lane, int64_t now_ms,
              yami_outbox_output_t *output)
{
    *output = (yami_outbox_output_t) {.lane = lane};
    if (lane->sender == YAMI_OUTBOX_CLOSED) {
        output->action = YAMI_OUTBOX_DO_OPEN;
        output->first = lane->flight_count > 0 ? lane->flights[0].first : lane->loaded;
        return s_wants_sender(lane, now_ms);
    }
    if (lane->must_close || s_has_gap(lane)) {
        output->action = YAMI_OUTBOX_DO_CLOSE;
        return true;
    }
    const yam_outbox_flight_t *flight = s_next_flight(lane);
    if (lane->sender != YAMI_OUTBOX_OPEN || lane->is_blocked || lane->must_renumber ||
        lane->refusal.status != YAM_STATUS_OK || flight == NULL || now_ms < self->pause_ms) {
        return false;
    }
    output->action = YAMI_OUTBOX_DO_SEND;
    output->first = lane->next;
    output->last = flight->last;
    return true;
}

//  What was tried too often, and is not known at the relay by now, is given up. Whether it was so.
static bool
s_give_up(const yami_outbox_core_t *self, yami_outbox_lane_t *lane)
{
    const yam_outbox_flight_t *flight = s_next_flight(lane);
    if (lane->sender != YAMI_OUTBOX_OPEN || flight == NULL ||
        lane->refusal.status != YAM_STATUS_OK ||
        (int64_t) flight->try_count < self->options.try_limit || flight->last <= lane->confirmed) {
        return false;
    }
    lane->refusal.first = flight->first > lane->confirmed ? flight->first : lane->confirmed + 1;
    lane->refusal.last = flight->last;
    lane->refusal.status = YAM_STATUS_TIMEOUT;
    (void) snprintf(lane->refusal.text, sizeof lane->refusal.text,
                    "no confirm after %u tries of %lld ms", flight->try_count,
                    (long long) self->options.limit_ms);
    return true;
}

//  Whether the present try is over: attached, something on its way, and nothing heard for as long
//  as the limit.
static void
s_watch(const yami_outbox_core_t *self, yami_outbox_lane_t *lane, int64_t now_ms)
{
    bool waits = lane->sender == YAMI_OUTBOX_OPEN && lane->is_attached && !lane->is_pressed &&
                 lane->flight_count > 0 && lane->flights[0].first < lane->next;
    if (waits && now_ms - lane->progress_ms >= self->options.limit_ms) {
        lane->must_try = true;
    }
}

bool
yami_outbox_core_output(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_output_t *output)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        yami_outbox_lane_t *lane = self->lanes[index];
        s_watch(self, lane, now_ms);
        if (!s_give_up(self, lane) && s_lane_output(self, lane, now_ms, output)) {
            return true;
        }
    }
    return false;
}

void
yami_outbox_core_opened(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                        bool has_succeeded)
{
    YAM_ASSERT(lane->sender == YAMI_OUTBOX_CLOSED);
    if (!has_succeeded) {
        lane->pause_ms = now_ms + self->options.limit_ms;
        return;
    }
    lane->sender = YAMI_OUTBOX_ASKING;
    lane->next = lane->flight_count > 0 ? lane->flights[0].first : lane->loaded;
    lane->is_attached = false;
    lane->is_pressed = false;
    lane->is_blocked = false;
    lane->must_close = false;
    lane->must_try = false;
    lane->try_ms = 0;
}

void
yami_outbox_core_closed(yami_outbox_core_t *self, yami_outbox_lane_t *lane)
{
    (void) self;
    lane->sender = YAMI_OUTBOX_CLOSED;
    lane->is_attached = false;
    lane->must_close = false;
    lane->must_try = false;
}

void
yami_outbox_core_sent(yami_outbox_core_t *self, int64_t now_ms, int64_t wall_ms,
                      const yami_outbox_output_t *output, uint64_t count, bool is_full)
{
    yami_outbox_lane_t *lane = output->lane;
    YAM_ASSERT(output->first == lane->next && count <= output->last - output->first + 1);
    const yam_outbox_flight_t *flight = s_next_flight(lane);
    bool was_owed = lane->flights[0].first < lane->next;
    lane->progress_ms = was_owed ? lane->progress_ms : now_ms; //  nothing was owed before
    lane->try_ms = lane->try_ms == 0 ? wall_ms : lane->try_ms;
    self->stats.sent += count;
    self->stats.resent += flight->try_count > 0 ? count : 0;
    lane->next += count; //  (2)
    lane->is_blocked = is_full;
}

void
yami_outbox_core_refused(yami_outbox_lane_t *lane, const yami_outbox_refusal_t *refusal)
{
    YAM_ASSERT(refusal->status != YAM_STATUS_OK);
    *(refusal->first > 0 ? &lane->refusal : &lane->closure) = *refusal;
}

//  -- Input ---------------------------------------------------------------------------------------

void
yami_outbox_core_attached(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                          uint64_t known, yam_level_t level)
{
    lane->is_attached = true;
    lane->is_pressed = false;
    lane->progress_ms = now_ms;
    if (!lane->is_ours || lane->sender == YAMI_OUTBOX_CLOSED) {
        return;
    }
    if ((int64_t) level < self->options.level) {
        //  (1) What the sender holds goes with it: only the database knows what is to be sent.
        lane->must_close = lane->must_close || lane->sender == YAMI_OUTBOX_OPEN;
        return;
    }
    uint64_t next = lane->loaded > lane->seen.next ? lane->loaded : lane->seen.next;
    if (known >= next) {
        lane->must_renumber = true; //  (3)
        return;
    }
    lane->sender = YAMI_OUTBOX_OPEN;
    lane->failure_count = 0;
    lane->confirmed = known > lane->confirmed ? known : lane->confirmed;
}

void
yami_outbox_core_detached(yami_outbox_lane_t *lane)
{
    lane->is_attached = false;
}

void
yami_outbox_core_pressed(yami_outbox_lane_t *lane, int64_t now_ms, bool is_pressed)
{
    lane->progress_ms = lane->is_pressed ? now_ms : lane->progress_ms;
    lane->is_pressed = is_pressed;
}

void
yami_outbox_core_confirmed(yami_outbox_lane_t *lane, int64_t now_ms, uint64_t last)
{
    if (!lane->is_ours || lane->sender == YAMI_OUTBOX_CLOSED) {
        return;
    }
    YAM_ASSERT(last < lane->next); //  of what was sent
    lane->progress_ms = now_ms;
    lane->is_blocked = false;
    lane->must_try = false;
    lane->confirmed = last > lane->confirmed ? last : lane->confirmed;
}

//  Whether the relay has refused what was sent, and would again.
static bool
s_is_for_good(yam_status_t status)
{
    return status == YAM_STATUS_NOT_ALLOWED || status == YAM_STATUS_CONFLICT ||
           status == YAM_STATUS_MALFORMED || status == YAM_STATUS_TOO_BIG;
}

void
yami_outbox_core_final(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                       const yami_outbox_refusal_t *refusal)
{
    if (!lane->is_ours || lane->sender == YAMI_OUTBOX_CLOSED || lane->must_close) {
        return;
    }
    lane->must_close = true;
    if (refusal->status == YAM_STATUS_FENCED) {
        lane->must_renumber = true; //  as if the relay knew sequences that we do not
    } else if (refusal->first > 0) {
        yami_outbox_core_refused(lane, refusal);
    } else {
        uint32_t doublings = lane->failure_count < 16 ? lane->failure_count : 16;
        int64_t pause_ms = (int64_t) S_REFUSED_MIN_MS << doublings;
        lane->pause_ms =
            now_ms + (pause_ms < self->options.limit_ms ? pause_ms : self->options.limit_ms);
        lane->failure_count++;
        if (s_is_for_good(refusal->status)) {
            yami_outbox_core_refused(lane, refusal);
        }
    }
}

void
yami_outbox_core_check(const yami_outbox_core_t *self)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        const yami_outbox_lane_t *lane = self->lanes[index];
        YAM_ASSERT(lane->is_ours || lane->flight_count == 0);
        uint64_t before = 0;
        for (size_t number = 0; number < lane->flight_count; number++) {
            const yam_outbox_flight_t *flight = &lane->flights[number];
            YAM_ASSERT(flight->first > before && flight->first <= flight->last); //  (4)
            before = flight->last;
        }
        YAM_ASSERT(before < lane->loaded || lane->flight_count == 0);
        YAM_ASSERT(lane->sender != YAMI_OUTBOX_OPEN || lane->confirmed < lane->loaded ||
                   lane->must_load || lane->must_close || !lane->is_ours);
    }
}
