//  Relay core: groups and filters, retention, purge and peek, and messages that are lost.

#include "relay/consume_fixture.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"

static void
test_each_group_of_a_topic_gets_everything(void **state)
{
    fixture_t *f = *state;
    fixture_consumer(f, 2, 6, TOPIC, "t", "a", "", 0, LEASE_MS);
    fixture_expect_none(f, 2, YAMI_FRAME_ATTACHED); //  not before the group is durable
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    fixture_consumer(f, 2, 7, TOPIC, "t", "b", "", 0, LEASE_MS);
    fixture_settle_down(f);
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    fixture_credit(f, 2, 6, 100, PLENTY);
    fixture_credit(f, 2, 7, 100, PLENTY);
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 1, 5, NULL));
    fixture_settle_down(f);
    for (int group = 0; group < 2; group++) {
        consume_expect_deliver(f, 2, 1, 5, 1, 0);
        assert_int_equal(f->trimmed[2], 0);
        fixture_settle(f, 2, f->frame.handle, YAMI_FRAME_ACK, 1, f->frame.token, 1, 5);
        fixture_settle_down(f);
    }
    assert_int_equal(f->trimmed[2], 6);
}

static void
test_filter_settles_silently_what_it_does_not_take(void **state)
{
    fixture_t *f = *state;
    fixture_consumer(f, 2, 6, TOPIC, "t", "a", "eu.>", 0, LEASE_MS);
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    fixture_credit(f, 2, 6, 100, PLENTY);
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 1, 2, "us.x"));
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 3, 2, "eu.x"));
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 5, 2, NULL));
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 3, 4, 1, 0);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_settle(f, 2, 6, YAMI_FRAME_ACK, 1, f->frame.token, 3, 4);
    fixture_settle_down(f);
    assert_int_equal(f->trimmed[2], 7);
    fixture_restart(f);
    fixture_hello(f, 2);
    fixture_consumer(f, 2, 6, TOPIC, "t", "a", "eu.*", 0, LEASE_MS);
    fixture_expect(f, 2, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_CONFLICT);
    fixture_consumer(f, 2, 7, TOPIC, "t", "a", "eu.>", 0, LEASE_MS);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 7);
}

static void
test_ephemeral_group_starts_new_and_leaves_no_trace(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 1, 2, NULL));
    fixture_settle_down(f);
    fixture_consumer(f, 2, 6, TOPIC, "t", "", "", YAMI_START_NEW, LEASE_MS);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 3);
    fixture_credit(f, 2, 6, 100, PLENTY);
    size_t count = f->entry_count;
    fixture_publish(f, 1, fixture_batch(2, 8, 1, 3, 2, NULL));
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 3, 4, 1, 0);
    fixture_settle(f, 2, 6, YAMI_FRAME_ACK, 1, f->frame.token, 3, 4);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_ACKED);
    assert_int_equal(f->entry_count, count + 1);
    fixture_gone(f, 2);
    fixture_admin(f, 1, "relay", NULL, false);
    assert_int_equal(fixture_number(f, "groups"), 1); //  the queue's
    fixture_hello(f, 2);
    fixture_consumer(f, 2, 6, TOPIC, "t", "", "", YAMI_START_FIRST, LEASE_MS);
    fixture_credit(f, 2, 6, 100, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 2, 1,
                           0); //  a topic without durable groups keeps what its limits allow
}

static void
test_topic_retention_drops_and_counts(void **state)
{
    fixture_t *f = *state;
    f->options.topic_age_ms = 60000;
    fixture_consumer(f, 2, 6, TOPIC, "t", "a", "", 0, LEASE_MS);
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    for (uint64_t first = 1; first <= 100; first++) {
        fixture_publish(f, 1, fixture_batch(2, 8, 1, first, 1, NULL));
        fixture_settle_down(f);
        fixture_advance(f, 1000);
    }
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_in_range(f->trimmed[2], 20, 42);
    assert_string_equal(f->logged, "relay.retention-dropped");
    fixture_admin(f, 1, "stat", "t", false);
    assert_int_equal(fixture_number(f, "dropped"), f->trimmed[2] - 1);
    assert_in_range(fixture_number(f, "oldest-ms"), 50000, 90000);
    fixture_admin(f, 1, "stat", NULL, false);
    assert_int_equal(fixture_number(f, "dropped"), f->trimmed[2] - 1);
}

