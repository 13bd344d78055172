//  A consumer's leases, credit and settling, frame by frame.
//  One file: the cases follow one attachment, from what is delivered until it is closed.

#include "consumer/consumer_fixture.h"

#include <errno.h>
#include <string.h>

static void
test_only_the_delivered_part_of_a_batch_is_handed_out(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver_part(5, 10, 20, 13, 15);
    yam_message_t *message = consumer_recv(13);
    assert_int_equal(yam_message_deliveries(message), 2);
    assert_int_equal(yam_message_failures(message), 1);
    assert_int_equal(yam_message_time_ms(message), 77);
    consumer_recv(14);
    consumer_recv(15);
    consumer_recv_none();
}

static void
test_consecutive_acks_leave_as_one_range_when_the_queue_is_empty(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 10);
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        assert_int_equal(consumer_send(), 0);
        consumer_ack(sequence);
    }
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_sent.serial, 1);
    assert_int_equal(consumer_sent.range_count, 1);
    consumer_expect_range(0, 5, 1, 10);
    assert_int_equal(consumer_core.leases.count, 0);
    assert_int_equal(consumer_core.unresolved, 10);
    consumer_acked(1);
    assert_int_equal(consumer_core.unresolved, 0);
}

static void
test_pending_acks_leave_after_five_milliseconds(void **state)
{
    (void) state;
    bool wakes;
    consumer_attach(1);
    consumer_deliver(5, 1, 10);
    assert_int_equal(yami_consumer_core_settle(&consumer_core, consumer_recv(1), YAMI_FRAME_ACK, -1,
                                               NULL, &wakes),
                     0);
    assert_true(wakes); //  so that the engine sets its timer
    assert_int_equal(consumer_send(), 0);
    assert_int_equal(yami_consumer_core_deadline(&consumer_core, consumer_now), consumer_now + 5);
    assert_int_equal(yami_consumer_core_settle(&consumer_core, consumer_recv(2), YAMI_FRAME_ACK, -1,
                                               NULL, &wakes),
                     0);
    assert_false(wakes);
    consumer_now += 4;
    assert_int_equal(consumer_send(), 0);
    consumer_now += 1;
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    consumer_expect_range(0, 5, 1, 2);
}

static void
test_a_quarter_of_the_credit_pending_leaves_at_once(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 80);
    for (uint64_t sequence = 1; sequence < CONSUMER_CREDIT / 4; sequence++) {
        consumer_ack(sequence);
        assert_int_equal(consumer_send(), 0);
    }
    consumer_ack(CONSUMER_CREDIT / 4);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    consumer_expect_range(0, 5, 1, CONSUMER_CREDIT / 4);
}

static void
test_acks_out_of_order_are_sorted_and_merged(void **state)
{
    (void) state;
    static const int order[] = {5, 3, 9, 0, 1, 8, 4, 2, 7};
    consumer_attach(1);
    consumer_deliver(5, 1, 6);
    consumer_deliver(4, 7, 4);
    yam_message_t *messages[10];
    for (uint64_t index = 0; index < 10; index++) {
        messages[index] = consumer_recv(index + 1);
    }
    for (size_t index = 0; index < 9; index++) {
        assert_int_equal(consumer_settle(messages[order[index]], YAMI_FRAME_ACK), 0);
    }
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_sent.range_count, 2);
    consumer_expect_range(0, 4, 8, 10);
    consumer_expect_range(1, 5, 1, 6);
    assert_int_equal(consumer_core.leases.open, 1);
}

