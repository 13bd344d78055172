/*  yami_gaps - sees what is missing in the numbers that senders give their messages. Pure.

    Remembers the latest YAMI_GAPS_LIMIT senders; one heard of again after being forgotten is new,
    and of a new one nothing is missing yet.
*/
#ifndef YAMI_GAPS_H
#define YAMI_GAPS_H

#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"

#define YAMI_GAPS_LIMIT 64

typedef struct {
    yami_id_t producer;
    uint32_t epoch;
    uint64_t next;    //  sequence expected
    uint64_t used_at; //  turn of the latest frame
} yami_gaps_sender_t;

typedef struct {
    yami_gaps_sender_t senders[YAMI_GAPS_LIMIT];
    size_t count;
    uint64_t turn;
} yami_gaps_t;

//  Takes note of a batch. Returns how many messages are missing before it.
uint64_t
yami_gaps_note(yami_gaps_t *self, const yami_batch_t *batch);

#endif
