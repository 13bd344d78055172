//  A producer's window, confirms, refusals, credit and epochs, frame by frame.
//  One file: a relay played by hand, in few words, against which every case runs.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_producer_core.h"

#define START 1000
#define PER_BATCH 10 //  messages

static yami_producer_core_t s_core;
static int64_t s_now;

//  A control frame that left, decoded; its slices are not valid any more.
static yami_frame_t s_control;
//  A batch that left: its first sequence and the text of its first body.
static yami_batch_t s_batch;
static char s_body[64];

static void
s_init(const char *name)
{
    yami_producer_config_t config = {
        .kind = YAMI_KIND_QUEUE, .channel = "orders", .heartbeat_ms = 1000, .seed = 7};
    (void) snprintf(config.name, sizeof config.name, "%s", name);
    config.is_durable = name[0] != 0;
    config.producer = yami_producer_id("p");
    yami_producer_core_init(&s_core, &config);
    s_now = START;
    yami_producer_core_turn(&s_core, s_now);
}

static int
s_setup(void **state)
{
    (void) state;
    s_init("");
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yami_producer_core_clear(&s_core);
    return 0;
}

//  What output gives, looked at; 'c' control, 'b' batch, 0 nothing. Not taken by the socket yet.
static char
s_look(void)
{
    yami_producer_core_check(&s_core);
    yami_block_t *block = yami_producer_core_output(&s_core, s_now);
    if (block == NULL) {
        return 0;
    }
    if (yami_frame_is_control(block->data, block->size)) {
        assert_int_equal(yami_frame_decode(&s_control, block->data, block->size), 0);
        return 'c';
    }
    size_t offset = 0;
    yami_record_t record;
    assert_int_equal(yami_batch_decode(&s_batch, block->data, block->size), 0);
    assert_int_equal(yami_batch_next(&s_batch, &offset, &record), 0);
    (void) snprintf(s_body, sizeof s_body, "%.*s", (int) record.body.size, record.body.data);
    return 'b';
}

static char
s_send(void)
{
    char what = s_look();
    if (what != 0) {
        yami_producer_core_sent(&s_core, s_now);
        yami_producer_core_check(&s_core);
    }
    return what;
}

static void
s_expect_control(uint8_t type)
{
    assert_int_equal(s_send(), 'c');
    assert_int_equal(s_control.type, type);
}

//  The next thing sent is the batch that begins with sequence, by content.
static void
s_expect_batch(uint64_t sequence)
{
    char body[64];
    (void) snprintf(body, sizeof body, "message %" PRIu64, sequence);
    assert_int_equal(s_send(), 'b');
    assert_int_equal(s_batch.first_sequence, sequence);
    assert_string_equal(s_body, body);
}

static void
s_frame(yami_frame_t frame)
{
    if (frame.handle == 0 && frame.type != YAMI_FRAME_WELCOME && frame.type != YAMI_FRAME_ERROR) {
        frame.handle = YAMI_CLIENT_HANDLE;
    }
    yami_producer_core_frame(&s_core, s_now, &frame);
    yami_producer_core_check(&s_core);
}

static void
s_welcome(void)
{
    s_expect_control(YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME});
}

static void
s_attached(uint64_t epoch, uint64_t messages, uint64_t bytes)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ATTACHED,
                            .present = YAMI_F_LEVEL | YAMI_F_EPOCH | YAMI_F_SEQUENCE |
                                       YAMI_F_MESSAGES | YAMI_F_BYTES,
                            .epoch = epoch,
                            .messages = messages,
                            .bytes = bytes});
}

static void
s_attach(void)
{
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    s_attached(s_core.epoch, 1000, 1000000);
    assert_int_equal(s_core.state, YAMI_PRODUCER_ATTACHED);
}

static void
s_confirm(uint64_t sequence)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CONFIRM,
                            .epoch = s_core.epoch,
                            .sequence = sequence,
                            .level = YAM_LEVEL_SYNCED});
}

static void
s_refuse(uint64_t first, uint64_t last, yam_status_t status)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_REFUSE,
                            .epoch = s_core.epoch,
                            .first = first,
                            .last = last,
                            .status = status,
                            .text = yami_slice_text("because")});
}

