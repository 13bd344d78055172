/*  fuzz - what a fuzz program defines, and how it reads its input as decisions.

    One program for each input that somebody else writes. Linked with harness/corpus.c it runs the
    files of tests/fuzz/corpus and is a test; linked with libFuzzer (`make fuzz TARGET=x`) it looks
    for more. What is wrong aborts: a sanitizer, YAM_ASSERT, a core's check.
*/
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_frame.h"

//  The one function of a fuzz program; the name is libFuzzer's. Returns 0.
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

//  Bytes taken from the front; at the end everything is zero.
typedef struct {
    const uint8_t *data; //  borrowed
    size_t size;
    size_t position;
} fuzz_input_t;

void
fuzz_input_init(fuzz_input_t *self, const uint8_t *data, size_t size);

size_t
fuzz_left(const fuzz_input_t *self);

uint8_t
fuzz_u8(fuzz_input_t *self);
uint16_t
fuzz_u16(fuzz_input_t *self);
uint32_t
fuzz_u32(fuzz_input_t *self);
uint64_t
fuzz_u64(fuzz_input_t *self);

//  0..limit-1 from one byte; limit is 1..256.
unsigned
fuzz_below(fuzz_input_t *self, unsigned limit);

//  Mostly a small number; at times one near a limit of the protocol, or any.
uint64_t
fuzz_number(fuzz_input_t *self);

//  Up to size bytes, fewer at the end. Borrowed.
yami_slice_t
fuzz_bytes(fuzz_input_t *self, size_t size);

//  The next size bytes as text that ends in NUL; the caller owns it (yami_free).
char *
fuzz_text(fuzz_input_t *self, size_t size);

//  The frame as bytes; a HEARTBEAT when a field is out of its range. The caller owns the block.
yami_block_t *
fuzz_encode(const yami_frame_t *frame);

//  A copy of its own of size bytes, so that a sanitizer sees who reads past them. The caller owns
//  it.
uint8_t *
fuzz_copy(const void *data, size_t size);

//  Makes the checksums of a batch match, since nobody guesses those. Shorter than a header:
//  nothing.
void
fuzz_sign_batch(uint8_t *bytes, size_t size);

#endif
