//  yami_frame: control frames, decoded from bytes nobody has checked.
//  One file: one decoder, whose every rule is broken once, in the same samples.

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
#include "yami_bytes.h"
#include "yami_frame_table.h"
#include "yami_limits.h"
#include "yami_writer.h"

//  Decodes an exact copy, so that a sanitizer sees each read past the end; walks its ranges.
static int
s_decode(const uint8_t *bytes, size_t size, yami_frame_t *frame)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    int rc = yami_frame_decode(frame, copy, size);
    int error = errno;
    if (rc == 0) {
        size_t offset = 0;
        uint32_t count = 0;
        yami_settle_t range;
        while (yami_frame_range(frame, &offset, &range)) {
            assert_true(range.first <= range.last);
            count++;
        }
        assert_int_equal(count, frame->range_count);
    }
    free(copy);
    errno = error;
    return rc;
}

static void
s_start(yami_writer_t *writer, uint8_t type, uint32_t handle)
{
    yami_writer_init(writer, 8u << 20);
    yami_writer_u32(writer, YAMI_FRAME_MAGIC);
    yami_writer_u8(writer, YAMI_FRAME_VERSION);
    yami_writer_u8(writer, type);
    yami_writer_u16(writer, 0);
    yami_writer_u32(writer, handle);
    yami_writer_u32(writer, 0);
}

//  Decodes a frame a test has put together; frees it. 0 or the errno.
static int
s_try(yami_writer_t *writer, yami_frame_t *frame)
{
    yami_block_t *block = yami_writer_finish(writer);
    assert_non_null(block);
    uint8_t *bytes = malloc(block->size);
    memcpy(bytes, block->data, block->size);
    yami_put_u32(bytes + 12, (uint32_t) (block->size - YAMI_FRAME_HEADER_SIZE));
    int rc = s_decode(bytes, block->size, frame);
    int error = errno;
    free(bytes);
    yami_block_unref(&block);
    return rc == 0 ? 0 : error;
}

//  An ERROR frame with one status, then pair_count - 1 pairs the test writes itself.
static void
s_start_error(yami_writer_t *writer, uint32_t pair_count)
{
    s_start(writer, YAMI_FRAME_ERROR, 0);
    yami_writer_map(writer, pair_count);
    yami_writer_str(writer, "status");
    yami_writer_uint(writer, 1);
}

static void
test_each_sample_reads_back(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        yami_frame_t frame;
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        assert_true(yami_frame_is_control(block->data, block->size));
        assert_false(yami_frame_is_batch(block->data, block->size));
        assert_int_equal(yami_frame_decode(&frame, block->data, block->size), 0);
        wire_assert_frame(&frame, &wire_frame_samples[index].frame);
        yami_block_unref(&block);
    }
}

static void
test_each_truncation_and_trailing_byte_is_refused(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        yami_frame_t frame;
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        uint8_t bytes[512] = {0};
        memcpy(bytes, block->data, block->size);
        for (size_t size = 0; size < block->size; size++) {
            assert_int_equal(s_decode(bytes, size, &frame), -1);
            assert_int_equal(errno, EPROTO);
            if (size < YAMI_FRAME_HEADER_SIZE) {
                continue;
            }
            //  The same with a header that agrees.
            yami_put_u32(bytes + 12, (uint32_t) (size - YAMI_FRAME_HEADER_SIZE));
            assert_int_equal(s_decode(bytes, size, &frame), -1);
            yami_put_u32(bytes + 12, (uint32_t) (block->size - YAMI_FRAME_HEADER_SIZE));
        }
        assert_int_equal(s_decode(bytes, block->size + 1, &frame), -1);
        yami_put_u32(bytes + 12, (uint32_t) (block->size - YAMI_FRAME_HEADER_SIZE + 1));
        assert_int_equal(s_decode(bytes, block->size + 1, &frame), -1);
        yami_block_unref(&block);
    }
}

