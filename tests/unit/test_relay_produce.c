//  Relay core: sessions, producers, confirms, refusals, credit.
//  One file: most of a session's rules show only by what its producer hears.

#include "relay/relay_fixture.h"

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_event.h"
#include "yami_relay_state.h"

#define QUEUE YAMI_KIND_QUEUE

static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    *state = f;
    return 0;
}

//  Peer 1 has handle 1 on "q" with producer 9, epoch 1.
static fixture_t *
s_attached(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.epoch, 1);
    return f;
}

static void
s_publish(fixture_t *f, uint64_t first, uint32_t count)
{
    fixture_publish(f, 1, fixture_batch(1, 9, 1, first, count, NULL));
}

static void
s_expect_confirm(fixture_t *f, uint64_t peer, uint64_t sequence)
{
    fixture_expect(f, peer, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->frame.sequence, sequence);
    assert_int_equal(f->frame.level, YAM_LEVEL_SYNCED);
}

static void
s_expect_refuse(fixture_t *f, yam_status_t status, uint64_t first, uint64_t last)
{
    fixture_expect(f, 1, YAMI_FRAME_REFUSE);
    assert_int_equal(f->frame.status, status);
    assert_int_equal(f->frame.first, first);
    assert_int_equal(f->frame.last, last);
}

static void
test_frame_before_hello_is_no_session(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 2, 1, QUEUE, "q", 9, 0, 1);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_NO_SESSION);
}

//  After a restart a producer's whole window may be on its way already.
static void
test_burst_from_before_a_restart_closes_nobody(void **state)
{
    fixture_t *f = *state;
    unsigned logged = f->log_count;
    for (uint64_t sequence = 1; sequence <= 500; sequence++) {
        fixture_publish(f, 2, fixture_batch(1, 9, 1, sequence, 1, NULL));
    }
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_NO_SESSION);
    assert_int_equal(f->closed, 0);
    assert_int_equal(f->log_count, logged);
    fixture_hello(f, 2);
}

static void
test_confirm_never_before_durable(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
    fixture_durable_at(f, f->entry_count - 1); //  all but the batch
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
}

static void
test_many_batches_get_one_confirm(void **state)
{
    fixture_t *f = s_attached(state);
    for (uint64_t first = 1; first < 50; first += 10) {
        s_publish(f, first, 10);
    }
    fixture_durable(f);
    s_expect_confirm(f, 1, 50);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
}

static void
test_duplicate_is_confirmed_and_not_stored(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
    size_t count = f->entry_count;
    s_publish(f, 1, 3);
    fixture_turn(f);
    s_expect_confirm(f, 1, 3);
    assert_int_equal(f->entry_count, count);
}

static void
test_duplicate_of_what_is_not_durable_waits(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    s_publish(f, 1, 3);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
}

static void
test_partly_new_batch_stores_the_new_part(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    s_publish(f, 2, 4);
    assert_int_equal(f->entries[f->entry_count - 1].entry.count, 2);
    assert_int_equal(f->entries[f->entry_count - 1].entry.base, 4);
    fixture_durable(f);
    s_expect_confirm(f, 1, 5);
}

static void
test_gap_is_refused_with_what_is_expected(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 5, 2);
    s_expect_refuse(f, YAM_STATUS_GAP, 1, 6);
    s_publish(f, 1, 2);
    fixture_durable(f);
    s_expect_confirm(f, 1, 2);
}

static void
test_newer_epoch_fences_the_older(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 2);
    fixture_hello(f, 2);
    fixture_producer(f, 2, 1, QUEUE, "q", 9, 0, 1);
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.epoch, 2);
    assert_int_equal(f->frame.sequence, 0);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    fixture_producer(f, 1, 2, QUEUE, "q", 9, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
}

static void
test_restart_remembers_epoch_and_sequence(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 4);
    fixture_durable(f);
    s_publish(f, 5, 1);
    fixture_restart(f);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 5);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 4);
    s_publish(f, 3, 3);
    fixture_durable(f);
    s_expect_confirm(f, 1, 5);
    assert_int_equal(f->entries[f->entry_count - 1].entry.base, 5);
}