//  Adds a batch of PER_BATCH messages whose bodies say their sequence.
static void
s_add(void)
{
    yami_builder_t builder;
    yami_batch_t head;
    yami_producer_core_head(&s_core, &head);
    yami_builder_init(&builder, 65536);
    for (uint64_t index = 0; index < PER_BATCH; index++) {
        char body[64];
        int size = snprintf(body, sizeof body, "message %" PRIu64, head.first_sequence + index);
        yami_record_t record = {.priority = 4, .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_block_t *block = yami_builder_finish(&builder, &head);
    yami_builder_clear(&builder);
    assert_int_equal(yami_producer_core_add(&s_core, &block, PER_BATCH), 0);
    assert_null(block);
}

//  Adds and sends so many batches.
static void
s_publish(int count)
{
    for (int index = 0; index < count; index++) {
        uint64_t sequence = s_core.next_sequence;
        s_add();
        s_expect_batch(sequence);
    }
}

static void
s_expect_outcome(uint64_t first, uint64_t last, yam_status_t status)
{
    yami_producer_outcome_t outcome;
    assert_true(yami_producer_core_outcome(&s_core, &outcome));
    assert_int_equal(outcome.first, first);
    assert_int_equal(outcome.last, last);
    assert_int_equal(outcome.status, status);
    assert_string_equal(outcome.text, status == YAM_STATUS_OK ? "" : "because");
    yami_producer_core_check(&s_core);
}

static void
s_expect_no_outcome(void)
{
    yami_producer_outcome_t outcome;
    assert_false(yami_producer_core_outcome(&s_core, &outcome));
}

static void
s_lose_session(void)
{
    s_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR, .status = YAM_STATUS_NO_SESSION});
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
    s_now += 1000;
}

static void
test_cumulative_confirm_releases_whole_batches_in_order(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    assert_int_equal(s_send(), 0);
    s_expect_no_outcome();
    s_confirm(15); //  in the middle of the second
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    s_expect_no_outcome();
    s_confirm(30);
    s_expect_outcome(11, 30, YAM_STATUS_OK);
    assert_int_equal(s_core.window.count, 0);
}

static void
test_confirm_of_what_was_never_sent_is_ignored(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    s_add();
    s_confirm(20);
    s_expect_no_outcome();
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CONFIRM, .epoch = s_core.epoch + 1, .sequence = 10});
    s_expect_no_outcome();
}

static void
test_batches_wait_for_the_first_attachment(void **state)
{
    (void) state;
    yami_producer_core_clear(&s_core);
    s_init("billing");
    assert_int_equal(s_core.epoch, 0);
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true));
    s_welcome();
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true));
    s_expect_control(YAMI_FRAME_ATTACH);
    assert_int_equal(s_control.epoch, 0);
    assert_int_equal(s_control.first, 1);
    s_attached(5, 100, 100000);
    assert_true(yami_producer_core_wants_batch(&s_core, s_now, false));
    s_publish(1);
    assert_int_equal(s_batch.epoch, 5);
}

static void
test_later_sessions_keep_the_epoch(void **state)
{
    (void) state;
    yami_producer_core_clear(&s_core);
    s_init("billing");
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    s_attached(5, 100, 100000);
    s_lose_session();
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    assert_int_equal(s_control.epoch, 5);
    s_attached(6, 100, 100000); //  not what we asked for
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
    assert_int_equal(s_core.epoch, 5);
}

static void
test_only_full_batches_follow_when_enough_are_on_their_way(void **state)
{
    (void) state;
    s_attach();
    s_publish(YAMI_PRODUCER_FLIGHT - 1);
    assert_true(yami_producer_core_wants_batch(&s_core, s_now, false));
    s_publish(1);
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, false));
    assert_true(yami_producer_core_wants_batch(&s_core, s_now, true));
    s_add();
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true)); //  one is not sent yet
}

