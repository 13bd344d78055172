//  Relay core: delayed messages are cancelled, wait for room, are lost with what is damaged; and
//  their channel is one that only relays touch.

#include "relay/delay_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_properties.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

//  -- Cancelling

static void
test_cancelled_message_never_comes(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{1000, "a"}, {1000, "b"}, {1000, "a"}, {1000, NULL}};
    delay_publish(f, 1, messages, 4);
    assert_int_equal(delay_cancel(f, "q", "a", true), 2);
    assert_int_equal(delay_waiting(f), 4); //  that was a rehearsal
    assert_int_equal(delay_cancel(f, "q", "a", false), 2);
    assert_int_equal(delay_cancel(f, "q", "a", false), 0);
    assert_int_equal(delay_cancel(f, "q", "never sent", false), 0);
    assert_int_equal(delay_stat(f, "q.delayed", "cancelled"), 2);
    fixture_restart(f);
    delay_attach_again(f, 5);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "2 4");
}

static void
test_cancel_is_answered_when_it_is_durable(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 1000, "a");
    fixture_forget(f);
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_ID,
                          .serial = 7,
                          .command = yami_slice_text("cancel"),
                          .channel = yami_slice_text("q.delayed"), //  either name
                          .id = yami_slice_text("a")};
    fixture_send(f, PRODUCER, &frame);
    for (int turn = 0; turn < 3; turn++) {
        fixture_turn(f);
    }
    fixture_expect_none(f, PRODUCER, YAMI_FRAME_REPLY);
    fixture_advance(f, 5000); //  decided, though not durable
    fixture_durable(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_REPLY);
    assert_int_equal(fixture_number(f, "messages"), 1);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "");
}

static void
test_cancel_of_what_is_not_durable_yet_waits_for_it(void **state)
{
    fixture_t *f = *state;
    delay_message_t message = {1000, "a"};
    fixture_publish(f, PRODUCER, delay_batch(1, &message, 1));
    assert_int_equal(delay_cancel(f, "q", "a", false), 1);
    assert_int_equal(delay_waiting(f), 0);
}

static void
test_cancel_of_what_has_fired_finds_nothing(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 10, "a");
    fixture_advance(f, 10);
    assert_int_equal(delay_cancel(f, "q", "a", false), 0);
    assert_string_equal(delay_delivered(f), "1");
}

static void
test_ids_of_the_same_hash_are_told_apart(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 1000, "a");
    delay_publish_one(f, 2, 1000, "b");
    yami_relay_channel_t *channel = yami_relay_channel_find(f->core, "q.delayed", 9);
    yami_relay_delays_t *waiting = &channel->dues->waiting;
    //  As if both had the hash of "a".
    yami_relay_delay_t copies[2] = {*yami_relay_delays_find(waiting, 1),
                                    *yami_relay_delays_find(waiting, 2)};
    (void) yami_relay_delay_end(f->core, channel, 1, 2);
    assert_true(yami_relay_delays_reserve(waiting, 2));
    for (size_t index = 0; index < 2; index++) {
        copies[index].id_hash = copies[0].id_hash;
        yami_relay_delay_note(f->core, channel, &copies[index]);
    }
    assert_int_equal(delay_cancel(f, "q", "a", false), 1);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "2");
}

//  What the job stands at is one of its id, whose item says which is the next.
static void
s_expect_no_search(fixture_t *f, const yami_relay_fetch_t *fetch)
{
    const yami_relay_job_t *job = TAILQ_FIRST(&f->core->jobs);
    if (fetch->purpose == YAMI_FETCH_JOB && job->sequence != UINT64_MAX) {
        yami_relay_channel_t *channel = yami_relay_channel_find(f->core, "q.delayed", 9);
        const yami_relay_delay_t *at =
            yami_relay_delays_find(&channel->dues->waiting, job->sequence);
        assert_non_null(at);
        assert_int_equal(at->id_hash, yami_relay_id_hash(yami_slice_text("a")));
    }
}

//  In front of each stands one of another id: all that had been looked at was gone through again
//  for each entry.
static void
test_dry_run_of_cancel_does_not_begin_again_at_each_entry(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{1000, "b"}, {1000, "a"}, {1000, "b"}, {1000, "a"}};
    for (uint64_t index = 0; index < 50; index++) {
        delay_publish(f, 1 + index * 4, messages, 4);
    }
    f->before_fetch = s_expect_no_search;
    unsigned fetches = f->fetch_count;
    assert_int_equal(delay_cancel(f, "q", "a", true), 100);
    assert_int_equal(f->fetch_count - fetches, 50);
    f->before_fetch = NULL;
    assert_int_equal(delay_cancel(f, "q", "a", false), 100);
    assert_int_equal(delay_waiting(f), 100);
}

