//  A producing process. See producer.h.

#include "producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

#define FRAMES_PER_STEP 256
#define HEARTBEAT_MS 200
#define BATCH_MESSAGES 12
#define BATCH_BYTES 65536
#define BODY_MIN 8
#define BODY_MAX 65536
#define PENDING_LIMIT 100 //  messages the application has asked for and not got an answer
#define AGAIN_MIN_US 1000
#define AGAIN_MAX_US 300000
#define MANY ((size_t) 1 << 20)

static void
s_step(producer_t *self);

//  -- The end of an incarnation

static void
s_start_again(void *arg, uint64_t incarnation)
{
    producer_t *self = arg;
    if (self->incarnation == incarnation && !self->is_running) {
        producer_start(self);
    }
}

static void
s_end(producer_t *self, bool lingers)
{
    self->is_running = false;
    self->wake_us = INT64_MAX;
    for (size_t index = (size_t) self->settled; index < self->id_count; index++) {
        oracle_fate(self->oracle, self->ids[index], ORACLE_UNKNOWN);
    }
    self->id_count = 0;
    if (self->socket != 0) {
        network_close(self->client, lingers);
    }
    yami_producer_core_clear(&self->core);
}

static void
s_come_back(producer_t *self)
{
    world_after(self->world, world_between(&self->random, AGAIN_MIN_US, AGAIN_MAX_US),
                s_start_again, self, self->incarnation);
}

void
producer_crash(producer_t *self)
{
    if (self->is_running) {
        world_trace(self->world, "producer", self->index, "crash", self->incarnation, 0, 0);
        s_end(self, false);
        s_come_back(self);
    }
}

//  -- The journal

static void
s_take_outcomes(producer_t *self)
{
    yami_producer_outcome_t outcome;
    while (yami_producer_core_outcome(&self->core, &outcome)) {
        world_trace(self->world, "producer", self->index, "outcome", outcome.first, outcome.last,
                    (uint64_t) outcome.status);
        if (outcome.first != self->settled + 1 || outcome.last > self->batched) {
            world_fail(self->world, "outcome", "outcomes jump to %llu",
                       (unsigned long long) outcome.first);
            return;
        }
        for (uint64_t sequence = outcome.first; sequence <= outcome.last; sequence++) {
            oracle_fate(self->oracle, self->ids[sequence - 1],
                        outcome.status == YAM_STATUS_OK ? ORACLE_CONFIRMED : ORACLE_REFUSED);
        }
        self->settled = outcome.last;
    }
    if (self->core.epoch != self->epoch) {
        self->epoch = self->core.epoch;
        oracle_epoch(self->oracle, self->stream, self->epoch,
                     self->incarnation * 100 + self->index);
    }
}

//  -- What the library does: see sure_sender_io.c

//  A delayed message has an id: a map of one pair, in the 32 bytes of properties.
static void
s_set_due(yami_record_t *record, uint64_t id, int64_t due_ms, uint8_t *properties)
{
    if (due_ms > 0) {
        char text[24];
        int size = snprintf(text, sizeof text, "%llu", (unsigned long long) id);
        static const uint8_t pair[4] = {0x81, 0xa2, 'i', 'd'};
        memcpy(properties, pair, sizeof pair);
        properties[4] = (uint8_t) (0xa0 + size);
        memcpy(properties + 5, text, (size_t) size);
        record->properties = yami_slice(properties, 5 + (size_t) size);
        record->flags = YAMI_RECORD_DUE;
        record->due_ms = due_ms;
    }
}

//  Finishes a batch of what was asked for and gives it to the core. Whether there was one.
static bool
s_add(producer_t *self)
{
    size_t waiting = self->id_count - self->batched;
    if (waiting == 0 || self->is_leaving ||
        !yami_producer_core_wants_batch(&self->core, world_ms(self->world),
                                        waiting >= self->batch_messages)) {
        return false;
    }
    static uint8_t body[BODY_MAX];
    yami_builder_t builder;
    yami_batch_t head;
    yami_builder_init(&builder, BATCH_BYTES);
    yami_producer_core_head(&self->core, &head);
    while (builder.count < self->batch_messages && self->batched < self->id_count) {
        uint64_t id = self->ids[self->batched];
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .body = yami_slice(body, oracle_body(self->oracle, id, body))};
        uint8_t properties[32];
        s_set_due(&record, id, oracle_due_ms(self->oracle, id), properties);
        if (yami_builder_append(&builder, &record) == -1) {
            YAM_ASSERT(errno == EAGAIN);
            break;
        }
        oracle_numbered(self->oracle, id, head.epoch, head.first_sequence + builder.count - 1);
        self->batched++;
    }
    uint32_t count = builder.count;
    yami_block_t *block = yami_builder_finish(&builder, &head);
    yami_builder_clear(&builder);
    YAM_ASSERT(block != NULL);
    world_trace(self->world, "producer", self->index, "batch", head.first_sequence, count,
                head.epoch);
    int rc = yami_producer_core_add(&self->core, &block, count);
    YAM_ASSERT(rc == 0);
    return true;
}

