//  The producer core against a tiny model of a relay over a network that loses, repeats and cuts,
//  from many seeds.
//
//  Oracle: outcomes cover every message once and in order; what is confirmed was durable at the
//  relay by then, with the body that was sent, stored once and in order; what is refused for good
//  is not stored; credit is not exceeded.
//  One file: client, network, relay and oracle are steps of one world.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire_samples.h"
#include "yami_producer_core.h"

#define SEED_COUNT 200
#define MESSAGE_COUNT 400
#define QUEUE_LIMIT 4096
#define RELAY_MESSAGES 60 //  window of credit
#define RELAY_BYTES 4000

//  Frames on their way in one direction.
typedef struct {
    yami_block_t *blocks[QUEUE_LIMIT]; //  owned
    size_t count;
} s_queue_t;

//  What the relay has; the durable part survives restarts.
typedef struct {
    bool has_session;
    bool is_attached;
    uint64_t epoch;
    uint64_t stored[MESSAGE_COUNT + 1]; //  body's number by sequence; 0: none
    uint64_t last;                      //  stored
    uint64_t durable;                   //  of them
    uint64_t expected;
    uint64_t poison;       //  this sequence is always refused for good
    uint64_t got_messages; //  since attach
    uint64_t got_bytes;
    uint64_t granted_messages;
    uint64_t granted_bytes;
} s_relay_t;

typedef struct {
    uint64_t random;
    bool is_hasty;  //  planted: the relay confirms before it has synced
    bool is_caught; //  the oracle found that
    bool is_calm;   //  no more faults: everything must come to an end
    int64_t now_ms;
    yami_producer_core_t core;
    s_relay_t relay;
    s_queue_t to_relay;
    s_queue_t to_client;
    uint64_t socket;
    uint64_t sent;    //  messages given to the core
    uint64_t settled; //  messages with an outcome
} s_world_t;

static s_world_t s_world;

static uint64_t
s_pick(uint64_t count)
{
    return wire_random(&s_world.random) % count;
}

//  Once in count times, while faults are on.
static bool
s_fault(uint64_t count)
{
    return !s_world.is_calm && s_pick(count) == 0;
}

static void
s_queue_push(s_queue_t *queue, yami_block_t *block)
{
    assert_true(queue->count < QUEUE_LIMIT);
    queue->blocks[queue->count++] = yami_block_ref(block);
}

static yami_block_t *
s_queue_pop(s_queue_t *queue)
{
    if (queue->count == 0) {
        return NULL;
    }
    yami_block_t *block = queue->blocks[0];
    queue->count--;
    memmove(queue->blocks, queue->blocks + 1, queue->count * sizeof(yami_block_t *));
    return block;
}

static void
s_queue_clear(s_queue_t *queue)
{
    while (queue->count > 0) {
        yami_block_unref(&queue->blocks[--queue->count]);
    }
}

//  The connection ends: what was on its way is lost, and the relay does not know the next one.
static void
s_cut(void)
{
    s_queue_clear(&s_world.to_relay);
    s_queue_clear(&s_world.to_client);
    s_world.relay.has_session = false;
    s_world.relay.is_attached = false;
}

static void
s_reply(yami_frame_t frame)
{
    //  A relay may drop these when a queue is full; and greetings are repeated.
    bool is_droppable = frame.type == YAMI_FRAME_CONFIRM || frame.type == YAMI_FRAME_CREDIT ||
                        frame.type == YAMI_FRAME_WELCOME || frame.type == YAMI_FRAME_ATTACHED;
    if (is_droppable && s_fault(8)) {
        return;
    }
    yami_block_t *block = yami_frame_encode(&frame);
    assert_non_null(block);
    s_queue_push(&s_world.to_client, block);
    if (s_fault(20)) {
        s_queue_push(&s_world.to_client, block);
    }
    yami_block_unref(&block);
}

