/*  yami_place - what the four wrappers share: from a name and an endpoint string to a sender or
    receiver.

    Decides the grade, and where the relay is: far away, or embedded in this process. lib/net knows
    no relay, so who wraps hands in how to embed one.
*/
#ifndef YAMI_PLACE_H
#define YAMI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_context.h"
#include "yami_receiver.h"
#include "yami_sender.h"

//  Embedding as in yam_relay_embed.h.
typedef struct {
    int (*embed)(yam_t *yam, const char *endpoints, const char *directory, char *inproc,
                 size_t size);
    void (*unembed)(yam_t *yam, const char *directory, int timeout_ms);
} yami_embedding_t;

//  What a wrapper opens, and how.
typedef struct {
    int kind;                          //  YAMI_KIND_QUEUE or YAMI_KIND_TOPIC
    bool bind_by_default;              //  addresses without a sign
    const yami_embedding_t *embedding; //  borrowed, for ever
} yami_place_kind_t;

//  A share of an embedded relay, or nothing.
typedef struct {
    yam_t *yam; //  borrowed
    const yami_embedding_t *embedding;
    char relay[1024]; //  its directory; "" when there is none
} yami_place_t;

//  Opens the sender (receiver) of that channel. NULL with errno as yam_push_new and a sentence;
//  *self is empty then.
yami_sender_t *
yami_place_sender(yami_place_t *self, const yami_place_kind_t *kind, yam_t *yam,
                  const char *channel, const char *text);
yami_receiver_t *
yami_place_receiver(yami_place_t *self, const yami_place_kind_t *kind, yam_t *yam,
                    const char *channel, const char *text);

//  Closes it, then gives the share of the relay back; both within timeout_ms (-1: no deadline).
//  Returns what close returned.
uint64_t
yami_place_close_sender(yami_place_t *self, yami_sender_t **sender_p, int timeout_ms);
uint64_t
yami_place_close_receiver(yami_place_t *self, yami_receiver_t **receiver_p, int timeout_ms);

#endif
