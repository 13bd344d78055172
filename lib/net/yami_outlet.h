/*  yami_outlet - what yam_push and yam_pub are: a sender of either grade, and its share of the
    relay it may have embedded.

    The wrappers give it a name, options and a contract; see yam_push.h for outcomes, which are the
    same here. Thread-safe but for its end.
*/
#ifndef YAMI_OUTLET_H
#define YAMI_OUTLET_H

#include <stddef.h>
#include <stdint.h>

#include "yam_message.h"
#include "yami_place.h"
#include "yami_sender.h"

typedef struct {
    yami_place_t place;
    yami_sender_t *sender; //  owned
    bool has_subjects;     //  messages go by their subject
} yami_outlet_t;

//  NULL with errno and a sentence. The caller owns the result; yami_outlet_close frees it.
yami_outlet_t *
yami_outlet_new(const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                const char *endpoint);

//  The same as the producer of that identity; the endpoint must be of the sure grade (EINVAL).
yami_outlet_t *
yami_outlet_new_as(const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                   const char *endpoint, const yami_identity_t *identity);

//  With the deadline of the option "linger". Safe on NULL.
void
yami_outlet_destroy(yami_outlet_t *self);

//  0 on NULL.
uint64_t
yami_outlet_close(yami_outlet_t *self, int timeout_ms);

int
yami_outlet_wait(yami_outlet_t *self, unsigned count, int timeout_ms);

int
yami_outlet_send(yami_outlet_t *self, const void *body, size_t size);

int
yami_outlet_send_message(yami_outlet_t *self, yam_message_t **message_p);

uint64_t
yami_outlet_flush(yami_outlet_t *self, int timeout_ms);

void
yami_outlet_set_confirm(yami_outlet_t *self, yam_confirm_fn confirm, void *arg);

void
yami_outlet_stats(yami_outlet_t *self, yam_sender_stats_t *stats);

//  Where the embedded relay really listens first, else what the sender bound or connects to first.
const char *
yami_outlet_endpoint(const yami_outlet_t *self);

#endif
