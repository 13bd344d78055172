//  Contents are drawn from seeds, so that the model keeps sixteen bytes per entry and not its body.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_model.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_log_state.h"
#include "yami_segment_format.h"

#define KIND_DATA 18
#define KIND_STATE 19
#define CHECKPOINT_SIZE 24

static void
s_check(const log_model_t *self)
{
    yami_log_check((const yami_log_t *) self->store);
}

static uint64_t
s_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ULL; //  splitmix64
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
    return value ^ value >> 31;
}

static void
s_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t index = 0; index < size; index += 8) {
        uint64_t word = s_mix(seed + index);
        memcpy(bytes + index, &word, size - index < 8 ? size - index : 8);
    }
}

static void
s_assert_filled(const void *bytes, size_t size, uint64_t seed)
{
    uint8_t *expected = malloc(size + 1);
    assert_non_null(expected);
    s_fill(expected, size, seed);
    if (size > 0) {
        assert_memory_equal(bytes, expected, size);
    }
    free(expected);
}

void
log_model_init(log_model_t *self, sim_disk_t *disk)
{
    *self = (log_model_t) {.disk = disk, .content = 1};
    yami_log_options_init(&self->options);
    self->options.segment_bytes = 64 << 10;
    self->options.cache_bytes = 32 << 10;
    self->options.is_threaded = false;
    for (size_t channel = 0; channel < LOG_MODEL_CHANNELS; channel++) {
        self->next[channel] = 1;
        self->floor[channel] = 1;
    }
}

void
log_model_abandon(log_model_t *self)
{
    if (self->store) {
        (void) self->store->ops->close(&self->store);
    }
}

void
log_model_clear(log_model_t *self)
{
    log_model_abandon(self);
    free(self->entries);
    self->entries = NULL;
}

static uint64_t
s_hash(uint64_t before, const log_model_entry_t *entry)
{
    return s_mix(before ^ s_mix(entry->lsn) ^ s_mix(entry->content + 7));
}

uint64_t
log_model_offset(const log_model_t *self, size_t index)
{
    uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
    for (size_t before = 0; before < index; before++) {
        offset += yami_entry_span(self->entries[before].meta_size, self->entries[before].data_size);
    }
    return offset;
}

void
log_model_compare(const log_model_t *self, const yami_entry_t *entry)
{
    size_t index = 0;
    while (index < self->count && self->entries[index].lsn != entry->lsn) {
        index++;
    }
    assert_true(index < self->count); //  nothing that was never appended
    const log_model_entry_t *expected = &self->entries[index];
    assert_int_equal(entry->kind, expected->kind);
    assert_int_equal(entry->channel, expected->channel);
    assert_int_equal(entry->base, expected->base);
    assert_int_equal(entry->count, expected->count);
    assert_int_equal(entry->meta_size, expected->meta_size);
    assert_int_equal(entry->data ? entry->data->size : 0, expected->data_size);
    assert_int_equal(entry->time_ms, (int64_t) expected->content);
    s_assert_filled(entry->meta, entry->meta_size, expected->content);
    if (entry->data) {
        s_assert_filled(entry->data->data, entry->data->size, expected->content + 1);
    }
}

//  A checkpoint stands for all before it: the state and how many entries made it.
static void
s_replay_checkpoint(log_model_t *self, const yami_entry_t *entry)
{
    uint64_t words[3];
    assert_int_equal(entry->meta_size, CHECKPOINT_SIZE);
    memcpy(words, entry->meta, sizeof words);
    size_t index = words[1];
    assert_true(index < self->count && self->entries[index].lsn == entry->lsn);
    assert_int_equal(words[0], index == 0 ? 0 : self->entries[index - 1].hash);
    self->hash = words[0];
    self->replayed = index + 1;
    self->hash = self->entries[index].hash;
}

static int
s_replay(void *arg, const yami_entry_t *entry)
{
    log_model_t *self = arg;
    if (entry->kind == YAMI_ENTRY_CHECKPOINT) {
        s_replay_checkpoint(self, entry);
        return 0;
    }
    log_model_compare(self, entry);
    if (self->damage_count == 0) {
        assert_true(self->replayed < self->count);
        const log_model_entry_t *expected = &self->entries[self->replayed];
        assert_int_equal(expected->lsn, entry->lsn); //  in order, none left out
    }
    self->replayed++;
    return 0;
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    log_model_t *self = arg;
    if (damage->is_torn_tail) {
        self->torn_count++;
    } else {
        self->damage_count++;
        self->damage = *damage;
    }
}