static void
s_grant(bool is_attach)
{
    s_relay_t *relay = &s_world.relay;
    relay->granted_messages = relay->got_messages + RELAY_MESSAGES;
    relay->granted_bytes = relay->got_bytes + RELAY_BYTES;
    yami_frame_t frame = {.type = is_attach ? YAMI_FRAME_ATTACHED : YAMI_FRAME_CREDIT,
                          .handle = 1,
                          .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
                          .messages = relay->granted_messages,
                          .bytes = relay->granted_bytes};
    if (is_attach) {
        frame.present |= YAMI_F_LEVEL | YAMI_F_EPOCH | YAMI_F_SEQUENCE;
        frame.epoch = relay->epoch;
        frame.sequence = relay->last;
        frame.level = YAM_LEVEL_SYNCED;
    }
    s_reply(frame);
}

static void
s_relay_confirm(void)
{
    s_reply(
        (yami_frame_t) {.type = YAMI_FRAME_CONFIRM,
                        .handle = 1,
                        .present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL,
                        .epoch = s_world.relay.epoch,
                        .sequence = s_world.is_hasty ? s_world.relay.last : s_world.relay.durable,
                        .level = YAM_LEVEL_SYNCED});
}

static void
s_relay_attach(const yami_frame_t *frame)
{
    s_relay_t *relay = &s_world.relay;
    if (relay->epoch == 0) {
        assert_int_equal(frame->epoch, 0);
        relay->epoch = 1 + s_pick(5);
    }
    assert_true(frame->epoch == 0 || frame->epoch == relay->epoch);
    relay->is_attached = true;
    relay->got_messages = 0;
    relay->got_bytes = 0;
    relay->expected = relay->last + 1 > frame->first ? relay->last + 1 : frame->first;
    s_grant(true);
}

static void
s_relay_refuse(uint64_t first, uint64_t last, yam_status_t status)
{
    s_reply((yami_frame_t) {.type = YAMI_FRAME_REFUSE,
                            .handle = 1,
                            .present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS,
                            .epoch = s_world.relay.epoch,
                            .first = first,
                            .last = last,
                            .status = status});
}

static void
s_relay_store(const yami_batch_t *batch)
{
    s_relay_t *relay = &s_world.relay;
    size_t offset = 0;
    yami_record_t record;
    for (uint64_t index = 0; index < batch->count; index++) {
        uint64_t sequence = batch->first_sequence + index;
        assert_int_equal(yami_batch_next(batch, &offset, &record), 0);
        if (sequence >= relay->expected) {
            char body[32] = {0};
            memcpy(body, record.body.data, record.body.size);
            relay->stored[sequence] = strtoull(body, NULL, 10);
        }
    }
    relay->last = batch->first_sequence + batch->count - 1;
    relay->expected = relay->last + 1;
}

static void
s_relay_batch(const yami_batch_t *batch, size_t size)
{
    s_relay_t *relay = &s_world.relay;
    uint64_t last = batch->first_sequence + batch->count - 1;
    bool is_alone =
        relay->got_messages < relay->granted_messages && relay->got_bytes < relay->granted_bytes;
    relay->got_messages += batch->count;
    relay->got_bytes += size;
    assert_true(is_alone || s_world.is_calm == false); //  see s_client_send for the strict check
    if (last < relay->expected) {
        s_relay_confirm();
    } else if (batch->first_sequence > relay->expected) {
        s_relay_refuse(relay->expected, last, YAM_STATUS_GAP);
    } else if (relay->poison >= batch->first_sequence && relay->poison <= last) {
        //  It goes on expecting it: were this frame lost, passing over it would look like a
        //  confirm.
        s_relay_refuse(batch->first_sequence, last, YAM_STATUS_TOO_BIG);
    } else if (s_fault(10)) {
        s_relay_refuse(relay->expected, last, YAM_STATUS_FULL);
    } else {
        s_relay_store(batch);
        if (s_world.is_hasty) {
            s_relay_confirm();
        }
    }
    s_grant(false);
}

