/*  yami_segment_log - the durable store: a log in segments written over zero-filled or recycled
    files.

    Files: "%016x.seg" (number of the segment), "spare-%016x.seg" (filled, unused),
    "filling-%016x.tmp" (a spare being filled; worth nothing after a crash), "lost-%016x-%x" (bytes
    of a damaged range, kept aside), "store" (yami_marker.h: there once an entry was durable),
    "lock".

    Segment, little-endian: 64 bytes of header {magic "YAMS", format version, segment number, store
    id, creation time, first LSN, previous segment's number, planned size of the file, salt,
    CRC32C}; entries, each aligned to 8 bytes; when sealed, a footer entry (kind 2) {number of
    entries, last checkpoint's offset and LSN, last LSN; per channel first and last sequence, count,
    and sparse index of base, LSN, offset: a point at its first entry, then at most one every 256
    KiB}; the file's last 32 bytes {magic "YAMT", salt, footer's offset, last LSN, footer's size,
    CRC32C}. A segment sealed at a clean close, or after a crash, is cut right behind its trailer,
    after a sync of all in it; before that there is a gap between footer and trailer.

    Entry: 64 bytes of header {magic "YAME", salt of the segment, kind, flags, channel, LSN, base,
    time, count, meta size, data size, how many LSNs behind its own the log was known durable when
    it was written, CRC32C of meta, data and alignment, CRC32C of the header}, meta, data. A footer
    has the LSN of the entry before it. Salts keep stale bytes of recycled files from validating (as
    SQLite's WAL does); LSNs are contiguous. A TRIM entry (kind 3) names a segment in base. Power
    may take back the name of a file that was being made a segment, and leave what was written: its
    header is of another number then, or its first LSN was given again since, and none of its
    entries says that one of them was durable. So it holds nothing.

    Invariants:
    (1) Entries are never changed in place; a segment is written by appending only. (Recovery writes
        a tail that may never have been synced once more, with the same bytes.)
    (2) A bad entry is the torn tail only when nothing later says it was durable: no later entry,
        no later segment, no cut file; else it is damage: reported with its range, kept aside,
        skipped.
    (3) A segment is given back only when a durable checkpoint after it no longer needs it, and that
        it was given back is in the log before the file is touched. So a missing file is damage, not
        silence.
    (4) A log that had a durable entry never opens without one: a store that lost everything is
    refused, not taken for a new one.
    (5) After recovery the log continues in a new segment; a cut tail is never appended to.
*/
#ifndef YAMI_SEGMENT_LOG_H
#define YAMI_SEGMENT_LOG_H

#include "yami_disk.h"
#include "yami_store.h"

#define YAMI_FORMAT_VERSION 1

typedef struct {
    //  size of a segment file, 64 KiB..1 GiB [64 MiB]; larger entries get larger files
    uint64_t segment_bytes;
    uint64_t reserve_bytes; //  free disk below which data is refused [0 = none]
    uint64_t cache_bytes;   //  recent data kept in memory for readers [32 MiB]
    uint32_t spare_count;   //  segments filled ahead [2]; up to twice as many given back are kept
    //  fail to open, with EBADMSG, when there is damage [false: report and go on]
    bool refuse_damage;
    //  open reads all entries when those before the checkpoint take no more than so many bytes
    //  [8 MiB: under a second where a disk gives 10 MB/s]
    uint64_t scan_bytes;
    //  bytes per second at which a larger log is read in the background after open [32 MiB]; 0: it
    //  is not
    uint64_t scrub_rate;
    //  fill spares and scrub in threads of their own; false: when needed, in commit, and in scrub
    //  (simulation)
    bool is_threaded;
} yami_log_options_t;

void
yami_log_options_init(yami_log_options_t *options);

//  Opens or creates the log on disk (owned by the store from then on, also when this fails) and
//  replays it. NULL with errno: EPROTONOSUPPORT another format version, EBADMSG nothing can be read
//  of a log that was there (4), or damage when refuse_damage, what replay refused with, EIO,
//  ENOSPC, EACCES ... and a sentence.
yami_store_t *
yami_segment_log_open(yami_disk_t *disk, const yami_log_options_t *options, yami_replay_fn replay,
                      yami_damage_fn damaged, void *arg);

//  Reads the whole log read-only: every checksum of every entry. visit (may be NULL) is called for
//  each valid entry in LSN order, data included; damaged for each bad range, torn tail included.
//  Returns the number of damaged ranges (torn tail not counted), or -1 with errno: ENOENT when no
//  file of a store is there, ECANCELED when visit returned -1 without one, the others as above;
//  what was damaged so far is told then, too. disk stays the caller's.
int64_t
yami_segment_log_verify(yami_disk_t *disk, yami_replay_fn visit, yami_damage_fn damaged, void *arg);

#endif