//  Control frames have no checksum, so a flip in the map may give another valid frame; one in the
//  fixed part of the header never does, except in type and handle, whose every value may mean
//  something.
static void
test_each_flipped_bit_is_survived_and_in_the_header_detected(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        yami_frame_t frame;
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        uint8_t bytes[512];
        memcpy(bytes, block->data, block->size);
        for (size_t bit = 0; bit < 8 * block->size; bit++) {
            size_t at = bit / 8;
            bytes[at] ^= (uint8_t) (1u << bit % 8);
            int rc = s_decode(bytes, block->size, &frame);
            bytes[at] ^= (uint8_t) (1u << bit % 8);
            bool is_fixed = at < YAMI_FRAME_HEADER_SIZE && at != 5 && (at < 8 || at >= 12);
            assert_true(rc == 0 || rc == -1);
            assert_false(is_fixed && rc == 0);
        }
        yami_block_unref(&block);
    }
}

static void
test_random_changes_and_random_bytes_never_crash(void **state)
{
    (void) state;
    uint64_t seed = 4;
    for (int round = 0; round < 100000; round++) {
        size_t index = wire_random(&seed) % WIRE_FRAME_SAMPLE_COUNT;
        yami_frame_t frame;
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        uint8_t bytes[512];
        memcpy(bytes, block->data, block->size);
        size_t changes = 1 + wire_random(&seed) % 4;
        while (changes-- > 0) {
            size_t at = YAMI_FRAME_HEADER_SIZE +
                        wire_random(&seed) % (block->size - YAMI_FRAME_HEADER_SIZE);
            bytes[at] = (uint8_t) wire_random(&seed);
        }
        if (s_decode(bytes, block->size, &frame) == -1) {
            assert_int_equal(errno, EPROTO);
        }
        yami_block_unref(&block);
    }
}

static void
test_another_version_is_told_with_type_and_handle(void **state)
{
    (void) state;
    yami_frame_t frame;
    uint8_t bytes[] = {0x59, 0x41, 0x4d, 0x4c, 2, 7, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(s_decode(bytes, sizeof bytes, &frame), -1);
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_int_equal(frame.type, 7);
    assert_int_equal(frame.handle, 9);
}

static void
test_an_unknown_type_is_told_when_it_is_well_formed(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    s_start(&writer, 22, 5);
    yami_writer_map(&writer, 1);
    yami_writer_str(&writer, "new");
    yami_writer_array(&writer, 0);
    assert_int_equal(s_try(&writer, &frame), EOPNOTSUPP);
    assert_int_equal(frame.type, 22);
    assert_int_equal(frame.handle, 5);
    s_start(&writer, 22, 5);
    yami_writer_map(&writer, 1);
    yami_writer_str(&writer, "new");
    assert_int_equal(s_try(&writer, &frame), EPROTO);
    s_start(&writer, 0, 0);
    yami_writer_map(&writer, 0);
    assert_int_equal(s_try(&writer, &frame), EOPNOTSUPP);
}

static void
test_unknown_keys_and_keys_of_other_types_are_skipped(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    s_start_error(&writer, 4);
    yami_writer_str(&writer, "future");
    yami_writer_map(&writer, 1);
    yami_writer_uint(&writer, 1);
    yami_writer_array(&writer, 0);
    yami_writer_str(&writer, "future"); //  nobody can tell whether this one may come twice
    yami_writer_bool(&writer, true);
    yami_writer_str(&writer, "channel"); //  not a field of ERROR
    yami_writer_uint(&writer, 1);
    assert_int_equal(s_try(&writer, &frame), 0);
    assert_int_equal(frame.present, YAMI_F_STATUS);
    assert_int_equal(frame.status, 1);
}

#define UNKNOWN_COUNT 1000u

static void
s_write_unknown(yami_writer_t *writer, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        yami_writer_str(writer, "as long as none" + index % 16);
        yami_writer_uint(writer, index);
    }
}

