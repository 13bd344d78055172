//  yami_batch: total decoding, building, slicing.
//  One file: decoder, builder and slices are tested against each other.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "wire_samples.h"
#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_limits.h"

static const yami_batch_t s_head = {.handle = 7, .epoch = 1, .first_sequence = 100};

//  A decoder that passes a batch must also get through its records, well-formed or not.
static int
s_decode(const uint8_t *bytes, size_t size)
{
    //  An exact allocation, so that a sanitizer sees each read past the end.
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    yami_batch_t batch;
    int rc = yami_batch_decode(&batch, copy, size);
    if (rc == 0) {
        rc = yami_batch_check_records(&batch, NULL);
    }
    int error = errno;
    free(copy);
    errno = error;
    return rc;
}

//  Writes both checksums anew after a test has changed something.
static void
s_sign(uint8_t *bytes, size_t size)
{
    yami_put_u32(bytes + 48, yami_crc32c(0, bytes + 56, size - 56));
    yami_put_u32(bytes + 52, yami_crc32c(0, bytes, 52));
}

static yami_block_t *
s_build(uint32_t count)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 65536);
    for (uint32_t index = 0; index < count; index++) {
        yami_record_t record = {.priority = 4, .body = yami_slice(&index, sizeof index)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    yami_builder_clear(&builder);
    return block;
}

static void
test_each_sample_reads_back(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[index]);
        wire_assert_batch(block, &wire_batch_samples[index]);
        yami_block_unref(&block);
    }
}

static void
test_each_truncation_and_trailing_byte_is_refused(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[index]);
        for (size_t size = 0; size < block->size; size++) {
            assert_int_equal(s_decode(block->data, size), -1);
            assert_int_equal(errno, EPROTO);
        }
        uint8_t longer[4096] = {0};
        memcpy(longer, block->data, block->size);
        assert_int_equal(s_decode(longer, block->size + 1), -1);
        assert_int_equal(errno, EPROTO);
        yami_block_unref(&block);
    }
}

static void
test_each_flipped_bit_is_detected(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        bool has_crc = !(wire_batch_samples[index].head.flags & YAMI_BATCH_NO_CRC);
        yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[index]);
        uint8_t bytes[4096];
        memcpy(bytes, block->data, block->size);
        for (size_t bit = 0; bit < 8 * block->size; bit++) {
            bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
            int rc = s_decode(bytes, block->size);
            if (has_crc || bit / 8 < YAMI_BATCH_HEADER_SIZE) {
                assert_int_equal(rc, -1);
                assert_true(errno == EPROTO || errno == EBADMSG);
            }
            bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
        yami_block_unref(&block);
    }
}

//  With checksums that match, only the decoder's own checks are left.
static void
test_signed_nonsense_in_the_payload_never_crashes(void **state)
{
    (void) state;
    uint64_t seed = 2;
    yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[2]);
    for (int round = 0; round < 50000; round++) {
        uint8_t bytes[4096];
        memcpy(bytes, block->data, block->size);
        size_t span = 1 + wire_random(&seed) % 8;
        size_t at = 56 + wire_random(&seed) % (block->size - 56 - span);
        for (size_t index = 0; index < span; index++) {
            bytes[at + index] = (uint8_t) wire_random(&seed);
        }
        s_sign(bytes, block->size);
        if (s_decode(bytes, block->size) == -1) {
            assert_int_equal(errno, EPROTO);
        }
    }
    yami_block_unref(&block);
}

static void
test_random_bytes_are_refused(void **state)
{
    (void) state;
    uint64_t seed = 3;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[128];
        for (size_t index = 0; index < sizeof bytes; index++) {
            bytes[index] = (uint8_t) wire_random(&seed);
        }
        memcpy(bytes, "YAMB\1", round % 2 == 0 ? 5 : 0);
        assert_int_equal(s_decode(bytes, wire_random(&seed) % sizeof bytes), -1);
    }
}