static void
test_dropped_messages_of_a_group_that_is_gone_still_count(void **state)
{
    fixture_t *f = *state;
    f->options.topic_age_ms = 60000;
    fixture_consumer(f, 2, 6, TOPIC, "t", "", "", YAMI_START_NEW, LEASE_MS);
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    for (uint64_t first = 1; first <= 100; first++) {
        fixture_publish(f, 1, fixture_batch(2, 8, 1, first, 1, NULL));
        fixture_settle_down(f);
        fixture_advance(f, 1000);
    }
    fixture_settle_down(f);
    fixture_admin(f, 1, "stat", NULL, false);
    uint64_t dropped = fixture_number(f, "dropped");
    assert_in_range(dropped, 20, 60);
    fixture_gone(f, 2);
    fixture_settle_down(f);
    fixture_admin(f, 1, "stat", NULL, false);
    assert_int_equal(fixture_number(f, "groups"), 1); //  the queue's
    assert_int_equal(fixture_number(f, "dropped"), dropped);
}

static int64_t
s_syncs(fixture_t *f, const char *channel)
{
    fixture_admin(f, 1, "stat", channel, false);
    return fixture_number(f, "syncs");
}

static void
test_syncs_of_a_channel_are_the_commits_that_held_its_messages(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 3, QUEUE, "other", 8, 0, 1);
    fixture_settle_down(f);
    assert_int_equal(s_syncs(f, "q"), 0);
    consume_publish(f, 1, 2);
    fixture_publish(f, 1, fixture_batch(3, 8, 1, 1, 2, NULL));
    consume_publish(f, 3, 2);
    fixture_durable(f); //  one commit, two batches of "q" in it
    assert_int_equal(s_syncs(f, "q"), 1);
    assert_int_equal(s_syncs(f, "other"), 1);
    consume_publish(f, 5, 2);
    fixture_durable(f);
    assert_int_equal(s_syncs(f, "q"), 2);
    assert_int_equal(s_syncs(f, "other"), 1);
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 2, 1, 0);
    consume_settle(f, YAMI_FRAME_ACK, f->frame.token, 1, 1);
    consume_settle(f, YAMI_FRAME_REJECT, f->frame.token, 2, 2);
    fixture_settle_down(f);
    assert_int_equal(s_syncs(f, "q"), 2); //  neither is a new message of it
    assert_int_equal(s_syncs(f, "q.dead"), 1);
}

static void
test_drain_delivers_no_more_but_settles(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    consume_publish(f, 1, 1);
    fixture_settle_down(f);
    consume_publish(f, 2, 1);
    yami_relay_event_t drain = {.type = YAMI_EVENT_DRAIN};
    fixture_step(f, &drain);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    assert_false(yami_relay_core_is_idle(f->core));
    consume_settle(f, YAMI_FRAME_ACK, f->frame.token, 1, 1);
    fixture_settle_down(f);
    assert_true(yami_relay_core_is_idle(f->core));
}

static void
test_message_larger_than_max_frame_ends_the_handle(void **state)
{
    fixture_t *f = *state;
    yami_frame_t hello = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = 5,
                          .name = yami_slice_text("small"),
                          .max_frame = YAMI_LIMIT_CONTROL,
                          .heartbeat_ms = 3600000};
    fixture_send(f, 3, &hello);
    fixture_consumer(f, 3, 6, QUEUE, "q", "", "", 0, LEASE_MS);
    fixture_credit(f, 3, 6, 100, PLENTY);
    yami_builder_t builder;
    yami_builder_init(&builder, 1 << 20);
    static uint8_t body[YAMI_LIMIT_CONTROL];
    yami_record_t record = {.priority = 4, .body = yami_slice(body, sizeof body)};
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    yami_batch_t head = {.handle = 1, .epoch = 1, .producer = {.bytes = {9}}, .first_sequence = 1};
    fixture_publish(f, 1, yami_builder_finish(&builder, &head));
    yami_builder_clear(&builder);
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_TOO_BIG);
    fixture_credit(f, 2, 5, 10, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 1, 1, 0);
}

static void
test_purge_makes_acks_stale(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 2, PLENTY);
    consume_publish(f, 1, 5);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 2, 1, 0);
    uint64_t token = f->frame.token;
    fixture_admin(f, 1, "purge", "q", true);
    assert_int_equal(fixture_number(f, "messages"), 5);
    fixture_admin(f, 1, "purge", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 5);
    consume_settle(f, YAMI_FRAME_ACK, token, 1, 2);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    fixture_admin(f, 1, "channels", NULL, false);
    assert_int_equal(fixture_number(f, "messages"), 0);
    assert_int_equal(fixture_number(f, "bytes"), 0);
}

