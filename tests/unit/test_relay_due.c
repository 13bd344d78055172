//  Relay core: messages whose time has not come wait in CHANNEL.delayed, and when it has, they are
//  new messages of CHANNEL, whatever clocks and restarts do.

#include "relay/delay_fixture.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_properties.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

#define PLENTY (1u << 30)

//  -- Time

static void
test_delayed_message_comes_when_its_time_has_come_and_not_before(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 1000, NULL);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM); //  it is durable, and safe
    assert_int_equal(delay_stat(f, "q", "messages"), 0);
    assert_int_equal(delay_stat(f, "q.delayed", "messages"), 1);
    assert_int_equal(delay_stat(f, "q.delayed", "delayed"), 1);
    assert_int_equal(delay_stat(f, "q.delayed", "syncs"), 1);
    assert_int_equal(delay_stat(f, "q", "syncs"), 0);
    fixture_advance(f, 999);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "");
    assert_int_equal(yami_relay_core_deadline(f->core), f->mono_ms + 1);
    fixture_advance(f, 1);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "1");
    assert_int_equal(f->frame.time, delay_start_ms + 1000);
    assert_int_equal(delay_stat(f, "q.delayed", "messages"), 0);
    assert_int_equal(delay_stat(f, "q.delayed", "fired"), 1);
    assert_int_equal(delay_stat(f, "q.delayed", "syncs"), 1);
    assert_int_equal(delay_stat(f, "q", "syncs"), 1);
}

static void
test_what_was_asked_for_is_told_with_the_message(void **state)
{
    fixture_t *f = *state;
    delay_publish_one(f, 1, 500, "i");
    fixture_advance(f, 800);
    fixture_settle_down(f);
    fixture_expect(f, CONSUMER, YAMI_FRAME_DELIVER);
    size_t offset = 0;
    yami_record_t record;
    yami_property_t property;
    assert_int_equal(yami_batch_next(&f->batch, &offset, &record), 0);
    assert_int_equal(record.due_ms, delay_start_ms + 500);
    assert_true(yami_properties_find(record.properties, "id", &property));
    assert_int_equal(delay_stat(f, "q.delayed", "late-max-ms"), 300);
    assert_int_equal(delay_stat(f, NULL, "late-max-ms"), 300);
}

static void
test_what_is_due_when_it_comes_is_an_ordinary_message(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{-1000, NULL}, {0, NULL}, {AT_ONCE, NULL}};
    delay_publish(f, 1, messages, 3);
    assert_string_equal(delay_delivered(f), "1 2 3");
    assert_null(yami_relay_channel_find(f->core, "q.delayed", 9));
}

static void
test_due_times_decide_the_order_then_sequences(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{300, NULL}, {100, NULL}, {200, NULL}, {100, NULL}};
    delay_publish(f, 1, messages, 4);
    delay_publish_one(f, 5, 150, NULL);
    fixture_advance(f, 1000); //  all at once
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "2 4 5 3 1");
}

static void
test_due_messages_of_one_entry_take_one_read_and_one_move(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[100];
    for (size_t index = 0; index < 100; index++) {
        messages[index] = (delay_message_t) {1000 - (int64_t) index, NULL};
    }
    delay_publish(f, 1, messages, 100);
    size_t entries = f->entry_count;
    unsigned fetches = f->fetch_count;
    f->wall_ms += 1000;
    fixture_turn(f);
    assert_int_equal(f->fetch_count, fetches + 1);
    assert_int_equal(f->entry_count, entries + 1);
    assert_int_equal(f->entries[entries].entry.kind, YAMI_KIND_MOVE);
    assert_int_equal(f->entries[entries].entry.count, 100);
}

static void
test_nothing_is_fired_before_it_is_durable(void **state)
{
    fixture_t *f = *state;
    delay_message_t message = {10, NULL};
    fixture_publish(f, PRODUCER, delay_batch(1, &message, 1));
    fixture_advance(f, 100); //  the fixture fails on a FETCH of what is not
    fixture_advance(f, 100);
    assert_string_equal(delay_delivered(f), "");
    fixture_durable(f);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "1");
}