static void
test_cancel_that_cannot_read_says_so(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 1000, "a");
    f->read_error = EIO;
    assert_int_equal(delay_cancel(f, "q", "a", false), -1 - YAM_STATUS_INTERNAL);
    f->read_error = 0;
    assert_int_equal(delay_cancel(f, "q", "a", false), 1);
}

static void
test_cancel_needs_a_channel_that_is_there(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(delay_cancel(f, "nowhere", "a", false), -1 - YAM_STATUS_UNKNOWN);
    assert_int_equal(delay_cancel(f, "q", "a", false), 0); //  never had a delayed message
    fixture_admin(f, PRODUCER, "cancel", "q", false);      //  without an id
    assert_int_equal(f->frame.status, YAM_STATUS_MALFORMED);
}

//  -- Room, limits, damage

static void
test_full_channel_keeps_due_messages_waiting_until_there_is_room(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{AT_ONCE, NULL}, {AT_ONCE, NULL}, {100, NULL}, {200, NULL}};
    delay_publish(f, 1, messages, 4);
    f->options.channel_messages = 3;
    fixture_advance(f, 1000);
    for (int turn = 0; turn < 5; turn++) {
        fixture_durable(f);
    }
    fixture_expect(f, CONSUMER, YAMI_FRAME_DELIVER);
    uint64_t token = f->frame.token;
    assert_string_equal(delay_delivered(f), "3"); //  one had room
    assert_int_equal(delay_waiting(f), 1);
    assert_true(yami_relay_core_deadline(f->core) > f->mono_ms); //  and it does not spin
    fixture_settle(f, CONSUMER, 1, YAMI_FRAME_ACK, 1, token, 1, 2);
    fixture_advance(f, 100);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "4");
}

static void
test_message_larger_than_what_a_channel_may_hold_goes_alone(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{100, NULL}, {100, NULL}};
    delay_publish(f, 1, messages, 2);
    f->options.channel_bytes = 5;
    fixture_advance(f, 100);
    for (int turn = 0; turn < 5; turn++) {
        fixture_durable(f);
    }
    assert_string_equal(delay_delivered(f), "1");
    assert_int_equal(delay_waiting(f), 1);
}

static void
test_no_room_on_disk_keeps_due_messages_waiting(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    f->has_room = false;
    fixture_advance(f, 1000); //  the fixture fails on an APPEND of messages
    fixture_advance(f, 1000);
    assert_int_equal(delay_waiting(f), 1);
    assert_true(yami_relay_core_deadline(f->core) <= f->mono_ms + 1000);
    f->has_room = true;
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "1");
}

static void
test_more_than_the_limit_is_refused_as_full_and_counted(void **state)
{
    fixture_t *f = *state;
    f->options.delayed_messages = 2;
    delay_message_t messages[] = {{AT_ONCE, NULL}, {1000, NULL}, {1000, NULL}, {1000, NULL}};
    delay_publish(f, 1, messages, 4);
    fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
    assert_int_equal(f->frame.status, YAM_STATUS_FULL);
    assert_int_equal(f->frame.first, 1);
    assert_int_equal(delay_stat(f, "q", "refused"), 4);
    delay_publish(f, 1, messages, 3);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(delay_waiting(f), 2);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    delay_publish_one(f, 4, 5000, NULL); //  there is room again
    assert_int_equal(delay_waiting(f), 1);
}

static void
test_damaged_entry_counts_as_lost_and_the_others_fire(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    delay_publish_one(f, 2, 100, NULL);
    delay_publish_one(f, 3, 100, NULL);
    for (size_t index = 0; index < f->entry_count; index++) {
        const yami_entry_t *entry = &f->entries[index].entry;
        f->entries[index].is_damaged = entry->kind == YAMI_KIND_DELAY && entry->base == 2;
        f->entries[index].is_missing = entry->kind == YAMI_KIND_DELAY && entry->base == 1;
    }
    fixture_advance(f, 100);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "3");
    assert_int_equal(delay_waiting(f), 0);
    assert_int_equal(delay_stat(f, "q.delayed", "lost"), 2);
}

