/*  yami_topic_frame - what a publisher of a fast topic sends: a subject, a batch, marks.

    Frame: the subject, a zero byte, a batch (yami_batch.h), marks up to the end. So a subscription
    is what it is everywhere in ZeroMQ, a prefix of the frame.
    Mark, little-endian, 17 bytes: of one prefix of the subject and its zero byte, how many messages
    that it matches went before. It is what a subscriber tells its losses by, which sees only part
    of the sequences. Marks of longer prefixes come first.
        0 u8 bytes of the prefix, 1..subject + 1
        1 u64 sequence after which it began to count: another one is another count
        9 u64 messages it counted before this frame; both less than the batch's first sequence
    patterns/topic/SPEC.md says what publishers and subscribers do with it.
*/
#ifndef YAMI_TOPIC_FRAME_H
#define YAMI_TOPIC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_limits.h"
#include "yami_reader.h"

#define YAMI_MARK_SIZE 17
#define YAMI_MARKS_SIZE_LIMIT (YAMI_MARK_SIZE * (YAMI_LIMIT_SUBJECT + 1))

typedef struct {
    uint64_t since;
    uint64_t before;
} yami_mark_t;

typedef struct {
    yami_slice_t subject; //  borrowed, as all of it
    yami_batch_t batch;
    yami_slice_t marks;
} yami_topic_frame_t;

//  Decodes and checks all but the records. 0, or -1 with errno EPROTO or EBADMSG.
int
yami_topic_frame_decode(yami_topic_frame_t *self, const void *data, size_t size);

//  Whether there is a mark for the subject's prefix of that many bytes; sets *mark then.
bool
yami_topic_frame_mark(const yami_topic_frame_t *self, size_t prefix_size, yami_mark_t *mark);

//  Writes YAMI_MARK_SIZE bytes.
void
yami_mark_write(uint8_t *at, size_t prefix_size, const yami_mark_t *mark);

#endif
