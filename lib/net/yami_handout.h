/*  yami_handout - hands the messages of a slab out, each to one thread, without a lock.

    One atomic operation a message, where a mutex takes two. Whoever finds nothing left takes the
    owner's lock, puts the next slab in, and tries again. Invariants:
    (1) left is a count of slabs in its upper 48 bits, of messages left in its lower 16. A message
    is taken by counting left down from exactly the value that was seen before slab was read; and
    slab changes only while none are left. So a thread that has counted down has seen the slab it
    counted in, even if it was halted between the two for as long as you like.
    (2) A slab that is in has a reference for each of its messages: it lives until the last of those
    handed out is destroyed.
*/
#ifndef YAMI_HANDOUT_H
#define YAMI_HANDOUT_H

#include <stdatomic.h>
#include <stdint.h>

#include "yami_message_slab.h"

typedef struct {
    _Atomic uint64_t left;               //  (1)
    _Atomic(yami_message_slab_t *) slab; //  (1), (2)
    uint64_t put;                        //  messages of all slabs so far, under the owner's lock
} yami_handout_t;

//  Zeroed, a handout is empty.

//  The next message, owned by the caller, or NULL: none are left. Any thread.
static inline yam_message_t *
yami_handout_take(yami_handout_t *self)
{
    uint64_t seen = atomic_load_explicit(&self->left, memory_order_acquire);
    while ((uint16_t) seen != 0) {
        yami_message_slab_t *slab = atomic_load_explicit(&self->slab, memory_order_relaxed);
        //  Release: we have read slab before it may change.
        if (atomic_compare_exchange_weak_explicit(&self->left, &seen, seen - 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return &slab->messages[slab->count - (uint16_t) seen];
        }
    }
    return NULL;
}

//  Under the owner's lock, when none are left: puts a slab of at least one message in and takes it
//  over.
void
yami_handout_put(yami_handout_t *self, yami_message_slab_t *slab);

//  Messages taken so far. Under the owner's lock.
uint64_t
yami_handout_taken(const yami_handout_t *self);

//  Destroys what is left. Nobody else uses it any more.
void
yami_handout_clear(yami_handout_t *self);

#endif
