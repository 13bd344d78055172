/*  yami_relay_map - numbers to pointers: open addressing with a seeded hash, so that nobody outside
    can choose collisions.

    Pure, not thread-safe. Keys are any but 0. Grows by doubling; whoever puts has checked a limit
    before.
*/
#ifndef YAMI_RELAY_MAP_H
#define YAMI_RELAY_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t key; //  0: free
    void *value;  //  borrowed
} yami_relay_slot_t;

typedef struct {
    yami_relay_slot_t *slots; //  owned; capacity is 0 or a power of two
    size_t capacity;
    size_t count;
    uint64_t seed;
} yami_relay_map_t;

void
yami_relay_map_init(yami_relay_map_t *self, uint64_t seed);

//  Frees the slots, not the values. Safe twice.
void
yami_relay_map_clear(yami_relay_map_t *self);

//  NULL when there is none.
void *
yami_relay_map_get(const yami_relay_map_t *self, uint64_t key);

//  Adds or replaces.
void
yami_relay_map_put(yami_relay_map_t *self, uint64_t key, void *value);

//  Takes out; NULL when there was none.
void *
yami_relay_map_remove(yami_relay_map_t *self, uint64_t key);

//  A walk in no order: *index_p is 0 at first. NULL at the end. The map must not change meanwhile.
void *
yami_relay_map_next(const yami_relay_map_t *self, size_t *index_p);

//  A bijection of 64-bit numbers that looks random (the finisher of splitmix64).
uint64_t
yami_relay_mix(uint64_t number);

//  A seeded hash of bytes, never 0.
uint64_t
yami_relay_hash(uint64_t seed, const void *bytes, size_t size);

#endif
