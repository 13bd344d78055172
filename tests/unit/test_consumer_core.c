//  A consumer's leases, credit and settling, frame by frame.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_consumer_core.h"
#include "yami_message.h"

#define START 1000
#define CREDIT 100
#define MESSAGE_LIMIT 256

static yami_consumer_core_t s_core;
static int64_t s_now;
static yami_frame_t s_sent; //  what left last
static yami_settle_t s_ranges[YAMI_LIMIT_RANGES];
static yam_message_t *s_messages[MESSAGE_LIMIT];
static size_t s_message_count;

static void
s_init(int kind, const char *group)
{
    yami_consumer_config_t config = {.kind = kind,
                                     .channel = "orders",
                                     .start = YAMI_START_NEW,
                                     .credit_messages = CREDIT,
                                     .credit_bytes = 1000000,
                                     .heartbeat_ms = 1000,
                                     .seed = 3};
    (void) snprintf(config.group, sizeof config.group, "%s", group);
    yami_consumer_core_init(&s_core, &config);
    s_now = START;
    yami_consumer_core_turn(&s_core, s_now);
}

static int
s_setup(void **state)
{
    (void) state;
    s_init(YAMI_KIND_QUEUE, "");
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    while (s_message_count > 0) {
        yam_message_destroy(&s_messages[--s_message_count]);
    }
    yami_consumer_core_clear(&s_core);
    return 0;
}

//  Type of the frame that leaves, 0 for none.
static uint8_t
s_send(void)
{
    yami_consumer_core_check(&s_core);
    yami_block_t *block = yami_consumer_core_output(&s_core, s_now);
    yami_consumer_core_check(&s_core);
    if (block == NULL) {
        return 0;
    }
    assert_int_equal(yami_frame_decode(&s_sent, block->data, block->size), 0);
    size_t offset = 0;
    for (uint32_t index = 0; index < s_sent.range_count; index++) {
        assert_true(yami_frame_range(&s_sent, &offset, &s_ranges[index]));
    }
    yami_consumer_core_sent(&s_core, s_now);
    yami_consumer_core_check(&s_core);
    return s_sent.type;
}

static void
s_frame(yami_frame_t frame)
{
    if (frame.handle == 0 && frame.type != YAMI_FRAME_WELCOME && frame.type != YAMI_FRAME_ERROR) {
        frame.handle = YAMI_CLIENT_HANDLE;
    }
    yami_consumer_core_frame(&s_core, s_now, &frame);
    yami_consumer_core_check(&s_core);
}

static void
s_attach(uint64_t sequence)
{
    assert_int_equal(s_send(), YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(s_send(), YAMI_FRAME_ATTACH);
    yami_frame_t attach = s_sent;
    assert_int_equal(s_send(), 0);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ATTACHED, .sequence = sequence});
    assert_int_equal(s_core.state, YAMI_CONSUMER_ATTACHED);
    assert_int_equal(s_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(s_sent.messages, CREDIT);
    s_sent = attach;
}

static yami_block_t *
s_batch(uint64_t base, uint32_t count)
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
static void
s_deliver_part(uint64_t token, uint64_t base, uint32_t count, uint64_t first, uint64_t last)
{
    yami_block_t *block = s_batch(base, count);
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
    yami_consumer_core_deliver(&s_core, s_now, &frame, &delivery, is_sound);
    yami_consumer_core_check(&s_core);
    yami_block_unref(&block);
}

static void
s_deliver(uint64_t token, uint64_t base, uint32_t count)
{
    s_deliver_part(token, base, count, base, base + count - 1);
}

//  The next message, which must be that one, by content.
static yam_message_t *
s_recv(uint64_t sequence)
{
    char body[64];
    yam_message_t *message = yami_consumer_core_recv(&s_core);
    yami_consumer_core_check(&s_core);
    assert_non_null(message);
    assert_true(s_message_count < MESSAGE_LIMIT);
    s_messages[s_message_count++] = message;
    assert_int_equal(yam_message_sequence(message), sequence);
    (void) snprintf(body, sizeof body, "message %" PRIu64, sequence);
    assert_int_equal(yam_message_size(message), strlen(body));
    assert_memory_equal(yam_message_body(message), body, strlen(body));
    return message;
}

static void
s_recv_none(void)
{
    assert_null(yami_consumer_core_recv(&s_core));
}

