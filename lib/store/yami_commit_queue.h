/*  yami_commit_queue - what was appended and not yet written, as images of what the file shall
    hold.

    Headers, metas and paddings lie in one arena in the order of the file, so that neighbours go out
    in one piece; data parts stay in their blocks. Not thread-safe.
*/
#ifndef YAMI_COMMIT_QUEUE_H
#define YAMI_COMMIT_QUEUE_H

#include "yami_segment_format.h"
#include "yami_store.h"

typedef enum {
    YAMI_ITEM_BEGIN, //  image: segment header
    YAMI_ITEM_ENTRY, //  image: entry header, meta; padding_size zeros follow
    YAMI_ITEM_SEAL,  //  as ENTRY; YAMI_TRAILER_SIZE bytes for the trailer follow
} yami_item_type_t;

typedef struct {
    yami_item_type_t type;
    bool is_last;  //  SEAL
    uint16_t kind; //  ENTRY
    uint32_t padding_size;
    size_t image; //  offset in the arena
    size_t image_size;
    yami_block_t *data; //  owned reference, or NULL
    uint64_t offset;    //  in the segment
    uint64_t lsn;
    //  BEGIN: segment; TRIM: the one to be given back; SEAL: trailer's offset
    uint64_t number;
    uint64_t file_bytes; //  BEGIN
} yami_commit_item_t;

typedef struct {
    yami_commit_item_t *items; //  owned
    size_t count;
    size_t capacity;
    size_t done;    //  items written
    uint8_t *arena; //  owned
    size_t arena_size;
    size_t arena_capacity;
} yami_commit_queue_t;

//  Frees all that a queue holds; empty then. A zeroed queue is empty.
void
yami_commit_queue_clear(yami_commit_queue_t *self);

//  Empties the queue, keeps its memory unless it has grown large.
void
yami_commit_queue_reset(yami_commit_queue_t *self);

//  Adds an item with its image; see yami_commit.h. Each returns 0, or -1 with errno ENOMEM; nothing
//  changed then.
int
yami_commit_queue_begin(yami_commit_queue_t *self, const yami_segment_header_t *header);
int
yami_commit_queue_entry(yami_commit_queue_t *self, const yami_entry_header_t *header,
                        uint64_t offset, const void *prefix, size_t prefix_size, const void *meta,
                        yami_block_t *data);
int
yami_commit_queue_seal(yami_commit_queue_t *self, const yami_entry_header_t *header,
                       uint64_t offset, const void *footer, uint64_t trailer_offset, bool is_last);

//  Where its image is in the arena.
uint8_t *
yami_commit_queue_image(const yami_commit_queue_t *self, const yami_commit_item_t *item);

#endif
