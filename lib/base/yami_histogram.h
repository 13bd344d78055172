/*  yami_histogram - latencies in microseconds in log-linear buckets (as HdrHistogram's: 16 buckets
    per power of two, so a value is off by at most 1/16). Fixed size, pure, not thread-safe.
*/
#ifndef YAMI_HISTOGRAM_H
#define YAMI_HISTOGRAM_H

#include <stdint.h>

#define YAMI_HISTOGRAM_BUCKETS 640

typedef struct {
    uint64_t buckets[YAMI_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max; //  largest value seen
} yami_histogram_t;

void
yami_histogram_add(yami_histogram_t *self, uint64_t value);

//  The value below which permille (0..1000) of all values lie; 0 when empty.
uint64_t
yami_histogram_quantile(const yami_histogram_t *self, unsigned permille);

//  Adds all of other to self.
void
yami_histogram_merge(yami_histogram_t *self, const yami_histogram_t *other);

#endif
