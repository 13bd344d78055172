//  From the queue to the disk.
//
//      owner: begin, entry, seal -> filling       commit thread: filling <-> writing -> pwritev ->
//      sync -> durable

#include "yami_commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "yami_base.h"
#include "yami_commit_queue.h"
#include "yami_marker.h"
#include "yami_planted.h"
#include "yami_trims.h"

#define VECTOR_LIMIT 1024

struct yami_commit {
    yami_disk_t *disk;     //  borrowed
    yami_spares_t *spares; //  borrowed
    pthread_mutex_t mutex;
    yami_commit_queue_t filling; //  under the mutex
    yami_store_stats_t stats;    //  under the mutex
    _Atomic uint64_t durable_lsn;
    atomic_bool has_failed;
    atomic_bool is_short; //  the last run stopped for lack of space or descriptors
    //  The commit thread's own:
    yami_commit_queue_t writing;
    int file;                //  of the current segment; -1: none
    bool is_file_made;       //  the current segment's, though it is not open yet
    bool is_file_dirty;      //  written since its last sync
    bool is_directory_dirty; //  the file's name is not synced
    uint64_t written_lsn;
    uint64_t written_bytes; //  since the free disk was looked at
    struct iovec *vector;   //  owned; VECTOR_LIMIT
    int vector_count;
    uint64_t vector_offset; //  in the file, of the first one
    uint64_t vector_size;   //  bytes
    size_t vector_item;     //  first item in it
    yami_trims_t trims;     //  (4)
};

yami_commit_t *
yami_commit_new(yami_disk_t *disk, yami_spares_t *spares, uint64_t durable_lsn)
{
    yami_commit_t *self = yami_alloc(sizeof *self);
    self->disk = disk;
    self->spares = spares;
    self->file = -1;
    self->written_lsn = durable_lsn;
    self->vector = yami_alloc(VECTOR_LIMIT * sizeof *self->vector);
    pthread_mutex_init(&self->mutex, NULL);
    atomic_init(&self->durable_lsn, durable_lsn);
    atomic_init(&self->has_failed, false);
    atomic_init(&self->is_short, false);
    return self;
}

void
yami_commit_destroy(yami_commit_t **self_p)
{
    yami_commit_t *self = *self_p;
    if (!self) {
        return;
    }
    if (self->file != -1) {
        (void) self->disk->close(self->disk, self->file);
    }
    yami_commit_queue_clear(&self->filling);
    yami_commit_queue_clear(&self->writing);
    pthread_mutex_destroy(&self->mutex);
    yami_trims_clear(&self->trims);
    yami_free(self->vector);
    yami_free(self);
    *self_p = NULL;
}

