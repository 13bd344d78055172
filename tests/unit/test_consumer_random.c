//  The consumer core against a tiny model of a relay over a network that cuts, and an application
//  that settles in any order, from many seeds.
//
//  Oracle: every message is settled in the end; the core settles only what is leased to it in that
//  session; the relay is never granted less than a whole credit once all is settled, nor more than
//  the credit while nothing is; what the core calls durable is durable.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wire_samples.h"
#include "yami_consumer_core.h"
#include "yami_message.h"

#define SEED_COUNT 200
#define STEP_COUNT 6000
#define MESSAGE_COUNT 300
#define HELD_LIMIT 64
#define QUEUE_LIMIT 1024
#define CREDIT 40

typedef struct {
    yami_block_t *frame; //  owned
    yami_block_t *batch; //  owned; or NULL
} s_item_t;

typedef struct {
    s_item_t items[QUEUE_LIMIT];
    size_t count;
} s_queue_t;

typedef enum {
    S_READY,
    S_LEASED,
    S_DONE
} s_state_t;

typedef struct {
    uint64_t random;
    bool is_calm;
    int64_t now_ms;
    yami_consumer_core_t core;
    s_queue_t to_relay;
    s_queue_t to_client;
    uint64_t socket;
    //  The relay.
    bool has_session;
    bool is_attached;
    s_state_t states[MESSAGE_COUNT + 1];
    uint64_t tokens[MESSAGE_COUNT + 1]; //  of its lease
    uint64_t token;                     //  last given
    uint64_t sent;                      //  since attach
    uint64_t granted;
    uint64_t serial;   //  last seen
    uint64_t done;     //  settled by ack, ever
    uint64_t answered; //  messages settled in any way by frames that were ACKED
    //  The application.
    yam_message_t *held[HELD_LIMIT];
    size_t held_count;
} s_world_t;

static s_world_t s_world;

static uint64_t
s_pick(uint64_t count)
{
    return wire_random(&s_world.random) % count;
}

static bool
s_fault(uint64_t count)
{
    return !s_world.is_calm && s_pick(count) == 0;
}

static void
s_push(s_queue_t *queue, yami_block_t *frame, yami_block_t *batch)
{
    assert_true(queue->count < QUEUE_LIMIT);
    queue->items[queue->count++] = (s_item_t) {yami_block_ref(frame), yami_block_ref(batch)};
}

static bool
s_pop(s_queue_t *queue, s_item_t *item)
{
    if (queue->count == 0) {
        return false;
    }
    *item = queue->items[0];
    queue->count--;
    memmove(queue->items, queue->items + 1, queue->count * sizeof *queue->items);
    return true;
}

static void
s_drop(s_item_t *item)
{
    yami_block_unref(&item->frame);
    yami_block_unref(&item->batch);
}

static void
s_clear(s_queue_t *queue)
{
    while (queue->count > 0) {
        s_drop(&queue->items[--queue->count]);
    }
}

//  The session ends at the relay: what was leased is ready again.
static void
s_end_session(void)
{
    s_world.has_session = false;
    s_world.is_attached = false;
    for (uint64_t sequence = 1; sequence <= MESSAGE_COUNT; sequence++) {
        if (s_world.states[sequence] == S_LEASED) {
            s_world.states[sequence] = S_READY;
        }
    }
}

static void
s_cut(void)
{
    s_clear(&s_world.to_relay);
    s_clear(&s_world.to_client);
    s_end_session();
}

static void
s_reply(yami_frame_t frame, yami_block_t *batch)
{
    yami_block_t *block = yami_frame_encode(&frame);
    assert_non_null(block);
    s_push(&s_world.to_client, block, batch);
    yami_block_unref(&block);
}

