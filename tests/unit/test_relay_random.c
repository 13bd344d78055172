//  Relay core: whatever clients, time and crashes do, in any order, the core agrees with a simple
//  model after every step, and a restart gives the same state again.

#include "relay/relay_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

#define STEPS 6000
#define SEEDS 24
#define MEMBERS 4
#define LEASE_MS 5000

typedef struct {
    fixture_t *f;
    model_t model;
    uint64_t random;
    uint64_t peer;               //  last number given to a member
    uint64_t members[MEMBERS];   //  peers, 0: not there
    uint64_t credit[MEMBERS][5]; //  by handle
    uint64_t serial;
    uint64_t sent[2][3]; //  by channel and producer: last sequence that was appended
    uint32_t epoch[2][3];
} world_t;

static uint64_t
s_random(world_t *w, uint64_t limit)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % limit;
}

//  The one publishing link, with three producers to each channel. After a crash it learns from the
//  relay what was kept.
static void
s_attach_producers(world_t *w)
{
    fixture_hello(w->f, 1);
    for (uint32_t index = 0; index < 6; index++) {
        uint32_t topic = index / 3;
        uint32_t producer = index % 3;
        fixture_producer(w->f, 1, index + 1, topic ? YAMI_KIND_TOPIC : YAMI_KIND_QUEUE,
                         topic ? "t" : "q", (uint8_t) (producer + 1), w->epoch[topic][producer], 1);
        fixture_durable(w->f);
        fixture_expect(w->f, 1, YAMI_FRAME_ATTACHED);
        w->epoch[topic][producer] = (uint32_t) w->f->frame.epoch;
        w->sent[topic][producer] = w->f->frame.sequence;
    }
}

static void
s_publish(world_t *w)
{
    uint32_t topic = (uint32_t) s_random(w, 2);
    uint32_t producer = (uint32_t) s_random(w, 3);
    uint64_t last = w->sent[topic][producer];
    uint64_t first = last + 1 - (last > 3 ? s_random(w, 4) : 0); //  sometimes partly known
    uint32_t count = 1 + (uint32_t) s_random(w, 12);
    bool has_gap = s_random(w, 20) == 0;
    fixture_publish(w->f, 1,
                    fixture_batch(topic * 3 + producer + 1, (uint8_t) (producer + 1),
                                  w->epoch[topic][producer], first + (has_gap ? 9 : 0), count,
                                  s_random(w, 2) ? "eu.x" : NULL));
    if (has_gap) {
        fixture_expect(w->f, 1, YAMI_FRAME_REFUSE);
        assert_int_equal(w->f->frame.status, YAM_STATUS_GAP);
        assert_int_equal(w->f->frame.first, last + 1);
    } else if (first + count - 1 > last) {
        w->sent[topic][producer] = first + count - 1;
    }
}

