//  inlet - the receiving half of the wrappers. See yami_inlet.h.

#include "yami_inlet.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_monitor.h"

static yami_receiver_t *
s_receiver(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint)
{
    return endpoint->options.grade == YAMI_GRADE_FAST
               ? yami_fast_receiver_new(yam, kind, endpoint)
               : yami_sure_receiver_new(yam, kind, channel, endpoint);
}

yami_inlet_t *
yami_inlet_new(const yami_place_kind_t *kind, yam_t *yam, const char *channel, const char *endpoint)
{
    yami_endpoint_t parsed;
    yami_inlet_t *self = yami_alloc(sizeof *self);
    if (yami_place_open(&self->place, kind, yam, channel, endpoint, &parsed) == 0) {
        self->receiver = s_receiver(yam, kind->kind, channel, &parsed);
    }
    if (!self->receiver) {
        int error = errno;
        yami_place_leave(&self->place, 0);
        yami_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yami_inlet_destroy(yami_inlet_t *self)
{
    if (self) {
        (void) yami_inlet_close(self, (int) self->receiver->linger_ms);
    }
}

uint64_t
yami_inlet_close(yami_inlet_t *self, int timeout_ms)
{
    if (!self) {
        return 0;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    uint64_t left = self->receiver->ops->close(&self->receiver, timeout_ms);
    yami_place_leave(&self->place, until_ms); //  nobody here uses its relay any more
    yami_free(self);
    return left;
}

yam_message_t *
yami_inlet_recv(yami_inlet_t *self, int timeout_ms)
{
    return self->receiver->ops->recv(self->receiver, timeout_ms);
}

int
yami_inlet_settle(yami_inlet_t *self, yam_message_t **message_p, yami_settle_kind_t kind,
                  int delay_ms, const char *reason)
{
    YAM_ASSERT(kind != YAMI_SETTLE_EXTEND);
    if (!message_p || !*message_p) {
        return yami_fail(EINVAL, "there is no message to settle");
    }
    int rc = self->receiver->ops->settle(self->receiver, message_p, kind, delay_ms, reason);
    int error = errno;
    yam_message_destroy(message_p); //  after a failure
    errno = error;
    return rc;
}

int
yami_inlet_extend(yami_inlet_t *self, const yam_message_t *message)
{
    if (!message) {
        return yami_fail(EINVAL, "there is no message to extend the lease of");
    }
    return self->receiver->ops->extend(self->receiver, message);
}

uint64_t
yami_inlet_flush(yami_inlet_t *self, int timeout_ms)
{
    return self->receiver->ops->flush(self->receiver, timeout_ms);
}

int
yami_inlet_fd(yami_inlet_t *self)
{
    return self->receiver->ops->fd(self->receiver);
}

void
yami_inlet_stats(yami_inlet_t *self, yam_receiver_stats_t *stats)
{
    self->receiver->ops->stats(self->receiver, stats);
}

const char *
yami_inlet_endpoint(const yami_inlet_t *self)
{
    return self->place.bound[0] ? self->place.bound : self->receiver->ops->endpoint(self->receiver);
}
