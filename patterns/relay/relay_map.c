#include "yami_relay_map.h"

#include "yami_base.h"

#define S_CAPACITY_LIMIT ((size_t) 1 << 26)

uint64_t
yami_relay_mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

uint64_t
yami_relay_hash(uint64_t seed, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t hash = seed ^ size;
    for (size_t index = 0; index < size; index++) {
        hash = (hash ^ at[index]) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    hash = yami_relay_mix(hash);
    return hash == 0 ? 1 : hash;
}

void
yami_relay_map_init(yami_relay_map_t *self, uint64_t seed)
{
    *self = (yami_relay_map_t) {.seed = seed};
}

void
yami_relay_map_clear(yami_relay_map_t *self)
{
    yami_free(self->slots);
    yami_relay_map_init(self, self->seed);
}

static size_t
s_home(const yami_relay_map_t *self, uint64_t key)
{
    return (size_t) yami_relay_mix(key ^ self->seed) & (self->capacity - 1);
}

//  The slot of key, or the free one where it would be put.
static size_t
s_find(const yami_relay_map_t *self, uint64_t key)
{
    size_t index = s_home(self, key);
    while (self->slots[index].key != 0 && self->slots[index].key != key) {
        index = (index + 1) & (self->capacity - 1);
    }
    return index;
}

void *
yami_relay_map_get(const yami_relay_map_t *self, uint64_t key)
{
    if (self->count == 0 || key == 0) {
        return NULL;
    }
    return self->slots[s_find(self, key)].value;
}

static void
s_grow(yami_relay_map_t *self)
{
    yami_relay_map_t bigger = {.seed = self->seed,
                               .capacity = self->capacity == 0 ? 16 : self->capacity * 2};
    YAM_ASSERT(bigger.capacity <= S_CAPACITY_LIMIT);
    bigger.slots = yami_alloc(bigger.capacity * sizeof *bigger.slots);
    for (size_t index = 0; index < self->capacity; index++) {
        if (self->slots[index].key != 0) {
            bigger.slots[s_find(&bigger, self->slots[index].key)] = self->slots[index];
        }
    }
    bigger.count = self->count;
    yami_free(self->slots);
    *self = bigger;
}

void
yami_relay_map_put(yami_relay_map_t *self, uint64_t key, void *value)
{
    YAM_ASSERT(key != 0 && value != NULL);
    if ((self->count + 1) * 4 > self->capacity * 3) {
        s_grow(self);
    }
    yami_relay_slot_t *slot = &self->slots[s_find(self, key)];
    self->count += slot->key == 0 ? 1 : 0;
    *slot = (yami_relay_slot_t) {key, value};
}

void *
yami_relay_map_remove(yami_relay_map_t *self, uint64_t key)
{
    if (self->count == 0 || key == 0) {
        return NULL;
    }
    size_t hole = s_find(self, key);
    if (self->slots[hole].key == 0) {
        return NULL;
    }
    void *value = self->slots[hole].value;
    size_t mask = self->capacity - 1;
    //  Whoever was pushed past the hole moves back into it, so that no search ends early.
    for (size_t index = (hole + 1) & mask; self->slots[index].key != 0;
         index = (index + 1) & mask) {
        size_t home = s_home(self, self->slots[index].key);
        if (((index - home) & mask) >= ((index - hole) & mask)) {
            self->slots[hole] = self->slots[index];
            hole = index;
        }
    }
    self->slots[hole] = (yami_relay_slot_t) {0, NULL};
    self->count--;
    return value;
}

void *
yami_relay_map_next(const yami_relay_map_t *self, size_t *index_p)
{
    while (*index_p < self->capacity) {
        const yami_relay_slot_t *slot = &self->slots[(*index_p)++];
        if (slot->key != 0) {
            return slot->value;
        }
    }
    return NULL;
}