//  The frame with its pairs that often, amid unknown ones. The caller frees it.
static uint8_t *
s_widen(const yami_block_t *block, uint32_t times, size_t *size_p)
{
    const uint8_t *map = block->data + YAMI_FRAME_HEADER_SIZE;
    size_t size = block->size - YAMI_FRAME_HEADER_SIZE - 1;
    assert_int_equal(map[0] & 0xf0, 0x80); //  a small one
    yami_writer_t writer;
    s_start(&writer, block->data[5], yami_get_u32(block->data + 8));
    yami_writer_map(&writer, 2 * UNKNOWN_COUNT + times * (map[0] & 0x0f));
    s_write_unknown(&writer, UNKNOWN_COUNT);
    for (uint32_t time = 0; time < times && size > 0; time++) {
        yami_writer_bytes(&writer, map + 1, size);
    }
    s_write_unknown(&writer, UNKNOWN_COUNT);
    yami_block_t *wide = yami_writer_finish(&writer);
    assert_non_null(wide);
    uint8_t *bytes = malloc(wide->size);
    memcpy(bytes, wide->data, wide->size);
    yami_put_u32(bytes + 12, (uint32_t) (wide->size - YAMI_FRAME_HEADER_SIZE));
    *size_p = wide->size;
    yami_block_unref(&wide);
    return bytes;
}

//  With more keys than there are fields, these are looked up in another way.
static void
test_fields_among_a_thousand_unknown_keys_are_found_once(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        const yami_frame_t *sample = &wire_frame_samples[index].frame;
        yami_block_t *block = yami_frame_encode(sample);
        yami_frame_t frame;
        size_t size;
        uint8_t *wide = s_widen(block, 1, &size);
        assert_int_equal(s_decode(wide, size, &frame), 0);
        assert_int_equal(yami_frame_decode(&frame, wide, size), 0);
        wire_assert_frame(&frame, sample);
        free(wide);
        wide = s_widen(block, 2, &size);
        assert_int_equal(s_decode(wide, size, &frame), sample->present == 0 ? 0 : -1);
        free(wide);
        yami_block_unref(&block);
    }
}

static void
test_a_known_key_that_comes_twice_is_refused(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    s_start_error(&writer, 2);
    yami_writer_str(&writer, "status");
    yami_writer_uint(&writer, 1);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
}

static void
test_a_value_of_the_wrong_type_is_refused(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    s_start_error(&writer, 2);
    yami_writer_str(&writer, "text");
    yami_writer_uint(&writer, 1);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
    s_start_error(&writer, 2);
    yami_writer_str(&writer, "text");
    yami_writer_bin(&writer, "bin", 3);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
    s_start(&writer, YAMI_FRAME_ACKED, 1);
    yami_writer_map(&writer, 1);
    yami_writer_str(&writer, "serial");
    yami_writer_int(&writer, -1);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
    s_start(&writer, YAMI_FRAME_HEARTBEAT, 0);
    yami_writer_array(&writer, 0);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
    s_start(&writer, YAMI_FRAME_HEARTBEAT, 0);
    yami_writer_map(&writer, 1);
    yami_writer_uint(&writer, 1); //  a key that is not text
    yami_writer_uint(&writer, 1);
    assert_int_equal(s_try(&writer, &frame), EPROTO);
}

//  Finds a sample that carries the field, to change it there.
static yami_frame_t
s_sample_with(const yami_frame_field_t *field)
{
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        if (wire_frame_samples[index].frame.present & field->bit) {
            return wire_frame_samples[index].frame;
        }
    }
    fail_msg("no sample carries %s", field->key);
    return wire_frame_samples[0].frame;
}

//  Writes a map with the fields of frame, but value instead of the number in that field.
static int
s_try_number(const yami_frame_t *frame, const yami_frame_field_t *field, uint64_t value)
{
    yami_block_t *block = yami_frame_encode(frame);
    yami_reader_t reader;
    yami_reader_init(&reader, block->data + YAMI_FRAME_HEADER_SIZE,
                     block->size - YAMI_FRAME_HEADER_SIZE);
    uint32_t count = yami_reader_map(&reader);
    yami_writer_t writer;
    s_start(&writer, frame->type, frame->handle);
    yami_writer_map(&writer, count);
    while (count-- > 0) {
        yami_slice_t key = yami_reader_str(&reader);
        size_t start = reader.position;
        yami_reader_skip(&reader);
        yami_writer_str_slice(&writer, key.data, key.size);
        if (yami_slice_equal(key, field->key)) {
            yami_writer_uint(&writer, value);
        } else {
            yami_writer_bytes(&writer, reader.data + start, reader.position - start);
        }
    }
    yami_block_unref(&block);
    yami_frame_t decoded;
    return s_try(&writer, &decoded);
}