static void
test_each_kind_delay_and_reason_is_a_frame_of_its_own(void **state)
{
    (void) state;
    bool wakes;
    consumer_attach(1);
    consumer_deliver(5, 1, 6);
    yam_message_t *messages[6];
    for (uint64_t index = 0; index < 6; index++) {
        messages[index] = consumer_recv(index + 1);
    }
    static const struct {
        uint8_t type;
        int64_t delay_ms;
        const char *reason;
    } settles[] = {{YAMI_FRAME_NACK, 5, "a"},   {YAMI_FRAME_NACK, 5, "b"},
                   {YAMI_FRAME_NACK, -1, "a"},  {YAMI_FRAME_NACK, 5, "a"},
                   {YAMI_FRAME_REJECT, 5, "a"}, {YAMI_FRAME_RELEASE, 5, "a"}};
    for (size_t index = 0; index < 6; index++) {
        assert_int_equal(yami_consumer_core_settle(&consumer_core, messages[index],
                                                   settles[index].type, settles[index].delay_ms,
                                                   settles[index].reason, &wakes),
                         0);
    }
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    assert_int_equal(consumer_sent.range_count, 2);
    assert_int_equal(consumer_sent.delay_ms, 5);
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    assert_int_equal(consumer_sent.range_count, 1);
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    assert_int_equal(consumer_sent.present & YAMI_F_DELAY_MS, 0);
    assert_int_equal(consumer_send(), YAMI_FRAME_REJECT);
    assert_int_not_equal(consumer_sent.present & YAMI_F_TEXT, 0);
    assert_int_equal(consumer_send(), YAMI_FRAME_RELEASE);
    assert_int_equal(consumer_sent.present & (YAMI_F_TEXT | YAMI_F_DELAY_MS), 0);
    assert_int_equal(consumer_sent.serial, 5);
    consumer_acked(4);
    assert_int_equal(consumer_core.unresolved, 1);
}

static void
test_extend_leaves_before_the_ack_and_settles_nothing(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 1);
    yam_message_t *message = consumer_recv(1);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_EXTEND), 0);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_EXTEND), 0);
    assert_int_equal(consumer_core.unresolved, 0);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_ACK), 0);
    assert_int_equal(consumer_send(), YAMI_FRAME_EXTEND);
    consumer_expect_range(0, 5, 1, 1);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
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
    consumer_attach(1);
    consumer_deliver(5, 1, CONSUMER_CREDIT);
    for (uint64_t sequence = 1; sequence < CONSUMER_CREDIT / 4; sequence++) {
        consumer_ack(sequence);
    }
    assert_int_equal(consumer_send(), 0);
    consumer_ack(CONSUMER_CREDIT / 4);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(consumer_sent.messages, CONSUMER_CREDIT + CONSUMER_CREDIT / 4);
    assert_int_equal(consumer_send(), 0);
}

static void
test_all_bytes_come_back_when_all_is_settled(void **state)
{
    (void) state;
    consumer_attach(1);
    yami_block_t *block = consumer_batch(1, 7);
    size_t size = block->size;
    yami_block_unref(&block);
    consumer_deliver(5, 1, 7);
    for (uint64_t sequence = 1; sequence <= 7; sequence++) {
        consumer_ack(sequence);
    }
    assert_int_equal(consumer_core.gone_bytes, size);
}

static void
test_forgotten_messages_give_their_credit_back_after_two_leases(void **state)
{
    (void) state;
    consumer_core.config.lease_ms = 500;
    consumer_attach(1);
    consumer_deliver(5, 1, 2);
    yam_message_t *message = consumer_recv(1);
    yami_consumer_core_turn(&consumer_core, consumer_now);
    consumer_recv(2);
    yami_consumer_core_turn(&consumer_core, consumer_now);
    assert_int_equal(yami_consumer_core_deadline(&consumer_core, consumer_now),
                     consumer_now + 1000);
    consumer_now += 999;
    yami_consumer_core_turn(&consumer_core, consumer_now);
    assert_int_equal(consumer_core.gone_messages, 0);
    consumer_now += 1;
    yami_consumer_core_turn(&consumer_core, consumer_now);
    assert_int_equal(consumer_core.gone_messages, 2);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_ACK), 0); //  the relay decides
    assert_int_equal(consumer_core.gone_messages, 2);              //  but it is not gone twice
}

static void
test_lost_session_makes_its_messages_stale(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    yam_message_t *message = consumer_recv(1);
    consumer_ack(2);
    consumer_lose_session();
    consumer_recv_none();
    assert_int_equal(consumer_settle(message, YAMI_FRAME_ACK), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(consumer_core.stale_count, 1);
    assert_int_equal(consumer_core.lost, 1);
    assert_int_equal(consumer_core.unresolved, 0);
    consumer_attach(1);
    assert_int_equal(consumer_send(), 0); //  nothing of the old session is sent
    consumer_deliver(6, 1, 3);
    consumer_ack(1);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_ACK), -1);
    consumer_ack(2);
    consumer_ack(3);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_sent.serial, 1); //  anew in each session
    consumer_expect_range(0, 6, 1, 3);
}

