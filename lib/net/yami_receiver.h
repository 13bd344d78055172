/*  yami_receiver - what stands behind yam_pull and yam_sub: a table with two implementations, fast
    and sure.

    Thread-safe. See yam_pull.h for outcomes; the functions mean the same.
*/
#ifndef YAMI_RECEIVER_H
#define YAMI_RECEIVER_H

#include <stdint.h>

#include "yam_confirm.h"
#include "yam_message.h"
#include "yami_context.h"

typedef struct yami_receiver yami_receiver_t;

//  How a message is settled; the numbers are those of the frame types.
typedef enum {
    YAMI_SETTLE_ACK = 11,
    YAMI_SETTLE_NACK = 12,
    YAMI_SETTLE_EXTEND = 13,
    YAMI_SETTLE_REJECT = 14,
    YAMI_SETTLE_RELEASE = 15,
} yami_settle_kind_t;

typedef struct {
    yam_message_t *(*recv)(yami_receiver_t *self, int timeout_ms);
    //  Frees the message and clears *message_p; after a failure both are as before. delay_ms and
    //  reason as yam_pull_nack, where they apply; kind is not YAMI_SETTLE_EXTEND.
    int (*settle)(yami_receiver_t *self, yam_message_t **message_p, yami_settle_kind_t kind,
                  int delay_ms, const char *reason);
    int (*extend)(yami_receiver_t *self, const yam_message_t *message);
    uint64_t (*flush)(yami_receiver_t *self, int timeout_ms);
    uint64_t (*close)(yami_receiver_t **self_p, int timeout_ms);
    int (*fd)(yami_receiver_t *self);
    void (*stats)(yami_receiver_t *self, yam_receiver_stats_t *stats);
    const char *(*endpoint)(const yami_receiver_t *self);
} yami_receiver_ops_t;

struct yami_receiver {
    const yami_receiver_ops_t *ops;
    int64_t linger_ms; //  deadline of destroy
};

yami_receiver_t *
yami_fast_receiver_new(yam_t *yam, int kind, const yami_endpoint_t *endpoint);

//  Waits for the attachment (options.connect_timeout_ms) when kind is a topic; NULL with errno
//  ETIMEDOUT, EACCES, EEXIST ... then.
yami_receiver_t *
yami_sure_receiver_new(yam_t *yam, int kind, const char *channel, const yami_endpoint_t *endpoint);

#endif
