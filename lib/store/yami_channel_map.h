/*  yami_channel_map - finds what belongs to a channel number: a hash table from uint32_t to
    pointers.

    Linear probing, at most three quarters full. Not thread-safe. The pointers are borrowed.
*/
#ifndef YAMI_CHANNEL_MAP_H
#define YAMI_CHANNEL_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t key;
    void *value; //  NULL: free slot
} yami_channel_slot_t;

typedef struct {
    yami_channel_slot_t *slots; //  owned; a power of two of them, or NULL
    size_t capacity;
    size_t count;
} yami_channel_map_t;

//  A zeroed map is empty. Frees the table, not the values; empty then.
void
yami_channel_map_clear(yami_channel_map_t *self);

//  NULL when there is none.
void *
yami_channel_map_find(const yami_channel_map_t *self, uint32_t key);

//  Adds a key that is not there yet; value is not NULL. Returns 0, or -1 with errno ENOMEM.
int
yami_channel_map_add(yami_channel_map_t *self, uint32_t key, void *value);

//  Takes a key out. Returns its value, NULL when it was not there.
void *
yami_channel_map_remove(yami_channel_map_t *self, uint32_t key);

//  Walks over all values: start with *position_p 0; NULL at the end. No changes in between.
void *
yami_channel_map_next(const yami_channel_map_t *self, size_t *position_p);

#endif