static void
test_fenced_error_counts_as_stale(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_frame((yami_frame_t) {
        .type = YAMI_FRAME_ERROR, .handle = YAMI_CLIENT_HANDLE, .status = YAM_STATUS_FENCED});
    assert_int_equal(consumer_core.stale_count, 1);
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_ATTACHED);
}

static void
test_errors_that_say_the_attachment_is_gone_begin_a_new_session(void **state)
{
    (void) state;
    static const struct {
        yam_status_t status;
        uint32_t handle;
        bool is_gone;
    } cases[] = {{YAM_STATUS_UNKNOWN, YAMI_CLIENT_HANDLE + 1, false},
                 {YAM_STATUS_UNKNOWN, YAMI_CLIENT_HANDLE, true},
                 {YAM_STATUS_STORAGE_FAILED, YAMI_CLIENT_HANDLE, true}};
    consumer_attach(1);
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR,
                                       .handle = cases[index].handle,
                                       .status = cases[index].status});
        bool is_gone = consumer_core.state == YAMI_CONSUMER_DETACHED;
        assert_int_equal(is_gone, cases[index].is_gone);
        assert_int_equal(consumer_core.storage_failed,
                         cases[index].status == YAM_STATUS_STORAGE_FAILED);
        consumer_now += 1000;
        if (is_gone) {
            consumer_attach(1);
        }
    }
}

static void
test_frames_for_another_handle_and_deliveries_without_a_batch_change_nothing(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 1);
    consumer_ack(1);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    consumer_frame(
        (yami_frame_t) {.type = YAMI_FRAME_ACKED, .handle = YAMI_CLIENT_HANDLE + 1, .serial = 1});
    assert_int_equal(consumer_core.unresolved, 1);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_DELIVER, .token = 6, .first = 2, .last = 2});
    assert_int_equal(consumer_core.dropped_count, 1);
    consumer_recv_none();
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_ATTACHED);
}

static void
test_cumulative_acked_resolves_all_before(void **state)
{
    (void) state;
    consumer_attach(1);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        consumer_deliver(sequence, sequence, 1);
        consumer_ack(sequence);
        assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    }
    consumer_acked(2);
    assert_int_equal(consumer_core.unresolved, 1);
    consumer_acked(2);
    consumer_acked(1);
    assert_int_equal(consumer_core.unresolved, 1);
    consumer_acked(1000); //  more than was sent
    assert_int_equal(consumer_core.unresolved, 0);
}

static void
test_serials_without_an_answer_stay_bounded(void **state)
{
    (void) state;
    consumer_attach(1);
    for (uint64_t sequence = 1; sequence <= 2 * YAMI_CONSUMER_SERIALS; sequence++) {
        consumer_deliver(sequence, sequence, 1);
        consumer_ack(sequence);
        while (consumer_send() != 0) {
        }
        consumer_free_messages();
    }
    assert_int_equal(consumer_core.unresolved, 2 * YAMI_CONSUMER_SERIALS);
    consumer_acked(consumer_core.serial);
    assert_int_equal(consumer_core.unresolved, 0);
}

static void
test_malformed_batch_is_dropped_and_nacked(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver_part(5, 10, 2, 10, 12); //  says more than it holds
    consumer_recv_none();
    assert_int_equal(consumer_core.dropped_count, 1);
    assert_int_equal(consumer_core.gone_messages, 3);
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    consumer_expect_range(0, 5, 10, 12);
}