//  Delivers the next run of ready messages, as far as credit goes.
static void
s_relay_deliver(void)
{
    uint64_t first = 1;
    while (first <= MESSAGE_COUNT && s_world.states[first] != S_READY) {
        first++;
    }
    uint64_t limit = 1 + s_pick(10);
    uint64_t count = 0;
    while (first + count <= MESSAGE_COUNT && s_world.states[first + count] == S_READY &&
           count < limit && s_world.sent + count < s_world.granted) {
        count++;
    }
    if (!s_world.is_attached || count == 0) {
        return;
    }
    yami_builder_t builder;
    yami_builder_init(&builder, 4096);
    uint64_t token = ++s_world.token;
    for (uint64_t sequence = first; sequence < first + count; sequence++) {
        char body[32];
        int size = snprintf(body, sizeof body, "%" PRIu64, sequence);
        yami_record_t record = {.priority = 4, .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
        s_world.states[sequence] = S_LEASED;
        s_world.tokens[sequence] = token;
    }
    yami_batch_t head = {.handle = 1, .epoch = 1, .first_sequence = first};
    yami_block_t *batch = yami_builder_finish(&builder, &head);
    yami_builder_clear(&builder);
    s_world.sent += count;
    s_reply((yami_frame_t) {.type = YAMI_FRAME_DELIVER,
                            .handle = 1,
                            .present = YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST |
                                       YAMI_F_DELIVERIES | YAMI_F_FAILURES | YAMI_F_TIME,
                            .token = token,
                            .base = first,
                            .first = first,
                            .last = first + count - 1,
                            .deliveries = 1},
            batch);
    yami_block_unref(&batch);
}

static void
s_relay_settle(const yami_frame_t *frame)
{
    size_t offset = 0;
    yami_settle_t range;
    assert_int_equal(frame->serial, s_world.serial + 1);
    s_world.serial = frame->serial;
    while (yami_frame_range(frame, &offset, &range)) {
        bool is_extension = frame->type == YAMI_FRAME_EXTEND;
        s_world.answered += is_extension ? 0 : range.last - range.first + 1;
        for (uint64_t sequence = range.first; sequence <= range.last; sequence++) {
            assert_int_equal(s_world.states[sequence], S_LEASED);
            assert_int_equal(s_world.tokens[sequence], range.token);
            if (frame->type == YAMI_FRAME_ACK) {
                s_world.states[sequence] = S_DONE;
                s_world.done++;
            } else if (frame->type == YAMI_FRAME_RELEASE) {
                s_world.states[sequence] = S_READY;
            }
        }
    }
    s_reply((yami_frame_t) {.type = YAMI_FRAME_ACKED,
                            .handle = 1,
                            .present = YAMI_F_SERIAL,
                            .serial = frame->serial},
            NULL);
}

static void
s_relay_frame(const yami_frame_t *frame)
{
    if (frame->type == YAMI_FRAME_HELLO) {
        s_end_session();
        s_world.has_session = true;
        s_reply((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_LEVEL |
                                           YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                                .session = frame->session,
                                .max_frame = YAMI_LIMIT_FRAME,
                                .heartbeat_ms = 1000},
                NULL);
    } else if (!s_world.has_session) {
        s_reply((yami_frame_t) {.type = YAMI_FRAME_ERROR,
                                .present = YAMI_F_STATUS,
                                .status = YAM_STATUS_NO_SESSION},
                NULL);
    } else if (frame->type == YAMI_FRAME_ATTACH) {
        s_world.is_attached = true;
        s_world.sent = 0;
        s_world.granted = 0;
        s_world.serial = 0;
        s_reply((yami_frame_t) {.type = YAMI_FRAME_ATTACHED,
                                .handle = 1,
                                .present = YAMI_F_LEVEL | YAMI_F_SEQUENCE,
                                .sequence = 1},
                NULL);
    } else if (frame->type == YAMI_FRAME_CREDIT) {
        assert_true(frame->messages >= s_world.granted);
        assert_true(frame->messages <= s_world.sent + CREDIT);
        s_world.granted = frame->messages;
    } else if (frame->type >= YAMI_FRAME_ACK && frame->type <= YAMI_FRAME_RELEASE) {
        s_relay_settle(frame);
    }
}

static void
s_relay_receive(void)
{
    s_item_t item;
    yami_frame_t frame;
    if (s_pop(&s_world.to_relay, &item)) {
        assert_int_equal(yami_frame_decode(&frame, item.frame->data, item.frame->size), 0);
        s_relay_frame(&frame);
        s_drop(&item);
    }
}

static void
s_client_receive(void)
{
    s_item_t item;
    yami_frame_t frame;
    if (!s_pop(&s_world.to_client, &item)) {
        return;
    }
    assert_int_equal(yami_frame_decode(&frame, item.frame->data, item.frame->size), 0);
    if (item.batch != NULL) {
        yami_delivery_t delivery;
        assert_int_equal(yami_delivery_decode(&delivery, &frame, item.batch), 0);
        yami_consumer_core_deliver(&s_world.core, s_world.now_ms, &frame, &delivery, true);
    } else {
        yami_consumer_core_frame(&s_world.core, s_world.now_ms, &frame);
    }
    s_drop(&item);
    yami_consumer_core_check(&s_world.core);
    const yami_consumer_core_t *core = &s_world.core;
    assert_true(core->settled - core->unresolved - core->lost <= s_world.answered);
}

static void
s_client_send(void)
{
    yami_consumer_core_t *core = &s_world.core;
    yami_block_t *block = yami_consumer_core_output(core, s_world.now_ms);
    if (block != NULL && core->link.socket_number == s_world.socket) {
        s_push(&s_world.to_relay, block, NULL);
        yami_consumer_core_sent(core, s_world.now_ms);
    }
    yami_consumer_core_check(core);
}

static void
s_client_turn(void)
{
    yami_consumer_core_turn(&s_world.core, s_world.now_ms);
    uint64_t wanted = yami_link_core_socket(&s_world.core.link);
    if (wanted != s_world.socket) {
        s_cut();
        s_world.socket = wanted;
    }
    if (wanted != 0 && s_fault(50)) {
        yami_consumer_core_failed(&s_world.core, s_world.now_ms);
        s_cut();
        s_world.socket = 0;
    }
    yami_consumer_core_check(&s_world.core);
}

static void
s_application_recv(void)
{
    if (s_world.held_count == HELD_LIMIT) {
        return;
    }
    yam_message_t *message = yami_consumer_core_recv(&s_world.core);
    if (message == NULL) {
        return;
    }
    char body[32];
    int size = snprintf(body, sizeof body, "%" PRIu64, yam_message_sequence(message));
    assert_int_equal(yam_message_size(message), size);
    assert_memory_equal(yam_message_body(message), body, (size_t) size);
    s_world.held[s_world.held_count++] = message;
}

static void
s_application_settle(void)
{
    if (s_world.held_count == 0) {
        return;
    }
    static const uint8_t types[] = {YAMI_FRAME_ACK, YAMI_FRAME_ACK,     YAMI_FRAME_ACK,
                                    YAMI_FRAME_ACK, YAMI_FRAME_RELEASE, YAMI_FRAME_EXTEND};
    size_t index = s_pick(s_world.held_count);
    uint8_t type = s_world.is_calm ? YAMI_FRAME_ACK : types[s_pick(sizeof types)];
    bool wakes;
    int rc = yami_consumer_core_settle(&s_world.core, s_world.held[index], type, -1, NULL, &wakes);
    assert_true(rc == 0 || errno == ESTALE);
    if (type != YAMI_FRAME_EXTEND || rc == -1) {
        yam_message_destroy(&s_world.held[index]);
        s_world.held[index] = s_world.held[--s_world.held_count];
    }
    yami_consumer_core_check(&s_world.core);
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
        if (s_fault(100)) {
            s_cut();
        }
        break;
    case 2:
        s_relay_deliver();
        break;
    case 3:
    case 4:
        s_application_recv();
        break;
    case 5:
    case 6:
        s_application_settle();
        break;
    case 7:
    case 8:
        s_client_send();
        break;
    case 9:
        s_relay_receive();
        break;
    default:
        s_client_receive();
        break;
    }
}

