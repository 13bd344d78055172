/*  store - append and trim without any network: our log against LMDB, SQLite and the bare system
    calls.

    Blobs of 64 KiB (batches), made durable in groups; SIZES (not of make bench) are bytes of a
    group. The last KEEP_BYTES are kept, older blobs are trimmed with each group, as a queue does
    that its consumers keep up with. A message in the report is a group, the latency that of its
    append, trim and commit. Every blob kept is read back and compared in the end. All syncs of the
    process are counted, whoever makes them (LMDB also writes its meta page through an O_DSYNC
    descriptor with each commit, which is not).
*/
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/store_driver.h"

#define BLOB_SIZE 65536
#define KEEP_BYTES ((uint64_t) 128 << 20)

typedef struct {
    const bench_store_t *store;
    size_t group_size;
    uint64_t group_count;
    char *directory;
    int64_t busy_ns; //  in append, trim and commit
    double cpu_us;   //  of these
    uint64_t sync_count;
    uint64_t bad_count;
    yami_histogram_t latency; //  of commits, ns
} run_t;

//  ---- One measurement, in a process of its own

static void
s_write_groups(run_t *run, void *self, size_t blob_size)
{
    uint64_t per_group = run->group_size / blob_size;
    uint64_t keep_count = KEEP_BYTES / blob_size;
    void *blobs[BENCH_STORE_GROUP];
    double cpu_before_us = bench_cpu_us();
    for (uint64_t first = 0; first < run->group_count * per_group; first += per_group) {
        for (uint64_t blob = 0; blob < per_group; blob++) {
            blobs[blob] = malloc(blob_size);
            bench_body_write(blobs[blob], blob_size, first + blob, 0);
        }
        int64_t start_ns = bench_now_ns();
        for (uint64_t blob = 0; blob < per_group; blob++) {
            run->store->append(self, first + blob, blobs[blob], blob_size);
        }
        if (first >= keep_count) {
            run->store->trim(self, first - keep_count);
        }
        run->store->commit(self);
        int64_t taken_ns = bench_now_ns() - start_ns;
        run->busy_ns += taken_ns;
        yami_histogram_add(&run->latency, (uint64_t) taken_ns);
    }
    run->cpu_us = bench_cpu_us() - cpu_before_us;
}

static void
s_read_back(run_t *run, void *self, size_t blob_size)
{
    uint64_t count = run->group_count * (run->group_size / blob_size);
    uint64_t keep_count = KEEP_BYTES / blob_size;
    void *blob = malloc(blob_size);
    for (uint64_t index = count > keep_count ? count - keep_count : 0; index < count; index++) {
        if (!run->store->read(self, index, blob, blob_size) ||
            !bench_body_is_valid(blob, blob_size, index)) {
            run->bad_count++;
        }
    }
    free(blob);
}

static int
s_process(void *arg)
{
    run_t *run = arg;
    size_t blob_size = run->group_size < BLOB_SIZE ? run->group_size : BLOB_SIZE;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    void *self = run->store->open(run->directory, KEEP_BYTES);
    uint64_t syncs_before = bench_sync_count();
    s_write_groups(run, self, blob_size);
    run->sync_count = bench_sync_count() - syncs_before;
    s_read_back(run, self, blob_size);
    run->store->close(self);
    return 0;
}

static void
s_measure(const bench_store_t *store, size_t group_size)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t process;
    run->store = store;
    run->group_size = group_size;
    uint64_t full_mib = group_size < 262144 ? 512 : 1024;
    full_mib /= bench_is_quick() ? 4 : 1; //  each group costs a sync: a busy disk takes its time
    run->group_count = bench_messages(full_mib * ((uint64_t) 1 << 20) / group_size);
    run->directory = bench_path("store");
    (void) mkdir(run->directory, 0777); //  the store tells when it is not there
    bench_clear_directory(run->directory);
    bench_fork(&process, store->name, s_process, run);
    bool has_failed = bench_wait(&process, 1, 120) == -1;
    uint64_t blob_size = group_size < BLOB_SIZE ? group_size : BLOB_SIZE;
    bench_result_t result = {.system = store->name,
                             .phase = "append",
                             .size = group_size,
                             .message_count = run->group_count,
                             .seconds = (double) run->busy_ns / 1e9,
                             .latency = &run->latency,
                             .sync_count = run->sync_count,
                             .cpu_us = run->cpu_us,
                             .rss_mb = process.rss_mb,
                             .is_void = has_failed || run->bad_count > 0};
    bench_extra(&result, ", \"blob_bytes\": %llu, \"keep_mb\": %llu",
                (unsigned long long) blob_size, (unsigned long long) KEEP_BYTES >> 20);
    if (run->bad_count > 0) {
        fprintf(stderr, "void: %llu blobs were not what was written\n",
                (unsigned long long) run->bad_count);
    }
    bench_report(&result);
    bench_clear_directory(run->directory);
    free(run->directory);
}

int
main(void)
{
    static const size_t defaults[] = {65536, 262144, 1048576, 0};
    static const bench_store_t *const stores[] = {&bench_store_yam, &bench_store_prefilled,
                                                  &bench_store_growing, &bench_store_lmdb,
                                                  &bench_store_sqlite};
    size_t sizes[16];
    bench_start("store");
    size_t size_count = bench_sizes(sizes, 16, defaults);
    for (size_t index = 0; index < size_count; index++) {
        for (size_t number = 0; number < sizeof stores / sizeof stores[0]; number++) {
            if (stores[number] && bench_wants("SYSTEMS", stores[number]->name)) {
                s_measure(stores[number], sizes[index]);
            }
        }
    }
    return bench_finish();
}