static void
s_relay_frame(const yami_frame_t *frame)
{
    s_relay_t *relay = &s_world.relay;
    if (frame->type == YAMI_FRAME_HELLO) {
        relay->has_session = true;
        relay->is_attached = false;
        s_reply((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_LEVEL |
                                           YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                                .session = frame->session,
                                .max_frame = YAMI_LIMIT_FRAME,
                                .heartbeat_ms = 1000});
    } else if (!relay->has_session) {
        s_reply((yami_frame_t) {
            .type = YAMI_FRAME_ERROR, .present = YAMI_F_STATUS, .status = YAM_STATUS_NO_SESSION});
    } else if (frame->type == YAMI_FRAME_ATTACH) {
        s_relay_attach(frame);
    }
}

//  The relay takes one frame.
static void
s_relay_receive(void)
{
    yami_block_t *block = s_queue_pop(&s_world.to_relay);
    if (block == NULL) {
        return;
    }
    yami_frame_t frame = {.type = YAMI_FRAME_HEARTBEAT};
    if (!yami_frame_is_batch(block->data, block->size)) {
        assert_int_equal(yami_frame_decode(&frame, block->data, block->size), 0);
        s_relay_frame(&frame);
    } else if (!s_world.relay.is_attached) {
        s_relay_frame(&frame); //  ERROR{no-session}, or nothing
    } else {
        yami_batch_t batch;
        assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
        s_relay_batch(&batch, block->size);
    }
    yami_block_unref(&block);
}

//  A restart forgets what was not durable, and everybody.
static void
s_relay_restart(void)
{
    s_relay_t *relay = &s_world.relay;
    for (uint64_t sequence = relay->durable + 1; sequence <= relay->last; sequence++) {
        relay->stored[sequence] = 0;
    }
    relay->last = relay->durable;
    s_cut();
}

static void
s_relay_sync(void)
{
    if (s_world.relay.durable < s_world.relay.last) {
        s_world.relay.durable = s_world.relay.last;
        if (s_world.relay.is_attached) {
            s_relay_confirm();
        }
    }
}

//  What must hold; a planted fault is caught, any other fails the test.
static void
s_judge(bool holds)
{
    if (!s_world.is_hasty) {
        assert_true(holds);
    }
    s_world.is_caught = s_world.is_caught || !holds;
}

//  The oracle.
static void
s_take_outcomes(void)
{
    yami_producer_outcome_t outcome;
    while (yami_producer_core_outcome(&s_world.core, &outcome)) {
        assert_int_equal(outcome.first, s_world.settled + 1);
        s_world.settled = outcome.last;
        for (uint64_t sequence = outcome.first; sequence <= outcome.last; sequence++) {
            uint64_t stored = s_world.relay.stored[sequence];
            if (outcome.status == YAM_STATUS_OK) {
                s_judge(sequence <= s_world.relay.durable && stored == sequence);
            } else {
                s_judge(stored == 0 && outcome.status == YAM_STATUS_TOO_BIG);
            }
        }
    }
    yami_producer_core_check(&s_world.core);
}

static void
s_client_receive(void)
{
    yami_block_t *block = s_queue_pop(&s_world.to_client);
    if (block == NULL) {
        return;
    }
    yami_frame_t frame;
    assert_int_equal(yami_frame_decode(&frame, block->data, block->size), 0);
    yami_producer_core_frame(&s_world.core, s_world.now_ms, &frame);
    yami_block_unref(&block);
    s_take_outcomes();
}

