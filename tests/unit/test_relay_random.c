//  Relay core: whatever clients, time, full disks and crashes do, in any order, the core agrees
//  with a simple model in every frame and every message, and a restart gives the same state again.
//
//  STEPS and SEED in the environment say how many steps [400000] from which seed on [1]; a world is
//  given up after S_WORLD_STEPS, and the next seed makes another.

#include "relay/relay_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

#define S_STEPS 400000
#define S_WORLD_STEPS 4000
#define S_MEMBERS 5
#define S_LAST_PEER (MODEL_PEERS - 1)

typedef struct {
    fixture_t *f;
    model_t model;
    uint64_t random;
    uint64_t backlog;            //  nobody publishes beyond it
    bool is_calm;                //  crashes are rare
    uint64_t peer;               //  last number given to a member
    uint64_t members[S_MEMBERS]; //  peers, 0: not there
    bool has_handle[S_MEMBERS][MODEL_GROUPS + 1];
    uint64_t serial;
    uint32_t attached; //  times a producer did
} world_t;

static uint64_t
s_random(world_t *w, uint64_t limit)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % limit;
}

//  -- producers
//  ---------------------------------------------------------------------------------------------

static void
s_attach(world_t *w, size_t index, bool is_new_epoch)
{
    const model_producer_t *producer = &w->model.producers[index];
    uint32_t handle = (uint32_t) (++w->attached * MODEL_PRODUCERS + index + 1);
    uint32_t epoch = is_new_epoch ? 0 : producer->epoch;
    uint64_t first = is_new_epoch ? 1 : producer->confirmed + 1;
    int kind = index < 3 ? YAMI_KIND_QUEUE : YAMI_KIND_TOPIC;
    model_attach(&w->model, index, handle, is_new_epoch);
    fixture_producer(w->f, MODEL_PUBLISHER, handle, kind, producer->channel->name, producer->id,
                     epoch, first);
    model_observe(&w->model);
}

//  The one publishing link. After a crash it learns from the relay what was kept.
static void
s_connect_producers(world_t *w)
{
    fixture_hello(w->f, MODEL_PUBLISHER);
    for (size_t index = 0; index < MODEL_PRODUCERS; index++) {
        w->model.producers[index].confirmed = 0;
        s_attach(w, index, w->model.producers[index].epoch == 0);
    }
    fixture_durable(w->f);
    model_observe(&w->model);
}

static void
s_attach_again(world_t *w)
{
    s_attach(w, (size_t) s_random(w, MODEL_PRODUCERS), s_random(w, 2) == 0);
}

static yami_block_t *
s_batch(const model_producer_t *producer, uint8_t id, uint32_t epoch, uint64_t first,
        uint32_t count, const model_content_t *contents)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 1 << 20);
    yami_writer_t properties;
    yami_writer_init(&properties, 100);
    yami_writer_map(&properties, 1);
    yami_writer_str(&properties, "subject");
    yami_writer_str(&properties, "eu.x");
    for (uint32_t index = 0; index < count; index++) {
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .body = yami_slice_text(contents[index].body)};
        if (contents[index].is_eu) {
            record.properties = yami_slice(properties.data, properties.size);
        }
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_batch_t head = {.handle = producer->handle,
                         .epoch = epoch,
                         .producer = {.bytes = {id}},
                         .first_sequence = first};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    assert_non_null(block);
    yami_builder_clear(&builder);
    yami_writer_clear(&properties);
    return block;
}

//  What is sent again has another content than the first time: it must not be seen.
static void
s_fill(world_t *w, const model_producer_t *producer, uint64_t first, uint32_t count,
       model_content_t *contents)
{
    for (uint32_t index = 0; index < count; index++) {
        uint64_t sequence = first + index;
        bool is_known = sequence <= producer->last;
        (void) snprintf(contents[index].body, MODEL_BODY, "%s%u.%u.%llu", is_known ? "again" : "",
                        producer->id, producer->epoch, (unsigned long long) sequence);
        contents[index].is_eu = s_random(w, 2) == 0;
    }
}

