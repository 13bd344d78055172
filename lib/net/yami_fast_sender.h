/*  yami_fast_sender - the inside of the fast sender, shared by its two halves: fast_sender.c (what
    applications call) and fast_sender_io.c (who sends, and when).

    Natural batching: a message that finds nothing gathered is sent at once by the thread that
    brings it. When the transport is busy, or the engine still is, messages gather; the engine's
    task takes what has gathered as soon as there is room.

        IDLE       nothing gathered; s_send: the socket takes it, so it stays
          |  ^
          |  '--- nothing gathered any more
          '------ s_send: EAGAIN, or the gate is shut
             v
        GATHERING  engine_owns; the transport has room: the engine sends what gathered

    Invariants (yami_fast_check):
    (1) When something is gathered or pending, engine_owns is true: so nothing waits for a later
    message to push it out.
    (2) While engine_owns is false, the socket is used under the lock. While it is true, it is the
    engine's thread's, in part without the lock. With raw framing it is always used under the lock.
    (3) accepted = handed + pending's + closed frames' + open's messages + those the engine holds in
    its hands.
*/
#ifndef YAMI_FAST_SENDER_H
#define YAMI_FAST_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_engine.h"
#include "yami_gate.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_prefixes.h"
#include "yami_sender.h"

#define YAMI_FAST_CLOSED_LIMIT 1024 //  batches closed because the subject changed, and not yet sent

//  A batch that was finished since the subject changed.
typedef struct {
    yami_block_t *batch; //  owned
    uint32_t count;
    char subject[YAMI_LIMIT_SUBJECT + 1];
} yami_closed_t;

//  A finished frame and how many messages it holds.
typedef struct {
    yami_block_t *block; //  owned; NULL: none
    uint32_t count;
} yami_parcel_t;

typedef struct {
    yami_sender_t base;
    yam_t *yam;            //  borrowed
    yami_engine_t *engine; //  borrowed
    bool is_topic;
    bool is_raw;
    bool can_wait; //  subscriptions are seen (not over multicast)
    int64_t send_timeout_ms;
    yami_id_t producer; //  random
    char endpoint[YAMI_LIMIT_ADDRESS + 1];

    yami_monitor_t monitor; //  guards all below, except as (2) says; tells of room, subscriptions
    bool engine_owns;
    bool is_reporting;    //  confirm is running
    bool is_impatient;    //  topics: a subscriber keeps the gate shut, do not wait for it
    int64_t latest_ms;    //  topics: when the latest frame was sent
    yami_builder_t open;  //  what gathers
    yami_builder_t spare; //  an empty one, for its buffer
    char subject[YAMI_LIMIT_SUBJECT + 1]; //  of the open batch
    yami_closed_t *closed; //  topics: owned ring of batches that wait before the open one
    size_t closed_first;
    size_t closed_count;
    size_t closed_bytes;
    uint32_t closed_limit;    //  of them, frames under way at once
    size_t batch_bytes;       //  limit of open, and of closed_bytes
    yami_parcel_t pending;    //  a frame the socket had no room for
    void *socket;             //  owned; PUSH or XPUB
    yami_gate_t *gate;        //  topics; owned
    yami_prefixes_t prefixes; //  topics, batches: what is subscribed to
    yami_task_t task;
    yam_confirm_fn confirm;
    void *confirm_arg;

    uint64_t accepted; //  messages; also the sequence of the latest
    uint64_t handed;   //  messages handed to the transport
    uint64_t reported; //  messages confirm has heard of
    uint64_t frames;
    uint64_t framed;          //  topics: messages put into frames
    uint32_t undrained;       //  topics: frames since subscriptions were looked for
    uint32_t undrained_limit; //  no more than a new subscription's queue has room for
    uint64_t dropped;
    int64_t subscriber_count;
    _Atomic uint64_t overflows; //  topics: frames that found a subscriber's queue full; no lock
} yami_fast_sender_t;

//  Under the lock, IDLE: sends the open batch from this thread, or leaves it to the engine. 0, or
//  -1 with errno ENOMEM, ETERM; what is open then stays so.
int
yami_fast_send_open(yami_fast_sender_t *self);

//  Under the lock: closes the open batch into the ring, so that one of another subject can begin.
//  0, or -1 with errno EAGAIN (the ring is full) or ENOMEM.
int
yami_fast_close_open(yami_fast_sender_t *self);

//  Under the lock: from here on the engine sends.
void
yami_fast_hand_over(yami_fast_sender_t *self);

//  Under the lock, nothing gathered: from here on callers send themselves.
void
yami_fast_take_back(yami_fast_sender_t *self);

//  Under the lock: counts subscriptions and cancellations that have arrived.
void
yami_fast_drain_subscriptions(yami_fast_sender_t *self);

//  Under the lock: one more frame, of count messages, was handed to the transport.
void
yami_fast_count_handed(yami_fast_sender_t *self, uint32_t count);

//  Whoever uses the socket, of a topic: from now on a frame that finds a subscriber's queue full is
//  refused, EAGAIN; or lost for that subscriber, and counted as an overflow.
void
yami_fast_notice_full(yami_fast_sender_t *self);
void
yami_fast_let_drop(yami_fast_sender_t *self);

//  Whether the socket has room after all: asking makes libzmq look at what its peers have taken.
bool
yami_fast_has_room(const yami_fast_sender_t *self);

//  The engine's task; arg is the sender.
int64_t
yami_fast_step(void *arg, int64_t now_ms);

#endif
