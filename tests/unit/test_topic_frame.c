//  Frames of fast topics, what a publisher counts for their marks, and a subscriber by them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "wire_samples.h"
#include "yami_base.h"
#include "yami_gaps.h"
#include "yami_limits.h"
#include "yami_prefixes.h"
#include "yami_topic_frame.h"

//  -- Frames ------------------------------------------------------------------------------------

#define S_FRAME_LIMIT 400

//  Writes the subject, a batch of one record "body" and two marks. Returns the frame's size.
static size_t
s_frame(uint8_t *bytes, const char *subject)
{
    size_t size = strlen(subject) + 1;
    memcpy(bytes, subject, size);
    yami_builder_t builder;
    yami_builder_init(&builder, S_FRAME_LIMIT);
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT, .body = yami_slice("body", 4)};
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    yami_block_t *batch =
        yami_builder_finish(&builder, &(yami_batch_t) {.epoch = 1, .first_sequence = 100});
    assert_non_null(batch);
    memcpy(bytes + size, batch->data, batch->size);
    size += batch->size;
    yami_block_unref(&batch);
    yami_builder_clear(&builder);
    yami_mark_write(bytes + size, 3, &(yami_mark_t) {7, 8});
    yami_mark_write(bytes + size + YAMI_MARK_SIZE, 1, &(yami_mark_t) {99, 0});
    return size + 2 * (size_t) YAMI_MARK_SIZE;
}

static void
test_what_is_in_a_frame_is_found_in_it(void **state)
{
    (void) state;
    uint8_t bytes[S_FRAME_LIMIT];
    size_t size = s_frame(bytes, "eu.de");
    yami_topic_frame_t frame;
    yami_mark_t mark;
    assert_int_equal(yami_topic_frame_decode(&frame, bytes, size), 0);
    assert_int_equal(frame.subject.size, 5);
    assert_memory_equal(frame.subject.data, "eu.de", 5);
    assert_int_equal(frame.batch.count, 1);
    assert_int_equal(frame.batch.first_sequence, 100);
    assert_true(yami_topic_frame_mark(&frame, 3, &mark));
    assert_int_equal(mark.since, 7);
    assert_int_equal(mark.before, 8);
    assert_true(yami_topic_frame_mark(&frame, 1, &mark));
    assert_int_equal(mark.since, 99);
    assert_int_equal(mark.before, 0);
    assert_false(yami_topic_frame_mark(&frame, 2, &mark));
}

//  Without its marks, or the last of them, it is a frame, too.
static void
test_a_frame_cut_anywhere_else_is_refused(void **state)
{
    (void) state;
    uint8_t bytes[S_FRAME_LIMIT];
    size_t whole = s_frame(bytes, "eu.de");
    for (size_t size = 0; size < whole; size++) {
        yami_topic_frame_t frame;
        uint8_t *copy = yami_alloc(size + 1); //  so that reading behind it is seen
        memcpy(copy, bytes, size);
        bool is_frame = size == whole - YAMI_MARK_SIZE || size == whole - 2 * YAMI_MARK_SIZE;
        assert_int_equal(yami_topic_frame_decode(&frame, copy, size), is_frame ? 0 : -1);
        yami_free(copy);
    }
}

//  Writes the last mark of a frame anew, and decodes it.
static int
s_with_mark(uint8_t *bytes, size_t size, uint8_t prefix_size, uint64_t since, uint64_t before)
{
    yami_topic_frame_t frame;
    uint8_t *at = bytes + size - YAMI_MARK_SIZE;
    yami_mark_write(at, 1, &(yami_mark_t) {since, before});
    at[0] = prefix_size;
    errno = 0;
    int rc = yami_topic_frame_decode(&frame, bytes, size);
    assert_int_equal(errno, rc == 0 ? 0 : EPROTO);
    return rc;
}