static void
test_each_number_out_of_its_range_is_refused_in_both_directions(void **state)
{
    (void) state;
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        if (field->type != YAMI_FIELD_UINT) {
            continue;
        }
        yami_frame_t frame = s_sample_with(field);
        uint64_t outside[2];
        size_t count = 0;
        if (field->minimum > 0) {
            outside[count++] = field->minimum - 1;
        }
        if (field->maximum < UINT64_MAX) {
            outside[count++] = field->maximum + 1;
        }
        for (size_t at = 0; at < count; at++) {
            assert_int_equal(s_try_number(&frame, field, outside[at]), EPROTO);
        }
        if (count > 0 && field->bit != YAMI_F_FIRST && field->bit != YAMI_F_LAST &&
            field->bit != YAMI_F_BASE && field->bit != YAMI_F_ROLE) {
            memcpy((uint8_t *) &frame + field->offset, &outside[count - 1], sizeof(uint64_t));
            assert_null(yami_frame_encode(&frame));
            assert_int_equal(errno, EINVAL);
        }
    }
}

static void
test_text_of_the_greatest_length_passes_and_longer_does_not(void **state)
{
    (void) state;
    char long_text[YAMI_LIMIT_TEXT + 1];
    memset(long_text, 'x', sizeof long_text);
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        if (field->type != YAMI_FIELD_STR) {
            continue;
        }
        yami_frame_t decoded;
        yami_frame_t frame = s_sample_with(field);
        yami_slice_t text = yami_slice(long_text, field->maximum);
        memcpy((uint8_t *) &frame + field->offset, &text, sizeof text);
        yami_block_t *block = yami_frame_encode(&frame);
        assert_non_null(block);
        assert_int_equal(s_decode(block->data, block->size, &decoded), 0);
        yami_block_unref(&block);
        text.size++;
        memcpy((uint8_t *) &frame + field->offset, &text, sizeof text);
        assert_null(yami_frame_encode(&frame));
        assert_int_equal(errno, EMSGSIZE);
    }
}

static void
test_a_missing_required_field_is_refused(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        const yami_frame_t *sample = &wire_frame_samples[index].frame;
        yami_frame_t frame;
        yami_writer_t writer;
        s_start(&writer, sample->type, sample->handle);
        yami_writer_map(&writer, 0);
        bool needs_none = yami_frame_rules[sample->type].required == 0;
        assert_int_equal(s_try(&writer, &frame), needs_none ? 0 : EPROTO);
    }
}

static void
test_a_producer_without_identity_is_refused(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    for (uint64_t role = YAMI_ROLE_PRODUCER; role <= YAMI_ROLE_CONSUMER; role++) {
        s_start(&writer, YAMI_FRAME_ATTACH, 1);
        yami_writer_map(&writer, 3);
        yami_writer_str(&writer, "role");
        yami_writer_uint(&writer, role);
        yami_writer_str(&writer, "kind");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "channel");
        yami_writer_str(&writer, "c");
        assert_int_equal(s_try(&writer, &frame), role == YAMI_ROLE_PRODUCER ? EPROTO : 0);
    }
}

static void
test_a_start_at_a_sequence_needs_the_sequence(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    for (uint64_t start = YAMI_START_FIRST; start <= YAMI_START_SEQUENCE; start++) {
        s_start(&writer, YAMI_FRAME_ATTACH, 1);
        yami_writer_map(&writer, 4);
        yami_writer_str(&writer, "role");
        yami_writer_uint(&writer, YAMI_ROLE_CONSUMER);
        yami_writer_str(&writer, "kind");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "channel");
        yami_writer_str(&writer, "c");
        yami_writer_str(&writer, "start");
        yami_writer_uint(&writer, start);
        assert_int_equal(s_try(&writer, &frame), start == YAMI_START_SEQUENCE ? EPROTO : 0);
    }
}

