//  A sorted array.

#include "yami_segment_map.h"

#include <stdbool.h>
#include <stdlib.h>

#include "yami_base.h"

void
yami_segment_map_clear(yami_segment_map_t *self)
{
    yami_free(self->items);
    *self = (yami_segment_map_t) {0};
}

int
yami_segment_map_add(yami_segment_map_t *self, const yami_map_item_t *item)
{
    YAM_ASSERT(item->count > 0);
    if (yami_grow(&self->items, &self->capacity, self->count + 1, sizeof *self->items,
                  YAMI_MAP_LIMIT) == -1) {
        return -1;
    }
    self->items[self->count++] = *item;
    return 0;
}

static bool
s_is_before(const yami_map_item_t *left, uint32_t channel, uint64_t base)
{
    return left->channel != channel ? left->channel < channel : left->base < base;
}

static int
s_compare(const void *left, const void *right)
{
    const yami_map_item_t *one = left;
    const yami_map_item_t *two = right;
    return s_is_before(one, two->channel, two->base)   ? -1
           : s_is_before(two, one->channel, one->base) ? 1
                                                       : 0;
}

void
yami_segment_map_sort(yami_segment_map_t *self)
{
    if (self->count > 0) {
        qsort(self->items, self->count, sizeof *self->items, s_compare);
    }
}

const yami_map_item_t *
yami_segment_map_find(const yami_segment_map_t *self, uint32_t channel, uint64_t sequence)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) { //  the first one behind (channel, sequence)
        size_t middle = low + (high - low) / 2;
        const yami_map_item_t *item = &self->items[middle];
        if (item->channel < channel || (item->channel == channel && item->base <= sequence)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || self->items[low - 1].channel != channel) {
        return NULL;
    }
    const yami_map_item_t *item = &self->items[low - 1];
    return sequence - item->base < item->count ? item : NULL;
}