static void
test_marks_that_no_publisher_makes_are_refused(void **state)
{
    (void) state;
    uint8_t bytes[S_FRAME_LIMIT];
    size_t size = s_frame(bytes, "eu.de");
    for (unsigned prefix_size = 0; prefix_size < 256; prefix_size++) {
        bool is_shorter = prefix_size == 1 || prefix_size == 2; //  than 3, of the mark before it
        assert_int_equal(s_with_mark(bytes, size, (uint8_t) prefix_size, 7, 8),
                         is_shorter ? 0 : -1);
    }
    //  More than was sent, or counted from a time to come: the batch begins with 100.
    assert_int_equal(s_with_mark(bytes, size, 1, 99, 0), 0);
    assert_int_equal(s_with_mark(bytes, size, 1, 100, 0), -1);
    assert_int_equal(s_with_mark(bytes, size, 1, UINT64_MAX, 0), -1);
    assert_int_equal(s_with_mark(bytes, size, 1, 90, 9), 0);
    assert_int_equal(s_with_mark(bytes, size, 1, 90, 10), -1);
    assert_int_equal(s_with_mark(bytes, size, 1, 0, UINT64_MAX), -1);
    //  Longer than subject and zero byte.
    size -= YAMI_MARK_SIZE;
    assert_int_equal(s_with_mark(bytes, size, 6, 7, 8), 0);
    assert_int_equal(s_with_mark(bytes, size, 7, 7, 8), -1);
}

static void
test_a_flipped_bit_of_subject_or_batch_is_never_taken_for_another_batch(void **state)
{
    (void) state;
    uint8_t bytes[S_FRAME_LIMIT];
    size_t size = s_frame(bytes, "eu.de") - 2 * (size_t) YAMI_MARK_SIZE;
    for (size_t bit = 0; bit < size * 8; bit++) {
        yami_topic_frame_t frame;
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        //  A subject has no checksum, as a ZeroMQ subscription needs it.
        bool is_subject = bit / 8 < 5;
        assert_true(is_subject || yami_topic_frame_decode(&frame, bytes, size) == -1);
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
}

//  -- Prefixes ----------------------------------------------------------------------------------

static void
test_each_prefix_counts_its_own(void **state)
{
    (void) state;
    yami_prefixes_t prefixes = {0};
    uint8_t marks[YAMI_MARKS_SIZE_LIMIT];
    assert_null(yami_prefixes_find(&prefixes, "eu.de", 6));
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "eu.", 3, 10);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "eu.d", 4, 20);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "us", 2, 30);
    yami_prefix_add(yami_prefixes_find(&prefixes, "eu.de", 6), 5, 35);
    yami_prefix_add(yami_prefixes_find(&prefixes, "eu.fr", 6), 2, 37);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "eu.d", 4, 37); //  by somebody else
    assert_null(yami_prefixes_find(&prefixes, "eu", 3));

    uint8_t expected[2 * YAMI_MARK_SIZE];
    yami_mark_write(expected, 4, &(yami_mark_t) {20, 5});
    yami_mark_write(expected + YAMI_MARK_SIZE, 3, &(yami_mark_t) {10, 7});
    assert_int_equal(yami_prefix_marks(yami_prefixes_find(&prefixes, "eu.de", 6), marks),
                     sizeof expected);
    assert_memory_equal(marks, expected, sizeof expected);
    yami_prefixes_clear(&prefixes);
}

#define S_ROUNDS 20000
#define S_MODEL_LENGTH 5 //  bytes, of 3 letters

//  What is subscribed to, in a way that cannot be wrong: by all prefixes there can be.
typedef struct {
    uint64_t count;
    bool is_known;
} s_model_t;

static size_t
s_model_index(const uint8_t *bytes, size_t size)
{
    size_t index = 0;
    for (size_t at = 0; at < size; at++) {
        index = index * 4 + (bytes[at] - 'a' + 1u);
    }
    return index;
}

static void
s_compare_marks(yami_prefixes_t *prefixes, s_model_t *model, const uint8_t *bytes, size_t size)
{
    uint8_t marks[YAMI_MARKS_SIZE_LIMIT];
    uint8_t expected[YAMI_MARKS_SIZE_LIMIT];
    size_t expected_size = 0;
    for (size_t length = size; length > 0; length--) {
        s_model_t *prefix = &model[s_model_index(bytes, length)];
        if (prefix->is_known) {
            yami_mark_write(expected + expected_size, length, &(yami_mark_t) {1, prefix->count});
            expected_size += YAMI_MARK_SIZE;
            prefix->count += 3;
        }
    }
    yami_prefix_t *found = yami_prefixes_find(prefixes, bytes, size);
    assert_int_equal(yami_prefix_marks(found, marks), expected_size);
    assert_memory_equal(marks, expected, expected_size);
    yami_prefix_add(found, 3, 1);
}

