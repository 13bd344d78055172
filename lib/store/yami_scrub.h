/*  yami_scrub - reads once, in the background, what opening a log did not look at, and tells the
    owner what is damaged there.

    Opening reads footers and what follows the last checkpoint; a bit that flipped before that
    would be found only when its message is read. The scrub reads those segments one after the
    other, at a bounded rate and at the lowest priority, through a reader of its own: neither the
    log's cache nor its readers notice.
    Threads: the owner calls everything here; the scrub's own thread touches nothing of the log.
    Invariants:
    (1) Nothing is told of a segment that was forgotten; the owner forgets a segment before its
    file can change.
    (2) What is told of one segment is told after all of it was read, in its order.
    (3) is_done is told after all that was found.
*/
#ifndef YAMI_SCRUB_H
#define YAMI_SCRUB_H

#include "yami_disk.h"
#include "yami_segment.h"
#include "yami_store.h"

typedef struct yami_scrub yami_scrub_t;

//  Nothing to read yet. disk is borrowed. rate: bytes per second, 0: no scrub at all. Not threaded:
//  each yami_scrub_take with nothing to tell reads one segment. Never NULL.
yami_scrub_t *
yami_scrub_new(yami_disk_t *disk, uint64_t rate, bool is_threaded);

//  Stops, after what is being read (an entry, or some 256 KiB), and frees. Safe on NULL.
void
yami_scrub_destroy(yami_scrub_t **self_p);

//  Plans to read the entries of a sealed segment; damage is told when it begins before limit, an
//  offset. Segments ascend. Before yami_scrub_start only. 0, or -1 with errno ENOMEM.
int
yami_scrub_add(yami_scrub_t *self, const yami_segment_t *segment, uint64_t limit);

//  Begins to read, if there is anything. 0, or -1 with errno ENOMEM (no thread to be had).
int
yami_scrub_start(yami_scrub_t *self);

//  The segment with that number is about to be given back: it is read no further, and nothing is
//  told of it (1).
void
yami_scrub_forget(yami_scrub_t *self, uint64_t segment);

//  How far it is, always; and the next damaged range, if there is one: true then. Cheap when there
//  is none.
bool
yami_scrub_take(yami_scrub_t *self, yami_scrub_progress_t *progress, yami_damage_t *damage);

//  Damaged ranges found so far.
uint64_t
yami_scrub_damaged(const yami_scrub_t *self);

#endif