static void
test_group_that_is_not_there_or_not_durable_cannot_be_removed(void **state)
{
    fixture_t *f = *state;
    fixture_consumer(f, 2, 6, TOPIC, "t", "", "", 0, LEASE_MS);
    fixture_settle_down(f);
    static const char *const groups[] = {"", "nope"};
    for (size_t index = 0; index < sizeof groups / sizeof groups[0]; index++) {
        yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                              .present =
                                  YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_GROUP,
                              .serial = 9,
                              .command = yami_slice_text("remove"),
                              .channel = yami_slice_text("t"),
                              .group = yami_slice_text(groups[index])};
        fixture_send(f, 1, &frame);
        fixture_settle_down(f);
        fixture_expect(f, 1, YAMI_FRAME_REPLY);
        assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
    }
    fixture_expect_none(f, 2, YAMI_FRAME_DETACHED);
}

static void
test_bad_names_of_groups_and_filters_are_refused(void **state)
{
    fixture_t *f = *state;
    fixture_consumer(f, 2, 6, TOPIC, "t", ".a", "", 0, LEASE_MS);
    fixture_expect(f, 2, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_MALFORMED);
    fixture_consumer(f, 2, 6, TOPIC, "t", "a", "eu.>.x", 0, LEASE_MS);
    fixture_expect(f, 2, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_MALFORMED);
}

static void
test_peek_shows_without_leasing(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 3);
    consume_publish(f, 4, 3);
    fixture_settle_down(f);
    fixture_admin(f, 1, "peek", "q", false);
    yami_reader_t reader;
    yami_reader_init(&reader, f->frame.rows.data, f->frame.rows.size);
    assert_int_equal(yami_reader_array(&reader), 6);
    assert_int_equal(fixture_number(f, "sequence"), 1);
    assert_int_equal(fixture_number(f, "size"), 3);
    fixture_admin(f, 1, "peek", "nope", false);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
    fixture_admin(f, 1, "dance", "q", false);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
}

//  1 to 3, 4 to 6, which cannot be read, and 7 to 9.
static void
s_publish_with_damage(fixture_t *f)
{
    consume_publish(f, 1, 3);
    consume_publish(f, 4, 3);
    consume_publish(f, 7, 3);
    fixture_settle_down(f);
    f->entries[f->entry_count - 2].is_damaged = true;
}

static void
test_peek_begins_within_a_batch_and_passes_damage(void **state)
{
    fixture_t *f = *state;
    s_publish_with_damage(f);
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present =
                              YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_SEQUENCE,
                          .serial = 1,
                          .command = yami_slice_text("peek"),
                          .channel = yami_slice_text("q"),
                          .sequence = 3};
    fixture_send(f, 1, &frame);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_REPLY);
    yami_reader_t reader;
    yami_reader_init(&reader, f->frame.rows.data, f->frame.rows.size);
    assert_int_equal(yami_reader_array(&reader), 4); //  3, 7, 8, 9
    assert_int_equal(fixture_number(f, "sequence"), 3);
}

static void
test_damage_is_reported_with_its_range_and_passed(void **state)
{
    fixture_t *f = *state;
    s_publish_with_damage(f);
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 3, 1, 0);
    consume_expect_deliver(f, 2, 7, 9, 1, 0);
    assert_string_equal(f->logged, "relay.messages-lost");
    assert_int_equal(f->log_level, YAMI_LOG_ERROR);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "lost"), 3);
}

static void
test_missing_entries_are_lost_too(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 3);
    consume_publish(f, 4, 3);
    fixture_settle_down(f);
    f->entries[f->entry_count - 2].is_missing = true;
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 4, 6, 1, 0);
    f->entries[f->entry_count - 1].is_missing = true;
    consume_publish(f, 7, 1);
    size_t last = f->entry_count - 1;
    f->entries[last].is_missing = true;
    fixture_settle_down(f);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "lost"), 4);
}

