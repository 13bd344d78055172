//  Relay core: delivery, credit, leases, settling, retries and dead letters.

#include "relay/consume_fixture.h"

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_properties.h"

//  Peer 2 gets so many messages, on a lease of that token.
static uint64_t
s_lease(fixture_t *f, uint32_t count)
{
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, count);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, count, 1, 0);
    return f->frame.token;
}

static void
test_nothing_delivered_before_durable(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, 3);
    fixture_turn(f);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_durable_at(f, f->entry_count);
    consume_expect_deliver(f, 2, 1, 3, 1, 0);
    assert_string_equal(fixture_body(f, 2), "9.2");
}

static void
test_whole_batch_is_the_very_block(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    yami_block_t *block = fixture_batch(1, 9, 1, 1, 100, NULL);
    fixture_publish(f, 1, yami_block_ref(block));
    fixture_durable(f);
    consume_expect_deliver(f, 2, 1, 100, 1, 0);
    assert_ptr_equal(f->taken_data, block);
    assert_int_equal(f->fetch_count, 1);
    yami_block_unref(&block);
}

//  It is the relay that lacks memory, and no consumer: what reached nobody has failed for nobody.
static void
test_message_that_there_is_no_memory_to_deliver_is_not_leased(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 3);
    fixture_durable(f);
    fixture_credit(f, 2, 5, 100, PLENTY);
    yami_alloc_fail_after(0);
    fixture_turn(f);
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_advance(f, 100);
    consume_expect_deliver(f, 2, 1, 3, 1, 0);
}

//  Nobody asks for a confirm: who has sent all it may waits for it, and for credit, in silence.
static void
test_confirm_that_there_is_no_memory_to_send_is_sent_later(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 3);
    fixture_turn(f);
    fixture_forget(f);
    yami_alloc_fail_after(0);
    fixture_durable(f);
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
    fixture_advance(f, 100);
    fixture_expect(f, 1, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, 3);
}

static void
test_small_credits_share_one_fetch(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 10);
    fixture_durable(f);
    for (uint64_t credit = 1; credit <= 10; credit++) {
        fixture_credit(f, 2, 5, credit, PLENTY);
        fixture_turn(f);
        consume_expect_deliver(f, 2, credit, credit, 1, 0);
        fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    }
    assert_int_equal(f->fetch_count, 1);
}

static void
test_byte_credit_is_exceeded_by_one_message_at_most(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 10);
    fixture_durable(f);
    fixture_credit(f, 2, 5, 100, 1);
    fixture_turn(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_credit(f, 2, 5, 100, 2 * f->taken_data->size + 15); //  two records more in a frame
    fixture_turn(f);
    consume_expect_deliver(f, 2, 2, 3, 1, 0);
    assert_int_equal(f->frame.base, 2);
}

static void
test_members_take_turns(void **state)
{
    fixture_t *f = *state;
    fixture_hello(f, 3);
    fixture_consumer(f, 3, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_credit(f, 3, 5, 100, PLENTY);
    for (uint64_t first = 1; first <= 4; first++) {
        consume_publish(f, first, 1);
    }
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
}

static void
test_acked_only_when_durable_and_trimmed(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, 3);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 3, 1, 0);
    consume_settle(f, YAMI_FRAME_ACK, f->frame.token, 1, 3);
    fixture_turn(f);
    fixture_expect_none(f, 2, YAMI_FRAME_ACKED);
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_ACKED);
    assert_int_equal(f->trimmed[1], 4);
}

