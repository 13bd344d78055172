//  outbox_core - lanes, leases, and what is to be changed in the database. See yami_outbox_core.h;
//  what has been changed is in outbox_core_done.c, senders in outbox_core_send.c.

#include "yami_outbox_core.h"

#include "yami_base.h"
#include "yami_planted.h"

#define S_PRUNE_COUNT 1000 //  rows that became old, and then at once
#define S_PRUNE_RATIO 2    //  old rows deleted for each new one: so a table shrinks, too

void
yami_outbox_core_init(yami_outbox_core_t *self, const yami_outbox_core_options_t *options,
                      uint64_t owner)
{
    YAM_ASSERT(owner > 0 && owner <= INT64_MAX);
    *self = (yami_outbox_core_t) {.options = *options, .owner = owner, .must_look = true};
}

void
yami_outbox_core_clear(yami_outbox_core_t *self)
{
    while (self->lane_count > 0) {
        yami_free(self->lanes[--self->lane_count]);
    }
}

//  -- Looking -------------------------------------------------------------------------------------

static bool
s_has_foreign_work(const yami_outbox_core_t *self)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        if (!self->lanes[index]->is_ours && self->lanes[index]->seen.has_work) {
            return true;
        }
    }
    return false;
}

bool
yami_outbox_core_wants_look(const yami_outbox_core_t *self, int64_t now_ms, bool has_changed)
{
    return now_ms >= self->pause_ms && (has_changed || self->must_look ||
                                        (now_ms >= self->look_ms && s_has_foreign_work(self)));
}

void
yami_outbox_core_look(yami_outbox_core_t *self)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        self->lanes[index]->is_in_look = false;
    }
}

static yami_outbox_lane_t *
s_lane(yami_outbox_core_t *self, int64_t now_ms, const yam_outbox_lane_t *seen)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        if (self->lanes[index]->seen.lane == seen->lane) {
            return self->lanes[index];
        }
    }
    if (self->lane_count == YAM_OUTBOX_LANES) {
        return NULL;
    }
    yami_outbox_lane_t *lane = yami_alloc(sizeof *lane);
    lane->seen = *seen;
    lane->seen_ms = now_ms;
    self->lanes[self->lane_count++] = lane;
    return lane;
}

void
yami_outbox_core_saw(yami_outbox_core_t *self, int64_t now_ms, const yam_outbox_lane_t *seen)
{
    yami_outbox_lane_t *lane = s_lane(self, now_ms, seen);
    if (lane == NULL) {
        return; //  more than a database may have
    }
    if (lane->is_ours && seen->owner != self->owner) {
        yami_outbox_core_lost(self, now_ms, lane);
    }
    //  A lane that we own and do not know of, since an answer was lost, has only our own beats.
    bool has_beaten = lane->seen.beat != seen->beat && seen->owner != self->owner;
    if (lane->seen.owner != seen->owner || has_beaten) {
        lane->seen_ms = now_ms;
    }
    lane->seen = *seen;
    lane->is_in_look = true;
    if (!lane->is_ours) {
        return;
    }
    lane->must_load = lane->must_load || lane->must_look || seen->next > lane->loaded;
    lane->must_look = false;
    lane->is_drained = lane->is_drained && !seen->has_work;
}

void
yami_outbox_core_looked(yami_outbox_core_t *self, int64_t now_ms)
{
    self->must_look = false;
    self->look_ms = now_ms + self->options.lease_ms / 2;
    for (size_t index = self->lane_count; index > 0; index--) {
        yami_outbox_lane_t *lane = self->lanes[index - 1];
        if (!lane->is_in_look && lane->is_ours) {
            yami_outbox_core_lost(self, now_ms, lane);
        }
        if (!lane->is_in_look && lane->sender == YAMI_OUTBOX_CLOSED) {
            self->lanes[index - 1] = self->lanes[--self->lane_count];
            yami_free(lane);
        }
    }
}

yami_outbox_lane_t *
yami_outbox_core_wants_flights(const yami_outbox_core_t *self, size_t *room_p)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        yami_outbox_lane_t *lane = self->lanes[index];
        if (lane->is_ours && lane->must_load && lane->flight_count < YAMI_OUTBOX_FLIGHTS) {
            *room_p = YAMI_OUTBOX_FLIGHTS - lane->flight_count;
            return lane;
        }
    }
    return NULL;
}

