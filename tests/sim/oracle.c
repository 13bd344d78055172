//  Messages, and what clients say of them. See oracle.h.

#include <inttypes.h>
#include <string.h>

#include "oracle_state.h"
#include "yami_base.h"

#define MANY ((size_t) 1 << 22)
#define DEAD_SUFFIX ".dead"

#define GROW(array, capacity, needed)                                                              \
    do {                                                                                           \
        size_t before = (capacity);                                                                \
        int grown = yami_grow(&(array), &(capacity), needed, sizeof *(array), MANY);               \
        YAM_ASSERT(grown == 0);                                                                    \
        memset((array) + before, 0, ((capacity) -before) * sizeof *(array));                       \
    } while (0)

oracle_t *
oracle_new(world_t *world, const oracle_rules_t *rules)
{
    oracle_t *self = yami_alloc(sizeof *self);
    self->world = world;
    self->rules = *rules;
    self->next_deadline_ms = INT64_MAX;
    return self;
}

void
oracle_destroy(oracle_t **self_p)
{
    oracle_t *self = *self_p;
    for (unsigned index = 0; index < self->channel_count; index++) {
        yami_free(self->channels[index].ids);
    }
    for (unsigned index = 0; index < self->group_count; index++) {
        yami_free(self->groups[index].places);
    }
    for (size_t index = 0; index < self->link_count; index++) {
        yami_free(self->links[index].settled);
    }
    yami_free(self->links);
    yami_free(self->messages);
    yami_free(self->epochs);
    yami_free(self);
    *self_p = NULL;
}

unsigned
oracle_channel(oracle_t *self, const char *name, int kind)
{
    for (unsigned index = 0; index < self->channel_count; index++) {
        if (strcmp(self->channels[index].name, name) == 0) {
            return index;
        }
    }
    YAM_ASSERT(self->channel_count < ORACLE_CHANNELS && strlen(name) < ORACLE_NAME);
    oracle_channel_t *channel = &self->channels[self->channel_count];
    (void) snprintf(channel->name, sizeof channel->name, "%s", name);
    channel->kind = kind;
    size_t size = strlen(name);
    size_t suffix = strlen(DEAD_SUFFIX);
    channel->is_dead = size > suffix && strcmp(name + size - suffix, DEAD_SUFFIX) == 0;
    for (unsigned origin = 0; channel->is_dead && origin < self->channel_count; origin++) {
        if (strncmp(self->channels[origin].name, name, size - suffix) == 0 &&
            self->channels[origin].name[size - suffix] == '\0') {
            channel->origin = origin;
        }
    }
    return self->channel_count++;
}

unsigned
oracle_group(oracle_t *self, unsigned channel, const char *name)
{
    for (unsigned index = 0; index < self->group_count; index++) {
        if (self->groups[index].channel == channel && strcmp(self->groups[index].name, name) == 0) {
            return index;
        }
    }
    YAM_ASSERT(self->group_count < ORACLE_GROUPS && strlen(name) < ORACLE_NAME);
    oracle_group_t *group = &self->groups[self->group_count];
    group->channel = channel;
    (void) snprintf(group->name, sizeof group->name, "%s", name);
    return self->group_count++;
}

oracle_place_t *
oracle_place(oracle_group_t *group, uint64_t sequence)
{
    GROW(group->places, group->capacity, sequence);
    return &group->places[sequence - 1];
}

//  -- Bodies

static void
s_fill(uint64_t id, uint8_t *body, size_t size)
{
    memcpy(body, &id, sizeof id);
    uint64_t random = id;
    for (size_t at = sizeof id; at < size; at += sizeof random) {
        random = world_mix(random, at);
        memcpy(body + at, &random, size - at < sizeof random ? size - at : sizeof random);
    }
}

size_t
oracle_body(const oracle_t *self, uint64_t id, uint8_t *body)
{
    size_t size = self->messages[id - 1].size;
    s_fill(id, body, size);
    return size;
}

