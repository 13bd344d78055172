//  consumer_fixture - see consumer_fixture.h.

#include "consumer_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_LIMIT 256

yami_consumer_core_t consumer_core;
int64_t consumer_now;
yami_frame_t consumer_sent; //  what left last
yami_settle_t consumer_ranges[YAMI_LIMIT_RANGES];
static yam_message_t *s_messages[MESSAGE_LIMIT];
static size_t s_message_count;

void
consumer_init(int kind, const char *group)
{
    yami_consumer_config_t config = {.kind = kind,
                                     .channel = "orders",
                                     .start = YAMI_START_NEW,
                                     .credit_messages = CONSUMER_CREDIT,
                                     .credit_bytes = 1000000,
                                     .heartbeat_ms = 1000,
                                     .seed = 3};
    (void) snprintf(config.group, sizeof config.group, "%s", group);
    yami_consumer_core_init(&consumer_core, &config);
    consumer_now = CONSUMER_START;
    yami_consumer_core_turn(&consumer_core, consumer_now);
}

int
consumer_setup(void **state)
{
    (void) state;
    consumer_init(YAMI_KIND_QUEUE, "");
    return 0;
}

void
consumer_keep(yam_message_t *message)
{
    assert_true(s_message_count < MESSAGE_LIMIT);
    s_messages[s_message_count++] = message;
}

void
consumer_free_messages(void)
{
    while (s_message_count > 0) {
        yam_message_destroy(&s_messages[--s_message_count]);
    }
}

int
consumer_teardown(void **state)
{
    (void) state;
    consumer_free_messages();
    yami_consumer_core_clear(&consumer_core);
    return 0;
}

//  Type of the frame that leaves, 0 for none.
uint8_t
consumer_send(void)
{
    yami_consumer_core_check(&consumer_core);
    yami_block_t *block = yami_consumer_core_output(&consumer_core, consumer_now);
    yami_consumer_core_check(&consumer_core);
    if (block == NULL) {
        return 0;
    }
    assert_int_equal(yami_frame_decode(&consumer_sent, block->data, block->size), 0);
    size_t offset = 0;
    for (uint32_t index = 0; index < consumer_sent.range_count; index++) {
        assert_true(yami_frame_range(&consumer_sent, &offset, &consumer_ranges[index]));
    }
    yami_consumer_core_sent(&consumer_core, consumer_now);
    yami_consumer_core_check(&consumer_core);
    return consumer_sent.type;
}

void
consumer_frame(yami_frame_t frame)
{
    if (frame.handle == 0 && frame.type != YAMI_FRAME_WELCOME && frame.type != YAMI_FRAME_ERROR) {
        frame.handle = YAMI_CLIENT_HANDLE;
    }
    yami_consumer_core_frame(&consumer_core, consumer_now, &frame);
    yami_consumer_core_check(&consumer_core);
}

void
consumer_attach(uint64_t sequence)
{
    assert_int_equal(consumer_send(), YAMI_FRAME_HELLO);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                   .session = consumer_core.link.session,
                                   .heartbeat_ms = 1000,
                                   .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(consumer_send(), YAMI_FRAME_ATTACH);
    yami_frame_t attach = consumer_sent;
    assert_int_equal(consumer_send(), 0);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ATTACHED, .sequence = sequence});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_ATTACHED);
    assert_int_equal(consumer_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(consumer_sent.messages, CONSUMER_CREDIT);
    consumer_sent = attach;
}

yami_block_t *
consumer_batch(uint64_t base, uint32_t count)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 65536);
    for (uint64_t sequence = base; sequence < base + count; sequence++) {
        char body[64];
        int size = snprintf(body, sizeof body, "message %" PRIu64, sequence);
        yami_record_t record = {.priority = 4, .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_batch_t head = {.handle = 9, .epoch = 1, .first_sequence = 1};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    yami_builder_clear(&builder);
    assert_non_null(block);
    return block;
}

//  Delivers first..last of a batch that holds base..base + count - 1.
void
consumer_deliver_part(uint64_t token, uint64_t base, uint32_t count, uint64_t first, uint64_t last)
{
    yami_block_t *block = consumer_batch(base, count);
    yami_frame_t frame = {.type = YAMI_FRAME_DELIVER,
                          .handle = YAMI_CLIENT_HANDLE,
                          .token = token,
                          .base = base,
                          .first = first,
                          .last = last,
                          .deliveries = 2,
                          .failures = 1,
                          .time = 77};
    yami_delivery_t delivery;
    bool is_sound = yami_delivery_decode(&delivery, &frame, block) == 0;
    yami_consumer_core_deliver(&consumer_core, consumer_now, &frame, &delivery, is_sound);
    yami_consumer_core_check(&consumer_core);
    yami_block_unref(&block);
}

void
consumer_deliver(uint64_t token, uint64_t base, uint32_t count)
{
    consumer_deliver_part(token, base, count, base, base + count - 1);
}

//  The next message, which must be that one, by content.
yam_message_t *
consumer_recv(uint64_t sequence)
{
    char body[64];
    yam_message_t *message = yami_consumer_core_recv(&consumer_core);
    yami_consumer_core_check(&consumer_core);
    assert_non_null(message);
    consumer_keep(message);
    assert_int_equal(yam_message_sequence(message), sequence);
    (void) snprintf(body, sizeof body, "message %" PRIu64, sequence);
    assert_int_equal(yam_message_size(message), strlen(body));
    assert_memory_equal(yam_message_body(message), body, strlen(body));
    return message;
}

void
consumer_recv_none(void)
{
    assert_null(yami_consumer_core_recv(&consumer_core));
}

int
consumer_settle(const yam_message_t *message, uint8_t type)
{
    bool wakes;
    return yami_consumer_core_settle(&consumer_core, message, type, -1, NULL, &wakes);
}

void
consumer_ack(uint64_t sequence)
{
    assert_int_equal(consumer_settle(consumer_recv(sequence), YAMI_FRAME_ACK), 0);
}

void
consumer_expect_range(uint32_t index, uint64_t token, uint64_t first, uint64_t last)
{
    assert_true(index < consumer_sent.range_count);
    assert_int_equal(consumer_ranges[index].token, token);
    assert_int_equal(consumer_ranges[index].first, first);
    assert_int_equal(consumer_ranges[index].last, last);
}

void
consumer_acked(uint64_t serial)
{
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ACKED, .serial = serial});
}

void
consumer_lose_session(void)
{
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR, .status = YAM_STATUS_NO_SESSION});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_DETACHED);
    consumer_now += 1000;
}
