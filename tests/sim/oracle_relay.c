//  What the relay may do with messages, and what it did. See oracle.h.
//  One file: each frame, either way, is a step of the one model of what a relay promised.

#include <inttypes.h>
#include <string.h>

#include "oracle_state.h"
#include "yami_base.h"
#include "yami_properties.h"

#define MANY ((size_t) 1 << 22)
#define SILENT_INTERVALS 3
#define HEARTBEAT_MIN_MS 50
#define ERRORS_TOLD 8u //  a second, surely

static oracle_link_t *
s_link(oracle_t *self, uint64_t number)
{
    int rc = yami_grow(&self->links, &self->link_capacity, number, sizeof *self->links, MANY);
    YAM_ASSERT(rc == 0);
    while (self->link_count < number) {
        self->links[self->link_count++] =
            (oracle_link_t) {.group = ORACLE_NONE, .former = ORACLE_NONE};
    }
    return &self->links[number - 1];
}

//  -- Failures

static int64_t
s_backoff_ms(const oracle_t *self, bool is_dead, uint32_t failures)
{
    unsigned step = failures > 0 ? failures - 1 : 0;
    step = is_dead || step >= self->rules.backoff_count ? self->rules.backoff_count - 1 : step;
    return self->rules.backoff_ms[step] * 8 / 10; //  20 % of jitter
}

//  One failure more; is_sure: there was one. delay_ms -1: the relay's list.
static void
s_blame(oracle_t *self, const oracle_group_t *group, oracle_place_t *place, int64_t delay_ms,
        bool is_sure)
{
    bool is_dead = self->channels[group->channel].is_dead;
    place->failures_low += is_sure ? 1 : 0;
    place->failures_high++;
    place->where = ORACLE_FREE;
    if (delay_ms == -1 || is_dead) {
        delay_ms = s_backoff_ms(self, is_dead, place->failures_low);
    }
    place->not_before_ms = is_sure ? world_ms(self->world) + delay_ms : 0;
    if (!is_dead && place->failures_high >= self->rules.delivery_limit) {
        place->where = ORACLE_DEAD;
        place->is_unsure = place->failures_low < self->rules.delivery_limit;
    }
}

//  -- Sessions and leases

static void
s_free_leases(oracle_t *self, uint64_t number)
{
    oracle_link_t *link = s_link(self, number);
    if (link->group == ORACLE_NONE) {
        return;
    }
    oracle_group_t *group = &self->groups[link->group];
    for (size_t index = 0; index < group->capacity; index++) {
        oracle_place_t *place = &group->places[index];
        if (place->where == ORACLE_LEASED && place->link == number) {
            place->where = ORACLE_FREE;
            place->not_before_ms = 0;
        }
    }
    link->group = ORACLE_NONE;
    link->settled_count = 0;
}

void
oracle_relay_drops(oracle_t *self, uint64_t number)
{
    s_free_leases(self, number);
    oracle_credit_ends(s_link(self, number));
}

void
oracle_relay_sees_time(oracle_t *self, int64_t wall_ms)
{
    self->latest_ms = wall_ms > self->latest_ms ? wall_ms : self->latest_ms;
}

void
oracle_relay_turns(oracle_t *self)
{
    int64_t now_ms = world_ms(self->world);
    if (now_ms < self->next_deadline_ms) {
        return;
    }
    self->next_deadline_ms = INT64_MAX;
    for (unsigned at = 0; at < self->group_count; at++) {
        oracle_group_t *group = &self->groups[at];
        for (size_t index = 0; index < group->capacity; index++) {
            oracle_place_t *place = &group->places[index];
            if (place->where != ORACLE_LEASED) {
                continue;
            }
            if (place->deadline_ms <= now_ms) {
                //  A peer that is silent for too long in the same turn may be found first.
                const oracle_link_t *link = &self->links[place->link - 1];
                bool is_silent = link->heard_ms + SILENT_INTERVALS * link->heartbeat_ms <= now_ms;
                s_blame(self, group, place, -1, !is_silent);
            } else if (place->deadline_ms < self->next_deadline_ms) {
                self->next_deadline_ms = place->deadline_ms;
            }
        }
    }
}

void
oracle_relay_crashes(oracle_t *self)
{
    for (size_t index = 0; index < self->link_count; index++) {
        self->links[index].group = ORACLE_NONE;
        self->links[index].settled_count = 0;
        oracle_credit_ends(&self->links[index]);
    }
    for (unsigned at = 0; at < self->group_count; at++) {
        oracle_group_t *group = &self->groups[at];
        for (size_t index = 0; index < group->capacity; index++) {
            oracle_place_t *place = &group->places[index];
            place->where = place->where == ORACLE_LEASED ? ORACLE_FREE : place->where;
            place->is_unsure = place->where != ORACLE_FREE && !place->is_told;
            place->not_before_ms = 0;
            place->failures_low = place->durable_failures;
            place->deliveries_low = place->durable_failures;
        }
    }
}

