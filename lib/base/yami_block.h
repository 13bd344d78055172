/*  yami_block - immutable bytes shared by counting references.

    The same block is the frame a socket received, the bytes the log writes and the frame a consumer
    is sent. Thread-safe: any thread may take or drop a reference; the last one to drop it frees.
    Invariants:
    (1) data and size never change, and nobody writes to data, once a second reference exists.
*/
#ifndef YAMI_BLOCK_H
#define YAMI_BLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef struct yami_block {
    const uint8_t *data; //  owned by whatever release frees
    size_t size;         //  bytes
    //  called once, by the thread that drops the last reference; or NULL
    void (*release)(void *hint);
    void *hint;                       //  given to release
    _Atomic uint32_t reference_count; //  private
} yami_block_t;

//  Wraps data: when the last reference goes, release(hint) is called and the wrapper freed. The
//  caller owns one reference. Never NULL.
yami_block_t *
yami_block_new(const void *data, size_t size, void (*release)(void *hint), void *hint);

//  A block with size (1..limit) bytes of its own in one allocation, to be filled through bytes_p
//  before it is shared. NULL with errno EMSGSIZE or ENOMEM.
yami_block_t *
yami_block_alloc(size_t size, size_t limit, uint8_t **bytes_p);

//  A block with a copy of size (0..limit) bytes. NULL with errno EMSGSIZE or ENOMEM.
yami_block_t *
yami_block_copy(const void *data, size_t size, size_t limit);

//  Takes one more reference and returns block. Safe on NULL.
yami_block_t *
yami_block_ref(yami_block_t *block);

//  Takes count (0..) more references at once. One atomic addition, so that a frame of many messages
//  costs no more than one of few.
void
yami_block_ref_many(yami_block_t *block, uint32_t count);

//  Shortens a block that is not shared yet (e.g. filled less than allocated). size <= block->size.
void
yami_block_shrink(yami_block_t *block, size_t size);

//  Drops the caller's reference and clears it. Safe on NULL.
void
yami_block_unref(yami_block_t **block_p);

//  Drops count (0.. as many as the caller owns) references at once and clears *block_p. Safe on
//  NULL.
void
yami_block_unref_many(yami_block_t **block_p, uint32_t count);

#endif
