/*  yami_spares - keeps zero-filled files ready, so that a new segment costs a rename; and watches
    the free disk.

    Thread-safe: the owner promises, the commit thread takes and gives, a thread of its own fills
    (or the caller of yami_spares_fill, when not threaded).
    Invariants:
    (1) A file is ready only when it is segment_bytes long and all of it was written and synced
    once.
    (2) The last ready file is held back for entries that are not data: those are what gives space
    back.
*/
#ifndef YAMI_SPARES_H
#define YAMI_SPARES_H

#include "yami_disk.h"
#include "yami_segment_log.h"

typedef struct yami_spares yami_spares_t;

//  No spares yet; disk is borrowed. Never NULL.
yami_spares_t *
yami_spares_new(yami_disk_t *disk, const yami_log_options_t *options);

//  Stops filling and frees. The files stay. Safe on NULL.
void
yami_spares_destroy(yami_spares_t **self_p);

//  Takes over a spare file found at open. Removes it when it is of no use. Before yami_spares_start
//  only. 0 or -1 with errno.
int
yami_spares_adopt(yami_spares_t *self, uint64_t number);

//  Begins to fill. Returns 0, or -1 with errno ENOMEM (no thread to be had).
int
yami_spares_start(yami_spares_t *self);

//  Whether a segment of file_bytes could be begun for data now.
bool
yami_spares_has_segment(yami_spares_t *self, uint64_t file_bytes);

//  Counts on one segment of file_bytes to be taken later. Returns 0, or -1 with errno ENOSPC, which
//  only refusable ones get: the others may have to wait in yami_spares_take.
int
yami_spares_promise(yami_spares_t *self, uint64_t file_bytes, bool is_refusable);

//  Takes a promise back.
void
yami_spares_release(yami_spares_t *self);

//  Makes a promised segment's file, of that number. 0; 1 when there is no space or descriptor now
//  (nothing changed, try again); -1 with errno. Durable only after the directory was synced.
int
yami_spares_take(yami_spares_t *self, uint64_t segment, uint64_t file_bytes);

//  Turns a segment's file, which the log does not need any more, into a spare, or removes it. 0, or
//  -1 with errno; nothing changed when yami_disk_is_short says so.
int
yami_spares_give(yami_spares_t *self, uint64_t segment);

//  Not threaded: fills what is missing, as far as there is space. 0, or -1 with errno.
int
yami_spares_fill(yami_spares_t *self);

//  Looks at the free disk again, after written more bytes; not more than once per MiB or 100 ms.
void
yami_spares_look(yami_spares_t *self, uint64_t written);

//  Whether the free disk was below the reserve when last looked at.
bool
yami_spares_is_low(const yami_spares_t *self);

//  Free disk that is kept from now on. Who waits for space looks at once.
void
yami_spares_set_reserve(yami_spares_t *self, uint64_t reserve_bytes);

//  Ready files.
size_t
yami_spares_count(yami_spares_t *self);

#endif