static void
test_reconnect_resends_from_the_first_unconfirmed_by_content(void **state)
{
    (void) state;
    s_attach();
    s_publish(4);
    s_confirm(10);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    s_lose_session();
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    assert_int_equal(s_control.first, 11);
    assert_int_equal(s_send(), 0); //  not before ATTACHED
    s_attached(1, 1000, 1000000);
    s_expect_batch(11);
    s_expect_batch(21);
    s_expect_batch(31);
    assert_int_equal(s_send(), 0);
    assert_int_equal(s_core.resent_messages, 3 * PER_BATCH);
}

static void
test_confirm_before_the_resend_skips_what_it_covers(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_lose_session();
    s_attach();
    s_confirm(20); //  the relay had stored these
    s_expect_outcome(1, 20, YAM_STATUS_OK);
    s_expect_batch(21);
}

static void
test_full_goes_back_to_the_refused_batch_after_a_pause(void **state)
{
    (void) state;
    s_attach();
    s_publish(4);
    s_refuse(11, 20, YAM_STATUS_FULL);
    s_refuse(11, 30, YAM_STATUS_GAP); //  the same burst
    s_refuse(11, 40, YAM_STATUS_GAP);
    assert_int_equal(s_send(), 0);
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true));
    int64_t resume_ms = yami_producer_core_deadline(&s_core, s_now);
    assert_true(resume_ms > s_now && resume_ms <= s_now + 50);
    s_now = resume_ms;
    s_expect_batch(11);
    s_expect_batch(21);
    s_expect_batch(31);
    s_confirm(40);
    s_expect_outcome(1, 40, YAM_STATUS_OK);
}

static void
test_refusals_of_the_old_burst_that_come_late_are_ignored(void **state)
{
    (void) state;
    s_attach();
    s_publish(4);
    s_refuse(1, 10, YAM_STATUS_FULL);
    s_now += 100;
    s_expect_batch(1);
    s_expect_batch(11);
    s_refuse(1, 20, YAM_STATUS_GAP); //  of the first sending
    s_refuse(1, 30, YAM_STATUS_GAP);
    s_expect_batch(21);
    s_expect_batch(31);
    s_refuse(1, 40, YAM_STATUS_GAP); //  the last of the first sending
    assert_int_equal(s_core.sent_count, 4);
    s_refuse(11, 20, YAM_STATUS_FULL); //  the second sending
    assert_int_equal(s_core.sent_count, 1);
}

//  A relay may take a part of a batch, and refuse the rest: to confirm that part answers the first
//  sending.
static void
test_confirm_of_a_part_does_not_end_the_burst(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_refuse(6, 10, YAM_STATUS_FULL);
    s_now += 100;
    s_confirm(5);
    s_expect_batch(1);
    s_expect_batch(11);
    s_refuse(6, 20, YAM_STATUS_GAP); //  of the first sending
    s_refuse(6, 30, YAM_STATUS_GAP);
    s_expect_batch(21);
    s_confirm(30);
    s_expect_outcome(1, 30, YAM_STATUS_OK);
}

static void
test_repeated_refusals_pause_longer(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    int64_t pause_ms = 0;
    for (int round = 0; round < 8; round++) {
        s_refuse(1, 10, YAM_STATUS_DISK);
        pause_ms = s_core.pause_ms - s_now;
        assert_true(pause_ms > 0 && pause_ms <= 1000);
        s_frame((yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT});
        s_now += pause_ms;
        while (s_send() == 'c') {
        }
        assert_int_equal(s_batch.first_sequence, 1);
    }
    assert_true(pause_ms >= 500);
    s_confirm(10);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    assert_int_equal(s_core.refusal_count, 0);
}

static void
test_gap_resends_from_the_first_unconfirmed_at_once(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_confirm(10);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    s_refuse(21, 30, YAM_STATUS_GAP);
    s_expect_batch(11);
    s_expect_batch(21);
    s_refuse(21, 30, YAM_STATUS_GAP); //  again without progress: not at once
    assert_int_equal(s_send(), 0);
}

