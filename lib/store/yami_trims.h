/*  yami_trims - segments to give back once the entries that say so are durable.

    A zeroed one is empty. Not thread-safe.
*/
#ifndef YAMI_TRIMS_H
#define YAMI_TRIMS_H

#include "yami_spares.h"

typedef struct {
    uint64_t segment;
    uint64_t lsn; //  of its TRIM entry
} yami_trim_t;

typedef struct {
    yami_trim_t *items; //  owned; in the order of their LSNs
    size_t count;
    size_t capacity;
} yami_trims_t;

void
yami_trims_clear(yami_trims_t *self);

//  Makes sure that there is room to note one more. 0, or -1 with errno ENOMEM.
int
yami_trims_reserve(yami_trims_t *self);

//  A TRIM entry is staged; once more, when the disk was full before. There must be room.
void
yami_trims_note(yami_trims_t *self, uint64_t segment, uint64_t lsn);

//  Gives back the files whose entries are durable. One that is not there any more was given back
//  before a crash; what lacks a descriptor now is given back next time. 0, or -1 with errno.
int
yami_trims_give_back(yami_trims_t *self, yami_spares_t *spares, uint64_t durable_lsn);

#endif