oracle_message_t *
oracle_find(oracle_t *self, yami_slice_t body, uint64_t *id_p)
{
    *id_p = 0;
    if (body.size >= sizeof *id_p) {
        memcpy(id_p, body.data, sizeof *id_p);
    }
    if (*id_p == 0 || *id_p > self->message_count || self->messages[*id_p - 1].size != body.size) {
        world_fail(self->world, "body", "%zu bytes came that nobody sent", body.size);
        return NULL;
    }
    uint64_t random = *id_p;
    for (size_t at = sizeof *id_p; at < body.size; at += sizeof random) {
        random = world_mix(random, at);
        size_t size = body.size - at < sizeof random ? body.size - at : sizeof random;
        if (memcmp(body.data + at, &random, size) != 0) {
            world_fail(self->world, "body", "message %" PRIu64 " was altered at byte %zu", *id_p,
                       at);
            return NULL;
        }
    }
    return &self->messages[*id_p - 1];
}

//  -- Producers

uint64_t
oracle_stream(const yami_id_t *producer, unsigned channel)
{
    uint64_t halves[2];
    memcpy(halves, producer->bytes, sizeof halves);
    return world_mix(world_mix(halves[0], halves[1]), channel);
}

uint64_t
oracle_ask(oracle_t *self, unsigned channel, uint64_t stream, size_t body_size)
{
    YAM_ASSERT(body_size >= sizeof(uint64_t));
    GROW(self->messages, self->message_capacity, self->message_count + 1);
    self->messages[self->message_count++] =
        (oracle_message_t) {.channel = channel, .stream = stream, .size = body_size};
    self->counts.asked++;
    return self->message_count;
}

void
oracle_numbered(oracle_t *self, uint64_t id, uint32_t epoch, uint64_t sequence)
{
    self->messages[id - 1].epoch = epoch;
    self->messages[id - 1].sequence = sequence;
}

void
oracle_delay(oracle_t *self, uint64_t id, int64_t due_ms)
{
    self->messages[id - 1].due_ms = due_ms;
}

int64_t
oracle_due_ms(const oracle_t *self, uint64_t id)
{
    return self->messages[id - 1].due_ms;
}

const char *
oracle_channel_of(const oracle_t *self, uint64_t id)
{
    return self->channels[self->messages[id - 1].channel].name;
}

uint64_t
oracle_draw_delayed(const oracle_t *self, uint64_t *random_p)
{
    size_t from = self->message_count > 0 ? world_draw(random_p, self->message_count) : 0;
    for (size_t index = from; index < self->message_count; index++) {
        const oracle_message_t *message = &self->messages[index];
        if (message->due_ms > 0 && message->first_at == 0 && !message->may_be_cancelled) {
            return index + 1;
        }
    }
    return 0;
}

void
oracle_cancels(oracle_t *self, uint64_t id)
{
    self->messages[id - 1].may_be_cancelled = true;
}

void
oracle_cancelled(oracle_t *self, uint64_t id)
{
    oracle_message_t *message = &self->messages[id - 1];
    message->is_cancelled = true;
    if (message->first_at > 0) {
        world_fail(self->world, "cancelled", "message %" PRIu64 " is at %" PRIu64 ", and cancelled",
                   id, message->first_at);
    }
}

void
oracle_fate(oracle_t *self, uint64_t id, oracle_fate_t fate)
{
    oracle_message_t *message = &self->messages[id - 1];
    YAM_ASSERT(message->fate == ORACLE_ASKED && fate != ORACLE_ASKED);
    message->fate = fate;
    self->counts.confirmed += fate == ORACLE_CONFIRMED;
    self->counts.refused += fate == ORACLE_REFUSED;
    self->counts.unknown += fate == ORACLE_UNKNOWN;
    if (fate == ORACLE_REFUSED && message->first_at > 0) {
        world_fail(self->world, "refused", "message %" PRIu64 " was refused, and delivered", id);
    }
}

void
oracle_epoch(oracle_t *self, uint64_t stream, uint32_t epoch, uint64_t incarnation)
{
    for (size_t index = 0; index < self->epoch_count; index++) {
        const oracle_epoch_t *given = &self->epochs[index];
        if (given->stream == stream && given->epoch == epoch) {
            if (given->incarnation != incarnation) {
                world_fail(self->world, "epoch",
                           "epoch %u of stream %" PRIx64 " was given to incarnations %" PRIu64
                           " and %" PRIu64,
                           epoch, stream, given->incarnation, incarnation);
            }
            return;
        }
    }
    GROW(self->epochs, self->epoch_capacity, self->epoch_count + 1);
    self->epochs[self->epoch_count++] = (oracle_epoch_t) {stream, epoch, incarnation};
}

