/*  yami_segment_log - the durable store: a log in segments written over zero-filled or recycled
    files.

    Files: "%016x.seg" (number of the segment), "spare-%016x.seg" (filled, unused), "lost-%016x-%x"
    (bytes of a damaged range, kept aside), "lock".
    Segment, little-endian: 64 bytes of header {magic "YAMS", format version, segment number, salt,
    store id, creation time, first LSN, previous segment's number, CRC32C}; entries, each aligned to
    8 bytes; a footer entry (kind 2) when sealed: per channel {first and last sequence, count},
    sparse index {channel, base, LSN, offset} with a point per channel and at most every 256 KiB,
    last checkpoint's offset, number of entries; the file's last 32 bytes point to the footer. A
    segment sealed at a clean close is truncated right after its trailer; before, there is a gap
    between footer and trailer. Entry: 64 bytes of header {magic "YAME", salt of the segment, kind,
    flags, meta size, data size, channel, count, LSN, base, time, durable: LSN known durable when
    this was written, CRC32C of meta and data, CRC32C of the header}, meta, data. Salts keep stale
    bytes of recycled files from validating (as SQLite's WAL does); LSNs are contiguous.
    Invariants:
    (1) Entries are never changed in place; a segment is written by appending only.
    (2) A bad entry is the torn tail only when no later entry says it was durable; else it is
    damage: reported with its
        range, kept aside, skipped.
    (3) A segment is given back only when a durable checkpoint after it no longer needs it, and that
    it was given back
        is in the log before the file is touched. So a missing file is damage, not silence.
    (4) After recovery the log continues in a new segment; a cut tail is never appended to.
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
    //  fill spares in a thread of its own; false: when needed, in commit (simulation)
    bool is_threaded;
} yami_log_options_t;

void
yami_log_options_init(yami_log_options_t *options);

//  Opens or creates the log on disk (owned by the store from then on, also when this fails) and
//  replays it. NULL with errno: EPROTONOSUPPORT another format version, EBADMSG damage (only when
//  refuse_damage), what replay refused with, EIO, ENOSPC, EACCES ... and a sentence.
yami_store_t *
yami_segment_log_open(yami_disk_t *disk, const yami_log_options_t *options, yami_replay_fn replay,
                      yami_damage_fn damaged, void *arg);

//  Reads the whole log read-only: every checksum of every entry. visit (may be NULL) is called for
//  each valid entry in LSN order, data included; damaged for each bad range, torn tail included.
//  Returns the number of damaged ranges (torn tail not counted), or -1 with errno. disk stays the
//  caller's.
int64_t
yami_segment_log_verify(yami_disk_t *disk, yami_replay_fn visit, yami_damage_fn damaged, void *arg);

#endif