//  Given twice, the messages of one incarnation would pass for those of the other, and be confirmed
//  unseen.
static void
test_epoch_given_before_a_restart_is_not_given_again(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_ATTACHED); //  not before the epoch is durable
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.epoch, 1);
    fixture_checkpoint(f);
    for (uint32_t epoch = 2; epoch <= 3; epoch++) {
        fixture_restart(f);
        fixture_hello(f, 2);
        fixture_producer(f, 2, 1, QUEUE, "q", 9, 0, 1);
        fixture_durable(f);
        fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
        assert_int_equal(f->frame.epoch, epoch);
        fixture_hello(f, 1);
        fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 1); //  the first one is still there
        fixture_expect(f, 1, YAMI_FRAME_DETACHED);
        assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    }
}

static void
test_attached_says_only_what_is_durable(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 4);
    fixture_hello(f, 2);
    fixture_producer(f, 2, 1, QUEUE, "q", 9, 1, 1);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 0);
    fixture_durable(f);
    s_expect_confirm(f, 2, 4);
}

static void
test_forgotten_producer_goes_on_at_first(void **state)
{
    fixture_t *f = *state;
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 3, 101);
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 0); //  it has nothing, whatever the client knows
    fixture_publish(f, 1, fixture_batch(1, 9, 3, 101, 2, NULL));
    fixture_durable(f);
    s_expect_confirm(f, 1, 102);
}

//  Peer 2 begins a session, and attaches with the epoch of peer 1's producer.
static void
s_intrude(fixture_t *f, uint64_t first)
{
    fixture_hello(f, 2);
    fixture_producer(f, 2, 1, QUEUE, "q", 9, 1, first);
}

//  Peer 1 is told that it is replaced, and nothing that it sends now is confirmed.
static void
s_expect_fenced(fixture_t *f, uint64_t first, uint32_t count)
{
    size_t entry_count = f->entry_count;
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    s_publish(f, first, count);
    fixture_expect(f, 1, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
    fixture_durable(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CONFIRM);
    assert_int_equal(f->entry_count, entry_count);
}

static void
test_messages_that_another_link_says_are_known_are_not_confirmed_unstored(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
    s_intrude(f, 1001);
    s_expect_fenced(f, 4, 900);
}

//  Something waits for the disk: what it says is known was dropped without a word.
static void
test_messages_that_another_link_says_are_known_are_not_dropped_unheard(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    s_intrude(f, 1001);
    s_expect_fenced(f, 4, 900);
}

//  What the one stores would pass for what the other sends.
static void
test_messages_of_two_links_with_one_producer_do_not_pass_for_each_other(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
    s_intrude(f, 4);
    fixture_publish(f, 2, fixture_batch(1, 9, 1, 4, 1000, NULL));
    s_expect_fenced(f, 4, 900);
    s_expect_confirm(f, 2, 1003);
}

static void
test_messages_that_were_said_to_be_known_while_their_producer_was_away_are_stored(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 3);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
    fixture_hello(f, 1);
    s_intrude(f, 1001);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 3);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 4);
    fixture_expect(f, 1, YAMI_FRAME_ATTACHED);
    assert_int_equal(f->frame.sequence, 3);
    size_t entry_count = f->entry_count;
    s_publish(f, 4, 900);
    assert_int_equal(f->entry_count, entry_count + 1);
    fixture_durable(f);
    s_expect_confirm(f, 1, 903);
}

//  The old connection of a client that has come back: what it still had on its way does not end the
//  new one.
static void
test_attach_that_comes_late_from_an_older_session_fences_nobody(void **state)
{
    fixture_t *f = *state;
    s_intrude(f, 1);
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    fixture_publish(f, 2, fixture_batch(1, 9, 1, 1, 2, NULL));
    fixture_durable(f);
    s_expect_confirm(f, 2, 2);
    fixture_expect_none(f, 2, YAMI_FRAME_DETACHED);
}

