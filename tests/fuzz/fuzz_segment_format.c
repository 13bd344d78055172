//  The structures of a segment's file, one by one: headers, trailers, footers, a checkpoint's
//  prefix, names. What is valid is encoded to the same bytes again.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_checkpoint.h"
#include "yami_segment.h"

#define S_LIMIT 65536

//  The checksum at at, of all before it, is made to match.
static void
s_sign(uint8_t *bytes, size_t at)
{
    yami_put_u32(bytes + at, yami_crc32c(0, bytes, at));
}

static void
s_headers(uint8_t *bytes)
{
    uint8_t again[64] = {0};
    yami_segment_header_t segment;
    yami_trailer_t trailer;
    s_sign(bytes, 60);
    if (yami_segment_header_decode(bytes, &segment) == 0) {
        yami_segment_header_encode(again, &segment);
        YAM_ASSERT(memcmp(again, bytes, YAMI_SEGMENT_HEADER_SIZE) == 0);
    }
    yami_entry_header_t entry;
    if (yami_entry_header_decode(bytes, &entry) == 0) {
        YAM_ASSERT(yami_entry_header_begins(bytes, YAMI_ENTRY_HEADER_SIZE, entry.salt));
        YAM_ASSERT(yami_entry_span(entry.meta_size, entry.data_size) >= YAMI_ENTRY_HEADER_SIZE);
        yami_entry_header_encode(again, &entry);
        yami_entry_header_finish(again, entry.behind, entry.body_crc);
        YAM_ASSERT(memcmp(again, bytes, YAMI_ENTRY_HEADER_SIZE) == 0);
    }
    s_sign(bytes, 28);
    if (yami_trailer_decode(bytes, &trailer) == 0) {
        yami_trailer_encode(again, &trailer);
        YAM_ASSERT(memcmp(again, bytes, YAMI_TRAILER_SIZE) == 0);
    }
}

static void
s_footer(const uint8_t *bytes, size_t size)
{
    yami_segment_header_t header = {
        .version = 1, .number = 1, .first_lsn = 1, .file_bytes = S_LIMIT};
    yami_segment_t *segment = yami_segment_new(&header);
    segment->file_bytes = S_LIMIT;
    if (yami_segment_footer_decode(segment, bytes, size) == 0) {
        yami_segment_check(segment);
        size_t again_size = yami_segment_footer_size(segment, 0, 0);
        YAM_ASSERT(again_size == size);
        uint8_t *again = yami_alloc(again_size);
        yami_segment_footer_encode(segment, again);
        YAM_ASSERT(memcmp(again, bytes, size) == 0);
        yami_free(again);
    }
    yami_segment_destroy(&segment);
}

static void
s_checkpoint(const uint8_t *bytes, size_t size)
{
    yami_checkpoint_t checkpoint = {0};
    yami_index_t index = {0};
    if (yami_checkpoint_decode(&checkpoint, bytes, size) == 0) {
        YAM_ASSERT(checkpoint.size <= size);
        for (size_t at = 0; at < checkpoint.segment_count; at++) {
            YAM_ASSERT(yami_checkpoint_find(&checkpoint, checkpoint.segments[at].number));
        }
        yami_checkpoint_trim(&checkpoint, &index);
        yami_index_check(&index);
    }
    yami_checkpoint_clear(&checkpoint);
    yami_index_clear(&index);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t what = fuzz_u8(&input);
    uint8_t *bytes = fuzz_copy(data + input.position, fuzz_left(&input));
    char *text = fuzz_text(&input, fuzz_left(&input));
    size_t left = size > 0 ? size - 1 : 0;
    uint64_t number;
    if (what % 4 == 0 && left >= 64) {
        s_headers(bytes);
    } else if (what % 4 == 1) {
        s_footer(bytes, left);
    } else if (what % 4 == 2) {
        s_checkpoint(bytes, left);
    } else if (yami_name_parse(text, &number) == YAMI_NAME_SEGMENT) {
        char name[YAMI_NAME_SIZE];
        YAM_ASSERT(strcmp(yami_name_segment(name, number), text) == 0);
    }
    yami_free(bytes);
    yami_free(text);
    return 0;
}
