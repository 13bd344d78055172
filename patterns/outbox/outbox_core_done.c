//  outbox_core_done - what has been read, changed, or lost in the database. See yami_outbox_core.h.

#include <string.h>

#include "yami_base.h"
#include "yami_outbox_core.h"

#define S_PAUSE_MIN_MS 10 //  after trouble with the database
#define S_PAUSE_MAX_MS 1000
#define S_PRUNE_MS 60000 //  at the latest
#define S_KEEP_RATIO 3   //  beats in a lease

//  -- Flights -------------------------------------------------------------------------------------

static void
s_append(yami_outbox_lane_t *lane, const yam_outbox_flight_t *flight)
{
    YAM_ASSERT(lane->flight_count < 2 * YAMI_OUTBOX_FLIGHTS);
    lane->flights[lane->flight_count++] = *flight; //  (4)
    lane->loaded = flight->last + 1;
}

void
yami_outbox_core_loaded(yami_outbox_core_t *self, yami_outbox_lane_t *lane,
                        const yam_outbox_flight_t *flights, size_t count, bool has_all)
{
    (void) self;
    for (size_t index = 0; index < count; index++) {
        if (flights[index].first >= lane->loaded) {
            s_append(lane, &flights[index]);
        }
    }
    if (has_all) {
        lane->must_load = false;
        lane->loaded = lane->seen.next > lane->loaded ? lane->seen.next : lane->loaded;
    }
}

//  -- What was planned is durable -----------------------------------------------------------------

//  The first count flights are over.
static void
s_drop(yami_outbox_lane_t *lane, size_t count)
{
    lane->flight_count -= count;
    memmove(lane->flights, lane->flights + count, lane->flight_count * sizeof *lane->flights);
}

//  The rows first..last have left the flights: as in the database, one that loses its middle
//  becomes two.
static void
s_cut_out(yami_outbox_lane_t *lane, uint64_t first, uint64_t last)
{
    yam_outbox_flight_t kept[2 * YAMI_OUTBOX_FLIGHTS + 1] = {{0, 0, 0}};
    size_t count = 0;
    for (size_t index = 0; index < lane->flight_count; index++) {
        const yam_outbox_flight_t *flight = &lane->flights[index];
        if (flight->last < first || flight->first > last) {
            kept[count++] = *flight;
            continue;
        }
        if (flight->first < first) {
            kept[count] = *flight;
            kept[count++].last = first - 1;
        }
        if (flight->last > last) {
            kept[count] = *flight;
            kept[count++].first = last + 1;
        }
    }
    YAM_ASSERT(count <= 2 * YAMI_OUTBOX_FLIGHTS); //  one refusal splits one flight
    memcpy(lane->flights, kept, count * sizeof *kept);
    lane->flight_count = count;
}

static void
s_taken(yami_outbox_core_t *self, yami_outbox_lane_t *lane)
{
    lane->is_ours = true;
    lane->must_look = true;
    lane->is_drained = false;
    lane->flight_count = 0;
    lane->loaded = 1;
    lane->confirmed = 0;
    lane->pause_ms = 0;
    lane->failure_count = 0;
    lane->idle_ms = 0;
    lane->closure.status = YAM_STATUS_OK;
    lane->seen.owner = self->owner;
    self->must_look = true;
    self->stats.taken++;
}

static void
s_renumbered(yami_outbox_core_t *self, yami_outbox_lane_t *lane, uint64_t epoch)
{
    self->must_look = true;
    lane->must_look = true; //  which of them have sequences again
    lane->must_renumber = false;
    lane->must_close = lane->sender != YAMI_OUTBOX_CLOSED;
    lane->refusal.status = YAM_STATUS_OK;
    lane->must_try = false;
    lane->must_load = false;
    lane->is_drained = false;
    lane->flight_count = 0;
    lane->loaded = 1;
    lane->confirmed = 0;
    lane->seen.epoch = epoch;
    lane->seen.next = 1;
}