static void
s_join(world_t *w)
{
    size_t member = (size_t) s_random(w, MEMBERS);
    if (w->members[member] != 0) {
        return;
    }
    uint64_t peer = 2 + w->peer++ % 30;
    for (size_t other = 0; other < MEMBERS; other++) {
        if (w->members[other] == peer) {
            return;
        }
    }
    w->members[member] = peer;
    fixture_hello(w->f, peer);
    fixture_consumer(w->f, peer, 1, YAMI_KIND_QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_consumer(w->f, peer, 2, YAMI_KIND_TOPIC, "t", "a", "", 0, LEASE_MS);
    fixture_consumer(w->f, peer, 3, YAMI_KIND_TOPIC, "t", "b", "", 0, LEASE_MS);
    if (s_random(w, 3) == 0) {
        fixture_consumer(w->f, peer, 4, YAMI_KIND_QUEUE, "q.dead", "", "", 0, LEASE_MS);
    }
    memset(w->credit[member], 0, sizeof w->credit[member]);
}

static void
s_leave(world_t *w)
{
    size_t member = (size_t) s_random(w, MEMBERS);
    if (w->members[member] != 0) {
        model_gone(&w->model, w->members[member]);
        fixture_gone(w->f, w->members[member]);
        w->members[member] = 0;
    }
}

static void
s_credit(world_t *w)
{
    size_t member = (size_t) s_random(w, MEMBERS);
    uint32_t handle = 1 + (uint32_t) s_random(w, 4);
    if (w->members[member] != 0) {
        w->credit[member][handle] += 1 + s_random(w, 30);
        fixture_credit(w->f, w->members[member], handle, w->credit[member][handle], 1 << 30);
    }
}

//  Settles a run around some leased message, rightly or not.
static void
s_settle(world_t *w)
{
    static const int types[] = {YAMI_FRAME_ACK,     YAMI_FRAME_ACK,   YAMI_FRAME_ACK,
                                YAMI_FRAME_ACK,     YAMI_FRAME_NACK,  YAMI_FRAME_REJECT,
                                YAMI_FRAME_RELEASE, YAMI_FRAME_EXTEND};
    model_group_t *group = &w->model.groups[s_random(w, 4)];
    if (group->count == 0) {
        return;
    }
    uint64_t sequence = 1 + s_random(w, group->count);
    for (size_t tries = 0;
         tries < group->count && group->messages[sequence - 1].place != MODEL_LEASED; tries++) {
        sequence = sequence % group->count + 1;
    }
    model_message_t message = group->messages[sequence - 1];
    if (message.place != MODEL_LEASED) {
        return;
    }
    uint64_t last = sequence;
    while (s_random(w, 4) != 0 && last < group->count &&
           group->messages[last].token == message.token) {
        last++;
    }
    int type = types[s_random(w, sizeof types / sizeof types[0])];
    uint64_t token = s_random(w, 20) == 0 ? message.token + 1 : message.token;
    w->serial++;
    //  Not beyond the lease: then all of it would be stale, which the model does not know of.
    while (last > sequence && group->messages[last - 1].token != message.token) {
        last--;
    }
    model_settle(&w->model, message.peer, group->handle, type, w->serial, token, sequence, last);
    fixture_settle(w->f, message.peer, group->handle, type, w->serial, token, sequence, last);
}

static void
s_advance(world_t *w)
{
    fixture_advance(w->f, (int64_t) s_random(w, s_random(w, 10) == 0 ? 6000 : 200));
    model_time(&w->model);
}

static void
s_durable(world_t *w)
{
    uint64_t waiting = w->f->entry_count - w->f->durable_count;
    fixture_durable_at(w->f, w->f->durable_count + (size_t) s_random(w, waiting + 1));
}

static void
s_admin(world_t *w)
{
    bool is_purge = s_random(w, 6) == 0;
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL,
                          .serial = 1,
                          .command = yami_slice_text(is_purge ? "purge" : "redrive"),
                          .channel = yami_slice_text(is_purge ? "t" : "q")};
    if (is_purge) {
        model_purged(&w->model, "t");
    }
    fixture_send(w->f, 1, &frame);
}

//  The state after a restart is the one before, in what the journal keeps.
static void
s_restart_is_the_same(world_t *w)
{
    do {
        fixture_durable(w->f);
        model_observe(&w->model);
    } while (w->f->durable_count < w->f->entry_count ||
             yami_relay_core_deadline(w->f->core) <= w->f->mono_ms);
    yami_block_t *before = fixture_state(w->f->core);
    fixture_restart(w->f);
    yami_block_t *after = fixture_state(w->f->core);
    assert_int_equal(before->size, after->size);
    assert_memory_equal(before->data, after->data, before->size);
    yami_block_unref(&before);
    yami_block_unref(&after);
}

static void
s_crash(world_t *w)
{
    if (s_random(w, 3) == 0) {
        s_restart_is_the_same(w);
    } else {
        s_durable(w);
        model_observe(&w->model);
        uint64_t waiting = w->f->entry_count - w->f->durable_count;
        fixture_restart_at(w->f, w->f->durable_count + (size_t) s_random(w, waiting + 1));
    }
    model_compare(&w->model, true);
    memset(w->members, 0, sizeof w->members);
    fixture_turn(w->f);
    model_observe(&w->model);
    s_attach_producers(w);
}

