//  A consumer with a limit: what is granted, over sessions and whatever comes.

#include "consumer/consumer_fixture.h"

//  Attaches; how many messages the first grant allows, 0 when there is none.
static uint64_t
s_attach_granted(void)
{
    assert_int_equal(consumer_send(), YAMI_FRAME_HELLO);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                   .session = consumer_core.link.session,
                                   .heartbeat_ms = 1000,
                                   .max_frame = YAMI_LIMIT_FRAME});
    assert_int_equal(consumer_send(), YAMI_FRAME_ATTACH);
    consumer_frame((yami_frame_t) {.type = YAMI_FRAME_ATTACHED, .sequence = 1});
    assert_int_equal(consumer_send(), YAMI_FRAME_CREDIT);
    return consumer_sent.messages;
}

static void
test_limit_is_never_exceeded_by_what_is_granted(void **state)
{
    (void) state;
    consumer_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    consumer_deliver(5, 1, 3);
    consumer_ack(1);
    consumer_ack(2);
    assert_false(yami_consumer_core_is_done(&consumer_core));
    consumer_ack(3);
    assert_true(yami_consumer_core_is_done(&consumer_core));
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_send(), 0);             //  no credit for what was settled
    assert_int_equal(consumer_core.gone_messages, 3); //  though it came back
    consumer_deliver(6, 4, 2);                        //  a relay that does not keep to the grant
    consumer_recv_none();
}

static void
test_limit_above_the_credit_is_granted_bit_by_bit(void **state)
{
    (void) state;
    consumer_core.config.limit_messages = CONSUMER_CREDIT + 10;
    assert_int_equal(s_attach_granted(), CONSUMER_CREDIT);
    consumer_deliver(5, 1, CONSUMER_CREDIT);
    for (uint64_t sequence = 1; sequence <= 9; sequence++) {
        consumer_ack(sequence);
    }
    assert_int_equal(consumer_core.is_urgent, false);
    assert_int_equal(consumer_send(), 0); //  less than a good part of the credit
    consumer_ack(10);
    yami_consumer_core_flush(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_send(), YAMI_FRAME_CREDIT); //  but all that the limit allows
    assert_int_equal(consumer_sent.messages, CONSUMER_CREDIT + 10);
    consumer_ack(11);
    yami_consumer_core_flush(&consumer_core);
    assert_int_equal(consumer_send(), YAMI_FRAME_ACK);
    assert_int_equal(consumer_send(), 0);
}

static void
test_limit_counts_over_sessions_what_was_handed_out(void **state)
{
    (void) state;
    consumer_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    consumer_deliver(5, 1, 3);
    consumer_ack(1);
    consumer_lose_session(); //  2 and 3 were not handed out
    assert_int_equal(s_attach_granted(), 2);
    consumer_deliver(6, 2, 2);
    consumer_ack(2);
    consumer_ack(3);
    assert_true(yami_consumer_core_is_done(&consumer_core));
}

static void
test_malformed_deliveries_do_not_count_against_the_limit(void **state)
{
    (void) state;
    consumer_core.config.limit_messages = 3;
    assert_int_equal(s_attach_granted(), 3);
    consumer_deliver_part(5, 1, 1, 1, 2); //  says more than it holds
    assert_int_equal(consumer_send(), YAMI_FRAME_NACK);
    assert_int_equal(consumer_send(), YAMI_FRAME_CREDIT);
    assert_int_equal(consumer_sent.messages, 5);
    consumer_deliver(6, 1, 3);
    consumer_ack(1);
    consumer_ack(2);
    consumer_ack(3);
    assert_true(yami_consumer_core_is_done(&consumer_core));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_limit_is_never_exceeded_by_what_is_granted),
        TEST(test_limit_above_the_credit_is_granted_bit_by_bit),
        TEST(test_limit_counts_over_sessions_what_was_handed_out),
        TEST(test_malformed_deliveries_do_not_count_against_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