//  One field of a sound header is made unsound, checksums are right.
static void
test_unsound_header_fields_are_refused(void **state)
{
    (void) state;
    static const struct {
        size_t at;
        size_t width;
        uint64_t value;
    } changes[] = {
        {4, 1, 2},
        {5, 1, 2},
        {6, 1, 1},
        {8, 4, 1},
        {8, 4, 0xffffffff},
        {12, 4, 0},
        {12, 4, 2},
        {12, 4, 4},
        {12, 4, YAMI_LIMIT_BATCH_COUNT + 1},
        {40, 8, 0},
        {40, 8, YAMI_LIMIT_SEQUENCE},
        {40, 8, UINT64_MAX},
    };
    yami_block_t *block = s_build(3);
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        uint8_t bytes[256];
        uint8_t value[8];
        memcpy(bytes, block->data, block->size);
        s_sign(bytes, block->size);
        assert_int_equal(s_decode(bytes, block->size), 0);
        yami_put_u64(value, changes[index].value);
        memcpy(bytes + changes[index].at, value, changes[index].width);
        s_sign(bytes, block->size);
        assert_int_equal(s_decode(bytes, block->size), -1);
        assert_int_equal(errno, EPROTO);
    }
    yami_block_unref(&block);
}

static void
test_unsound_record_fields_are_refused(void **state)
{
    (void) state;
    static const struct {
        size_t at;
        size_t width;
        uint64_t value;
    } changes[] = {
        {0, 4, 9},
        {0, 4, 0xffffffff},
        {4, 2, 0xffff},
        {6, 1, 4},
        {7, 1, 10},
        {12, 8, 0},
        {12, 8, YAMI_LIMIT_TIME_MS + 1},
        {20, 8, UINT64_MAX},
    };
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[2]);
        uint8_t bytes[256];
        uint8_t value[8];
        memcpy(bytes, block->data, block->size);
        yami_put_u64(value, changes[index].value);
        memcpy(bytes + 56 + changes[index].at, value, changes[index].width);
        s_sign(bytes, block->size);
        assert_int_equal(s_decode(bytes, block->size), -1);
        assert_int_equal(errno, EPROTO);
        yami_block_unref(&block);
    }
}

static void
test_a_batch_without_records_is_refused(void **state)
{
    (void) state;
    yami_block_t *block = s_build(1);
    uint8_t bytes[YAMI_BATCH_HEADER_SIZE];
    memcpy(bytes, block->data, sizeof bytes);
    yami_put_u32(bytes + 8, 0);
    yami_put_u32(bytes + 12, 0);
    s_sign(bytes, sizeof bytes);
    assert_int_equal(s_decode(bytes, sizeof bytes), -1);
    assert_int_equal(errno, EPROTO);
    yami_block_unref(&block);
}

//  The last record says that it has times, and the payload ends before or within them.
static void
test_times_past_the_end_are_refused(void **state)
{
    (void) state;
    for (size_t times_size = 0; times_size <= 16; times_size++) {
        uint8_t bytes[YAMI_BATCH_HEADER_SIZE + YAMI_RECORD_HEADER_SIZE + 16] = {0};
        yami_block_t *block = s_build(1);
        memcpy(bytes, block->data, YAMI_BATCH_HEADER_SIZE);
        size_t size = YAMI_BATCH_HEADER_SIZE + YAMI_RECORD_HEADER_SIZE + times_size;
        yami_put_u32(bytes + 8, (uint32_t) (size - YAMI_BATCH_HEADER_SIZE));
        bytes[YAMI_BATCH_HEADER_SIZE + 6] = YAMI_RECORD_DUE | YAMI_RECORD_EXPIRY;
        bytes[YAMI_BATCH_HEADER_SIZE + YAMI_RECORD_HEADER_SIZE] = 1;
        bytes[YAMI_BATCH_HEADER_SIZE + YAMI_RECORD_HEADER_SIZE + 8] = 1;
        s_sign(bytes, size);
        assert_int_equal(s_decode(bytes, size), times_size == 16 ? 0 : -1);
        yami_batch_t batch;
        yami_record_t record;
        size_t offset = 0;
        assert_int_equal(yami_batch_decode(&batch, bytes, size), 0);
        assert_int_equal(yami_batch_next(&batch, &offset, &record), times_size == 16 ? 0 : -1);
        yami_block_unref(&block);
    }
}

static void
test_a_checksum_left_out_must_be_zero(void **state)
{
    (void) state;
    yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[3]);
    uint8_t bytes[256];
    memcpy(bytes, block->data, block->size);
    s_sign(bytes, block->size); //  sets the payload's, although the flag says there is none
    assert_int_equal(s_decode(bytes, block->size), -1);
    assert_int_equal(errno, EPROTO);
    yami_block_unref(&block);
}

