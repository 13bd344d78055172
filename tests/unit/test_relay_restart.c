//  Relay core: what a restart finds, after every prefix of the journal, from checkpoints, and
//  replayed twice.
//  One file: all cases cut and replay one history that has every kind of entry.

#include "relay/relay_fixture.h"

#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define QUEUE YAMI_KIND_QUEUE
#define TOPIC YAMI_KIND_TOPIC
#define PLENTY (1u << 30)

//  A history with every kind of entry.
static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    f->options.delivery_limit = 2;
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    fixture_producer(f, 1, 3, QUEUE, "q", 7, 0, 1);
    fixture_consumer(f, 2, 1, QUEUE, "q", "", "", 0, 30000);
    fixture_consumer(f, 2, 2, TOPIC, "t", "a", "eu.*", 0, 30000);
    fixture_consumer(f, 2, 3, TOPIC, "t", "b", "", 0, 30000);
    for (uint32_t handle = 1; handle <= 3; handle++) {
        fixture_credit(f, 2, handle, 1000, PLENTY);
    }
    uint64_t serial = 0;
    for (uint64_t round = 0; round < 6; round++) {
        fixture_publish(f, 1,
                        fixture_batch_due(3, 7, 1, round * 3 + 1, 3, NULL,
                                          f->wall_ms + (round % 2 ? 500 : 1000000)));
        fixture_publish(f, 1, fixture_batch(1, 9, 1, round * 5 + 1, 5, NULL));
        fixture_publish(f, 1,
                        fixture_batch(2, 8, 1, round * 4 + 1, 4, round % 2 ? "eu.x" : "us.x"));
        fixture_settle_down(f);
        while (fixture_take(f, 2, YAMI_FRAME_DELIVER)) {
            yami_frame_t got = f->frame;
            static const int types[] = {YAMI_FRAME_ACK, YAMI_FRAME_NACK, YAMI_FRAME_REJECT,
                                        YAMI_FRAME_RELEASE};
            serial++;
            fixture_settle(f, 2, got.handle, types[serial % 4], serial, got.token, got.first,
                           got.first);
            serial++;
            fixture_settle(f, 2, got.handle, YAMI_FRAME_ACK, serial, got.token, got.last, got.last);
            fixture_settle_down(f);
            if (serial > 60) {
                break;
            }
        }
        fixture_advance(f, 900);
        fixture_settle_down(f);
    }
    fixture_admin(f, 1, "redrive", "q", false);
    yami_frame_t remove = {.type = YAMI_FRAME_ADMIN,
                           .present =
                               YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_GROUP,
                           .serial = 9,
                           .command = yami_slice_text("remove"),
                           .channel = yami_slice_text("t"),
                           .group = yami_slice_text("b")};
    fixture_send(f, 1, &remove);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_DETACHED);
    *state = f;
    return 0;
}

//  The next that peer 2 gets by that handle; what comes by others is passed.
static void
s_expect_of(fixture_t *f, uint32_t handle)
{
    do {
        fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    } while (f->frame.handle != handle);
}

static yami_relay_core_t *
s_replayed(const fixture_t *f, size_t from, size_t to, yami_relay_core_t *core)
{
    core = core != NULL ? core : yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 99);
    for (size_t index = from; index < to; index++) {
        assert_int_equal(yami_relay_core_replay(core, &f->entries[index].entry), 0);
        yami_relay_core_check(core);
    }
    return core;
}

static void
s_expect_same(const yami_relay_core_t *left, const yami_relay_core_t *right)
{
    yami_block_t *one = fixture_state(left);
    yami_block_t *other = fixture_state(right);
    assert_int_equal(one->size, other->size);
    assert_memory_equal(one->data, other->data, one->size);
    yami_block_unref(&one);
    yami_block_unref(&other);
}

static void
test_history_has_every_kind_of_entry(void **state)
{
    const fixture_t *f = *state;
    unsigned kinds = 0;
    for (size_t index = 0; index < f->entry_count; index++) {
        kinds |= 1u << f->entries[index].entry.kind;
    }
    assert_int_equal(kinds, 0x1ff0000);
}

static void
test_replay_gives_the_state_that_was_written(void **state)
{
    fixture_t *f = *state;
    yami_relay_core_t *core = s_replayed(f, 0, f->entry_count, NULL);
    s_expect_same(f->core, core);
    yami_relay_core_destroy(&core);
}

