//  Headers, trailers, footers, checkpoints and names: golden bytes, every bit flipped, every
//  truncation, random bytes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_channel_map.h"
#include "yami_checkpoint.h"
#include "yami_segment_format.h"
#include "yami_segment_log.h"
#include "yami_store.h"

static void
test_segment_header_has_its_golden_bytes(void **state)
{
    (void) state;
    yami_segment_header_t header = {.version = 1,
                                    .number = 0x0102,
                                    .salt = 0xaabbccdd,
                                    .store_id = 0x1122334455667788,
                                    .created_ms = 1700000000000,
                                    .first_lsn = 77,
                                    .previous = 0x0101,
                                    .file_bytes = 1 << 16};
    static const uint8_t golden[60] =
        "YAMS\x01\0\0\0\x02\x01\0\0\0\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11"
        "\x00\x68\xe5\xcf\x8b\x01\0\0\x4d\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0"
        "\0\0\x01\0\0\0\0\0\xdd\xcc\xbb";
    uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
    yami_segment_header_encode(bytes, &header);
    assert_memory_equal(bytes, golden, 59);
    assert_int_equal(bytes[59], 0xaa);
    yami_segment_header_t decoded;
    assert_int_equal(yami_segment_header_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.number, header.number);
    assert_int_equal(decoded.salt, header.salt);
    assert_int_equal(decoded.store_id, header.store_id);
    assert_int_equal(decoded.created_ms, header.created_ms);
    assert_int_equal(decoded.first_lsn, header.first_lsn);
    assert_int_equal(decoded.previous, header.previous);
    assert_int_equal(decoded.file_bytes, header.file_bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
        assert_int_equal(yami_segment_header_decode(bytes, &decoded), -1);
        assert_int_equal(errno, EPROTO);
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
    }
}

static void
test_entry_header_round_trip_and_every_bit(void **state)
{
    (void) state;
    yami_entry_header_t header = {.salt = 5,
                                  .kind = 18,
                                  .channel = 9,
                                  .lsn = 1000,
                                  .base = 44,
                                  .time_ms = -1,
                                  .count = 3,
                                  .meta_size = 10,
                                  .data_size = 20};
    uint8_t bytes[YAMI_ENTRY_HEADER_SIZE];
    yami_entry_header_encode(bytes, &header);
    yami_entry_header_finish(bytes, 7, 0xfeedbeef);
    assert_memory_equal(bytes, "YAME\x05\0\0\0\x12\0\0\0\x09\0\0\0\xe8\x03", 18);
    assert_true(yami_entry_header_begins(bytes, 8, 5));
    assert_false(yami_entry_header_begins(bytes, 7, 5));
    assert_false(yami_entry_header_begins(bytes, sizeof bytes, 6));
    yami_entry_header_t decoded;
    assert_int_equal(yami_entry_header_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.lsn, 1000);
    assert_int_equal(decoded.base, 44);
    assert_int_equal(decoded.time_ms, -1);
    assert_int_equal(decoded.count, 3);
    assert_int_equal(decoded.behind, 7);
    assert_int_equal(decoded.body_crc, 0xfeedbeef);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
        assert_int_equal(yami_entry_header_decode(bytes, &decoded), -1);
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
    }
}

//  Found by fuzzing: behind an entry with the last of all LSNs the log went on with LSN 0, and what
//  was committed then could not be read.
static void
test_segment_whose_numbers_would_wrap_is_refused(void **state)
{
    (void) state;
    yami_segment_header_t headers[] = {
        {.version = YAMI_FORMAT_VERSION, .store_id = 1, .number = 1, .first_lsn = UINT64_MAX},
        {.version = YAMI_FORMAT_VERSION, .store_id = 1, .number = 1, .first_lsn = 0},
        {.version = YAMI_FORMAT_VERSION, .store_id = 1, .number = UINT64_MAX, .first_lsn = 1},
    };
    uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
    yami_segment_header_t decoded;
    for (size_t index = 0; index < sizeof headers / sizeof headers[0]; index++) {
        yami_segment_header_encode(bytes, &headers[index]);
        assert_int_equal(yami_segment_header_decode(bytes, &decoded), -1);
        assert_int_equal(errno, EPROTO);
    }
    char name[YAMI_NAME_SIZE];
    uint64_t number;
    assert_int_equal(yami_name_parse(yami_name_segment(name, UINT64_MAX), &number),
                     YAMI_NAME_OTHER);
}