static void
s_publish(world_t *w)
{
    size_t index = (size_t) s_random(w, MODEL_PRODUCERS);
    const model_producer_t *producer = &w->model.producers[index];
    const model_group_t *group = &w->model.groups[index < 3 ? 0 : 1];
    uint32_t count = 1 + (uint32_t) s_random(w, 12);
    uint64_t last = producer->last;
    if (producer->granted < producer->sent + count || group->count - group->floor > w->backlog) {
        return;
    }
    uint64_t back = s_random(w, 3) == 0 ? s_random(w, last < 14 ? last + 1 : 15) : 0;
    uint64_t first = last + 1 - back + (s_random(w, 25) == 0 ? 9 : 0);
    uint8_t id = (uint8_t) (producer->id + (s_random(w, 60) == 0 ? 1 : 0));
    uint32_t epoch = producer->epoch + (s_random(w, 60) == 0 ? 1 : 0);
    model_content_t contents[12];
    s_fill(w, producer, first, count, contents);
    yami_block_t *block = s_batch(producer, id, epoch, first, count, contents);
    model_publish(&w->model, index, id, epoch, first, count, contents);
    fixture_publish(w->f, MODEL_PUBLISHER, block);
}

//  -- members
//  -----------------------------------------------------------------------------------------------

static void
s_attach_member(world_t *w, uint64_t peer, uint32_t handle)
{
    const model_group_t *group = &w->model.groups[handle - 1];
    int kind = group->channel->name[0] == 't' && strlen(group->channel->name) == 1
                   ? YAMI_KIND_TOPIC
                   : YAMI_KIND_QUEUE;
    fixture_consumer(w->f, peer, handle, kind, group->channel->name, group->name,
                     handle == 4 ? "eu.>" : "", 0, MODEL_LEASE_MS);
}

//  Says HELLO, also when it was there: that ends its session.
static void
s_join(world_t *w)
{
    size_t member = (size_t) s_random(w, S_MEMBERS);
    uint64_t peer = w->members[member];
    if (peer == 0) {
        peer = 2 + w->peer++ % (S_LAST_PEER - 2);
        for (size_t other = 0; other < S_MEMBERS; other++) {
            if (w->members[other] == peer) {
                return;
            }
        }
    }
    w->members[member] = peer;
    model_leave(&w->model, peer, 0);
    fixture_hello(w->f, peer);
    model_observe(&w->model);
    for (uint32_t handle = 1; handle <= MODEL_GROUPS; handle++) {
        w->has_handle[member][handle] = handle <= 4 ? s_random(w, 5) > 0 : s_random(w, 4) == 0;
        if (w->has_handle[member][handle]) {
            s_attach_member(w, peer, handle);
        }
    }
}

static void
s_leave(world_t *w)
{
    size_t member = (size_t) s_random(w, S_MEMBERS);
    uint64_t peer = w->members[member];
    uint32_t handle = 1 + (uint32_t) s_random(w, MODEL_GROUPS);
    if (peer == 0) {
        return;
    }
    if (s_random(w, 2) == 0) {
        model_leave(&w->model, peer, 0);
        fixture_gone(w->f, peer);
        w->members[member] = 0;
    } else if (w->has_handle[member][handle]) {
        yami_frame_t frame = {.type = YAMI_FRAME_DETACH, .handle = handle};
        model_leave(&w->model, peer, handle);
        fixture_send(w->f, peer, &frame);
        w->has_handle[member][handle] = false;
    }
}

static void
s_credit(world_t *w)
{
    size_t member = (size_t) s_random(w, S_MEMBERS);
    uint32_t handle = 1 + (uint32_t) s_random(w, MODEL_GROUPS);
    uint64_t peer = w->members[member];
    if (peer != 0 && w->has_handle[member][handle]) {
        uint64_t messages = w->model.granted[peer][handle] + 1 + s_random(w, 30);
        model_credit(&w->model, peer, handle, messages);
        fixture_credit(w->f, peer, handle, messages, 1 << 30);
    }
}