static void
test_every_prefix_serves_and_goes_on(void **state)
{
    fixture_t *f = *state;
    for (size_t count = 0; count <= f->entry_count; count++) {
        yami_relay_core_t *core = s_replayed(f, 0, count, NULL);
        yami_relay_effects_t effects;
        yami_relay_effects_init(&effects);
        yami_relay_event_t event = {.type = YAMI_EVENT_TURN, .mono_ms = 5, .wall_ms = f->wall_ms};
        yami_relay_core_step(core, &event, &effects);
        yami_relay_core_check(core);
        yami_relay_effects_clear(&effects);
        yami_relay_core_destroy(&core);
    }
}

static void
test_snapshot_anywhere_then_the_rest_is_the_same(void **state)
{
    fixture_t *f = *state;
    for (size_t count = 0; count <= f->entry_count; count += 3) {
        yami_relay_core_t *first = s_replayed(f, 0, count, NULL);
        yami_writer_t writer;
        yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
        yami_relay_core_snapshot(first, &writer);
        yami_block_t *block = yami_writer_finish(&writer);
        assert_non_null(block);
        yami_entry_t checkpoint = {
            .kind = YAMI_ENTRY_CHECKPOINT, .meta = block->data, .meta_size = block->size};
        yami_relay_core_t *second = yami_relay_core_new(&f->options, YAM_LEVEL_SYNCED, "test", 5);
        assert_int_equal(yami_relay_core_replay(second, &checkpoint), 0);
        yami_relay_core_check(second);
        s_expect_same(first, second);
        //  Entries that the checkpoint covers already may come again.
        second = s_replayed(f, count > 5 ? count - 5 : 0, f->entry_count, second);
        s_expect_same(f->core, second);
        yami_relay_core_destroy(&first);
        yami_relay_core_destroy(&second);
        yami_block_unref(&block);
    }
}

static void
test_journal_replayed_twice_is_the_same(void **state)
{
    fixture_t *f = *state;
    yami_relay_core_t *core = s_replayed(f, 0, f->entry_count, NULL);
    core = s_replayed(f, 0, f->entry_count, core);
    s_expect_same(f->core, core);
    yami_relay_core_destroy(&core);
}

static void
test_damaged_entries_are_refused_or_harmless(void **state)
{
    fixture_t *f = *state;
    for (size_t index = 0; index < f->entry_count; index++) {
        for (size_t size = 0; size < f->entries[index].entry.meta_size; size++) {
            yami_relay_core_t *core = s_replayed(f, 0, index, NULL);
            yami_entry_t entry = f->entries[index].entry;
            entry.meta_size = size;
            assert_int_equal(yami_relay_core_replay(core, &entry), -1);
            yami_relay_core_destroy(&core);
            size += index % 7;
        }
    }
}

static void
test_lost_definition_keeps_its_messages(void **state)
{
    fixture_t *f = *state;
    yami_relay_core_t *core = s_replayed(f, 1, f->entry_count, NULL); //  entry 0 defines "q"
    yami_relay_channel_t *channel = yami_relay_channel_find(core, "recovered.1", 11);
    assert_non_null(channel);
    assert_true(channel->next > 30);
    yami_relay_core_destroy(&core);
}

static void
test_retries_keep_their_time_over_a_restart(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 5, QUEUE, "r", 7, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 30000);
    fixture_credit(f, 2, 5, 10, PLENTY);
    fixture_publish(f, 1, fixture_batch(5, 7, 1, 1, 1, NULL));
    fixture_settle_down(f);
    s_expect_of(f, 5);
    yami_settle_t range = {f->frame.token, 1, 1};
    yami_frame_t nack = {.type = YAMI_FRAME_NACK,
                         .handle = 5,
                         .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_DELAY_MS,
                         .serial = 1,
                         .ranges = &range,
                         .range_count = 1,
                         .delay_ms = 60000};
    fixture_send(f, 2, &nack);
    fixture_settle_down(f);
    f->wall_ms += 20000; //  down for 20 s, on a machine that was restarted
    f->mono_ms = 50;
    fixture_restart(f);
    fixture_hello(f, 2);
    fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 30000);
    fixture_credit(f, 2, 5, 10, PLENTY);
    fixture_advance(f, 39999);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_advance(f, 1);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.failures, 1);
}

