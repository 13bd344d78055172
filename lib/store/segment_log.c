//  The log as a store: opened, read, closed, verified. Appending is yami_log_append's, writing
//  yami_commit's.

#include "yami_segment_log.h"

#include <errno.h>
#include <string.h>

#include "yam_status.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_log_read.h"
#include "yami_log_state.h"
#include "yami_planted.h"
#include "yami_recovery.h"

#define SEGMENT_BYTES_MIN (64U << 10)

void
yami_log_options_init(yami_log_options_t *options)
{
    *options = (yami_log_options_t) {.segment_bytes = 64U << 20,
                                     .cache_bytes = 32U << 20,
                                     .spare_count = 2,
                                     .scan_bytes = 8U << 20,
                                     .scrub_rate = 32U << 20,
                                     .is_threaded = true};
}

static int
s_commit(yami_store_t *store, uint64_t *durable_lsn_p)
{
    yami_log_t *self = (yami_log_t *) store;
    int rc = yami_commit_run(self->commit);
    *durable_lsn_p = yami_commit_durable(self->commit);
    return rc;
}

//  The window may hold what was not written yet when it was filled.
static void
s_refresh_window(yami_log_t *self, uint64_t durable_lsn)
{
    if (durable_lsn == self->window_lsn) {
        return;
    }
    const yami_segment_t *segment = yami_index_find(&self->index, self->reader.segment);
    if (segment && segment->last_lsn > self->window_lsn) {
        yami_segment_reader_forget(&self->reader);
    }
    self->window_lsn = durable_lsn;
}

//  A copy that yami_store_release can free.
static int
s_copy(const yami_entry_t *cached, yami_entry_t *entry)
{
    *entry = *cached;
    entry->meta = NULL;
    entry->data = NULL;
    if (cached->meta_size > 0) {
        void *meta = yami_try_alloc(cached->meta_size, YAMI_LIMIT_ENTRY_META);
        if (!meta) {
            return -1;
        }
        memcpy(meta, cached->meta, cached->meta_size);
        entry->meta = meta;
    }
    entry->data = yami_block_ref(cached->data);
    return 0;
}

static int
s_read(yami_store_t *store, uint32_t channel, uint64_t sequence, yami_entry_t *entry,
       yami_damage_t *damage)
{
    yami_log_t *self = (yami_log_t *) store;
    uint64_t durable_lsn = yami_commit_durable(self->commit);
    const yami_entry_t *cached = yami_cache_find(&self->cache, channel, sequence);
    if (cached && cached->lsn > durable_lsn && !YAMI_PLANTED(DELIVERED_BEFORE_DURABLE)) {
        errno = ENOENT;
        return -1;
    }
    if (cached) {
        return s_copy(cached, entry);
    }
    s_refresh_window(self, durable_lsn);
    int rc =
        yami_log_read(&self->index, &self->reader, durable_lsn, channel, sequence, entry, damage);
    if (rc == -1 && errno == EBADMSG) {
        self->stats.damaged_ranges++;
    }
    return rc;
}

static bool
s_scrub(yami_store_t *store, yami_scrub_progress_t *progress, yami_damage_t *damage)
{
    yami_log_t *self = (yami_log_t *) store;
    bool is_found = yami_scrub_take(self->scrub, progress, damage);
    YAM_ASSERT(!is_found || yami_index_find(&self->index, damage->segment));
    return is_found;
}

static void
s_set_reserve(yami_store_t *store, uint64_t reserve_bytes)
{
    yami_log_t *self = (yami_log_t *) store;
    self->options.reserve_bytes = reserve_bytes;
    yami_spares_set_reserve(self->spares, reserve_bytes);
}

static void
s_stats(const yami_store_t *store, yami_store_stats_t *stats)
{
    const yami_log_t *self = (const yami_log_t *) store;
    *stats = self->stats;
    yami_commit_stats(self->commit, stats);
    stats->damaged_ranges += yami_scrub_damaged(self->scrub);
    stats->segments = self->index.count;
    stats->spare_segments = yami_spares_count(self->spares);
    stats->disk_bytes = stats->spare_segments * self->options.segment_bytes;
    for (size_t index = 0; index < self->index.count; index++) {
        stats->disk_bytes += self->index.segments[index]->file_bytes;
    }
}

static void
s_destroy(yami_log_t **self_p)
{
    yami_log_t *self = *self_p;
    yami_scrub_destroy(&self->scrub);
    for (size_t index = 0; index < self->index.count; index++) {
        yami_segment_reader_close(&self->reader, self->index.segments[index]);
    }
    yami_commit_destroy(&self->commit);
    yami_spares_destroy(&self->spares);
    yami_cache_clear(&self->cache);
    yami_segment_reader_clear(&self->reader);
    yami_index_clear(&self->index);
    self->disk->destroy(&self->disk);
    yami_free(self);
    *self_p = NULL;
}

