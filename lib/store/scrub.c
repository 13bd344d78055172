//  The scrub's plan, its thread, and the ranges that wait to be told.

#include "yami_scrub.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_sealed.h"
#include "yami_thread.h"

#define STEP_BYTES (256U << 10) //  read between two looks at the clock
#define AGAIN_US 1000000        //  until a file that found no descriptor is tried again
#define LOWEST_PRIORITY 19      //  of CPU and, where the scheduler has one, of the disk

typedef struct {
    yami_sealed_t sealed;
    bool is_forgotten; //  under the lock
} s_item_t;

struct yami_scrub {
    yami_disk_t *disk; //  borrowed
    uint64_t rate;
    bool is_threaded;
    bool has_thread;
    pthread_t thread;
    yami_monitor_t monitor; //  tells the thread that something is forgotten, or to stop
    s_item_t *items;        //  owned; ascending numbers
    size_t item_count;
    size_t item_capacity;
    //  The reading side's own:
    size_t next; //  item to be read
    uint64_t step_bytes;
    int64_t due_us; //  when the rate allows the next step
    //  Under the lock:
    bool is_stopping;
    yami_damage_t *told; //  owned; waits from told_head on
    size_t told_head;
    size_t told_count;
    size_t told_capacity;
    //  Any thread:
    _Atomic size_t waiting_count;
    _Atomic uint64_t read_bytes;
    _Atomic uint64_t left_bytes;
    _Atomic uint64_t damaged_ranges;
    _Atomic uint64_t unread_segments;
    atomic_bool has_ended;
};

yami_scrub_t *
yami_scrub_new(yami_disk_t *disk, uint64_t rate, bool is_threaded)
{
    yami_scrub_t *self = yami_alloc(sizeof *self);
    self->disk = disk;
    self->rate = rate;
    self->is_threaded = is_threaded;
    yami_monitor_init(&self->monitor);
    return self;
}

void
yami_scrub_destroy(yami_scrub_t **self_p)
{
    yami_scrub_t *self = *self_p;
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
    yami_free(self->items);
    yami_free(self->told);
    yami_free(self);
    *self_p = NULL;
}

static uint64_t
s_size(const s_item_t *item)
{
    return item->sealed.end - YAMI_SEGMENT_HEADER_SIZE;
}

int
yami_scrub_add(yami_scrub_t *self, const yami_segment_t *segment, uint64_t limit)
{
    YAM_ASSERT(!self->has_thread && segment->is_sealed);
    YAM_ASSERT(self->item_count == 0 ||
               segment->header.number > self->items[self->item_count - 1].sealed.header.number);
    if (self->rate == 0) {
        return 0;
    }
    if (yami_grow(&self->items, &self->item_capacity, self->item_count + 1, sizeof *self->items,
                  YAMI_LIMIT_SEGMENTS) == -1) {
        return -1;
    }
    s_item_t *item = &self->items[self->item_count++];
    *item = (s_item_t) {.sealed = {.header = segment->header,
                                   .file_bytes = segment->file_bytes,
                                   .end = segment->end,
                                   .last_lsn = segment->last_lsn,
                                   .limit = limit}};
    self->left_bytes += s_size(item);
    return 0;
}

//  Waits until then, in microseconds of the monotonic clock; false when the item shall be read no
//  further. The lock is held.
static bool
s_wait(yami_scrub_t *self, const s_item_t *item, int64_t until_us)
{
    bool has_time = self->is_threaded;
    while (!self->is_stopping && !item->is_forgotten && has_time) {
        has_time = yami_monitor_wait(&self->monitor, (until_us + 999) / 1000);
    }
    return !self->is_stopping && !item->is_forgotten;
}

//  After each entry: keeps to the rate, step by step. A disk slower than that is not made up for.
static bool
s_pace(void *arg, uint64_t bytes)
{
    yami_scrub_t *self = arg;
    self->read_bytes += bytes;
    self->step_bytes += bytes;
    if (self->step_bytes < STEP_BYTES) {
        return true;
    }
    int64_t now_us = yami_clock_mono_us();
    self->due_us = self->due_us > now_us ? self->due_us : now_us;
    self->due_us += (int64_t) ((double) self->step_bytes * 1e6 / (double) self->rate);
    self->step_bytes = 0;
    yami_monitor_lock(&self->monitor);
    bool goes_on = s_wait(self, &self->items[self->next], self->due_us);
    yami_monitor_unlock(&self->monitor);
    return goes_on;
}

