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

yami_commit_item_t *
yami_commit_queue_add(yami_commit_queue_t *self, yami_item_type_t type, size_t image_size,
                      uint32_t padding_size)
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
