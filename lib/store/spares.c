//  The filler and its stock.
//
//      fill            take (rename)             give (rename)
//   nothing -> ready ----------------> segment ----------------> ready, or removed

#include "yami_spares.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_segment_format.h"
#include "yami_thread.h"

#define FILL_CHUNK ((size_t) 256 << 10)
#define LOOK_BYTES (1U << 20)
#define LOOK_MS 100

struct yami_spares {
    yami_disk_t *disk; //  borrowed
    uint64_t segment_bytes;
    _Atomic uint64_t reserve_bytes;
    //  filled at the start; then only the held-back one is kept up, and given files are kept
    size_t want_count;
    size_t keep_count; //  most ready files beyond what is promised
    bool is_threaded;
    bool has_thread;
    pthread_t thread;
    uint8_t *zeros; //  owned
    size_t zero_count;
    //  Guards what follows; tells the filler that something was taken, or to stop, and who takes
    //  that a file is ready, or will not be.
    yami_monitor_t monitor;
    uint64_t *ready; //  owned; numbers in the names of ready files
    size_t ready_count;
    size_t ready_capacity;
    size_t promised_count;
    bool was_full; //  ready_count has reached want_count
    uint64_t next_number;
    int error; //  why the last filling failed, ENOSPC for any shortage; 0: it did not
    bool is_stopping;
    int64_t look_ms;
    uint64_t look_bytes;
    _Atomic int64_t free_bytes; //  when last looked at
};

yami_spares_t *
yami_spares_new(yami_disk_t *disk, const yami_log_options_t *options)
{
    yami_spares_t *self = yami_alloc(sizeof *self);
    self->disk = disk;
    self->segment_bytes = options->segment_bytes;
    atomic_init(&self->reserve_bytes, options->reserve_bytes);
    self->want_count = options->spare_count > 0 ? options->spare_count : 1; //  (2)
    self->keep_count = 2 * self->want_count;
    self->is_threaded = options->is_threaded;
    self->zero_count = self->segment_bytes < FILL_CHUNK ? (size_t) self->segment_bytes : FILL_CHUNK;
    self->zeros = yami_alloc(self->zero_count);
    self->next_number = 1;
    yami_monitor_init(&self->monitor);
    atomic_init(&self->free_bytes, disk->free_bytes(disk));
    return self;
}

void
yami_spares_destroy(yami_spares_t **self_p)
{
    yami_spares_t *self = *self_p;
    if (!self) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    self->is_stopping = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    if (self->has_thread) {
        (void) pthread_join(self->thread, NULL);
    }
    yami_monitor_destroy(&self->monitor);
    yami_free(self->ready);
    yami_free(self->zeros);
    yami_free(self);
    *self_p = NULL;
}

//  Adds to the stock; the lock is held.
static int
s_add_ready(yami_spares_t *self, uint64_t number)
{
    if (yami_grow(&self->ready, &self->ready_capacity, self->ready_count + 1, sizeof *self->ready,
                  YAMI_LIMIT_SPARES) == -1) {
        return -1;
    }
    self->ready[self->ready_count++] = number;
    if (number >= self->next_number) {
        self->next_number = number + 1;
    }
    return 0;
}

int
yami_spares_adopt(yami_spares_t *self, uint64_t number)
{
    YAM_ASSERT(!self->has_thread);
    if (number >= self->next_number) {
        self->next_number = number + 1;
    }
    char name[YAMI_NAME_SIZE];
    int file = self->disk->open(self->disk, yami_name_spare(name, number), false, true);
    if (file == -1) {
        return -1;
    }
    int64_t size = self->disk->size(self->disk, file);
    (void) self->disk->close(self->disk, file);
    if (size == -1) {
        return -1;
    }
    if ((uint64_t) size == self->segment_bytes && self->ready_count < self->keep_count) {
        return s_add_ready(self, number);
    }
    return self->disk->remove(self->disk, name);
}