//  From what is replayed, and from a checkpoint.
static void
test_clock_set_back_over_a_restart_makes_no_retry_wait_longer(void **state)
{
    fixture_t *f = *state;
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        fixture_hello(f, 1);
        fixture_producer(f, 1, 5, QUEUE, "r", 7, 1, sequence);
        fixture_hello(f, 2);
        fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 30000);
        fixture_credit(f, 2, 5, 10, PLENTY);
        fixture_publish(f, 1, fixture_batch(5, 7, 1, sequence, 1, NULL));
        fixture_settle_down(f);
        while (fixture_take(f, 2, YAMI_FRAME_DELIVER) && f->frame.last != sequence) {
        }
        fixture_settle(f, 2, 5, YAMI_FRAME_NACK, sequence, f->frame.token, sequence, sequence);
        fixture_settle_down(f);
        if (sequence == 2) {
            fixture_checkpoint(f);
        }
        f->wall_ms -= 3600000;
        fixture_restart(f);
        fixture_hello(f, 2);
        fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 30000);
        fixture_credit(f, 2, 5, 10, PLENTY);
        fixture_advance(f, 20000);
        fixture_expect(f, 2, YAMI_FRAME_DELIVER);
        fixture_settle(f, 2, 5, YAMI_FRAME_ACK, sequence, f->frame.token, f->frame.first,
                       f->frame.last);
        fixture_settle_down(f);
        fixture_forget(f);
    }
}

static void
test_clock_jumps_do_not_move_leases_and_retries(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 5, QUEUE, "r", 7, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 30000);
    fixture_credit(f, 2, 5, 10, PLENTY);
    fixture_publish(f, 1, fixture_batch(5, 7, 1, 1, 1, NULL));
    fixture_settle_down(f);
    s_expect_of(f, 5);
    uint64_t token = f->frame.token;
    f->wall_ms += 3600000;
    fixture_turn(f);
    f->wall_ms -= 7200000;
    fixture_turn(f);
    fixture_forget(f);
    fixture_settle(f, 2, 5, YAMI_FRAME_ACK, 1, token, 1, 1);
    fixture_expect_none(f, 2, YAMI_FRAME_ERROR);
}

//  Without checkpoints no space is given back. An outage behind the consumers makes many pieces,
//  each with its reason.
static void
test_checkpoint_with_many_failed_messages_is_written_and_read(void **state)
{
    (void) state;
    fixture_t *f = fixture_new();
    f->is_unchecked = true;
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_consumer(f, 2, 1, QUEUE, "q", "", "", 0, 30000);
    fixture_credit(f, 2, 1, PLENTY, PLENTY);
    fixture_settle_down(f);
    yami_settle_t range = {0};
    static const char text[120] = {[0 ... 119] = 'x'};
    for (uint64_t sequence = 1; sequence <= 65536; sequence++) {
        if (sequence % 1024 == 1) {
            fixture_publish(f, 1, fixture_batch(1, 9, 1, sequence, 1024, NULL));
            fixture_durable(f);
            fixture_expect(f, 2, YAMI_FRAME_DELIVER);
            range.token = f->frame.token;
        }
        range.first = range.last = sequence;
        yami_frame_t nack = {.type = YAMI_FRAME_NACK,
                             .handle = 1,
                             .present =
                                 YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_TEXT | YAMI_F_DELAY_MS,
                             .serial = sequence,
                             .delay_ms = 3600000,
                             .text = yami_slice(text, sizeof text),
                             .ranges = &range,
                             .range_count = 1};
        fixture_send(f, 2, &nack);
    }
    fixture_settle_down(f);
    fixture_checkpoint(f);
    fixture_durable(f);
    assert_true(f->entries[f->entry_count - 1].entry.meta_size > 8u << 20);
    fixture_restart(f);
    fixture_hello(f, 1);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "delayed"), 65536);
    fixture_free(&f);
}

//  Every producer has a window of its own; a disk that stands still must not let all of them into
//  memory.
static void
test_disk_that_stands_still_refuses_before_memory_is_full(void **state)
{
    fixture_t *f = *state;
    uint64_t base = f->core->waiting_bytes;
    assert_int_equal(base, 0);
    fixture_producer(f, 1, 5, QUEUE, "q", 77, 0, 1);
    fixture_settle_down(f);
    fixture_publish(f, 1, fixture_batch(5, 77, 1, 1, 3, NULL));
    assert_true(f->core->waiting_bytes > 0);
    f->core->waiting_bytes += YAMI_LIMIT_WAITING_BYTES;
    fixture_publish(f, 1, fixture_batch(5, 77, 1, 4, 1, NULL));
    fixture_expect(f, 1, YAMI_FRAME_REFUSE);
    assert_int_equal(f->frame.status, YAM_STATUS_FULL);
    f->core->waiting_bytes -= YAMI_LIMIT_WAITING_BYTES;
    fixture_durable(f);
    assert_int_equal(f->core->waiting_bytes, 0);
}

