//  Relay driver: what it makes of the core's decisions over a store that has little room.

#include "relay/relay_fixture.h"

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_memory_store.h"
#include "yami_relay_driver.h"
#include "yami_relay_state.h"

#define QUEUES 2
#define PUBLISHER 1
#define CONSUMER 2
#define MESSAGES 50
#define PLENTY (1u << 30)

typedef struct {
    yami_relay_options_t options;
    yami_relay_core_t *core;
    yami_store_t *store;
    yami_relay_driver_t driver;
    int64_t now_ms;
    yami_settle_t got[1000]; //  by queue: what was delivered
    uint32_t handles[1000];
    unsigned got_count;
    unsigned refused_count;
    uint64_t status;    //  of the last one refused
    uint64_t published; //  to each queue
    char failed[64];    //  what the log says of it
} world_t;

static int
s_send(void *arg, uint64_t peer, yami_block_t *block, yami_block_t *data)
{
    world_t *w = arg;
    yami_frame_t frame = {0};
    (void) peer;
    (void) data;
    assert_int_equal(yami_frame_decode(&frame, block->data, block->size), 0);
    if (frame.type == YAMI_FRAME_DELIVER) {
        assert_true(w->got_count < sizeof w->got / sizeof w->got[0]);
        w->handles[w->got_count] = frame.handle;
        w->got[w->got_count++] = (yami_settle_t) {frame.token, frame.first, frame.last};
    } else if (frame.type == YAMI_FRAME_REFUSE) {
        w->refused_count++;
        w->status = frame.status;
    }
    return 0;
}

static void
s_close(void *arg, uint64_t peer)
{
    (void) arg;
    (void) peer;
}

static void
s_log(void *arg, yami_log_level_t level, const char *event, const char *text)
{
    (void) level;
    world_t *w = arg;
    if (strcmp(event, "relay.store-failed") == 0) {
        (void) snprintf(w->failed, sizeof w->failed, "%.60s", text);
    }
}

static int64_t
s_now_ms(void *arg)
{
    return ((world_t *) arg)->now_ms;
}

static const yami_relay_driver_ops_t s_ops = {
    .send = s_send, .close = s_close, .log = s_log, .mono_ms = s_now_ms, .wall_ms = s_now_ms};

static void
s_frame(world_t *w, uint64_t peer, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    assert_non_null(block);
    yami_relay_driver_frame(&w->driver, peer, block);
    yami_block_unref(&block);
}

//  What was appended is durable, then a turn.
static void
s_turn(world_t *w)
{
    uint64_t durable_lsn = 0;
    (void) w->store->ops->commit(w->store, &durable_lsn);
    yami_relay_driver_durable(&w->driver, 0, durable_lsn);
    yami_relay_event_t event = {.type = YAMI_EVENT_TURN};
    yami_relay_driver_event(&w->driver, &event);
}

static void
s_hello(world_t *w, uint64_t peer)
{
    yami_frame_t frame = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = peer,
                          .name = yami_slice_text("client"),
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = 3600000};
    s_frame(w, peer, &frame);
}

//  Handle n of both peers is about queue n.
static void
s_attach(world_t *w, uint32_t queue)
{
    static const char *const names[QUEUES] = {"p", "q"};
    yami_frame_t producer = {.type = YAMI_FRAME_ATTACH,
                             .handle = queue,
                             .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL |
                                        YAMI_F_PRODUCER | YAMI_F_EPOCH | YAMI_F_FIRST,
                             .role = YAMI_ROLE_PRODUCER,
                             .kind = YAMI_KIND_QUEUE,
                             .channel = yami_slice_text(names[queue - 1]),
                             .first = 1};
    producer.producer.bytes[0] = (uint8_t) queue;
    yami_frame_t consumer = {.type = YAMI_FRAME_ATTACH,
                             .handle = queue,
                             .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL,
                             .role = YAMI_ROLE_CONSUMER,
                             .kind = YAMI_KIND_QUEUE,
                             .channel = producer.channel};
    s_frame(w, PUBLISHER, &producer);
    s_frame(w, CONSUMER, &consumer);
}

