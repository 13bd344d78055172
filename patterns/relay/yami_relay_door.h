/*  yami_relay_door - the ROUTER socket of a relay: who comes in, what goes out, and how much of it
    may wait.

    Not thread-safe: one owner, the relay's own thread. Over inproc nothing is counted: who is there
    shares our memory anyway.
    Invariants:
    (1) What waits for one link is at most YAMI_LIMIT_UNSENT_MOST bytes and one message, in
    YAMI_LIMIT_UNSENT_FRAMES frames. One that has that much is ended: its session can begin anew at
    any time without losing anything.
    (2) A link is pressed while YAMI_LIMIT_UNSENT_BYTES or more wait for it, or a share of that
    while YAMI_LIMIT_UNSENT_TOTAL or more wait for all; whoever steps the door is told of each
    change, and delivers nothing to it meanwhile. It stops being pressed when half is taken.
*/
#ifndef YAMI_RELAY_DOOR_H
#define YAMI_RELAY_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "yami_block.h"
#include "yami_relay_core.h"

#define YAMI_RELAY_DOOR_ITEMS 3 //  to be polled

typedef struct yami_relay_door yami_relay_door_t;

//  What has come in.
typedef struct {
    uint64_t peer;
    yami_block_t *block; //  owned by whoever receives it; NULL: a message of another shape
} yami_relay_arrival_t;

//  Takes router, which is not bound yet, in any case. NULL with errno EMFILE and a sentence.
yami_relay_door_t *
yami_relay_door_new(void *context, void *router);

//  Closes the socket; what is queued may leave for linger_ms. Clears *self_p; safe on NULL.
void
yami_relay_door_destroy(yami_relay_door_t **self_p, int linger_ms);

//  An eventfd, borrowed, that wakes who polls, and is read by it.
int
yami_relay_door_wake_fd(const yami_relay_door_t *self);

//  What to poll for.
void
yami_relay_door_poll_items(const yami_relay_door_t *self,
                           zmq_pollitem_t items[YAMI_RELAY_DOOR_ITEMS]);

//  Takes one message off the socket. False when there is none; peer is 0 when there are too many.
bool
yami_relay_door_receive(yami_relay_door_t *self, yami_relay_arrival_t *arrival, int64_t now_ms);

//  Sends block, and data (NULL: none) as the second part of the same message. 0, or -1 when the
//  link is full (its connection is ended then) or gone. What goes to an unknown peer is dropped,
//  with 0.
int
yami_relay_door_send(yami_relay_door_t *self, uint64_t peer, yami_block_t *block,
                     yami_block_t *data, int64_t now_ms);

//  Whether it was not known to have a session; from now on it is.
bool
yami_relay_door_is_silent(const yami_relay_door_t *self, uint64_t peer);
void
yami_relay_door_greeted(yami_relay_door_t *self, uint64_t peer);

//  Forgets a link: its number is not used again. Its connection must greet again, or goes.
void
yami_relay_door_close_link(yami_relay_door_t *self, uint64_t peer, int64_t now_ms);

//  Once in a turn: ends connections that are too many, and tells who is pressed (2).
void
yami_relay_door_step(yami_relay_door_t *self, int64_t now_ms,
                     void (*tell)(void *arg, uint64_t peer, bool is_pressed), void *arg);

//  Monotonic ms at which the next step is due, INT64_MAX when none is.
int64_t
yami_relay_door_deadline(const yami_relay_door_t *self);

void
yami_relay_door_count(const yami_relay_door_t *self, yami_relay_gauges_t *gauges);

#endif
