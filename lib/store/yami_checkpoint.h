/*  yami_checkpoint - what the store itself remembers in each checkpoint, before the owner's part.

    The list of segments that hold the log at that point, so that a missing file is noticed, and how
    far channels were trimmed. Pure.
*/
#ifndef YAMI_CHECKPOINT_H
#define YAMI_CHECKPOINT_H

#include "yami_index.h"

typedef struct {
    uint64_t number;
    uint64_t first_lsn;
    uint64_t last_lsn; //  first_lsn - 1 while it had no entry
} yami_live_segment_t;

typedef struct {
    uint32_t channel;
    uint64_t sequence;
} yami_floor_t;

typedef struct {
    size_t size;                   //  bytes of the prefix, the owner's part follows
    yami_live_segment_t *segments; //  owned
    size_t segment_count;
    yami_floor_t *floors; //  owned
    size_t floor_count;
} yami_checkpoint_t;

//  The prefix for the index as it is now, to be freed with yami_free. NULL with errno ENOMEM or
//  EMSGSIZE.
uint8_t *
yami_checkpoint_encode(const yami_index_t *index, size_t *size_p);

//  Reads a prefix. Returns 0, or -1 with errno EPROTO or ENOMEM; to be cleared in either case.
int
yami_checkpoint_decode(yami_checkpoint_t *self, const uint8_t *bytes, size_t size);

//  Raises the floors in index.
void
yami_checkpoint_trim(const yami_checkpoint_t *self, yami_index_t *index);

//  How far a channel was trimmed; 0: not.
uint64_t
yami_checkpoint_floor(const yami_checkpoint_t *self, uint32_t channel);

//  Frees; safe twice.
void
yami_checkpoint_clear(yami_checkpoint_t *self);

//  The entry of a segment, or NULL.
const yami_live_segment_t *
yami_checkpoint_find(const yami_checkpoint_t *self, uint64_t number);

#endif