static void
s_send_settle(world_t *w, const model_settle_t *settle)
{
    yami_frame_t frame = {.type = (uint8_t) settle->type,
                          .handle = settle->handle,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES |
                                     (settle->delay_ms >= 0 ? YAMI_F_DELAY_MS : 0) |
                                     (settle->reason != NULL ? YAMI_F_TEXT : 0),
                          .serial = settle->serial,
                          .ranges = &settle->range,
                          .range_count = 1,
                          .delay_ms = (uint64_t) settle->delay_ms,
                          .text = yami_slice_text(settle->reason != NULL ? settle->reason : "")};
    model_settle(&w->model, settle);
    fixture_send(w->f, settle->peer, &frame);
}

//  The first leased message at or after a random one; 0 when there is none.
static uint64_t
s_some_leased(world_t *w, const model_group_t *group)
{
    uint64_t left = group->count - group->floor;
    uint64_t start = left > 0 ? s_random(w, left) : 0;
    for (uint64_t index = 0; index < left; index++) {
        uint64_t at = group->floor + (start + index) % left;
        if (group->messages[at].now.place == PLACE_LEASED) {
            return at + 1;
        }
    }
    return 0;
}

//  Settles a run from some leased message on, rightly or not.
static void
s_settle(world_t *w)
{
    static const int types[] = {
        YAMI_FRAME_ACK,  YAMI_FRAME_ACK,  YAMI_FRAME_ACK,     YAMI_FRAME_ACK,    YAMI_FRAME_ACK,
        YAMI_FRAME_NACK, YAMI_FRAME_NACK, YAMI_FRAME_RELEASE, YAMI_FRAME_EXTEND, YAMI_FRAME_REJECT};
    uint32_t handle = 1 + (uint32_t) s_random(w, MODEL_GROUPS);
    const model_group_t *group = &w->model.groups[handle - 1];
    uint64_t sequence = s_some_leased(w, group);
    if (sequence == 0) {
        return;
    }
    const model_message_t *message = &group->messages[sequence - 1];
    uint64_t most = s_random(w, 30) == 0 ? group->count : message->lease_last;
    uint64_t last = sequence + s_random(w, most - sequence + 1);
    model_settle_t settle = {.peer = message->peer,
                             .handle = handle,
                             .type = types[s_random(w, sizeof types / sizeof types[0])],
                             .serial = ++w->serial,
                             .range = {message->now.token, sequence, last},
                             .delay_ms = -1};
    if (s_random(w, 25) == 0) {
        settle.range.token++; //  nobody's
    }
    if (settle.type == YAMI_FRAME_NACK && s_random(w, 2) == 0) {
        settle.delay_ms = (int64_t) s_random(w, 500);
    }
    if (settle.type == YAMI_FRAME_REJECT || (settle.type == YAMI_FRAME_NACK && s_random(w, 2))) {
        settle.reason = "did not work";
    }
    s_send_settle(w, &settle);
}

//  Somebody else's lease, or one that is over: settles nothing.
static void
s_settle_stale(world_t *w)
{
    uint32_t handle = 1 + (uint32_t) s_random(w, MODEL_GROUPS);
    const model_group_t *group = &w->model.groups[handle - 1];
    size_t member = (size_t) s_random(w, S_MEMBERS);
    uint64_t sequence = s_some_leased(w, group);
    if (w->members[member] == 0 || !w->has_handle[member][handle] || sequence == 0) {
        return;
    }
    const model_message_t *message = &group->messages[sequence - 1];
    model_settle_t settle = {.peer = w->members[member],
                             .handle = handle,
                             .type = YAMI_FRAME_ACK,
                             .serial = ++w->serial,
                             .range = {message->last_token, sequence, sequence},
                             .delay_ms = -1};
    if (settle.range.token != 0) {
        s_send_settle(w, &settle);
    }
}

//  -- time, disk, administration
//  ----------------------------------------------------------------------------

static void
s_advance(world_t *w)
{
    int64_t ms = (int64_t) s_random(w, s_random(w, 10) == 0 ? 6000 : 200);
    model_time(&w->model, ms);
    fixture_advance(w->f, ms);
}

