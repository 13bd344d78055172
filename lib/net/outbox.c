//  Bytes that ZeroMQ holds. See yami_outbox.h.

#include "yami_outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "yami_base.h"

struct yami_outboxes {
    int wake_fd;                      //  owned
    _Atomic uint64_t bytes;           //  (1)
    _Atomic uint32_t reference_count; //  the owner's, and one of each outbox
};

struct yami_outbox {
    yami_outboxes_t *all;             //  a reference
    _Atomic uint64_t bytes;           //  (1)
    _Atomic uint64_t below;           //  (2) 0: nobody waits
    _Atomic uint32_t reference_count; //  the owner's, and one of each message
};

yami_outboxes_t *
yami_outboxes_new(int wake_fd)
{
    int copy = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
    if (copy == -1) {
        (void) yami_fail(errno, "no descriptor for an event (raise the limit: ulimit -n)");
        return NULL;
    }
    yami_outboxes_t *self = yami_alloc(sizeof *self);
    self->wake_fd = copy;
    self->reference_count = 1;
    return self;
}

void
yami_outboxes_destroy(yami_outboxes_t **self_p)
{
    yami_outboxes_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub(&self->reference_count, 1) == 1) {
        YAM_ASSERT(atomic_load(&self->bytes) == 0); //  (1)
        (void) close(self->wake_fd);
        yami_free(self);
    }
}

uint64_t
yami_outboxes_bytes(const yami_outboxes_t *self)
{
    return atomic_load(&self->bytes);
}

yami_outbox_t *
yami_outbox_new(yami_outboxes_t *outboxes)
{
    yami_outbox_t *self = yami_alloc(sizeof *self);
    self->all = outboxes;
    self->reference_count = 1;
    atomic_fetch_add(&outboxes->reference_count, 1);
    return self;
}

void
yami_outbox_unref(yami_outbox_t **self_p)
{
    yami_outbox_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub(&self->reference_count, 1) == 1) {
        YAM_ASSERT(atomic_load(&self->bytes) == 0); //  (1)
        yami_outboxes_destroy(&self->all);
        yami_free(self);
    }
}

uint64_t
yami_outbox_bytes(const yami_outbox_t *self)
{
    return atomic_load(&self->bytes);
}

bool
yami_outbox_wait(yami_outbox_t *self, uint64_t below)
{
    YAM_ASSERT(below > 0);
    //  First the wish, then the look: who discharges does it the other way round, so one sees the
    //  other.
    atomic_store(&self->below, below);
    if (atomic_load(&self->bytes) >= below) {
        return true;
    }
    atomic_store(&self->below, 0);
    return false;
}

void
yami_outbox_charge(yami_outbox_t *self, uint64_t charge)
{
    atomic_fetch_add(&self->reference_count, 1);
    atomic_fetch_add(&self->bytes, charge);
    atomic_fetch_add(&self->all->bytes, charge);
}

void
yami_outbox_discharge(yami_outbox_t *self, uint64_t charge)
{
    atomic_fetch_sub(&self->all->bytes, charge);
    uint64_t left = atomic_fetch_sub(&self->bytes, charge) - charge;
    if (left < atomic_load(&self->below) && atomic_exchange(&self->below, 0) > 0) {
        uint64_t one = 1;
        ssize_t size = write(self->all->wake_fd, &one, sizeof one);
        YAM_ASSERT(size == (ssize_t) sizeof one || errno == EAGAIN);
    }
    yami_outbox_unref(&self);
}