//  Producers that stored something just now; of those there were before, all are kept.
static void
s_fill_producers(const fixture_t *f)
{
    yami_relay_channel_t *channel = yami_relay_channel_find(f->core, "q", 1);
    for (uint32_t number = 0; f->core->producer_count < YAMI_LIMIT_PRODUCERS; number++) {
        yami_id_t id = {.bytes = {0xff}};
        memcpy(id.bytes + 1, &number, sizeof number);
        yami_relay_producer_t *producer = yami_relay_producer_get(f->core, channel, &id);
        yami_relay_producer_stored(f->core, producer, 1, 1, f->wall_ms);
        producer->durable = 1;
    }
}

//  Attaches producer id by a link of its own, which then breaks when it is not to stay.
static void
s_attach_once(fixture_t *f, uint64_t peer, uint8_t id, uint32_t epoch, bool stays)
{
    fixture_hello(f, peer);
    fixture_producer(f, peer, 1, QUEUE, "q", id, epoch, 1);
    fixture_settle_down(f);
    fixture_expect(f, peer, YAMI_FRAME_ATTACHED);
    if (!stays) {
        fixture_gone(f, peer);
    }
}

//  A newcomer took the place of one that had an epoch and no message stored yet. The next of its
//  name got the same epoch, and messages of the one were confirmed as duplicates of the other's.
static void
s_forget_and_give_again(bool restarts)
{
    fixture_t *f = fixture_new();
    s_attach_once(f, 1, 9, 0, false);
    assert_int_equal(f->frame.epoch, 1);
    s_fill_producers(f);
    s_attach_once(f, 2, 10, 1, false); //  9 is forgotten for it
    if (restarts) {
        fixture_checkpoint(f);
        fixture_durable(f);
        fixture_restart(f);
    }
    s_attach_once(f, 3, 9, 0, true); //  and this one for 9
    uint32_t epoch = (uint32_t) f->frame.epoch;
    fixture_publish(f, 3, fixture_batch(1, 9, epoch, 1, 10, NULL));
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_CONFIRM);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 1);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    assert_int_equal(f->core->producer_count, YAMI_LIMIT_PRODUCERS);
    fixture_free(&f);
}

static void
test_epoch_of_a_producer_that_was_forgotten_is_given_to_nobody_else(void **state)
{
    (void) state;
    s_forget_and_give_again(false);
    s_forget_and_give_again(true);
}

//  Numbers end somewhere; what the decoder takes there is stored, so it must be read back, too.
static void
test_batch_with_the_last_numbers_there_are_is_read_back(void **state)
{
    (void) state;
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, YAMI_LIMIT_SEQUENCE - 2);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, YAMI_LIMIT_SEQUENCE - 2, 2, NULL));
    fixture_producer(f, 1, 2, QUEUE, "d", 8, 0, YAMI_LIMIT_SEQUENCE - 1);
    fixture_publish(f, 1,
                    fixture_batch_due(2, 8, 1, YAMI_LIMIT_SEQUENCE - 1, 1, NULL, f->wall_ms + 500));
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_CONFIRM);
    fixture_restart(f);
    fixture_checkpoint(f);
    fixture_restart(f);
    fixture_advance(f, 1000);
    fixture_hello(f, 2);
    fixture_consumer(f, 2, 1, QUEUE, "q", "", "", 0, 30000);
    fixture_consumer(f, 2, 2, QUEUE, "d", "", "", 0, 30000);
    fixture_credit(f, 2, 1, 10, PLENTY);
    fixture_credit(f, 2, 2, 10, PLENTY);
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.last, 2);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    fixture_free(&f);
}

