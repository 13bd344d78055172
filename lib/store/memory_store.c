//  Per channel a growing array of entries; entries without sequences are forgotten at once, there
//  is nothing to replay.

#include "yami_memory_store.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "yam_status.h"
#include "yami_base.h"
#include "yami_channel_map.h"

#define OVERHEAD_BYTES 128
#define ITEM_LIMIT ((size_t) 1 << 28)

typedef struct {
    uint32_t id;
    yami_entry_t *entries; //  owned, from head to count; ascending bases
    size_t head;
    size_t count;
    size_t capacity;
    uint64_t last; //  highest sequence ever appended
} s_channel_t;

typedef struct {
    yami_store_t store; //  first, by contract
    yami_channel_map_t channels;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t next_lsn;
    _Atomic uint64_t appended_lsn; //  for commit, on the other thread
    _Atomic uint64_t durable_lsn;
    bool has_promised_room;
    yami_store_stats_t stats;
} s_memory_t;

static uint64_t
s_cost(const yami_entry_t *entry)
{
    return OVERHEAD_BYTES + entry->meta_size + (entry->data ? entry->data->size : 0);
}

static void
s_channel_destroy(s_channel_t *channel)
{
    for (size_t index = channel->head; index < channel->count; index++) {
        yami_store_release(&channel->entries[index]);
    }
    yami_free(channel->entries);
    yami_free(channel);
}

//  The channel, made when it is not there, with room for one more entry. NULL with errno ENOMEM.
static s_channel_t *
s_prepare(s_memory_t *self, uint32_t id)
{
    s_channel_t *channel = yami_channel_map_find(&self->channels, id);
    if (!channel) {
        channel = yami_alloc(sizeof *channel);
        channel->id = id;
        if (yami_channel_map_add(&self->channels, id, channel) == -1) {
            yami_free(channel);
            return NULL;
        }
    }
    if (channel->head > 0 && channel->head >= channel->count / 2 &&
        channel->count == channel->capacity) {
        memmove(channel->entries, channel->entries + channel->head,
                (channel->count - channel->head) * sizeof *channel->entries);
        channel->count -= channel->head;
        channel->head = 0;
    }
    int rc = yami_grow(&channel->entries, &channel->capacity, channel->count + 1,
                       sizeof *channel->entries, ITEM_LIMIT);
    return rc == 0 ? channel : NULL;
}

static int
s_keep(s_memory_t *self, const yami_entry_t *entry)
{
    s_channel_t *channel = s_prepare(self, entry->channel);
    void *meta = NULL;
    if (channel && entry->meta_size > 0) {
        meta = yami_try_alloc(entry->meta_size, YAMI_LIMIT_ENTRY_META);
    }
    if (!channel || (entry->meta_size > 0 && !meta)) {
        return -1;
    }
    if (meta) {
        memcpy(meta, entry->meta, entry->meta_size);
    }
    yami_entry_t *kept = &channel->entries[channel->count++];
    *kept = *entry;
    kept->meta = meta;
    kept->data = yami_block_ref(entry->data);
    channel->last = entry->base + entry->count - 1;
    self->used_bytes += s_cost(entry);
    return 0;
}

static int
s_check_entry(const s_memory_t *self, const yami_entry_t *entry)
{
    size_t data_size = entry->data ? entry->data->size : 0;
    if (entry->meta_size > YAMI_LIMIT_ENTRY_META || data_size > YAMI_LIMIT_ENTRY_DATA) {
        return yami_fail(EMSGSIZE, "store: an entry of %zu + %zu bytes is larger than it takes",
                         entry->meta_size, data_size);
    }
    const s_channel_t *channel = yami_channel_map_find(&self->channels, entry->channel);
    bool is_range = entry->base <= UINT64_MAX - entry->count;
    if (!is_range || (entry->count > 0 && entry->base <= (channel ? channel->last : 0))) {
        return yami_fail(EINVAL, "store: sequence %llu of channel %u cannot be appended",
                         (unsigned long long) entry->base, (unsigned) entry->channel);
    }
    if (entry->count > 0 && !self->has_promised_room &&
        (self->used_bytes >= self->limit_bytes ||
         s_cost(entry) > self->limit_bytes - self->used_bytes)) {
        return yami_fail(ENOSPC, "store: its limit of %llu bytes of memory is reached",
                         (unsigned long long) self->limit_bytes);
    }
    return 0;
}

static int
s_append(yami_store_t *store, yami_entry_t *entry)
{
    s_memory_t *self = (s_memory_t *) store;
    if (s_check_entry(self, entry) == -1) {
        return -1;
    }
    uint64_t given_lsn = entry->lsn;
    entry->lsn = self->next_lsn;
    if (entry->count > 0 && s_keep(self, entry) == -1) {
        entry->lsn = given_lsn;
        return -1;
    }
    self->next_lsn++;
    self->stats.entries++;
    self->stats.bytes += s_cost(entry);
    atomic_store_explicit(&self->appended_lsn, entry->lsn, memory_order_release);
    return 0;
}

