/*  yami_inlet - what yam_pull and yam_sub are: a receiver of either grade, and its share of the
    relay it may have embedded.

    The wrappers give it a name, options and a contract; see yam_pull.h for outcomes, which are the
    same here. Thread-safe but for its end.
*/
#ifndef YAMI_INLET_H
#define YAMI_INLET_H

#include <stdint.h>

#include "yam_message.h"
#include "yami_place.h"
#include "yami_receiver.h"

typedef struct {
    yami_place_t place;
    yami_receiver_t *receiver; //  owned
} yami_inlet_t;

//  NULL with errno and a sentence. The caller owns the result; yami_inlet_close frees it.
yami_inlet_t *
yami_inlet_new(const yami_place_kind_t *kind, yam_t *yam, const char *channel,
               const char *endpoint);

//  With the deadline of the option "linger". Safe on NULL.
void
yami_inlet_destroy(yami_inlet_t *self);

//  0 on NULL.
uint64_t
yami_inlet_close(yami_inlet_t *self, int timeout_ms);

yam_message_t *
yami_inlet_recv(yami_inlet_t *self, int timeout_ms);

//  Frees and clears *message_p also when its session is over: it will come again. kind is anything
//  but YAMI_SETTLE_EXTEND.
int
yami_inlet_settle(yami_inlet_t *self, yam_message_t **message_p, yami_settle_kind_t kind,
                  int delay_ms, const char *reason);

int
yami_inlet_extend(yami_inlet_t *self, const yam_message_t *message);

uint64_t
yami_inlet_flush(yami_inlet_t *self, int timeout_ms);

int
yami_inlet_fd(yami_inlet_t *self);

void
yami_inlet_stats(yami_inlet_t *self, yam_receiver_stats_t *stats);

//  Where the embedded relay really listens first, else what the receiver bound or connects to
//  first.
const char *
yami_inlet_endpoint(const yami_inlet_t *self);

#endif
