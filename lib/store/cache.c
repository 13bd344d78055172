//  A ring of entries in the order of the log, and per channel a ring of positions in it.

#include "yami_cache.h"

#include <string.h>

#include "yami_base.h"

#define OVERHEAD_BYTES 160
#define FIRST_CAPACITY 16
#define ITEM_LIMIT ((size_t) 1 << 28)

typedef struct {
    uint32_t id;
    uint64_t *positions; //  owned; the i-th at (head + i) & (capacity - 1)
    size_t capacity;     //  a power of two
    size_t head;
    size_t count;
} s_channel_t;

static uint64_t
s_position(const s_channel_t *channel, size_t index)
{
    return channel->positions[(channel->head + index) & (channel->capacity - 1)];
}

static yami_entry_t *
s_entry(const yami_cache_t *self, uint64_t position)
{
    return &self->ring[position & (self->capacity - 1)];
}

static uint64_t
s_cost(const yami_entry_t *entry)
{
    return OVERHEAD_BYTES + entry->meta_size + (entry->data ? entry->data->size : 0);
}

void
yami_cache_init(yami_cache_t *self, uint64_t limit_bytes)
{
    *self = (yami_cache_t) {.limit_bytes = limit_bytes};
}

static void
s_channel_destroy(s_channel_t *channel)
{
    yami_free(channel->positions);
    yami_free(channel);
}

//  Forgets the oldest entry of a channel.
static void
s_drop_first(yami_cache_t *self, s_channel_t *channel)
{
    YAM_ASSERT(channel->count > 0);
    yami_entry_t *entry = s_entry(self, s_position(channel, 0));
    channel->head = (channel->head + 1) & (channel->capacity - 1);
    channel->count--;
    self->used_bytes -= s_cost(entry);
    self->kept_count--;
    entry->count = 0;
    yami_store_release(entry);
    if (channel->count == 0) {
        (void) yami_channel_map_remove(&self->channels, channel->id);
        s_channel_destroy(channel);
    }
}

//  Moves past entries that were forgotten before their turn.
static void
s_skip_forgotten(yami_cache_t *self)
{
    while (self->first < self->next && s_entry(self, self->first)->count == 0) {
        self->first++;
    }
}

static void
s_drop_oldest(yami_cache_t *self)
{
    yami_entry_t *oldest = s_entry(self, self->first);
    s_channel_t *channel = yami_channel_map_find(&self->channels, oldest->channel);
    YAM_ASSERT(channel && s_position(channel, 0) == self->first); //  (1)
    s_drop_first(self, channel);
    s_skip_forgotten(self);
}

void
yami_cache_clear(yami_cache_t *self)
{
    while (self->first < self->next) {
        s_drop_oldest(self);
    }
    yami_channel_map_clear(&self->channels);
    yami_free(self->ring);
    yami_cache_init(self, self->limit_bytes);
}

//  Doubles a ring when it is full: what is at index from..to modulo the old capacity moves to the
//  same modulo the new one.
static void *
s_double(const void *ring, size_t capacity, size_t item_size, uint64_t from, uint64_t to)
{
    size_t larger = capacity > 0 ? capacity * 2 : FIRST_CAPACITY;
    uint8_t *items =
        larger <= ITEM_LIMIT ? yami_try_alloc(larger * item_size, ITEM_LIMIT * item_size) : NULL;
    for (uint64_t index = from; items && index < to; index++) {
        memcpy(items + (index & (larger - 1)) * item_size,
               (const uint8_t *) ring + (index & (capacity - 1)) * item_size, item_size);
    }
    return items;
}

static int
s_reserve_ring(yami_cache_t *self)
{
    //  Mostly forgotten ones behind an old one that stays: better lose that one than grow for ever.
    while (self->capacity > FIRST_CAPACITY && self->next - self->first == self->capacity &&
           self->kept_count < self->capacity / 2) {
        s_drop_oldest(self);
    }
    if (self->next - self->first < self->capacity) {
        return 0;
    }
    void *ring = s_double(self->ring, self->capacity, sizeof *self->ring, self->first, self->next);
    if (!ring) {
        return -1;
    }
    yami_free(self->ring);
    self->ring = ring;
    self->capacity = self->capacity > 0 ? self->capacity * 2 : FIRST_CAPACITY;
    return 0;
}

