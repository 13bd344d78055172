//  yam_sub: a subscription, of either grade. What it does is in lib/net/inlet.c.

#include "yam_relay_embed.h"
#include "yam_sub.h"
#include "yami_frame.h"
#include "yami_inlet.h"

//  Nothing but the inlet, which is allocated and freed as what it is.
struct yam_sub {
    yami_inlet_t inlet;
};

_Static_assert(sizeof(yam_sub_t) == sizeof(yami_inlet_t), "one is allocated as the other");

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_embedded_endpoints,
                                             yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_TOPIC, false, &s_embedding};

yam_sub_t *
yam_sub_new(yam_t *yam, const char *topic, const char *endpoint)
{
    return (yam_sub_t *) yami_inlet_new(&s_kind, yam, topic, endpoint);
}

//  Clears *self_p.
static yami_inlet_t *
s_take(yam_sub_t **self_p)
{
    yam_sub_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return NULL;
    }
    *self_p = NULL;
    return &self->inlet;
}

void
yam_sub_destroy(yam_sub_t **self_p)
{
    yami_inlet_destroy(s_take(self_p));
}

uint64_t
yam_sub_close(yam_sub_t **self_p, int timeout_ms)
{
    return yami_inlet_close(s_take(self_p), timeout_ms);
}

yam_message_t *
yam_sub_recv(yam_sub_t *self, int timeout_ms)
{
    return yami_inlet_recv(&self->inlet, timeout_ms);
}

int
yam_sub_ack(yam_sub_t *self, yam_message_t **message_p)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_ACK, 0, NULL);
}

int
yam_sub_nack(yam_sub_t *self, yam_message_t **message_p, int delay_ms, const char *reason)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_NACK, delay_ms, reason);
}

int
yam_sub_reject(yam_sub_t *self, yam_message_t **message_p, const char *reason)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_REJECT, 0, reason);
}

int
yam_sub_release(yam_sub_t *self, yam_message_t **message_p)
{
    return yami_inlet_settle(&self->inlet, message_p, YAMI_SETTLE_RELEASE, 0, NULL);
}

int
yam_sub_extend(yam_sub_t *self, const yam_message_t *message)
{
    return yami_inlet_extend(&self->inlet, message);
}

uint64_t
yam_sub_flush(yam_sub_t *self, int timeout_ms)
{
    return yami_inlet_flush(&self->inlet, timeout_ms);
}

int
yam_sub_fd(yam_sub_t *self)
{
    return yami_inlet_fd(&self->inlet);
}

void
yam_sub_stats(yam_sub_t *self, yam_sub_stats_t *stats)
{
    yami_inlet_stats(&self->inlet, stats);
}

const char *
yam_sub_endpoint(const yam_sub_t *self)
{
    return yami_inlet_endpoint(&self->inlet);
}
