//  Items and their arena.

#include "yami_commit_queue.h"

#include <string.h>

#include "yami_base.h"

#define ITEM_LIMIT ((size_t) 1 << 28)
#define ARENA_LIMIT ((size_t) 1 << 32)
#define ARENA_KEPT ((size_t) 4 << 20)

void
yami_commit_queue_reset(yami_commit_queue_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        yami_block_unref(&self->items[index].data);
    }
    bool is_oversized =
        self->arena_capacity > ARENA_KEPT && self->arena_size < self->arena_capacity / 8;
    self->count = 0;
    self->done = 0;
    self->arena_size = 0;
    if (is_oversized) { //  a burst is over
        yami_free(self->arena);
        self->arena = NULL;
        self->arena_capacity = 0;
    }
}

void
yami_commit_queue_clear(yami_commit_queue_t *self)
{
    yami_commit_queue_reset(self);
    yami_free(self->items);
    yami_free(self->arena);
    *self = (yami_commit_queue_t) {0};
}

//  An item with arena space for its image, padding and trailer. NULL with errno ENOMEM; nothing
//  changed then. The image is to be filled; what follows it is zeroed.
static yami_commit_item_t *
s_add(yami_commit_queue_t *self, yami_item_type_t type, size_t image_size, uint32_t padding_size)
{
    size_t size = image_size + padding_size + (type == YAMI_ITEM_SEAL ? YAMI_TRAILER_SIZE : 0);
    if (yami_grow(&self->items, &self->capacity, self->count + 1, sizeof *self->items,
                  ITEM_LIMIT) == -1 ||
        yami_grow(&self->arena, &self->arena_capacity, self->arena_size + size, 1, ARENA_LIMIT) ==
            -1) {
        return NULL;
    }
    yami_commit_item_t *item = &self->items[self->count++];
    *item = (yami_commit_item_t) {.type = type,
                                  .image = self->arena_size,
                                  .image_size = image_size,
                                  .padding_size = padding_size};
    memset(self->arena + self->arena_size + image_size, 0, size - image_size);
    self->arena_size += size;
    return item;
}

uint8_t *
yami_commit_queue_image(const yami_commit_queue_t *self, const yami_commit_item_t *item)
{
    YAM_ASSERT(item->image + item->image_size <= self->arena_size);
    return self->arena + item->image;
}

int
yami_commit_queue_begin(yami_commit_queue_t *self, const yami_segment_header_t *header)
{
    yami_commit_item_t *item = s_add(self, YAMI_ITEM_BEGIN, YAMI_SEGMENT_HEADER_SIZE, 0);
    if (!item) {
        return -1;
    }
    item->number = header->number;
    item->file_bytes = header->file_bytes;
    item->lsn = header->first_lsn - 1;
    yami_segment_header_encode(yami_commit_queue_image(self, item), header);
    return 0;
}

int
yami_commit_queue_entry(yami_commit_queue_t *self, const yami_entry_header_t *header,
                        uint64_t offset, const void *prefix, size_t prefix_size, const void *meta,
                        yami_block_t *data)
{
    YAM_ASSERT(header->data_size == (data ? data->size : 0) && prefix_size <= header->meta_size);
    size_t image_size = YAMI_ENTRY_HEADER_SIZE + header->meta_size;
    uint64_t span = yami_entry_span(header->meta_size, header->data_size);
    yami_commit_item_t *item = s_add(self, YAMI_ITEM_ENTRY, image_size,
                                     (uint32_t) (span - image_size - header->data_size));
    if (!item) {
        return -1;
    }
    item->kind = header->kind;
    item->offset = offset;
    item->lsn = header->lsn;
    item->number = header->kind == YAMI_ENTRY_TRIM ? header->base : 0;
    item->data = yami_block_ref(data);
    uint8_t *image = yami_commit_queue_image(self, item);
    yami_entry_header_encode(image, header);
    image += YAMI_ENTRY_HEADER_SIZE;
    if (prefix_size > 0) {
        memcpy(image, prefix, prefix_size);
    }
    if (header->meta_size > prefix_size) {
        memcpy(image + prefix_size, meta, header->meta_size - prefix_size);
    }
    return 0;
}

int
yami_commit_queue_seal(yami_commit_queue_t *self, const yami_entry_header_t *header,
                       uint64_t offset, const void *footer, uint64_t trailer_offset, bool is_last)
{
    size_t image_size = YAMI_ENTRY_HEADER_SIZE + header->meta_size;
    uint64_t span = yami_entry_span(header->meta_size, 0);
    YAM_ASSERT(header->kind == YAMI_ENTRY_FOOTER && offset + span <= trailer_offset);
    yami_commit_item_t *item =
        s_add(self, YAMI_ITEM_SEAL, image_size, (uint32_t) (span - image_size));
    if (!item) {
        return -1;
    }
    item->is_last = is_last;
    item->offset = offset;
    item->lsn = header->lsn;
    item->number = trailer_offset;
    uint8_t *image = yami_commit_queue_image(self, item);
    yami_entry_header_encode(image, header);
    memcpy(image + YAMI_ENTRY_HEADER_SIZE, footer, header->meta_size);
    yami_trailer_encode(image + span, &(yami_trailer_t) {.salt = header->salt,
                                                         .footer_offset = offset,
                                                         .last_lsn = header->lsn,
                                                         .footer_size = (uint32_t) span});
    return 0;
}