static int
s_reserve_channel(s_channel_t *channel)
{
    if (channel->count < channel->capacity) {
        return 0;
    }
    uint64_t *positions = s_double(channel->positions, channel->capacity, sizeof *positions,
                                   channel->head, channel->head + channel->count);
    if (!positions) {
        return -1;
    }
    yami_free(channel->positions);
    channel->positions = positions;
    channel->capacity = channel->capacity > 0 ? channel->capacity * 2 : FIRST_CAPACITY;
    channel->head &= channel->capacity - 1;
    return 0;
}

//  The channel, made when it is not there, with room for one more. NULL when there is no memory.
static s_channel_t *
s_channel_prepare(yami_cache_t *self, uint32_t id)
{
    s_channel_t *channel = yami_channel_map_find(&self->channels, id);
    if (channel) {
        return s_reserve_channel(channel) == 0 ? channel : NULL;
    }
    channel = yami_alloc(sizeof *channel);
    channel->id = id;
    if (s_reserve_channel(channel) == -1 ||
        yami_channel_map_add(&self->channels, id, channel) == -1) {
        s_channel_destroy(channel);
        return NULL;
    }
    return channel;
}

void
yami_cache_add(yami_cache_t *self, const yami_entry_t *entry)
{
    YAM_ASSERT(entry->count > 0);
    uint64_t cost = s_cost(entry);
    if (cost > self->limit_bytes) { //  (2)
        return;
    }
    while (self->used_bytes + cost > self->limit_bytes) {
        s_drop_oldest(self);
    }
    void *meta = NULL;
    if (entry->meta_size > 0) {
        meta = yami_try_alloc(entry->meta_size, YAMI_LIMIT_ENTRY_META);
        if (!meta) {
            return;
        }
        memcpy(meta, entry->meta, entry->meta_size);
    }
    s_channel_t *channel =
        s_reserve_ring(self) == 0 ? s_channel_prepare(self, entry->channel) : NULL;
    if (!channel) {
        yami_free(meta);
        return;
    }
    yami_entry_t *kept = s_entry(self, self->next);
    *kept = *entry;
    kept->meta = meta;
    kept->data = yami_block_ref(entry->data);
    channel->positions[(channel->head + channel->count) & (channel->capacity - 1)] = self->next;
    channel->count++;
    self->next++;
    self->used_bytes += cost;
    self->kept_count++;
}

const yami_entry_t *
yami_cache_find(const yami_cache_t *self, uint32_t channel_id, uint64_t sequence)
{
    const s_channel_t *channel = yami_channel_map_find(&self->channels, channel_id);
    size_t low = 0;
    size_t high = channel ? channel->count : 0;
    while (low < high) { //  the first one that begins after sequence
        size_t middle = low + (high - low) / 2;
        if (s_entry(self, s_position(channel, middle))->base <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    const yami_entry_t *entry = s_entry(self, s_position(channel, low - 1));
    return sequence - entry->base < entry->count ? entry : NULL;
}

void
yami_cache_trim(yami_cache_t *self, uint32_t channel_id, uint64_t floor)
{
    s_channel_t *channel;
    while ((channel = yami_channel_map_find(&self->channels, channel_id))) {
        const yami_entry_t *entry = s_entry(self, s_position(channel, 0));
        if (entry->base + entry->count > floor) {
            break;
        }
        s_drop_first(self, channel);
    }
    s_skip_forgotten(self);
}

void
yami_cache_check(const yami_cache_t *self)
{
    uint64_t used_bytes = 0;
    size_t count = 0;
    size_t position = 0;
    const s_channel_t *channel;
    while ((channel = yami_channel_map_next(&self->channels, &position))) {
        YAM_ASSERT(channel->count > 0);
        for (size_t index = 0; index < channel->count; index++) {
            const yami_entry_t *entry = s_entry(self, s_position(channel, index));
            YAM_ASSERT(entry->channel == channel->id && entry->count > 0);
            YAM_ASSERT(index == 0 || //  (1)
                       (s_position(channel, index - 1) < s_position(channel, index) &&
                        s_entry(self, s_position(channel, index - 1))->base < entry->base));
            used_bytes += s_cost(entry);
            count++;
        }
    }
    YAM_ASSERT(used_bytes == self->used_bytes && used_bytes <= self->limit_bytes); //  (2)
    YAM_ASSERT(count == self->kept_count && count <= self->next - self->first);
}