static void
test_wall_clock_that_jumps_forward_fires_and_back_waits(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{3600000, NULL}, {7200000, NULL}};
    delay_publish(f, 1, messages, 2);
    assert_true(yami_relay_core_deadline(f->core) <= f->mono_ms + 250); //  it looks at the clock
    delay_set_wall(f, -3600000);
    fixture_advance(f, 3600000); //  an hour, by the clock that does not jump
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "");
    delay_set_wall(f, 3600000);
    assert_string_equal(delay_delivered(f), "1");
    delay_set_wall(f, 3600000 * 3);
    assert_string_equal(delay_delivered(f), "2");
}

static void
test_topic_gets_delayed_messages_as_new_ones(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, PRODUCER, 2, TOPIC, "t", 9, 0, 1);
    fixture_consumer(f, CONSUMER, 2, TOPIC, "t", "a", "", 0, 30000);
    fixture_credit(f, CONSUMER, 2, 1000, PLENTY);
    delay_message_t message = {1000, NULL};
    yami_block_t *block = delay_batch(1, &message, 1);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    batch.handle = 2;
    yami_relay_event_t event = {
        .type = YAMI_EVENT_BATCH, .peer = PRODUCER, .batch = &batch, .block = block};
    fixture_step(f, &event);
    yami_block_unref(&block);
    fixture_settle_down(f);
    fixture_consumer(f, CONSUMER, 3, TOPIC, "t", "b", "", YAMI_START_NEW, 30000); //  after it
    fixture_credit(f, CONSUMER, 3, 1000, PLENTY);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "1 1"); //  new for both
}

//  -- Batches of both kinds

//  What came back of the credit is what was used of it.
static void
s_check_credit(const fixture_t *f)
{
    size_t place = 0;
    const yami_relay_handle_t *handle;
    while ((handle = yami_relay_map_next(&f->core->handles, &place)) != NULL) {
        assert_int_equal(handle->resolved_messages, handle->received_messages);
        assert_int_equal(handle->resolved_bytes, handle->received_bytes);
    }
}

static void
test_batch_of_both_kinds_is_split_and_confirmed_when_all_is_durable(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{AT_ONCE, NULL}, {1000, NULL}, {1000, NULL},
                                  {AT_ONCE, NULL}, {-5, NULL},   {500, NULL}};
    size_t entries = f->entry_count;
    fixture_publish(f, PRODUCER, delay_batch(1, messages, 6));
    assert_int_equal(f->entry_count, entries + 5); //  q.delayed, and four runs
    fixture_durable_at(f, entries + 4);            //  all but the last
    fixture_turn(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, 5);
    fixture_settle_down(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, 6);
    s_check_credit(f);
    assert_string_equal(delay_delivered(f), "1 4 5");
    fixture_advance(f, 2000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "6 2 3");
    assert_int_equal(delay_stat(f, "q", "published"), 6);
    assert_int_equal(delay_stat(f, "q.delayed", "published"), 3);
}

//  Records of a batch of mixed kinds, alternately for now and for later.
static yami_block_t *
s_alternating(uint64_t first, uint32_t count)
{
    static delay_message_t messages[YAMI_LIMIT_BATCH_COUNT];
    for (uint32_t index = 0; index < count; index++) {
        bool is_later = (first + index) % 2 == 0;
        messages[index] = (delay_message_t) {is_later ? 1000000 : AT_ONCE, NULL};
    }
    return delay_batch(first, messages, count);
}

static void
test_batch_of_both_kinds_makes_no_entry_of_each_of_its_records_at_once(void **state)
{
    fixture_t *f = *state;
    f->is_unchecked = true;
    f->options.window_messages = YAMI_LIMIT_WINDOW_MESSAGES;
    size_t entries = f->entry_count;
    fixture_publish(f, PRODUCER, s_alternating(1, 50000));
    assert_int_equal(f->entry_count, entries + 1 + YAMI_LIMIT_RUNS); //  and q.delayed
    fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
    assert_int_equal(f->frame.status, YAM_STATUS_FULL);
    assert_int_equal(f->frame.first, YAMI_LIMIT_RUNS + 1);
    assert_int_equal(f->frame.last, 50000);
    fixture_settle_down(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, YAMI_LIMIT_RUNS);
    s_check_credit(f);
}