//  A client says HELLO again when no answer comes; the second one of the old connection came last.
static void
test_hello_said_again_makes_no_newer_session(void **state)
{
    fixture_t *f = *state;
    fixture_hello(f, 1);
    const uint64_t session = f->session;
    s_intrude(f, 1);
    fixture_durable(f);
    fixture_expect(f, 2, YAMI_FRAME_ATTACHED);
    fixture_hello_of(f, 1, session);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    fixture_expect_none(f, 2, YAMI_FRAME_DETACHED);
}

//  A batch of sequences 1 and 2 whose records are not sound.
static void
s_publish_malformed(fixture_t *f)
{
    yami_block_t *block = fixture_batch(1, 9, 1, 1, 2, NULL);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    uint8_t bad[64];
    memcpy(bad, batch.payload.data, batch.payload.size);
    bad[0] = 200; //  a body larger than the batch
    batch.payload.data = bad;
    yami_relay_event_t event = {
        .type = YAMI_EVENT_BATCH, .peer = 1, .batch = &batch, .block = block};
    fixture_step(f, &event);
    yami_block_unref(&block);
}

static void
test_malformed_batch_is_given_up_and_the_next_is_taken(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish_malformed(f);
    s_expect_refuse(f, YAM_STATUS_MALFORMED, 1, 2);
    s_publish(f, 3, 1);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
}

//  Sends first.. as bytes of which the last was changed on the way.
static void
s_publish_damaged(fixture_t *f, uint64_t first, uint32_t count)
{
    yami_block_t *sound = fixture_batch(1, 9, 1, first, count, NULL);
    uint8_t bytes[512];
    size_t size = sound->size;
    assert_in_range(size, 1, sizeof bytes);
    memcpy(bytes, sound->data, size);
    bytes[size - 1] ^= 1;
    yami_block_t *block = yami_block_copy(bytes, size, sizeof bytes);
    yami_frame_t frame;
    yami_batch_t batch;
    yami_relay_event_t event = yami_relay_event_decode(1, block, &frame, &batch);
    assert_int_equal(event.type, YAMI_EVENT_BATCH);
    fixture_step(f, &event);
    yami_block_unref(&block);
    yami_block_unref(&sound);
}

static void
test_batch_damaged_on_its_way_is_refused_and_may_come_again(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 2);
    s_publish_damaged(f, 1, 2); //  known by its header: no refusal of what is stored
    s_publish_damaged(f, 2, 3);
    s_expect_refuse(f, YAM_STATUS_MALFORMED, 3, 4);
    fixture_expect_none(f, 1, YAMI_FRAME_ERROR);
    fixture_durable(f);
    s_expect_confirm(f, 1, 2);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 3);
    s_publish(f, 3, 2);
    fixture_durable(f);
    s_expect_confirm(f, 1, 4);
}

//  Its producer may have told its user that it failed.
static void
test_nothing_is_stored_after_a_damaged_batch_was_refused_until_attached_anew(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish_damaged(f, 1, 2);
    s_expect_refuse(f, YAM_STATUS_MALFORMED, 1, 2);
    s_publish(f, 3, 1);
    s_expect_refuse(f, YAM_STATUS_GAP, 1, 3);
    s_publish(f, 1, 2);
    s_expect_refuse(f, YAM_STATUS_GAP, 1, 2);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 3);
    s_publish(f, 3, 1);
    fixture_durable(f);
    s_expect_confirm(f, 1, 3);
}

//  The refusal went down with the link; the client sends again, and this time it arrives in one
//  piece.
static void
test_what_was_given_up_unheard_is_stored_when_sent_anew(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish_malformed(f);
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 1, 1);
    s_publish(f, 1, 2);
    fixture_durable(f);
    s_expect_confirm(f, 1, 2);
    assert_int_equal(f->entries[f->entry_count - 1].entry.count, 2);
}

static void
test_producer_that_leaves_behind_a_gap_is_let_go(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 1);
    fixture_producer(f, 1, 2, QUEUE, "q", 9, 1, 9); //  it gave up 2 to 8
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.handle, 1);
    yami_frame_t detach = {.type = YAMI_FRAME_DETACH, .handle = 2};
    fixture_send(f, 1, &detach);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_DETACHED);
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
}