static bool
s_has_work(const yami_outbox_lane_t *lane)
{
    return lane->flight_count > 0 || lane->must_load || lane->must_look || !lane->is_drained;
}

bool
yami_outbox_core_is_idle(const yami_outbox_core_t *self)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        const yami_outbox_lane_t *lane = self->lanes[index];
        if (lane->is_ours ? s_has_work(lane) : lane->seen.has_work) {
            return false;
        }
    }
    return !self->must_look;
}

//  -- Planning ------------------------------------------------------------------------------------

//  A plan that is being written.
typedef struct {
    yami_outbox_effect_t *effects;
    size_t count;
} s_plan_t;

static yami_outbox_effect_t *
s_add(s_plan_t *plan, yami_outbox_change_t change, yami_outbox_lane_t *lane)
{
    yami_outbox_effect_t *effect = &plan->effects[plan->count++];
    *effect = (yami_outbox_effect_t) {.change = change, .lane = lane};
    return effect;
}

//  Whether the lane may be taken: nobody has it, or whoever does has not been heard of for long.
static bool
s_is_free(const yami_outbox_core_t *self, const yami_outbox_lane_t *lane, int64_t now_ms)
{
    return lane->seen.owner == 0 || now_ms - lane->seen_ms >= self->options.lease_ms;
}

static void
s_plan_refusal(s_plan_t *plan, yami_outbox_lane_t *lane, int64_t wall_ms)
{
    yami_outbox_effect_t *effect = s_add(plan, YAMI_OUTBOX_FAIL, lane);
    bool was_sent = lane->refusal.status != YAM_STATUS_TIMEOUT;
    effect->first = lane->refusal.first;
    effect->last = lane->refusal.last;
    effect->failure = (yam_outbox_failure_t) {
        .status = lane->refusal.status,
        .reason = lane->refusal.text,
        .try_ms = was_sent ? (lane->try_ms != 0 ? lane->try_ms : wall_ms) : 0,
        .time_ms = wall_ms,
    };
}

//  The flights of the present try, which was in vain.
static void
s_plan_try(s_plan_t *plan, yami_outbox_lane_t *lane)
{
    yami_outbox_effect_t *effect = s_add(plan, YAMI_OUTBOX_TRY, lane);
    effect->first = lane->flights[0].first;
    effect->time_ms = lane->try_ms;
    for (size_t index = 0; index < lane->flight_count; index++) {
        if (lane->flights[index].first < lane->next) {
            effect->last = lane->flights[index].last;
        }
    }
}

//  (1) How many flights at the head are confirmed.
static size_t
s_confirmed_count(const yami_outbox_lane_t *lane)
{
    uint64_t confirmed =
        YAMI_PLANTED(MARK_BEFORE_CONFIRM) && lane->next > 0 ? lane->next - 1 : lane->confirmed;
    size_t count = 0;
    while (count < lane->flight_count && lane->flights[count].last <= confirmed) {
        count++;
    }
    return count;
}

//  (3) Rows for a channel that takes none get sequences, too, since only then they fail.
static bool
s_may_assign(const yami_outbox_lane_t *lane, size_t flight_count)
{
    bool is_open = lane->sender == YAMI_OUTBOX_OPEN && lane->is_attached && !lane->is_pressed &&
                   !lane->must_close;
    bool is_shut = lane->closure.status != YAM_STATUS_OK && flight_count == 0;
    return (is_open || is_shut) && !lane->must_load && !lane->is_drained &&
           lane->refusal.status == YAM_STATUS_OK && flight_count < YAMI_OUTBOX_FLIGHTS;
}