//  -- What it takes

static void
s_attach_producer(oracle_t *self, oracle_link_t *link, const yami_frame_t *frame)
{
    for (unsigned at = 0; at < self->channel_count; at++) {
        if (yami_slice_equal(frame->channel, self->channels[at].name)) {
            link->stream = oracle_stream(&frame->producer, at);
        }
    }
}

static void
s_attach(oracle_t *self, oracle_link_t *link, const yami_frame_t *frame)
{
    if (frame->role == YAMI_ROLE_PRODUCER) {
        s_attach_producer(self, link, frame);
        return;
    }
    for (unsigned at = 0; at < self->group_count; at++) {
        const oracle_group_t *group = &self->groups[at];
        if (yami_slice_equal(frame->channel, self->channels[group->channel].name) &&
            yami_slice_equal(frame->group, group->name)) {
            link->group = link->former = at;
            link->lease_ms = (frame->present & YAMI_F_LEASE_MS) != 0 && frame->lease_ms > 0
                                 ? (int64_t) frame->lease_ms
                                 : self->rules.lease_ms;
        }
    }
}

static void
s_note(oracle_link_t *link, const yami_frame_t *frame, uint64_t sequence,
       const oracle_place_t *place)
{
    int rc = yami_grow(&link->settled, &link->settled_capacity, link->settled_count + 1,
                       sizeof *link->settled, MANY);
    YAM_ASSERT(rc == 0);
    link->settled[link->settled_count++] =
        (oracle_settled_t) {frame->serial, sequence, frame->type, place->failures_low};
}

static void
s_settle_one(oracle_t *self, oracle_group_t *group, oracle_place_t *place,
             const yami_frame_t *frame)
{
    int64_t delay_ms = (frame->present & YAMI_F_DELAY_MS) != 0 ? (int64_t) frame->delay_ms : -1;
    switch (frame->type) {
    case YAMI_FRAME_ACK:
        place->where = ORACLE_ACKED;
        self->counts.acked++;
        break;
    case YAMI_FRAME_NACK:
        s_blame(self, group, place, delay_ms, true);
        break;
    case YAMI_FRAME_REJECT:
        s_blame(self, group, place, -1, true);
        if (!self->channels[group->channel].is_dead) {
            place->where = ORACLE_DEAD;
            place->is_unsure = false;
            place->was_rejected = true;
        }
        break;
    case YAMI_FRAME_RELEASE:
        place->where = ORACLE_FREE;
        place->not_before_ms = 0;
        break;
    default:
        break;
    }
}

//  The whole lease is extended, whatever part was named. Whether that link holds any of it.
static bool
s_extend(oracle_t *self, oracle_group_t *group, uint64_t number, const oracle_link_t *link,
         uint64_t token)
{
    bool holds = false;
    for (size_t index = 0; index < group->capacity; index++) {
        oracle_place_t *place = &group->places[index];
        if (place->where == ORACLE_LEASED && place->token == token && place->link == number) {
            place->deadline_ms = world_ms(self->world) + link->lease_ms;
            holds = true;
        }
    }
    return holds;
}

static void
s_settle(oracle_t *self, uint64_t number, oracle_link_t *link, const yami_frame_t *frame)
{
    if (link->group == ORACLE_NONE) {
        return;
    }
    oracle_group_t *group = &self->groups[link->group];
    link->has_settled = true;
    link->stale = link->fenced = 0;
    size_t offset = 0;
    yami_settle_t range;
    while (yami_frame_range(frame, &offset, &range)) {
        if (frame->type == YAMI_FRAME_EXTEND && s_extend(self, group, number, link, range.token)) {
            continue;
        }
        link->stale += range.last - range.first + 1;
        for (uint64_t sequence = range.first; sequence <= range.last && sequence <= group->capacity;
             sequence++) {
            oracle_place_t *place = oracle_place(group, sequence);
            if (place->where != ORACLE_LEASED || place->token != range.token ||
                place->link != number) {
                continue; //  stale: it changes nothing
            }
            link->stale--;
            s_settle_one(self, group, place, frame);
            s_note(link, frame, sequence, place);
        }
    }
}