static void
test_full_channel_refuses_until_there_is_room(void **state)
{
    fixture_t *f = s_attached(state);
    f->options.channel_messages = 5;
    s_publish(f, 1, 5);
    s_publish(f, 6, 1);
    s_expect_refuse(f, YAM_STATUS_FULL, 6, 6);
    fixture_settle_down(f);
    fixture_admin(f, 1, "purge", "q", false);
    s_publish(f, 6, 1);
    fixture_expect_none(f, 1, YAMI_FRAME_REFUSE);
}

static void
test_little_disk_and_draining_refuse(void **state)
{
    fixture_t *f = s_attached(state);
    f->has_room = false;
    s_publish(f, 1, 1);
    s_expect_refuse(f, YAM_STATUS_DISK, 1, 1);
    f->has_room = true;
    yami_relay_event_t drain = {.type = YAMI_EVENT_DRAIN};
    fixture_step(f, &drain);
    s_publish(f, 1, 1);
    s_expect_refuse(f, YAM_STATUS_CLOSING, 1, 1);
    fixture_settle_down(f);
    assert_true(yami_relay_core_is_idle(f->core));
}

static void
test_credit_follows_what_became_durable(void **state)
{
    fixture_t *f = *state;
    f->options.window_messages = 40;
    (void) s_attached(state);
    assert_int_equal(f->frame.messages, 40);
    s_publish(f, 1, 9);
    fixture_durable(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CREDIT);
    s_publish(f, 10, 1);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_CREDIT);
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_CREDIT);
    assert_int_equal(f->frame.messages, 50);
}

static void
test_producer_far_beyond_its_credit_is_closed(void **state)
{
    fixture_t *f = *state;
    f->options.window_messages = 1;
    (void) s_attached(state);
    for (uint64_t first = 1; first < 80000 && f->closed == 0; first += 10000) {
        s_publish(f, first, 10000);
    }
    assert_int_equal(f->closed, 1);
}

static void
test_failed_store_refuses_all_that_waits(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 2);
    fixture_durable(f);
    s_publish(f, 3, 5);
    yami_relay_event_t failed = {.type = YAMI_EVENT_FAILED};
    fixture_step(f, &failed);
    s_expect_refuse(f, YAM_STATUS_STORAGE_FAILED, 3, 7);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_STORAGE_FAILED);
    fixture_expect(f, 1, YAMI_FRAME_GOODBYE);
    assert_int_equal(f->closed, 1);
    f->closed = 0;
    fixture_producer(f, 3, 1, QUEUE, "q", 9, 0, 1);
    assert_int_equal(f->closed, 3);
}

static void
test_other_kind_and_dead_names_are_refused(void **state)
{
    fixture_t *f = s_attached(state);
    fixture_producer(f, 1, 2, YAMI_KIND_TOPIC, "q", 9, 0, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_CONFLICT);
    fixture_producer(f, 1, 2, QUEUE, "q.dead", 9, 0, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_NOT_ALLOWED);
    fixture_producer(f, 1, 2, QUEUE, ".q", 9, 0, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_MALFORMED);
}

