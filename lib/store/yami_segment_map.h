/*  yami_segment_map - where every data entry of a sealed segment lies, for segments that many
    channels share.

    Made when a reader had to step over many entries of others, so that the next readers of the same
    segment need not. For one segment, of at most YAMI_MAP_LIMIT entries.
    Invariant: items ascend by channel, then base.
*/
#ifndef YAMI_SEGMENT_MAP_H
#define YAMI_SEGMENT_MAP_H

#include <stddef.h>
#include <stdint.h>

#define YAMI_MAP_LIMIT ((size_t) 128 << 10)

typedef struct {
    uint32_t channel;
    uint32_t count;
    uint64_t base;
    uint64_t lsn;
    uint64_t offset;
} yami_map_item_t;

typedef struct {
    uint64_t segment;       //  number; 0: none
    uint64_t used;          //  when it was asked last, in the reader's count
    yami_map_item_t *items; //  owned
    size_t count;
    size_t capacity;
} yami_segment_map_t;

//  Frees; empty then. Safe twice.
void
yami_segment_map_clear(yami_segment_map_t *self);

//  Adds an entry, in any order. Returns 0, or -1 with errno ENOMEM or EMSGSIZE.
int
yami_segment_map_add(yami_segment_map_t *self, const yami_map_item_t *item);

//  Puts the items in order, after the last was added.
void
yami_segment_map_sort(yami_segment_map_t *self);

//  The item that holds exactly this sequence of the channel, or NULL.
const yami_map_item_t *
yami_segment_map_find(const yami_segment_map_t *self, uint32_t channel, uint64_t sequence);

#endif
