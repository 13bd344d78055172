/*  yami_segment - what the process remembers of one segment file: its place in the log and a sparse
    index.

    Pure. Memory is bounded by channels and index points, never by messages: a point at a channel's
    first entry, then at most one every 256 KiB of the file, and at most 1,024 such more in all.
    Invariants:
    (1) Within an extent points ascend by base, LSN and offset; there is at least one.
    (2) point_count is the sum over all extents.
    (3) Holes ascend and do not overlap.
*/
#ifndef YAMI_SEGMENT_H
#define YAMI_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_segment_format.h"

#define YAMI_POINT_DISTANCE (256U << 10)
#define YAMI_POINT_LIMIT 1024U

typedef struct {
    uint64_t base;
    uint64_t lsn;
    uint64_t offset;
} yami_point_t;

typedef struct yami_segment yami_segment_t;

//  The sequences of one channel within one segment.
typedef struct {
    uint32_t channel;
    bool is_unneeded;        //  all below the channel's floor
    yami_segment_t *segment; //  borrowed
    uint64_t first;
    uint64_t last;
    uint64_t count;       //  sequences
    yami_point_t *points; //  owned
    size_t point_count;
    size_t point_capacity;
} yami_extent_t;

//  A damaged range, skipped when reading. Entries go on at end with next_lsn.
typedef struct {
    uint64_t offset;
    uint64_t end;
    uint64_t next_lsn;
} yami_hole_t;

struct yami_segment {
    yami_segment_header_t header;
    uint64_t file_bytes; //  real size of the file
    uint64_t end;        //  offset after the last entry
    uint64_t last_lsn;   //  header.first_lsn - 1 when there are no entries
    uint64_t entry_count;
    uint64_t checkpoint_offset; //  of the last checkpoint in it; 0: none
    uint64_t checkpoint_lsn;
    yami_extent_t **extents; //  owned
    size_t extent_count;
    size_t extent_capacity;
    size_t point_count;
    size_t needed_count; //  extents that are still needed
    yami_hole_t *holes;  //  owned
    size_t hole_count;
    size_t hole_capacity;
    bool is_sealed;
    int file;      //  for reading; -1: not open
    uint64_t used; //  when it was read last, in the reader's count
};

//  An empty segment. Never NULL.
yami_segment_t *
yami_segment_new(const yami_segment_header_t *header);

//  Safe on NULL. The file must be closed.
void
yami_segment_destroy(yami_segment_t **self_p);

//  Drops extents, points, and counts, to be rebuilt by a scan.
void
yami_segment_reset(yami_segment_t *self);

//  Adds an extent for a channel not yet there, without points. NULL with errno ENOMEM.
yami_extent_t *
yami_segment_add_extent(yami_segment_t *self, uint32_t channel);

//  Whether an entry of the extent at offset gets a point of its own.
bool
yami_extent_wants_point(const yami_extent_t *extent, uint64_t offset);

//  Makes room for one more point. Returns 0, or -1 with errno ENOMEM.
int
yami_extent_reserve(yami_extent_t *extent);

//  Counts an entry; room was made when it wants a point.
void
yami_extent_note(yami_extent_t *extent, const yami_point_t *point, uint32_t count);

//  The last point at or before sequence, else the first one.
const yami_point_t *
yami_extent_find(const yami_extent_t *extent, uint64_t sequence);

//  Remembers a damaged range. Returns 0, or -1 with errno ENOMEM.
int
yami_segment_add_hole(yami_segment_t *self, const yami_hole_t *hole);

//  The hole that begins at offset, or NULL.
const yami_hole_t *
yami_segment_find_hole(const yami_segment_t *self, uint64_t offset);

//  Bytes of the footer's meta part as of now, with further extents and points to come.
size_t
yami_segment_footer_size(const yami_segment_t *self, size_t more_extents, size_t more_points);

//  Writes the footer's meta part: yami_segment_footer_size bytes.
void
yami_segment_footer_encode(const yami_segment_t *self, uint8_t *bytes);

//  Fills extents and counts of an empty segment from a footer. Returns 0, or -1 with errno EPROTO
//  or ENOMEM; the segment is reset then.
int
yami_segment_footer_decode(yami_segment_t *self, const uint8_t *bytes, size_t size);

//  Aborts when an invariant is broken.
void
yami_segment_check(const yami_segment_t *self);

#endif