static int
s_settle(const yam_message_t *message, uint8_t type)
{
    bool wakes;
    return yami_consumer_core_settle(&s_core, message, type, -1, NULL, &wakes);
}

static void
s_ack(uint64_t sequence)
{
    assert_int_equal(s_settle(s_recv(sequence), YAMI_FRAME_ACK), 0);
}

static void
s_expect_range(uint32_t index, uint64_t token, uint64_t first, uint64_t last)
{
    assert_true(index < s_sent.range_count);
    assert_int_equal(s_ranges[index].token, token);
    assert_int_equal(s_ranges[index].first, first);
    assert_int_equal(s_ranges[index].last, last);
}

static void
s_acked(uint64_t serial)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ACKED, .serial = serial});
}

static void
s_lose_session(void)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR, .status = YAM_STATUS_NO_SESSION});
    assert_int_equal(s_core.state, YAMI_CONSUMER_DETACHED);
    s_now += 1000;
}

static void
test_only_the_delivered_part_of_a_batch_is_handed_out(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver_part(5, 10, 20, 13, 15);
    yam_message_t *message = s_recv(13);
    assert_int_equal(yam_message_deliveries(message), 2);
    assert_int_equal(yam_message_failures(message), 1);
    assert_int_equal(yam_message_time_ms(message), 77);
    s_recv(14);
    s_recv(15);
    s_recv_none();
}

static void
test_consecutive_acks_leave_as_one_range_when_the_queue_is_empty(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 10);
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        assert_int_equal(s_send(), 0);
        s_ack(sequence);
    }
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_sent.serial, 1);
    assert_int_equal(s_sent.range_count, 1);
    s_expect_range(0, 5, 1, 10);
    assert_int_equal(s_core.leases.count, 0);
    assert_int_equal(s_core.unresolved, 10);
    s_acked(1);
    assert_int_equal(s_core.unresolved, 0);
}

static void
test_pending_acks_leave_after_five_milliseconds(void **state)
{
    (void) state;
    bool wakes;
    s_attach(1);
    s_deliver(5, 1, 10);
    assert_int_equal(
        yami_consumer_core_settle(&s_core, s_recv(1), YAMI_FRAME_ACK, -1, NULL, &wakes), 0);
    assert_true(wakes); //  so that the engine sets its timer
    assert_int_equal(s_send(), 0);
    assert_int_equal(yami_consumer_core_deadline(&s_core, s_now), s_now + 5);
    assert_int_equal(
        yami_consumer_core_settle(&s_core, s_recv(2), YAMI_FRAME_ACK, -1, NULL, &wakes), 0);
    assert_false(wakes);
    s_now += 4;
    assert_int_equal(s_send(), 0);
    s_now += 1;
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    s_expect_range(0, 5, 1, 2);
}

static void
test_a_quarter_of_the_credit_pending_leaves_at_once(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 80);
    for (uint64_t sequence = 1; sequence < CREDIT / 4; sequence++) {
        s_ack(sequence);
        assert_int_equal(s_send(), 0);
    }
    s_ack(CREDIT / 4);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    s_expect_range(0, 5, 1, CREDIT / 4);
}

static void
test_acks_out_of_order_are_sorted_and_merged(void **state)
{
    (void) state;
    static const int order[] = {5, 3, 9, 0, 1, 8, 4, 2, 7};
    s_attach(1);
    s_deliver(5, 1, 6);
    s_deliver(4, 7, 4);
    yam_message_t *messages[10];
    for (uint64_t index = 0; index < 10; index++) {
        messages[index] = s_recv(index + 1);
    }
    for (size_t index = 0; index < 9; index++) {
        assert_int_equal(s_settle(messages[order[index]], YAMI_FRAME_ACK), 0);
    }
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_sent.range_count, 2);
    s_expect_range(0, 4, 8, 10);
    s_expect_range(1, 5, 1, 6);
    assert_int_equal(s_core.leases.open, 1);
}