static void
test_gaps_without_end_begin_a_new_session(void **state)
{
    (void) state;
    s_attach();
    s_publish(2);
    for (int round = 0; round < 3; round++) {
        s_refuse(11, 20, YAM_STATUS_GAP);
        s_now += 1000;
        while (s_send() != 0) {
        }
        s_frame((yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT});
    }
    s_refuse(11, 20, YAM_STATUS_GAP);
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
}

static void
test_permanent_refusal_is_reported_in_its_place(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_refuse(11, 20, YAM_STATUS_TOO_BIG);
    s_expect_no_outcome(); //  the first one has none yet
    s_confirm(30);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    s_expect_outcome(11, 20, YAM_STATUS_TOO_BIG);
    s_expect_outcome(21, 30, YAM_STATUS_OK);
    s_expect_no_outcome();
}

static void
test_refused_batch_is_passed_by_attaching_anew(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_refuse(11, 20, YAM_STATUS_TOO_BIG);
    s_refuse(11, 30, YAM_STATUS_GAP); //  the relay goes on expecting what it refused
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true));
    yami_producer_core_turn(&s_core, s_now);
    assert_int_equal(s_core.state, YAMI_PRODUCER_ATTACHED); //  not before the first is confirmed
    s_confirm(10);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
    s_expect_outcome(11, 20, YAM_STATUS_TOO_BIG);
    yami_producer_core_turn(&s_core, s_now);
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
    s_now += 1000;
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    assert_int_equal(s_control.first, 21);
    s_attached(1, 1000, 1000000);
    s_expect_batch(21);
}

static void
test_refused_batch_goes_again_in_a_new_session(void **state)
{
    (void) state;
    s_attach();
    s_publish(3);
    s_refuse(11, 20, YAM_STATUS_TOO_BIG);
    s_lose_session();
    s_attach();
    s_expect_batch(1);
    s_expect_batch(11); //  the relay expects it
    s_expect_batch(21);
}

static void
test_storage_failure_keeps_everything_for_the_next_session(void **state)
{
    (void) state;
    s_attach();
    s_publish(2);
    s_refuse(1, 10, YAM_STATUS_STORAGE_FAILED);
    assert_true(s_core.storage_failed);
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
    s_expect_no_outcome();
    s_now += 1000;
    s_attach();
    assert_false(s_core.storage_failed);
    s_expect_batch(1);
    s_expect_batch(11);
}

static void
test_fenced_is_final(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    s_refuse(1, 10, YAM_STATUS_FENCED);
    assert_int_equal(s_core.state, YAMI_PRODUCER_FINAL);
    assert_int_equal(s_core.final_status, YAM_STATUS_FENCED);
    s_expect_control(YAMI_FRAME_GOODBYE);
    assert_int_equal(yami_link_core_socket(&s_core.link), 0);
    s_now += 100000;
    yami_producer_core_turn(&s_core, s_now);
    assert_int_equal(s_send(), 0);
}

static void
test_errors_end_the_session_or_the_producer(void **state)
{
    (void) state;
    static const struct {
        yam_status_t status;
        uint32_t handle;
        int state;
    } cases[] = {{YAM_STATUS_UNKNOWN, YAMI_CLIENT_HANDLE, YAMI_PRODUCER_DETACHED},
                 {YAM_STATUS_UNKNOWN, YAMI_CLIENT_HANDLE + 1, YAMI_PRODUCER_ATTACHED},
                 {YAM_STATUS_STORAGE_FAILED, 0, YAMI_PRODUCER_DETACHED},
                 {YAM_STATUS_FENCED, YAMI_CLIENT_HANDLE, YAMI_PRODUCER_FINAL}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        yami_producer_core_clear(&s_core);
        s_init("");
        s_attach();
        s_publish(1);
        s_frame((yami_frame_t) {.type = YAMI_FRAME_ERROR,
                                .handle = cases[index].handle,
                                .status = cases[index].status});
        assert_int_equal(s_core.state, cases[index].state);
        assert_int_equal(s_core.storage_failed, cases[index].status == YAM_STATUS_STORAGE_FAILED);
        s_now += 1000;
        if (s_core.state == YAMI_PRODUCER_DETACHED) {
            s_attach();
            s_expect_batch(1);
        }
    }
}