static void
test_a_producer_id_of_another_size_is_refused(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    for (size_t size = 15; size <= 17; size++) {
        s_start(&writer, YAMI_FRAME_ATTACH, 1);
        yami_writer_map(&writer, 6);
        yami_writer_str(&writer, "role");
        yami_writer_uint(&writer, YAMI_ROLE_PRODUCER);
        yami_writer_str(&writer, "kind");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "channel");
        yami_writer_str(&writer, "c");
        yami_writer_str(&writer, "epoch");
        yami_writer_uint(&writer, 0);
        yami_writer_str(&writer, "first");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "producer");
        yami_writer_bin(&writer, "0123456789abcdefg", size);
        assert_int_equal(s_try(&writer, &frame), size == 16 ? 0 : EPROTO);
    }
}

static void
test_a_handle_is_zero_exactly_where_it_must_be(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        yami_handle_rule_t rule = yami_frame_rules[wire_frame_samples[index].frame.type].handle;
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        uint8_t bytes[512];
        yami_frame_t frame;
        memcpy(bytes, block->data, block->size);
        yami_put_u32(bytes + 8, 0);
        assert_int_equal(s_decode(bytes, block->size, &frame),
                         rule == YAMI_HANDLE_REQUIRED ? -1 : 0);
        yami_put_u32(bytes + 8, UINT32_MAX);
        assert_int_equal(s_decode(bytes, block->size, &frame), rule == YAMI_HANDLE_NONE ? -1 : 0);
        yami_block_unref(&block);
    }
}

static int
s_try_ranges(const uint64_t *numbers, uint32_t count)
{
    yami_frame_t frame;
    yami_writer_t writer;
    s_start(&writer, YAMI_FRAME_ACK, 1);
    yami_writer_map(&writer, 2);
    yami_writer_str(&writer, "serial");
    yami_writer_uint(&writer, 1);
    yami_writer_str(&writer, "ranges");
    yami_writer_array(&writer, count);
    for (uint32_t index = 0; index < count; index++) {
        yami_writer_uint(&writer, numbers[index]);
    }
    return s_try(&writer, &frame);
}

static void
test_unsound_ranges_are_refused(void **state)
{
    (void) state;
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 1, 1}, 3), 0);
    assert_int_equal(s_try_ranges((const uint64_t[]) {UINT64_MAX, 1, YAMI_LIMIT_SEQUENCE}, 3), 0);
    assert_int_equal(s_try_ranges(NULL, 0), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 1}, 2), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 1, 1, 5}, 4), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {0, 1, 1}, 3), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 0, 1}, 3), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 2, 1}, 3), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 1, YAMI_LIMIT_SEQUENCE + 1}, 3), EPROTO);
    assert_int_equal(s_try_ranges((const uint64_t[]) {5, 1, 1, 5, 2, 1}, 6), EPROTO);
}

//  An array of two thirds of a range would let the next pair's key be read as its first item.
static void
test_ranges_whose_items_are_not_threes_do_not_swallow_the_next_pair(void **state)
{
    (void) state;
    for (uint32_t item_count = 3; item_count <= 5; item_count++) {
        yami_frame_t frame;
        yami_writer_t writer;
        s_start(&writer, YAMI_FRAME_NACK, 1);
        yami_writer_map(&writer, 3);
        yami_writer_str(&writer, "serial");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "ranges");
        yami_writer_array(&writer, item_count);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "text");
        yami_writer_str(&writer, "reason");
        assert_int_equal(s_try(&writer, &frame), item_count == 3 ? 0 : EPROTO);
    }
}