//  What was not found again was never promised; the owner goes on from what was found.
static void
s_forget_lost(log_model_t *self)
{
    if (self->expects_loss && self->replayed < self->durable_count) {
        self->has_loss = true;
        return;
    }
    assert_true(self->replayed >= self->durable_count);
    self->count = self->replayed;
    self->durable_count = self->replayed;
    for (size_t channel = 0; channel < LOG_MODEL_CHANNELS; channel++) {
        self->next[channel] = 1;
    }
    for (size_t index = 0; index < self->count; index++) {
        const log_model_entry_t *entry = &self->entries[index];
        if (entry->count > 0) {
            self->next[entry->channel] = entry->base + entry->count;
        }
    }
    for (size_t channel = 0; channel < LOG_MODEL_CHANNELS; channel++) {
        if (self->floor[channel] > self->next[channel]) {
            self->floor[channel] = self->next[channel];
        }
    }
}

bool
log_model_open(log_model_t *self)
{
    self->replayed = 0;
    self->hash = 0;
    self->damage_count = 0;
    self->torn_count = 0;
    self->store = yami_segment_log_open(sim_disk_attach(self->disk), &self->options, s_replay,
                                        s_damaged, self);
    if (!self->store) {
        return false;
    }
    if (self->damage_count == 0) {
        s_forget_lost(self);
    }
    for (uint32_t channel = 0; channel < LOG_MODEL_CHANNELS; channel++) {
        self->store->ops->trim(self->store, channel, self->floor[channel]);
    }
    return true;
}

static void
s_remember(log_model_t *self, const log_model_entry_t *entry)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->entries = realloc(self->entries, self->capacity * sizeof *self->entries);
        assert_non_null(self->entries);
    }
    uint64_t before = self->count > 0 ? self->entries[self->count - 1].hash : 0;
    self->entries[self->count] = *entry;
    self->entries[self->count].hash = s_hash(before, entry);
    self->count++;
}

int
log_model_append(log_model_t *self, uint32_t channel, uint32_t count, size_t meta_size,
                 size_t data_size)
{
    log_model_entry_t entry = {.kind = count > 0 ? KIND_DATA : KIND_STATE,
                               .channel = channel,
                               .base = count > 0 ? self->next[channel] : 0,
                               .count = count,
                               .content = self->content,
                               .meta_size = meta_size,
                               .data_size = data_size};
    uint8_t *meta = malloc(meta_size + 1);
    assert_non_null(meta);
    s_fill(meta, meta_size, entry.content);
    yami_block_t *data = NULL;
    if (data_size > 0) {
        uint8_t *bytes = NULL;
        data = yami_block_alloc(data_size, data_size, &bytes);
        s_fill(bytes, data_size, entry.content + 1);
    }
    yami_entry_t appended = {.kind = entry.kind,
                             .channel = channel,
                             .base = entry.base,
                             .count = count,
                             .time_ms = (int64_t) entry.content,
                             .meta = meta,
                             .meta_size = meta_size,
                             .data = data};
    int rc = self->store->ops->append(self->store, &appended);
    int error = errno;
    s_check(self);
    if (rc == 0) {
        entry.lsn = appended.lsn;
        assert_true(self->count == 0 || self->entries[self->count - 1].lsn < entry.lsn);
        s_remember(self, &entry);
        self->content++;
        self->next[channel] += count;
    }
    yami_block_unref(&data);
    memset(meta, 0xee, meta_size);
    free(meta);
    errno = error;
    return rc;
}

int
log_model_checkpoint(log_model_t *self)
{
    uint64_t words[3] = {self->count > 0 ? self->entries[self->count - 1].hash : 0, self->count, 0};
    yami_entry_t appended = {
        .kind = YAMI_ENTRY_CHECKPOINT, .meta = words, .meta_size = CHECKPOINT_SIZE};
    if (self->store->ops->append(self->store, &appended) == -1) {
        return -1;
    }
    log_model_entry_t entry = {.lsn = appended.lsn,
                               .kind = YAMI_ENTRY_CHECKPOINT,
                               .content = self->content++,
                               .meta_size = CHECKPOINT_SIZE};
    s_remember(self, &entry);
    return 0;
}

int
log_model_commit(log_model_t *self)
{
    uint64_t durable_lsn = 0;
    int rc = self->store->ops->commit(self->store, &durable_lsn);
    int error = errno;
    s_check(self);
    while (self->durable_count < self->count &&
           self->entries[self->durable_count].lsn <= durable_lsn) {
        self->durable_count++;
    }
    errno = error;
    return rc;
}

