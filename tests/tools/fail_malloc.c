//  fail_malloc - preloaded into a daemon: one allocation fails, of those that may.
//
//  YAM_FAIL_RANGE is two addresses within the program, in hexadecimal: where a function begins and
//  ends whose allocations return errors, such as yami_try_alloc. The YAM_FAIL_AT-th call of malloc
//  or realloc from there returns NULL, and a line on stderr says so. test_memory.py compiles it.

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#define ELF_HEADER_SIZE 64 //  program headers follow it

static uintptr_t s_first, s_end;
static long s_fail_at;
static atomic_long s_count;

extern void *
__libc_malloc(size_t size);
extern void *
__libc_realloc(void *memory, size_t size);

__attribute__((constructor)) static void
s_start(void)
{
    const char *range = getenv("YAM_FAIL_RANGE"), *at = getenv("YAM_FAIL_AT");
    if (range && at) {
        uintptr_t base = getauxval(AT_PHDR) - ELF_HEADER_SIZE;
        char *next = NULL;
        s_first = base + strtoul(range, &next, 16);
        s_end = base + strtoul(next, NULL, 16);
        s_fail_at = strtol(at, NULL, 10);
    }
}

static bool
s_must_fail(const void *caller)
{
    static const char told[] = "fail_malloc: failed\n";
    if ((uintptr_t) caller < s_first || (uintptr_t) caller >= s_end ||
        atomic_fetch_add(&s_count, 1) + 1 != s_fail_at) {
        return false;
    }
    (void) !write(STDERR_FILENO, told, sizeof told - 1);
    errno = ENOMEM;
    return true;
}

void *
malloc(size_t size)
{
    return s_must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *
realloc(void *memory, size_t size) // NOLINT(readability-inconsistent-declaration-parameter-name)
{
    return s_must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}
