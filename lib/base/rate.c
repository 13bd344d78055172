//  A ring of seconds.

#include "yami_rate.h"

#include "yami_base.h"

void
yami_rate_add(yami_rate_t *self, int64_t now_ms, uint64_t count)
{
    int64_t second = now_ms / 1000;
    YAM_ASSERT(second >= self->second);
    if (second - self->second > YAMI_RATE_SECONDS) {
        self->second = second - YAMI_RATE_SECONDS; //  all of the ring is old
    }
    while (self->second < second) {
        self->counts[++self->second % YAMI_RATE_SECONDS] = 0;
    }
    self->counts[second % YAMI_RATE_SECONDS] += count;
}

uint64_t
yami_rate_per_second(const yami_rate_t *self, int64_t now_ms)
{
    yami_rate_t now = *self;
    yami_rate_add(&now, now_ms, 0);
    uint64_t sum = 0;
    for (int index = 0; index < YAMI_RATE_SECONDS; index++) {
        sum += now.counts[index];
    }
    return (sum + YAMI_RATE_SECONDS - 1) / YAMI_RATE_SECONDS;
}
