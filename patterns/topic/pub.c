//  yam_pub: a publisher, of either grade. What it does is in lib/net/outlet.c.

#include "yam_pub.h"
#include "yam_relay_embed.h"
#include "yami_frame.h"
#include "yami_outlet.h"

//  Nothing but the outlet, which is allocated and freed as what it is.
struct yam_pub {
    yami_outlet_t outlet;
};

_Static_assert(sizeof(yam_pub_t) == sizeof(yami_outlet_t), "one is allocated as the other");

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_embedded_endpoints,
                                             yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_TOPIC, true, &s_embedding};

yam_pub_t *
yam_pub_new(yam_t *yam, const char *topic, const char *endpoint)
{
    return (yam_pub_t *) yami_outlet_new(&s_kind, yam, topic, endpoint);
}

//  Clears *self_p.
static yami_outlet_t *
s_take(yam_pub_t **self_p)
{
    yam_pub_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return NULL;
    }
    *self_p = NULL;
    return &self->outlet;
}

void
yam_pub_destroy(yam_pub_t **self_p)
{
    yami_outlet_destroy(s_take(self_p));
}

uint64_t
yam_pub_close(yam_pub_t **self_p, int timeout_ms)
{
    return yami_outlet_close(s_take(self_p), timeout_ms);
}

int
yam_pub_wait(yam_pub_t *self, unsigned count, int timeout_ms)
{
    return yami_outlet_wait(&self->outlet, count, timeout_ms);
}

int
yam_pub_send(yam_pub_t *self, const void *body, size_t size)
{
    return yami_outlet_send(&self->outlet, body, size);
}

int
yam_pub_send_message(yam_pub_t *self, yam_message_t **message_p)
{
    return yami_outlet_send_message(&self->outlet, message_p);
}

uint64_t
yam_pub_flush(yam_pub_t *self, int timeout_ms)
{
    return yami_outlet_flush(&self->outlet, timeout_ms);
}

void
yam_pub_set_confirm(yam_pub_t *self, yam_confirm_fn confirm, void *arg)
{
    yami_outlet_set_confirm(&self->outlet, confirm, arg);
}

void
yam_pub_stats(yam_pub_t *self, yam_pub_stats_t *stats)
{
    yami_outlet_stats(&self->outlet, stats);
}

const char *
yam_pub_endpoint(const yam_pub_t *self)
{
    return yami_outlet_endpoint(&self->outlet);
}
