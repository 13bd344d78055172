/*  yami_message - the inside of yam_message, for senders and receivers.

    Invariants:
    (1) block is NULL exactly for messages under construction; then body and properties are in own
    memory.
    (2) record's slices point into block or into own memory, both alive as long as the message.
*/
#ifndef YAMI_MESSAGE_H
#define YAMI_MESSAGE_H

#include "yam_message.h"
#include "yami_batch.h"
#include "yami_block.h"

struct yami_message_slab;

struct yam_message {
    struct yami_message_slab *slab; //  it is a part of, which then owns block and subject; or NULL
    yami_block_t *block;            //  owned reference to the frame; NULL when built by the user
    yami_record_t record;           //  body, properties, flags
    uint64_t sequence;
    uint64_t token; //  lease, 0 when there is none
    int64_t time_ms;
    uint32_t deliveries;
    uint32_t failures;
    char *scratch;  //  owned; what the last getter returned; NULL until used
    uint8_t *built; //  owned; encoded properties of a message under construction
    char *subject;  //  owned; subject taken from a transport frame, NULL otherwise
};

//  yam_message_set without its checks: also for names that begin with "yam-". Of a message under
//  construction only. 0, or -1 with errno EMSGSIZE or ENOMEM.
int
yami_message_put(yam_message_t *self, const char *name, const char *value);

//  Memory of messages done with, for those received next. Not thread-safe; zeroed it is empty.
#define YAMI_MESSAGE_POOL_LIMIT 64u

typedef struct {
    yam_message_t *items[YAMI_MESSAGE_POOL_LIMIT]; //  owned
    uint32_t count;
} yami_message_pool_t;

//  A received message, from pool (may be NULL) or new: takes over one reference to block of the
//  caller's, who has taken those of a whole frame at once. Never NULL (one fixed-size allocation,
//  not zeroed beyond need: hot path).
yam_message_t *
yami_message_received(yami_message_pool_t *pool, yami_block_t *block, const yami_record_t *record);

//  yam_message_destroy that keeps the memory, as long as there is room, of a received message that
//  is in no slab.
void
yami_message_pool_put(yami_message_pool_t *pool, yam_message_t **self_p);

//  Frees what it holds; empty then.
void
yami_message_pool_clear(yami_message_pool_t *pool);

#endif