static void
test_handle_in_use_ends_both(void **state)
{
    fixture_t *f = s_attached(state);
    fixture_producer(f, 1, 1, QUEUE, "r", 9, 0, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_CONFLICT);
    s_publish(f, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
}

static void
test_detach_comes_after_the_confirms(void **state)
{
    fixture_t *f = s_attached(state);
    s_publish(f, 1, 2);
    yami_frame_t frame = {.type = YAMI_FRAME_DETACH, .handle = 1};
    fixture_send(f, 1, &frame);
    fixture_turn(f);
    fixture_expect_none(f, 1, YAMI_FRAME_DETACHED);
    fixture_durable(f);
    s_expect_confirm(f, 1, 2);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
}

static void
test_handles_are_limited(void **state)
{
    fixture_t *f = *state;
    f->is_unchecked = true;
    char name[8];
    for (uint32_t handle = 1; handle <= YAMI_LIMIT_HANDLES; handle++) {
        (void) snprintf(name, sizeof name, "q%u", handle);
        fixture_producer(f, 1, handle, QUEUE, name, 9, 1, 1);
    }
    fixture_expect_none(f, 1, YAMI_FRAME_DETACHED);
    fixture_producer(f, 1, YAMI_LIMIT_HANDLES + 1, QUEUE, "q", 9, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    assert_int_equal(f->frame.status, YAM_STATUS_LIMIT);
}

//  Producer number of many attaches with that epoch, and leaves. The status it is told.
static yam_status_t
s_come_and_go(fixture_t *f, uint32_t number, uint32_t epoch)
{
    yami_frame_t attach = {.type = YAMI_FRAME_ATTACH,
                           .handle = 1,
                           .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_PRODUCER |
                                      YAMI_F_EPOCH | YAMI_F_FIRST,
                           .role = YAMI_ROLE_PRODUCER,
                           .kind = QUEUE,
                           .channel = yami_slice_text("q"),
                           .epoch = epoch,
                           .first = 1};
    memcpy(attach.producer.bytes, &number, sizeof number);
    fixture_send(f, 1, &attach);
    yami_frame_t detach = {.type = YAMI_FRAME_DETACH, .handle = 1};
    fixture_send(f, 1, &detach);
    fixture_durable(f);
    fixture_expect(f, 1, YAMI_FRAME_DETACHED);
    yam_status_t status = (yam_status_t) f->frame.status;
    fixture_forget(f);
    return status;
}

static void
test_who_was_idle_for_long_or_never_stored_makes_room_for_other_producers(void **state)
{
    fixture_t *f = *state;
    f->is_unchecked = true;
    f->options.producer_idle_ms = 10000;
    assert_int_equal(s_come_and_go(f, 0, 1), YAM_STATUS_OK); //  has stored nothing
    for (uint32_t number = 1; number < YAMI_LIMIT_PRODUCERS; number++) {
        assert_int_equal(s_come_and_go(f, number, 2), YAM_STATUS_OK); //  did, in an earlier epoch
    }
    assert_int_equal(s_come_and_go(f, YAMI_LIMIT_PRODUCERS, 2), YAM_STATUS_OK);
    assert_int_equal(s_come_and_go(f, 0, 2), YAM_STATUS_LIMIT);
    assert_int_equal(s_come_and_go(f, 1, 1), YAM_STATUS_FENCED); //  known as ever
    f->wall_ms += 10000;
    assert_int_equal(s_come_and_go(f, 0, 2), YAM_STATUS_OK);
    assert_int_equal(s_come_and_go(f, 1, 1), YAM_STATUS_OK); //  was forgotten
    yami_relay_core_check(f->core);
}

static void
test_garbage_is_answered_then_closed(void **state)
{
    fixture_t *f = *state;
    yami_relay_event_t event = {
        .type = YAMI_EVENT_GARBAGE, .peer = 1, .status = YAM_STATUS_MALFORMED};
    for (int count = 0; count < 16; count++) {
        fixture_step(f, &event);
        fixture_expect(f, 1, YAMI_FRAME_ERROR);
        assert_int_equal(f->frame.status, YAM_STATUS_MALFORMED);
    }
    assert_int_equal(f->closed, 0);
    fixture_step(f, &event);
    assert_int_equal(f->closed, 1);
}

static void
test_silent_peer_is_gone_and_idle_peer_hears_heartbeats(void **state)
{
    fixture_t *f = *state;
    f->options.heartbeat_ms = 1000;
    yami_frame_t hello = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = 5,
                          .name = yami_slice_text("x"),
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = 1000};
    fixture_send(f, 2, &hello);
    assert_int_equal(yami_relay_core_deadline(f->core), f->mono_ms + 1000);
    fixture_advance(f, 1000);
    fixture_expect(f, 2, YAMI_FRAME_HEARTBEAT);
    fixture_advance(f, 1000);
    fixture_expect(f, 2, YAMI_FRAME_HEARTBEAT);
    assert_int_equal(f->core->silenced, 0);
    fixture_advance(f, 1000);
    assert_int_equal(f->closed, 2);
    assert_int_equal(f->core->silenced, 1);
}

static void
test_new_hello_ends_the_old_session(void **state)
{
    fixture_t *f = s_attached(state);
    fixture_hello(f, 1);
    s_publish(f, 1, 1);
    fixture_expect(f, 1, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_UNKNOWN);
}

//  Links are few: whoever only talks must not keep one.
static void
test_link_that_sends_only_junk_is_dropped(void **state)
{
    fixture_t *f = *state;
    f->closed = 0;
    for (int round = 0; round < 5 && f->closed == 0; round++) {
        yami_relay_event_t junk = {
            .type = YAMI_EVENT_GARBAGE, .peer = 7, .status = YAM_STATUS_MALFORMED};
        fixture_step(f, &junk);
        fixture_advance(f, 5000);
    }
    assert_int_equal(f->closed, 7);
}

static void
test_one_link_too_many_is_told_so(void **state)
{
    fixture_t *f = *state;
    for (uint64_t peer = 2; peer <= YAMI_LIMIT_PEERS; peer++) {
        fixture_hello(f, peer);
    }
    yami_frame_t hello = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = 1,
                          .name = yami_slice_text("late"),
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = 1000};
    fixture_send(f, YAMI_LIMIT_PEERS + 1, &hello);
    fixture_expect(f, YAMI_LIMIT_PEERS + 1, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_LIMIT);
    assert_int_equal(f->closed, YAMI_LIMIT_PEERS + 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_frame_before_hello_is_no_session),
        TEST(test_burst_from_before_a_restart_closes_nobody),
        TEST(test_confirm_never_before_durable),
        TEST(test_many_batches_get_one_confirm),
        TEST(test_duplicate_is_confirmed_and_not_stored),
        TEST(test_duplicate_of_what_is_not_durable_waits),
        TEST(test_partly_new_batch_stores_the_new_part),
        TEST(test_gap_is_refused_with_what_is_expected),
        TEST(test_newer_epoch_fences_the_older),
        TEST(test_restart_remembers_epoch_and_sequence),
        TEST(test_epoch_given_before_a_restart_is_not_given_again),
        TEST(test_attached_says_only_what_is_durable),
        TEST(test_forgotten_producer_goes_on_at_first),
        TEST(test_messages_that_another_link_says_are_known_are_not_confirmed_unstored),
        TEST(test_messages_that_another_link_says_are_known_are_not_dropped_unheard),
        TEST(test_messages_of_two_links_with_one_producer_do_not_pass_for_each_other),
        TEST(test_messages_that_were_said_to_be_known_while_their_producer_was_away_are_stored),
        TEST(test_attach_that_comes_late_from_an_older_session_fences_nobody),
        TEST(test_hello_said_again_makes_no_newer_session),
        TEST(test_malformed_batch_is_given_up_and_the_next_is_taken),
        TEST(test_batch_damaged_on_its_way_is_refused_and_may_come_again),
        TEST(test_nothing_is_stored_after_a_damaged_batch_was_refused_until_attached_anew),
        TEST(test_full_channel_refuses_until_there_is_room),
        TEST(test_little_disk_and_draining_refuse),
        TEST(test_credit_follows_what_became_durable),
        TEST(test_producer_far_beyond_its_credit_is_closed),
        TEST(test_failed_store_refuses_all_that_waits),
        TEST(test_other_kind_and_dead_names_are_refused),
        TEST(test_handle_in_use_ends_both),
        TEST(test_detach_comes_after_the_confirms),
        TEST(test_handles_are_limited),
        TEST(test_who_was_idle_for_long_or_never_stored_makes_room_for_other_producers),
        TEST(test_garbage_is_answered_then_closed),
        TEST(test_silent_peer_is_gone_and_idle_peer_hears_heartbeats),
        TEST(test_new_hello_ends_the_old_session),
        TEST(test_link_that_sends_only_junk_is_dropped),
        TEST(test_one_link_too_many_is_told_so),
        TEST(test_what_was_given_up_unheard_is_stored_when_sent_anew),
        TEST(test_producer_that_leaves_behind_a_gap_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
