//  A fast topic's frame: what is taken has a subject, a batch and marks that fill it, and is the
//  same when it is put together again. The first byte says how many marks there are at the end, and
//  whether the batch before them is made to fit.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_topic_frame.h"

//  Makes size and checksums of the batch behind the first zero byte match.
static void
s_fit(uint8_t *bytes, size_t size, size_t marks_size)
{
    const uint8_t *end = size > 0 ? memchr(bytes, 0, size) : NULL;
    size_t batch_at = end ? (size_t) (end - bytes) + 1 : size;
    size_t least = batch_at + YAMI_BATCH_HEADER_SIZE + marks_size;
    if (size >= least) {
        uint8_t *batch = bytes + batch_at;
        yami_put_u32(batch, YAMI_BATCH_MAGIC);
        batch[4] = YAMI_BATCH_VERSION;
        yami_put_u32(batch + 8, (uint32_t) (size - least));
        fuzz_sign_batch(batch, size - batch_at - marks_size);
    }
}

static void
s_check(const yami_topic_frame_t *frame, const uint8_t *bytes, size_t size)
{
    size_t batch_size = YAMI_BATCH_HEADER_SIZE + frame->batch.payload.size;
    YAM_ASSERT(frame->subject.data == bytes && frame->subject.size <= YAMI_LIMIT_SUBJECT);
    YAM_ASSERT(frame->subject.size + 1 + batch_size + frame->marks.size == size);
    size_t found = 0;
    for (size_t prefix_size = 0; prefix_size <= YAMI_LIMIT_SUBJECT + 1; prefix_size++) {
        yami_mark_t mark;
        if (yami_topic_frame_mark(frame, prefix_size, &mark)) {
            uint8_t again[YAMI_MARK_SIZE];
            yami_mark_write(again, prefix_size, &mark);
            YAM_ASSERT(memmem(frame->marks.data, frame->marks.size, again, sizeof again));
            YAM_ASSERT(prefix_size <= frame->subject.size + 1);
            found++;
        }
    }
    YAM_ASSERT(found * YAMI_MARK_SIZE == frame->marks.size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t how = fuzz_u8(&input);
    size_t left = fuzz_left(&input);
    uint8_t *bytes = fuzz_copy(data + input.position, left);
    if (how & 1) {
        s_fit(bytes, left, how / 2 * (size_t) YAMI_MARK_SIZE);
    }
    yami_topic_frame_t frame;
    if (yami_topic_frame_decode(&frame, bytes, left) == 0) {
        s_check(&frame, bytes, left);
    }
    yami_free(bytes);
    return 0;
}
