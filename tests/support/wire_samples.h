/*  wire_samples - one control frame of each type and the four shapes of a batch, for unit tests and
    for the golden files in tests/vectors.
*/
#ifndef WIRE_SAMPLES_H
#define WIRE_SAMPLES_H

#include "yami_batch.h"
#include "yami_block.h"
#include "yami_frame.h"

typedef struct {
    const char *name; //  of the golden file, without ".hex"
    const char *what; //  one sentence
    yami_frame_t frame;
} wire_frame_sample_t;

#define WIRE_FRAME_SAMPLE_COUNT 23
extern const wire_frame_sample_t wire_frame_samples[WIRE_FRAME_SAMPLE_COUNT];

typedef struct {
    const char *name;
    const char *what;
    yami_batch_t head;
    yami_record_t records[3];
    uint32_t record_count;
} wire_batch_sample_t;

#define WIRE_BATCH_SAMPLE_COUNT 4
extern const wire_batch_sample_t wire_batch_samples[WIRE_BATCH_SAMPLE_COUNT];

//  The batch as a frame; the caller owns it. Never NULL.
yami_block_t *
wire_batch_sample_encode(const wire_batch_sample_t *sample);

//  Whether what was decoded is what the sample says.
void
wire_assert_frame(const yami_frame_t *decoded, const yami_frame_t *expected);
void
wire_assert_batch(const yami_block_t *block, const wire_batch_sample_t *sample);

//  A reproducible stream of numbers (splitmix64); *state_p is the seed.
uint64_t
wire_random(uint64_t *state_p);

#endif