static void
test_entry_that_cannot_be_read_now_holds_its_channel_up(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    f->read_error = EIO;
    fixture_advance(f, 100);
    assert_int_equal(delay_waiting(f), 1);
    assert_true(yami_relay_core_deadline(f->core) > f->mono_ms);
    f->read_error = 0;
    fixture_advance(f, 100);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "1");
}

//  Replays all but the entries of that kind and channel.
static yami_relay_core_t *
s_replay_without(const fixture_t *f, int kind, uint32_t channel)
{
    yami_relay_core_t *core = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 3);
    for (size_t index = 0; index < f->entry_count; index++) {
        const yami_entry_t *entry = &f->entries[index].entry;
        if (entry->kind != kind || entry->channel != channel) {
            assert_int_equal(yami_relay_core_replay(core, entry), 0);
            yami_relay_core_check(core);
        }
    }
    return core;
}

static void
test_lost_definitions_lose_no_delayed_message(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{100, NULL}, {200, NULL}, {9000, NULL}};
    delay_publish(f, 1, messages, 3);
    fixture_advance(f, 150);
    fixture_settle_down(f);
    for (uint32_t channel = 1; channel <= 2; channel++) {
        yami_relay_core_t *core = s_replay_without(f, YAMI_KIND_CHANNEL, channel);
        yami_relay_channel_t *delayed = yami_relay_map_get(&core->channel_numbers, 2);
        assert_non_null(delayed->dues);
        assert_int_equal(delayed->dues->target->number, 1);
        //  What has fired comes once more when nobody knows what a MOVE has settled.
        assert_int_equal(core->delayed_count, channel == 1 ? 2 : 3);
        yami_relay_core_destroy(&core);
    }
}

static void
test_missing_entries_of_delayed_messages_count_as_lost(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    delay_publish_one(f, 2, 100, NULL);
    yami_relay_core_t *core = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 3);
    for (size_t index = 0; index < f->entry_count; index++) {
        const yami_entry_t *entry = &f->entries[index].entry;
        if (entry->kind != YAMI_KIND_DELAY || entry->base != 1) {
            assert_int_equal(yami_relay_core_replay(core, entry), 0);
        }
    }
    yami_relay_core_check(core);
    assert_int_equal(core->delayed_count, 1);
    yami_relay_core_destroy(&core);
}

//  -- A channel like the others

static void
test_peek_shows_only_what_waits_and_when_it_is_due(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{9000, NULL}, {100, NULL}, {8000, "c"}, {7000, NULL}};
    delay_publish(f, 1, messages, 4);
    fixture_advance(f, 100);
    fixture_settle_down(f);
    assert_int_equal(delay_cancel(f, "q", "c", false), 1);
    fixture_admin(f, PRODUCER, "peek", "q.delayed", false);
    yami_reader_t reader;
    yami_reader_init(&reader, f->frame.rows.data, f->frame.rows.size);
    assert_int_equal(yami_reader_array(&reader), 2);
    assert_int_equal(fixture_number(f, "due-time"), delay_start_ms + 9000);
}

//  count messages in one batch: the first of them is due later than the others.
static void
s_publish_many(fixture_t *f, uint64_t first, uint32_t count, int64_t first_ms, int64_t others_ms)
{
    delay_message_t *messages = calloc(count, sizeof *messages);
    assert_non_null(messages);
    for (uint32_t index = 0; index < count; index++) {
        messages[index] = (delay_message_t) {index == 0 ? first_ms : others_ms, NULL};
    }
    delay_publish(f, first, messages, count);
    free(messages);
}

//  For each that had ended, all behind it were gone through, up to the next that waits:
//  thousands of millions of steps, in which nobody else was served.
static void
test_peek_of_messages_of_which_most_have_come_takes_no_time(void **state)
{
    fixture_t *f = *state;
    const uint32_t count = YAMI_LIMIT_BATCH_COUNT;
    f->is_unchecked = true;                        //  that takes longer than all the rest
    for (uint64_t index = 0; index < 6; index++) { //  more wait than ended: these stay in place
        s_publish_many(f, 1 + index * count, count, index == 0 || index > 2 ? 9000 : 100,
                       index > 2 ? 9000 : 100);
    }
    fixture_advance(f, 100);
    fixture_settle_down(f);
    assert_int_equal(delay_waiting(f), 3 * count + 1);
    clock_t start = clock();
    fixture_admin(f, PRODUCER, "peek", "q.delayed", false);
    assert_true(clock() - start < CLOCKS_PER_SEC); //  it took five
    yami_reader_t reader;
    yami_reader_init(&reader, f->frame.rows.data, f->frame.rows.size);
    assert_int_equal(yami_reader_array(&reader), 10);
    assert_int_equal(fixture_number(f, "sequence"), 1);
}

