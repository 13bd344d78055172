/*  yami_place - from a name and an endpoint string to where the messages go.

    Decides the grade, and where the relay is: far away, or embedded in this process. lib/net knows
    no relay, so who wraps hands in how to embed one. Used by outlets and inlets; not thread-safe
    but for reading bound.
*/
#ifndef YAMI_PLACE_H
#define YAMI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_context.h"

//  Embedding as in yam_relay_embed.h.
typedef struct {
    int (*embed)(yam_t *yam, const char *endpoints, const char *directory, char *inproc,
                 size_t size);
    const char *(*endpoints)(yam_t *yam, const char *directory);
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
    char relay[1024];                   //  its directory; "" when there is none
    char bound[YAMI_LIMIT_ADDRESS + 1]; //  where it really listens first; "" likewise
} yami_place_t;

//  Parses text and embeds the relay it asks for. *endpoint becomes what a sender or receiver of
//  options.grade is to be made from. 0, or -1 with errno as yam_push_new and a sentence; nothing is
//  held then.
int
yami_place_open(yami_place_t *self, const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                const char *text, yami_endpoint_t *endpoint);

//  Gives the share of the relay back, if there is one, when nobody uses it any more; the last one
//  closes it until until_ms (monotonic; INT64_MAX: for ever). Keeps errno.
void
yami_place_leave(yami_place_t *self, int64_t until_ms);

#endif