//  Creates a filled file. No lock is held. Under another name until it is whole.
static int
s_create(yami_spares_t *self, uint64_t number, uint64_t size, const char *final_name)
{
    char name[YAMI_NAME_SIZE];
    int file = self->disk->open(self->disk, yami_name_filling(name, number), true, false);
    if (file == -1) {
        return -1;
    }
    int rc = yami_disk_fill(self->disk, file, self->zeros, self->zero_count, size);
    int error = errno;
    (void) self->disk->close(self->disk, file);
    if (rc == 0 && self->disk->rename(self->disk, name, final_name) == 0) { //  (1)
        return 0;
    }
    error = rc == 0 ? errno : error;
    (void) self->disk->remove(self->disk, name);
    errno = error;
    return -1;
}

bool
yami_spares_is_low(const yami_spares_t *self)
{
    return (uint64_t) atomic_load(&self->free_bytes) < atomic_load(&self->reserve_bytes);
}

//  Whether count more files of size bytes fit, and the reserve stays.
static bool
s_has_space(const yami_spares_t *self, uint64_t count, uint64_t size, uint64_t reserve)
{
    int64_t free_bytes = atomic_load(&self->free_bytes);
    return free_bytes > 0 && (uint64_t) free_bytes / size > count &&
           (uint64_t) free_bytes - count * size > reserve;
}

//  Whether data may count on one more; the lock is held. Ready files are safe to count on, but for
//  (2). Else there must be ample space, so that filling does not fail: room for all promises twice
//  over.
static bool
s_has_segment(const yami_spares_t *self, uint64_t file_bytes)
{
    if (file_bytes == self->segment_bytes && self->ready_count > self->promised_count + 1) {
        return true;
    }
    return self->error != ENOSPC && s_has_space(self, 2 * (self->promised_count + 1), file_bytes,
                                                atomic_load(&self->reserve_bytes));
}

//  Whether data is refused for lack of space; the lock is held.
static bool
s_is_short(const yami_spares_t *self)
{
    return self->error != 0 || yami_spares_is_low(self) ||
           !s_has_segment(self, self->segment_bytes);
}

//  The filler: with all data refused, nobody else would look whether that has changed.
static void
s_tell_if_short(yami_spares_t *self)
{
    yami_monitor_lock(&self->monitor);
    if (s_is_short(self)) {
        yami_monitor_tell(&self->monitor);
    }
    yami_monitor_unlock(&self->monitor);
}

void
yami_spares_look(yami_spares_t *self, uint64_t written)
{
    int64_t now = self->is_threaded ? yami_clock_mono_ms() : 0;
    yami_monitor_lock(&self->monitor);
    self->look_bytes += written;
    bool is_due =
        !self->is_threaded || self->look_bytes >= LOOK_BYTES || now - self->look_ms >= LOOK_MS;
    if (is_due) {
        self->look_bytes = 0;
        self->look_ms = now;
    }
    yami_monitor_unlock(&self->monitor);
    if (is_due) {
        int64_t free_bytes = self->disk->free_bytes(self->disk);
        if (free_bytes >= 0) {
            atomic_store(&self->free_bytes, free_bytes);
        }
        s_tell_if_short(self);
    }
}

