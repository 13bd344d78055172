/*  yami_segment_reader - reads entries of segment files through one window of buffered bytes.

    Used by one thread. Small entries are cut out of the window, so that reading them in a row costs
    one pread per 64 KiB; the bytes of large ones go straight into their block.
*/
#ifndef YAMI_SEGMENT_READER_H
#define YAMI_SEGMENT_READER_H

#include "yami_disk.h"
#include "yami_index.h"
#include "yami_segment_map.h"
#include "yami_store.h"

#define YAMI_READER_MAPS 16 //  with at most 2 * YAMI_MAP_LIMIT items in all, 8 MiB

typedef struct {
    yami_disk_t *disk;   //  borrowed
    yami_index_t *index; //  borrowed: whose files may be closed when too many are open; or NULL
    uint8_t *window;     //  owned
    uint64_t segment;    //  number of the segment in the window; 0: none
    uint64_t offset;     //  of the window in its file
    size_t size;         //  bytes in the window
    size_t fill_size;    //  bytes to read next: few when entries are large
    yami_segment_map_t maps[YAMI_READER_MAPS];
    size_t map_item_count; //  in all maps
    size_t open_count;
    uint64_t use_count;
} yami_segment_reader_t;

void
yami_segment_reader_init(yami_segment_reader_t *self, yami_disk_t *disk, yami_index_t *index);

//  Frees the window; files stay the segments'.
void
yami_segment_reader_clear(yami_segment_reader_t *self);

//  Forgets the window: the file may have changed.
void
yami_segment_reader_forget(yami_segment_reader_t *self);

//  Opens the segment's file unless it is open. Returns 0, or -1 with errno.
int
yami_segment_reader_open(yami_segment_reader_t *self, yami_segment_t *segment);

//  Closes the segment's file if it is open.
void
yami_segment_reader_close(yami_segment_reader_t *self, yami_segment_t *segment);

//  size bytes at offset, borrowed until the next call; size is at most 4 KiB. NULL with errno
//  ENODATA when the file is shorter, or another errno.
const uint8_t *
yami_segment_reader_peek(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                         size_t size);

//  The map of a sealed segment, made now when it is not there and make is true. NULL when there is
//  none, or it cannot be made: one can do without.
const yami_segment_map_t *
yami_segment_reader_map(yami_segment_reader_t *self, yami_segment_t *segment, bool make);

//  The header of the entry at offset: 1 when it is valid and has the segment's salt, 0 when not (or
//  the file ends), -1 with errno.
int
yami_segment_reader_header(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                           yami_entry_header_t *header);

//  Loads the entry at offset with that header: 1 with *entry to be released, 0 when its checksum is
//  wrong or the file ends before it, -1 with errno.
int
yami_segment_reader_load(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                         const yami_entry_header_t *header, yami_entry_t *entry);

//  Looks in from..end for the next valid header with min_lsn <= LSN < lsn_limit (a footer has the
//  LSN of the entry before it), of the segment's salt unless is_any_salt. 1 with *offset_p and
//  *header, 0 when there is none, -1 with errno.
int
yami_segment_reader_resync(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t from,
                           uint64_t end, uint64_t min_lsn, uint64_t lsn_limit, bool is_any_salt,
                           uint64_t *offset_p, yami_entry_header_t *header);

#endif
