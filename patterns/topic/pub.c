//  yam_pub: a publisher, of either grade.

#include <errno.h>

#include "yam_pub.h"
#include "yam_relay_embed.h"
#include "yami_base.h"
#include "yami_frame.h"
#include "yami_message.h"
#include "yami_place.h"

struct yam_pub {
    yami_sender_t *sender; //  owned
    yami_place_t place;
};

static const yami_embedding_t s_embedding = {yam_relay_embed, yam_relay_unembed};
static const yami_place_kind_t s_kind = {YAMI_KIND_TOPIC, true, &s_embedding};

yam_pub_t *
yam_pub_new(yam_t *yam, const char *topic, const char *endpoint)
{
    yam_pub_t *self = yami_alloc(sizeof *self);
    self->sender = yami_place_sender(&self->place, &s_kind, yam, topic, endpoint);
    if (!self->sender) {
        int error = errno;
        yami_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yam_pub_destroy(yam_pub_t **self_p)
{
    if (self_p && *self_p) {
        (void) yam_pub_close(self_p, (int) (*self_p)->sender->linger_ms);
    }
}

uint64_t
yam_pub_close(yam_pub_t **self_p, int timeout_ms)
{
    yam_pub_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return 0;
    }
    *self_p = NULL;
    uint64_t left = yami_place_close_sender(&self->place, &self->sender, timeout_ms);
    yami_free(self);
    return left;
}

int
yam_pub_wait(yam_pub_t *self, unsigned count, int timeout_ms)
{
    return self->sender->ops->wait(self->sender, count, timeout_ms);
}

int
yam_pub_send(yam_pub_t *self, const void *body, size_t size)
{
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT, .body = {body, size}};
    return self->sender->ops->send(self->sender, &record, "");
}

int
yam_pub_send_message(yam_pub_t *self, yam_message_t **message_p)
{
    yam_message_t *message = *message_p;
    if (!message) {
        return yami_fail(EINVAL, "there is no message to send");
    }
    int rc = self->sender->ops->send(self->sender, &message->record, yam_message_subject(message));
    if (rc == 0) {
        yam_message_destroy(message_p);
    }
    return rc;
}

uint64_t
yam_pub_flush(yam_pub_t *self, int timeout_ms)
{
    return self->sender->ops->flush(self->sender, timeout_ms);
}

void
yam_pub_set_confirm(yam_pub_t *self, yam_confirm_fn confirm, void *arg)
{
    self->sender->ops->set_confirm(self->sender, confirm, arg);
}

void
yam_pub_stats(yam_pub_t *self, yam_pub_stats_t *stats)
{
    self->sender->ops->stats(self->sender, stats);
}

const char *
yam_pub_endpoint(const yam_pub_t *self)
{
    return self->sender->ops->endpoint(self->sender);
}
