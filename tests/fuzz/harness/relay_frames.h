/*  relay_frames - makes frames of a relay out of a fuzzer's bytes, for the clients' cores.

    Mostly what a relay could answer now, as the caller says; at times anything, changed bytes
    included.
*/
#ifndef RELAY_FRAMES_H
#define RELAY_FRAMES_H

#include "fuzz.h"
#include "yami_block.h"
#include "yami_frame.h"

//  What a sane relay would speak of.
typedef struct {
    uint64_t session;
    uint64_t epoch;
    uint64_t sequence; //  the last one settled
    uint64_t serial;
} relay_frames_t;

//  The next control frame, decoded into *frame, which borrows from the block; or *error_p is set to
//  what decoding said. The caller owns the block.
yami_block_t *
relay_frames_next(const relay_frames_t *self, fuzz_input_t *input, yami_frame_t *frame,
                  int *error_p);

#endif
