/*  yami_sender - what stands behind yam_push and yam_pub: a table with two implementations, fast
    and sure.

    Thread-safe. See yam_push.h for outcomes; the functions mean the same.
*/
#ifndef YAMI_SENDER_H
#define YAMI_SENDER_H

#include <stddef.h>
#include <stdint.h>

#include "yam_confirm.h"
#include "yami_batch.h"
#include "yami_context.h"

typedef struct yami_sender yami_sender_t;

typedef struct {
    //  subject is "" for queues; record's slices are borrowed and copied.
    int (*send)(yami_sender_t *self, const yami_record_t *record, const char *subject);
    uint64_t (*flush)(yami_sender_t *self, int timeout_ms);
    uint64_t (*close)(yami_sender_t **self_p, int timeout_ms);
    void (*set_confirm)(yami_sender_t *self, yam_confirm_fn confirm, void *arg);
    int (*wait)(yami_sender_t *self, unsigned count, int timeout_ms); //  subscribers
    void (*stats)(yami_sender_t *self, yam_sender_stats_t *stats);
    const char *(*endpoint)(const yami_sender_t *self);
} yami_sender_ops_t;

struct yami_sender {
    const yami_sender_ops_t *ops;
    int64_t linger_ms; //  deadline of destroy
};

//  kind is YAMI_KIND_QUEUE (PUSH) or YAMI_KIND_TOPIC (PUB). Both copy what they need of endpoint.
yami_sender_t *
yami_fast_sender_new(yam_t *yam, int kind, const yami_endpoint_t *endpoint);

//  The one address in endpoint is where the relay listens.
yami_sender_t *
yami_sure_sender_new(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint);

#endif