static void
s_send(producer_t *self)
{
    int64_t now_ms = world_ms(self->world);
    for (int count = 0; count < FRAMES_PER_STEP; count++) {
        yami_block_t *block = yami_producer_core_output(&self->core, now_ms);
        if (block == NULL && s_add(self)) {
            block = yami_producer_core_output(&self->core, now_ms);
        }
        if (block == NULL || self->socket == 0 || network_send(self->client, block) == -1) {
            return;
        }
        yami_producer_core_sent(&self->core, now_ms);
    }
}

static void
s_follow_socket(producer_t *self)
{
    uint64_t wanted = yami_link_core_socket(&self->core.link);
    if (wanted == self->socket) {
        return;
    }
    if (self->socket != 0) {
        network_close(self->client, self->is_leaving);
    }
    self->socket = wanted;
    if (wanted != 0) {
        network_open(self->client);
    }
}

static void
s_wake(void *arg, uint64_t incarnation)
{
    producer_t *self = arg;
    if (self->is_running && incarnation == self->incarnation &&
        self->world->now_us == self->wake_us) {
        s_step(self);
    }
}

static void
s_wake_after(producer_t *self, int64_t delay_us)
{
    int64_t at_us = self->world->now_us + delay_us;
    at_us = at_us < self->frozen_us ? self->frozen_us : at_us;
    if (at_us < self->wake_us) {
        self->wake_us = at_us;
        world_after(self->world, at_us - self->world->now_us, s_wake, self, self->incarnation);
    }
}

//  Whether it has ended: fenced by a rival, or gone in order.
static bool
s_has_ended(producer_t *self)
{
    if (self->core.state == YAMI_PRODUCER_FINAL) {
        bool is_repeated = self->core.final_status == YAM_STATUS_CONFLICT &&
                           network_had_chaos(self->client); //  its ATTACH was
        if (self->core.final_status != YAM_STATUS_FENCED && !is_repeated) {
            world_fail(self->world, "final", "a producer is ended with status %d",
                       (int) self->core.final_status);
        }
        world_trace(self->world, "producer", self->index, "fenced", self->incarnation, 0, 0);
        s_end(self, false);
        if (!self->is_calm) {
            s_come_back(self);
        }
        return true;
    }
    if (self->is_leaving && self->core.link.state == YAMI_LINK_ENDED) {
        s_end(self, true);
        s_come_back(self);
        return true;
    }
    return false;
}

static void
s_step(producer_t *self)
{
    self->wake_us = INT64_MAX;
    int64_t now_ms = world_ms(self->world);
    s_take_outcomes(self);
    yami_producer_core_turn(&self->core, now_ms);
    s_follow_socket(self);
    s_send(self);
    s_follow_socket(self);
    s_take_outcomes(self);
    yami_producer_core_check(&self->core);
    if (s_has_ended(self)) {
        return;
    }
    int64_t deadline_ms = yami_producer_core_deadline(&self->core, now_ms);
    if (deadline_ms != INT64_MAX) {
        int64_t wait_us = deadline_ms * 1000 - self->world->now_us;
        s_wake_after(self, wait_us > 0 ? wait_us : 1);
    }
}

//  -- The network

static void
s_arrive(void *arg, yami_block_t *block, yami_block_t *data)
{
    producer_t *self = arg;
    int64_t now_ms = world_ms(self->world);
    yami_frame_t frame;
    if (!self->is_running || self->socket == 0) {
        return;
    }
    if (data != NULL) {
        yami_producer_core_garbage(&self->core, now_ms, EPROTO);
    } else if (yami_frame_decode(&frame, block->data, block->size) == -1) {
        yami_producer_core_garbage(&self->core, now_ms, errno);
    } else {
        yami_producer_core_frame(&self->core, now_ms, &frame);
    }
    s_take_outcomes(self);
    s_wake_after(self, 0);
}

static void
s_connected(void *arg)
{
    producer_t *self = arg;
    if (self->is_running) {
        s_wake_after(self, 0);
    }
}

static const network_client_ops_t s_ops = {.arrive = s_arrive, .connected = s_connected};

