//  outlet - the sending half of the wrappers. See yami_outlet.h.

#include "yami_outlet.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_frame.h"
#include "yami_message.h"
#include "yami_monitor.h"

static yami_sender_t *
s_sender(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint,
         const yami_identity_t *identity)
{
    if (endpoint->options.grade == YAMI_GRADE_SURE) {
        return yami_sure_sender_new(yam, kind, channel, endpoint, identity);
    }
    if (identity != NULL) {
        (void) yami_fail(EINVAL, "this needs confirms of a relay (grade=sure, or relay=)");
        return NULL;
    }
    return yami_fast_sender_new(yam, kind, endpoint);
}

yami_outlet_t *
yami_outlet_new(const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                const char *endpoint)
{
    return yami_outlet_new_as(kind, yam, channel, endpoint, NULL);
}

yami_outlet_t *
yami_outlet_new_as(const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                   const char *endpoint, const yami_identity_t *identity)
{
    yami_endpoint_t parsed;
    yami_outlet_t *self = yami_alloc(sizeof *self);
    self->has_subjects = kind->kind == YAMI_KIND_TOPIC;
    if (yami_place_open(&self->place, kind, yam, channel, endpoint, &parsed) == 0) {
        self->sender = s_sender(yam, kind->kind, channel, &parsed, identity);
    }
    if (!self->sender) {
        int error = errno;
        yami_place_leave(&self->place, 0);
        yami_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yami_outlet_destroy(yami_outlet_t *self)
{
    if (self) {
        (void) yami_outlet_close(self, (int) self->sender->linger_ms);
    }
}

uint64_t
yami_outlet_close(yami_outlet_t *self, int timeout_ms)
{
    if (!self) {
        return 0;
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    uint64_t left = self->sender->ops->close(&self->sender, timeout_ms);
    yami_place_leave(&self->place, until_ms); //  nobody here uses its relay any more
    yami_free(self);
    return left;
}

int
yami_outlet_wait(yami_outlet_t *self, unsigned count, int timeout_ms)
{
    return self->sender->ops->wait(self->sender, count, timeout_ms);
}

int
yami_outlet_send(yami_outlet_t *self, const void *body, size_t size)
{
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT, .body = {body, size}};
    return self->sender->ops->send(self->sender, &record, "");
}

int
yami_outlet_send_message(yami_outlet_t *self, yam_message_t **message_p)
{
    yam_message_t *message = message_p ? *message_p : NULL;
    if (!message) {
        return yami_fail(EINVAL, "there is no message to send");
    }
    errno = 0;
    const char *subject = self->has_subjects ? yam_message_subject(message) : "";
    if (!*subject && errno == ENOMEM) { //  it has one, and would go to others without
        return yami_fail(ENOMEM, "out of memory for the subject of a message");
    }
    int rc = self->sender->ops->send(self->sender, &message->record, subject);
    if (rc == 0) {
        yam_message_destroy(message_p);
    }
    return rc;
}

uint64_t
yami_outlet_flush(yami_outlet_t *self, int timeout_ms)
{
    return self->sender->ops->flush(self->sender, timeout_ms);
}

void
yami_outlet_set_confirm(yami_outlet_t *self, yam_confirm_fn confirm, void *arg)
{
    self->sender->ops->set_confirm(self->sender, confirm, arg);
}

void
yami_outlet_stats(yami_outlet_t *self, yam_sender_stats_t *stats)
{
    self->sender->ops->stats(self->sender, stats);
}

const char *
yami_outlet_endpoint(const yami_outlet_t *self)
{
    return self->place.bound[0] ? self->place.bound : self->sender->ops->endpoint(self->sender);
}
