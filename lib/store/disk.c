//  The real directory. Every call names files relative to the one descriptor, so a renamed
//  directory stays the same.

#include "yami_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_lock.h"

typedef struct {
    yami_disk_t disk; //  first
    char *path;       //  owned; for sentences
    int directory;
    yami_lock_t lock; //  not held: read only
} s_disk_t;

bool
yami_disk_is_short(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE;
}

//  A quota that is used up is a disk that is full: what was not taken may be written again later.
static int
s_failed(void)
{
    errno = errno == EDQUOT ? ENOSPC : errno;
    return -1;
}

static int
s_open(yami_disk_t *disk, const char *name, bool create, bool read_only)
{
    const s_disk_t *self = (s_disk_t *) disk;
    int flags =
        O_CLOEXEC | O_NOFOLLOW | (read_only ? O_RDONLY : O_RDWR) | (create ? O_CREAT | O_EXCL : 0);
    int file;
    do {
        file = openat(self->directory, name, flags, 0600);
    } while (file == -1 && errno == EINTR);
    if (file == -1) {
        return yami_fail(errno, "cannot open %s/%s: %s", self->path, name, strerror(errno));
    }
    return file;
}

static int
s_close(yami_disk_t *disk, int file)
{
    (void) disk;
    return close(file) == -1 && errno != EINTR ? -1 : 0;
}

static int64_t
s_pwritev(yami_disk_t *disk, int file, const struct iovec *vector, int count, uint64_t offset)
{
    (void) disk;
    ssize_t written = pwritev(file, vector, count, (off_t) offset);
    return written == -1 ? s_failed() : written;
}

static int64_t
s_pread(yami_disk_t *disk, int file, void *buffer, size_t size, uint64_t offset)
{
    (void) disk;
    return pread(file, buffer, size, (off_t) offset);
}

//  Not retried, whatever errno says.
static int
s_sync_data(yami_disk_t *disk, int file)
{
    (void) disk;
    return fdatasync(file);
}

static int
s_sync_file(yami_disk_t *disk, int file)
{
    (void) disk;
    return fsync(file);
}

static int
s_truncate(yami_disk_t *disk, int file, uint64_t size)
{
    (void) disk;
    int rc;
    do {
        rc = ftruncate(file, (off_t) size);
    } while (rc == -1 && errno == EINTR);
    return rc;
}

static int64_t
s_size(yami_disk_t *disk, int file)
{
    (void) disk;
    struct stat status;
    return fstat(file, &status) == 0 ? (int64_t) status.st_size : -1;
}

static int
s_rename(yami_disk_t *disk, const char *from, const char *to)
{
    const s_disk_t *self = (s_disk_t *) disk;
    return renameat(self->directory, from, self->directory, to) == 0 ? 0 : s_failed();
}

static int
s_remove(yami_disk_t *disk, const char *name)
{
    const s_disk_t *self = (s_disk_t *) disk;
    return unlinkat(self->directory, name, 0);
}

static int
s_sync_directory(yami_disk_t *disk)
{
    const s_disk_t *self = (s_disk_t *) disk;
    return fsync(self->directory);
}

static int
s_list(yami_disk_t *disk, void (*visit)(void *arg, const char *name), void *arg)
{
    const s_disk_t *self = (s_disk_t *) disk;
    int copy = openat(self->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy == -1 ? NULL : fdopendir(copy);
    if (!directory) {
        if (copy != -1) {
            (void) close(copy);
        }
        return yami_fail(errno, "cannot list %s: %s", self->path, strerror(errno));
    }
    errno = 0;
    const struct dirent *item;
    while ((item = readdir(directory))) {
        visit(arg, item->d_name);
        errno = 0;
    }
    int error = errno;
    (void) closedir(directory);
    errno = error;
    return error == 0 ? 0 : -1;
}

static int64_t
s_free_bytes(yami_disk_t *disk)
{
    const s_disk_t *self = (s_disk_t *) disk;
    struct statvfs status;
    if (fstatvfs(self->directory, &status) == -1) {
        return -1;
    }
    uint64_t bytes = (uint64_t) status.f_bavail * status.f_frsize;
    return bytes > INT64_MAX ? INT64_MAX : (int64_t) bytes;
}

static void
s_destroy(yami_disk_t **disk_p)
{
    s_disk_t *self = (s_disk_t *) *disk_p;
    if (!self) {
        return;
    }
    yami_lock_release(&self->lock);
    if (self->directory != -1) {
        (void) close(self->directory);
    }
    yami_free(self->path);
    yami_free(self);
    *disk_p = NULL;
}

//  Makes the directory durable in its parent.
static int
s_sync_parent(const char *path)
{
    char *copy = yami_strdup(path);
    int parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = parent == -1 ? -1 : fsync(parent);
    int error = errno;
    if (parent != -1) {
        (void) close(parent);
    }
    yami_free(copy);
    errno = error;
    return rc;
}

static int
s_open_directory(s_disk_t *self, bool read_only)
{
    if (!read_only) {
        int rc = mkdir(self->path, 0700);
        if (rc == 0) {
            rc = s_sync_parent(self->path);
        }
        if (rc == -1 && errno != EEXIST) {
            return yami_fail(errno, "cannot create store %s: %s", self->path, strerror(errno));
        }
    }
    self->directory = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->directory == -1) {
        return yami_fail(errno, "cannot open store %s: %s", self->path, strerror(errno));
    }
    return read_only ? 0 : yami_lock_take(&self->lock, self->directory, self->path);
}

yami_disk_t *
yami_disk_open(const char *path, bool read_only)
{
    s_disk_t *self = yami_alloc(sizeof *self);
    self->disk = (yami_disk_t) {.open = s_open,
                                .close = s_close,
                                .pwritev = s_pwritev,
                                .pread = s_pread,
                                .sync_data = s_sync_data,
                                .sync_file = s_sync_file,
                                .truncate = s_truncate,
                                .size = s_size,
                                .rename = s_rename,
                                .remove = s_remove,
                                .sync_directory = s_sync_directory,
                                .list = s_list,
                                .free_bytes = s_free_bytes,
                                .destroy = s_destroy};
    self->path = yami_strdup(path);
    self->directory = -1;
    self->lock.fd = -1;
    if (s_open_directory(self, read_only) == -1) {
        int error = errno;
        yami_disk_t *disk = &self->disk;
        s_destroy(&disk);
        errno = error;
        return NULL;
    }
    return &self->disk;
}