//  The filler is told: when the disk is low it is the one who looks whether that has changed.
void
yami_spares_set_reserve(yami_spares_t *self, uint64_t reserve_bytes)
{
    yami_monitor_lock(&self->monitor);
    atomic_store(&self->reserve_bytes, reserve_bytes);
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

//  Whether one more file should be filled now; the lock is held. Once the stock has been full,
//  only (2) and what is promised is kept up: a log that is consumed as fast as it grows lives on
//  the files it gets back, and writes no zeros at all.
static bool
s_is_wanting(yami_spares_t *self)
{
    bool has_space = s_has_space(self, 1, self->segment_bytes, atomic_load(&self->reserve_bytes));
    self->was_full = self->was_full || self->ready_count >= self->want_count;
    size_t want_count =
        (has_space && !self->was_full ? self->want_count : 1) + self->promised_count;
    bool may_try = self->error != ENOSPC || s_has_space(self, 1, self->segment_bytes, 0);
    return self->ready_count < want_count && may_try && !self->is_stopping;
}

//  Fills one file; the lock is held, but not while filling.
static int
s_fill_one(yami_spares_t *self)
{
    uint64_t number = self->next_number++;
    yami_monitor_unlock(&self->monitor);
    char name[YAMI_NAME_SIZE];
    int rc = s_create(self, number, self->segment_bytes, yami_name_spare(name, number));
    int error = errno;
    yami_monitor_lock(&self->monitor);
    if (rc == 0 && s_add_ready(self, number) == 0) {
        self->error = 0;
        return 0;
    }
    self->error = rc == 0 ? ENOMEM : yami_disk_is_short(error) ? ENOSPC : error;
    errno = self->error;
    return -1;
}

//  Waits for something to do; the lock is held. While space is short, looks every 100 ms whether
//  that has changed.
static void
s_wait_for_work(yami_spares_t *self)
{
    if (!s_is_short(self)) {
        (void) yami_monitor_wait(&self->monitor, INT64_MAX);
        return;
    }
    (void) yami_monitor_wait(&self->monitor, yami_monitor_deadline(LOOK_MS));
    yami_monitor_unlock(&self->monitor);
    yami_spares_look(self, LOOK_BYTES);
    yami_monitor_lock(&self->monitor);
}

static void *
s_run(void *arg)
{
    yami_spares_t *self = arg;
    yami_monitor_lock(&self->monitor);
    while (!self->is_stopping) {
        int rc = s_is_wanting(self) ? s_fill_one(self) : 1;
        yami_monitor_tell(&self->monitor);
        if (rc != 0 && !self->is_stopping) {
            s_wait_for_work(self); //  a failed one is tried again: nobody relied on its file
        }
    }
    yami_monitor_unlock(&self->monitor);
    return NULL;
}

int
yami_spares_start(yami_spares_t *self)
{
    if (!self->is_threaded) {
        return 0;
    }
    int rc = yami_thread_start(&self->thread, s_run, self);
    if (rc != 0) {
        return yami_fail(ENOMEM, "store: cannot start the thread that fills spare segments "
                                 "(raise the limit on threads)");
    }
    self->has_thread = true;
    return 0;
}

int
yami_spares_fill(yami_spares_t *self)
{
    int rc = 0;
    yami_monitor_lock(&self->monitor);
    while (!self->is_threaded && rc == 0 && s_is_wanting(self)) {
        rc = s_fill_one(self);
    }
    yami_monitor_unlock(&self->monitor);
    return rc == -1 && errno == ENOSPC ? 0 : rc;
}

bool
yami_spares_has_segment(yami_spares_t *self, uint64_t file_bytes)
{
    yami_monitor_lock(&self->monitor);
    bool is_possible = s_has_segment(self, file_bytes);
    yami_monitor_unlock(&self->monitor);
    return is_possible;
}

int
yami_spares_promise(yami_spares_t *self, uint64_t file_bytes, bool is_refusable)
{
    yami_monitor_lock(&self->monitor);
    bool is_possible = !is_refusable || s_has_segment(self, file_bytes);
    self->promised_count += is_possible ? 1 : 0;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return is_possible ? 0
                       : yami_fail(ENOSPC, "store: no space for another segment of %llu bytes",
                                   (unsigned long long) file_bytes);
}

void
yami_spares_release(yami_spares_t *self)
{
    yami_monitor_lock(&self->monitor);
    YAM_ASSERT(self->promised_count > 0);
    self->promised_count--;
    yami_monitor_unlock(&self->monitor);
}

//  Waits until a file is ready; the lock is held. 0; 1 when there is no space; -1 with errno.
static int
s_wait_for_ready(yami_spares_t *self)
{
    while (self->ready_count == 0) {
        if (self->is_threaded && self->error != 0 && self->error != ENOSPC) {
            errno = self->error;
            return -1;
        }
        if (!self->is_threaded) {
            if (s_fill_one(self) == -1 && errno != ENOSPC) {
                return -1;
            }
            if (self->ready_count == 0) {
                return 1;
            }
        } else if (self->error == ENOSPC) {
            (void) yami_monitor_wait(&self->monitor, yami_monitor_deadline(LOOK_MS));
            return self->ready_count == 0 ? 1 : 0;
        } else {
            yami_monitor_tell(&self->monitor);
            (void) yami_monitor_wait(&self->monitor, INT64_MAX);
        }
    }
    return 0;
}

static int
s_take_plain(yami_spares_t *self, const char *segment_name)
{
    yami_monitor_lock(&self->monitor);
    int rc = s_wait_for_ready(self);
    uint64_t number = 0;
    if (rc == 0) {
        number = self->ready[0];
        self->ready_count--;
        memmove(self->ready, self->ready + 1, self->ready_count * sizeof *self->ready);
    }
    yami_monitor_unlock(&self->monitor);
    if (rc != 0) {
        return rc;
    }
    char name[YAMI_NAME_SIZE];
    if (self->disk->rename(self->disk, yami_name_spare(name, number), segment_name) == 0) {
        return 0;
    }
    if (errno != ENOSPC) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    rc = s_add_ready(self, number); //  another may have come into its place
    yami_monitor_unlock(&self->monitor);
    return rc == 0 ? 1 : -1;
}

//  A size of its own: filled here and now.
static int
s_take_special(yami_spares_t *self, uint64_t file_bytes, const char *segment_name)
{
    yami_monitor_lock(&self->monitor);
    uint64_t number = self->next_number++;
    yami_monitor_unlock(&self->monitor);
    int rc = s_create(self, number, file_bytes, segment_name);
    return rc == -1 && yami_disk_is_short(errno) ? 1 : rc;
}

int
yami_spares_take(yami_spares_t *self, uint64_t segment, uint64_t file_bytes)
{
    char name[YAMI_NAME_SIZE];
    (void) yami_name_segment(name, segment);
    int rc = file_bytes == self->segment_bytes ? s_take_plain(self, name)
                                               : s_take_special(self, file_bytes, name);
    if (rc == 0) {
        yami_monitor_lock(&self->monitor);
        YAM_ASSERT(self->promised_count > 0);
        self->promised_count--;
        yami_monitor_tell(&self->monitor);
        yami_monitor_unlock(&self->monitor);
    }
    return rc;
}

//  Whether the file has the size of a spare; -1 with errno.
static int
s_is_plain_file(yami_spares_t *self, const char *name)
{
    int file = self->disk->open(self->disk, name, false, true);
    if (file == -1) {
        return -1;
    }
    int64_t size = self->disk->size(self->disk, file);
    (void) self->disk->close(self->disk, file);
    return size == -1 ? -1 : (uint64_t) size == self->segment_bytes;
}

int
yami_spares_give(yami_spares_t *self, uint64_t segment)
{
    char from[YAMI_NAME_SIZE];
    char to[YAMI_NAME_SIZE];
    int is_plain = s_is_plain_file(self, yami_name_segment(from, segment));
    if (is_plain == -1) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    bool is_kept = is_plain == 1 && self->ready_count < self->keep_count + self->promised_count;
    uint64_t number = self->next_number++;
    yami_monitor_unlock(&self->monitor);
    int rc = is_kept ? self->disk->rename(self->disk, from, yami_name_spare(to, number)) : -1;
    if (!is_kept || (rc == -1 && errno == ENOSPC)) {
        is_kept = false;
        rc = self->disk->remove(self->disk, from);
    }
    yami_monitor_lock(&self->monitor);
    if (rc == 0 && is_kept) {
        rc = s_add_ready(self, number);
    }
    if (rc == 0) {
        self->error = self->error == ENOSPC ? 0 : self->error;
        yami_monitor_tell(&self->monitor);
    }
    yami_monitor_unlock(&self->monitor);
    return rc;
}

size_t
yami_spares_count(yami_spares_t *self)
{
    yami_monitor_lock(&self->monitor);
    size_t count = self->ready_count;
    yami_monitor_unlock(&self->monitor);
    return count;
}