static void
s_assigned(yami_outbox_lane_t *lane, int64_t result, const yam_outbox_flight_t *flight)
{
    lane->is_drained = result != 2;
    lane->has_more = result == 2;
    lane->seen.has_work = result != 0;
    if (result == 0) {
        return;
    }
    lane->seen.next = flight->last + 1;
    if (flight->first == lane->loaded) {
        s_append(lane, flight);
    } else {
        lane->must_load = true; //  rows that were put back have come in between
    }
}

static void
s_tried(yami_outbox_lane_t *lane, const yami_outbox_effect_t *effect)
{
    for (size_t index = 0; index < lane->flight_count; index++) {
        yam_outbox_flight_t *flight = &lane->flights[index];
        flight->try_count += flight->first >= effect->first && flight->first <= effect->last;
    }
    lane->must_try = false;
    lane->must_close = lane->sender != YAMI_OUTBOX_CLOSED;
}

static void
s_lane_done(yami_outbox_core_t *self, const yami_outbox_effect_t *effect, int64_t result,
            const yam_outbox_flight_t *flight)
{
    yami_outbox_lane_t *lane = effect->lane;
    switch (effect->change) {
    case YAMI_OUTBOX_TAKE:
        if (result == 1) {
            s_taken(self, lane);
        }
        break;
    case YAMI_OUTBOX_RELEASE:
        lane->is_ours = false;
        lane->must_close = lane->sender != YAMI_OUTBOX_CLOSED;
        lane->seen.owner = 0;
        lane->seen.has_work = false;
        self->must_look = true; //  a row may just have come
        break;
    case YAMI_OUTBOX_RENUMBER:
        s_renumbered(self, lane, effect->epoch);
        break;
    case YAMI_OUTBOX_FAIL:
        s_cut_out(lane, effect->first, effect->last);
        lane->refusal.status = YAM_STATUS_OK;
        self->stats.failed += (uint64_t) result;
        break;
    case YAMI_OUTBOX_TRY:
        s_tried(lane, effect);
        break;
    case YAMI_OUTBOX_MARKED:
        while (lane->flight_count > 0 && lane->flights[0].last <= effect->last) {
            s_drop(lane, 1);
        }
        self->stats.delivered += (uint64_t) result;
        self->prune_count += (uint64_t) result;
        break;
    default:
        s_assigned(lane, result, flight);
    }
}

void
yami_outbox_core_done(yami_outbox_core_t *self, int64_t now_ms, const yami_outbox_effect_t *effect,
                      int64_t result, const yam_outbox_flight_t *flight)
{
    self->pause_length_ms = 0;
    if (effect->change == YAMI_OUTBOX_KEEP) {
        self->keep_ms = now_ms + self->options.lease_ms / S_KEEP_RATIO;
    } else if (effect->change == YAMI_OUTBOX_PRUNE) {
        bool has_more = result == effect->limit;
        self->prune_ms = has_more ? now_ms : now_ms + S_PRUNE_MS;
        self->prune_count = 0;
        self->stats.pruned += (uint64_t) result;
    } else {
        s_lane_done(self, effect, result, flight);
    }
}

void
yami_outbox_core_troubled(yami_outbox_core_t *self, int64_t now_ms)
{
    int64_t doubled = self->pause_length_ms * 2;
    self->pause_length_ms = doubled < S_PAUSE_MIN_MS   ? S_PAUSE_MIN_MS
                            : doubled > S_PAUSE_MAX_MS ? S_PAUSE_MAX_MS
                                                       : doubled;
    self->pause_ms = now_ms + self->pause_length_ms;
    self->must_look = true;
    self->stats.troubles++;
}

void
yami_outbox_core_lost(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane)
{
    lane->is_ours = false;
    lane->must_close = lane->sender != YAMI_OUTBOX_CLOSED;
    lane->must_renumber = false;
    lane->must_try = false;
    lane->must_look = false;
    lane->must_load = false;
    lane->flight_count = 0;
    lane->refusal.status = YAM_STATUS_OK;
    lane->closure.status = YAM_STATUS_OK;
    lane->seen_ms = now_ms;
    self->must_look = true;
    self->stats.lost++;
}
