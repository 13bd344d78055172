/*  The bare system calls: what no store can beat, and what most begin with. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store_driver.h"

#define FILE_BYTES ((uint64_t) 64 << 20) //  after so much a growing store begins the next file

typedef struct {
    char *directory;   //  owned
    uint64_t capacity; //  prefilled: bytes of the file; 0: growing
    uint64_t offset;   //  in the file, of the next group
    int file;
    uint64_t file_number;                  //  growing: of the current one
    uint64_t first_file;                   //  growing: oldest there is
    uint64_t file_floor[64];               //  growing: index of the first blob of file n % 64
    uint64_t floor;                        //  blobs below are not needed
    uint64_t group_first;                  //  index of the group's first blob
    struct iovec group[BENCH_STORE_GROUP]; //  owned blobs
    int group_count;
} bare_t;

static void
s_name(const bare_t *self, uint64_t number, char name[4200])
{
    snprintf(name, 4200, "%s/%08llu", self->directory, (unsigned long long) number);
}

static void
s_sync_directory(const bare_t *self)
{
    int directory = open(self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory == -1 || fsync(directory) == -1) {
        bench_fail("cannot sync %s", self->directory);
    }
    close(directory);
}

static void
s_next_file(bare_t *self)
{
    char name[4200];
    close(self->file);
    s_name(self, ++self->file_number, name);
    self->file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (self->file == -1) {
        bench_fail("cannot create %s", name);
    }
    s_sync_directory(self);
    self->offset = 0;
    self->file_floor[self->file_number % 64] = self->group_first;
    while (self->first_file < self->file_number &&
           self->file_floor[(self->first_file + 1) % 64] <= self->floor) {
        s_name(self, self->first_file++, name);
        unlink(name);
    }
}

static bare_t *
s_open(const char *directory, uint64_t capacity)
{
    static const char zeros[1 << 20];
    char name[4200];
    bare_t *self = calloc(1, sizeof *self);
    self->directory = strdup(directory);
    self->capacity = capacity;
    s_name(self, 0, name);
    self->file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    for (uint64_t done = 0; self->file != -1 && done < capacity; done += sizeof zeros) {
        if (write(self->file, zeros, sizeof zeros) != (ssize_t) sizeof zeros) {
            bench_fail("cannot fill %s", name);
        }
    }
    if (self->file == -1 || fsync(self->file) == -1) {
        bench_fail("cannot write %s", name);
    }
    s_sync_directory(self);
    return self;
}

static void *
s_open_prefilled(const char *directory, uint64_t keep_bytes)
{
    return s_open(directory, 2 * keep_bytes);
}

static void *
s_open_growing(const char *directory, uint64_t keep_bytes)
{
    (void) keep_bytes; //  files of a fixed size are given up one by one
    return s_open(directory, 0);
}

static void
s_close(void *arg)
{
    bare_t *self = arg;
    close(self->file);
    free(self->directory);
    free(self);
}

static void
s_append(void *arg, uint64_t index, void *blob, size_t size)
{
    bare_t *self = arg;
    if (self->group_count == 0) {
        self->group_first = index;
    }
    self->group[self->group_count++] = (struct iovec) {blob, size};
}

static void
s_trim(void *arg, uint64_t floor)
{
    bare_t *self = arg;
    self->floor = floor;
}

static void
s_commit(void *arg)
{
    bare_t *self = arg;
    size_t size = 0;
    for (int index = 0; index < self->group_count; index++) {
        size += self->group[index].iov_len;
    }
    if (self->capacity > 0 && self->offset + size > self->capacity) {
        self->offset = 0;
    }
    if (self->capacity == 0 && self->offset + size > FILE_BYTES) {
        s_next_file(self);
    }
    if (pwritev(self->file, self->group, self->group_count, (off_t) self->offset) !=
            (ssize_t) size ||
        fdatasync(self->file) == -1) {
        bench_fail("cannot write %zu bytes", size);
    }
    self->offset += size;
    while (self->group_count > 0) {
        free(self->group[--self->group_count].iov_base);
    }
}

static bool
s_read_prefilled(void *arg, uint64_t index, void *blob, size_t size)
{
    const bare_t *self = arg;
    uint64_t blobs = self->capacity / size; //  groups are a power of two, so they fill the file
    return pread(self->file, blob, size, (off_t) (index % blobs * size)) == (ssize_t) size;
}

static bool
s_read_growing(void *arg, uint64_t index, void *blob, size_t size)
{
    const bare_t *self = arg;
    char name[4200];
    uint64_t number = self->file_number;
    while (number > self->first_file && self->file_floor[number % 64] > index) {
        number--;
    }
    s_name(self, number, name);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    uint64_t offset = (index - self->file_floor[number % 64]) * size;
    bool was_read = file != -1 && pread(file, blob, size, (off_t) offset) == (ssize_t) size;
    close(file);
    return was_read;
}

const bench_store_t bench_store_prefilled = {.name = "pwritev-prefilled",
                                             .open = s_open_prefilled,
                                             .close = s_close,
                                             .append = s_append,
                                             .trim = s_trim,
                                             .commit = s_commit,
                                             .read = s_read_prefilled};

const bench_store_t bench_store_growing = {.name = "pwritev-growing",
                                           .open = s_open_growing,
                                           .close = s_close,
                                           .append = s_append,
                                           .trim = s_trim,
                                           .commit = s_commit,
                                           .read = s_read_growing};