//  Such as a process without descriptors: what it cannot open now is still there.
static void
test_messages_that_cannot_be_read_now_are_not_lost(void **state)
{
    fixture_t *f = *state;
    static const int errors[] = {EMFILE, ENFILE, EACCES, ENOMEM, EIO};
    consume_publish(f, 1, 3);
    fixture_settle_down(f);
    for (size_t index = 0; index < sizeof errors / sizeof errors[0]; index++) {
        f->read_error = errors[index];
        fixture_credit(f, 2, 5, 100, PLENTY);
        fixture_settle_down(f);
        fixture_advance(f, 1000);
        fixture_settle_down(f);
        fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    }
    assert_string_equal(f->logged, "relay.read-failed");
    fixture_admin(f, 1, "peek", "q", false);
    assert_int_equal(f->frame.status, YAM_STATUS_OK);
    f->read_error = 0;
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, 1, 3, 1, 0);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "lost"), 0);
}

static void
test_damage_found_at_open_is_lost_in_every_group(void **state)
{
    fixture_t *f = *state;
    consume_publish(f, 1, 9);
    fixture_settle_down(f);
    yami_relay_core_destroy(&f->core);
    f->core = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 3);
    yami_damage_t damage = {.channel = 1, .first = 8, .last = 12, .what = "test"};
    yami_relay_core_lost(f->core, &damage);
    for (size_t index = 0; index < f->entry_count; index++) {
        assert_int_equal(yami_relay_core_replay(f->core, &f->entries[index].entry), 0);
    }
    f->ticket = 0;
    fixture_turn(f);
    assert_true(f->log_count >= 2);
    fixture_settle_down(f);
    fixture_hello(f, 1);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 7);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_publish(f, 1, fixture_batch(1, 9, 2, 1, 1, NULL));
    assert_int_equal(f->entries[f->entry_count - 1].entry.base, 13);
}

//  A client that grants without end and reads nothing must not fill the relay's memory.
static void
test_endless_credit_does_not_empty_the_backlog_into_one_link(void **state)
{
    fixture_t *f = *state;
    enum {
        RECORDS = 12,
        BODY = 8 << 20
    };
    uint8_t *body = yami_try_alloc(BODY, BODY);
    assert_non_null(body);
    memset(body, 'x', BODY);
    for (uint64_t sequence = 1; sequence <= RECORDS; sequence++) {
        yami_builder_t builder;
        yami_builder_init(&builder, YAMI_LIMIT_FRAME);
        yami_record_t record = {.body = yami_slice(body, BODY)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
        yami_batch_t head = {
            .handle = 1, .epoch = 1, .producer = {.bytes = {9}}, .first_sequence = sequence};
        fixture_publish(f, 1, yami_builder_finish(&builder, &head));
        yami_builder_clear(&builder);
        fixture_settle_down(f);
    }
    yami_free(body);
    fixture_credit(f, 2, 5, YAMI_LIMIT_SEQUENCE - 1, YAMI_LIMIT_SEQUENCE - 1);
    fixture_settle_down(f);
    uint64_t token = 0;
    unsigned count = 0;
    for (; fixture_take(f, 2, YAMI_FRAME_DELIVER); count++) {
        token = f->frame.token;
    }
    assert_int_equal(count, YAMI_LIMIT_WINDOW_BYTES / BODY);
    fixture_settle(f, 2, 5, YAMI_FRAME_ACK, 1, token, count, count);
    fixture_settle_down(f);
    consume_expect_deliver(f, 2, count + 1, count + 1, 1, 0);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, consume_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_group_of_a_topic_gets_everything),
        TEST(test_filter_settles_silently_what_it_does_not_take),
        TEST(test_ephemeral_group_starts_new_and_leaves_no_trace),
        TEST(test_topic_retention_drops_and_counts),
        TEST(test_dropped_messages_of_a_group_that_is_gone_still_count),
        TEST(test_syncs_of_a_channel_are_the_commits_that_held_its_messages),
        TEST(test_drain_delivers_no_more_but_settles),
        TEST(test_message_larger_than_max_frame_ends_the_handle),
        TEST(test_purge_makes_acks_stale),
        TEST(test_group_that_is_not_there_or_not_durable_cannot_be_removed),
        TEST(test_bad_names_of_groups_and_filters_are_refused),
        TEST(test_peek_shows_without_leasing),
        TEST(test_peek_begins_within_a_batch_and_passes_damage),
        TEST(test_damage_is_reported_with_its_range_and_passed),
        TEST(test_missing_entries_are_lost_too),
        TEST(test_messages_that_cannot_be_read_now_are_not_lost),
        TEST(test_damage_found_at_open_is_lost_in_every_group),
        TEST(test_endless_credit_does_not_empty_the_backlog_into_one_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
