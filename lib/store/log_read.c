//  A walk from an index point or a remembered position to the wanted entry.

#include "yami_log_read.h"

#include <errno.h>

#include "yami_base.h"

#define MAP_AFTER 64 //  entries stepped over for one that was wanted

typedef struct {
    yami_segment_reader_t *reader; //  borrowed
    yami_segment_t *segment;       //  borrowed
    const yami_extent_t *extent;   //  borrowed
    uint64_t durable_lsn;
    uint64_t sequence; //  wanted
    uint64_t offset;   //  of the next entry
    uint64_t lsn;      //  its LSN
    yami_entry_header_t header;
    size_t skipped;      //  entries stepped over
    yami_hole_t crossed; //  the first damaged range stepped over; end 0: none
} s_walk_t;

static int
s_not_there(void)
{
    errno = ENOENT;
    return -1;
}

//  Starts at the best remembered position before the sequence; the cursor to be moved on is
//  returned.
static yami_cursor_t *
s_start(s_walk_t *walk, yami_channel_t *channel)
{
    const yami_point_t *point = yami_extent_find(walk->extent, walk->sequence);
    walk->offset = point->offset;
    walk->lsn = point->lsn;
    yami_cursor_t *used = NULL;
    for (size_t index = 0; index < YAMI_CURSOR_COUNT; index++) {
        yami_cursor_t *cursor = &channel->cursors[index];
        if (cursor->segment == walk->segment->header.number && cursor->sequence <= walk->sequence &&
            cursor->offset >= walk->offset) {
            walk->offset = cursor->offset;
            walk->lsn = cursor->lsn;
            used = cursor;
        }
    }
    const yami_segment_map_t *map = yami_segment_reader_map(walk->reader, walk->segment, false);
    const yami_map_item_t *item =
        map ? yami_segment_map_find(map, channel->id, walk->sequence) : NULL;
    if (item) {
        walk->offset = item->offset;
        walk->lsn = item->lsn;
    }
    return used ? used : &channel->cursors[channel->cursor_next++ % YAMI_CURSOR_COUNT];
}

//  Steps over a damaged range that is known.
static void
s_cross(s_walk_t *walk, const yami_hole_t *hole)
{
    if (walk->crossed.end == 0) {
        walk->crossed = *hole;
    }
    walk->offset = hole->end;
    walk->lsn = hole->next_lsn;
}

//  Behind a header that is bad now: finds where entries go on, and remembers that.
static int
s_step_over(s_walk_t *walk)
{
    yami_segment_t *segment = walk->segment;
    yami_hole_t hole = {
        .offset = walk->offset, .end = segment->end, .next_lsn = segment->last_lsn + 1};
    yami_entry_header_t header;
    int rc = yami_segment_reader_resync(walk->reader, segment, walk->offset + YAMI_ENTRY_ALIGNMENT,
                                        segment->end, walk->lsn + 1, walk->durable_lsn + 1, false,
                                        &hole.end, &header);
    if (rc == -1) {
        return -1;
    }
    if (rc == 1) {
        hole.next_lsn = header.lsn;
    } else if (!segment->is_sealed) {
        s_cross(walk, &hole); //  for now: more is still to come
        return 0;
    }
    if (yami_segment_add_hole(segment, &hole) == -1) {
        return -1;
    }
    s_cross(walk, &hole);
    return 0;
}

