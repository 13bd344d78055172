/*  A kernel that moves less than it is asked to: these functions stand before the C library's, for
    a whole process that short_transfers.so is preloaded into. Of what is read or written at an
    offset each call moves a part at random, often a few bytes; one in eight says EINTR and moves
    nothing. That is all within POSIX. With SHORT_TRANSFERS_LIE each write says that it moved all,
    which is what a caller would do that takes a part for the whole; but not at the beginning of a
    file, since a store of which a header is cut is refused, and nothing can be missing then. The
    parts are the same in each process, as far as its threads take turns in the same way.
*/
//  hiredis asks for 64: these functions would be called pread64 and pwritev64
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define S_ITEM_LIMIT 16 //  of a vector that one call looks at
#define S_FEW 16        //  bytes

static atomic_uint_fast64_t s_turn;
static bool s_is_lying;

__attribute__((constructor)) static void
s_open(void)
{
    s_is_lying = getenv("SHORT_TRANSFERS_LIE") != NULL;
}

//  SplitMix64, a number for each turn.
static uint64_t
s_random(void)
{
    uint64_t random = (atomic_fetch_add(&s_turn, 1) + 1) * 0x9e3779b97f4a7c15U;
    random = (random ^ (random >> 30)) * 0xbf58476d1ce4e5b9U;
    random = (random ^ (random >> 27)) * 0x94d049bb133111ebU;
    return random ^ (random >> 31);
}

//  How much of size bytes moves: at least one, unless there is none; -1 with errno EINTR.
static ssize_t
s_part(size_t size)
{
    uint64_t random = s_random();
    size_t most = random & 8 ? S_FEW : size;
    if (random % 8 == 0) {
        errno = EINTR;
        return -1;
    }
    most = most < size ? most : size;
    return most == 0 ? 0 : (ssize_t) (1 + (random >> 8) % most);
}

//  The header names these parameters with reserved names.
//  NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
__attribute__((visibility("default"))) ssize_t
pread(int file, void *buffer, size_t size, off_t offset)
{
    ssize_t part = s_part(size);
    return part == -1 ? -1 : syscall(SYS_pread64, file, buffer, (size_t) part, offset);
}

__attribute__((visibility("default"))) ssize_t
pwritev(int file, const struct iovec *vector, int count, off_t offset)
{
    struct iovec parts[S_ITEM_LIMIT];
    size_t size = 0;
    bool is_lie = s_is_lying && offset > 0;
    count = count < S_ITEM_LIMIT ? count : S_ITEM_LIMIT;
    memcpy(parts, vector, (size_t) count * sizeof *vector);
    for (int index = 0; index < count; index++) {
        size += parts[index].iov_len;
    }
    ssize_t left = s_part(size);
    if (left == -1) {
        return is_lie ? (ssize_t) size : -1;
    }
    for (int index = 0; index < count; index++) {
        size_t part = parts[index].iov_len < (size_t) left ? parts[index].iov_len : (size_t) left;
        parts[index].iov_len = part;
        left -= (ssize_t) part;
    }
    ssize_t moved = syscall(SYS_pwritev, file, parts, count, offset, 0);
    return moved != -1 && is_lie ? (ssize_t) size : moved;
}
//  NOLINTEND(readability-inconsistent-declaration-parameter-name)