static void
test_marks_of_random_prefixes_agree_with_a_model(void **state)
{
    (void) state;
    static s_model_t model[1 << (2 * S_MODEL_LENGTH)];
    yami_prefixes_t prefixes = {0};
    uint64_t random = 1;
    for (int round = 0; round < S_ROUNDS; round++) {
        uint8_t bytes[S_MODEL_LENGTH];
        size_t size = 1 + wire_random(&random) % S_MODEL_LENGTH;
        for (size_t at = 0; at < size; at++) {
            bytes[at] = (uint8_t) ('a' + wire_random(&random) % 3);
        }
        s_model_t *own = &model[s_model_index(bytes, size)];
        if (wire_random(&random) % 64 == 0) {
            yami_prefixes_subscribe(&prefixes, bytes, size, 1);
            own->is_known = true;
        } else {
            s_compare_marks(&prefixes, model, bytes, size);
        }
    }
    yami_prefixes_clear(&prefixes);
}

static void
s_subscribe_to_number(yami_prefixes_t *prefixes, unsigned number)
{
    uint8_t bytes[2] = {(uint8_t) (number >> 8), (uint8_t) number};
    yami_prefixes_subscribe(prefixes, bytes, sizeof bytes, number);
}

static void
test_prefixes_are_bounded_and_the_longest_silent_goes_first(void **state)
{
    (void) state;
    yami_prefixes_t prefixes = {0};
    for (unsigned number = 0; number < YAMI_LIMIT_PREFIXES; number++) {
        s_subscribe_to_number(&prefixes, number);
    }
    yami_prefix_add(yami_prefixes_find(&prefixes, "\x00\x00", 2), 1, YAMI_LIMIT_PREFIXES);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "\x00\x01", 2, YAMI_LIMIT_PREFIXES);
    s_subscribe_to_number(&prefixes, YAMI_LIMIT_PREFIXES);
    assert_int_equal(prefixes.count, YAMI_LIMIT_PREFIXES);
    assert_non_null(yami_prefixes_find(&prefixes, "\x04\x00", 2)); //  1024
    assert_non_null(yami_prefixes_find(&prefixes, "\x00\x00", 2)); //  there was a message
    assert_non_null(yami_prefixes_find(&prefixes, "\x00\x01", 2)); //  it was wanted again
    assert_null(yami_prefixes_find(&prefixes, "\x00\x02", 2));
    assert_non_null(yami_prefixes_find(&prefixes, "\x00\x03", 2));
    yami_prefixes_clear(&prefixes);
}

static void
test_what_no_subject_can_have_is_not_counted(void **state)
{
    (void) state;
    yami_prefixes_t prefixes = {0};
    uint8_t longest[YAMI_LIMIT_SUBJECT + 2] = "a";
    yami_prefixes_subscribe(&prefixes, longest, 0, 1);
    yami_prefixes_subscribe(&prefixes, longest, sizeof longest, 1);
    assert_int_equal(prefixes.count, 0);
    yami_prefixes_subscribe(&prefixes, longest, sizeof longest - 1, 1);
    assert_int_equal(prefixes.count, 1);
    yami_prefixes_clear(&prefixes);
}

//  -- Gaps --------------------------------------------------------------------------------------

static yami_batch_t
s_batch(uint8_t producer, uint32_t epoch, uint64_t first, uint32_t count)
{
    yami_batch_t batch = {.epoch = epoch, .first_sequence = first, .count = count};
    batch.producer.bytes[0] = producer;
    return batch;
}

//  As who sees everything.
static uint64_t
s_note(yami_gaps_t *gaps, const yami_batch_t *batch)
{
    return yami_gaps_note(gaps, batch, &(yami_mark_t) {.before = batch->first_sequence - 1});
}

static void
test_gaps_are_seen_per_sender_and_never_at_the_start(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    yami_batch_t batch = s_batch(1, 1, 100, 10);
    assert_int_equal(s_note(&gaps, &batch), 0);
    batch = s_batch(2, 1, 7, 1);
    assert_int_equal(s_note(&gaps, &batch), 0);
    batch = s_batch(1, 1, 110, 5);
    assert_int_equal(s_note(&gaps, &batch), 0);
    batch = s_batch(1, 1, 118, 5);
    assert_int_equal(s_note(&gaps, &batch), 3);
    batch = s_batch(2, 1, 10, 1);
    assert_int_equal(s_note(&gaps, &batch), 2);
    batch = s_batch(1, 2, 1000, 1); //  a new epoch is a new sender
    assert_int_equal(s_note(&gaps, &batch), 0);
    batch = s_batch(1, 1, 50, 1); //  back: no gap
    assert_int_equal(s_note(&gaps, &batch), 0);
}