static void
test_stale_ack_changes_nothing(void **state)
{
    fixture_t *f = *state;
    uint64_t token = s_lease(f, 3);
    fixture_hello(f, 3);
    fixture_consumer(f, 3, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_settle(f, 3, 5, YAMI_FRAME_ACK, 1, token, 1, 3); //  another peer's
    fixture_expect(f, 3, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    consume_settle(f, YAMI_FRAME_ACK, token, 1, 4); //  beyond its lease
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    consume_settle(f, YAMI_FRAME_ACK, token + 1, 1, 3);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "leased"), 3);
    assert_int_equal(fixture_number(f, "stale"), 10);
    consume_settle(f, YAMI_FRAME_ACK, token, 2, 2);
    consume_settle(f, YAMI_FRAME_ACK, token, 2, 2);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    fixture_expect_none(f, 2, YAMI_FRAME_ERROR);
}

static void
test_lease_timeout_redelivers_with_a_failure(void **state)
{
    fixture_t *f = *state;
    uint64_t token = s_lease(f, 3);
    consume_settle(f, YAMI_FRAME_ACK, token, 2, 2);
    fixture_settle_down(f);
    fixture_advance(f, LEASE_MS - 1);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    assert_int_equal(yami_relay_core_deadline(f->core), f->mono_ms + 1);
    fixture_advance(f, 1);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER); //  backoff
    fixture_advance(f, 799);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_advance(f, 402);
    consume_expect_deliver(f, 2, 1, 1, 2, 1);
    consume_expect_deliver(f, 2, 3, 3, 2, 1);
    consume_settle(f, YAMI_FRAME_ACK, token, 1, 1);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
}

static void
test_extend_starts_the_lease_anew(void **state)
{
    fixture_t *f = *state;
    uint64_t token = s_lease(f, 1);
    fixture_advance(f, LEASE_MS - 1);
    consume_settle(f, YAMI_FRAME_EXTEND, token, 1, 1);
    fixture_advance(f, LEASE_MS - 1);
    consume_settle(f, YAMI_FRAME_ACK, token, 1, 1);
    fixture_expect_none(f, 2, YAMI_FRAME_ERROR);
}

//  Of a range of which only a part was left, the rest was called stale.
static void
test_extend_of_what_is_settled_extends_what_is_left_of_the_lease(void **state)
{
    fixture_t *f = *state;
    uint64_t token = s_lease(f, 10);
    consume_settle(f, YAMI_FRAME_ACK, token, 1, 9);
    fixture_advance(f, LEASE_MS - 1);
    consume_settle(f, YAMI_FRAME_EXTEND, token, 1, 5);
    fixture_advance(f, LEASE_MS - 1);
    consume_settle(f, YAMI_FRAME_EXTEND, token, 1, 10);
    fixture_advance(f, LEASE_MS - 1);
    fixture_expect_none(f, 2, YAMI_FRAME_ERROR);
    consume_settle(f, YAMI_FRAME_EXTEND, token, 1, 11); //  not within it
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    consume_settle(f, YAMI_FRAME_ACK, token, 10, 10);
    fixture_expect_none(f, 2, YAMI_FRAME_ERROR);
    consume_settle(f, YAMI_FRAME_EXTEND, token, 1, 10); //  nothing is left
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
}

static void
test_nack_waits_its_delay(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, 1);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    yami_settle_t range = {f->frame.token, 1, 1};
    yami_frame_t nack = {.type = YAMI_FRAME_NACK,
                         .handle = 5,
                         .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_DELAY_MS | YAMI_F_TEXT,
                         .serial = 1,
                         .ranges = &range,
                         .range_count = 1,
                         .delay_ms = 5000,
                         .text = yami_slice_text("busy")};
    fixture_send(f, 2, &nack);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_ACKED);
    fixture_advance(f, 4999);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_advance(f, 1);
    consume_expect_deliver(f, 2, 1, 1, 2, 1);
}

static void
test_release_and_gone_return_without_blame(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, 4);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 4, 1, 0);
    consume_settle(f, YAMI_FRAME_RELEASE, f->frame.token, 2, 3);
    fixture_turn(f);
    consume_expect_deliver(f, 2, 2, 3, 2, 0);
    fixture_hello(f, 3);
    fixture_consumer(f, 3, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_credit(f, 3, 5, 100, PLENTY);
    fixture_gone(f, 2);
    fixture_turn(f);
    consume_expect_deliver(f, 3, 1, 1, 2, 0);
    consume_expect_deliver(f, 3, 2, 3, 3, 0);
    consume_expect_deliver(f, 3, 4, 4, 2, 0);
}

