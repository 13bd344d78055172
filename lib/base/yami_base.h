/*  yami_base - the ground every other file stands on: assertions, memory, clocks, error text.

    Not public. Clocks are read here and handed in everywhere else: no core calls these.
*/
#ifndef YAMI_BASE_H
#define YAMI_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Checks what this process promises, never what a peer, a file, the clock or a user supplied.
//  Stays on in release: a broken invariant must not reach the disk.
#define YAM_ASSERT(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            yami_panic(__FILE__, __LINE__, #condition);                                            \
        }                                                                                          \
    } while (0)

//  Prints what broke and aborts.
_Noreturn void
yami_panic(const char *file, int line, const char *condition);

//  For what cannot go on without memory and keep its promises, such as a decision that there is no
//  room to write down: condition is false only with errno ENOMEM, and ends the process then. What
//  was promised until then holds, as after kill -9.
#define YAM_NEED(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            yami_starve(__FILE__, __LINE__, #condition);                                           \
        }                                                                                          \
    } while (0)

//  Prints that memory is out and aborts; panics when errno is not ENOMEM.
_Noreturn void
yami_starve(const char *file, int line, const char *condition);

//  size zeroed bytes. Never NULL: aborts when memory is out. For objects of fixed size only.
void *
yami_alloc(size_t size);

//  size (> 0) bytes, not zeroed, or NULL with errno EMSGSIZE (size > limit) or ENOMEM. For every
//  size that a peer, a file or a user influenced.
void *
yami_try_alloc(size_t size, size_t limit);

//  Grows *array_p, of *capacity_p elements of element_size bytes, to hold at least needed elements
//  (doubling). Returns 0, or -1 with errno ENOMEM or EMSGSIZE (needed > limit); nothing changed
//  then.
int
yami_grow(void *array_p, size_t *capacity_p, size_t needed, size_t element_size, size_t limit);

//  Frees what yami_alloc, yami_try_alloc or yami_grow gave. Safe on NULL.
void
yami_free(void *memory);

//  A copy of text, owned by the caller. Never NULL.
char *
yami_strdup(const char *text);

//  Milliseconds of CLOCK_MONOTONIC (leases, timeouts) and of the wall clock since 1970 (due,
//  expiry).
int64_t
yami_clock_mono_ms(void);
int64_t
yami_clock_wall_ms(void);

//  Microseconds of CLOCK_MONOTONIC, for measuring.
int64_t
yami_clock_mono_us(void);

//  Sets errno and this thread's error sentence (see yam_error.h), cut at 511 bytes. Returns -1, so
//  that a failing function can end in `return yami_fail(EINVAL, "...")`.
int
yami_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

//  size bytes from the system's secure random source (libsodium).
void
yami_random(void *bytes, size_t size);

//  CRC32C (Castagnoli, RFC 3720 appendix B.4) of size bytes, continuing from crc (0 to start): so
//  yami_crc32c(yami_crc32c(0, a, n), b, m) is the checksum of a then b.
uint32_t
yami_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
