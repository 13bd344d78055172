//  Binary min-heap in an array: the children of i are 2i + 1 and 2i + 2.

#include <errno.h>

#include "yami_base.h"
#include "yami_heap.h"

void
yami_heap_init(yami_heap_t *self, size_t limit)
{
    YAM_ASSERT(limit > 0);
    *self = (yami_heap_t) {.limit = limit};
}

void
yami_heap_clear(yami_heap_t *self)
{
    yami_free(self->items);
    yami_heap_init(self, self->limit);
}

//  Same time: the smaller id first, so that a run is the same on every machine.
static bool
s_is_before(const yami_heap_item_t *left, const yami_heap_item_t *right)
{
    return left->when != right->when ? left->when < right->when : left->id < right->id;
}

int
yami_heap_push(yami_heap_t *self, int64_t when, uint64_t id)
{
    if (self->count == self->limit) {
        errno = ENOSPC;
        return -1;
    }
    if (yami_grow(&self->items, &self->capacity, self->count + 1, sizeof *self->items,
                  self->limit) == -1) {
        return -1;
    }
    yami_heap_item_t item = {.when = when, .id = id};
    size_t hole = self->count++;
    while (hole > 0 && s_is_before(&item, &self->items[(hole - 1) / 2])) {
        self->items[hole] = self->items[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    self->items[hole] = item;
    return 0;
}

const yami_heap_item_t *
yami_heap_peek(const yami_heap_t *self)
{
    return self->count > 0 ? &self->items[0] : NULL;
}

//  Fills the hole at the root with the last item, sunk to where it belongs.
static void
s_remove_first(yami_heap_t *self)
{
    yami_heap_item_t last = self->items[--self->count];
    size_t hole = 0;
    for (;;) {
        size_t child = 2 * hole + 1;
        if (child + 1 < self->count && s_is_before(&self->items[child + 1], &self->items[child])) {
            child++;
        }
        if (child >= self->count || !s_is_before(&self->items[child], &last)) {
            break;
        }
        self->items[hole] = self->items[child];
        hole = child;
    }
    self->items[hole] = last;
}

bool
yami_heap_pop_due(yami_heap_t *self, int64_t now, yami_heap_item_t *item_p)
{
    if (self->count == 0 || self->items[0].when > now) {
        return false;
    }
    *item_p = self->items[0];
    s_remove_first(self);
    return true;
}

void
yami_heap_check(const yami_heap_t *self)
{
    YAM_ASSERT(self->count <= self->capacity && self->capacity <= self->limit);
    for (size_t index = 1; index < self->count; index++) {
        YAM_ASSERT(!s_is_before(&self->items[index], &self->items[(index - 1) / 2]));
    }
}