static void
test_each_kind_delay_and_reason_is_a_frame_of_its_own(void **state)
{
    (void) state;
    bool wakes;
    s_attach(1);
    s_deliver(5, 1, 6);
    yam_message_t *messages[6];
    for (uint64_t index = 0; index < 6; index++) {
        messages[index] = s_recv(index + 1);
    }
    static const struct {
        uint8_t type;
        int64_t delay_ms;
        const char *reason;
    } settles[] = {{YAMI_FRAME_NACK, 5, "a"},   {YAMI_FRAME_NACK, 5, "b"},
                   {YAMI_FRAME_NACK, -1, "a"},  {YAMI_FRAME_NACK, 5, "a"},
                   {YAMI_FRAME_REJECT, 5, "a"}, {YAMI_FRAME_RELEASE, 5, "a"}};
    for (size_t index = 0; index < 6; index++) {
        assert_int_equal(yami_consumer_core_settle(&s_core, messages[index], settles[index].type,
                                                   settles[index].delay_ms, settles[index].reason,
                                                   &wakes),
                         0);
    }
    assert_int_equal(s_send(), YAMI_FRAME_NACK);
    assert_int_equal(s_sent.range_count, 2);
    assert_int_equal(s_sent.delay_ms, 5);
    assert_int_equal(s_send(), YAMI_FRAME_NACK);
    assert_int_equal(s_sent.range_count, 1);
    assert_int_equal(s_send(), YAMI_FRAME_NACK);
    assert_int_equal(s_sent.present & YAMI_F_DELAY_MS, 0);
    assert_int_equal(s_send(), YAMI_FRAME_REJECT);
    assert_int_not_equal(s_sent.present & YAMI_F_TEXT, 0);
    assert_int_equal(s_send(), YAMI_FRAME_RELEASE);
    assert_int_equal(s_sent.present & (YAMI_F_TEXT | YAMI_F_DELAY_MS), 0);
    assert_int_equal(s_sent.serial, 5);
    s_acked(4);
    assert_int_equal(s_core.unresolved, 1);
}

static void
test_extend_leaves_before_the_ack_and_settles_nothing(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 1);
    yam_message_t *message = s_recv(1);
    assert_int_equal(s_settle(message, YAMI_FRAME_EXTEND), 0);
    assert_int_equal(s_settle(message, YAMI_FRAME_EXTEND), 0);
    assert_int_equal(s_core.unresolved, 0);
    assert_int_equal(s_settle(message, YAMI_FRAME_ACK), 0);
    assert_int_equal(s_send(), YAMI_FRAME_EXTEND);
    s_expect_range(0, 5, 1, 1);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
}

static void
test_more_ranges_than_a_frame_holds_take_two(void **state)
{
    (void) state;
    yami_settle_list_t list = {0};
    yami_frame_t frame;
    uint64_t messages;
    for (uint64_t sequence = 2; sequence <= 6000; sequence += 2) {
        assert_int_equal(yami_settle_list_add(&list, YAMI_FRAME_ACK, -1, NULL, 1, sequence), 0);
    }
    assert_true(yami_settle_list_next(&list, &frame, &messages));
    assert_int_equal(messages, YAMI_LIMIT_RANGES);
    yami_settle_list_taken(&list, &frame);
    assert_true(yami_settle_list_next(&list, &frame, &messages));
    assert_int_equal(messages, 3000 - YAMI_LIMIT_RANGES);
    yami_settle_list_taken(&list, &frame);
    assert_false(yami_settle_list_next(&list, &frame, &messages));
    yami_settle_list_clear(&list);
}

static void
test_credit_is_granted_again_when_a_quarter_came_back(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, CREDIT);
    for (uint64_t sequence = 1; sequence < CREDIT / 4; sequence++) {
        s_ack(sequence);
    }
    assert_int_equal(s_send(), 0);
    s_ack(CREDIT / 4);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(s_sent.messages, CREDIT + CREDIT / 4);
    assert_int_equal(s_send(), 0);
}

static void
test_all_bytes_come_back_when_all_is_settled(void **state)
{
    (void) state;
    s_attach(1);
    yami_block_t *block = s_batch(1, 7);
    size_t size = block->size;
    yami_block_unref(&block);
    s_deliver(5, 1, 7);
    for (uint64_t sequence = 1; sequence <= 7; sequence++) {
        s_ack(sequence);
    }
    assert_int_equal(s_core.gone_bytes, size);
}

