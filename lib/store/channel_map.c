//  Open addressing with linear probing; a removal shifts its followers back, so there are no
//  tombstones.

#include <stdbool.h>
#include <string.h>

#include "yami_base.h"
#include "yami_channel_map.h"

#define FIRST_CAPACITY 16
#define CAPACITY_LIMIT ((size_t) 1 << 31)

static size_t
s_home(const yami_channel_map_t *self, uint32_t key)
{
    uint32_t hash = key * 2654435769U; //  Fibonacci hashing, Knuth 6.4
    return (hash ^ hash >> 15) & (self->capacity - 1);
}

//  The slot of key, or the free one where it belongs.
static size_t
s_slot(const yami_channel_map_t *self, uint32_t key)
{
    size_t slot = s_home(self, key);
    while (self->slots[slot].value && self->slots[slot].key != key) {
        slot = (slot + 1) & (self->capacity - 1);
    }
    return slot;
}

void
yami_channel_map_clear(yami_channel_map_t *self)
{
    yami_free(self->slots);
    *self = (yami_channel_map_t) {0};
}

void *
yami_channel_map_find(const yami_channel_map_t *self, uint32_t key)
{
    return self->count > 0 ? self->slots[s_slot(self, key)].value : NULL;
}

static int
s_resize(yami_channel_map_t *self, size_t capacity)
{
    yami_channel_map_t larger = {.capacity = capacity};
    larger.slots =
        yami_try_alloc(capacity * sizeof *larger.slots, CAPACITY_LIMIT * sizeof *larger.slots);
    if (!larger.slots) {
        return -1;
    }
    memset(larger.slots, 0, capacity * sizeof *larger.slots);
    for (size_t index = 0; index < self->capacity; index++) {
        if (self->slots[index].value) {
            larger.slots[s_slot(&larger, self->slots[index].key)] = self->slots[index];
            larger.count++;
        }
    }
    YAM_ASSERT(larger.count == self->count);
    yami_free(self->slots);
    *self = larger;
    return 0;
}

int
yami_channel_map_add(yami_channel_map_t *self, uint32_t key, void *value)
{
    YAM_ASSERT(value && !yami_channel_map_find(self, key));
    if ((self->count + 1) * 4 > self->capacity * 3 &&
        s_resize(self, self->capacity ? self->capacity * 2 : FIRST_CAPACITY) == -1) {
        return -1;
    }
    self->slots[s_slot(self, key)] = (yami_channel_slot_t) {.key = key, .value = value};
    self->count++;
    return 0;
}

//  Whether the item at slot, moved to hole, would still be found from its home.
static bool
s_may_move(const yami_channel_map_t *self, size_t slot, size_t hole)
{
    size_t mask = self->capacity - 1;
    size_t home = s_home(self, self->slots[slot].key);
    return ((slot - home) & mask) >= ((slot - hole) & mask);
}

void *
yami_channel_map_remove(yami_channel_map_t *self, uint32_t key)
{
    if (self->count == 0) {
        return NULL;
    }
    size_t mask = self->capacity - 1;
    size_t hole = s_slot(self, key);
    void *value = self->slots[hole].value;
    if (!value) {
        return NULL;
    }
    for (size_t slot = (hole + 1) & mask; self->slots[slot].value; slot = (slot + 1) & mask) {
        if (s_may_move(self, slot, hole)) {
            self->slots[hole] = self->slots[slot];
            hole = slot;
        }
    }
    self->slots[hole].value = NULL;
    self->count--;
    return value;
}

void *
yami_channel_map_next(const yami_channel_map_t *self, size_t *position_p)
{
    while (*position_p < self->capacity) {
        void *value = self->slots[(*position_p)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}
