//  Shared bytes: one counter, freed by whoever drops the last reference.

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "yami_base.h"
#include "yami_block.h"

yami_block_t *
yami_block_new(const void *data, size_t size, void (*release)(void *hint), void *hint)
{
    YAM_ASSERT(data || size == 0);
    yami_block_t *self = yami_alloc(sizeof *self);
    self->data = data;
    self->size = size;
    self->release = release;
    self->hint = hint;
    atomic_init(&self->reference_count, 1);
    return self;
}

//  Wrapper and bytes in one piece: one allocation per block, and the bytes go when the wrapper
//  goes.
static yami_block_t *
s_new_with_bytes(size_t size, size_t limit, uint8_t **bytes_p)
{
    if (size > limit || size > PTRDIFF_MAX - sizeof(yami_block_t)) {
        (void) yami_fail(EMSGSIZE, "%zu bytes are more than the limit of %zu", size, limit);
        return NULL;
    }
    yami_block_t *self = yami_try_alloc(sizeof *self + size, SIZE_MAX);
    if (!self) {
        return NULL;
    }
    uint8_t *bytes = (uint8_t *) (self + 1);
    *self = (yami_block_t) {.data = bytes, .size = size};
    atomic_init(&self->reference_count, 1);
    *bytes_p = bytes;
    return self;
}

yami_block_t *
yami_block_alloc(size_t size, size_t limit, uint8_t **bytes_p)
{
    YAM_ASSERT(size > 0);
    return s_new_with_bytes(size, limit, bytes_p);
}

yami_block_t *
yami_block_copy(const void *data, size_t size, size_t limit)
{
    uint8_t *bytes;
    yami_block_t *self = s_new_with_bytes(size, limit, &bytes);
    if (self && size > 0) {
        memcpy(bytes, data, size);
    }
    return self;
}

void
yami_block_ref_many(yami_block_t *block, uint32_t count)
{
    uint32_t before =
        atomic_fetch_add_explicit(&block->reference_count, count, memory_order_relaxed);
    YAM_ASSERT(before > 0 && before <= UINT32_MAX - count);
}

yami_block_t *
yami_block_ref(yami_block_t *block)
{
    if (block) {
        yami_block_ref_many(block, 1);
    }
    return block;
}

void
yami_block_shrink(yami_block_t *block, size_t size)
{
    YAM_ASSERT(atomic_load(&block->reference_count) == 1); //  (1)
    YAM_ASSERT(size <= block->size);
    block->size = size;
}

void
yami_block_unref(yami_block_t **block_p)
{
    yami_block_unref_many(block_p, 1);
}

void
yami_block_unref_many(yami_block_t **block_p, uint32_t count)
{
    yami_block_t *block = *block_p;
    *block_p = NULL;
    if (!block || count == 0) {
        return;
    }
    //  Release: our reads of the bytes come before the free. Acquire: so do those of all others.
    uint32_t before =
        atomic_fetch_sub_explicit(&block->reference_count, count, memory_order_acq_rel);
    YAM_ASSERT(before >= count);
    if (before > count) {
        return;
    }
    if (block->release) {
        block->release(block->hint);
    }
    yami_free(block);
}
