/*  yami_leases - deliveries of this session: what waits to be received, and what is not settled
    yet.

    Pure, not thread-safe. A lease is one DELIVER: its messages are handed out in order, and settled
    in any order; it goes when all are settled. In a list by arrival and in a table by token.
    Invariants (yami_leases_check):
    (1) current is the first lease with messages to hand out; all before it are handed out.
    (2) A lease holds a block exactly while it has messages to hand out, and one reference to it for
    each of them: a message handed out takes its own along.
    (3) ready and open are the sums over all leases.
*/
#ifndef YAMI_LEASES_H
#define YAMI_LEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "yam_message.h"
#include "yami_batch.h"
#include "yami_block.h"
#include "yami_frame.h"
#include "yami_message.h"

#define YAMI_LEASES_BUCKETS 4096u

typedef struct yami_lease yami_lease_t;

//  A DELIVER and its batch, decoded.
typedef struct {
    yami_block_t *block; //  borrowed
    yami_batch_t batch;
    uint64_t token;
    uint64_t base;
    uint64_t first;
    uint64_t last;
    uint32_t deliveries;
    uint32_t failures;
    int64_t time_ms;
} yami_delivery_t;

struct yami_lease {
    yami_delivery_t delivery; //  its block owned, NULL once all are handed out
    uint64_t next;            //  sequence to hand out
    size_t offset;            //  of that record in the payload
    uint64_t open;            //  messages not settled
    uint64_t share; //  bytes of credit that each message brings back; the last one brings the rest
    uint64_t bytes_left;    //  not brought back yet
    uint64_t messages_left; //  the same
    int64_t handed_out_ms;  //  when that was first seen; 0: not yet
    yami_lease_t *same_bucket;
    TAILQ_ENTRY(yami_lease) link;
};

typedef struct {
    TAILQ_HEAD(yami_lease_list, yami_lease) list; //  owned, by arrival
    yami_lease_t *current;                        //  (1); NULL: nothing to hand out
    yami_lease_t *latest;                         //  found last; or NULL
    yami_lease_t *buckets[YAMI_LEASES_BUCKETS];
    yami_message_pool_t
        spare; //  memory for messages to hand out; whoever settles them may add to it
    size_t count;
    uint64_t ready; //  messages to hand out
    uint64_t open;  //  messages not settled
    uint64_t bytes; //  of blocks held
} yami_leases_t;

//  Decodes the second part of a DELIVER and checks it against the first: 0, or -1 with errno EPROTO
//  or EBADMSG (token, first and last are set all the same).
int
yami_delivery_decode(yami_delivery_t *self, const yami_frame_t *frame, yami_block_t *block);

void
yami_leases_init(yami_leases_t *self);

//  Drops all. May be used again.
void
yami_leases_clear(yami_leases_t *self);

//  Adds a lease; takes a reference to the block. Never NULL.
yami_lease_t *
yami_leases_add(yami_leases_t *self, const yami_delivery_t *delivery);

//  The lease with that token; NULL when there is none.
yami_lease_t *
yami_leases_find(yami_leases_t *self, uint64_t token);

//  The next message; NULL when there is none. *lease_p is set to a lease found malformed on the
//  way, of which nothing more will come, else to NULL: its owner drops it.
yam_message_t *
yami_leases_hand_out(yami_leases_t *self, yami_lease_t **lease_p);

void
yami_leases_remove(yami_leases_t *self, yami_lease_t *lease);

void
yami_leases_check(const yami_leases_t *self);

#endif