static void
s_durable(world_t *w)
{
    uint64_t waiting = w->f->entry_count - w->f->durable_count;
    fixture_durable_at(w->f, w->f->durable_count + (size_t) s_random(w, waiting + 1));
}

static void
s_disk(world_t *w)
{
    w->f->has_room = s_random(w, 4) > 0;
}

static void
s_admin(world_t *w)
{
    static const struct {
        const char *command;
        const char *channel;
        const char *group;
    } requests[] = {{"redrive", "q", ""}, {"redrive", "t.dead", ""}, {"redrive", "q", ""},
                    {"purge", "t", "a"},  {"purge", "t", ""},        {"purge", "q", ""}};
    size_t index = (size_t) s_random(w, sizeof requests / sizeof requests[0]);
    const char *channel = requests[index].channel;
    bool is_purge = requests[index].command[0] == 'p';
    bool is_there = strcmp(channel, "t.dead") != 0 || w->model.channels[3].count > 0;
    if (w->model.is_asking || !is_there) {
        return;
    }
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL |
                                     (requests[index].group[0] != '\0' ? YAMI_F_GROUP : 0),
                          .serial = 1,
                          .command = yami_slice_text(requests[index].command),
                          .channel = yami_slice_text(channel),
                          .group = yami_slice_text(requests[index].group)};
    if (is_purge) {
        model_purge(&w->model, channel, requests[index].group);
    } else {
        model_redrive(&w->model);
    }
    fixture_send(w->f, MODEL_PUBLISHER, &frame);
}

//  Until nothing is left to do at this time, and all of it is durable.
static void
s_settle_down(world_t *w)
{
    w->f->has_room = true;
    do {
        fixture_turn(w->f);
        model_observe(&w->model);
        fixture_durable(w->f);
        model_observe(&w->model);
    } while (w->f->durable_count < w->f->entry_count ||
             yami_relay_core_deadline(w->f->core) <= w->f->mono_ms);
}

//  The state after a restart is the one before, in what the journal keeps.
static void
s_restart_is_the_same(world_t *w)
{
    s_settle_down(w);
    model_is_quiet(&w->model);
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
    if (w->is_calm && s_random(w, 5) > 0) {
        return;
    }
    if (s_random(w, 3) == 0) {
        s_restart_is_the_same(w);
    } else {
        s_durable(w);
        model_observe(&w->model);
        uint64_t waiting = w->f->entry_count - w->f->durable_count;
        fixture_restart_at(w->f, w->f->durable_count + (size_t) s_random(w, waiting + 1));
    }
    model_crashed(&w->model, w->f->entry_count);
    memset(w->members, 0, sizeof w->members);
    fixture_turn(w->f);
    model_observe(&w->model);
    s_connect_producers(w);
}

//  -- worlds
//  ------------------------------------------------------------------------------------------------

static void
s_step(world_t *w)
{
    static const struct {
        unsigned weight;
        void (*step)(world_t *w);
    } steps[] = {{20, s_publish}, {5, s_join},         {3, s_leave},        {30, s_credit},
                 {60, s_settle},  {4, s_settle_stale}, {14, s_advance},     {24, s_durable},
                 {1, s_admin},    {1, s_disk},         {1, s_attach_again}, {1, s_crash}};
    unsigned total = 0;
    for (size_t index = 0; index < sizeof steps / sizeof steps[0]; index++) {
        total += steps[index].weight;
    }
    uint64_t chosen = s_random(w, total);
    size_t index = 0;
    for (; chosen >= steps[index].weight; index++) {
        chosen -= steps[index].weight;
    }
    steps[index].step(w);
    model_observe(&w->model);
    if (s_random(w, 3) == 0) {
        fixture_turn(w->f);
        model_observe(&w->model);
    }
    if (s_random(w, 200) == 0) {
        fixture_checkpoint(w->f);
    }
}