//  Sent again as a whole, as its producer has it.
static void
test_batch_of_more_runs_than_are_stored_at_once_is_stored_in_parts_and_once(void **state)
{
    fixture_t *f = *state;
    f->core->run_limit = 4;
    for (uint64_t stored = 4; stored < 11; stored += 4) {
        fixture_publish(f, PRODUCER, s_alternating(1, 11));
        fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
        assert_int_equal(f->frame.first, stored + 1);
        fixture_publish(f, PRODUCER, s_alternating(12, 1)); //  was on its way
        fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
        assert_int_equal(f->frame.status, YAM_STATUS_GAP);
        assert_int_equal(f->frame.first, stored + 1);
        fixture_settle_down(f);
        fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
        assert_int_equal(f->frame.sequence, stored);
    }
    fixture_publish(f, PRODUCER, s_alternating(1, 11));
    fixture_settle_down(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, 11);
    fixture_expect_none(f, PRODUCER, YAMI_FRAME_REFUSE);
    s_check_credit(f);
    assert_string_equal(delay_delivered(f), "1 3 5 7 9 11");
    assert_int_equal(delay_stat(f, "q", "published"), 11);
}

//  What was stored counted twice: its batch was refused until some of that was due.
static void
test_batch_that_just_fits_a_limit_is_not_refused_for_what_is_stored_of_it(void **state)
{
    fixture_t *f = *state;
    f->core->run_limit = 4;
    f->options.delayed_messages = 5;
    for (uint64_t stored = 4; stored < 11; stored += 4) {
        fixture_publish(f, PRODUCER, s_alternating(1, 11));
        fixture_settle_down(f);
        fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
        assert_int_equal(f->frame.sequence, stored);
    }
    fixture_publish(f, PRODUCER, s_alternating(1, 11));
    fixture_settle_down(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, 11);
    assert_int_equal(delay_waiting(f), 5);
    s_check_credit(f);
}

static void
test_crash_between_the_runs_of_a_batch_loses_and_doubles_nothing(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {
        {AT_ONCE, NULL}, {1000, NULL}, {AT_ONCE, NULL}, {2000, NULL}, {AT_ONCE, NULL}};
    size_t entries = f->entry_count;
    for (size_t kept = 0; kept <= 6; kept++) {
        fixture_publish(f, PRODUCER, delay_batch(1, messages, 5));
        assert_int_equal(f->entry_count, entries + 6);
        fixture_restart_at(f, entries + kept);
        delay_attach_again(f, 1);
        fixture_publish(f, PRODUCER, delay_batch(1, messages, 5)); //  whatever was stored
        fixture_settle_down(f);
        while (fixture_take(f, PRODUCER, YAMI_FRAME_CONFIRM)) {
        }
        assert_int_equal(f->frame.sequence, 5);
        assert_string_equal(delay_delivered(f), "1 3 5");
        assert_int_equal(delay_waiting(f), 2);
        fixture_restart_at(f, entries); //  from the start
        delay_attach_again(f, 1);
        entries = f->entry_count;
    }
}

static void
test_without_memory_to_cut_a_batch_the_rest_is_refused_as_limit(void **state)
{
    enum {
        COUNT = 600 //  more bytes than there is memory for
    };
    fixture_t *f = *state;
    delay_message_t messages[COUNT] = {{AT_ONCE, NULL}};
    for (size_t index = 1; index < COUNT; index++) {
        messages[index] = (delay_message_t) {1000, "order 2026-0000000000001"};
    }
    delay_publish(f, 1, &messages[1], 1); //  the index has its first memory
    const uint64_t first = 2;
    for (int twice = 0; twice < 2; twice++) { //  then the first message is known
        yami_block_t *block = delay_batch(first, messages, COUNT);
        yami_alloc_fail_above(16 << 10);
        fixture_publish(f, PRODUCER, block);
        assert_true(yami_alloc_has_failed());
        yami_alloc_fail_above(0);
        fixture_settle_down(f);
        fixture_expect(f, PRODUCER, YAMI_FRAME_REFUSE);
        assert_int_equal(f->frame.status, YAM_STATUS_LIMIT);
        assert_int_equal(f->frame.first, first + 1);
        assert_int_equal(f->frame.last, first + COUNT - 1);
        s_check_credit(f);
    }
    delay_publish(f, first, messages, COUNT);
    assert_int_equal(delay_waiting(f), COUNT);
}

