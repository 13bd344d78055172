//  A consuming process. See consumer.h.

#include "consumer.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_message.h"

#define FRAMES_PER_STEP 64
#define HEARTBEAT_MS 150
#define CREDIT_BYTES 300000
#define AGAIN_MIN_US 1000
#define AGAIN_MAX_US 300000
#define DELAY_MAX_MS 300 //  of a nack

static void
s_step(consumer_t *self);

//  -- The end of an incarnation

static void
s_start_again(void *arg, uint64_t incarnation)
{
    consumer_t *self = arg;
    if (self->incarnation == incarnation && self->core == NULL) {
        consumer_start(self);
    }
}

static void
s_end(consumer_t *self, bool lingers)
{
    if (self->core == NULL) {
        return;
    }
    while (self->work_count > 0) {
        yam_message_destroy(&self->work[--self->work_count].message);
    }
    if (self->socket != 0) {
        network_close(self->client, lingers);
    }
    yami_consumer_core_clear(self->core);
    yami_free(self->core);
    self->core = NULL;
    self->wake_us = INT64_MAX;
}

static void
s_come_back(consumer_t *self)
{
    world_after(self->world, world_between(&self->random, AGAIN_MIN_US, AGAIN_MAX_US),
                s_start_again, self, self->incarnation);
}

void
consumer_crash(consumer_t *self)
{
    if (self->core != NULL) {
        world_trace(self->world, "consumer", self->index, "crash", self->incarnation, 0, 0);
        s_end(self, false);
        s_come_back(self);
    }
}

//  -- The application

//  Some messages nobody can handle, whoever tries.
static bool
s_is_poison(const consumer_t *self, const yam_message_t *message)
{
    uint64_t id;
    memcpy(&id, yam_message_body(message), sizeof id);
    return !self->plan->of_dead && world_mix(self->world->seed, id) % 1000 < self->poison;
}

//  What to do with a message; 0: forget it.
static uint8_t
s_decide(consumer_t *self, const yam_message_t *message)
{
    const scenario_consumer_t *plan = self->plan;
    if (s_is_poison(self, message)) {
        return world_chance(&self->random, 800) ? YAMI_FRAME_NACK : YAMI_FRAME_REJECT;
    }
    if (self->is_calm) {
        return YAMI_FRAME_ACK;
    }
    const struct {
        unsigned share;
        uint8_t type;
    } choices[] = {{plan->nack, YAMI_FRAME_NACK},
                   {plan->reject, YAMI_FRAME_REJECT},
                   {plan->release, YAMI_FRAME_RELEASE},
                   {plan->extend, YAMI_FRAME_EXTEND},
                   {plan->forget, 0}};
    uint64_t drawn = world_draw(&self->random, 1000);
    for (size_t index = 0; index < sizeof choices / sizeof choices[0]; index++) {
        if (drawn < choices[index].share) {
            return choices[index].type;
        }
        drawn -= choices[index].share;
    }
    return YAMI_FRAME_ACK;
}

static int64_t
s_work_us(consumer_t *self)
{
    return self->is_calm ? 1 : world_between(&self->random, 1, 2 * self->plan->work_us);
}

//  Finishes the work on one message. Whether it is let go.
static bool
s_finish(consumer_t *self, consumer_work_t *work)
{
    uint8_t type = s_decide(self, work->message);
    int64_t delay_ms = -1;
    const char *reason = NULL;
    if (type == YAMI_FRAME_NACK) {
        delay_ms =
            world_chance(&self->random, 500) ? world_between(&self->random, 0, DELAY_MAX_MS) : -1;
        reason = world_chance(&self->random, 500) ? "cannot" : NULL;
    } else if (type == YAMI_FRAME_REJECT) {
        reason = "will not";
    }
    world_trace(self->world, "consumer", self->index, "settle", yam_message_sequence(work->message),
                type, (uint64_t) delay_ms);
    bool wakes;
    int rc = type == 0 ? 0
                       : yami_consumer_core_settle(self->core, work->message, type, delay_ms,
                                                   reason, &wakes);
    if (rc == -1 && errno != ESTALE) {
        world_fail(self->world, "settle", "settling fails with %s", strerror(errno));
    }
    work->done_us = self->world->now_us + s_work_us(self);
    return type != YAMI_FRAME_EXTEND || rc == -1;
}

