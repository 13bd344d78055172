/*  Counts the syncs of a process, whoever makes them: these functions stand before the C library's,
    also for its libraries. Linked into the bench programs, and preloaded into started ones as
    count_syncs.so; these count into memory shared with the bench, by the descriptor in BENCH_SYNCS.
*/
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define EXPORT __attribute__((visibility("default")))

static atomic_uint_fast64_t s_own_count;
static atomic_uint_fast64_t *s_count = &s_own_count;

__attribute__((constructor)) static void
s_share(void)
{
    const char *descriptor = getenv("BENCH_SYNCS");
    if (descriptor) {
        void *shared = mmap(NULL, sizeof *s_count, PROT_READ | PROT_WRITE, MAP_SHARED,
                            (int) strtol(descriptor, NULL, 10), 0);
        s_count = shared != MAP_FAILED ? shared : s_count;
    }
}

uint64_t
bench_sync_count(void)
{
    return atomic_load(s_count);
}

//  The headers name these parameters with reserved names.
//  NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)

EXPORT int
fdatasync(int file)
{
    atomic_fetch_add(s_count, 1);
    return (int) syscall(SYS_fdatasync, file);
}

EXPORT int
fsync(int file)
{
    atomic_fetch_add(s_count, 1);
    return (int) syscall(SYS_fsync, file);
}

EXPORT int
msync(void *address, size_t size, int flags)
{
    atomic_fetch_add(s_count, 1);
    return (int) syscall(SYS_msync, address, size, flags);
}

//  NOLINTEND(readability-inconsistent-declaration-parameter-name)