static void
test_a_full_builder_says_again_and_keeps_its_records(void **state)
{
    (void) state;
    yami_builder_t builder;
    yami_builder_init(&builder, 56 + 2 * (12 + 4));
    yami_record_t record = {.priority = 4, .body = yami_slice("body", 4)};
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    assert_int_equal(builder.size, builder.limit);
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, EAGAIN);
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    assert_int_equal(s_decode(block->data, block->size), 0);
    assert_int_equal(builder.count, 0);
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    yami_block_unref(&block);
    yami_builder_clear(&builder);
    yami_builder_clear(&builder);
}

static void
test_a_builder_stops_at_the_record_limit(void **state)
{
    (void) state;
    yami_builder_t builder;
    yami_builder_init(&builder, YAMI_LIMIT_FRAME);
    yami_record_t record = {.priority = 4};
    for (uint32_t index = 0; index < YAMI_LIMIT_BATCH_COUNT; index++) {
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, EAGAIN);
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    assert_int_equal(s_decode(block->data, block->size), 0);
    yami_block_unref(&block);
    yami_builder_clear(&builder);
}

static void
test_one_record_larger_than_the_limit_travels_alone(void **state)
{
    (void) state;
    char *body = calloc(1, YAMI_LIMIT_BODY + 1);
    yami_builder_t builder;
    yami_builder_init(&builder, 1000);
    yami_record_t record = {.priority = 4, .body = yami_slice(body, YAMI_LIMIT_BODY + 1)};
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, EMSGSIZE);
    record.body.size = YAMI_LIMIT_BODY;
    record.properties = yami_slice(body, YAMI_LIMIT_PROPERTIES + 1);
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, EMSGSIZE);
    record.properties.size = YAMI_LIMIT_PROPERTIES;
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    record.body.size = 0;
    record.properties.size = 0;
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, EAGAIN);
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    assert_int_equal(s_decode(block->data, block->size), 0);
    yami_block_unref(&block);
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    assert_int_equal(builder.capacity, 1000);
    yami_builder_clear(&builder);
    free(body);
}

static void
test_unsound_records_are_not_appended(void **state)
{
    (void) state;
    static const yami_record_t records[] = {
        {.priority = 10},
        {.flags = 4},
        {.flags = YAMI_RECORD_DUE},
        {.flags = YAMI_RECORD_DUE, .due_ms = -1},
        {.flags = YAMI_RECORD_EXPIRY, .expiry_ms = YAMI_LIMIT_TIME_MS + 1},
    };
    yami_builder_t builder;
    yami_builder_init(&builder, 1000);
    for (size_t index = 0; index < sizeof records / sizeof records[0]; index++) {
        assert_int_equal(yami_builder_append(&builder, &records[index]), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(builder.count, 0);
    }
    yami_builder_clear(&builder);
}

static void
test_a_finished_batch_is_the_buffer_itself_unless_it_is_small(void **state)
{
    (void) state;
    char body[300] = {0};
    yami_builder_t builder;
    yami_builder_init(&builder, 1000);
    yami_record_t record = {.priority = 4, .body = yami_slice(body, sizeof body)};
    yami_builder_append(&builder, &record);
    const uint8_t *buffer = builder.bytes;
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    assert_ptr_equal(block->data, buffer);
    assert_null(builder.bytes);
    yami_block_unref(&block);
    record.body.size = 10;
    yami_builder_append(&builder, &record);
    buffer = builder.bytes;
    block = yami_builder_finish(&builder, &s_head);
    assert_ptr_not_equal(block->data, buffer);
    assert_ptr_equal(builder.bytes, buffer);
    assert_int_equal(s_decode(block->data, block->size), 0);
    yami_block_unref(&block);
    yami_builder_clear(&builder);
}

static void
test_a_failing_allocation_changes_nothing(void **state)
{
    (void) state;
    yami_builder_t builder;
    yami_builder_init(&builder, 1000);
    yami_record_t record = {.priority = 4, .body = yami_slice("body", 4)};
    yami_alloc_fail_after(0);
    assert_int_equal(yami_builder_append(&builder, &record), -1);
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
    assert_int_equal(builder.count, 0);
    assert_int_equal(yami_builder_append(&builder, &record), 0);
    yami_alloc_fail_after(0);
    assert_null(yami_builder_finish(&builder, &s_head));
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
    assert_int_equal(builder.count, 1);
    yami_block_t *block = yami_builder_finish(&builder, &s_head);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    yami_alloc_fail_after(0);
    assert_null(yami_batch_slice(&batch, 0, 1));
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
    yami_block_unref(&block);
    yami_builder_clear(&builder);
}

static void
test_each_slice_holds_its_records_with_their_sequences(void **state)
{
    (void) state;
    yami_block_t *block = s_build(5);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    for (uint32_t index = 0; index < 5; index++) {
        for (uint32_t count = 1; count <= 5 - index; count++) {
            yami_block_t *slice = yami_batch_slice(&batch, index, count);
            assert_non_null(slice);
            yami_batch_t part;
            assert_int_equal(yami_batch_decode(&part, slice->data, slice->size), 0);
            assert_int_equal(yami_batch_check_records(&part, NULL), 0);
            assert_int_equal(part.count, count);
            assert_int_equal(part.handle, 7);
            assert_int_equal(part.first_sequence, 100 + index);
            size_t offset = 0;
            yami_record_t record;
            assert_int_equal(yami_batch_next(&part, &offset, &record), 0);
            assert_memory_equal(record.body.data, &index, sizeof index);
            yami_block_unref(&slice);
        }
    }
    yami_block_unref(&block);
}

static void
test_a_slice_of_records_that_are_not_there_is_refused(void **state)
{
    (void) state;
    static const uint32_t ranges[][2] = {{0, 0}, {0, 6}, {5, 1}, {4, 2}, {1, UINT32_MAX}};
    yami_block_t *block = s_build(5);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    for (size_t index = 0; index < sizeof ranges / sizeof ranges[0]; index++) {
        assert_null(yami_batch_slice(&batch, ranges[index][0], ranges[index][1]));
        assert_int_equal(errno, EINVAL);
    }
    yami_block_unref(&block);
}

static void
test_a_slice_of_malformed_records_is_refused(void **state)
{
    (void) state;
    yami_block_t *block = s_build(5);
    uint8_t bytes[256];
    memcpy(bytes, block->data, block->size);
    bytes[56 + 16 + 7] = 10; //  priority of the second record
    s_sign(bytes, block->size);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, bytes, block->size), 0);
    assert_null(yami_batch_slice(&batch, 1, 1));
    assert_int_equal(errno, EPROTO);
    yami_block_unref(&block);
}

