/*  yami_cache - the entries appended last, so that readers who keep up never touch the disk.

    First in, first out, bounded by bytes. Used by the owner thread only. It holds references to the
    blocks.
    Invariants (yami_cache_check):
    (1) The positions of a channel ascend, and so do their sequences.
    (2) used_bytes <= limit_bytes, unless a single entry is larger: that one is not kept.
*/
#ifndef YAMI_CACHE_H
#define YAMI_CACHE_H

#include "yami_channel_map.h"
#include "yami_store.h"

typedef struct {
    yami_entry_t *ring;  //  owned; position p at p & (capacity - 1); meta owned; count 0: forgotten
    size_t capacity;     //  a power of two, or 0
    uint64_t first;      //  position of the oldest
    uint64_t next;       //  position of the next one to come
    uint64_t kept_count; //  of first..next, not forgotten
    uint64_t used_bytes;
    uint64_t limit_bytes;
    yami_channel_map_t channels;
} yami_cache_t;

void
yami_cache_init(yami_cache_t *self, uint64_t limit_bytes);

void
yami_cache_clear(yami_cache_t *self);

//  Keeps a copy of meta and a reference to data; entries of a channel come in order. What cannot be
//  kept (no memory, too large) is left out: it will be read from the disk.
void
yami_cache_add(yami_cache_t *self, const yami_entry_t *entry);

//  The entry of channel that holds sequence, borrowed until the next change; NULL when it is not in
//  the cache.
const yami_entry_t *
yami_cache_find(const yami_cache_t *self, uint32_t channel, uint64_t sequence);

//  Forgets the channel's entries that lie below floor.
void
yami_cache_trim(yami_cache_t *self, uint32_t channel, uint64_t floor);

void
yami_cache_check(const yami_cache_t *self);

#endif