static void
test_as_many_ranges_as_allowed_fit_and_one_more_does_not(void **state)
{
    (void) state;
    yami_settle_t *ranges = calloc(YAMI_LIMIT_RANGES + 1, sizeof *ranges);
    uint64_t *numbers = calloc(3 * (YAMI_LIMIT_RANGES + 1), sizeof *numbers);
    for (uint32_t index = 0; index <= YAMI_LIMIT_RANGES; index++) {
        ranges[index] = (yami_settle_t) {UINT64_MAX, YAMI_LIMIT_SEQUENCE, YAMI_LIMIT_SEQUENCE};
        memset(&numbers[index * 3], 0, 3 * sizeof *numbers);
        numbers[index * 3] = numbers[index * 3 + 1] = numbers[index * 3 + 2] = 1;
    }
    char text[YAMI_LIMIT_TEXT] = {0};
    yami_frame_t decoded;
    yami_frame_t frame = {.type = YAMI_FRAME_NACK,
                          .handle = 1,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_DELAY_MS | YAMI_F_TEXT,
                          .serial = YAMI_LIMIT_SEQUENCE,
                          .delay_ms = YAMI_LIMIT_TIME_MS,
                          .text = yami_slice(text, sizeof text),
                          .ranges = ranges,
                          .range_count = YAMI_LIMIT_RANGES};
    yami_block_t *block = yami_frame_encode(&frame);
    assert_non_null(
        block); //  the largest of all settle frames is within the limit of control frames
    assert_int_equal(s_decode(block->data, block->size, &decoded), 0);
    assert_int_equal(decoded.range_count, YAMI_LIMIT_RANGES);
    yami_block_unref(&block);
    frame.range_count++;
    assert_null(yami_frame_encode(&frame));
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(s_try_ranges(numbers, 3 * YAMI_LIMIT_RANGES), 0);
    assert_int_equal(s_try_ranges(numbers, 3 * (YAMI_LIMIT_RANGES + 1)), EPROTO);
    free(ranges);
    free(numbers);
}

static void
test_first_after_last_or_base_after_first_is_refused(void **state)
{
    (void) state;
    yami_frame_t deliver = {0};
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        if (wire_frame_samples[index].frame.type == YAMI_FRAME_DELIVER) {
            deliver = wire_frame_samples[index].frame;
        }
    }
    const yami_frame_field_t *first = NULL;
    const yami_frame_field_t *base = NULL;
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        first = yami_frame_fields[index].bit == YAMI_F_FIRST ? &yami_frame_fields[index] : first;
        base = yami_frame_fields[index].bit == YAMI_F_BASE ? &yami_frame_fields[index] : base;
    }
    assert_int_equal(s_try_number(&deliver, first, 3), 0);
    assert_int_equal(s_try_number(&deliver, first, 4), EPROTO);
    assert_int_equal(s_try_number(&deliver, base, 2), EPROTO);
}

//  Else a call would fail without a reason: with errno 0.
static void
test_error_or_refusal_that_says_ok_is_malformed(void **state)
{
    (void) state;
    static const uint8_t types[] = {YAMI_FRAME_ERROR, YAMI_FRAME_REFUSE};
    for (size_t index = 0; index < sizeof types; index++) {
        yami_frame_t frame;
        yami_writer_t writer;
        for (uint64_t status = 0; status < 2; status++) {
            s_start(&writer, types[index], types[index] == YAMI_FRAME_REFUSE);
            yami_writer_map(&writer, 4);
            static const char *const keys[] = {"epoch", "first", "last"};
            for (size_t key = 0; key < sizeof keys / sizeof keys[0]; key++) {
                yami_writer_str(&writer, keys[key]);
                yami_writer_uint(&writer, 1);
            }
            yami_writer_str(&writer, "status");
            yami_writer_uint(&writer, status);
            assert_int_equal(s_try(&writer, &frame), status == 0 ? EPROTO : 0);
        }
    }
}

