//  yam_pull: a puller, of either grade.

#include <errno.h>

#include "yam_pull.h"
#include "yam_relay_embed.h"
#include "yami_base.h"
#include "yami_frame.h"
#include "yami_place.h"

struct yam_pull {
    yami_receiver_t *receiver; //  owned
    yami_place_t place;
};

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_QUEUE, true, &s_embedding};

yam_pull_t *
yam_pull_new(yam_t *yam, const char *queue, const char *endpoint)
{
    yam_pull_t *self = yami_alloc(sizeof *self);
    self->receiver = yami_place_receiver(&self->place, &s_kind, yam, queue, endpoint);
    if (!self->receiver) {
        int error = errno;
        yami_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yam_pull_destroy(yam_pull_t **self_p)
{
    if (self_p && *self_p) {
        (void) yam_pull_close(self_p, (int) (*self_p)->receiver->linger_ms);
    }
}

uint64_t
yam_pull_close(yam_pull_t **self_p, int timeout_ms)
{
    yam_pull_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return 0;
    }
    *self_p = NULL;
    uint64_t left = yami_place_close_receiver(&self->place, &self->receiver, timeout_ms);
    yami_free(self);
    return left;
}

yam_message_t *
yam_pull_recv(yam_pull_t *self, int timeout_ms)
{
    return self->receiver->ops->recv(self->receiver, timeout_ms);
}

//  The message is freed also when its session is over: it will come again.
static int
s_settle(yam_pull_t *self, yam_message_t **message_p, yami_settle_kind_t kind, int delay_ms,
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
yam_pull_ack(yam_pull_t *self, yam_message_t **message_p)
{
    return s_settle(self, message_p, YAMI_SETTLE_ACK, 0, NULL);
}

int
yam_pull_nack(yam_pull_t *self, yam_message_t **message_p, int delay_ms, const char *reason)
{
    return s_settle(self, message_p, YAMI_SETTLE_NACK, delay_ms, reason);
}

int
yam_pull_reject(yam_pull_t *self, yam_message_t **message_p, const char *reason)
{
    return s_settle(self, message_p, YAMI_SETTLE_REJECT, 0, reason);
}

int
yam_pull_release(yam_pull_t *self, yam_message_t **message_p)
{
    return s_settle(self, message_p, YAMI_SETTLE_RELEASE, 0, NULL);
}

int
yam_pull_extend(yam_pull_t *self, const yam_message_t *message)
{
    return self->receiver->ops->extend(self->receiver, message);
}

uint64_t
yam_pull_flush(yam_pull_t *self, int timeout_ms)
{
    return self->receiver->ops->flush(self->receiver, timeout_ms);
}

int
yam_pull_fd(yam_pull_t *self)
{
    return self->receiver->ops->fd(self->receiver);
}

void
yam_pull_stats(yam_pull_t *self, yam_pull_stats_t *stats)
{
    self->receiver->ops->stats(self->receiver, stats);
}

const char *
yam_pull_endpoint(const yam_pull_t *self)
{
    return self->receiver->ops->endpoint(self->receiver);
}
