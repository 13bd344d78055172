/*  grammar - makes frames of a client out of a fuzzer's bytes: well-formed, mostly sensible, then
    changed.

    It remembers what a relay has answered (leases, epochs), so that acks hit and sequences go on.
    The same grammar feeds the relay's core and a live relay.
    Bounded: GRAMMAR_SLOTS clients, handles 1..GRAMMAR_HANDLES-1 each, a few channel names.
*/
#ifndef GRAMMAR_H
#define GRAMMAR_H

#include "fuzz.h"
#include "yami_block.h"
#include "yami_frame.h"

#define GRAMMAR_SLOTS 3
#define GRAMMAR_HANDLES 4
#define GRAMMAR_PRODUCERS 3
#define GRAMMAR_LEASES 8

typedef struct {
    unsigned slot;
    uint32_t handle;
    yami_settle_t range;
} grammar_lease_t;

typedef struct {
    grammar_lease_t leases[GRAMMAR_LEASES]; //  ring of the latest
    unsigned lease_count;
    uint32_t epochs[GRAMMAR_PRODUCERS];
    uint64_t nexts[GRAMMAR_PRODUCERS];                 //  sequence of the next message
    uint8_t producers[GRAMMAR_SLOTS][GRAMMAR_HANDLES]; //  who attached there last
    uint64_t serials[GRAMMAR_SLOTS][GRAMMAR_HANDLES];
    uint64_t credits[GRAMMAR_SLOTS][GRAMMAR_HANDLES];
    uint64_t session;
    int64_t wall_ms; //  set by the caller: what is delayed is due around it
} grammar_t;

void
grammar_init(grammar_t *self);

//  The next thing that client sends: a control frame, a batch, or bytes that are neither. The
//  caller owns the block; it is not empty.
yami_block_t *
grammar_next(grammar_t *self, fuzz_input_t *input, unsigned slot);

//  What the relay sent to that client.
void
grammar_observe(grammar_t *self, unsigned slot, const yami_frame_t *frame);

#endif
