//  Assertions, error text, clocks, randomness and the checksum.

#include <errno.h>
#include <isa-l/crc.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "yam_error.h"
#include "yami_base.h"

#define ERROR_SIZE 512
#define CRC_CHUNK ((size_t) 1 << 30) //  crc32_iscsi counts in int

static _Thread_local char s_error[ERROR_SIZE];

_Noreturn void
yami_panic(const char *file, int line, const char *condition)
{
    (void) fprintf(stderr, "yam: broken promise: %s (%s:%d), aborting\n", condition, file, line);
    abort();
}

const char *
yam_error(void)
{
    return s_error;
}

int
yami_fail(int error, const char *format, ...)
{
    char sentence[ERROR_SIZE]; //  an argument may be yam_error() itself
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    (void) snprintf(s_error, sizeof s_error, "%s", sentence);
    errno = error;
    return -1;
}

int
yam_error_set(int error, const char *sentence)
{
    return yami_fail(error, "%s", sentence);
}

static struct timespec
s_clock(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    YAM_ASSERT(rc == 0);
    return now;
}

int64_t
yami_clock_mono_ms(void)
{
    struct timespec now = s_clock(CLOCK_MONOTONIC);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
yami_clock_wall_ms(void)
{
    struct timespec now = s_clock(CLOCK_REALTIME);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
yami_clock_mono_us(void)
{
    struct timespec now = s_clock(CLOCK_MONOTONIC);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
yami_random(void *bytes, size_t size)
{
    int rc = sodium_init(); //  thread-safe, and cheap when it was done before
    YAM_ASSERT(rc >= 0);
    randombytes_buf(bytes, size);
}

uint32_t
yami_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    //  isa-l leaves out the inversions before and after that RFC 3720 asks for; undoing the last
    //  one on entry is what makes chaining work. It takes a non-const pointer, and only reads.
    unsigned char *cursor = (unsigned char *) bytes;
    crc = ~crc;
    while (size > CRC_CHUNK) {
        crc = crc32_iscsi(cursor, (int) CRC_CHUNK, crc);
        cursor += CRC_CHUNK;
        size -= CRC_CHUNK;
    }
    if (size > 0) {
        crc = crc32_iscsi(cursor, (int) size, crc);
    }
    return ~crc;
}