int
yami_commit_begin(yami_commit_t *self, const yami_segment_header_t *header)
{
    pthread_mutex_lock(&self->mutex);
    int rc = yami_commit_queue_begin(&self->filling, header);
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

int
yami_commit_entry(yami_commit_t *self, const yami_entry_header_t *header, uint64_t offset,
                  const void *prefix, size_t prefix_size, const void *meta, yami_block_t *data)
{
    pthread_mutex_lock(&self->mutex);
    int rc =
        yami_commit_queue_entry(&self->filling, header, offset, prefix, prefix_size, meta, data);
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

int
yami_commit_seal(yami_commit_t *self, const yami_entry_header_t *header, uint64_t offset,
                 const void *footer, uint64_t trailer_offset, bool is_last)
{
    pthread_mutex_lock(&self->mutex);
    int rc =
        yami_commit_queue_seal(&self->filling, header, offset, footer, trailer_offset, is_last);
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

//  Adds bytes that follow those before in the file; what also follows in memory makes no new
//  vector.
static void
s_stage_bytes(yami_commit_t *self, const void *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    YAM_ASSERT(self->vector);
    struct iovec *next = &self->vector[self->vector_count];
    bool is_follower =
        self->vector_count > 0 && (const uint8_t *) next[-1].iov_base + next[-1].iov_len == bytes;
    if (is_follower) {
        next[-1].iov_len += size;
    } else {
        YAM_ASSERT(self->vector_count < VECTOR_LIMIT);
        *next = (struct iovec) {.iov_base = (void *) bytes, .iov_len = size};
        self->vector_count++;
    }
    self->vector_size += size;
}

//  Writes what is staged. 0; 1 when the disk is full: nothing staged then, to be staged again; -1
//  with errno.
static int
s_flush(yami_commit_t *self)
{
    if (self->vector_count == 0) {
        return 0;
    }
    int rc = yami_disk_write(self->disk, self->file, self->vector, self->vector_count,
                             self->vector_offset);
    self->vector_count = 0;
    if (rc == -1) {
        //  Only where the file system copies on write: these bytes were never taken, so writing
        //  them again is sound.
        self->writing.done = self->vector_item;
        return errno == ENOSPC ? 1 : -1;
    }
    self->is_file_dirty = true;
    self->written_bytes += self->vector_size;
    if (self->writing.done > self->vector_item) {
        self->written_lsn = self->writing.items[self->writing.done - 1].lsn;
    }
    return 0;
}

//  Makes room for one more item at offset, contiguous with what is staged.
static int
s_prepare_stage(yami_commit_t *self, uint64_t offset)
{
    bool is_next = offset == self->vector_offset + self->vector_size;
    if (self->vector_count > 0 && (!is_next || self->vector_count + 3 > VECTOR_LIMIT)) {
        int rc = s_flush(self);
        if (rc != 0) {
            return rc;
        }
    }
    if (self->vector_count == 0) {
        self->vector_offset = offset;
        self->vector_size = 0;
        self->vector_item = self->writing.done;
    }
    return 0;
}

//  Checksums an entry's image and stages it. That is done here, not by the owner: this thread waits
//  for the disk anyway.
static int
s_stage_entry(yami_commit_t *self, const yami_commit_item_t *item)
{
    int rc = s_prepare_stage(self, item->offset);
    if (rc != 0) {
        return rc;
    }
    uint8_t *image = yami_commit_queue_image(&self->writing, item);
    uint32_t crc =
        yami_crc32c(0, image + YAMI_ENTRY_HEADER_SIZE, item->image_size - YAMI_ENTRY_HEADER_SIZE);
    if (item->data) {
        crc = yami_crc32c(crc, item->data->data, item->data->size);
    }
    crc = yami_crc32c(crc, image + item->image_size, item->padding_size);
    uint64_t behind = item->lsn - atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    YAM_ASSERT(behind <= UINT32_MAX);
    yami_entry_header_finish(image, (uint32_t) behind, crc);
    s_stage_bytes(self, image, item->image_size);
    if (item->data) {
        s_stage_bytes(self, item->data->data, item->data->size);
    }
    s_stage_bytes(self, image + item->image_size, item->padding_size);
    return 0;
}

static void
s_count_sync(yami_commit_t *self, int64_t start_us)
{
    uint64_t spent_us = (uint64_t) (yami_clock_mono_us() - start_us);
    pthread_mutex_lock(&self->mutex);
    self->stats.syncs++;
    self->stats.sync_us += spent_us;
    if (spent_us > self->stats.max_sync_us) {
        self->stats.max_sync_us = spent_us;
    }
    pthread_mutex_unlock(&self->mutex);
}

//  Whether nothing was durable before what is written now: in a store that is new.
static bool
s_is_first(const yami_commit_t *self)
{
    return yami_commit_durable(self) == 0 && self->written_lsn > 0;
}

//  Flushes, syncs, publishes (1). 0; 1 when the disk was full, then what could be written is
//  synced; -1 with errno.
static int
s_sync(yami_commit_t *self)
{
    int is_full = s_flush(self);
    if (is_full == -1) {
        return -1;
    }
    if (self->is_file_dirty && !YAMI_PLANTED(CONFIRM_BEFORE_SYNC)) {
        int64_t start_us = yami_clock_mono_us();
        int rc = self->disk->sync_data(self->disk, self->file);
        if (rc == -1 && YAMI_PLANTED(FAILED_SYNC_RETRIED)) {
            rc = self->disk->sync_data(self->disk, self->file);
        }
        if (rc == -1) {
            return -1;
        }
        self->is_file_dirty = false;
        s_count_sync(self, start_us);
    }
    if (self->is_directory_dirty && !YAMI_PLANTED(DIRECTORY_NOT_SYNCED)) {
        if (self->disk->sync_directory(self->disk) == -1) {
            return -1;
        }
        self->is_directory_dirty = false;
    }
    if (s_is_first(self) && yami_marker_write(self->disk) == -1) {
        return yami_disk_is_short(errno) ? 1 : -1;
    }
    atomic_store_explicit(&self->durable_lsn, self->written_lsn, memory_order_release);
    return is_full;
}

//  Makes the file of a new segment, once, and opens it. 0; 1 when space or descriptors are short;
//  -1 with errno.
static int
s_open_segment(yami_commit_t *self, const yami_commit_item_t *item)
{
    int rc =
        self->is_file_made ? 0 : yami_spares_take(self->spares, item->number, item->file_bytes);
    if (rc != 0) {
        return rc;
    }
    self->is_file_made = true;
    self->is_directory_dirty = true;
    if (YAMI_PLANTED(MARKED_TOO_EARLY) && yami_marker_write(self->disk) == -1) {
        return -1;
    }
    char name[YAMI_NAME_SIZE];
    self->file = self->disk->open(self->disk, yami_name_segment(name, item->number), false, false);
    if (self->file == -1) {
        return yami_disk_is_short(errno) ? 1 : -1;
    }
    self->is_file_made = false;
    return 0;
}

//  Sealing closed the file before (3). When it is open, this item is written once more after the
//  disk was full.
static int
s_run_begin(yami_commit_t *self, const yami_commit_item_t *item)
{
    YAM_ASSERT(self->vector_count == 0);
    if (self->file == -1) {
        int rc = s_open_segment(self, item);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = s_prepare_stage(self, 0);
    s_stage_bytes(self, yami_commit_queue_image(&self->writing, item), item->image_size);
    return rc;
}

//  The trailer lies at the end of the file, or right behind the footer.
static int
s_write_trailer(yami_commit_t *self, const yami_commit_item_t *item)
{
    uint8_t *trailer =
        yami_commit_queue_image(&self->writing, item) + item->image_size + item->padding_size;
    struct iovec vector = {.iov_base = trailer, .iov_len = YAMI_TRAILER_SIZE};
    int rc = yami_disk_write(self->disk, self->file, &vector, 1, item->number);
    return rc == -1 && errno == ENOSPC ? 1 : rc;
}

//  Invariants (3) here, and of the log: a cut file proves that all in it was durable, so the cut is
//  last, after a sync of its own.
static int
s_run_seal(yami_commit_t *self, const yami_commit_item_t *item)
{
    int rc = item->is_last ? s_sync(self) : 0;
    rc = rc == 0 ? s_stage_entry(self, item) : rc;
    rc = rc == 0 ? s_flush(self) : rc;
    rc = rc == 0 ? s_write_trailer(self, item) : rc;
    rc = rc == 0 ? s_sync(self) : rc;
    if (rc != 0) {
        return rc;
    }
    if (item->is_last &&
        (self->disk->truncate(self->disk, self->file, item->number + YAMI_TRAILER_SIZE) == -1 ||
         self->disk->sync_file(self->disk, self->file) == -1)) {
        return -1;
    }
    (void) self->disk->close(self->disk, self->file); //  all in it is synced
    self->file = -1;
    return 0;
}

static int
s_run_item(yami_commit_t *self, const yami_commit_item_t *item)
{
    switch (item->type) {
    case YAMI_ITEM_BEGIN:
        return s_run_begin(self, item);
    case YAMI_ITEM_SEAL:
        return s_run_seal(self, item);
    default:
        break;
    }
    if (item->kind == YAMI_ENTRY_TRIM && yami_trims_reserve(&self->trims) == -1) {
        return -1;
    }
    int rc = s_stage_entry(self, item);
    if (rc == 0 && item->kind == YAMI_ENTRY_TRIM) {
        yami_trims_note(&self->trims, item->number, item->lsn);
    }
    return rc;
}

//  Writes the items of one taken queue. 0; 1 when the disk is full; -1 with errno.
static int
s_write(yami_commit_t *self)
{
    int rc = 0;
    while (rc == 0 && self->writing.done < self->writing.count) {
        rc = s_run_item(self, &self->writing.items[self->writing.done]);
        self->writing.done += rc == 0 ? 1 : 0;
    }
    if (rc == -1) {
        return -1;
    }
    int is_full = s_sync(self);
    if (is_full == -1) {
        return -1;
    }
    //  Without space, too: what is given back may be what is missing.
    return is_full == 0 &&
                   yami_trims_give_back(&self->trims, self->spares, yami_commit_durable(self)) == -1
               ? -1
               : rc | is_full;
}

//  Makes a failure final (2): the kernel may have dropped the pages, and the next sync would lie.
static int
s_fail(yami_commit_t *self, int error)
{
    atomic_store(&self->has_failed, true);
    return yami_fail(EIO,
                     "store: writing the log failed (%s); it takes nothing more until it is "
                     "opened again",
                     strerror(error));
}

static void
s_take(yami_commit_t *self)
{
    yami_commit_queue_reset(&self->writing);
    pthread_mutex_lock(&self->mutex);
    yami_commit_queue_t taken = self->filling;
    self->filling = self->writing;
    self->writing = taken;
    pthread_mutex_unlock(&self->mutex);
}

//  What was left over for lack of space, then all that was queued before the call.
static int
s_run(yami_commit_t *self, bool *has_done_p)
{
    int rc = 0;
    if (self->writing.done < self->writing.count || s_is_first(self)) {
        *has_done_p = true;
        rc = s_write(self);
    }
    if (rc == 0) {
        s_take(self);
        if (self->writing.count > 0) {
            *has_done_p = true;
            rc = s_write(self);
        }
    }
    return rc;
}

int
yami_commit_run(yami_commit_t *self)
{
    if (yami_commit_has_failed(self)) {
        return s_fail(self, EIO);
    }
    bool has_done = false;
    uint64_t durable_before = yami_commit_durable(self);
    int rc = s_run(self, &has_done);
    if (rc == -1) {
        return s_fail(self, errno);
    }
    atomic_store(&self->is_short, rc == 1);
    if (rc == 0) {
        yami_commit_queue_reset(&self->writing); //  drops the references to data
    }
    yami_spares_look(self->spares, self->written_bytes);
    self->written_bytes = 0;
    (void) yami_spares_fill(self->spares); //  its failure shows when a segment is taken
    return has_done && (rc == 0 || yami_commit_durable(self) > durable_before) ? 1 : 0;
}

uint64_t
yami_commit_durable(const yami_commit_t *self)
{
    return atomic_load_explicit(&self->durable_lsn, memory_order_acquire);
}

bool
yami_commit_has_failed(const yami_commit_t *self)
{
    return atomic_load(&self->has_failed);
}

bool
yami_commit_is_short(const yami_commit_t *self)
{
    return atomic_load(&self->is_short);
}

void
yami_commit_stats(yami_commit_t *self, yami_store_stats_t *stats)
{
    pthread_mutex_lock(&self->mutex);
    stats->syncs = self->stats.syncs;
    stats->sync_us = self->stats.sync_us;
    stats->max_sync_us = self->stats.max_sync_us;
    pthread_mutex_unlock(&self->mutex);
    stats->durable_lsn = yami_commit_durable(self);
}