//  Walks to the first entry that holds the sequence or a later one: 1 with walk->header, 0 at the
//  end of the segment, -1 with errno ENOENT when it is not durable yet, or EIO ...
static int
s_walk(s_walk_t *walk)
{
    yami_entry_header_t *header = &walk->header;
    while (walk->offset < walk->segment->end) {
        const yami_hole_t *hole = yami_segment_find_hole(walk->segment, walk->offset);
        if (hole) {
            s_cross(walk, hole);
            continue;
        }
        if (walk->lsn > walk->durable_lsn) {
            return s_not_there();
        }
        int rc = yami_segment_reader_header(walk->reader, walk->segment, walk->offset, header);
        if (rc == -1) {
            return -1;
        }
        if (rc == 0 || header->lsn < walk->lsn || header->kind == YAMI_ENTRY_FOOTER) {
            if (s_step_over(walk) == -1) {
                return -1;
            }
            continue;
        }
        walk->lsn = header->lsn;
        if (header->channel == walk->extent->channel && header->count > 0 &&
            header->base + header->count > walk->sequence) {
            return 1;
        }
        walk->offset += yami_entry_span(header->meta_size, header->data_size);
        walk->lsn++;
        walk->skipped++;
    }
    return 0;
}

//  Says what is lost, up to last.
static int
s_damaged(const s_walk_t *walk, uint64_t last, yami_damage_t *damage)
{
    const yami_hole_t *hole = &walk->crossed;
    *damage = (yami_damage_t) {.segment = walk->segment->header.number,
                               .offset = hole->offset,
                               .size = hole->end - hole->offset,
                               .channel = walk->extent->channel,
                               .first = walk->sequence,
                               .last = last,
                               .what = "entry header"};
    return yami_fail(EBADMSG,
                     "store: segment %llu is damaged at byte %llu: sequences %llu to %llu "
                     "of channel %u are lost",
                     (unsigned long long) damage->segment, (unsigned long long) damage->offset,
                     (unsigned long long) damage->first, (unsigned long long) damage->last,
                     (unsigned) damage->channel);
}

//  The walk has stopped at an entry: load it.
static int
s_load(s_walk_t *walk, yami_cursor_t *cursor, yami_entry_t *entry, yami_damage_t *damage)
{
    const yami_entry_header_t *header = &walk->header;
    if (header->base > walk->sequence && walk->crossed.end > 0) {
        return s_damaged(walk, header->base - 1, damage);
    }
    int rc = yami_segment_reader_load(walk->reader, walk->segment, walk->offset, header, entry);
    if (rc == -1) {
        return -1;
    }
    uint64_t span = yami_entry_span(header->meta_size, header->data_size);
    if (rc == 0) {
        walk->crossed = (yami_hole_t) {.offset = walk->offset, .end = walk->offset + span};
        (void) s_damaged(walk, header->base + header->count - 1, damage);
        damage->first_lsn = header->lsn;
        damage->last_lsn = header->lsn;
        damage->what = "entry checksum";
        return -1;
    }
    *cursor = (yami_cursor_t) {.segment = walk->segment->header.number,
                               .offset = walk->offset + span,
                               .lsn = header->lsn + 1,
                               .sequence = header->base + header->count};
    return 0;
}

int
yami_log_read(yami_index_t *index, yami_segment_reader_t *reader, uint64_t durable_lsn,
              uint32_t channel_id, uint64_t sequence, yami_entry_t *entry, yami_damage_t *damage)
{
    yami_channel_t *channel = yami_index_channel(index, channel_id);
    const yami_extent_t *extent = channel ? yami_index_extent(channel, sequence) : NULL;
    if (!extent) {
        return s_not_there();
    }
    s_walk_t walk = {.reader = reader,
                     .segment = extent->segment,
                     .extent = extent,
                     .durable_lsn = durable_lsn,
                     .sequence = sequence};
    yami_cursor_t *cursor = s_start(&walk, channel);
    int rc = s_walk(&walk);
    if (rc == 1 && walk.skipped > MAP_AFTER && extent->segment->last_lsn <= durable_lsn) {
        (void) yami_segment_reader_map(reader, extent->segment, true);
    }
    if (rc == 1) {
        return s_load(&walk, cursor, entry, damage);
    }
    //  The index says that it is here, and it is not: lost with what was stepped over.
    return rc == -1 ? -1 : s_damaged(&walk, extent->last, damage);
}
