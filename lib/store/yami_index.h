/*  yami_index - which segments there are, and where in them a channel's sequences begin.

    Pure; used by the owner thread only. Memory: yami_segment.h's for each segment, and one pointer
    per channel and segment.
    Invariants (yami_index_check):
    (1) Segments ascend by number. All but the last may be given back; the last one is the active
    one unless sealed.
    (2) A channel's extents ascend by segment; those below its floor in sealed segments are marked
    unneeded and dropped from the
        channel's list, in order.
    (3) unneeded_count is the number of sealed segments without a needed extent.
*/
#ifndef YAMI_INDEX_H
#define YAMI_INDEX_H

#include "yami_channel_map.h"
#include "yami_segment.h"

#define YAMI_CURSOR_COUNT 4

//  Where reading went on last: the entry at offset has that LSN, and sequences of the channel
//  before it are below sequence.
typedef struct {
    uint64_t segment; //  number; 0: unused
    uint64_t offset;
    uint64_t lsn;
    uint64_t sequence;
} yami_cursor_t;

typedef struct {
    uint32_t id;
    uint64_t floor;          //  sequences below it are not needed
    yami_extent_t **extents; //  array owned, extents borrowed from their segments
    size_t extent_head;      //  first one in use
    size_t extent_count;     //  one after the last in use
    size_t extent_capacity;
    yami_cursor_t cursors[YAMI_CURSOR_COUNT];
    unsigned cursor_next; //  replaced next
    uint64_t replayed;    //  by recovery: sequences below were seen
} yami_channel_t;

typedef struct {
    yami_segment_t **segments; //  owned
    size_t count;
    size_t capacity;
    size_t unneeded_count;
    yami_channel_map_t channels;
} yami_index_t;

//  A zeroed index is empty. Frees all; files must be closed.
void
yami_index_clear(yami_index_t *self);

//  Takes an empty or decoded segment with a number above all others, and links its extents. 0, or
//  -1 with errno ENOMEM, and *segment_p is still the caller's.
int
yami_index_add(yami_index_t *self, yami_segment_t **segment_p);

//  Takes a segment out and frees it; its file must be closed.
void
yami_index_remove(yami_index_t *self, yami_segment_t *segment);

//  NULL when there is none with that number.
yami_segment_t *
yami_index_find(const yami_index_t *self, uint64_t number);

//  The last segment, or NULL.
yami_segment_t *
yami_index_last(const yami_index_t *self);

//  NULL when nothing of it is there.
yami_channel_t *
yami_index_channel(const yami_index_t *self, uint32_t channel);

//  The last known sequence of a channel; 0 when nothing of it is there.
uint64_t
yami_index_last_sequence(const yami_index_t *self, uint32_t channel);

//  How much the footer of segment grows when an entry of channel is put at offset.
size_t
yami_index_footer_growth(const yami_index_t *self, const yami_segment_t *segment, uint32_t channel,
                         uint64_t offset);

//  Makes room for yami_index_note with the same arguments. Returns 0, or -1 with errno ENOMEM; then
//  nothing to be seen changed.
int
yami_index_prepare(yami_index_t *self, yami_segment_t *segment, uint32_t channel, uint64_t offset);

//  Takes back a yami_index_prepare that is not followed by its yami_index_note.
void
yami_index_cancel(yami_index_t *self, yami_segment_t *segment, uint32_t channel);

//  Files an entry with count > 0 sequences that was put into segment, the last one.
void
yami_index_note(yami_index_t *self, yami_segment_t *segment, uint32_t channel,
                const yami_point_t *point, uint32_t count);

//  The first extent that may hold sequence or a later one, NULL when there is none.
const yami_extent_t *
yami_index_extent(const yami_channel_t *channel, uint64_t sequence);

//  Raises the floor of a channel (it never sinks).
void
yami_index_trim(yami_index_t *self, uint32_t channel, uint64_t floor);

//  Marks segment as sealed, so that its extents can become unneeded.
void
yami_index_seal(yami_index_t *self, yami_segment_t *segment);

//  Whether a sealed segment holds no sequence that is needed.
bool
yami_index_is_unneeded(const yami_segment_t *segment);

void
yami_index_check(const yami_index_t *self);

#endif
