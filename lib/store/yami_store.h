/*  yami_store - where a relay keeps what it must not forget: append entries, learn what is durable,
    read from a sequence, trim, fence out an older owner.

    A table of operations with two implementations: the segment log (yami_segment_log.h) and memory
    (yami_memory_store.h). It knows nothing of messages or batches: an entry is a small meta part
    plus one block of data, filed under a channel and a range of sequences.
    Threads: one owner thread calls everything but commit; commit may be called from one other
    thread.
    Invariants:
    (1) Entries get LSNs 1, 2, 3 ... in the order of append; durability follows that order: when LSN
    n is
        durable, all below are.
    (2) read gives only durable entries.
    (3) After one failed commit every later append and commit fails with EIO: a restart recovers.
    (4) Within a channel, data entries (count > 0) have ascending, contiguous sequences, except
    where
        trimmed or lost to damage.
*/
#ifndef YAMI_STORE_H
#define YAMI_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_limits.h"

enum {
    YAMI_ENTRY_CHECKPOINT = 1
}; //  kinds 1..15 are the store's own, 16.. the owner's

typedef struct {
    uint16_t kind;
    uint32_t channel; //  0 when of no channel
    uint64_t base;    //  first sequence in the channel; 0 when count is 0
    uint32_t count;   //  sequences base..base+count-1; 0 for entries that hold no messages
    int64_t time_ms;  //  wall clock, when appended
    //  append: borrowed, copied; read/replay: borrowed until the entry is released
    const void *meta;
    size_t meta_size; //  up to YAMI_LIMIT_ENTRY_META
    //  append: the store takes its own reference; read: the caller owns one; or NULL
    yami_block_t *data; //  up to YAMI_LIMIT_ENTRY_DATA
    uint64_t lsn;       //  set by append, read and replay
} yami_entry_t;

//  A range that recovery, verify or read found damaged. Sequences are given when they can be known;
//  when several channels lost some in one range, it is reported once for each.
typedef struct {
    uint64_t segment;   //  segment number
    uint64_t offset;    //  first damaged byte in that segment
    uint64_t size;      //  bytes
    uint64_t first_lsn; //  LSNs lost, inclusive; 0 when not known
    uint64_t last_lsn;
    uint32_t channel; //  0: not known, or several
    uint64_t first;   //  sequences of that channel lost, inclusive; 0 when not known
    uint64_t last;
    bool is_torn_tail; //  the unsynced end after a crash: not damage
    //  Of missing segments that follow each other, which are one range; 0: it is one segment.
    uint64_t last_segment;
    bool is_rest;  //  no range: there are too many in that segment (0: missing ones) to name all,
    uint64_t more; //  so many more, or what some cost other channels
    //  "entry checksum", "header checksum", "missing segment", ... static storage
    const char *what;
} yami_damage_t;

typedef struct {
    uint64_t entries; //  appended since open
    uint64_t bytes;   //  appended since open, headers included
    uint64_t syncs;   //  fdatasync calls since open
    uint64_t sync_us; //  spent in them
    uint64_t max_sync_us;
    uint64_t segments; //  in use
    uint64_t spare_segments;
    uint64_t disk_bytes; //  occupied by segments and spares
    uint64_t durable_lsn;
    uint64_t recovered_entries; //  replayed at open
    uint64_t damaged_ranges;    //  found at open, while reading, by the scrub
} yami_store_stats_t;

//  Of the background reading of what open did not read.
typedef struct {
    uint64_t read_bytes;
    uint64_t left_bytes;
    uint64_t damaged_ranges;  //  found so far
    uint64_t unread_segments; //  that the disk would not give
    bool is_done;             //  nothing is left, and all that was found has been told
} yami_scrub_progress_t;

typedef struct yami_store yami_store_t;

typedef struct {
    //  Queues an entry; no I/O. Returns 0 with entry->lsn set; -1 with errno ENOSPC (only when
    //  entry->count > 0: free disk below the reserve, or no segment can be had), EMSGSIZE, EINVAL
    //  (a kind of the store's own, or base not above the channel's last sequence), ENOMEM, EIO (3).
    //  Nothing changed then.
    int (*append)(yami_store_t *self, yami_entry_t *entry);
    //  Whether append would take data now: false while free disk is below the reserve or no segment
    //  can be had, and after a failure. Cheap: asked before every event. When true, appends do
    //  not fail with ENOSPC until it is asked again.
    bool (*has_room)(const yami_store_t *self);
    //  Free disk below which has_room is false from now on. Nothing to a store in memory.
    void (*set_reserve)(yami_store_t *self, uint64_t reserve_bytes);
    //  Makes all that was appended before the call durable, with one write and one sync per segment
    //  touched. Returns 1 when it did something, 0 when there was nothing to do (or no disk space
    //  for it now: *durable_lsn_p stays behind, call it again), -1 with errno (3). *durable_lsn_p
    //  is set always.
    int (*commit)(yami_store_t *self, uint64_t *durable_lsn_p);
    //  Finds the data entry of channel that holds sequence, or the next later one that exists. 0
    //  with *entry filled (caller frees with yami_store_release); -1 with errno ENOENT (nothing
    //  durable at or after it), EBADMSG (damaged: *damage says what; continue at damage->last + 1).
    //  Any other (ENOMEM, EIO, EMFILE ...) says only that it could not be read now.
    int (*read)(yami_store_t *self, uint32_t channel, uint64_t sequence, yami_entry_t *entry,
                yami_damage_t *damage);
    //  Says that the owner needs no sequence of channel below floor any more. Space is given back
    //  when whole segments are unneeded; see wants_checkpoint. Never fails. Floors are kept in
    //  checkpoints; what was trimmed after the last one is to be said again after a restart.
    void (*trim)(yami_store_t *self, uint32_t channel, uint64_t floor);
    //  Gives back what waited for a checkpoint that is durable by now. Returns the LSN of the last
    //  entry, the store's own included: this and trim append some, and they are to be committed,
    //  too. Cheap: asked in each turn of the owner's loop.
    uint64_t (*give_back)(yami_store_t *self);
    //  Whether the owner should append a YAMI_ENTRY_CHECKPOINT now, whose meta is its whole state
    //  as of all entries appended so far: a new segment was begun, or trimmed space waits for it.
    bool (*wants_checkpoint)(const yami_store_t *self);
    //  The next range that was found damaged in the background, among what open did not read: true
    //  with *damage, false when there is none now. *progress is set always. Cheap: asked in each
    //  turn of the owner's loop. Nothing is told of what was given back.
    bool (*scrub)(yami_store_t *self, yami_scrub_progress_t *progress, yami_damage_t *damage);
    void (*stats)(const yami_store_t *self, yami_store_stats_t *stats);
    //  Commits, seals and closes. Returns 0, or -1 with errno when what was appended could not be
    //  made durable; the store is gone in either case.
    int (*close)(yami_store_t **self_p);
} yami_store_ops_t;

//  Each implementation begins with this.
struct yami_store {
    const yami_store_ops_t *ops;
    int level; //  yam_level_t of a successful commit
};

//  Called during open for the last checkpoint (first, if there is one) and then each later entry in
//  LSN order. Data entries carry their data block (borrowed). May return -1 with errno to refuse
//  the store: open fails with it.
typedef int (*yami_replay_fn)(void *arg, const yami_entry_t *entry);

//  Called for each damaged range found during open or verify.
typedef void (*yami_damage_fn)(void *arg, const yami_damage_t *damage);

//  Drops the data reference and meta of an entry that read gave. Safe twice.
void
yami_store_release(yami_entry_t *entry);

#endif
