#include "yami_relay_commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_monitor.h"
#include "yami_thread.h"

#define S_AGAIN_MS 100 //  until what found no space is tried again

struct yami_relay_commit {
    yami_store_t *store; //  borrowed
    int wake_fd;         //  borrowed
    pthread_t thread;
    yami_monitor_t monitor; //  tells of a kick, and of the end
    bool is_dirty;          //  under the lock: something was appended since the last commit began
    uint64_t wanted_lsn;    //  under the lock: all up to it shall become durable
    bool is_stopping;       //  under lock
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

//  Waits for work; false when the thread shall end and nothing is left to do. What found no space
//  on the disk is work again after a while: with all publishers refused, nobody else would kick.
static bool
s_wait(yami_relay_commit_t *self)
{
    yami_monitor_lock(&self->monitor);
    while (!self->is_dirty && !self->is_stopping) {
        if (self->wanted_lsn <= atomic_load(&self->durable_lsn)) {
            (void) yami_monitor_wait(&self->monitor, INT64_MAX);
        } else {
            bool is_over = !yami_monitor_wait(&self->monitor, yami_monitor_deadline(S_AGAIN_MS));
            self->is_dirty = self->is_dirty || is_over;
        }
    }
    bool has_work = self->is_dirty;
    self->is_dirty = false;
    yami_monitor_unlock(&self->monitor);
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
    yami_monitor_init(&self->monitor);
    int rc = yami_thread_start(&self->thread, s_run, self);
    if (rc != 0) {
        yami_monitor_destroy(&self->monitor);
        yami_free(self);
        yami_fail(ENOMEM, "relay: cannot start the commit thread (raise the limit on threads)");
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
    yami_monitor_lock(&self->monitor);
    self->is_stopping = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    pthread_join(self->thread, NULL);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
    *self_p = NULL;
}

void
yami_relay_commit_kick(yami_relay_commit_t *self, uint64_t lsn)
{
    yami_monitor_lock(&self->monitor);
    YAM_ASSERT(lsn >= self->wanted_lsn);
    self->wanted_lsn = lsn;
    self->is_dirty = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
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