//  Commits, then seals in a commit of its own: the footer shall say that all before it is durable.
static int
s_finish(yami_log_t *self)
{
    if (yami_commit_run(self->commit) == -1) {
        return -1;
    }
    if (yami_commit_durable(self->commit) + 1 < self->next_lsn) {
        return yami_fail(ENOSPC, "store: closed without space for what was appended last");
    }
    if (self->active && (yami_log_seal(self, true) == -1 || yami_commit_run(self->commit) == -1)) {
        return -1;
    }
    return 0;
}

static int
s_close(yami_store_t **store_p)
{
    yami_log_t *self = (yami_log_t *) *store_p;
    *store_p = NULL;
    if (!self) {
        return 0;
    }
    int rc = s_finish(self);
    int error = errno;
    s_destroy(&self);
    errno = error;
    return rc;
}

static const yami_store_ops_t s_ops = {.append = yami_log_append,
                                       .has_room = yami_log_has_room,
                                       .set_reserve = s_set_reserve,
                                       .commit = s_commit,
                                       .read = s_read,
                                       .trim = yami_log_trim,
                                       .give_back = yami_log_give_back,
                                       .wants_checkpoint = yami_log_wants_checkpoint,
                                       .scrub = s_scrub,
                                       .stats = s_stats,
                                       .close = s_close};

static int
s_recover(yami_log_t *self, yami_replay_fn replay, yami_damage_fn damaged, void *arg)
{
    yami_recovery_t recovery = {.disk = self->disk,
                                .spares = self->spares,
                                .index = &self->index,
                                .replay = replay,
                                .damaged = damaged,
                                .arg = arg,
                                .refuse_damage = self->options.refuse_damage,
                                .scan_bytes = self->options.scan_bytes};
    int rc = yami_recovery_run(&recovery);
    rc = rc == 0 ? yami_recovery_plan_scrub(&recovery, self->scrub) : rc;
    int error = errno;
    self->next_lsn = recovery.next_lsn;
    self->next_number = recovery.next_number;
    self->previous = recovery.previous;
    self->store_id = recovery.store_id;
    self->checkpoint_lsn = recovery.checkpoint_lsn;
    self->durable_checkpoint_lsn = recovery.checkpoint_lsn;
    self->stats.recovered_entries = recovery.recovered_entries;
    self->stats.damaged_ranges = recovery.damaged_ranges;
    yami_recovery_clear(&recovery);
    errno = error;
    return rc;
}

static int
s_check_options(const yami_log_options_t *options)
{
    if (options->segment_bytes < SEGMENT_BYTES_MIN ||
        options->segment_bytes > YAMI_LIMIT_SEGMENT_BYTES) {
        return yami_fail(EINVAL, "store: segments of %llu bytes (from %u to %u are possible)",
                         (unsigned long long) options->segment_bytes, SEGMENT_BYTES_MIN,
                         YAMI_LIMIT_SEGMENT_BYTES);
    }
    return 0;
}

yami_store_t *
yami_segment_log_open(yami_disk_t *disk, const yami_log_options_t *options, yami_replay_fn replay,
                      yami_damage_fn damaged, void *arg)
{
    if (s_check_options(options) == -1) {
        disk->destroy(&disk);
        return NULL;
    }
    yami_log_t *self = yami_alloc(sizeof *self);
    self->store.ops = &s_ops;
    self->store.level = YAM_LEVEL_SYNCED;
    self->disk = disk;
    self->options = *options;
    self->spares = yami_spares_new(disk, options);
    self->scrub = yami_scrub_new(disk, options->scrub_rate, options->is_threaded);
    yami_segment_reader_init(&self->reader, disk, &self->index);
    yami_cache_init(&self->cache, options->cache_bytes);
    int rc = s_recover(self, replay, damaged, arg);
    self->commit = yami_commit_new(disk, self->spares, rc == 0 ? self->next_lsn - 1 : 0);
    if (rc == -1 || yami_spares_start(self->spares) == -1 || yami_scrub_start(self->scrub) == -1) {
        int error = errno;
        s_destroy(&self);
        errno = error;
        return NULL;
    }
    while (self->store_id == 0) {
        yami_random(&self->store_id, sizeof self->store_id);
    }
    return &self->store;
}

int64_t
yami_segment_log_verify(yami_disk_t *disk, yami_replay_fn visit, yami_damage_fn damaged, void *arg)
{
    yami_index_t index = {0};
    yami_recovery_t recovery = {
        .disk = disk, .index = &index, .replay = visit, .damaged = damaged, .arg = arg};
    int rc = yami_recovery_run(&recovery);
    int error = errno;
    int64_t count = rc == 0 ? (int64_t) recovery.damaged_ranges : -1;
    yami_recovery_clear(&recovery);
    yami_index_clear(&index);
    errno = error;
    return count;
}
