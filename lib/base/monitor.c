//  monitor - see yami_monitor.h.

#include "yami_monitor.h"

#include <errno.h>
#include <time.h>

#include "yami_base.h"

void
yami_monitor_init(yami_monitor_t *self)
{
    pthread_mutexattr_t kind;
    (void) pthread_mutexattr_init(&kind);
    (void) pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP); //  held for some 50 ns
    (void) pthread_mutex_init(&self->lock, &kind);
    (void) pthread_mutexattr_destroy(&kind);
    pthread_condattr_t clock;
    (void) pthread_condattr_init(&clock);
    (void) pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void) pthread_cond_init(&self->changed, &clock);
    (void) pthread_condattr_destroy(&clock);
    self->waiter_count = 0;
}

void
yami_monitor_destroy(yami_monitor_t *self)
{
    YAM_ASSERT(self->waiter_count == 0);
    (void) pthread_cond_destroy(&self->changed);
    (void) pthread_mutex_destroy(&self->lock);
}

bool
yami_monitor_wait(yami_monitor_t *self, int64_t until_ms)
{
    self->waiter_count++;
    int rc = 0;
    if (until_ms == INT64_MAX) {
        rc = pthread_cond_wait(&self->changed, &self->lock);
    } else {
        struct timespec at = {.tv_sec = (time_t) (until_ms / 1000),
                              .tv_nsec = (long) (until_ms % 1000) * 1000000};
        rc = pthread_cond_timedwait(&self->changed, &self->lock, &at);
    }
    self->waiter_count--;
    return rc != ETIMEDOUT;
}

int64_t
yami_monitor_deadline(int64_t timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : yami_clock_mono_ms() + timeout_ms;
}