static void
test_frames_for_another_handle_or_epoch_change_nothing(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CONFIRM,
                            .handle = YAMI_CLIENT_HANDLE + 1,
                            .epoch = s_core.epoch,
                            .sequence = 10,
                            .level = YAM_LEVEL_SYNCED});
    s_frame((yami_frame_t) {.type = YAMI_FRAME_REFUSE,
                            .epoch = s_core.epoch + 1,
                            .first = 1,
                            .last = 10,
                            .status = YAM_STATUS_FENCED});
    s_expect_no_outcome();
    assert_int_equal(s_core.state, YAMI_PRODUCER_ATTACHED);
    s_confirm(10);
    s_expect_outcome(1, 10, YAM_STATUS_OK);
}

static void
test_detached_is_final_or_tried_again_by_its_status(void **state)
{
    (void) state;
    static const struct {
        yam_status_t status;
        bool is_final;
    } cases[] = {{YAM_STATUS_NOT_ALLOWED, true}, {YAM_STATUS_CONFLICT, true},
                 {YAM_STATUS_FENCED, true},      {YAM_STATUS_CLOSING, false},
                 {YAM_STATUS_LIMIT, false},      {YAM_STATUS_FULL, false}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        yami_producer_core_clear(&s_core);
        s_init("");
        s_welcome();
        s_expect_control(YAMI_FRAME_ATTACH);
        s_frame((yami_frame_t) {
            .type = YAMI_FRAME_DETACHED, .present = YAMI_F_STATUS, .status = cases[index].status});
        bool is_final = s_core.state == YAMI_PRODUCER_FINAL;
        assert_int_equal(is_final, cases[index].is_final);
        s_now += 1000;
        if (!is_final) {
            s_attach();
        }
    }
}

static void
test_credit_is_never_exceeded(void **state)
{
    (void) state;
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    s_attached(1, 2 * PER_BATCH + 5, 1000000);
    s_publish(2);
    s_add();
    assert_int_equal(s_send(), 0);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CREDIT, .messages = 20, .bytes = 1}); //  older
    assert_int_equal(s_send(), 0);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CREDIT, .messages = 30, .bytes = 1000000});
    s_expect_batch(21);
    assert_false(yami_producer_core_wants_batch(&s_core, s_now, true)); //  none left
}

static void
test_one_batch_alone_may_exceed_what_is_left(void **state)
{
    (void) state;
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    s_attached(1, 1000, 100); //  less than a batch
    s_publish(1);
    s_add();
    assert_int_equal(s_send(), 0);
}

static void
test_resends_spend_credit_too(void **state)
{
    (void) state;
    s_welcome();
    s_expect_control(YAMI_FRAME_ATTACH);
    s_attached(1, 2 * PER_BATCH, 1000000);
    s_publish(2);
    s_refuse(11, 20, YAM_STATUS_FULL);
    s_now += 100;
    assert_int_equal(s_send(), 0); //  refused ones are counted
    s_frame((yami_frame_t) {.type = YAMI_FRAME_CREDIT, .messages = 30, .bytes = 1000000});
    s_expect_batch(11);
}

static void
test_relay_that_does_not_answer_loses_patience(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    for (int second = 0; second < 9; second++) {
        s_now += 1000;
        s_frame((yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT});
        yami_producer_core_turn(&s_core, s_now);
        assert_int_equal(s_core.state, YAMI_PRODUCER_ATTACHED);
        (void) s_send();
    }
    s_now += 1000;
    yami_producer_core_turn(&s_core, s_now);
    assert_int_equal(s_core.state, YAMI_PRODUCER_DETACHED);
}

static void
test_batch_larger_than_the_relay_takes_is_refused_here(void **state)
{
    (void) state;
    s_attach();
    s_publish(1);
    s_lose_session();
    s_expect_control(YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = 100});
    yami_producer_outcome_t outcome;
    assert_true(yami_producer_core_outcome(&s_core, &outcome));
    assert_int_equal(outcome.status, YAM_STATUS_TOO_BIG);
    s_expect_control(YAMI_FRAME_ATTACH);
    assert_int_equal(s_control.first, 11);
}