static void
s_step(world_t *w)
{
    static const struct {
        unsigned weight;
        void (*step)(world_t *w);
    } steps[] = {{20, s_publish}, {8, s_join},     {2, s_leave},    {20, s_credit},
                 {40, s_settle},  {12, s_advance}, {20, s_durable}, {1, s_admin}};
    if (s_random(w, 300) == 0) {
        s_crash(w);
    } else if (s_random(w, 200) == 0) {
        fixture_checkpoint(w->f);
    }
    uint64_t chosen = s_random(w, 123);
    for (size_t index = 0; index < sizeof steps / sizeof steps[0]; index++) {
        if (chosen < steps[index].weight) {
            steps[index].step(w);
            break;
        }
        chosen -= steps[index].weight;
    }
    if (s_random(w, 3) == 0) {
        fixture_turn(w->f);
    }
    model_observe(&w->model);
}

//  In the end everything comes out: nothing is left anywhere.
static void
s_drain(world_t *w)
{
    fixture_hello(w->f, 39);
    for (uint32_t handle = 1; handle <= 4; handle++) {
        const model_group_t *group = &w->model.groups[handle - 1];
        fixture_consumer(w->f, 39, handle,
                         group->channel[0] == 't' ? YAMI_KIND_TOPIC : YAMI_KIND_QUEUE,
                         group->channel, group->name, "", 0, LEASE_MS);
        fixture_credit(w->f, 39, handle, 1 << 30, 1ll << 40);
    }
    for (int round = 0; round < 60; round++) {
        for (size_t at = 0; at < 4; at++) {
            model_group_t *group = &w->model.groups[at];
            for (uint64_t sequence = 1; sequence <= group->count; sequence++) {
                model_message_t message = group->messages[sequence - 1];
                if (message.place == MODEL_LEASED) {
                    w->serial++;
                    model_settle(&w->model, message.peer, group->handle, YAMI_FRAME_ACK, w->serial,
                                 message.token, sequence, sequence);
                    fixture_settle(w->f, message.peer, group->handle, YAMI_FRAME_ACK, w->serial,
                                   message.token, sequence, sequence);
                }
            }
        }
        fixture_durable(w->f);
        model_observe(&w->model);
        fixture_advance(w->f, 1000);
        model_time(&w->model);
        model_observe(&w->model);
    }
    for (size_t at = 0; at < 4; at++) {
        model_group_t *group = &w->model.groups[at];
        for (size_t index = 0; index < group->count; index++) {
            assert_int_equal(group->messages[index].place, MODEL_SETTLED);
        }
    }
}

static void
s_run(uint64_t seed)
{
    world_t w = {.random = seed * 0x9e3779b97f4a7c15u + 1, .f = fixture_new()};
    w.f->options.delivery_limit = 3;
    memcpy(w.f->options.backoff, "10ms:200ms:1s", 14);
    w.f->options.lease_ms = LEASE_MS;
    model_init(&w.model, w.f);
    s_attach_producers(&w);
    model_observe(&w.model);
    for (int step = 0; step < STEPS; step++) {
        s_step(&w);
        if (step % 50 == 0) {
            model_compare(&w.model, false);
        }
    }
    model_compare(&w.model, false);
    s_drain(&w);
    model_compare(&w.model, false);
    assert_true(w.model.delivered > 100 && w.model.crashes > 2);
    model_clear(&w.model);
    fixture_free(&w.f);
}

static void
test_random_operations_agree_with_the_model(void **state)
{
    (void) state;
    const char *only = getenv("SEED");
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (only == NULL || strtoull(only, NULL, 10) == seed) {
            print_message("seed %llu\n", (unsigned long long) seed);
            s_run(seed);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