void
oracle_relay_hears(oracle_t *self, uint64_t number)
{
    s_link(self, number)->heard_ms = world_ms(self->world);
}

void
oracle_relay_takes_batch(oracle_t *self, uint64_t number, const yami_batch_t *batch)
{
    oracle_relay_hears(self, number);
    oracle_credit_hears(s_link(self, number), batch);
}

void
oracle_relay_takes(oracle_t *self, uint64_t number, const yami_frame_t *frame)
{
    oracle_link_t *link = s_link(self, number);
    link->heard_ms = world_ms(self->world);
    oracle_credit_takes(link, frame);
    switch (frame->type) {
    case YAMI_FRAME_HELLO:
        s_free_leases(self, number);
        link->heartbeat_ms = (int64_t) frame->heartbeat_ms < HEARTBEAT_MIN_MS
                                 ? HEARTBEAT_MIN_MS
                                 : (int64_t) frame->heartbeat_ms;
        break;
    case YAMI_FRAME_ATTACH:
        if (link->group == ORACLE_NONE && link->heartbeat_ms > 0) {
            s_attach(self, link, frame);
        }
        break;
    case YAMI_FRAME_ACK:
    case YAMI_FRAME_NACK:
    case YAMI_FRAME_REJECT:
    case YAMI_FRAME_RELEASE:
    case YAMI_FRAME_EXTEND:
        s_settle(self, number, link, frame);
        break;
    default:
        break;
    }
}

void
oracle_relay_took(oracle_t *self, uint64_t number, bool had_memory)
{
    oracle_link_t *link = s_link(self, number);
    bool is_told = link->fenced > 0;
    bool must_tell = link->stale > 0 && had_memory && link->errors < ERRORS_TOLD;
    if (link->has_settled && (is_told ? link->stale == 0 : must_tell)) {
        world_fail(self->world, "fenced",
                   "link %" PRIu64 " settles %" PRIu64 " it does not hold, and is%s told so",
                   number, link->stale, is_told ? "" : " not");
    }
    link->has_settled = false;
}

//  -- What it sends

//  What was settled up to the serial is durable.
static void
s_acked(oracle_t *self, oracle_link_t *link, uint64_t serial)
{
    if (link->group == ORACLE_NONE) {
        return;
    }
    size_t kept = 0;
    for (size_t index = 0; index < link->settled_count; index++) {
        const oracle_settled_t *settled = &link->settled[index];
        if (settled->serial > serial) {
            link->settled[kept++] = *settled;
            continue;
        }
        oracle_place_t *place = oracle_place(&self->groups[link->group], settled->sequence);
        place->is_told = place->is_told ||
                         (settled->type == YAMI_FRAME_ACK && place->where == ORACLE_ACKED) ||
                         (place->where == ORACLE_DEAD && !place->is_unsure &&
                          settled->failures >= place->failures_low);
        if (settled->type == YAMI_FRAME_NACK || settled->type == YAMI_FRAME_REJECT) {
            place->durable_failures = settled->failures > place->durable_failures
                                          ? settled->failures
                                          : place->durable_failures;
        }
    }
    link->settled_count = kept;
}

static void
s_error(oracle_t *self, oracle_link_t *link, uint64_t status)
{
    int64_t now_ms = world_ms(self->world);
    link->errors = now_ms - link->error_ms < 1000 ? link->errors : 0;
    link->error_ms = now_ms;
    link->errors++;
    link->fenced += status == YAM_STATUS_FENCED;
}

//  It says that it has all up to that sequence, whether anybody hears it or not. What it had said
//  so before, it has still.
static void
s_promise(oracle_t *self, const oracle_link_t *link, const yami_frame_t *frame)
{
    for (size_t index = self->message_count; index > 0; index--) {
        oracle_message_t *message = &self->messages[index - 1];
        if (message->stream != link->stream || message->epoch != frame->epoch ||
            message->sequence == 0) {
            continue;
        }
        if (message->sequence <= frame->sequence) {
            message->promised_ms = message->is_promised ? message->promised_ms : self->latest_ms;
            message->is_promised = true;
        } else if (message->is_promised && message->fate != ORACLE_REFUSED) {
            world_fail(self->world, "forgotten",
                       "message %zu (epoch %u, number %" PRIu64
                       ") was said to be stored, and then only those up to %" PRIu64,
                       index, message->epoch, message->sequence, frame->sequence);
        }
    }
}

