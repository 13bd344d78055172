//  yam_sub: a subscription, of either grade.

#include <errno.h>

#include "yam_relay_embed.h"
#include "yam_sub.h"
#include "yami_base.h"
#include "yami_frame.h"
#include "yami_place.h"

struct yam_sub {
    yami_receiver_t *receiver; //  owned
    yami_place_t place;
};

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_TOPIC, false, &s_embedding};

yam_sub_t *
yam_sub_new(yam_t *yam, const char *topic, const char *endpoint)
{
    yam_sub_t *self = yami_alloc(sizeof *self);
    self->receiver = yami_place_receiver(&self->place, &s_kind, yam, topic, endpoint);
    if (!self->receiver) {
        int error = errno;
        yami_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yam_sub_destroy(yam_sub_t **self_p)
{
    if (self_p && *self_p) {
        (void) yam_sub_close(self_p, (int) (*self_p)->receiver->linger_ms);
    }
}

uint64_t
yam_sub_close(yam_sub_t **self_p, int timeout_ms)
{
    yam_sub_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return 0;
    }
    *self_p = NULL;
    uint64_t left = yami_place_close_receiver(&self->place, &self->receiver, timeout_ms);
    yami_free(self);
    return left;
}

yam_message_t *
yam_sub_recv(yam_sub_t *self, int timeout_ms)
{
    return self->receiver->ops->recv(self->receiver, timeout_ms);
}

//  The message is freed also when its session is over: it will come again.
static int
s_settle(yam_sub_t *self, yam_message_t **message_p, yami_settle_kind_t kind, int delay_ms,
         const char *reason)
{
    if (!message_p || !*message_p) {
        return yami_fail(EINVAL, "there is no message to settle");
    }
    int rc = self->receiver->ops->settle(self->receiver, message_p, kind, delay_ms, reason);
    int error = errno;
    yam_message_destroy(message_p);
    errno = error;
    return rc;
}

int
yam_sub_ack(yam_sub_t *self, yam_message_t **message_p)
{
    return s_settle(self, message_p, YAMI_SETTLE_ACK, 0, NULL);
}

int
yam_sub_nack(yam_sub_t *self, yam_message_t **message_p, int delay_ms, const char *reason)
{
    return s_settle(self, message_p, YAMI_SETTLE_NACK, delay_ms, reason);
}

int
yam_sub_reject(yam_sub_t *self, yam_message_t **message_p, const char *reason)
{
    return s_settle(self, message_p, YAMI_SETTLE_REJECT, 0, reason);
}

int
yam_sub_release(yam_sub_t *self, yam_message_t **message_p)
{
    return s_settle(self, message_p, YAMI_SETTLE_RELEASE, 0, NULL);
}

int
yam_sub_extend(yam_sub_t *self, const yam_message_t *message)
{
    return self->receiver->ops->extend(self->receiver, message);
}

uint64_t
yam_sub_flush(yam_sub_t *self, int timeout_ms)
{
    return self->receiver->ops->flush(self->receiver, timeout_ms);
}

int
yam_sub_fd(yam_sub_t *self)
{
    return self->receiver->ops->fd(self->receiver);
}

void
yam_sub_stats(yam_sub_t *self, yam_sub_stats_t *stats)
{
    self->receiver->ops->stats(self->receiver, stats);
}

const char *
yam_sub_endpoint(const yam_sub_t *self)
{
    return self->receiver->ops->endpoint(self->receiver);
}
