/*  yami_commit - the writing half of the log: a queue of what was appended, and the thread that
    makes it durable.

    The owner queues; yami_commit_run, on another thread, takes all that has gathered, writes it
    with as few pwritev as possible, syncs each segment touched once, and only then publishes. It
    knows nothing of channels or indexes.
    Invariants:
    (1) durable moves up only after the sync that covers it, and after the directory's when a file
    was made; from 0 only after the marker is durable, too (yami_marker.h).
    (2) After one failed write or sync nothing is written or published any more.
    (3) Segment N is sealed and synced before the file of N + 1 is made, so the later file proves
    the earlier one whole.
    (4) A segment's file is given back only after the TRIM entry naming it is durable.
*/
#ifndef YAMI_COMMIT_H
#define YAMI_COMMIT_H

#include "yami_segment_format.h"
#include "yami_spares.h"
#include "yami_store.h"

typedef struct yami_commit yami_commit_t;

//  disk and spares are borrowed; all up to durable_lsn is durable. Never NULL.
yami_commit_t *
yami_commit_new(yami_disk_t *disk, yami_spares_t *spares, uint64_t durable_lsn);

//  Drops what was not committed and closes the file. Safe on NULL.
void
yami_commit_destroy(yami_commit_t **self_p);

//  Owner: queue, in the order of the log. Each returns 0, or -1 with errno ENOMEM; nothing changed
//  then.

//  A new segment; its file was promised by spares.
int
yami_commit_begin(yami_commit_t *self, const yami_segment_header_t *header);

//  An entry at offset of the current segment. Its meta is prefix and then meta, copied; takes a
//  reference to data. A TRIM entry names the segment to be given back in base.
int
yami_commit_entry(yami_commit_t *self, const yami_entry_header_t *header, uint64_t offset,
                  const void *prefix, size_t prefix_size, const void *meta, yami_block_t *data);

//  The end of the current segment: footer entry at offset with meta footer, trailer at
//  trailer_offset. When is_last, all before is synced first, and the file cut after the trailer.
int
yami_commit_seal(yami_commit_t *self, const yami_entry_header_t *header, uint64_t offset,
                 const void *footer, uint64_t trailer_offset, bool is_last);

//  Writes and syncs all that was queued before the call: 1, 0 when nothing was, or no space could
//  or no descriptor could be
//  had for it (call again), -1 with errno EIO.
int
yami_commit_run(yami_commit_t *self);

//  Any thread.
uint64_t
yami_commit_durable(const yami_commit_t *self);
bool
yami_commit_has_failed(const yami_commit_t *self);
//  Whether the last run stopped since space or descriptors were short: what was queued waits.
bool
yami_commit_is_short(const yami_commit_t *self);

//  Any thread: fills the fields entries is not one of: syncs, sync_us, max_sync_us, durable_lsn.
void
yami_commit_stats(yami_commit_t *self, yami_store_stats_t *stats);

#endif