static bool
s_is_empty(const model_t *model)
{
    bool is_empty = true;
    for (size_t at = 0; at < MODEL_GROUPS; at++) {
        const model_group_t *group = &model->groups[at];
        for (uint64_t index = group->floor; index < group->count; index++) {
            const model_message_t *message = &group->messages[index];
            is_empty = is_empty && (message->now.place == PLACE_SETTLED || !message->is_wanted);
        }
    }
    return is_empty;
}

//  In the end everything comes out: nothing is left anywhere.
static void
s_drain(world_t *w)
{
    fixture_hello(w->f, S_LAST_PEER);
    for (uint32_t handle = 1; handle <= MODEL_GROUPS; handle++) {
        s_attach_member(w, S_LAST_PEER, handle);
        model_credit(&w->model, S_LAST_PEER, handle, 1 << 30);
        fixture_credit(w->f, S_LAST_PEER, handle, 1 << 30, 1ll << 40);
    }
    for (int round = 0; round < 60 && !s_is_empty(&w->model); round++) {
        s_settle_down(w);
        for (uint32_t handle = 1; handle <= MODEL_GROUPS; handle++) {
            const model_group_t *group = &w->model.groups[handle - 1];
            for (uint64_t sequence = group->floor + 1; sequence <= group->count; sequence++) {
                const model_message_t *message = &group->messages[sequence - 1];
                if (message->now.place == PLACE_LEASED) {
                    model_settle_t ack = {.peer = message->peer,
                                          .handle = handle,
                                          .type = YAMI_FRAME_ACK,
                                          .serial = ++w->serial,
                                          .range = {message->now.token, sequence, sequence},
                                          .delay_ms = -1};
                    s_send_settle(w, &ack);
                }
            }
        }
        model_observe(&w->model);
        model_time(&w->model, 1000);
        fixture_advance(w->f, 1000);
        model_observe(&w->model);
    }
    assert_true(s_is_empty(&w->model));
}

static void
s_begin(world_t *w, uint64_t seed)
{
    *w = (world_t) {.random = seed * 0x9e3779b97f4a7c15u + 1,
                    .backlog = seed % 4 == 0 ? 1500 : 250,
                    .is_calm = seed % 2 == 0,
                    .f = fixture_new()};
    w->f->options.delivery_limit = MODEL_LIMIT;
    w->f->options.window_messages = MODEL_WINDOW;
    memcpy(w->f->options.backoff, "10ms:200ms:1s", 14);
    model_init(&w->model, w->f);
    fixture_hello(w->f, S_LAST_PEER);
    for (uint32_t handle = 1; handle <= 4; handle++) {
        s_attach_member(w, S_LAST_PEER, handle);
    }
    model_observe(&w->model);
    fixture_gone(w->f, S_LAST_PEER);
    s_connect_producers(w);
}

static void
s_run(uint64_t seed, uint64_t steps)
{
    world_t *w = yami_alloc(sizeof *w);
    s_begin(w, seed);
    for (uint64_t step = 1; step <= steps; step++) {
        s_step(w);
        if (step % 20 == 0) {
            model_compare(&w->model);
        }
    }
    s_drain(w);
    model_compare(&w->model);
    bool is_long = steps >= S_WORLD_STEPS; //  so much happens that all of it was tried
    assert_true(!is_long || (w->model.delivered > 500 && w->model.buried > 0));
    assert_true(!is_long || w->is_calm || w->model.crashes > 0);
    model_clear(&w->model);
    fixture_free(&w->f);
    yami_free(w);
}

static uint64_t
s_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void
test_random_operations_agree_with_the_model(void **state)
{
    (void) state;
    uint64_t left = s_setting("STEPS", S_STEPS);
    for (uint64_t seed = s_setting("SEED", 1); left > 0; seed++) {
        uint64_t steps = left < S_WORLD_STEPS ? left : S_WORLD_STEPS;
        //  said before, as a broken invariant of the core aborts
        (void) fprintf(stderr, "replay: SEED=%llu STEPS=%llu build/unit/test_relay_random\n",
                       (unsigned long long) seed, (unsigned long long) steps);
        s_run(seed, steps);
        left -= steps;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
