//  The decoder of control frames: any bytes give a valid frame or an error, and what is valid is
//  encoded and decoded to the same again. The first byte says whether the header is made to fit
//  first.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_frame.h"
#include "yami_frame_table.h"
#include "yami_limits.h"

static void
s_shape(uint8_t *bytes, size_t size)
{
    if (size >= YAMI_FRAME_HEADER_SIZE) {
        yami_put_u32(bytes, YAMI_FRAME_MAGIC);
        bytes[4] = YAMI_FRAME_VERSION;
        bytes[6] = bytes[7] = 0;
        yami_put_u32(bytes + 12, (uint32_t) (size - YAMI_FRAME_HEADER_SIZE));
    }
}

//  Returns how many there are; copies up to limit of them.
static uint32_t
s_ranges(const yami_frame_t *frame, yami_settle_t *ranges)
{
    size_t offset = 0;
    uint32_t count = 0;
    while (count < YAMI_LIMIT_RANGES && yami_frame_range(frame, &offset, &ranges[count])) {
        YAM_ASSERT(ranges[count].first <= ranges[count].last);
        count++;
    }
    YAM_ASSERT(count == frame->range_count);
    return count;
}

static void
s_compare(const yami_frame_t *left, const yami_frame_t *right)
{
    YAM_ASSERT(left->type == right->type && left->handle == right->handle);
    YAM_ASSERT(left->present == right->present && left->range_count == right->range_count);
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        const uint8_t *from = (const uint8_t *) left + field->offset;
        const uint8_t *to = (const uint8_t *) right + field->offset;
        if (field->type == YAMI_FIELD_STR || field->type == YAMI_FIELD_BIN) {
            yami_slice_t one, other;
            memcpy(&one, from, sizeof one);
            memcpy(&other, to, sizeof other);
            YAM_ASSERT(one.size == other.size);
            YAM_ASSERT(one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
        } else if (field->type != YAMI_FIELD_RANGES) {
            size_t size = field->type == YAMI_FIELD_UINT   ? sizeof(uint64_t)
                          : field->type == YAMI_FIELD_BOOL ? sizeof(bool)
                                                           : sizeof(yami_id_t);
            YAM_ASSERT(memcmp(from, to, size) == 0);
        }
    }
}

static void
s_again(const yami_frame_t *frame)
{
    static yami_settle_t ranges[YAMI_LIMIT_RANGES];
    static yami_settle_t ranges_again[YAMI_LIMIT_RANGES];
    yami_frame_t copy = *frame;
    copy.ranges = ranges;
    copy.range_count = s_ranges(frame, ranges);
    yami_block_t *block = yami_frame_encode(&copy);
    YAM_ASSERT(block);
    yami_frame_t decoded = {0};
    YAM_ASSERT(yami_frame_decode(&decoded, block->data, block->size) == 0);
    s_compare(frame, &decoded);
    YAM_ASSERT(s_ranges(&decoded, ranges_again) == copy.range_count);
    YAM_ASSERT(memcmp(ranges, ranges_again, copy.range_count * sizeof *ranges) == 0);
    yami_block_unref(&block);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1) {
        s_shape(bytes, size - 1);
    }
    yami_frame_t frame = {0};
    if (yami_frame_decode(&frame, bytes, size - 1) == 0) {
        YAM_ASSERT(yami_frame_is_control(bytes, size - 1));
        YAM_ASSERT(strcmp(yami_frame_type_name(frame.type), "UNKNOWN") != 0);
        s_again(&frame);
    }
    yami_free(bytes);
    return 0;
}
