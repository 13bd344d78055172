/*  yami_outbox - how many bytes wait in ZeroMQ for one connection, and not in the kernel yet.

    ZeroMQ limits its queues by messages only, and does not say what is in them. It does tell when
    it lets go of a message whose bytes are ours: when they were written to the connection, or when
    that ended. What is counted here is memory that is really held, whatever the far end says.
    Not exact: what is below a kibibyte and not counted on purpose is copied, and bounded by SNDHWM.
    Counting is thread-safe, since ZeroMQ lets go in its own threads; all else has one owner.
    Invariants:
    (1) bytes of an outbox is the charge of all messages ZeroMQ still holds; total is the sum of
    all.
    (2) After yami_outbox_wait returned true, the descriptor becomes readable once bytes is below.
*/
#ifndef YAMI_OUTBOX_H
#define YAMI_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

typedef struct yami_outboxes yami_outboxes_t; //  all of one socket
typedef struct yami_outbox yami_outbox_t;     //  of one connection

//  wake_fd is an eventfd, of which a copy is kept. NULL with errno EMFILE or ENFILE.
yami_outboxes_t *
yami_outboxes_new(int wake_fd);

//  The memory goes with the last message that is counted. Clears *self_p; safe on NULL.
void
yami_outboxes_destroy(yami_outboxes_t **self_p);

uint64_t
yami_outboxes_bytes(const yami_outboxes_t *self);

//  An empty one. Never NULL; the caller owns a reference.
yami_outbox_t *
yami_outbox_new(yami_outboxes_t *outboxes);

//  Drops the caller's reference and clears it. Safe on NULL.
void
yami_outbox_unref(yami_outbox_t **self_p);

uint64_t
yami_outbox_bytes(const yami_outbox_t *self);

//  Asks for a wake when bytes is below that. False when it is already.
bool
yami_outbox_wait(yami_outbox_t *self, uint64_t below);

//  A message of that charge was given to ZeroMQ, or is about to be: takes a reference.
void
yami_outbox_charge(yami_outbox_t *self, uint64_t charge);

//  ZeroMQ let go of it, or refused it. Any thread.
void
yami_outbox_discharge(yami_outbox_t *self, uint64_t charge);

#endif