static void
test_forgotten_messages_give_their_credit_back_after_two_leases(void **state)
{
    (void) state;
    s_core.config.lease_ms = 500;
    s_attach(1);
    s_deliver(5, 1, 2);
    yam_message_t *message = s_recv(1);
    yami_consumer_core_turn(&s_core, s_now);
    s_recv(2);
    yami_consumer_core_turn(&s_core, s_now);
    assert_int_equal(yami_consumer_core_deadline(&s_core, s_now), s_now + 1000);
    s_now += 999;
    yami_consumer_core_turn(&s_core, s_now);
    assert_int_equal(s_core.gone_messages, 0);
    s_now += 1;
    yami_consumer_core_turn(&s_core, s_now);
    assert_int_equal(s_core.gone_messages, 2);
    assert_int_equal(s_settle(message, YAMI_FRAME_ACK), 0); //  the relay decides
    assert_int_equal(s_core.gone_messages, 2);              //  but it is not gone twice
}

//  Attaches; how many messages the first grant allows, 0 when there is none.
static uint64_t
s_attach_granted(void)
{
    assert_int_equal(s_send(), YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(s_send(), YAMI_FRAME_ATTACH);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ATTACHED, .sequence = 1});
    assert_int_equal(s_send(), YAMI_FRAME_CREDIT);
    return s_sent.messages;
}

static void
test_limit_is_never_exceeded_by_what_is_granted(void **state)
{
    (void) state;
    s_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    s_deliver(5, 1, 3);
    s_ack(1);
    s_ack(2);
    assert_false(yami_consumer_core_is_done(&s_core));
    s_ack(3);
    assert_true(yami_consumer_core_is_done(&s_core));
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_send(), 0);             //  no credit for what was settled
    assert_int_equal(s_core.gone_messages, 3); //  though it came back
    s_deliver(6, 4, 2);                        //  a relay that does not keep to the grant
    s_recv_none();
}

static void
test_limit_above_the_credit_is_granted_bit_by_bit(void **state)
{
    (void) state;
    s_core.config.limit_messages = CREDIT + 10;
    assert_int_equal(s_attach_granted(), CREDIT);
    s_deliver(5, 1, CREDIT);
    for (uint64_t sequence = 1; sequence <= 9; sequence++) {
        s_ack(sequence);
    }
    assert_int_equal(s_core.is_urgent, false);
    assert_int_equal(s_send(), 0); //  less than a good part of the credit
    s_ack(10);
    yami_consumer_core_flush(&s_core);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_send(), YAMI_FRAME_CREDIT); //  but all that the limit allows
    assert_int_equal(s_sent.messages, CREDIT + 10);
    s_ack(11);
    yami_consumer_core_flush(&s_core);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_send(), 0);
}

static void
test_limit_counts_over_sessions_what_was_handed_out(void **state)
{
    (void) state;
    s_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    s_deliver(5, 1, 3);
    s_ack(1);
    s_lose_session(); //  2 and 3 were not handed out
    assert_int_equal(s_attach_granted(), 2);
    s_deliver(6, 2, 2);
    s_ack(2);
    s_ack(3);
    assert_true(yami_consumer_core_is_done(&s_core));
}

static void
test_malformed_deliveries_do_not_count_against_the_limit(void **state)
{
    (void) state;
    s_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    s_deliver_part(5, 1, 1, 1, 2); //  says more than it holds
    assert_int_equal(s_send(), YAMI_FRAME_NACK);
    assert_int_equal(s_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(s_sent.messages, 5);
    s_deliver(6, 1, 3);
    s_ack(1);
    s_ack(2);
    s_ack(3);
    assert_true(yami_consumer_core_is_done(&s_core));
}

static void
test_lost_session_makes_its_messages_stale(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 3);
    yam_message_t *message = s_recv(1);
    s_ack(2);
    s_lose_session();
    s_recv_none();
    assert_int_equal(s_settle(message, YAMI_FRAME_ACK), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(s_core.stale_count, 1);
    assert_int_equal(s_core.lost, 1);
    assert_int_equal(s_core.unresolved, 0);
    s_attach(1);
    assert_int_equal(s_send(), 0); //  nothing of the old session is sent
    s_deliver(6, 1, 3);
    s_ack(1);
    assert_int_equal(s_settle(message, YAMI_FRAME_ACK), -1);
    s_ack(2);
    s_ack(3);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_sent.serial, 1); //  anew in each session
    s_expect_range(0, 6, 1, 3);
}

