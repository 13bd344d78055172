//  handout - see yami_handout.h.

#include "yami_handout.h"

#include "yami_base.h"

void
yami_handout_put(yami_handout_t *self, yami_message_slab_t *slab)
{
    uint64_t left = atomic_load_explicit(&self->left, memory_order_acquire);
    YAM_ASSERT((uint16_t) left == 0); //  (1)
    YAM_ASSERT(slab->count > 0 && slab->count <= YAMI_MESSAGE_SLAB_LIMIT);
    uint32_t count = slab->count;
    self->put += count;
    atomic_store_explicit(&self->slab, slab, memory_order_relaxed);
    //  Release: who sees the count sees the slab.
    atomic_store_explicit(&self->left, left + (1u << 16) + count, memory_order_release);
}

uint64_t
yami_handout_taken(const yami_handout_t *self)
{
    return self->put - (uint16_t) atomic_load_explicit(&self->left, memory_order_relaxed);
}

void
yami_handout_clear(yami_handout_t *self)
{
    uint16_t count = (uint16_t) atomic_exchange(&self->left, 0);
    if (count > 0) {
        yami_message_slab_drop(atomic_load_explicit(&self->slab, memory_order_relaxed), count);
    }
}