//  Gives the core a batch of 1..8 messages when it wants one.
static void
s_client_add(void)
{
    uint32_t count = 1 + (uint32_t) s_pick(8);
    bool is_full = s_pick(2) == 0;
    if (s_world.sent + count > MESSAGE_COUNT ||
        !yami_producer_core_wants_batch(&s_world.core, s_world.now_ms, is_full)) {
        return;
    }
    yami_batch_t head;
    yami_builder_t builder;
    yami_producer_core_head(&s_world.core, &head);
    yami_builder_init(&builder, 4096);
    for (uint32_t index = 0; index < count; index++) {
        char body[32];
        int size = snprintf(body, sizeof body, "%" PRIu64, ++s_world.sent);
        yami_record_t record = {.priority = 4, .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_block_t *block = yami_builder_finish(&builder, &head);
    yami_builder_clear(&builder);
    assert_int_equal(yami_producer_core_add(&s_world.core, &block, count), 0);
}

//  Sends one frame, if the core has one; the network may lose or repeat it.
static void
s_client_send(void)
{
    yami_producer_core_t *core = &s_world.core;
    yami_block_t *block = yami_producer_core_output(core, s_world.now_ms);
    if (block == NULL || core->link.socket_number != s_world.socket) {
        return;
    }
    bool is_batch = yami_frame_is_batch(block->data, block->size);
    if (!s_fault(12)) {
        s_queue_push(&s_world.to_relay, block);
        if (!is_batch && s_fault(20)) { //  a repeated batch would be the network's credit, not ours
            s_queue_push(&s_world.to_relay, block);
        }
    }
    yami_producer_core_sent(core, s_world.now_ms);
    if (is_batch && core->sent_count > 1) { //  (3): only one alone may exceed
        assert_true(core->sent_messages <= core->credit_messages);
        assert_true(core->sent_bytes <= core->credit_bytes);
    }
}

//  The core's timers, and the socket it wants.
static void
s_client_turn(void)
{
    yami_producer_core_turn(&s_world.core, s_world.now_ms);
    uint64_t wanted = yami_link_core_socket(&s_world.core.link);
    if (wanted != s_world.socket) {
        s_cut();
        s_world.socket = wanted;
    }
    if (wanted != 0 && s_fault(50)) {
        yami_producer_core_failed(&s_world.core, s_world.now_ms);
        s_cut();
        s_world.socket = 0;
    }
    yami_producer_core_check(&s_world.core);
}

static void
s_step(void)
{
    switch (s_pick(12)) {
    case 0:
        s_world.now_ms += (int64_t) s_pick(20);
        s_client_turn();
        break;
    case 1:
        s_relay_sync();
        break;
    case 2:
        if (s_fault(100)) {
            s_relay_restart();
        } else if (s_fault(100)) {
            s_cut();
        }
        break;
    case 3:
    case 4:
        s_client_add();
        break;
    case 5:
    case 6:
    case 7:
        s_client_send();
        break;
    case 8:
    case 9:
        s_relay_receive();
        break;
    default:
        s_client_receive();
        break;
    }
}

static void
s_run(uint64_t seed, bool is_hasty)
{
    memset(&s_world, 0, sizeof s_world);
    s_world.is_hasty = is_hasty;
    s_world.random = seed;
    s_world.now_ms = 1000;
    s_world.relay.poison = seed % 3 == 0 ? 1 + s_pick(MESSAGE_COUNT) : 0;
    yami_producer_config_t config = {.kind = YAMI_KIND_QUEUE,
                                     .channel = "orders",
                                     .name = "billing",
                                     .is_durable = true,
                                     .heartbeat_ms = 1000,
                                     .seed = seed};
    yami_producer_core_init(&s_world.core, &config);
    for (int step = 0; step < 10000; step++) {
        s_step();
    }
    s_world.is_calm = true;
    int left = is_hasty ? 0 : 400000;
    while (s_world.settled < MESSAGE_COUNT - 8 && left > 0) {
        s_step();
        left--;
    }
    if (left == 0 && !is_hasty) {
        fail_msg("seed %" PRIu64 ": stuck with %" PRIu64 " of %" PRIu64 " settled", seed,
                 s_world.settled, s_world.sent);
    }
    s_cut();
    yami_producer_core_clear(&s_world.core);
}

static void
test_nothing_is_lost_or_doubled_whatever_the_network_does(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        s_run(seed, false);
    }
}

static void
test_relay_that_confirms_too_early_is_caught(void **state)
{
    (void) state;
    uint64_t caught = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        s_run(seed, true);
        caught += s_world.is_caught;
    }
    assert_true(caught > 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_or_doubled_whatever_the_network_does),
        cmocka_unit_test(test_relay_that_confirms_too_early_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
