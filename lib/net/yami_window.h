/*  yami_window - the batches of a producer that have no outcome yet: a ring in order of sequence.

    Pure, not thread-safe. How many messages and bytes it may hold is its owner's to bound; a batch
    has at least one message, so the limit on messages bounds the ring.
    Invariants (yami_window_check):
    (1) Each batch begins where the one before ends.
*/
#ifndef YAMI_WINDOW_H
#define YAMI_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "yam_status.h"
#include "yami_block.h"

typedef struct {
    yami_block_t *block; //  owned
    uint64_t first;      //  sequences
    uint64_t last;
    yam_status_t status; //  OK, or why it was refused for good
    char *text;          //  owned; the relay's words, or NULL
} yami_window_batch_t;

typedef struct {
    yami_window_batch_t *batches; //  owned; a ring
    size_t capacity;
    size_t head; //  index of the first
    size_t count;
} yami_window_t;

//  Frees what it holds; empty then. A zeroed window is an empty one.
void
yami_window_clear(yami_window_t *self);

//  Adds a batch behind the others; takes the reference. 0, or -1 with errno ENOMEM, EMSGSIZE (too
//  many); nothing changed then.
int
yami_window_push(yami_window_t *self, yami_block_t **block_p, uint64_t first, uint64_t last);

//  Batch number index (< count), borrowed until the next change.
yami_window_batch_t *
yami_window_at(const yami_window_t *self, size_t index);

//  Index of the batch that holds sequence, count when none does.
size_t
yami_window_find(const yami_window_t *self, uint64_t sequence);

//  Drops the first batch.
void
yami_window_pop(yami_window_t *self);

void
yami_window_check(const yami_window_t *self);

#endif
