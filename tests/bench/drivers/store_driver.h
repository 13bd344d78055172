/*  store_driver - one way of keeping blobs behind a small table: appended in groups, durable after
    commit, the oldest given up. Failures end the process with bench_fail.
*/
#ifndef BENCH_STORE_DRIVER_H
#define BENCH_STORE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../harness/bench.h"

#define BENCH_STORE_GROUP 64 //  most blobs of a group

typedef struct {
    const char *name;
    //  An empty store in directory, with room for twice keep_bytes.
    void *(*open)(const char *directory, uint64_t keep_bytes);
    void (*close)(void *self);
    //  Adds blob number index (0, 1, 2 ...) to the open group. blob is from malloc and the store's
    //  from now on.
    void (*append)(void *self, uint64_t index, void *blob, size_t size);
    //  Blobs below floor are not needed any more; counts from the next commit on.
    void (*trim)(void *self, uint64_t floor);
    //  Makes the group durable.
    void (*commit)(void *self);
    //  Copies blob number index, committed and not trimmed, of size bytes. Whether it was there.
    bool (*read)(void *self, uint64_t index, void *blob, size_t size);
} bench_store_t;

extern const bench_store_t
    bench_store_prefilled;                      //  pwritev + fdatasync over zeros, round and round
extern const bench_store_t bench_store_growing; //  the same at the end of files of 64 MiB
extern const bench_store_t bench_store_lmdb;
extern const bench_store_t bench_store_sqlite; //  WAL, synchronous=FULL
extern const bench_store_t bench_store_yam;    //  the segment log

#endif