static void
test_frame_not_taken_by_the_socket_is_given_again(void **state)
{
    (void) state;
    assert_int_equal(s_look(), 'c');
    assert_int_equal(s_look(), 'c');
    s_attach();
    s_add();
    assert_int_equal(s_look(), 'b');
    s_refuse(1, 10, YAM_STATUS_FULL); //  not sent, so not meant
    s_expect_batch(1);
}

static void
test_welcome_while_a_repeated_hello_waits_for_the_socket_begins_the_session(void **state)
{
    (void) state;
    s_expect_control(YAMI_FRAME_HELLO);
    s_now += 1000;
    yami_producer_core_turn(&s_core, s_now);
    assert_int_equal(s_look(), 'c'); //  the second HELLO; the socket does not take it
    assert_int_equal(s_control.type, YAMI_FRAME_HELLO);
    s_frame((yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                            .session = s_core.link.session,
                            .heartbeat_ms = 1000,
                            .max_frame = YAMI_LIMIT_FRAME});
    s_expect_control(YAMI_FRAME_ATTACH);
}

static void
test_leave_detaches_and_says_goodbye(void **state)
{
    (void) state;
    s_attach();
    yami_producer_core_leave(&s_core);
    s_expect_control(YAMI_FRAME_DETACH);
    s_expect_control(YAMI_FRAME_GOODBYE);
    assert_int_equal(s_send(), 0);
}

static void
test_producer_id_is_the_blake2b_of_the_name(void **state)
{
    (void) state;
    //  python3 -c 'import hashlib; print(hashlib.blake2b(b"billing", digest_size=16).hexdigest())'
    static const uint8_t expected[16] = {0x82, 0x88, 0x5a, 0x0c, 0x29, 0xdb, 0x7b, 0xad,
                                         0x98, 0x20, 0x1c, 0x40, 0xb8, 0x00, 0x6d, 0x8c};
    yami_id_t id = yami_producer_id("billing");
    assert_memory_equal(id.bytes, expected, sizeof expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cumulative_confirm_releases_whole_batches_in_order),
        TEST(test_confirm_of_what_was_never_sent_is_ignored),
        TEST(test_batches_wait_for_the_first_attachment),
        TEST(test_later_sessions_keep_the_epoch),
        TEST(test_only_full_batches_follow_when_enough_are_on_their_way),
        TEST(test_reconnect_resends_from_the_first_unconfirmed_by_content),
        TEST(test_confirm_before_the_resend_skips_what_it_covers),
        TEST(test_full_goes_back_to_the_refused_batch_after_a_pause),
        TEST(test_refusals_of_the_old_burst_that_come_late_are_ignored),
        TEST(test_confirm_of_a_part_does_not_end_the_burst),
        TEST(test_repeated_refusals_pause_longer),
        TEST(test_gap_resends_from_the_first_unconfirmed_at_once),
        TEST(test_gaps_without_end_begin_a_new_session),
        TEST(test_permanent_refusal_is_reported_in_its_place),
        TEST(test_refused_batch_is_passed_by_attaching_anew),
        TEST(test_refused_batch_goes_again_in_a_new_session),
        TEST(test_storage_failure_keeps_everything_for_the_next_session),
        TEST(test_fenced_is_final),
        TEST(test_errors_end_the_session_or_the_producer),
        TEST(test_frames_for_another_handle_or_epoch_change_nothing),
        TEST(test_detached_is_final_or_tried_again_by_its_status),
        TEST(test_credit_is_never_exceeded),
        TEST(test_one_batch_alone_may_exceed_what_is_left),
        TEST(test_resends_spend_credit_too),
        TEST(test_relay_that_does_not_answer_loses_patience),
        TEST(test_batch_larger_than_the_relay_takes_is_refused_here),
        TEST(test_frame_not_taken_by_the_socket_is_given_again),
        TEST(test_welcome_while_a_repeated_hello_waits_for_the_socket_begins_the_session),
        TEST(test_leave_detaches_and_says_goodbye),
        TEST(test_producer_id_is_the_blake2b_of_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