void
oracle_redrives(oracle_t *self)
{
    self->redrives++;
}

//  -- Sequences

//  Whether one message was to come before another, which it has an order with.
static bool
s_is_before(const oracle_message_t *left, const oracle_message_t *right)
{
    if (left->due_ms != right->due_ms) {
        return left->due_ms < right->due_ms;
    }
    return left->epoch < right->epoch ||
           (left->epoch == right->epoch && left->sequence < right->sequence);
}

//  Whether the relay had both before the time of the later one came. What is due when it arrives is
//  an ordinary message.
static bool
s_waited_together(const oracle_message_t *left, const oracle_message_t *right)
{
    int64_t later_ms = left->due_ms > right->due_ms ? left->due_ms : right->due_ms;
    return left->due_ms > 0 && right->due_ms > 0 && left->is_promised && right->is_promised &&
           left->promised_ms < later_ms && right->promised_ms < later_ms;
}

//  Whether two messages of one channel come in an order: that of the times they waited for, or that
//  in which their producer sent them.
static bool
s_has_order(const oracle_message_t *left, const oracle_message_t *right)
{
    bool is_same_time = left->due_ms == right->due_ms;
    bool is_timed = left->due_ms > 0 || right->due_ms > 0;
    return (left->stream == right->stream || !is_same_time) &&
           (!is_timed || s_waited_together(left, right));
}

static void
s_check_order(oracle_t *self, const oracle_message_t *message, uint64_t id)
{
    for (size_t index = 0; index < self->message_count; index++) {
        const oracle_message_t *other = &self->messages[index];
        bool is_other = other != message && other->channel == message->channel &&
                        other->first_at > 0 && s_has_order(other, message);
        if (is_other && s_is_before(other, message) != (other->first_at < message->first_at)) {
            world_fail(self->world, "order",
                       "message %" PRIu64 " (due %" PRId64 ", epoch %u, number %" PRIu64
                       ") is at %" PRIu64 ", message %zu (due %" PRId64
                       ", epoch %u, number %" PRIu64 ") at %" PRIu64,
                       id, message->due_ms, message->epoch, message->sequence, message->first_at,
                       index + 1, other->due_ms, other->epoch, other->sequence, other->first_at);
            return;
        }
    }
}

//  Whether this is a dead letter, in its own channel or on its way there.
static bool
s_is_letter(const oracle_channel_t *channel, const oracle_place_t *place)
{
    return channel->is_dead ? place->where != ORACLE_ACKED || !place->is_told
                            : place->where == ORACLE_DEAD && !place->is_moved;
}

//  How many dead letters of a message may be left.
static unsigned
s_letter_count(const oracle_t *self, uint64_t id)
{
    unsigned count = 0;
    for (unsigned at = 0; at < self->group_count; at++) {
        const oracle_group_t *group = &self->groups[at];
        const oracle_channel_t *channel = &self->channels[group->channel];
        for (uint64_t sequence = 1; sequence <= channel->highest && sequence <= group->capacity;
             sequence++) {
            count += channel->ids[sequence - 1] == id &&
                     s_is_letter(channel, &group->places[sequence - 1]);
        }
    }
    return count;
}

static void
s_see_first(oracle_t *self, oracle_message_t *message, uint64_t sequence, uint64_t id)
{
    if (message->first_at == 0) {
        message->first_at = sequence;
        s_check_order(self, message, id);
    } else if (self->redrives == 0 || ++message->redriven > s_letter_count(self, id)) {
        world_fail(self->world, "stored-twice",
                   "message %" PRIu64 " is at %" PRIu64 " and at %" PRIu64, id, message->first_at,
                   sequence);
    }
    if (message->fate == ORACLE_REFUSED) {
        world_fail(self->world, "refused", "message %" PRIu64 " was refused, and delivered", id);
    }
    if (message->is_cancelled) {
        world_fail(self->world, "cancelled", "message %" PRIu64 " was cancelled, and delivered",
                   id);
    }
}