//  The checksum is right, and the first record is not: the relay counts a failure of what is never
//  settled.
static void
test_malformed_records_are_dropped_and_not_settled(void **state)
{
    (void) state;
    consumer_attach(1);
    for (uint64_t first = 1; first <= 2; first++) {
        yami_block_t *block = consumer_batch(1, 3);
        yami_frame_t frame = {.type = YAMI_FRAME_DELIVER,
                              .handle = YAMI_CLIENT_HANDLE,
                              .token = first,
                              .base = 1,
                              .first = first,
                              .last = 3};
        yami_delivery_t delivery;
        assert_int_equal(yami_delivery_decode(&delivery, &frame, block), 0);
        uint8_t records[128];
        assert_true(delivery.batch.payload.size <= sizeof records);
        memcpy(records, delivery.batch.payload.data, delivery.batch.payload.size);
        records[0] = 200; //  a body larger than the batch
        delivery.batch.payload.data = records;
        yami_consumer_core_deliver(&consumer_core, consumer_now, &frame, &delivery, true);
        consumer_recv_none();
        yami_consumer_core_check(&consumer_core);
        yami_block_unref(&block);
        assert_int_equal(consumer_core.dropped_count, first);
    }
    assert_int_equal(consumer_core.gone_messages, 5);
    assert_int_equal(consumer_core.leases.count, 0);
    assert_int_equal(consumer_core.unresolved, 0);
    consumer_deliver(3, 4, 1);
    consumer_ack(4);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    consumer_expect_range(0, 3, 4, 4);
}

static void
test_delivery_that_comes_twice_is_taken_once(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    consumer_deliver(5, 1, 3);
    assert_int_equal(consumer_core.dropped_count, 1);
    assert_int_equal(consumer_core.leases.ready, 3);
}

static void
test_malformed_batch_that_comes_twice_is_not_waited_for_twice(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver_part(5, 10, 2, 10, 12);
    consumer_deliver_part(5, 10, 2, 10, 12);
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    consumer_expect_range(0, 5, 10, 12);
    consumer_acked(1);
    assert_int_equal(consumer_send(), YAMI_FRAME_DETACH);
}

static void
test_relay_that_floods_loses_its_session(void **state)
{
    (void) state;
    consumer_core.config.credit_bytes = 1;
    consumer_attach(1);
    consumer_core.leases.bytes += 3 * (uint64_t) YAMI_LIMIT_FRAME; //  as if so much had come
    yami_block_t *block = consumer_batch(1, 1);
    yami_frame_t frame = {.type = YAMI_FRAME_DELIVER,
                          .handle = YAMI_CLIENT_HANDLE,
                          .token = 1,
                          .base = 1,
                          .first = 1,
                          .last = 1};
    yami_delivery_t delivery;
    assert_int_equal(yami_delivery_decode(&delivery, &frame, block), 0);
    yami_consumer_core_deliver(&consumer_core, consumer_now, &frame, &delivery, true);
    yami_block_unref(&block);
    consumer_core.leases.bytes -= 3 * (uint64_t) YAMI_LIMIT_FRAME;
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_DETACHED);
}

static void
test_own_subscription_goes_on_where_it_was(void **state)
{
    (void) state;
    yami_consumer_core_clear(&consumer_core);
    consumer_init(YAMI_KIND_TOPIC, "");
    consumer_attach(50);
    assert_int_equal(consumer_sent.start, YAMI_START_NEW);
    consumer_lose_session();
    consumer_attach(50);
    assert_int_equal(consumer_sent.start, YAMI_START_SEQUENCE);
    assert_int_equal(consumer_sent.sequence, 50);
    consumer_deliver(1, 50, 2);
    consumer_deliver(2, 52, 2);
    consumer_ack(50);
    consumer_ack(51);
    consumer_lose_session();
    consumer_attach(52);
    assert_int_equal(consumer_sent.sequence, 52);
    consumer_deliver(3, 52, 2);
    consumer_ack(52);
    consumer_ack(53);
    consumer_lose_session();
    consumer_attach(54);
    assert_int_equal(consumer_sent.sequence, 54);
}

static void
test_named_group_keeps_its_start(void **state)
{
    (void) state;
    yami_consumer_core_clear(&consumer_core);
    consumer_init(YAMI_KIND_TOPIC, "audit");
    consumer_attach(50);
    assert_true(consumer_sent.durable);
    consumer_lose_session();
    consumer_attach(50);
    assert_int_equal(consumer_sent.start, YAMI_START_NEW);
}