static uint64_t
s_note_mark(yami_gaps_t *gaps, uint64_t first, uint64_t since, uint64_t before)
{
    yami_batch_t batch = s_batch(1, 1, first, 10);
    return yami_gaps_note(gaps, &batch, &(yami_mark_t) {since, before});
}

static uint64_t
s_note_unmarked(yami_gaps_t *gaps, uint64_t first)
{
    yami_batch_t batch = s_batch(1, 1, first, 10);
    return yami_gaps_note(gaps, &batch, NULL);
}

static void
test_gaps_of_a_prefix_are_what_its_marks_say(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    assert_int_equal(s_note_mark(&gaps, 100, 7, 40), 0); //  others were there before
    assert_int_equal(s_note_mark(&gaps, 200, 7, 50), 0);
    assert_int_equal(s_note_mark(&gaps, 300, 7, 63), 3);
    assert_int_equal(s_note_mark(&gaps, 200, 7, 50), 0); //  again: nothing is counted twice
    assert_int_equal(s_note_mark(&gaps, 400, 7, 75), 2);
    //  The publisher had forgotten the prefix and counts anew, after all that was seen.
    assert_int_equal(s_note_unmarked(&gaps, 500), 0);
    assert_int_equal(s_note_mark(&gaps, 600, 520, 4), 4);
}

static void
test_messages_lost_between_the_first_frame_and_the_first_mark_are_counted(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    assert_int_equal(s_note_unmarked(&gaps, 100), 0);
    assert_int_equal(s_note_mark(&gaps, 300, 150, 5), 5);
}

static void
test_a_count_that_is_older_than_what_was_seen_is_no_gap(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    assert_int_equal(s_note_unmarked(&gaps, 100), 0);
    assert_int_equal(s_note_mark(&gaps, 120, 7, 90), 0);
    assert_int_equal(s_note_mark(&gaps, 140, 7, 103), 3);
}

//  Two connections that bring one publisher's frames, each in order, one behind the other.
static void
test_frames_that_come_on_two_ways_are_missing_once(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    uint64_t missing = 0;
    for (uint64_t number = 0; number < 64; number++) {
        yami_batch_t old = s_batch(1, 1, 1 + number, 1);
        yami_batch_t new = s_batch(1, 1, 1001 + number, 1);
        missing += s_note(&gaps, &old);
        missing += s_note(&gaps, &new);
    }
    assert_int_equal(missing, 999);
}

static void
test_the_table_of_senders_is_bounded_and_forgets_the_quietest(void **state)
{
    (void) state;
    yami_gaps_t gaps;
    memset(&gaps, 0, sizeof gaps);
    for (unsigned sender = 0; sender < YAMI_LIMIT_GAPS + 1; sender++) {
        yami_batch_t batch = s_batch((uint8_t) sender, 1, 1, 1);
        assert_int_equal(s_note(&gaps, &batch), 0);
    }
    assert_int_equal(gaps.count, YAMI_LIMIT_GAPS);
    yami_batch_t forgotten = s_batch(0, 1, 10, 1);
    assert_int_equal(s_note(&gaps, &forgotten), 0);
    yami_batch_t known = s_batch(YAMI_LIMIT_GAPS, 1, 10, 1);
    assert_int_equal(s_note(&gaps, &known), 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_in_a_frame_is_found_in_it),
        cmocka_unit_test(test_a_frame_cut_anywhere_else_is_refused),
        cmocka_unit_test(test_marks_that_no_publisher_makes_are_refused),
        cmocka_unit_test(test_a_flipped_bit_of_subject_or_batch_is_never_taken_for_another_batch),
        cmocka_unit_test(test_each_prefix_counts_its_own),
        cmocka_unit_test(test_marks_of_random_prefixes_agree_with_a_model),
        cmocka_unit_test(test_prefixes_are_bounded_and_the_longest_silent_goes_first),
        cmocka_unit_test(test_what_no_subject_can_have_is_not_counted),
        cmocka_unit_test(test_gaps_are_seen_per_sender_and_never_at_the_start),
        cmocka_unit_test(test_gaps_of_a_prefix_are_what_its_marks_say),
        cmocka_unit_test(test_messages_lost_between_the_first_frame_and_the_first_mark_are_counted),
        cmocka_unit_test(test_a_count_that_is_older_than_what_was_seen_is_no_gap),
        cmocka_unit_test(test_frames_that_come_on_two_ways_are_missing_once),
        cmocka_unit_test(test_the_table_of_senders_is_bounded_and_forgets_the_quietest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
