//  outbox_driver - plans become transactions. See yami_outbox_driver.h.

#include "yami_outbox_driver.h"

#include <errno.h>
#include <inttypes.h>

#include "yami_base.h"
#include "yami_failpoint.h"
#include "yami_frame.h"
#include "yami_limits.h"

#define S_FLIGHT_BYTES (1u << 20) //  of records; the last one may go beyond

//  What the database answered to one effect.
typedef struct {
    int64_t result;
    yam_outbox_waiting_t waiting; //  of ASSIGN: found before
    yam_outbox_flight_t flight;   //  of ASSIGN
} s_answer_t;

void
yami_outbox_driver_init(yami_outbox_driver_t *self, const yam_outbox_db_t *db, void *database,
                        const yami_outbox_core_options_t *options, uint64_t owner)
{
    *self = (yami_outbox_driver_t) {.db = db, .database = database, .mark = UINT64_MAX};
    yami_outbox_core_init(&self->core, options, owner);
}

void
yami_outbox_driver_clear(yami_outbox_driver_t *self)
{
    yami_outbox_core_clear(&self->core);
    if (self->database != NULL) {
        self->db->close(self->database);
        self->database = NULL;
    }
}

//  -- Looking -------------------------------------------------------------------------------------

typedef struct {
    yami_outbox_core_t *core;
    int64_t now_ms;
} s_look_t;

//  Whether a provider may say that; other programs can write into the application's database.
static bool
s_is_lane(const yam_outbox_lane_t *lane)
{
    return lane->lane > 0 && (lane->kind == YAMI_KIND_QUEUE || lane->kind == YAMI_KIND_TOPIC) &&
           lane->epoch > 0 && lane->epoch <= UINT32_MAX && lane->next > 0 &&
           lane->next <= YAMI_LIMIT_SEQUENCE && lane->owner <= INT64_MAX;
}

static int
s_saw(void *arg, const yam_outbox_lane_t *lane)
{
    const s_look_t *look = arg;
    if (!s_is_lane(lane)) {
        return yami_fail(EBADMSG, "lane %" PRId64 " of the outbox is none (see SPEC.md)",
                         lane->lane);
    }
    yami_outbox_core_saw(look->core, look->now_ms, lane);
    return 0;
}

//  0, or -1.
static int
s_look(yami_outbox_driver_t *self, int64_t now_ms)
{
    uint64_t mark;
    if (now_ms < self->core.pause_ms) {
        return 0;
    }
    if (self->db->changed(self->database, &mark) == -1) {
        return -1;
    }
    if (!yami_outbox_core_wants_look(&self->core, now_ms, mark != self->mark)) {
        return 0;
    }
    s_look_t look = {&self->core, now_ms};
    yami_outbox_core_look(&self->core);
    if (self->db->lanes(self->database, s_saw, &look) == -1) {
        return -1;
    }
    yami_outbox_core_looked(&self->core, now_ms);
    self->mark = mark; //  read before: what came since is looked at again
    return 0;
}

//  0 when flights are in order, and behind what the lane has; or -1 with errno EBADMSG.
static int
s_check_flights(const yami_outbox_lane_t *lane, const yam_outbox_flight_t *flights, int count)
{
    uint64_t before = lane->loaded > 0 ? lane->loaded - 1 : 0;
    for (int index = 0; index < count; index++) {
        const yam_outbox_flight_t *flight = &flights[index];
        if (flight->first <= before || flight->first > flight->last ||
            flight->last >= YAMI_LIMIT_SEQUENCE) {
            return yami_fail(EBADMSG,
                             "flight %" PRIu64 " of lane %" PRId64
                             " of the outbox is none (see SPEC.md)",
                             flight->first, lane->seen.lane);
        }
        before = flight->last;
    }
    return 0;
}

//  Reads the flights of lanes that have some which are not known here. 0, or -1.
static int
s_load(yami_outbox_driver_t *self)
{
    yami_outbox_lane_t *lane;
    size_t room;
    while ((lane = yami_outbox_core_wants_flights(&self->core, &room)) != NULL) {
        yam_outbox_flight_t flights[YAMI_OUTBOX_FLIGHTS];
        int count = self->db->flights(self->database, lane->seen.lane, lane->loaded, flights, room);
        if (count == -1 || s_check_flights(lane, flights, count) == -1) {
            return -1;
        }
        bool has_all = (size_t) count < room;
        yami_outbox_core_loaded(&self->core, lane, flights, (size_t) count, has_all);
    }
    return 0;
}

//  -- Changing ------------------------------------------------------------------------------------