static void
test_returned_ones_come_before_new_ones(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 2, PLENTY);
    consume_publish(f, 1, 4);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 2, 1, 0);
    consume_settle(f, YAMI_FRAME_RELEASE, f->frame.token, 1, 2);
    fixture_credit(f, 2, 5, 3, PLENTY);
    fixture_turn(f);
    consume_expect_deliver(f, 2, 1, 1, 2, 0);
}

//  Fails message 1 until it is a dead letter; returns how often it was delivered.
static int
s_fail_for_good(fixture_t *f)
{
    int count = 0;
    for (int64_t waited = 0; waited < 1000000; waited += 1000) {
        if (fixture_take(f, 2, YAMI_FRAME_DELIVER)) {
            count++;
            yami_settle_t range = {f->frame.token, 1, 1};
            yami_frame_t nack = {.type = YAMI_FRAME_NACK,
                                 .handle = 5,
                                 .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_TEXT,
                                 .serial = 1,
                                 .ranges = &range,
                                 .range_count = 1,
                                 .text = yami_slice_text("no such customer")};
            fixture_send(f, 2, &nack);
            fixture_settle_down(f);
        }
        fixture_advance(f, 1000);
    }
    return count;
}

static void
s_expect_property(fixture_t *f, const char *name, const char *text, int64_t number)
{
    size_t offset = 0;
    yami_record_t record;
    yami_property_t property;
    assert_int_equal(yami_batch_next(&f->batch, &offset, &record), 0);
    assert_true(yami_properties_find(record.properties, name, &property));
    if (text != NULL) {
        assert_true(yami_slice_equal(property.text, text));
    } else {
        assert_int_equal(property.number, number);
    }
}

static void
test_dead_letter_at_the_limit_and_redriven(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, 1, 1, "a.b"));
    fixture_settle_down(f);
    int64_t begin_ms = f->wall_ms;
    assert_int_equal(s_fail_for_good(f), 5);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 0);
    assert_int_equal(fixture_number(f, "dead"), 1);
    assert_int_equal(fixture_number(f, "dead-lettered"), 1);
    fixture_consumer(f, 2, 6, QUEUE, "q.dead", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 6, 1, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    assert_string_equal(fixture_body(f, 1), "9.1");
    s_expect_property(f, "subject", "a.b", 0);
    s_expect_property(f, "yam-origin", "q", 0);
    s_expect_property(f, "yam-group", "", 0);
    s_expect_property(f, "yam-reason", "no such customer", 0);
    s_expect_property(f, "yam-deliveries", NULL, 5);
    s_expect_property(f, "yam-failures", NULL, 5);
    s_expect_property(f, "yam-first-time", NULL, begin_ms);
    fixture_settle(f, 2, 6, YAMI_FRAME_RELEASE, 1, f->frame.token, 1, 1);
    fixture_settle_down(f);
    fixture_admin(f, 1, "redrive", "q", true);
    assert_int_equal(fixture_number(f, "messages"), 1);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_admin(f, 1, "redrive", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 1);
    consume_expect_deliver(f, 2, 2, 2, 1, 0);
    assert_string_equal(fixture_body(f, 2), "9.1");
    yami_property_t property;
    size_t offset = 0;
    yami_record_t record;
    assert_int_equal(yami_batch_next(&f->batch, &offset, &record), 0);
    assert_false(yami_properties_find(record.properties, "yam-origin", &property));
    s_expect_property(f, "subject", "a.b", 0);
    fixture_admin(f, 1, "stat", "q.dead", false);
    assert_int_equal(fixture_number(f, "messages"), 0);
}