static bool
s_has_room(const yami_store_t *store)
{
    //  the object is not const; what it says, it must remember
    s_memory_t *self = (s_memory_t *) store;
    self->has_promised_room = self->used_bytes < self->limit_bytes;
    return self->has_promised_room;
}

static int
s_commit(yami_store_t *store, uint64_t *durable_lsn_p)
{
    s_memory_t *self = (s_memory_t *) store;
    uint64_t appended_lsn = atomic_load_explicit(&self->appended_lsn, memory_order_acquire);
    uint64_t before = atomic_exchange(&self->durable_lsn, appended_lsn);
    *durable_lsn_p = appended_lsn;
    return before < appended_lsn ? 1 : 0;
}

//  The first entry that ends at or after sequence.
static size_t
s_find(const s_channel_t *channel, uint64_t sequence)
{
    size_t low = channel->head;
    size_t high = channel->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const yami_entry_t *entry = &channel->entries[middle];
        if (entry->base + (entry->count - 1) < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int
s_read(yami_store_t *store, uint32_t channel_id, uint64_t sequence, yami_entry_t *entry,
       yami_damage_t *damage)
{
    s_memory_t *self = (s_memory_t *) store;
    (void) damage; //  there is none in memory
    const s_channel_t *channel = yami_channel_map_find(&self->channels, channel_id);
    size_t index = channel ? s_find(channel, sequence) : 0;
    if (!channel || index == channel->count ||
        channel->entries[index].lsn > atomic_load(&self->durable_lsn)) {
        errno = ENOENT;
        return -1;
    }
    const yami_entry_t *kept = &channel->entries[index];
    void *meta = NULL;
    if (kept->meta_size > 0) {
        meta = yami_try_alloc(kept->meta_size, YAMI_LIMIT_ENTRY_META);
        if (!meta) {
            return -1;
        }
        memcpy(meta, kept->meta, kept->meta_size);
    }
    *entry = *kept;
    entry->meta = meta;
    entry->data = yami_block_ref(kept->data);
    return 0;
}

static void
s_trim(yami_store_t *store, uint32_t channel_id, uint64_t floor)
{
    s_memory_t *self = (s_memory_t *) store;
    s_channel_t *channel = yami_channel_map_find(&self->channels, channel_id);
    while (channel && channel->head < channel->count) {
        yami_entry_t *entry = &channel->entries[channel->head];
        if (entry->base + (entry->count - 1) >= floor) {
            break;
        }
        self->used_bytes -= s_cost(entry);
        yami_store_release(entry);
        channel->head++;
    }
    if (channel && channel->head == channel->count) {
        channel->head = 0; //  all gone: start over in the same array
        channel->count = 0;
    }
}

static uint64_t
s_give_back(yami_store_t *store)
{
    return ((const s_memory_t *) store)->next_lsn - 1; //  trim has given back all
}

static bool
s_wants_checkpoint(const yami_store_t *store)
{
    (void) store;
    return false; //  nothing is ever replayed
}

static bool
s_scrub(yami_store_t *store, yami_scrub_progress_t *progress, yami_damage_t *damage)
{
    (void) store;
    (void) damage;
    *progress = (yami_scrub_progress_t) {.is_done = true};
    return false; //  nothing was there before
}

static void
s_stats(const yami_store_t *store, yami_store_stats_t *stats)
{
    const s_memory_t *self = (const s_memory_t *) store;
    *stats = self->stats;
    stats->durable_lsn = atomic_load(&self->durable_lsn);
}

static int
s_close(yami_store_t **store_p)
{
    s_memory_t *self = (s_memory_t *) *store_p;
    *store_p = NULL;
    if (!self) {
        return 0;
    }
    size_t position = 0;
    s_channel_t *channel;
    while ((channel = yami_channel_map_next(&self->channels, &position))) {
        s_channel_destroy(channel);
    }
    yami_channel_map_clear(&self->channels);
    yami_free(self);
    return 0;
}

static void
s_set_reserve(yami_store_t *store, uint64_t reserve_bytes)
{
    (void) store;
    (void) reserve_bytes;
}

static const yami_store_ops_t s_ops = {.append = s_append,
                                       .has_room = s_has_room,
                                       .set_reserve = s_set_reserve,
                                       .commit = s_commit,
                                       .read = s_read,
                                       .trim = s_trim,
                                       .give_back = s_give_back,
                                       .wants_checkpoint = s_wants_checkpoint,
                                       .scrub = s_scrub,
                                       .stats = s_stats,
                                       .close = s_close};

yami_store_t *
yami_memory_store_new(uint64_t limit_bytes)
{
    s_memory_t *self = yami_alloc(sizeof *self);
    self->store.ops = &s_ops;
    self->store.level = YAM_LEVEL_RECEIVED;
    self->limit_bytes = limit_bytes;
    self->next_lsn = 1;
    atomic_init(&self->appended_lsn, 0);
    atomic_init(&self->durable_lsn, 0);
    return &self->store;
}