static void
s_work(consumer_t *self)
{
    for (size_t index = 0; index < self->work_count;) {
        consumer_work_t *work = &self->work[index];
        if ((work->done_us <= self->world->now_us || self->is_calm) && s_finish(self, work)) {
            yam_message_destroy(&work->message);
            *work = self->work[--self->work_count];
        } else {
            index++;
        }
    }
    size_t most = self->is_calm ? CONSUMER_HOLD : self->plan->hold;
    while (self->work_count < most) {
        yam_message_t *message = yami_consumer_core_recv(self->core);
        if (message == NULL) {
            break;
        }
        world_trace(self->world, "consumer", self->index, "got", yam_message_sequence(message),
                    yam_message_deliveries(message), yam_message_failures(message));
        oracle_received(self->oracle, self->group, yam_message_sequence(message),
                        yami_slice(yam_message_body(message), yam_message_size(message)));
        self->work[self->work_count++] =
            (consumer_work_t) {message, self->world->now_us + s_work_us(self)};
    }
}

//  -- What the library does: see sure_receiver_io.c

static void
s_send(consumer_t *self)
{
    int64_t now_ms = world_ms(self->world);
    for (int count = 0; count < FRAMES_PER_STEP; count++) {
        yami_block_t *block = yami_consumer_core_output(self->core, now_ms);
        if (block == NULL || self->socket == 0 || network_send(self->client, block) == -1) {
            return;
        }
        yami_consumer_core_sent(self->core, now_ms);
    }
}

static void
s_follow_socket(consumer_t *self)
{
    uint64_t wanted = yami_link_core_socket(&self->core->link);
    if (wanted == self->socket) {
        return;
    }
    if (self->socket != 0) {
        network_close(self->client, self->core->link.is_leaving);
    }
    self->socket = wanted;
    if (wanted != 0) {
        network_open(self->client);
    }
}

static void
s_wake(void *arg, uint64_t incarnation)
{
    consumer_t *self = arg;
    if (self->core != NULL && incarnation == self->incarnation &&
        self->world->now_us == self->wake_us) {
        s_step(self);
    }
}

static void
s_wake_after(consumer_t *self, int64_t delay_us)
{
    int64_t at_us = self->world->now_us + delay_us;
    at_us = at_us < self->frozen_us ? self->frozen_us : at_us;
    if (at_us < self->wake_us) {
        self->wake_us = at_us;
        world_after(self->world, at_us - self->world->now_us, s_wake, self, self->incarnation);
    }
}

//  Whether it has gone in order, or for good.
static bool
s_has_ended(consumer_t *self)
{
    if (self->core->state == YAMI_CONSUMER_FINAL) {
        bool is_repeated = self->core->final_status == YAM_STATUS_CONFLICT &&
                           network_had_chaos(self->client); //  its ATTACH was
        if (!is_repeated) {
            world_fail(self->world, "final", "a consumer is ended with status %d",
                       (int) self->core->final_status);
        }
        s_end(self, false);
        s_come_back(self);
        return true;
    }
    if (!self->is_leaving) {
        return false;
    }
    if (self->core->state == YAMI_CONSUMER_LEFT) {
        yami_consumer_core_leave(self->core);
    }
    if (self->core->link.state != YAMI_LINK_ENDED) {
        return false;
    }
    s_end(self, true);
    s_come_back(self);
    return true;
}

static void
s_step(consumer_t *self)
{
    self->wake_us = INT64_MAX;
    int64_t now_ms = world_ms(self->world);
    s_work(self);
    yami_consumer_core_turn(self->core, now_ms);
    s_follow_socket(self);
    s_send(self);
    s_follow_socket(self);
    yami_consumer_core_check(self->core);
    if (s_has_ended(self)) {
        return;
    }
    int64_t deadline_ms = yami_consumer_core_deadline(self->core, now_ms);
    if (deadline_ms != INT64_MAX) {
        int64_t wait_us = deadline_ms * 1000 - self->world->now_us;
        s_wake_after(self, wait_us > 0 ? wait_us : 1);
    }
    for (size_t index = 0; index < self->work_count; index++) {
        int64_t wait_us = self->work[index].done_us - self->world->now_us;
        s_wake_after(self, wait_us > 0 ? wait_us : 1);
    }
}