static int64_t
s_apply_to_lane(const yami_outbox_driver_t *self, const yami_outbox_effect_t *effect,
                s_answer_t *answer)
{
    const yam_outbox_db_t *db = self->db;
    void *database = self->database;
    uint64_t owner = self->core.owner;
    int64_t lane = effect->lane->seen.lane;
    switch (effect->change) {
    case YAMI_OUTBOX_TAKE:
        return db->take(database, &effect->lane->seen, owner);
    case YAMI_OUTBOX_RELEASE:
        return db->release(database, lane, owner);
    case YAMI_OUTBOX_RENUMBER:
        return db->renumber(database, lane, owner, effect->epoch);
    case YAMI_OUTBOX_FAIL:
        return db->failed(database, lane, owner, effect->first, effect->last, &effect->failure);
    case YAMI_OUTBOX_TRY:
        return db->tried(database, lane, owner, effect->first, effect->last, effect->time_ms);
    case YAMI_OUTBOX_MARKED:
        return db->delivered(database, lane, owner, effect->first, effect->last,
                             self->core.options.keep_ms > 0);
    default:
        return db->assign(database, lane, owner, (uint32_t) effect->limit, S_FLIGHT_BYTES,
                          &answer->waiting, &answer->flight);
    }
}

//  0, or -1.
static int
s_apply(const yami_outbox_driver_t *self, const yami_outbox_effect_t *effect, s_answer_t *answer)
{
    if (effect->change == YAMI_OUTBOX_KEEP) {
        answer->result = self->db->keep(self->database, self->core.owner);
    } else if (effect->change == YAMI_OUTBOX_PRUNE) {
        answer->result = self->db->prune(self->database, effect->time_ms, effect->limit);
    } else {
        answer->result = s_apply_to_lane(self, effect, answer);
    }
    return answer->result == -1 ? -1 : 0;
}

//  What can be looked up before the transaction, which others wait for. 0, or -1.
static int
s_prepare(const yami_outbox_driver_t *self, const yami_outbox_effect_t *effects,
          s_answer_t *answers, size_t count)
{
    int rc = 0;
    for (size_t index = 0; rc == 0 && index < count; index++) {
        const yami_outbox_effect_t *effect = &effects[index];
        answers[index].waiting = (yam_outbox_waiting_t) {.count = 0};
        if (effect->change == YAMI_OUTBOX_ASSIGN && self->db->gather != NULL) {
            rc = self->db->gather(self->database, effect->lane->seen.lane, (uint32_t) effect->limit,
                                  S_FLIGHT_BYTES, &answers[index].waiting);
        }
    }
    return rc;
}

//  All effects in one transaction (2). 0, or -1; then *stale_p is the lane that is another's.
static int
s_commit(yami_outbox_driver_t *self, const yami_outbox_effect_t *effects, s_answer_t *answers,
         size_t count, yami_outbox_lane_t **stale_p)
{
    if (s_prepare(self, effects, answers, count) == -1) {
        return -1;
    }
    YAMI_FAILPOINT("begin");
    int64_t asked_us = yami_clock_mono_us();
    if (self->db->begin(self->database) == -1) {
        return -1;
    }
    self->waited_us = yami_clock_mono_us() - asked_us;
    for (size_t index = 0; index < count; index++) {
        if (s_apply(self, &effects[index], &answers[index]) == -1) {
            *stale_p = errno == ESTALE ? effects[index].lane : NULL;
            self->db->rollback(self->database);
            return -1;
        }
    }
    YAMI_FAILPOINT("commit");
    return self->db->commit(self->database);
}

//  1, 0 or -1 as turn.
static int
s_change(yami_outbox_driver_t *self, int64_t now_ms, int64_t wall_ms)
{
    yami_outbox_effect_t effects[YAMI_OUTBOX_EFFECTS];
    s_answer_t answers[YAMI_OUTBOX_EFFECTS];
    yami_outbox_lane_t *stale = NULL;
    size_t count = yami_outbox_core_plan(&self->core, now_ms, wall_ms, effects);
    if (count == 0) {
        return 0;
    }
    if (s_commit(self, effects, answers, count, &stale) == -1) {
        if (stale != NULL) {
            yami_outbox_core_lost(&self->core, now_ms, stale);
        }
        return stale != NULL ? 1 : -1;
    }
    YAMI_FAILPOINT("committed");
    self->core.stats.commits++;
    for (size_t index = 0; index < count; index++) {
        yami_outbox_core_done(&self->core, now_ms, &effects[index], answers[index].result,
                              &answers[index].flight); //  (1)
    }
    return 1;
}

int
yami_outbox_driver_turn(yami_outbox_driver_t *self, int64_t now_ms, int64_t wall_ms)
{
    int rc = -1;
    if (s_look(self, now_ms) == 0 && s_load(self) == 0) {
        rc = s_change(self, now_ms, wall_ms);
    }
    if (rc == -1) {
        int error = errno;
        yami_outbox_core_troubled(&self->core, now_ms);
        errno = error;
    }
    return rc;
}

int
yami_outbox_driver_leave(yami_outbox_driver_t *self)
{
    if (self->db->begin(self->database) == -1) {
        return -1;
    }
    if (self->db->release(self->database, 0, self->core.owner) == -1) {
        self->db->rollback(self->database);
        return -1;
    }
    return self->db->commit(self->database);
}
