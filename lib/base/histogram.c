//  Log-linear buckets: values below 16 have one each, then 16 for every power of two.

#include "yami_base.h"
#include "yami_histogram.h"

#define STEPS_LOG2 4
#define STEPS (1U << STEPS_LOG2)

static unsigned
s_bucket(uint64_t value)
{
    if (value < STEPS) {
        return (unsigned) value;
    }
    unsigned shift = 63U - (unsigned) __builtin_clzll(value) - STEPS_LOG2;
    unsigned bucket = (shift + 1) * STEPS + (unsigned) ((value >> shift) & (STEPS - 1));
    return bucket < YAMI_HISTOGRAM_BUCKETS ? bucket : YAMI_HISTOGRAM_BUCKETS - 1;
}

//  The largest value that falls into a bucket.
static uint64_t
s_upper_bound(unsigned bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    if (bucket == YAMI_HISTOGRAM_BUCKETS - 1) {
        return UINT64_MAX; //  the last one also takes all that is larger
    }
    unsigned shift = bucket / STEPS - 1;
    return ((uint64_t) (STEPS + bucket % STEPS + 1) << shift) - 1;
}

void
yami_histogram_add(yami_histogram_t *self, uint64_t value)
{
    self->buckets[s_bucket(value)]++;
    self->count++;
    if (value > self->max) {
        self->max = value;
    }
}

uint64_t
yami_histogram_quantile(const yami_histogram_t *self, unsigned permille)
{
    YAM_ASSERT(permille <= 1000);
    //  How many values must lie at or below the answer, rounded up; in two parts against overflow.
    uint64_t rank = self->count / 1000 * permille + (self->count % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < YAMI_HISTOGRAM_BUCKETS; bucket++) {
        seen += self->buckets[bucket];
        if (seen > 0 && seen >= rank) {
            uint64_t bound = s_upper_bound(bucket);
            return bound < self->max ? bound : self->max;
        }
    }
    return 0;
}

void
yami_histogram_merge(yami_histogram_t *self, const yami_histogram_t *other)
{
    for (unsigned bucket = 0; bucket < YAMI_HISTOGRAM_BUCKETS; bucket++) {
        self->buckets[bucket] += other->buckets[bucket];
    }
    self->count += other->count;
    if (other->max > self->max) {
        self->max = other->max;
    }
}