//  The copy of what is moved to one channel finds no memory: it stays, and what goes to another
//  channel goes alone.
static void
test_move_without_memory_leaves_its_messages_and_the_next_goes_on(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 11, QUEUE, "from", 11, 0, 1);
    fixture_producer(f, 1, 12, QUEUE, "one", 12, 0, 1);
    fixture_producer(f, 1, 13, QUEUE, "two", 13, 0, 1);
    fixture_publish(f, 1, fixture_batch(11, 11, 1, 1, 2, NULL));
    fixture_settle_down(f);
    yami_relay_channel_t *from = yami_relay_channel_find(f->core, "from", 4);
    yami_relay_channel_t *one = yami_relay_channel_find(f->core, "one", 3);
    yami_relay_channel_t *two = yami_relay_channel_find(f->core, "two", 3);
    static const uint8_t body[2000];
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT, .body = {body, sizeof body}};
    yami_relay_effects_t effects;
    yami_relay_effects_init(&effects);
    f->core->effects = &effects;
    yami_relay_move_t move;
    yami_relay_move_start(&move, f->core, TAILQ_FIRST(&from->groups), NULL);
    assert_true(yami_relay_move_add(&move, one, 1, &record));
    yami_alloc_fail_above(sizeof body);
    (void) yami_relay_move_add(&move, two, 2, &record); //  sends off the first, which fails
    yami_alloc_fail_above(0);
    assert_true(yami_relay_move_add(&move, two, 2, &record));
    yami_relay_move_finish(&move);
    f->core->effects = NULL;
    yami_relay_effects_clear(&effects);
    assert_int_equal(yami_relay_channel_depth(from), 1);
    assert_int_equal(yami_relay_channel_depth(one), 0);
    assert_int_equal(yami_relay_channel_depth(two), 1);
    yami_relay_core_check(f->core);
}

//  With every number as great, and the reason as long, as it may be.
static void
test_piece_takes_no_more_of_a_checkpoint_than_is_counted_on(void **state)
{
    (void) state;
    static const char text[YAMI_LIMIT_REASON] = "no";
    const uint64_t count = 1000;
    const uint64_t width = (uint64_t) 1 << 40;
    fixture_t *f = fixture_new();
    yami_relay_channel_t *channel = yami_relay_channel_add(f->core, 1, "q", 1, QUEUE);
    yami_relay_group_t *group =
        yami_relay_group_add(f->core, channel, 1, yami_slice("", 0), yami_slice("", 0), 1);
    channel->next = group->next = count * 2 * width + 1;
    for (uint64_t index = 0; index < count; index++) {
        uint64_t first = (index * 2 + 1) * width;
        yami_piece_t *piece =
            yami_pieces_add(&group->pieces, first, first + width - 1, YAMI_PIECE_WAITING);
        piece->deliveries = piece->failures = UINT32_MAX;
        piece->due_ms = piece->first_ms = YAMI_LIMIT_TIME_MS;
        piece->reason = yami_block_copy(text, sizeof text, sizeof text);
    }
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
    yami_relay_core_snapshot(f->core, &writer);
    assert_int_equal(writer.failed, 0);
    assert_in_range(writer.size, count * YAMI_RELAY_PIECE_BYTES,
                    count * YAMI_RELAY_PIECE_BYTES + 1000);
    yami_writer_clear(&writer);
    fixture_free(&f);
}

static size_t
s_moves(const fixture_t *f)
{
    size_t count = 0;
    for (size_t index = 0; index < f->entry_count; index++) {
        count += f->entries[index].entry.kind == YAMI_KIND_MOVE ? 1 : 0;
    }
    return count;
}

//  As much as may wait for the disk does, until what is appended now is durable.
static void
s_stand_still(fixture_t *f)
{
    yami_relay_wait_t nobody = {
        .ticket = f->core->ticket, .type = YAMI_WAIT_ACKED, .bytes = YAMI_LIMIT_WAITING_BYTES};
    assert_true(f->core->ticket > f->core->durable);
    yami_relay_wait(f->core, &nobody);
}

//  Turns append no MOVE, nor do they follow each other at once.
static void
s_expect_to_wait(fixture_t *f)
{
    size_t count = s_moves(f);
    for (int turn = 0; turn < 5; turn++) {
        fixture_advance(f, 1000);
    }
    assert_int_equal(s_moves(f), count);
    assert_true(yami_relay_core_deadline(f->core) > f->mono_ms);
    fixture_durable_at(f, f->entry_count);
    fixture_turn(f); //  at the very same time
    assert_int_equal(s_moves(f), count + 1);
}