//  Not even for the answer, so nobody is told; then it is not one of the credit that is missing.
static void
test_known_messages_of_a_batch_that_cannot_be_cut_give_their_credit_back(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{1000, NULL}, {1000, NULL}, {AT_ONCE, NULL}, {1000, NULL}};
    delay_publish(f, 1, messages, 2);
    yami_block_t *block = delay_batch(1, messages, 4);
    yami_alloc_fail_after(0); //  the runs of the new part
    fixture_publish(f, PRODUCER, block);
    assert_true(yami_alloc_has_failed());
    yami_alloc_fail_after(-1);
    assert_int_equal(delay_stat(f, "q", "duplicates"), 2);
    assert_int_equal(delay_stat(f, "q", "refused"), 2);
    s_check_credit(f);
    delay_publish(f, 1, messages, 4);
    assert_string_equal(delay_delivered(f), "3");
    assert_int_equal(delay_waiting(f), 3);
    s_check_credit(f);
}

//  -- Restarts

static void
test_overdue_after_a_restart_fires_at_once_in_order(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{3000, NULL}, {1000, NULL}, {90000, NULL}, {2000, NULL}};
    delay_publish(f, 1, messages, 4);
    fixture_restart(f);
    f->mono_ms += 10000;
    f->wall_ms += 10000;
    delay_attach_again(f, 5);
    assert_string_equal(delay_delivered(f), "2 4 1");
    assert_int_equal(delay_waiting(f), 1);
    assert_int_equal(delay_stat(f, "q.delayed", "late-max-ms"), 9000);
}

static void
test_checkpoint_has_what_is_delayed(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{3000, "a"}, {1000, "b"}, {5000, NULL}, {2000, "c"}};
    delay_publish(f, 1, messages, 4);
    assert_int_equal(delay_cancel(f, "q", "c", false), 1);
    yami_block_t *before = fixture_state(f->core);
    fixture_checkpoint(f);
    fixture_durable(f);
    fixture_restart(f);
    yami_block_t *after = fixture_state(f->core);
    assert_int_equal(before->size, after->size);
    assert_memory_equal(before->data, after->data, before->size);
    yami_block_unref(&before);
    yami_block_unref(&after);
    delay_attach_again(f, 5);
    assert_int_equal(delay_waiting(f), 3);
    assert_int_equal(delay_cancel(f, "q", "a", false), 1);
    fixture_advance(f, 10000);
    fixture_settle_down(f);
    assert_string_equal(delay_delivered(f), "2 3");
}

//  Whether a relay with memory for so many allocations reads the journal from there on. If not, it
//  ends, and says why.
static bool
s_replays(const fixture_t *f, size_t start, int64_t success_count)
{
    char text[200] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void) dup2(ends[1], STDERR_FILENO);
        yami_relay_core_t *core = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 1);
        yami_alloc_fail_after(success_count);
        int rc = 0;
        for (size_t index = start; index < f->entry_count && rc == 0; index++) {
            rc = yami_relay_core_replay(core, &f->entries[index].entry);
        }
        _exit(rc == 0 ? 0 : 1);
    }
    (void) close(ends[1]);
    (void) !read(ends[0], text, sizeof text - 1);
    (void) close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) {
        assert_non_null(strstr(text, "out of memory"));
        return false;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

//  With more and more memory, until it is enough.
static void
s_check_short_replays(const fixture_t *f, size_t start)
{
    int64_t success_count = 0;
    while (!s_replays(f, start, success_count)) {
        success_count++;
    }
    assert_int_not_equal(success_count, 0);
}

static void
test_journal_that_there_is_no_memory_to_read_is_not_called_malformed(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{3000, "a"}, {1000, "b"}};
    delay_publish(f, 1, messages, 2);
    s_check_short_replays(f, 0);
    fixture_checkpoint(f);
    s_check_short_replays(f, f->entry_count - 1);
}