void
oracle_relay_sends(oracle_t *self, uint64_t number, const yami_frame_t *frame)
{
    oracle_link_t *link = s_link(self, number);
    oracle_credit_sends(link, frame);
    if (frame->type == YAMI_FRAME_ERROR) {
        s_error(self, link, frame->status);
    } else if (frame->type == YAMI_FRAME_CONFIRM ||
               (frame->type == YAMI_FRAME_ATTACHED && link->group == ORACLE_NONE)) {
        s_promise(self, link, frame);
    } else if (frame->type == YAMI_FRAME_ATTACHED) {
        oracle_group_t *group = &self->groups[link->group];
        group->start = group->start == 0 ? frame->sequence : group->start;
    } else if (frame->type == YAMI_FRAME_ACKED) {
        s_acked(self, link, frame->serial);
    } else if (frame->type == YAMI_FRAME_DETACHED) {
        s_free_leases(self, number);
    }
}

static void
s_check_place(oracle_t *self, const oracle_group_t *group, const oracle_place_t *place,
              uint64_t sequence, const yami_frame_t *frame)
{
    const char *name = self->channels[group->channel].name;
    world_t *world = self->world;
    bool is_free = place->where == ORACLE_FREE || place->is_unsure;
    if (!is_free) {
        const char *kind = place->where == ORACLE_LEASED ? "leased"
                           : place->is_told              ? "acked-again"
                                                         : "settled-again";
        world_fail(world, kind, "%s %" PRIu64 " in group \"%s\" is delivered, though it is %s",
                   name, sequence, group->name,
                   place->where == ORACLE_LEASED  ? "leased to somebody"
                   : place->where == ORACLE_ACKED ? "acked"
                                                  : "a dead letter");
    } else if (world_ms(world) < place->not_before_ms) {
        world_fail(world, "early",
                   "%s %" PRIu64 " in group \"%s\" is delivered %" PRId64 " ms too early", name,
                   sequence, group->name, place->not_before_ms - world_ms(world));
    } else if (frame->failures < place->failures_low || frame->failures > place->failures_high ||
               frame->deliveries <= place->deliveries_low ||
               frame->deliveries > place->deliveries_high + 1u) {
        world_fail(world, "counters",
                   "%s %" PRIu64 " in group \"%s\" says %" PRIu64 " deliveries and %" PRIu64
                   " failures; were %u..%u and %u..%u",
                   name, sequence, group->name, frame->deliveries, frame->failures,
                   place->deliveries_low + 1, place->deliveries_high + 1, place->failures_low,
                   place->failures_high);
    }
}

static void
s_lease(oracle_t *self, uint64_t number, oracle_group_t *group, uint64_t sequence,
        const yami_frame_t *frame)
{
    oracle_place_t *place = oracle_place(group, sequence);
    s_check_place(self, group, place, sequence, frame);
    if (place->deliveries_high == 0) {
        if (sequence <= group->last_first) {
            world_fail(self->world, "order",
                       "%s %" PRIu64 " comes for the first time after %" PRIu64,
                       self->channels[group->channel].name, sequence, group->last_first);
        }
        group->last_first = sequence;
    }
    self->counts.delivered++;
    self->counts.redelivered += frame->deliveries > 1;
    place->where = ORACLE_LEASED;
    place->is_unsure = place->was_rejected = false;
    place->token = frame->token;
    place->link = number;
    place->deadline_ms = world_ms(self->world) + self->links[number - 1].lease_ms;
    place->deliveries_low = place->deliveries_high = (uint32_t) frame->deliveries;
    place->failures_low = place->failures_high = (uint32_t) frame->failures;
    if (place->deadline_ms < self->next_deadline_ms) {
        self->next_deadline_ms = place->deadline_ms;
    }
}

//  Whether a dead letter with so many failures may be of this place.
static bool
s_may_be_letter(const oracle_t *self, const oracle_place_t *place, int64_t failures)
{
    bool is_over =
        place->where == ORACLE_FREE && place->failures_high >= self->rules.delivery_limit;
    bool fits =
        place->is_unsure || (failures >= place->failures_low && failures <= place->failures_high);
    return !place->is_moved && (is_over || (place->where == ORACLE_DEAD && fits));
}

//  The origin's place of a dead letter; NULL when there is none that may be one.
static oracle_place_t *
s_origin(oracle_t *self, unsigned channel, yami_slice_t group_name, uint64_t id, int64_t failures)
{
    const oracle_channel_t *origin = &self->channels[channel];
    for (unsigned at = 0; at < self->group_count; at++) {
        oracle_group_t *group = &self->groups[at];
        if (group->channel != channel || !yami_slice_equal(group_name, group->name)) {
            continue;
        }
        for (uint64_t sequence = 1; sequence <= origin->highest; sequence++) {
            oracle_place_t *place = oracle_place(group, sequence);
            if (origin->ids[sequence - 1] == id && s_may_be_letter(self, place, failures)) {
                return place;
            }
        }
    }
    return NULL;
}