void
oracle_see(oracle_t *self, unsigned channel_index, uint64_t sequence, uint64_t id)
{
    oracle_channel_t *channel = &self->channels[channel_index];
    GROW(channel->ids, channel->capacity, sequence);
    channel->highest = sequence > channel->highest ? sequence : channel->highest;
    uint64_t *known = &channel->ids[sequence - 1];
    if (*known == id) {
        return;
    }
    if (*known != 0) {
        world_fail(self->world, "sequence-changed",
                   "%s: sequence %" PRIu64 " was message %" PRIu64 ", and is %" PRIu64,
                   channel->name, sequence, *known, id);
        return;
    }
    *known = id;
    oracle_message_t *message = &self->messages[id - 1];
    unsigned home = channel->is_dead ? channel->origin : channel_index;
    if (message->channel != home) {
        world_fail(self->world, "body", "message %" PRIu64 " came into channel %s", id,
                   channel->name);
    } else if (!channel->is_dead) {
        s_see_first(self, message, sequence, id);
    }
}

void
oracle_received(oracle_t *self, unsigned group, uint64_t sequence, yami_slice_t body)
{
    uint64_t id;
    const oracle_channel_t *channel = &self->channels[self->groups[group].channel];
    if (oracle_find(self, body, &id) == NULL) {
        return;
    }
    if (sequence > channel->highest || channel->ids[sequence - 1] != id) {
        world_fail(self->world, "body",
                   "a consumer of %s got message %" PRIu64 " as sequence %" PRIu64, channel->name,
                   id, sequence);
    }
}

//  -- The end

//  What is not settled of a group. A dead letter that went back stays unsettled in our eyes, who do
//  not see which one of several it was: so they are counted.
static uint64_t
s_undone_sequence(const oracle_t *self, const oracle_group_t *group, char *text, size_t size)
{
    const oracle_channel_t *channel = &self->channels[group->channel];
    static const char *const where[] = {"free", "leased", "acked", "dead"};
    static const oracle_place_t nowhere;
    for (uint64_t sequence = group->start; sequence > 0 && sequence <= channel->highest;
         sequence++) {
        const oracle_place_t *place =
            sequence <= group->capacity ? &group->places[sequence - 1] : &nowhere;
        uint64_t id = channel->ids[sequence - 1];
        bool is_done = id == 0 || place->where == ORACLE_ACKED ||
                       (place->where == ORACLE_DEAD && place->is_moved);
        bool is_letter = !is_done && s_is_letter(channel, place);
        if (is_letter && ++self->messages[id - 1].open_letters <= self->messages[id - 1].redriven) {
            continue;
        }
        if (!is_done) {
            (void) snprintf(text, size,
                            "message %" PRIu64 ", %s %" PRIu64 " in group \"%s\", is %s after %u "
                            "deliveries",
                            id, channel->name, sequence, group->name, where[place->where],
                            place->deliveries_high);
            return id;
        }
    }
    return 0;
}

uint64_t
oracle_undone(const oracle_t *self, char *text, size_t size)
{
    for (size_t index = 0; index < self->message_count; index++) {
        oracle_message_t *message = &self->messages[index];
        message->open_letters = 0;
        bool is_owed = message->fate == ORACLE_CONFIRMED ||
                       (message->is_promised && message->fate != ORACLE_REFUSED);
        bool is_lost = is_owed && message->first_at == 0 && !message->may_be_cancelled;
        if (message->fate == ORACLE_ASKED || is_lost) {
            (void) snprintf(text, size, "message %zu of %s (epoch %u, number %" PRIu64 ") %s",
                            index + 1, self->channels[message->channel].name, message->epoch,
                            message->sequence,
                            is_lost ? "was confirmed, and is nowhere" : "has no answer");
            return index + 1;
        }
    }
    for (unsigned index = 0; index < self->group_count; index++) {
        uint64_t id = s_undone_sequence(self, &self->groups[index], text, size);
        if (id != 0) {
            return id;
        }
    }
    return oracle_credit_undone(self, text, size);
}

oracle_counts_t
oracle_counts(const oracle_t *self)
{
    return self->counts;
}