static void
test_refused_attachment_is_final(void **state)
{
    (void) state;
    assert_int_equal(consumer_send(), YAMI_FRAME_HELLO);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                   .session = consumer_core.link.session,
                                   .heartbeat_ms = 1000,
                                   .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(consumer_send(), YAMI_FRAME_ATTACH);
    consumer_frame((yami_frame_t) {
        .type = YAMI_FRAME_DETACHED, .present = YAMI_F_STATUS, .status = YAM_STATUS_CONFLICT});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_FINAL);
    assert_int_equal(consumer_send(), YAMI_FRAME_GOODBYE);
    assert_int_equal(yami_link_core_socket(&consumer_core.link), 0);
}

static void
test_close_waits_for_acked_then_detaches(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    consumer_ack(1);
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_send(), 0);
    consumer_deliver(6, 4, 3); //  too late: goes back with the rest
    consumer_acked(1);
    assert_int_equal(consumer_send(), YAMI_FRAME_DETACH);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_DETACHED});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(consumer_core.lost, 0);
    yami_consumer_core_leave(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_GOODBYE);
}

static void
test_closing_again_while_it_detaches_waits_for_the_relay(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_DETACH);
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_DETACHING);
    assert_int_equal(consumer_send(), 0);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_DETACHED});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_LEFT);
}

static void
test_close_without_a_session_is_done_at_once(void **state)
{
    (void) state;
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(consumer_send(), 0);
}

static void
test_session_lost_while_closing_is_the_end(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    consumer_ack(1);
    yami_consumer_core_close(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR, .status = YAM_STATUS_NO_SESSION});
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_LEFT);
    assert_int_equal(consumer_core.lost, 1);
    assert_int_equal(consumer_send(), 0);
}

static void
test_relay_that_never_acks_loses_patience(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 1);
    consumer_ack(1);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    for (int second = 0; second < 30; second++) {
        assert_int_equal(consumer_core.state, YAMI_CONSUMER_ATTACHED);
        consumer_now += 1000;
        consumer_frame((yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT});
        yami_consumer_core_turn(&consumer_core, consumer_now);
        (void) consumer_send();
    }
    assert_int_equal(consumer_core.state, YAMI_CONSUMER_DETACHED);
    assert_int_equal(consumer_core.lost, 1);
}

static void
test_message_that_was_not_received_here_cannot_be_settled(void **state)
{
    (void) state;
    consumer_attach(1);
    consumer_deliver(5, 1, 3);
    yam_message_t *message = yam_message_new("x", 1);
    consumer_keep(message);
    assert_int_equal(consumer_settle(message, YAMI_FRAME_ACK), -1);
    assert_int_equal(errno, ESTALE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

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
        TEST(test_lost_session_makes_its_messages_stale),
        TEST(test_fenced_error_counts_as_stale),
        TEST(test_errors_that_say_the_attachment_is_gone_begin_a_new_session),
        TEST(test_frames_for_another_handle_and_deliveries_without_a_batch_change_nothing),
        TEST(test_cumulative_acked_resolves_all_before),
        TEST(test_serials_without_an_answer_stay_bounded),
        TEST(test_malformed_batch_is_dropped_and_nacked),
        TEST(test_malformed_records_are_dropped_and_not_settled),
        TEST(test_delivery_that_comes_twice_is_taken_once),
        TEST(test_malformed_batch_that_comes_twice_is_not_waited_for_twice),
        TEST(test_relay_that_floods_loses_its_session),
        TEST(test_own_subscription_goes_on_where_it_was),
        TEST(test_named_group_keeps_its_start),
        TEST(test_refused_attachment_is_final),
        TEST(test_close_waits_for_acked_then_detaches),
        TEST(test_closing_again_while_it_detaches_waits_for_the_relay),
        TEST(test_close_without_a_session_is_done_at_once),
        TEST(test_session_lost_while_closing_is_the_end),
        TEST(test_relay_that_never_acks_loses_patience),
        TEST(test_message_that_was_not_received_here_cannot_be_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