//  Its messages were read, and gone at the next opening: a segment with none before it (previous is
//  0) was taken for the one behind it.
static void
test_segment_number_0_is_refused(void **state)
{
    (void) state;
    uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
    yami_segment_header_t header = {
        .version = YAMI_FORMAT_VERSION, .store_id = 1, .number = 0, .first_lsn = 1};
    yami_segment_header_encode(bytes, &header);
    assert_int_equal(yami_segment_header_decode(bytes, &header), -1);
    assert_int_equal(errno, EPROTO);
    char name[YAMI_NAME_SIZE];
    uint64_t number;
    assert_int_equal(yami_name_parse(yami_name_segment(name, 0), &number), YAMI_NAME_OTHER);
    assert_int_equal(yami_name_parse(yami_name_spare(name, 0), &number), YAMI_NAME_OTHER);
    assert_int_equal(yami_name_parse(yami_name_filling(name, 0), &number), YAMI_NAME_OTHER);
}

//  Recovery took its id for that of a new store, gave that one another, and did not know its own
//  segments again.
static void
test_segment_of_no_store_is_refused(void **state)
{
    (void) state;
    uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
    yami_segment_header_t header = {.version = YAMI_FORMAT_VERSION, .number = 1, .first_lsn = 1};
    yami_segment_header_encode(bytes, &header);
    assert_int_equal(yami_segment_header_decode(bytes, &header), -1);
    assert_int_equal(errno, EPROTO);
}

//  A right checksum does not make sizes right.
static void
test_entry_header_beyond_the_limits_is_refused(void **state)
{
    (void) state;
    yami_entry_header_t headers[] = {
        {.kind = 18, .lsn = 1, .meta_size = YAMI_LIMIT_ENTRY_META + 1},
        {.kind = 18, .lsn = 1, .data_size = YAMI_LIMIT_ENTRY_DATA + 1},
        {.kind = 2, .lsn = 1, .meta_size = YAMI_LIMIT_OWN_META + 1},
        {.kind = 18, .lsn = 1, .base = UINT64_MAX, .count = 2},
        {.kind = 18, .lsn = 1, .base = YAMI_LIMIT_SEQUENCE, .count = 1},
        {.kind = 18, .lsn = YAMI_LIMIT_SEQUENCE + 1},
        {.kind = 18, .lsn = 1, .flags = 1},
        {.kind = 0, .lsn = 1},
    };
    for (size_t index = 0; index < sizeof headers / sizeof headers[0]; index++) {
        uint8_t bytes[YAMI_ENTRY_HEADER_SIZE];
        yami_entry_header_encode(bytes, &headers[index]);
        yami_entry_header_finish(bytes, 0, 0);
        yami_entry_header_t decoded;
        assert_int_equal(yami_entry_header_decode(bytes, &decoded), -1);
        assert_int_equal(errno, EPROTO);
    }
}

//  A checkpoint with messages was indexed as if it held them, and read until it was given back.
static void
test_entry_of_the_stores_own_that_holds_messages_is_refused(void **state)
{
    (void) state;
    for (unsigned kind = YAMI_ENTRY_CHECKPOINT; kind <= YAMI_ENTRY_OWNER; kind++) {
        uint8_t bytes[YAMI_ENTRY_HEADER_SIZE];
        yami_entry_header_t header = {.kind = (uint16_t) kind, .lsn = 5, .base = 1, .count = 2};
        yami_entry_header_encode(bytes, &header);
        yami_entry_header_finish(bytes, 0, 0);
        int rc = yami_entry_header_decode(bytes, &header);
        assert_int_equal(rc, kind == YAMI_ENTRY_OWNER ? 0 : -1);
    }
}

//  Replay was handed it, though nothing that is committed ends before 1.
static void
test_entry_number_0_is_refused_but_of_a_footer(void **state)
{
    (void) state;
    for (unsigned kind = YAMI_ENTRY_CHECKPOINT; kind <= YAMI_ENTRY_OWNER; kind++) {
        uint8_t bytes[YAMI_ENTRY_HEADER_SIZE];
        yami_entry_header_t header = {.kind = (uint16_t) kind, .lsn = 0};
        yami_entry_header_encode(bytes, &header);
        yami_entry_header_finish(bytes, 0, 0);
        int rc = yami_entry_header_decode(bytes, &header);
        assert_int_equal(rc, kind == YAMI_ENTRY_FOOTER ? 0 : -1);
    }
}

static void
test_trailer_round_trip_and_every_bit(void **state)
{
    (void) state;
    yami_trailer_t trailer = {
        .salt = 1, .footer_offset = 0x123456789a, .last_lsn = 99, .footer_size = 4096};
    uint8_t bytes[YAMI_TRAILER_SIZE];
    yami_trailer_encode(bytes, &trailer);
    yami_trailer_t decoded;
    assert_int_equal(yami_trailer_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.footer_offset, trailer.footer_offset);
    assert_int_equal(decoded.last_lsn, 99);
    assert_int_equal(decoded.footer_size, 4096);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
        assert_int_equal(yami_trailer_decode(bytes, &decoded), -1);
        bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
    }
}

