//  yam_pull: a puller, of either grade. What it does is in lib/net/inlet.c.

#include "yam_pull.h"
#include "yam_relay_embed.h"
#include "yami_frame.h"
#include "yami_inlet.h"

//  Nothing but the inlet, which is allocated and freed as what it is.
struct yam_pull {
    yami_inlet_t inlet;
};

_Static_assert(sizeof(yam_pull_t) == sizeof(yami_inlet_t), "one is allocated as the other");

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_embedded_endpoints,
                                             yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_QUEUE, true, &s_embedding};

yam_pull_t *
yam_pull_new(yam_t *yam, const char *queue, const char *endpoint)
{
    return (yam_pull_t *) yami_inlet_new(&s_kind, yam, queue, endpoint);
}

//  Clears *self_p.
static yami_inlet_t *
s_take(yam_pull_t **self_p)
{
    yam_pull_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return NULL;
    }
    *self_p = NULL;
    return &self->inlet;
}

void
yam_pull_destroy(yam_pull_t **self_p)
{
    yami_inlet_destroy(s_take(self_p));
}

uint64_t
yam_pull_close(yam_pull_t **self_p, int timeout_ms)
{
    return yami_inlet_close(s_take(self_p), timeout_ms);
}

yam_message_t *
yam_pull_recv(yam_pull_t *self, int timeout_ms)
{
    return yami_inlet_recv(&self->inlet, timeout_ms);
}

int
yam_pull_ack(yam_pull_t *self, yam_message_t **message_p)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_ACK, 0, NULL);
}

int
yam_pull_nack(yam_pull_t *self, yam_message_t **message_p, int delay_ms, const char *reason)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_NACK, delay_ms, reason);
}

int
yam_pull_reject(yam_pull_t *self, yam_message_t **message_p, const char *reason)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_REJECT, 0, reason);
}

int
yam_pull_release(yam_pull_t *self, yam_message_t **message_p)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_RELEASE, 0, NULL);
}

int
yam_pull_extend(yam_pull_t *self, const yam_message_t *message)
{
    return yami_inlet_extend(&self->inlet, message);
}

uint64_t
yam_pull_flush(yam_pull_t *self, int timeout_ms)
{
    return yami_inlet_flush(&self->inlet, timeout_ms);
}

int
yam_pull_fd(yam_pull_t *self)
{
    return yami_inlet_fd(&self->inlet);
}

void
yam_pull_stats(yam_pull_t *self, yam_pull_stats_t *stats)
{
    yami_inlet_stats(&self->inlet, stats);
}

const char *
yam_pull_endpoint(const yam_pull_t *self)
{
    return yami_inlet_endpoint(&self->inlet);
}