static void
test_only_replies_may_be_larger_than_a_control_frame(void **state)
{
    (void) state;
    yami_frame_t frame;
    yami_writer_t writer;
    char *rows = calloc(1, YAMI_LIMIT_REPLY);
    for (unsigned type = YAMI_FRAME_REPLY; type <= YAMI_FRAME_ERROR; type++) {
        s_start_error(&writer, 3);
        writer.data[5] = (uint8_t) type;
        yami_writer_str(&writer, "serial");
        yami_writer_uint(&writer, 1);
        yami_writer_str(&writer, "rows");
        yami_writer_bin(&writer, rows, YAMI_LIMIT_CONTROL);
        assert_int_equal(s_try(&writer, &frame), type == YAMI_FRAME_REPLY ? 0 : EMSGSIZE);
    }
    yami_frame_t reply = {.type = YAMI_FRAME_REPLY,
                          .present = YAMI_F_SERIAL | YAMI_F_STATUS | YAMI_F_ROWS,
                          .serial = 1,
                          .rows = yami_slice(rows, YAMI_LIMIT_REPLY)};
    assert_null(yami_frame_encode(&reply));
    assert_int_equal(errno, EMSGSIZE);
    reply.rows.size = YAMI_LIMIT_REPLY - 100;
    yami_block_t *block = yami_frame_encode(&reply);
    assert_non_null(block);
    yami_block_unref(&block);
    free(rows);
}

static void
test_a_failing_allocation_is_told(void **state)
{
    (void) state;
    yami_alloc_fail_after(0);
    assert_null(yami_frame_encode(&wire_frame_samples[0].frame));
    assert_int_equal(errno, ENOMEM);
    yami_alloc_fail_after(-1);
}

static void
test_the_tables_are_sound(void **state)
{
    (void) state;
    uint64_t all = 0;
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        assert_true(yami_frame_fields[index].minimum <= yami_frame_fields[index].maximum);
        assert_int_equal(yami_frame_fields[index].bit & all, 0);
        all |= yami_frame_fields[index].bit;
    }
    uint64_t used = 0;
    for (size_t type = 1; type < YAMI_FRAME_TYPE_COUNT; type++) {
        assert_non_null(yami_frame_rules[type].name);
        assert_int_equal(yami_frame_rules[type].required & yami_frame_rules[type].optional, 0);
        used |= yami_frame_rules[type].required | yami_frame_rules[type].optional;
    }
    assert_true(used == all);
    assert_string_equal(yami_frame_type_name(YAMI_FRAME_HELLO), "HELLO");
    assert_string_equal(yami_frame_type_name(0), "UNKNOWN");
    assert_string_equal(yami_frame_type_name(255), "UNKNOWN");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_sample_reads_back),
        cmocka_unit_test(test_each_truncation_and_trailing_byte_is_refused),
        cmocka_unit_test(test_each_flipped_bit_is_survived_and_in_the_header_detected),
        cmocka_unit_test(test_random_changes_and_random_bytes_never_crash),
        cmocka_unit_test(test_another_version_is_told_with_type_and_handle),
        cmocka_unit_test(test_an_unknown_type_is_told_when_it_is_well_formed),
        cmocka_unit_test(test_unknown_keys_and_keys_of_other_types_are_skipped),
        cmocka_unit_test(test_fields_among_a_thousand_unknown_keys_are_found_once),
        cmocka_unit_test(test_a_known_key_that_comes_twice_is_refused),
        cmocka_unit_test(test_a_value_of_the_wrong_type_is_refused),
        cmocka_unit_test(test_each_number_out_of_its_range_is_refused_in_both_directions),
        cmocka_unit_test(test_text_of_the_greatest_length_passes_and_longer_does_not),
        cmocka_unit_test(test_a_missing_required_field_is_refused),
        cmocka_unit_test(test_a_producer_without_identity_is_refused),
        cmocka_unit_test(test_a_start_at_a_sequence_needs_the_sequence),
        cmocka_unit_test(test_a_producer_id_of_another_size_is_refused),
        cmocka_unit_test(test_a_handle_is_zero_exactly_where_it_must_be),
        cmocka_unit_test(test_unsound_ranges_are_refused),
        cmocka_unit_test(test_ranges_whose_items_are_not_threes_do_not_swallow_the_next_pair),
        cmocka_unit_test(test_as_many_ranges_as_allowed_fit_and_one_more_does_not),
        cmocka_unit_test(test_first_after_last_or_base_after_first_is_refused),
        cmocka_unit_test(test_error_or_refusal_that_says_ok_is_malformed),
        cmocka_unit_test(test_only_replies_may_be_larger_than_a_control_frame),
        cmocka_unit_test(test_a_failing_allocation_is_told),
        cmocka_unit_test(test_the_tables_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