static void
s_run(uint64_t seed)
{
    memset(&s_world, 0, sizeof s_world);
    s_world.random = seed;
    s_world.now_ms = 1000;
    yami_consumer_config_t config = {.kind = YAMI_KIND_QUEUE,
                                     .channel = "orders",
                                     .credit_messages = CREDIT,
                                     .credit_bytes = 1000000,
                                     .heartbeat_ms = 1000,
                                     .seed = seed};
    yami_consumer_core_init(&s_world.core, &config);
    for (int step = 0; step < STEP_COUNT; step++) {
        s_step();
    }
    s_world.is_calm = true;
    int left = 400000;
    while ((s_world.done < MESSAGE_COUNT || s_world.core.unresolved > 0) && left > 0) {
        s_step();
        left--;
    }
    if (left == 0) {
        fail_msg("seed %" PRIu64 ": stuck with %" PRIu64 " settled", seed, s_world.done);
    }
    assert_int_equal(s_world.done, MESSAGE_COUNT);
    s_cut();
    while (s_world.held_count > 0) {
        yam_message_destroy(&s_world.held[--s_world.held_count]);
    }
    yami_consumer_core_clear(&s_world.core);
}

static void
test_every_message_is_settled_whatever_the_network_does(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        s_run(seed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_is_settled_whatever_the_network_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