static void
test_a_slice_of_a_batch_without_checksum_gets_one(void **state)
{
    (void) state;
    yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[3]);
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    yami_block_t *slice = yami_batch_slice(&batch, 0, 1);
    assert_int_equal(yami_batch_decode(&batch, slice->data, slice->size), 0);
    assert_int_equal(batch.flags, 0);
    yami_block_unref(&slice);
    yami_block_unref(&block);
}

static void
test_key_hash_is_crc32c_and_never_zero(void **state)
{
    (void) state;
    static const uint8_t sums_to_zero[] = {0xab, 0x9b, 0xe0, 0x9b};
    assert_int_equal(yami_key_hash("123456789", 9), 0xe3069283);
    assert_int_equal(yami_key_hash("", 0), 0);
    assert_int_equal(yami_crc32c(0, sums_to_zero, 4), 0);
    assert_int_equal(yami_key_hash(sums_to_zero, 4), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_sample_reads_back),
        cmocka_unit_test(test_each_truncation_and_trailing_byte_is_refused),
        cmocka_unit_test(test_each_flipped_bit_is_detected),
        cmocka_unit_test(test_signed_nonsense_in_the_payload_never_crashes),
        cmocka_unit_test(test_random_bytes_are_refused),
        cmocka_unit_test(test_unsound_header_fields_are_refused),
        cmocka_unit_test(test_unsound_record_fields_are_refused),
        cmocka_unit_test(test_a_batch_without_records_is_refused),
        cmocka_unit_test(test_times_past_the_end_are_refused),
        cmocka_unit_test(test_a_checksum_left_out_must_be_zero),
        cmocka_unit_test(test_a_full_builder_says_again_and_keeps_its_records),
        cmocka_unit_test(test_a_builder_stops_at_the_record_limit),
        cmocka_unit_test(test_one_record_larger_than_the_limit_travels_alone),
        cmocka_unit_test(test_unsound_records_are_not_appended),
        cmocka_unit_test(test_a_finished_batch_is_the_buffer_itself_unless_it_is_small),
        cmocka_unit_test(test_a_failing_allocation_changes_nothing),
        cmocka_unit_test(test_each_slice_holds_its_records_with_their_sequences),
        cmocka_unit_test(test_a_slice_of_records_that_are_not_there_is_refused),
        cmocka_unit_test(test_a_slice_of_malformed_records_is_refused),
        cmocka_unit_test(test_a_slice_of_a_batch_without_checksum_gets_one),
        cmocka_unit_test(test_key_hash_is_crc32c_and_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