static void
s_publish(world_t *w, uint32_t queue, uint64_t sequence)
{
    yami_block_t *block = fixture_batch(queue, (uint8_t) queue, 1, sequence, 1, NULL);
    yami_relay_driver_frame(&w->driver, PUBLISHER, block);
    yami_block_unref(&block);
}

static void
s_credit(world_t *w, uint32_t queue)
{
    yami_frame_t frame = {.type = YAMI_FRAME_CREDIT,
                          .handle = queue,
                          .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
                          .messages = PLENTY,
                          .bytes = PLENTY};
    s_frame(w, CONSUMER, &frame);
}

static void
s_reject(world_t *w)
{
    for (unsigned index = 0; index < w->got_count; index++) {
        yami_frame_t frame = {.type = YAMI_FRAME_REJECT,
                              .handle = w->handles[index],
                              .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                              .serial = index + 1,
                              .ranges = &w->got[index],
                              .range_count = 1};
        s_frame(w, CONSUMER, &frame);
    }
    w->got_count = 0;
}

//  Messages that were rejected and are not among the dead letters yet.
static uint64_t
s_moving(const world_t *w)
{
    uint64_t count = 0;
    yami_relay_group_t *group;
    for (size_t index = 0; (group = yami_relay_map_next(&w->core->groups, &index)) != NULL;) {
        count += group->pieces.totals[YAMI_PIECE_MOVING];
    }
    return count;
}

static world_t *
s_new(uint64_t limit_bytes)
{
    world_t *w = yami_alloc(sizeof *w);
    yami_options_init(yami_relay_option_table, &w->options);
    w->now_ms = 1700000000000;
    w->core = yami_relay_core_new(&w->options, YAM_LEVEL_RECEIVED, "test", 7);
    w->store = yami_memory_store_new(limit_bytes);
    yami_relay_driver_init(&w->driver, w->core, w->store, &s_ops, w);
    s_hello(w, PUBLISHER);
    s_hello(w, CONSUMER);
    for (uint32_t queue = 1; queue <= QUEUES; queue++) {
        s_attach(w, queue);
    }
    s_turn(w);
    return w;
}

static void
s_free(world_t **w_p)
{
    world_t *w = *w_p;
    yami_relay_driver_clear(&w->driver);
    yami_relay_core_destroy(&w->core);
    assert_int_equal(w->store->ops->close(&w->store), 0);
    yami_free(w);
    *w_p = NULL;
}

//  Each queue gets messages, an entry each, as long as there is room; then all are rejected at
//  once.
static void
s_fill_and_reject(world_t *w)
{
    for (uint64_t sequence = 1; sequence <= MESSAGES && w->refused_count == 0; sequence++) {
        for (uint32_t queue = 1; queue <= QUEUES; queue++) {
            s_publish(w, queue, sequence);
        }
        w->published = sequence;
        s_turn(w);
    }
    for (uint32_t queue = 1; queue <= QUEUES; queue++) {
        s_credit(w, queue);
    }
    for (int turn = 0; turn < 20; turn++) {
        s_turn(w);
    }
    assert_int_equal(w->got_count, QUEUES * w->published - w->refused_count);
    s_reject(w);
    for (int turn = 0; turn < 20; turn++) {
        w->now_ms += 1000;
        s_turn(w);
    }
}

//  A move is a copy for a moment. The queues take turns within one turn of the relay: when one has
//  used up the room, another has decided to move already, and relied on what it was told.
static void
test_queues_that_reject_everything_at_the_limit_of_memory_fail_no_relay(void **state)
{
    (void) state;
    unsigned refused_count = 0;
    unsigned moved_count = 0;
    for (uint64_t limit_bytes = 20000; limit_bytes < 60000; limit_bytes += 500) {
        world_t *w = s_new(limit_bytes);
        s_fill_and_reject(w);
        assert_string_equal(w->failed, "");
        assert_true(w->refused_count == 0 || w->status == YAM_STATUS_DISK);
        refused_count += w->refused_count > 0 ? 1 : 0;
        moved_count += s_moving(w) == 0 ? 1 : 0;
        s_free(&w);
    }
    assert_true(refused_count > 0 && moved_count > 0); //  both sides of the limit were seen
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queues_that_reject_everything_at_the_limit_of_memory_fail_no_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