//  -- The network

static void
s_arrive(void *arg, yami_block_t *block, yami_block_t *data)
{
    consumer_t *self = arg;
    int64_t now_ms = world_ms(self->world);
    yami_frame_t frame;
    yami_delivery_t delivery;
    if (self->core == NULL || self->socket == 0) {
        return;
    }
    if (yami_frame_decode(&frame, block->data, block->size) == -1) {
        yami_consumer_core_garbage(self->core, now_ms, errno);
    } else if ((data != NULL) != (frame.type == YAMI_FRAME_DELIVER)) {
        yami_consumer_core_garbage(self->core, now_ms, EPROTO);
    } else if (data != NULL) {
        bool is_sound = yami_delivery_decode(&delivery, &frame, data) == 0;
        yami_consumer_core_deliver(self->core, now_ms, &frame, &delivery, is_sound);
    } else {
        yami_consumer_core_frame(self->core, now_ms, &frame);
    }
    s_wake_after(self, 0);
}

static void
s_connected(void *arg)
{
    consumer_t *self = arg;
    if (self->core != NULL) {
        s_wake_after(self, 0);
    }
}

static const network_client_ops_t s_ops = {.arrive = s_arrive, .connected = s_connected};

//  -- Life

void
consumer_start(consumer_t *self)
{
    self->incarnation++;
    yami_consumer_config_t config = {.kind = self->kind,
                                     .start = YAMI_START_FIRST,
                                     .lease_ms =
                                         world_chance(&self->random, 500) ? self->lease_ms / 2 : 0,
                                     .credit_messages = self->plan->credit,
                                     .credit_bytes = CREDIT_BYTES,
                                     .heartbeat_ms = HEARTBEAT_MS,
                                     .seed = world_draw(&self->random, UINT64_MAX)};
    (void) snprintf(config.channel, sizeof config.channel, "%s", self->channel);
    (void) snprintf(config.group, sizeof config.group, "%s", self->plan->group);
    (void) snprintf(config.name, sizeof config.name, "consumer-%u", self->index);
    self->core = yami_alloc(sizeof *self->core);
    yami_consumer_core_init(self->core, &config);
    self->is_leaving = false;
    self->socket = 0;
    self->wake_us = INT64_MAX;
    world_trace(self->world, "consumer", self->index, "start", self->incarnation, 0, 0);
    s_wake_after(self, 0);
}

void
consumer_leave(consumer_t *self)
{
    if (self->core != NULL && !self->is_leaving) {
        self->is_leaving = true;
        yami_consumer_core_close(self->core);
        s_wake_after(self, 0);
    }
}

void
consumer_freeze(consumer_t *self, int64_t until_us)
{
    self->frozen_us = until_us;
    network_freeze(self->client, until_us);
}

void
consumer_calm(consumer_t *self)
{
    self->is_calm = true;
    consumer_freeze(self, 0);
    if (self->core != NULL) {
        self->wake_us = INT64_MAX;
        s_wake_after(self, 0);
    }
}

void
consumer_init(consumer_t *self, world_t *world, oracle_t *oracle, network_t *network,
              const scenario_t *scenario, unsigned index)
{
    const scenario_consumer_t *plan = &scenario->consumers[index];
    const scenario_channel_t *channel = &scenario->channels[plan->channel];
    *self = (consumer_t) {.world = world,
                          .oracle = oracle,
                          .plan = plan,
                          .poison = scenario->poison,
                          .kind = plan->of_dead ? YAMI_KIND_QUEUE : channel->kind,
                          .index = index,
                          .random = world_mix(world->seed, 2000 + index),
                          .wake_us = INT64_MAX,
                          .lease_ms = scenario->lease_ms};
    YAM_ASSERT(plan->hold <= CONSUMER_HOLD && plan->hold > 0 && plan->work_us > 0);
    (void) snprintf(self->channel, sizeof self->channel, "%s%s", channel->name,
                    plan->of_dead ? ".dead" : "");
    unsigned number = oracle_channel(oracle, self->channel, self->kind);
    self->group = oracle_group(oracle, number, plan->group);
    self->client = network_client(network, true, &s_ops, self);
}

void
consumer_clear(consumer_t *self)
{
    s_end(self, false);
}
