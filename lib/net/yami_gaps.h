/*  yami_gaps - sees what is missing in the numbers that senders give their messages. Pure.

    Remembers the latest YAMI_LIMIT_GAPS senders; one heard of again after being forgotten is new,
    and of a new one nothing is missing yet. The numbers are those of a mark (yami_topic_frame.h),
    or for who sees everything the batch's own, which have counted since 0.
*/
#ifndef YAMI_GAPS_H
#define YAMI_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_limits.h"
#include "yami_topic_frame.h"

typedef struct {
    yami_id_t producer;
    uint32_t epoch;
    bool has_count;   //  there was a mark
    uint64_t since;   //  of the latest mark
    uint64_t next;    //  messages that were counted, and came or are missing; only grows
    uint64_t latest;  //  highest sequence seen
    uint64_t used_at; //  turn of the latest frame
} yami_gaps_sender_t;

typedef struct {
    yami_gaps_sender_t senders[YAMI_LIMIT_GAPS];
    size_t count;
    uint64_t turn;
} yami_gaps_t;

//  Takes note of a batch; mark: how many messages went before it, NULL when nobody has counted.
//  Returns how many are missing before it. A count that began after all that was seen of the sender
//  is about messages of which all were wanted: those before the batch are missing.
uint64_t
yami_gaps_note(yami_gaps_t *self, const yami_batch_t *batch, const yami_mark_t *mark);

#endif