static void
test_purge_cancels_all(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{100, NULL}, {200, NULL}, {300, NULL}};
    delay_publish(f, 1, messages, 3);
    fixture_admin(f, PRODUCER, "purge", "q.delayed", true);
    assert_int_equal(fixture_number(f, "messages"), 3);
    fixture_admin(f, PRODUCER, "purge", "q.delayed", false);
    assert_int_equal(fixture_number(f, "messages"), 3);
    fixture_restart(f);
    delay_attach_again(f, 4);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "");
}

static void
test_nobody_attaches_to_delayed_messages(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    static const char *const names[] = {"q.delayed", "other.delayed"};
    for (size_t index = 0; index < 2; index++) {
        fixture_consumer(f, CONSUMER, 9, QUEUE, names[index], "", "", 0, 30000);
        fixture_expect(f, CONSUMER, YAMI_FRAME_DETACHED);
        assert_int_equal(f->frame.status, YAM_STATUS_NOT_ALLOWED);
        fixture_producer(f, PRODUCER, 9, QUEUE, names[index], 3, 0, 1);
        fixture_expect(f, PRODUCER, YAMI_FRAME_DETACHED);
        assert_int_equal(f->frame.status, YAM_STATUS_NOT_ALLOWED);
    }
}

static void
test_nothing_is_redriven_into_delayed_messages(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 100, NULL);
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present =
                              YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_TARGET,
                          .serial = 7,
                          .command = yami_slice_text("redrive"),
                          .channel = yami_slice_text("q.delayed"),
                          .target = yami_slice_text("q.delayed")};
    fixture_send(f, PRODUCER, &frame);
    fixture_expect(f, PRODUCER, YAMI_FRAME_REPLY);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
    fixture_admin(f, PRODUCER, "redrive", "q.delayed", false); //  nor out of them
    assert_int_equal(fixture_number(f, "messages"), 0);
    assert_int_equal(delay_waiting(f), 1);
}

static void
test_channel_of_that_name_from_before_stays_what_it_was(void **state)
{
    fixture_t *f = *state;
    f->core->effects = &f->effects;
    assert_non_null(yami_relay_channel_new(f->core, "q.delayed", 9, QUEUE, NULL));
    f->core->effects = NULL;
    fixture_settle_down(f);
    fixture_consumer(f, CONSUMER, 9, QUEUE, "q.delayed", "", "", 0, 30000);
    fixture_expect(f, CONSUMER, YAMI_FRAME_ATTACHED);
    delay_publish_one(f, 1, 100, NULL); //  there is no place for these
    fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
    assert_int_equal(f->frame.status, YAM_STATUS_CONFLICT);
    delay_publish_one(f, 2, AT_ONCE, NULL);
    assert_string_equal(delay_delivered(f), "2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, delay_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cancelled_message_never_comes),
        TEST(test_cancel_is_answered_when_it_is_durable),
        TEST(test_cancel_of_what_is_not_durable_yet_waits_for_it),
        TEST(test_cancel_of_what_has_fired_finds_nothing),
        TEST(test_ids_of_the_same_hash_are_told_apart),
        TEST(test_dry_run_of_cancel_does_not_begin_again_at_each_entry),
        TEST(test_cancel_that_cannot_read_says_so),
        TEST(test_cancel_needs_a_channel_that_is_there),
        TEST(test_full_channel_keeps_due_messages_waiting_until_there_is_room),
        TEST(test_message_larger_than_what_a_channel_may_hold_goes_alone),
        TEST(test_no_room_on_disk_keeps_due_messages_waiting),
        TEST(test_more_than_the_limit_is_refused_as_full_and_counted),
        TEST(test_damaged_entry_counts_as_lost_and_the_others_fire),
        TEST(test_entry_that_cannot_be_read_now_holds_its_channel_up),
        TEST(test_lost_definitions_lose_no_delayed_message),
        TEST(test_missing_entries_of_delayed_messages_count_as_lost),
        TEST(test_peek_shows_only_what_waits_and_when_it_is_due),
        TEST(test_peek_of_messages_of_which_most_have_come_takes_no_time),
        TEST(test_purge_cancels_all),
        TEST(test_nobody_attaches_to_delayed_messages),
        TEST(test_nothing_is_redriven_into_delayed_messages),
        TEST(test_channel_of_that_name_from_before_stays_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