//  Recovery counted on from it, and the next opening knew nothing that was committed since.
static void
test_trailer_whose_numbers_would_wrap_is_refused(void **state)
{
    (void) state;
    yami_trailer_t trailer = {.salt = 1, .footer_offset = 64, .footer_size = 104};
    uint8_t bytes[YAMI_TRAILER_SIZE];
    yami_trailer_t decoded;
    trailer.last_lsn = YAMI_LIMIT_SEQUENCE;
    yami_trailer_encode(bytes, &trailer);
    assert_int_equal(yami_trailer_decode(bytes, &decoded), 0);
    trailer.last_lsn++;
    yami_trailer_encode(bytes, &trailer);
    assert_int_equal(yami_trailer_decode(bytes, &decoded), -1);
    assert_int_equal(errno, EPROTO);
}

static void
test_names_are_parsed_only_as_they_are_written(void **state)
{
    (void) state;
    char name[YAMI_NAME_SIZE];
    uint64_t number = 0;
    assert_string_equal(yami_name_segment(name, 0x1f), "000000000000001f.seg");
    assert_int_equal(yami_name_parse(name, &number), YAMI_NAME_SEGMENT);
    assert_int_equal(number, 0x1f);
    assert_string_equal(yami_name_spare(name, 2), "spare-0000000000000002.seg");
    assert_int_equal(yami_name_parse(name, &number), YAMI_NAME_SPARE);
    assert_int_equal(yami_name_parse(yami_name_filling(name, 3), &number), YAMI_NAME_FILLING);
    assert_int_equal(number, 3);
    assert_string_equal(yami_name_lost(name, 1, 0x40), "lost-0000000000000001-40");
    const char *const others[] = {"lost-0000000000000001-40",
                                  "lock",
                                  "",
                                  ".",
                                  "000000000000001F.seg",
                                  "+00000000000001f.seg",
                                  "1f.seg",
                                  "000000000000001f.seg~",
                                  "0000000000000001f.seg",
                                  "spare-1.seg"};
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        assert_int_equal(yami_name_parse(others[index], &number), YAMI_NAME_OTHER);
    }
}

//  A segment with three channels and some points.
static yami_segment_t *
s_segment(void)
{
    yami_segment_header_t header = {.number = 3, .first_lsn = 100, .file_bytes = 1 << 24};
    yami_segment_t *segment = yami_segment_new(&header);
    uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
    for (uint32_t channel = 1; channel <= 3; channel++) {
        yami_extent_t *extent = yami_segment_add_extent(segment, channel);
        for (uint64_t base = 10; base < 20; base++) {
            assert_int_equal(yami_extent_reserve(extent), 0);
            yami_point_t point = {.base = base, .lsn = 100 + offset, .offset = offset};
            yami_extent_note(extent, &point, 1);
            offset += 100000;
        }
    }
    segment->end = offset;
    segment->last_lsn = 100 + offset;
    segment->entry_count = 30;
    segment->checkpoint_offset = 64;
    yami_segment_check(segment);
    return segment;
}

static void
test_footer_round_trip_and_every_truncation(void **state)
{
    (void) state;
    yami_segment_t *segment = s_segment();
    size_t size = yami_segment_footer_size(segment, 0, 0);
    uint8_t bytes[2048];
    assert_true(size < sizeof bytes);
    yami_segment_footer_encode(segment, bytes);
    yami_segment_t *decoded = yami_segment_new(&segment->header);
    for (size_t part = 0; part < size; part++) {
        decoded->end = segment->end;
        assert_int_equal(yami_segment_footer_decode(decoded, bytes, part), -1);
        assert_int_equal(errno, EPROTO);
        assert_int_equal(decoded->extent_count, 0);
    }
    assert_int_equal(yami_segment_footer_decode(decoded, bytes, size + 1), -1); //  trailing bytes
    decoded->end = segment->end;
    assert_int_equal(yami_segment_footer_decode(decoded, bytes, size), 0);
    yami_segment_check(decoded);
    assert_int_equal(decoded->extent_count, 3);
    assert_int_equal(decoded->point_count, segment->point_count);
    assert_int_equal(decoded->last_lsn, segment->last_lsn);
    assert_int_equal(decoded->extents[2]->last, 19);
    assert_int_equal(decoded->extents[1]->count, 10);
    const yami_point_t *point = yami_extent_find(decoded->extents[1], 15);
    assert_true(point->base <= 15 && point->base > 10);
    yami_segment_destroy(&decoded);
    yami_segment_destroy(&segment);
}

