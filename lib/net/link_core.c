//  link_core - a client's session with a relay. See yami_link_core.h.

#include "yami_link_core.h"

#include <errno.h>
#include <stdio.h>

#include "yami_base.h"

#define HELLO_REPEAT_MIN_MS 250
#define HELLO_REPEAT_MAX_MS 1000
#define HELLO_COUNT_LIMIT 5 //  unanswered, then the socket is given up
#define SILENT_INTERVALS 3
#define INTERVAL_MIN_MS                                                                            \
    10 //  a relay that announces less would be found dead by the slightest delay

//  splitmix64 (Steele, Lea, Flood 2014): any seed gives a good stream.
static uint64_t
s_random(uint64_t *state_p)
{
    uint64_t mixed = *state_p += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

int64_t
yami_link_backoff_ms(uint64_t *random_p, uint32_t failure_count, int64_t min_ms, int64_t max_ms)
{
    YAM_ASSERT(min_ms > 0 && max_ms >= min_ms);
    int64_t delay_ms = min_ms;
    for (uint32_t step = 0; step < failure_count && delay_ms < max_ms; step++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < max_ms ? delay_ms : max_ms;
    return delay_ms - (int64_t) (s_random(random_p) % (uint64_t) (delay_ms / 2 + 1));
}

bool
yami_link_is_final(uint64_t status)
{
    switch (status) {
    case YAM_STATUS_NOT_ALLOWED:
    case YAM_STATUS_CONFLICT:
    case YAM_STATUS_FENCED:
    case YAM_STATUS_VERSION:
    case YAM_STATUS_MALFORMED:
    case YAM_STATUS_TOO_BIG:
        return true;
    default:
        return false;
    }
}

static int64_t
s_backoff_ms(yami_link_core_t *self)
{
    return yami_link_backoff_ms(&self->random, self->failure_count++, YAMI_LINK_BACKOFF_MIN_MS,
                                YAMI_LINK_BACKOFF_MAX_MS);
}

void
yami_link_core_init(yami_link_core_t *self, const char *name, int64_t heartbeat_ms, uint64_t seed)
{
    YAM_ASSERT(heartbeat_ms > 0);
    *self = (yami_link_core_t) {
        .heartbeat_ms = heartbeat_ms,
        .random = seed,
        .until_ms = INT64_MIN,
        .hello_ms = INT64_MIN / 2,
    };
    (void) snprintf(self->name, sizeof self->name, "%s", name);
}

uint64_t
yami_link_core_socket(const yami_link_core_t *self)
{
    bool is_wanted = self->state != YAMI_LINK_CLOSED && self->state != YAMI_LINK_ENDED; //  (3)
    return is_wanted ? self->socket_number : 0;
}

//  Leaves whatever state for another; tells whether a session was lost by that.
static yami_link_outcome_t
s_leave_state(yami_link_core_t *self, yami_link_state_t state, int64_t until_ms)
{
    bool was_up = self->state == YAMI_LINK_UP;
    if (self->is_leaving) { //  there is nobody any more to say GOODBYE to
        state = YAMI_LINK_ENDED;
        until_ms = INT64_MAX;
    }
    self->state = state;
    self->until_ms = until_ms;
    self->hello_count = 0;
    self->owes_error = false;
    if (state == YAMI_LINK_WAITING) {
        int64_t earliest_ms = self->hello_ms + YAMI_LINK_HELLO_GAP_MS; //  (1)
        self->until_ms = until_ms > earliest_ms ? until_ms : earliest_ms;
        do {
            self->session = s_random(&self->random);
        } while (self->session == 0);
    }
    return was_up ? YAMI_LINK_LOST : YAMI_LINK_NOTHING;
}

yami_link_outcome_t
yami_link_core_failed(yami_link_core_t *self, int64_t now_ms)
{
    if (self->state == YAMI_LINK_ENDED) {
        return YAMI_LINK_NOTHING;
    }
    return s_leave_state(self, YAMI_LINK_CLOSED, now_ms + s_backoff_ms(self));
}

yami_link_outcome_t
yami_link_core_restart(yami_link_core_t *self, int64_t now_ms)
{
    if (self->state != YAMI_LINK_UP) {
        return YAMI_LINK_NOTHING;
    }
    return s_leave_state(self, YAMI_LINK_WAITING, now_ms + s_backoff_ms(self));
}

void
yami_link_core_prosper(yami_link_core_t *self)
{
    self->failure_count = 0;
}

void
yami_link_core_leave(yami_link_core_t *self)
{
    self->is_leaving = true;
    if (self->state != YAMI_LINK_UP) {
        (void) s_leave_state(self, YAMI_LINK_ENDED, INT64_MAX);
    }
}

void
yami_link_core_heard(yami_link_core_t *self, int64_t now_ms, int error)
{
    self->heard_ms = now_ms;
    if (error == EOPNOTSUPP && self->state == YAMI_LINK_UP) {
        self->owes_error = true;
    }
}

static yami_link_outcome_t
s_welcome(yami_link_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    bool is_asked = self->hello_count > 0 && self->state != YAMI_LINK_UP; //  (2)
    if (!is_asked || frame->session != self->session) {
        return YAMI_LINK_NOTHING; //  of an earlier session, or the answer to a repeated HELLO
    }
    self->state = YAMI_LINK_UP;
    self->until_ms = INT64_MAX;
    self->sent_ms = now_ms;
    self->peer_interval_ms = (int64_t) frame->heartbeat_ms;
    if (self->peer_interval_ms < INTERVAL_MIN_MS) {
        self->peer_interval_ms = INTERVAL_MIN_MS;
    }
    self->peer_max_frame = frame->max_frame;
    self->session_count++;
    return YAMI_LINK_STARTED;
}

yami_link_outcome_t
yami_link_core_frame(yami_link_core_t *self, int64_t now_ms, const yami_frame_t *frame)
{
    self->heard_ms = now_ms;
    if (frame->type == YAMI_FRAME_WELCOME) {
        return s_welcome(self, now_ms, frame);
    }
    if (self->state != YAMI_LINK_UP) {
        return YAMI_LINK_NOTHING; //  (2)
    }
    switch (frame->type) {
    case YAMI_FRAME_HEARTBEAT:
        return YAMI_LINK_NOTHING;
    case YAMI_FRAME_GOODBYE:
        return yami_link_core_restart(self, now_ms);
    case YAMI_FRAME_ERROR:
        if (frame->status == YAM_STATUS_NO_SESSION) {
            //  It restarted, or we have a new connection: at once.
            return s_leave_state(self, YAMI_LINK_WAITING, now_ms);
        }
        return YAMI_LINK_PASS;
    default:
        return YAMI_LINK_PASS;
    }
}

static int64_t
s_death_ms(const yami_link_core_t *self)
{
    return self->heard_ms + SILENT_INTERVALS * self->peer_interval_ms;
}

yami_link_outcome_t
yami_link_core_turn(yami_link_core_t *self, int64_t now_ms)
{
    switch (self->state) {
    case YAMI_LINK_CLOSED:
        if (now_ms >= self->until_ms) {
            self->socket_number++;
            (void) s_leave_state(self, YAMI_LINK_WAITING, now_ms);
        }
        return YAMI_LINK_NOTHING;
    case YAMI_LINK_GREETING:
        if (now_ms < self->until_ms) {
            return YAMI_LINK_NOTHING;
        }
        if (self->hello_count >= HELLO_COUNT_LIMIT) {
            return yami_link_core_failed(self, now_ms);
        }
        self->state = YAMI_LINK_WAITING; //  the same session: a late WELCOME still counts
        return YAMI_LINK_NOTHING;
    case YAMI_LINK_UP:
        return now_ms >= s_death_ms(self) ? yami_link_core_failed(self, now_ms) : YAMI_LINK_NOTHING;
    default:
        return YAMI_LINK_NOTHING;
    }
}

static void
s_hello(const yami_link_core_t *self, yami_frame_t *frame)
{
    *frame = (yami_frame_t) {
        .type = YAMI_FRAME_HELLO,
        .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
        .session = self->session,
        .name = yami_slice_text(self->name),
        .max_frame = YAMI_LIMIT_FRAME,
        .heartbeat_ms = (uint64_t) self->heartbeat_ms,
    };
}

bool
yami_link_core_next(const yami_link_core_t *self, int64_t now_ms, yami_frame_t *frame)
{
    if (self->state == YAMI_LINK_WAITING && now_ms >= self->until_ms) {
        s_hello(self, frame);
        return true;
    }
    if (self->state != YAMI_LINK_UP) {
        return false;
    }
    if (self->is_leaving) {
        *frame = (yami_frame_t) {.type = YAMI_FRAME_GOODBYE};
        return true;
    }
    if (self->owes_error) {
        *frame = (yami_frame_t) {
            .type = YAMI_FRAME_ERROR, .present = YAMI_F_STATUS, .status = YAM_STATUS_UNKNOWN};
        return true;
    }
    if (now_ms >= self->sent_ms + self->heartbeat_ms) {
        *frame = (yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT};
        return true;
    }
    return false;
}

void
yami_link_core_sent(yami_link_core_t *self, int64_t now_ms, uint8_t type)
{
    self->sent_ms = now_ms;
    if (type == YAMI_FRAME_HELLO) {
        YAM_ASSERT(self->state == YAMI_LINK_WAITING);
        int64_t repeat_ms = (int64_t) HELLO_REPEAT_MIN_MS << self->hello_count;
        self->hello_count++;
        self->state = YAMI_LINK_GREETING;
        self->hello_ms = now_ms;
        self->until_ms =
            now_ms + (repeat_ms < HELLO_REPEAT_MAX_MS ? repeat_ms : HELLO_REPEAT_MAX_MS);
    } else if (type == YAMI_FRAME_GOODBYE) {
        (void) s_leave_state(self, YAMI_LINK_ENDED, INT64_MAX);
    } else if (type == YAMI_FRAME_ERROR) {
        self->owes_error = false;
    }
}

int64_t
yami_link_core_deadline(const yami_link_core_t *self, int64_t now_ms)
{
    if (self->state == YAMI_LINK_ENDED) {
        return INT64_MAX;
    }
    if (self->state != YAMI_LINK_UP) {
        bool waits_for_socket = self->state == YAMI_LINK_WAITING && self->until_ms <= now_ms;
        return waits_for_socket ? INT64_MAX : self->until_ms;
    }
    int64_t death_ms = s_death_ms(self);
    int64_t beat_ms = self->sent_ms + self->heartbeat_ms;
    return beat_ms > now_ms && beat_ms < death_ms ? beat_ms : death_ms;
}

void
yami_link_core_check(const yami_link_core_t *self)
{
    YAM_ASSERT(self->state <= YAMI_LINK_ENDED);
    bool is_open = self->state != YAMI_LINK_CLOSED && self->state != YAMI_LINK_ENDED;
    YAM_ASSERT((yami_link_core_socket(self) != 0) == is_open);        //  (3)
    YAM_ASSERT(self->state != YAMI_LINK_UP || self->hello_count > 0); //  (2)
    YAM_ASSERT(self->state != YAMI_LINK_GREETING || self->hello_count > 0);
    YAM_ASSERT(!is_open || self->session != 0);
}