static void
test_fenced_error_counts_as_stale(void **state)
{
    (void) state;
    s_attach(1);
    s_frame((yami_frame_t) {
        .type = YAMI_FRAME_ERROR, .handle = YAMI_CLIENT_HANDLE, .status = YAM_STATUS_FENCED});
    assert_int_equal(s_core.stale_count, 1);
    assert_int_equal(s_core.state, YAMI_CONSUMER_ATTACHED);
}

static void
test_cumulative_acked_resolves_all_before(void **state)
{
    (void) state;
    s_attach(1);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        s_deliver(sequence, sequence, 1);
        s_ack(sequence);
        assert_int_equal(s_send(), YAMI_FRAME_ACK);
    }
    s_acked(2);
    assert_int_equal(s_core.unresolved, 1);
    s_acked(2);
    s_acked(1);
    assert_int_equal(s_core.unresolved, 1);
    s_acked(1000); //  more than was sent
    assert_int_equal(s_core.unresolved, 0);
}

static void
test_serials_without_an_answer_stay_bounded(void **state)
{
    (void) state;
    s_attach(1);
    for (uint64_t sequence = 1; sequence <= 2 * YAMI_CONSUMER_SERIALS; sequence++) {
        s_deliver(sequence, sequence, 1);
        s_ack(sequence);
        while (s_send() != 0) {
        }
        yam_message_destroy(&s_messages[--s_message_count]);
    }
    assert_int_equal(s_core.unresolved, 2 * YAMI_CONSUMER_SERIALS);
    s_acked(s_core.serial);
    assert_int_equal(s_core.unresolved, 0);
}

static void
test_malformed_batch_is_dropped_and_nacked(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver_part(5, 10, 2, 10, 12); //  says more than it holds
    s_recv_none();
    assert_int_equal(s_core.dropped_count, 1);
    assert_int_equal(s_core.gone_messages, 3);
    assert_int_equal(s_send(), YAMI_FRAME_NACK);
    s_expect_range(0, 5, 10, 12);
}

static void
test_relay_that_floods_loses_its_session(void **state)
{
    (void) state;
    s_core.config.credit_bytes = 1;
    s_attach(1);
    s_core.leases.bytes += 3 * (uint64_t) YAMI_LIMIT_FRAME; //  as if so much had come
    yami_block_t *block = s_batch(1, 1);
    yami_frame_t frame = {.type = YAMI_FRAME_DELIVER,
                          .handle = YAMI_CLIENT_HANDLE,
                          .token = 1,
                          .base = 1,
                          .first = 1,
                          .last = 1};
    yami_delivery_t delivery;
    assert_int_equal(yami_delivery_decode(&delivery, &frame, block), 0);
    yami_consumer_core_deliver(&s_core, s_now, &frame, &delivery, true);
    yami_block_unref(&block);
    s_core.leases.bytes -= 3 * (uint64_t) YAMI_LIMIT_FRAME;
    assert_int_equal(s_core.state, YAMI_CONSUMER_DETACHED);
}

static void
test_own_subscription_goes_on_where_it_was(void **state)
{
    (void) state;
    yami_consumer_core_clear(&s_core);
    s_init(YAMI_KIND_TOPIC, "");
    s_attach(50);
    assert_int_equal(s_sent.start, YAMI_START_NEW);
    s_lose_session();
    s_attach(50);
    assert_int_equal(s_sent.start, YAMI_START_SEQUENCE);
    assert_int_equal(s_sent.sequence, 50);
    s_deliver(1, 50, 2);
    s_deliver(2, 52, 2);
    s_ack(50);
    s_ack(51);
    s_lose_session();
    s_attach(52);
    assert_int_equal(s_sent.sequence, 52);
    s_deliver(3, 52, 2);
    s_ack(52);
    s_ack(53);
    s_lose_session();
    s_attach(54);
    assert_int_equal(s_sent.sequence, 54);
}

static void
test_named_group_keeps_its_start(void **state)
{
    (void) state;
    yami_consumer_core_clear(&s_core);
    s_init(YAMI_KIND_TOPIC, "audit");
    s_attach(50);
    assert_true(s_sent.durable);
    s_lose_session();
    s_attach(50);
    assert_int_equal(s_sent.start, YAMI_START_NEW);
}

