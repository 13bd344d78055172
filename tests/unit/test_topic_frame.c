//  Frames of fast topics, and what a publisher counts for their marks.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "wire_samples.h"
#include "yami_base.h"
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
        yami_builder_finish(&builder, &(yami_batch_t) {.epoch = 1, .first_sequence = 5});
    assert_non_null(batch);
    memcpy(bytes + size, batch->data, batch->size);
    size += batch->size;
    yami_block_unref(&batch);
    yami_builder_clear(&builder);
    yami_mark_write(bytes + size, 3, &(yami_mark_t) {7, 8});
    yami_mark_write(bytes + size + YAMI_MARK_SIZE, 1, &(yami_mark_t) {UINT64_MAX, 0});
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
    assert_int_equal(frame.batch.first_sequence, 5);
    assert_true(yami_topic_frame_mark(&frame, 3, &mark));
    assert_int_equal(mark.since, 7);
    assert_int_equal(mark.before, 8);
    assert_true(yami_topic_frame_mark(&frame, 1, &mark));
    assert_int_equal(mark.since, UINT64_MAX);
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

static void
test_a_mark_of_a_prefix_that_the_subject_cannot_have_is_refused(void **state)
{
    (void) state;
    uint8_t bytes[S_FRAME_LIMIT];
    size_t size = s_frame(bytes, "eu");
    yami_topic_frame_t frame;
    assert_int_equal(yami_topic_frame_decode(&frame, bytes, size), 0); //  3 bytes: with the zero
    for (int prefix_size = 4; prefix_size != 1; prefix_size = (prefix_size + 1) % 256) {
        bytes[size - YAMI_MARK_SIZE] = (uint8_t) prefix_size;
        if (prefix_size == 0 || prefix_size > 3) {
            assert_int_equal(yami_topic_frame_decode(&frame, bytes, size), -1);
            assert_int_equal(errno, EPROTO);
        }
    }
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
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "eu.d", 4, 21);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "us", 2, 30);
    yami_prefix_add(yami_prefixes_find(&prefixes, "eu.de", 6), 5);
    yami_prefix_add(yami_prefixes_find(&prefixes, "eu.fr", 6), 2);
    assert_null(yami_prefixes_find(&prefixes, "eu", 3));

    assert_int_equal(yami_prefix_marks(yami_prefixes_find(&prefixes, "eu.de", 6), marks),
                     2 * YAMI_MARK_SIZE);
    uint8_t expected[2 * YAMI_MARK_SIZE];
    yami_mark_write(expected, 4, &(yami_mark_t) {20, 5});
    yami_mark_write(expected + YAMI_MARK_SIZE, 3, &(yami_mark_t) {10, 7});
    assert_memory_equal(marks, expected, sizeof expected);

    //  Of two one is gone, then the other; a prefix without subscribers counts, and has no mark.
    yami_prefixes_cancel(&prefixes, (const uint8_t *) "eu.d", 4);
    yami_prefix_t *found = yami_prefixes_find(&prefixes, "eu.de", 6);
    assert_int_equal(yami_prefix_marks(found, marks), 2 * YAMI_MARK_SIZE);
    yami_prefixes_cancel(&prefixes, (const uint8_t *) "eu.d", 4);
    yami_prefixes_cancel(&prefixes, (const uint8_t *) "eu.d", 4); //  once too often
    assert_int_equal(yami_prefix_marks(found, marks), YAMI_MARK_SIZE);
    yami_prefix_add(found, 1);
    yami_prefixes_subscribe(&prefixes, (const uint8_t *) "eu.d", 4, 99);
    yami_mark_write(expected, 4, &(yami_mark_t) {20, 6});
    yami_mark_write(expected + YAMI_MARK_SIZE, 3, &(yami_mark_t) {10, 8});
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
    uint32_t subscribers;
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
        if (prefix->subscribers > 0) {
            yami_mark_write(expected + expected_size, length, &(yami_mark_t) {1, prefix->count});
            expected_size += YAMI_MARK_SIZE;
        }
        prefix->count += prefix->is_known ? 3 : 0;
    }
    yami_prefix_t *found = yami_prefixes_find(prefixes, bytes, size);
    assert_int_equal(yami_prefix_marks(found, marks), expected_size);
    assert_memory_equal(marks, expected, expected_size);
    yami_prefix_add(found, 3);
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
        switch (wire_random(&random) % 4) {
        case 0:
            yami_prefixes_subscribe(&prefixes, bytes, size, 1);
            own->subscribers++;
            own->is_known = true;
            break;
        case 1:
            yami_prefixes_cancel(&prefixes, bytes, size);
            own->subscribers -= own->subscribers > 0;
            break;
        default:
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
test_prefixes_are_bounded_and_those_of_nobody_go_first(void **state)
{
    (void) state;
    yami_prefixes_t prefixes = {0};
    for (unsigned number = 0; number < YAMI_PREFIXES_LIMIT + 10; number++) {
        s_subscribe_to_number(&prefixes, number);
    }
    assert_int_equal(prefixes.count, YAMI_PREFIXES_LIMIT);
    assert_null(yami_prefixes_find(&prefixes, "\x04\x05", 2)); //  1029
    yami_prefixes_cancel(&prefixes, (const uint8_t *) "\x00\x07", 2);
    yami_prefixes_cancel(&prefixes, (const uint8_t *) "\x00\x05", 2);
    assert_non_null(yami_prefixes_find(&prefixes, "\x00\x05", 2));
    s_subscribe_to_number(&prefixes, 1029);
    assert_non_null(yami_prefixes_find(&prefixes, "\x04\x05", 2));
    assert_null(yami_prefixes_find(&prefixes, "\x00\x05", 2)); //  the older of two
    assert_non_null(yami_prefixes_find(&prefixes, "\x00\x07", 2));
    assert_int_equal(prefixes.count, YAMI_PREFIXES_LIMIT);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_in_a_frame_is_found_in_it),
        cmocka_unit_test(test_a_frame_cut_anywhere_else_is_refused),
        cmocka_unit_test(test_a_mark_of_a_prefix_that_the_subject_cannot_have_is_refused),
        cmocka_unit_test(test_a_flipped_bit_of_subject_or_batch_is_never_taken_for_another_batch),
        cmocka_unit_test(test_each_prefix_counts_its_own),
        cmocka_unit_test(test_marks_of_random_prefixes_agree_with_a_model),
        cmocka_unit_test(test_prefixes_are_bounded_and_those_of_nobody_go_first),
        cmocka_unit_test(test_what_no_subject_can_have_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