//  The channel takes nothing: what is in flights, and was not confirmed before, has failed.
static void
s_close_flights(yami_outbox_lane_t *lane)
{
    if (lane->closure.status == YAM_STATUS_OK || lane->refusal.status != YAM_STATUS_OK) {
        return;
    }
    const yam_outbox_flight_t *last =
        lane->flight_count > 0 ? &lane->flights[lane->flight_count - 1] : NULL;
    if (last != NULL && last->last > lane->confirmed) {
        lane->refusal = lane->closure;
        lane->refusal.first =
            lane->flights[0].first > lane->confirmed ? lane->flights[0].first : lane->confirmed + 1;
        lane->refusal.last = last->last;
    }
    if (lane->refusal.status != YAM_STATUS_OK || (last == NULL && lane->is_drained)) {
        lane->closure.status = YAM_STATUS_OK; //  those that come later may be welcome
    }
}

//  While a flight is on its way what comes gathers for the next, unless there is more than a flight
//  takes, or a transaction is due anyway: its lock is what the application waits for.
static void
s_plan_ours(const yami_outbox_core_t *self, s_plan_t *plan, yami_outbox_lane_t *lane,
            int64_t now_ms, int64_t wall_ms)
{
    if (lane->must_renumber) {
        s_add(plan, YAMI_OUTBOX_RENUMBER, lane)->epoch = lane->seen.epoch + 1;
        return;
    }
    s_close_flights(lane);
    if (lane->refusal.status != YAM_STATUS_OK) {
        s_plan_refusal(plan, lane, wall_ms);
    } else if (lane->must_try && lane->flight_count > 0) {
        s_plan_try(plan, lane);
    }
    size_t confirmed_count = s_confirmed_count(lane);
    if (confirmed_count > 0) {
        yami_outbox_effect_t *effect = s_add(plan, YAMI_OUTBOX_MARKED, lane);
        effect->first = lane->flights[0].first;
        effect->last = lane->flights[confirmed_count - 1].last;
    }
    size_t flight_count = lane->flight_count - confirmed_count;
    bool is_worth_it = flight_count == 0 || lane->has_more || plan->count > 0;
    if (is_worth_it && s_may_assign(lane, flight_count)) {
        s_add(plan, YAMI_OUTBOX_ASSIGN, lane)->limit = self->options.batch;
    } else if (!s_has_work(lane) && now_ms - lane->idle_ms >= self->options.lease_ms) {
        s_add(plan, YAMI_OUTBOX_RELEASE, lane);
    }
}

static void
s_plan_lanes(yami_outbox_core_t *self, s_plan_t *plan, int64_t now_ms, int64_t wall_ms)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        yami_outbox_lane_t *lane = self->lanes[index];
        if (plan->count + 6 > YAMI_OUTBOX_EFFECTS) {
            return; //  the others next time
        }
        if (lane->is_ours && !lane->must_look) {
            lane->idle_ms = s_has_work(lane) || lane->idle_ms == 0 ? now_ms : lane->idle_ms;
            s_plan_ours(self, plan, lane, now_ms, wall_ms);
        } else if (!lane->is_ours && lane->seen.has_work && lane->sender == YAMI_OUTBOX_CLOSED &&
                   s_is_free(self, lane, now_ms)) {
            s_add(plan, YAMI_OUTBOX_TAKE, lane);
        }
    }
}

static bool
s_has_any(const yami_outbox_core_t *self)
{
    for (size_t index = 0; index < self->lane_count; index++) {
        if (self->lanes[index]->is_ours) {
            return true;
        }
    }
    return false;
}

size_t
yami_outbox_core_plan(yami_outbox_core_t *self, int64_t now_ms, int64_t wall_ms,
                      yami_outbox_effect_t *effects)
{
    s_plan_t plan = {.effects = effects};
    if (now_ms < self->pause_ms) {
        return 0;
    }
    s_plan_lanes(self, &plan, now_ms, wall_ms);
    if (now_ms >= self->keep_ms && s_has_any(self)) {
        (void) s_add(&plan, YAMI_OUTBOX_KEEP, NULL);
    }
    if (self->options.keep_ms > 0 &&
        (now_ms >= self->prune_ms || self->prune_count >= S_PRUNE_COUNT)) {
        yami_outbox_effect_t *effect = s_add(&plan, YAMI_OUTBOX_PRUNE, NULL);
        effect->time_ms = wall_ms - self->options.keep_ms;
        effect->limit = (int64_t) (self->prune_count * S_PRUNE_RATIO) + S_PRUNE_COUNT;
    }
    return plan.count;
}