static int64_t
s_number(yami_slice_t properties, const char *name)
{
    yami_property_t property;
    return yami_properties_find(properties, name, &property) && property.type == 'i'
               ? property.number
               : -1;
}

//  A dead letter comes for the first time.
static void
s_check_letter(oracle_t *self, const oracle_channel_t *dead, uint64_t id,
               const yami_record_t *record)
{
    yami_property_t origin;
    yami_property_t group;
    yami_property_t reason;
    if (!yami_properties_find(record->properties, "yam-origin", &origin) ||
        !yami_properties_find(record->properties, "yam-group", &group) ||
        !yami_properties_find(record->properties, "yam-reason", &reason) ||
        !yami_slice_equal(origin.text, self->channels[dead->origin].name) ||
        reason.text.size == 0) {
        world_fail(self->world, "dead-letter", "message %" PRIu64 " in %s does not say why", id,
                   dead->name);
        return;
    }
    int64_t failures = s_number(record->properties, "yam-failures");
    oracle_place_t *place = s_origin(self, dead->origin, group.text, id, failures);
    if (place == NULL) {
        world_fail(self->world, "dead-letter",
                   "message %" PRIu64 " of %.*s is a dead letter after %" PRId64 " failures", id,
                   (int) group.text.size, (const char *) group.text.data, failures);
        return;
    }
    place->where = ORACLE_DEAD;
    place->is_moved = place->is_told = true;
    place->is_unsure = false;
    self->counts.dead++;
}

//  Not before its time; when it was stored is when the relay found that this had come.
static void
s_check_due(oracle_t *self, const oracle_channel_t *channel, uint64_t id,
            const yami_record_t *record, const yami_frame_t *frame)
{
    const oracle_message_t *message = &self->messages[id - 1];
    bool is_as_sent = !channel->is_dead && message->redriven == 0;
    if ((is_as_sent && record->due_ms != message->due_ms) ||
        (record->due_ms > 0 && record->due_ms > (int64_t) frame->time)) {
        world_fail(self->world, "early",
                   "message %" PRIu64 " is due at %" PRId64 ", and comes at %" PRIu64
                   " with due time %" PRId64,
                   id, message->due_ms, frame->time, record->due_ms);
    }
}

static void
s_deliver_one(oracle_t *self, uint64_t number, const yami_frame_t *frame, uint64_t sequence,
              const yami_record_t *record)
{
    uint64_t id;
    if (oracle_find(self, record->body, &id) == NULL) {
        return;
    }
    oracle_group_t *group = &self->groups[self->links[number - 1].group];
    oracle_channel_t *channel = &self->channels[group->channel];
    bool is_known = sequence <= channel->highest && channel->ids[sequence - 1] != 0;
    oracle_see(self, group->channel, sequence, id);
    s_check_due(self, channel, id, record, frame);
    if (channel->is_dead && !is_known) {
        s_check_letter(self, channel, id, record);
    }
    s_lease(self, number, group, sequence, frame);
}

//  Decided before the relay knew that the link is gone: counted, and at once without blame.
static void
s_deliver_nobody(oracle_t *self, const oracle_link_t *link, const yami_frame_t *frame)
{
    oracle_group_t *group = &self->groups[link->former];
    for (uint64_t sequence = frame->first; sequence <= frame->last; sequence++) {
        oracle_place(group, sequence)->deliveries_high++;
    }
    group->last_first = frame->last > group->last_first ? frame->last : group->last_first;
}

void
oracle_relay_delivers(oracle_t *self, uint64_t number, const yami_frame_t *frame,
                      const yami_batch_t *batch, bool is_sent)
{
    oracle_link_t *link = s_link(self, number);
    if (!is_sent && link->former != ORACLE_NONE) {
        s_deliver_nobody(self, link, frame);
        return;
    }
    if (link->group == ORACLE_NONE) {
        world_fail(self->world, "leased", "link %" PRIu64 " has not attached, and is delivered to",
                   number);
        return;
    }
    size_t offset = 0;
    yami_record_t record;
    for (uint64_t sequence = frame->base; sequence <= frame->last; sequence++) {
        if (yami_batch_next(batch, &offset, &record) == -1) {
            world_fail(self->world, "body", "a batch ends before sequence %" PRIu64, sequence);
            return;
        }
        if (sequence >= frame->first) {
            s_deliver_one(self, number, frame, sequence, &record);
        }
    }
}
