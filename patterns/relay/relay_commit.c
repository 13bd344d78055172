#include "yami_relay_commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "yami_base.h"

#define S_AGAIN_MS 100 //  until what found no space is tried again

struct yami_relay_commit {
    yami_store_t *store; //  borrowed
    int wake_fd;         //  borrowed
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t kicked;
    bool is_dirty;       //  under lock: something was appended since the last commit began
    uint64_t wanted_lsn; //  under lock: all up to it shall become durable
    bool is_stopping;    //  under lock
    _Atomic uint64_t durable_lsn;
    _Atomic int error;
};

static void
s_wake(const yami_relay_commit_t *self)
{
    uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    YAM_ASSERT(written == (ssize_t) sizeof one || errno == EAGAIN);
}

//  Sleeps until kicked, or for S_AGAIN_MS. Whether it was for so long. The lock is held.
static bool
s_doze(yami_relay_commit_t *self)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += S_AGAIN_MS * 1000000l;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(&self->kicked, &self->lock, &until) == ETIMEDOUT;
}

//  Waits for work; false when the thread shall end and nothing is left to do. What found no space
//  on the disk is work again after a while: with all publishers refused, nobody else would kick.
static bool
s_wait(yami_relay_commit_t *self)
{
    pthread_mutex_lock(&self->lock);
    while (!self->is_dirty && !self->is_stopping) {
        if (self->wanted_lsn <= atomic_load(&self->durable_lsn)) {
            pthread_cond_wait(&self->kicked, &self->lock);
        } else {
            self->is_dirty = s_doze(self) || self->is_dirty;
        }
    }
    bool has_work = self->is_dirty;
    self->is_dirty = false;
    pthread_mutex_unlock(&self->lock);
    return has_work;
}

static void *
s_run(void *arg)
{
    yami_relay_commit_t *self = arg;
    while (s_wait(self)) {
        uint64_t durable_lsn = 0;
        int rc = self->store->ops->commit(self->store, &durable_lsn);
        if (rc == -1) {
            //  promise (7): final, never retried
            atomic_store(&self->error, errno == 0 ? EIO : errno);
        } else {
            atomic_store(&self->durable_lsn, durable_lsn);
        }
        s_wake(self);
        if (rc == -1) {
            break;
        }
    }
    return NULL;
}

yami_relay_commit_t *
yami_relay_commit_new(yami_store_t *store, int wake_fd)
{
    YAM_ASSERT(store != NULL && wake_fd >= 0);
    yami_relay_commit_t *self = yami_alloc(sizeof *self);
    self->store = store;
    self->wake_fd = wake_fd;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->kicked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = pthread_create(&self->thread, NULL, s_run, self);
    if (rc != 0) {
        pthread_cond_destroy(&self->kicked);
        pthread_mutex_destroy(&self->lock);
        yami_free(self);
        yami_fail(rc, "relay: cannot start the commit thread (raise the limit on threads)");
        return NULL;
    }
    return self;
}

void
yami_relay_commit_destroy(yami_relay_commit_t **self_p)
{
    YAM_ASSERT(self_p != NULL);
    yami_relay_commit_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    pthread_cond_signal(&self->kicked);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->kicked);
    pthread_mutex_destroy(&self->lock);
    yami_free(self);
    *self_p = NULL;
}

void
yami_relay_commit_kick(yami_relay_commit_t *self, uint64_t lsn)
{
    pthread_mutex_lock(&self->lock);
    YAM_ASSERT(lsn >= self->wanted_lsn);
    self->wanted_lsn = lsn;
    self->is_dirty = true;
    pthread_cond_signal(&self->kicked);
    pthread_mutex_unlock(&self->lock);
}

uint64_t
yami_relay_commit_durable(const yami_relay_commit_t *self)
{
    return atomic_load(&self->durable_lsn);
}

int
yami_relay_commit_error(const yami_relay_commit_t *self)
{
    return atomic_load(&self->error);
}