//  Any bytes give a footer whose points stay within the segment, or an error.
static void
test_footer_of_random_bytes_is_refused_or_sound(void **state)
{
    (void) state;
    yami_segment_t *segment = s_segment();
    size_t size = yami_segment_footer_size(segment, 0, 0);
    uint8_t golden[2048];
    yami_segment_footer_encode(segment, golden);
    yami_segment_t *decoded = yami_segment_new(&segment->header);
    uint64_t random = 88172645463325252ULL;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[2048];
        memcpy(bytes, golden, size);
        for (int change = 0; change < 3; change++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[random % size] = (uint8_t) (random >> 32);
        }
        yami_segment_reset(decoded);
        decoded->end = segment->end;
        if (yami_segment_footer_decode(decoded, bytes, size) == 0) {
            for (size_t index = 0; index < decoded->extent_count; index++) {
                const yami_extent_t *extent = decoded->extents[index];
                assert_true(extent->points[extent->point_count - 1].offset < segment->end);
            }
        }
    }
    yami_segment_destroy(&decoded);
    yami_segment_destroy(&segment);
}

static void
test_checkpoint_prefix_round_trip_and_every_truncation(void **state)
{
    (void) state;
    yami_index_t index = {0};
    yami_segment_t *segment = s_segment();
    assert_int_equal(yami_index_add(&index, &segment), 0);
    yami_index_trim(&index, 2, 12);
    yami_index_check(&index);
    size_t size = 0;
    uint8_t *bytes = yami_checkpoint_encode(&index, &size);
    assert_non_null(bytes);
    yami_checkpoint_t checkpoint;
    for (size_t part = 0; part < size; part++) {
        assert_int_equal(yami_checkpoint_decode(&checkpoint, bytes, part), -1);
        yami_checkpoint_clear(&checkpoint);
    }
    yami_index_t other = {0};
    segment = s_segment();
    assert_int_equal(yami_index_add(&other, &segment), 0);
    assert_int_equal(yami_checkpoint_decode(&checkpoint, bytes, size), 0);
    assert_int_equal(checkpoint.size, size);
    assert_int_equal(checkpoint.segment_count, 1);
    assert_int_equal(yami_checkpoint_find(&checkpoint, 3)->first_lsn, 100);
    assert_null(yami_checkpoint_find(&checkpoint, 4));
    yami_checkpoint_trim(&checkpoint, &other);
    yami_index_check(&other);
    assert_int_equal(yami_index_channel(&other, 2)->floor, 12);
    yami_checkpoint_clear(&checkpoint);
    yami_free(bytes);
    yami_index_clear(&index);
    yami_index_clear(&other);
}

static void
test_channel_map_against_an_array(void **state)
{
    (void) state;
    static char values[512];
    bool has[512] = {false};
    yami_channel_map_t map = {0};
    uint64_t random = 1234567;
    for (int round = 0; round < 50000; round++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        uint32_t key = (uint32_t) (random >> 40) % 512;
        uint32_t spread = key * 4096; //  many share a home
        assert_ptr_equal(yami_channel_map_find(&map, spread), has[key] ? &values[key] : NULL);
        if (has[key]) {
            assert_ptr_equal(yami_channel_map_remove(&map, spread), &values[key]);
        } else {
            assert_int_equal(yami_channel_map_add(&map, spread, &values[key]), 0);
        }
        has[key] = !has[key];
    }
    size_t count = 0;
    size_t position = 0;
    while (yami_channel_map_next(&map, &position)) {
        count++;
    }
    assert_int_equal(count, map.count);
    yami_channel_map_clear(&map);
    yami_channel_map_clear(&map);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segment_header_has_its_golden_bytes),
        cmocka_unit_test(test_entry_header_round_trip_and_every_bit),
        cmocka_unit_test(test_entry_header_beyond_the_limits_is_refused),
        cmocka_unit_test(test_segment_whose_numbers_would_wrap_is_refused),
        cmocka_unit_test(test_segment_number_0_is_refused),
        cmocka_unit_test(test_segment_of_no_store_is_refused),
        cmocka_unit_test(test_entry_of_the_stores_own_that_holds_messages_is_refused),
        cmocka_unit_test(test_entry_number_0_is_refused_but_of_a_footer),
        cmocka_unit_test(test_trailer_round_trip_and_every_bit),
        cmocka_unit_test(test_trailer_whose_numbers_would_wrap_is_refused),
        cmocka_unit_test(test_names_are_parsed_only_as_they_are_written),
        cmocka_unit_test(test_footer_round_trip_and_every_truncation),
        cmocka_unit_test(test_footer_of_random_bytes_is_refused_or_sound),
        cmocka_unit_test(test_checkpoint_prefix_round_trip_and_every_truncation),
        cmocka_unit_test(test_channel_map_against_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