static void
test_every_prefix_of_the_journal_replays_to_the_same_state(void **state)
{
    fixture_t *f = *state;
    delay_message_t messages[] = {{AT_ONCE, NULL}, {100, "a"}, {200, "b"}, {300, "a"}, {50, NULL}};
    delay_publish(f, 1, messages, 5);
    fixture_advance(f, 60);
    fixture_settle_down(f);
    assert_int_equal(delay_cancel(f, "q", "b", false), 1);
    fixture_advance(f, 60);
    fixture_settle_down(f);
    fixture_admin(f, PRODUCER, "purge", "q.delayed", false);
    assert_int_equal(fixture_number(f, "messages"), 1);
    yami_relay_core_t *core = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 3);
    for (int twice = 0; twice < 2; twice++) {
        for (size_t index = 0; index < f->entry_count; index++) {
            assert_int_equal(yami_relay_core_replay(core, &f->entries[index].entry), 0);
            yami_relay_core_check(core);
        }
    }
    yami_block_t *one = fixture_state(f->core);
    yami_block_t *other = fixture_state(core);
    assert_int_equal(one->size, other->size);
    assert_memory_equal(one->data, other->data, one->size);
    yami_block_unref(&one);
    yami_block_unref(&other);
    yami_relay_core_destroy(&core);
}

static void
test_a_million_take_under_fifty_megabytes_and_their_checkpoint_under_thirteen(void **state)
{
    (void) state;
    yami_relay_options_t options;
    yami_options_init(yami_relay_option_table, &options);
    yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 3);
    yami_relay_channel_t *target = yami_relay_channel_add(core, 1, "q", 1, QUEUE);
    yami_relay_channel_t *channel =
        yami_relay_channel_add(core, 2, "q.delayed", 9, YAMI_KIND_DELAYED);
    assert_true(yami_relay_delay_link(channel, target));
    uint64_t random = 1;
    for (uint64_t sequence = 1; sequence <= 1000000; sequence++) {
        random = yami_relay_mix(random);
        yami_relay_delay_t delay = {.due_ms = delay_start_ms + (int64_t) (random % 3600000),
                                    .sequence = sequence,
                                    .size = 152,
                                    .id_hash = (uint32_t) (random >> 32)};
        assert_true(yami_relay_delays_reserve(&channel->dues->waiting, 1));
        yami_relay_delay_note(core, channel, &delay);
    }
    const yami_relay_delays_t *waiting = &channel->dues->waiting;
    size_t bytes = waiting->chunk_count * 4096 * sizeof **waiting->chunks +
                   waiting->heap_capacity * sizeof *waiting->heap +
                   waiting->chain_count * sizeof *waiting->chains;
    assert_true(bytes < 50000000);
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
    yami_relay_core_snapshot(core, &writer);
    assert_int_equal(writer.failed, 0);
    assert_true(writer.size < 13000000);
    yami_writer_clear(&writer);
    yami_relay_core_destroy(&core);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, delay_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_delayed_message_comes_when_its_time_has_come_and_not_before),
        TEST(test_what_was_asked_for_is_told_with_the_message),
        TEST(test_what_is_due_when_it_comes_is_an_ordinary_message),
        TEST(test_due_times_decide_the_order_then_sequences),
        TEST(test_due_messages_of_one_entry_take_one_read_and_one_move),
        TEST(test_nothing_is_fired_before_it_is_durable),
        TEST(test_wall_clock_that_jumps_forward_fires_and_back_waits),
        TEST(test_topic_gets_delayed_messages_as_new_ones),
        TEST(test_batch_of_both_kinds_is_split_and_confirmed_when_all_is_durable),
        TEST(test_batch_of_both_kinds_makes_no_entry_of_each_of_its_records_at_once),
        TEST(test_batch_of_more_runs_than_are_stored_at_once_is_stored_in_parts_and_once),
        TEST(test_batch_that_just_fits_a_limit_is_not_refused_for_what_is_stored_of_it),
        TEST(test_crash_between_the_runs_of_a_batch_loses_and_doubles_nothing),
        TEST(test_without_memory_to_cut_a_batch_the_rest_is_refused_as_limit),
        TEST(test_known_messages_of_a_batch_that_cannot_be_cut_give_their_credit_back),
        TEST(test_overdue_after_a_restart_fires_at_once_in_order),
        TEST(test_checkpoint_has_what_is_delayed),
        TEST(test_journal_that_there_is_no_memory_to_read_is_not_called_malformed),
        TEST(test_every_prefix_of_the_journal_replays_to_the_same_state),
        cmocka_unit_test(
            test_a_million_take_under_fifty_megabytes_and_their_checkpoint_under_thirteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
