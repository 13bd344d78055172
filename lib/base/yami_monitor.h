/*  yami_monitor - a lock and what waits for a change of what it guards.

    Telling costs nothing while nobody waits. Deadlines are monotonic milliseconds, INT64_MAX for
    none.
*/
#ifndef YAMI_MONITOR_H
#define YAMI_MONITOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned waiter_count; //  under lock
} yami_monitor_t;

void
yami_monitor_init(yami_monitor_t *self);

void
yami_monitor_destroy(yami_monitor_t *self);

static inline void
yami_monitor_lock(yami_monitor_t *self)
{
    (void) pthread_mutex_lock(&self->lock);
}

static inline void
yami_monitor_unlock(yami_monitor_t *self)
{
    (void) pthread_mutex_unlock(&self->lock);
}

//  Under the lock: lets go of it until told or until_ms. Whether there is time left.
bool
yami_monitor_wait(yami_monitor_t *self, int64_t until_ms);

//  Under the lock: wakes all who wait.
static inline void
yami_monitor_tell(yami_monitor_t *self)
{
    if (self->waiter_count > 0) {
        (void) pthread_cond_broadcast(&self->changed);
    }
}

//  When timeout_ms (-1: never) from now is over.
int64_t
yami_monitor_deadline(int64_t timeout_ms);

#endif