static void
test_refused_attachment_is_final(void **state)
{
    (void) state;
    assert_int_equal(s_send(), YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(s_send(), YAMI_FRAME_ATTACH);
    s_frame((yami_frame_t) {
        .type = YAMI_FRAME_DETACHED, .present = YAMI_F_STATUS, .status = YAM_STATUS_CONFLICT});
    assert_int_equal(s_core.state, YAMI_CONSUMER_FINAL);
    assert_int_equal(s_send(), YAMI_FRAME_GOODBYE);
    assert_int_equal(yami_link_core_socket(&s_core.link), 0);
}

static void
test_close_waits_for_acked_then_detaches(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 3);
    s_ack(1);
    yami_consumer_core_close(&s_core);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    assert_int_equal(s_send(), 0);
    s_deliver(6, 4, 3); //  too late: goes back with the rest
    s_acked(1);
    assert_int_equal(s_send(), YAMI_FRAME_DETACH);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_DETACHED});
    assert_int_equal(s_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(s_core.lost, 0);
    yami_consumer_core_leave(&s_core);
    assert_int_equal(s_send(), YAMI_FRAME_GOODBYE);
}

static void
test_close_without_a_session_is_done_at_once(void **state)
{
    (void) state;
    yami_consumer_core_close(&s_core);
    assert_int_equal(s_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(s_send(), 0);
}

static void
test_session_lost_while_closing_is_the_end(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 3);
    s_ack(1);
    yami_consumer_core_close(&s_core);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR, .status = YAM_STATUS_NO_SESSION});
    assert_int_equal(s_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(s_core.lost, 1);
    assert_int_equal(s_send(), 0);
}

static void
test_relay_that_never_acks_loses_patience(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 1);
    s_ack(1);
    assert_int_equal(s_send(), YAMI_FRAME_ACK);
    for (int second = 0; second < 30; second++) {
        assert_int_equal(s_core.state, YAMI_CONSUMER_ATTACHED);
        s_now += 1000;
        s_frame((yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT});
        yami_consumer_core_turn(&s_core, s_now);
        (void) s_send();
    }
    assert_int_equal(s_core.state, YAMI_CONSUMER_DETACHED);
    assert_int_equal(s_core.lost, 1);
}

static void
test_message_that_was_not_received_here_cannot_be_settled(void **state)
{
    (void) state;
    s_attach(1);
    s_deliver(5, 1, 3);
    yam_message_t *message = yam_message_new("x", 1);
    s_messages[s_message_count++] = message;
    assert_int_equal(s_settle(message, YAMI_FRAME_ACK), -1);
    assert_int_equal(errno, ESTALE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_the_delivered_part_of_a_batch_is_handed_out),
        TEST(test_consecutive_acks_leave_as_one_range_when_the_queue_is_empty),
        TEST(test_pending_acks_leave_after_five_milliseconds),
        TEST(test_a_quarter_of_the_credit_pending_leaves_at_once),
        TEST(test_acks_out_of_order_are_sorted_and_merged),
        TEST(test_each_kind_delay_and_reason_is_a_frame_of_its_own),
        TEST(test_extend_leaves_before_the_ack_and_settles_nothing),
        TEST(test_more_ranges_than_a_frame_holds_take_two),
        TEST(test_credit_is_granted_again_when_a_quarter_came_back),
        TEST(test_all_bytes_come_back_when_all_is_settled),
        TEST(test_forgotten_messages_give_their_credit_back_after_two_leases),
        TEST(test_limit_is_never_exceeded_by_what_is_granted),
        TEST(test_limit_above_the_credit_is_granted_bit_by_bit),
        TEST(test_limit_counts_over_sessions_what_was_handed_out),
        TEST(test_malformed_deliveries_do_not_count_against_the_limit),
        TEST(test_lost_session_makes_its_messages_stale),
        TEST(test_fenced_error_counts_as_stale),
        TEST(test_cumulative_acked_resolves_all_before),
        TEST(test_serials_without_an_answer_stay_bounded),
        TEST(test_malformed_batch_is_dropped_and_nacked),
        TEST(test_relay_that_floods_loses_its_session),
        TEST(test_own_subscription_goes_on_where_it_was),
        TEST(test_named_group_keeps_its_start),
        TEST(test_refused_attachment_is_final),
        TEST(test_close_waits_for_acked_then_detaches),
        TEST(test_close_without_a_session_is_done_at_once),
        TEST(test_session_lost_while_closing_is_the_end),
        TEST(test_relay_that_never_acks_loses_patience),
        TEST(test_message_that_was_not_received_here_cannot_be_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
