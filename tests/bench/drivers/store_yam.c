/*  Yam's segment log, used as the relay uses it: entries in one channel, a checkpoint when it asks
    for one. */
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"
#include "yam_error.h"
#include "yami_disk.h"
#include "yami_segment_log.h"

#define KIND_DATA 16 //  the first kind that is the owner's
#define CHANNEL 1

static int
s_replay(void *arg, const yami_entry_t *entry)
{
    (void) arg;
    (void) entry;
    return 0;
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    (void) arg;
    (void) damage;
}

//  As the bare file is filled before the clock runs, so are the segments that the log keeps ready.
static void
s_wait_for_spares(yami_store_t *store, const yami_log_options_t *options)
{
    yami_store_stats_t stats = {0};
    for (int turn = 0; turn < 500 && stats.spare_segments < options->spare_count; turn++) {
        bench_look_later(20000);
        store->ops->stats(store, &stats);
    }
}

static void *
s_open(const char *directory, uint64_t keep_bytes)
{
    yami_log_options_t options;
    yami_log_options_init(&options);
    (void) keep_bytes; //  segments come and go
    yami_disk_t *disk = yami_disk_open(directory, false);
    yami_store_t *store =
        disk ? yami_segment_log_open(disk, &options, s_replay, s_damaged, NULL) : NULL;
    if (!store) {
        bench_fail("cannot open the log: %s", yam_error());
    }
    s_wait_for_spares(store, &options);
    return store;
}

static void
s_close(void *self)
{
    yami_store_t *store = self;
    if (store->ops->close(&store) == -1) {
        bench_fail("cannot close the log");
    }
}

static void
s_append(void *self, uint64_t index, void *blob, size_t size)
{
    yami_store_t *store = self;
    yami_block_t *block = yami_block_new(blob, size, free, blob);
    yami_entry_t entry = {
        .kind = KIND_DATA, .channel = CHANNEL, .base = index + 1, .count = 1, .data = block};
    if (store->ops->append(store, &entry) == -1) {
        bench_fail("cannot append: %s", yam_error());
    }
    yami_block_unref(&block);
}

static void
s_trim(void *self, uint64_t floor)
{
    yami_store_t *store = self;
    store->ops->trim(store, CHANNEL, floor + 1);
    if (store->ops->wants_checkpoint(store)) {
        yami_entry_t entry = {
            .kind = YAMI_ENTRY_CHECKPOINT, .meta = &floor, .meta_size = sizeof floor};
        if (store->ops->append(store, &entry) == -1) {
            bench_fail("cannot append a checkpoint: %s", yam_error());
        }
    }
}

static void
s_commit(void *self)
{
    yami_store_t *store = self;
    uint64_t durable_lsn;
    if (store->ops->commit(store, &durable_lsn) == -1) {
        bench_fail("cannot commit: %s", yam_error());
    }
}

static bool
s_read(void *self, uint64_t index, void *blob, size_t size)
{
    yami_store_t *store = self;
    yami_entry_t entry;
    yami_damage_t damage;
    if (store->ops->read(store, CHANNEL, index + 1, &entry, &damage) == -1) {
        return false;
    }
    bool was_read = entry.base == index + 1 && entry.data && entry.data->size == size;
    if (was_read) {
        memcpy(blob, entry.data->data, size);
    }
    yami_store_release(&entry);
    return was_read;
}

const bench_store_t bench_store_yam = {.name = "yam-log",
                                       .open = s_open,
                                       .close = s_close,
                                       .append = s_append,
                                       .trim = s_trim,
                                       .commit = s_commit,
                                       .read = s_read};