void
log_model_trim(log_model_t *self, uint32_t channel, uint64_t floor)
{
    if (floor > self->floor[channel]) {
        self->floor[channel] = floor;
    }
    self->store->ops->trim(self->store, channel, floor);
    s_check(self);
}

//  The promised entry that holds sequence; NULL when there is none.
static const log_model_entry_t *
s_find(const log_model_t *self, uint32_t channel, uint64_t sequence)
{
    for (size_t index = self->durable_count; index > 0; index--) {
        const log_model_entry_t *entry = &self->entries[index - 1];
        if (entry->channel == channel && entry->count > 0 && sequence >= entry->base &&
            sequence - entry->base < entry->count) {
            return entry;
        }
    }
    return NULL;
}

void
log_model_read(log_model_t *self, uint32_t channel, uint64_t sequence)
{
    const log_model_entry_t *expected = s_find(self, channel, sequence);
    yami_entry_t entry = {0};
    yami_damage_t damage = {0};
    int rc = self->store->ops->read(self->store, channel, sequence, &entry, &damage);
    if (rc == -1) {
        assert_int_equal(errno, ENOENT);
        assert_true(!expected || sequence < self->floor[channel]);
        return;
    }
    log_model_compare(self, &entry);
    assert_true(entry.channel == channel && entry.base + entry.count > sequence);
    assert_true(self->durable_count > 0 && entry.lsn <= self->entries[self->durable_count - 1].lsn);
    if (sequence >= self->floor[channel]) {
        assert_non_null(expected);
        assert_int_equal(entry.lsn, expected->lsn);
    }
    yami_store_release(&entry);
    yami_store_release(&entry);
}

void
log_model_read_all(log_model_t *self)
{
    for (uint32_t channel = 0; channel < LOG_MODEL_CHANNELS; channel++) {
        for (uint64_t sequence = self->floor[channel]; sequence < self->next[channel];) {
            const log_model_entry_t *entry = s_find(self, channel, sequence);
            log_model_read(self, channel, sequence);
            sequence += entry ? entry->count : 1;
        }
        log_model_read(self, channel, self->next[channel]);
    }
}

static int
s_step_append(log_model_t *self)
{
    sim_disk_t *disk = self->disk;
    uint32_t channel = (uint32_t) sim_disk_draw(disk, LOG_MODEL_CHANNELS);
    bool is_data = sim_disk_draw(disk, 4) > 0;
    size_t sizes[] = {0, 1, 100, 3000, 12000};
    size_t size = is_data ? sizes[sim_disk_draw(disk, 5)] + sim_disk_draw(disk, 50) : 0;
    if (sim_disk_draw(disk, 60) == 0) {
        size = 70000; //  larger than a segment
    }
    uint32_t count = is_data ? 1 + (uint32_t) sim_disk_draw(disk, 9) : 0;
    return log_model_append(self, channel, count, sim_disk_draw(disk, 90), size);
}

int
log_model_step(log_model_t *self)
{
    sim_disk_t *disk = self->disk;
    uint32_t channel = (uint32_t) sim_disk_draw(disk, LOG_MODEL_CHANNELS);
    int rc = 0;
    switch (sim_disk_draw(disk, 10)) {
    case 0:
    case 1:
        rc = log_model_commit(self);
        break;
    case 2:
        log_model_trim(self, channel,
                       self->floor[channel] +
                           sim_disk_draw(disk, self->next[channel] - self->floor[channel] + 1));
        break;
    case 3:
        if (self->next[channel] > self->floor[channel] && !sim_disk_has_failed(disk)) {
            uint64_t range = self->next[channel] - self->floor[channel];
            yami_entry_t entry = {0};
            yami_damage_t damage;
            uint64_t sequence = self->floor[channel] + sim_disk_draw(disk, range);
            if (self->store->ops->read(self->store, channel, sequence, &entry, &damage) == 0) {
                log_model_compare(self, &entry);
            } else {
                assert_true(errno == ENOENT || errno == EIO); //  EIO: the disk has died
            }
            yami_store_release(&entry);
        }
        break;
    default:
        rc = s_step_append(self);
        break;
    }
    if (rc != -1 && self->store->ops->wants_checkpoint(self->store)) {
        rc = log_model_checkpoint(self);
    }
    return rc == -1 ? -1 : 0;
}