//  -- The application

static void
s_ask(void *arg, uint64_t incarnation)
{
    producer_t *self = arg;
    const scenario_producer_t *plan = self->plan;
    if (!self->is_running || incarnation != self->incarnation || self->is_calm) {
        return;
    }
    unsigned burst = 1 + (unsigned) world_draw(&self->random, plan->burst);
    bool is_frozen = self->world->now_us < self->frozen_us;
    while (!is_frozen && burst-- > 0 && self->asked_count < plan->messages &&
           self->id_count - self->settled < PENDING_LIMIT) {
        bool is_big = world_chance(&self->random, self->big);
        size_t size = BODY_MIN + world_draw(&self->random, is_big ? plan->body_bytes : 40);
        int rc =
            yami_grow(&self->ids, &self->id_capacity, self->id_count + 1, sizeof *self->ids, MANY);
        YAM_ASSERT(rc == 0);
        uint64_t id = oracle_ask(self->oracle, self->plan->channel, self->stream, size);
        if (plan->delayed > 0 && world_chance(&self->random, plan->delayed)) {
            oracle_delay(self->oracle, id,
                         self->world->wall_ms + world_ms(self->world) +
                             world_between(&self->random, 1, plan->delay_ms));
        }
        self->ids[self->id_count++] = id;
        self->asked_count++;
    }
    s_wake_after(self, 0);
    world_after(self->world, world_between(&self->random, 1, 2 * plan->interval_us), s_ask, self,
                incarnation);
}

void
producer_start(producer_t *self)
{
    self->incarnation++;
    yami_producer_config_t config = {.kind = self->kind,
                                     .is_durable = self->plan->name != NULL,
                                     .heartbeat_ms = HEARTBEAT_MS,
                                     .seed = world_draw(&self->random, UINT64_MAX)};
    (void) snprintf(config.channel, sizeof config.channel, "%s", self->channel_name);
    if (config.is_durable) {
        config.producer = yami_producer_id(self->plan->name);
        (void) snprintf(config.name, sizeof config.name, "%s", self->plan->name);
    } else {
        (void) snprintf(config.name, sizeof config.name, "pid-%u", self->index);
        uint64_t bytes[2] = {world_mix(self->world->seed, self->index), self->incarnation};
        memcpy(config.producer.bytes, bytes, sizeof bytes);
    }
    self->stream = oracle_stream(&config.producer, self->plan->channel);
    yami_producer_core_init(&self->core, &config);
    self->is_running = true;
    self->is_leaving = false;
    self->batch_messages = 1 + (uint32_t) world_draw(&self->random, BATCH_MESSAGES);
    self->id_count = 0;
    self->batched = 0;
    self->settled = 0;
    self->socket = 0;
    self->epoch = 0;
    self->wake_us = INT64_MAX;
    world_trace(self->world, "producer", self->index, "start", self->incarnation, 0, 0);
    s_wake_after(self, 0);
    world_after(self->world, world_between(&self->random, 1, 2 * self->plan->interval_us), s_ask,
                self, self->incarnation);
}

void
producer_leave(producer_t *self)
{
    if (self->is_running && !self->is_leaving) {
        self->is_leaving = true;
        yami_producer_core_leave(&self->core);
        s_wake_after(self, 0);
    }
}

void
producer_freeze(producer_t *self, int64_t until_us)
{
    self->frozen_us = until_us;
    network_freeze(self->client, until_us);
}

void
producer_calm(producer_t *self)
{
    self->is_calm = true;
    producer_freeze(self, 0);
    if (self->is_running) {
        self->wake_us = INT64_MAX;
        s_wake_after(self, 0);
    }
}

void
producer_init(producer_t *self, world_t *world, oracle_t *oracle, network_t *network,
              const scenario_t *scenario, unsigned index)
{
    const scenario_producer_t *plan = &scenario->producers[index];
    *self = (producer_t) {.world = world,
                          .oracle = oracle,
                          .plan = plan,
                          .channel_name = scenario->channels[plan->channel].name,
                          .kind = scenario->channels[plan->channel].kind,
                          .index = index,
                          .big = scenario->big > 0 ? scenario->big : 100,
                          .random = world_mix(world->seed, 1000 + index),
                          .wake_us = INT64_MAX};
    YAM_ASSERT(plan->body_bytes <= BODY_MAX - BODY_MIN);
    self->client = network_client(network, false, &s_ops, self);
}

void
producer_clear(producer_t *self)
{
    if (self->is_running) {
        yami_producer_core_clear(&self->core);
    }
    yami_free(self->ids);
}