//  What was found in an item that still counts is to be told. The lock is held.
static void
s_tell(yami_scrub_t *self, const yami_damage_t *damages, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        bool is_repeated = index > 0 && damages[index].offset == damages[index - 1].offset;
        self->damaged_ranges += is_repeated ? 0 : 1;
    }
    if (count == 0 || yami_grow(&self->told, &self->told_capacity, self->told_count + count,
                                sizeof *self->told, YAMI_LIMIT_TOLD_RANGES) == -1) {
        return; //  counted; reading will find it
    }
    memcpy(&self->told[self->told_count], damages, count * sizeof *damages);
    self->told_count += count;
    self->waiting_count += count;
}

//  Reads one item.
static void
s_read(yami_scrub_t *self, s_item_t *item)
{
    yami_damage_t *damages = NULL;
    size_t count = 0;
    int rc = 0;
    bool goes_on = true;
    do {
        yami_free(damages);
        rc = yami_sealed_check(self->disk, &item->sealed, s_pace, self, &damages, &count);
        bool is_short = rc == -1 && yami_disk_is_short(errno);
        yami_monitor_lock(&self->monitor);
        goes_on = s_wait(self, item, is_short ? yami_clock_mono_us() + AGAIN_US : 0);
        if (goes_on && !is_short) {
            s_tell(self, damages, count);
            self->unread_segments += rc == -1 ? 1 : 0;
        }
        goes_on = goes_on && is_short && self->is_threaded;
        yami_monitor_unlock(&self->monitor);
    } while (goes_on);
    yami_free(damages);
}

//  Reads the next item that still counts. False when there is none.
static bool
s_read_next(yami_scrub_t *self)
{
    yami_monitor_lock(&self->monitor);
    while (self->next < self->item_count && self->items[self->next].is_forgotten) {
        self->next++;
    }
    s_item_t *item = self->next < self->item_count ? &self->items[self->next] : NULL;
    item = self->is_stopping ? NULL : item;
    yami_monitor_unlock(&self->monitor);
    if (!item) {
        self->has_ended = true; //  (3)
        return false;
    }
    s_read(self, item);
    yami_monitor_lock(&self->monitor);
    self->left_bytes -= item->is_forgotten ? 0 : s_size(item);
    self->next++;
    yami_monitor_unlock(&self->monitor);
    return true;
}

static void *
s_run(void *arg)
{
    yami_scrub_t *self = arg;
    (void) setpriority(PRIO_PROCESS, 0, LOWEST_PRIORITY); //  0: this thread
    while (s_read_next(self)) {
    }
    return NULL;
}

int
yami_scrub_start(yami_scrub_t *self)
{
    self->has_ended = self->item_count == 0;
    if (self->has_ended || !self->is_threaded) {
        return 0;
    }
    int rc = yami_thread_start(&self->thread, s_run, self);
    if (rc != 0) {
        return yami_fail(ENOMEM,
                         "store: cannot start the scrub's thread (raise the limit on threads)");
    }
    self->has_thread = true;
    return 0;
}

//  The item of that number, or NULL.
static s_item_t *
s_find(yami_scrub_t *self, uint64_t number)
{
    size_t low = 0;
    size_t high = self->item_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->items[middle].sealed.header.number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < self->item_count && self->items[low].sealed.header.number == number;
    return is_found ? &self->items[low] : NULL;
}

void
yami_scrub_forget(yami_scrub_t *self, uint64_t segment)
{
    s_item_t *item = s_find(self, segment);
    if (!item) {
        return;
    }
    yami_monitor_lock(&self->monitor);
    if (!item->is_forgotten && item >= self->items + self->next) {
        self->left_bytes -= s_size(item);
    }
    item->is_forgotten = true; //  (1)
    size_t kept = self->told_head;
    for (size_t index = self->told_head; index < self->told_count; index++) {
        if (self->told[index].segment != segment) {
            self->told[kept++] = self->told[index];
        }
    }
    self->told_count = kept;
    self->waiting_count = kept - self->told_head;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
}

bool
yami_scrub_take(yami_scrub_t *self, yami_scrub_progress_t *progress, yami_damage_t *damage)
{
    if (!self->is_threaded && self->waiting_count == 0 && !self->has_ended) {
        (void) s_read_next(self);
    }
    bool has_ended = self->has_ended; //  before the look at what waits (3)
    bool is_found = self->waiting_count > 0;
    if (is_found) {
        yami_monitor_lock(&self->monitor);
        *damage = self->told[self->told_head++];
        if (self->told_head == self->told_count) {
            self->told_head = self->told_count = 0;
        }
        self->waiting_count--;
        yami_monitor_unlock(&self->monitor);
    }
    *progress = (yami_scrub_progress_t) {.read_bytes = self->read_bytes,
                                         .left_bytes = self->left_bytes,
                                         .damaged_ranges = self->damaged_ranges,
                                         .unread_segments = self->unread_segments,
                                         .is_done = has_ended && !is_found};
    return is_found;
}

uint64_t
yami_scrub_damaged(const yami_scrub_t *self)
{
    return self->damaged_ranges;
}