//  Moves read from the page cache faster than they are synced.
static void
test_moves_wait_for_a_disk_that_stands_still(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 5, QUEUE, "r", 77, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "r", "", "", 0, 3600000);
    fixture_credit(f, 2, 5, 3, PLENTY);
    fixture_settle_down(f);
    fixture_publish(f, 1, fixture_batch(5, 77, 1, 1, 3, NULL));
    fixture_settle_down(f);
    s_expect_of(f, 5);
    fixture_settle(f, 2, 5, YAMI_FRAME_REJECT, 1, f->frame.token, 1, 3);
    s_stand_still(f);
    s_expect_to_wait(f);
    fixture_settle_down(f);
    fixture_forget(f);
    fixture_admin(f, 1, "stat", "r", false);
    assert_int_equal(fixture_number(f, "dead"), 3);
    yami_frame_t redrive = {.type = YAMI_FRAME_ADMIN,
                            .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL,
                            .serial = 1,
                            .command = yami_slice_text("redrive"),
                            .channel = yami_slice_text("r")};
    fixture_publish(f, 1, fixture_batch(5, 77, 1, 4, 1, NULL));
    s_stand_still(f);
    fixture_send(f, 1, &redrive);
    s_expect_to_wait(f);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_REPLY);
    assert_int_equal(fixture_number(f, "messages"), 3);
    fixture_admin(f, 1, "stat", "r", false);
    assert_int_equal(fixture_number(f, "dead"), 0);
    assert_int_equal(fixture_number(f, "messages"), 4);
}

static void
s_publish_and_reject(fixture_t *f, uint32_t handle, const char *queue, uint64_t count)
{
    uint8_t id = (uint8_t) (70 + handle);
    fixture_producer(f, 1, handle, QUEUE, queue, id, 0, 1);
    fixture_consumer(f, 2, handle, QUEUE, queue, "", "", 0, 3600000);
    fixture_credit(f, 2, handle, count, PLENTY);
    for (uint64_t sequence = 1; sequence <= count; sequence++) {
        fixture_publish(f, 1, fixture_batch(handle, id, 1, sequence, 1, NULL));
        fixture_settle_down(f);
        s_expect_of(f, handle);
        fixture_settle(f, 2, handle, YAMI_FRAME_REJECT, sequence, f->frame.token, sequence,
                       sequence);
        fixture_settle_down(f);
    }
}

//  One move is under way at a time, but not one redrive.
static void
test_small_redrive_does_not_wait_for_a_large_one(void **state)
{
    fixture_t *f = *state;
    s_publish_and_reject(f, 5, "large", 30);
    s_publish_and_reject(f, 6, "small", 1);
    fixture_forget(f);
    yami_frame_t redrive = {.type = YAMI_FRAME_ADMIN,
                            .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL,
                            .serial = 1,
                            .command = yami_slice_text("redrive"),
                            .channel = yami_slice_text("large")};
    fixture_send(f, 1, &redrive);
    redrive.serial = 2;
    redrive.channel = yami_slice_text("small");
    fixture_send(f, 1, &redrive);
    fixture_settle_down(f);
    fixture_expect(f, 1, YAMI_FRAME_REPLY);
    assert_int_equal(f->frame.serial, 2);
    assert_int_equal(fixture_number(f, "messages"), 1);
    fixture_expect(f, 1, YAMI_FRAME_REPLY);
    assert_int_equal(fixture_number(f, "messages"), 30);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_history_has_every_kind_of_entry),
        TEST(test_replay_gives_the_state_that_was_written),
        TEST(test_every_prefix_serves_and_goes_on),
        TEST(test_snapshot_anywhere_then_the_rest_is_the_same),
        TEST(test_journal_replayed_twice_is_the_same),
        TEST(test_damaged_entries_are_refused_or_harmless),
        TEST(test_lost_definition_keeps_its_messages),
        TEST(test_retries_keep_their_time_over_a_restart),
        TEST(test_clock_set_back_over_a_restart_makes_no_retry_wait_longer),
        TEST(test_clock_jumps_do_not_move_leases_and_retries),
        TEST(test_disk_that_stands_still_refuses_before_memory_is_full),
        TEST(test_move_without_memory_leaves_its_messages_and_the_next_goes_on),
        cmocka_unit_test(test_batch_with_the_last_numbers_there_are_is_read_back),
        TEST(test_moves_wait_for_a_disk_that_stands_still),
        TEST(test_small_redrive_does_not_wait_for_a_large_one),
        cmocka_unit_test(test_checkpoint_with_many_failed_messages_is_written_and_read),
        cmocka_unit_test(test_piece_takes_no_more_of_a_checkpoint_than_is_counted_on),
        cmocka_unit_test(test_epoch_of_a_producer_that_was_forgotten_is_given_to_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
