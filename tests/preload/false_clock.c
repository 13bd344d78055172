/*  A clock that a test sets: this function stands before the C library's, for a whole process that
    false_clock.so is preloaded into. FALSE_CLOCK names a file of eight bytes, the seconds that the
    wall clock is wrong by (int64, native order), which may change at any time. With
    FALSE_CLOCK_MONOTONIC the monotonic clock is wrong by them, too.
*/
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int_fast64_t s_none;
static atomic_int_fast64_t *s_seconds = &s_none;
static bool s_is_monotonic_wrong;

__attribute__((constructor)) static void
s_open(void)
{
    const char *path = getenv("FALSE_CLOCK");
    int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file == -1) {
        return;
    }
    void *shared = mmap(NULL, sizeof *s_seconds, PROT_READ, MAP_SHARED, file, 0);
    s_seconds = shared != MAP_FAILED ? shared : s_seconds;
    s_is_monotonic_wrong = getenv("FALSE_CLOCK_MONOTONIC") != NULL;
    (void) close(file);
}

//  The header names these parameters with reserved names.
//  NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
__attribute__((visibility("default"))) int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = (int) syscall(SYS_clock_gettime, clock, now);
    bool is_wrong = clock == CLOCK_REALTIME || (clock == CLOCK_MONOTONIC && s_is_monotonic_wrong);
    if (rc == 0 && is_wrong) {
        now->tv_sec += atomic_load(s_seconds);
    }
    return rc;
}
//  NOLINTEND(readability-inconsistent-declaration-parameter-name)
