/*  yami_rate - how many things happened per second, as the mean of the last ten seconds.

    Fixed size, pure: time is handed in. Not thread-safe.
*/
#ifndef YAMI_RATE_H
#define YAMI_RATE_H

#include <stdint.h>

#define YAMI_RATE_SECONDS 10

//  All zero is an empty one.
typedef struct {
    uint64_t counts[YAMI_RATE_SECONDS]; //  of second, and of those before it, as a ring
    int64_t second;                     //  the latest one
} yami_rate_t;

//  count things happened now (monotonic, >= 0, not before an earlier now).
void
yami_rate_add(yami_rate_t *self, int64_t now_ms, uint64_t count);

//  Per second, rounded up: 0 only when nothing happened in the last ten seconds.
uint64_t
yami_rate_per_second(const yami_rate_t *self, int64_t now_ms);

#endif
