/*  yami_disk - the file operations the log uses, behind a table: the real disk, or a simulated one.

    The only place that opens files or calls fsync. All names are file names within the one
    directory the disk was opened on, never paths. Every function returns 0 (or what it says), or -1
    with errno. No function retries a failed sync: after a failed fsync the kernel may have dropped
    the pages and the next one lies.
    pwritev and pread are those of the kernel and may move a part; the log calls yami_disk_write and
    yami_disk_read, which go on until all is moved.
*/
#ifndef YAMI_DISK_H
#define YAMI_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct yami_disk yami_disk_t;

struct yami_disk {
    //  Opens name; creates it (exclusively) when create. Returns a file handle >= 0.
    int (*open)(yami_disk_t *self, const char *name, bool create, bool read_only);
    int (*close)(yami_disk_t *self, int file);
    //  Writes some of vector at offset; returns how many bytes. EINTR: none, to be called again.
    int64_t (*pwritev)(yami_disk_t *self, int file, const struct iovec *vector, int count,
                       uint64_t offset);
    //  Reads up to size bytes at offset; returns how many, 0 only at the end of the file. EINTR as
    //  above.
    int64_t (*pread)(yami_disk_t *self, int file, void *buffer, size_t size, uint64_t offset);
    int (*sync_data)(yami_disk_t *self, int file); //  fdatasync
    int (*sync_file)(yami_disk_t *self, int file); //  fsync: size and times, too
    int (*truncate)(yami_disk_t *self, int file, uint64_t size);
    int64_t (*size)(yami_disk_t *self, int file);
    int (*rename)(yami_disk_t *self, const char *from, const char *to);
    int (*remove)(yami_disk_t *self, const char *name);
    int (*sync_directory)(yami_disk_t *self);
    //  Calls visit(arg, name) for each file, in no order.
    int (*list)(yami_disk_t *self, void (*visit)(void *arg, const char *name), void *arg);
    //  Bytes free for unprivileged users on the file system.
    int64_t (*free_bytes)(yami_disk_t *self);
    void (*destroy)(yami_disk_t **self_p);
};

//  Writes all of vector (its items may be changed) at offset. Of what failed any part may be there.
int
yami_disk_write(yami_disk_t *self, int file, struct iovec *vector, int count, uint64_t offset);

//  Fills a new file with size bytes of those, again and again, and syncs it: its blocks are
//  allocated and written then, so that a commit into them changes no metadata (fallocate would
//  leave extents that each first write must convert). No sync has more than 4 MiB to write: commits
//  in between wait for no more than that.
int
yami_disk_fill(yami_disk_t *self, int file, const uint8_t *bytes, size_t count, uint64_t size);

//  Reads up to size bytes at offset; returns how many, less than size only where the file ends.
int64_t
yami_disk_read(yami_disk_t *self, int file, void *buffer, size_t size, uint64_t offset);

//  Whether error says that something ran out that may come back by itself: space, or descriptors.
//  What failed so changed nothing and may be tried again.
bool
yami_disk_is_short(int error);

//  The real directory path (created with mode 0700 when missing, its parent synced). Unless
//  read_only, takes the directory's lock (see yami_lock.h), held until destroy. NULL with errno
//  EWOULDBLOCK and a sentence naming the holder, or EACCES, ENOSPC, EROFS, ...
yami_disk_t *
yami_disk_open(const char *path, bool read_only);

#endif