static void
test_dead_letters_go_to_the_channel_that_is_named(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    consume_publish(f, 1, 1);
    fixture_settle_down(f);
    assert_int_equal(s_fail_for_good(f), 5);
    fixture_consumer(f, 2, 6, QUEUE, "other", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 6, 1, PLENTY);
    fixture_settle_down(f);
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present =
                              YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_TARGET,
                          .serial = 1,
                          .command = yami_slice_text("redrive"),
                          .channel = yami_slice_text("q"),
                          .target = yami_slice_text("other")};
    fixture_send(f, 1, &frame);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_REPLY);
    assert_int_equal(fixture_number(f, "messages"), 1);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    assert_int_equal(f->frame.handle, 6);
    assert_string_equal(fixture_body(f, 1), "9.1");
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
}

//  Whatever prefix of the journal survives, the message is in exactly one of the two channels.
static void
test_dead_letter_is_one_write(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    consume_publish(f, 1, 1);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    consume_settle(f, YAMI_FRAME_REJECT, f->frame.token, 1, 1);
    fixture_turn(f);
    fixture_settle_down(f);
    size_t count = f->entry_count;
    for (size_t keep = count; keep > 3; keep--) {
        fixture_restart_at(f, keep);
        fixture_hello(f, 1);
        fixture_admin(f, 1, "stat", "q", false);
        int64_t messages = fixture_number(f, "messages");
        int64_t dead = fixture_number(f, "dead");
        assert_int_equal(messages + dead, 1);
    }
}

static void
test_reject_without_room_waits_for_room(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    consume_publish(f, 1, 2);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 2, 1, 0);
    f->has_room = false;
    consume_settle(f, YAMI_FRAME_REJECT, f->frame.token, 1, 2);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_ACKED); //  the failure itself is on disk
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "moving"), 2);
    f->has_room = true;
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "dead"), 2);
}

static void
test_dead_letters_have_no_dead_letters(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 1000, PLENTY);
    consume_publish(f, 1, 1);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    consume_settle(f, YAMI_FRAME_REJECT, f->frame.token, 1, 1);
    fixture_settle_down(f);
    fixture_consumer(f, 2, 6, QUEUE, "q.dead", "", "", 0, LEASE_MS);
    fixture_credit(f, 2, 6, 10, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    fixture_settle(f, 2, 6, YAMI_FRAME_REJECT, 1, f->frame.token, 1, 1);
    fixture_settle_down(f);
    fixture_admin(f, 1, "stat", "q.dead", false);
    assert_int_equal(fixture_number(f, "delayed"), 1);
    fixture_advance(f, 720001);
    consume_expect_deliver(f, 2, 1, 1, 2, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, consume_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_delivered_before_durable),
        TEST(test_whole_batch_is_the_very_block),
        TEST(test_message_that_there_is_no_memory_to_deliver_is_not_leased),
        TEST(test_confirm_that_there_is_no_memory_to_send_is_sent_later),
        TEST(test_small_credits_share_one_fetch),
        TEST(test_byte_credit_is_exceeded_by_one_message_at_most),
        TEST(test_members_take_turns),
        TEST(test_acked_only_when_durable_and_trimmed),
        TEST(test_stale_ack_changes_nothing),
        TEST(test_lease_timeout_redelivers_with_a_failure),
        TEST(test_extend_starts_the_lease_anew),
        TEST(test_extend_of_what_is_settled_extends_what_is_left_of_the_lease),
        TEST(test_nack_waits_its_delay),
        TEST(test_release_and_gone_return_without_blame),
        TEST(test_returned_ones_come_before_new_ones),
        TEST(test_dead_letter_at_the_limit_and_redriven),
        TEST(test_dead_letters_go_to_the_channel_that_is_named),
        TEST(test_dead_letter_is_one_write),
        TEST(test_reject_without_room_waits_for_room),
        TEST(test_dead_letters_have_no_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
