/*  yami_sender - what stands behind yam_push and yam_pub: a table with two implementations, fast
    and sure.

    Thread-safe. See yam_push.h for outcomes; the functions mean the same.
*/
#ifndef YAMI_SENDER_H
#define YAMI_SENDER_H

#include <stdbool.h>
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

//  Who a sure sender is, when its owner remembers that and not the relay: whoever goes on with the
//  same identity sends the same messages. A refusal for good ends such a sender.
typedef struct {
    yami_id_t producer;
    uint32_t epoch;             //  > 0
    uint64_t first_sequence;    //  > 0; of the first message sent: all before it are settled
    void (*changed)(void *arg); //  state may have changed; called by the engine, without a lock
    void *arg;
} yami_identity_t;

typedef struct {
    bool is_attached;
    bool is_pressed;           //  the relay takes no more for now
    uint64_t sessions;         //  attachments so far
    uint64_t known;            //  last sequence the relay had when it attached last
    yam_level_t level;         //  at which it confirms, by its latest word
    yam_status_t final_status; //  why it will never be attached again; OK: it may be
    uint64_t final_first;      //  sequences that were refused so; 0: whatever comes would be
    uint64_t final_last;
} yami_sure_state_t;

//  The one address in endpoint is where the relay listens. With an identity (NULL: none), numbers
//  in confirms are its sequences.
yami_sender_t *
yami_sure_sender_new(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint,
                     const yami_identity_t *identity);

//  Of a sure sender. text (of size bytes, > 0) gets the relay's words for final_status.
void
yami_sure_sender_state(yami_sender_t *base, yami_sure_state_t *state, char *text, size_t size);

#endif
