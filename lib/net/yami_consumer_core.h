/*  yami_consumer_core - a consumer's side of a link: credit, leases, what is settled and what of
    that is durable.

    Pure: no socket, clock or thread; not thread-safe (the shell guards it with one lock). The shell
    (or a simulator) feeds frames, deliveries and time, sends what output gives, and opens the
    socket that link wants:

        link ends       DETACHED -WELCOME-> ATTACHING -ATTACHED-> ATTACHED -detach, all acked->
        DETACHING (from all) --------^                    |                    |
        |
                                                '---- DETACHED ------+-> FINAL     DETACHED -> LEFT
                                                '

    Invariants (yami_consumer_core_check):
    (1) Leases are those of this session: with it, everything of them ends, also what waits to be
    received.
    (2) Granted is never more than what was settled or is gone, plus the credit asked for; it never
    falls.
    (3) A settle frame names leases of this session only; serials ascend from 1 in each session.
    (4) unresolved counts messages settled but neither known to be durable nor lost with their
    session.
    (5) With a limit, messages handed out, waiting and granted but not here yet are never more than
    it.
*/
#ifndef YAMI_CONSUMER_CORE_H
#define YAMI_CONSUMER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_frame.h"
#include "yami_leases.h"
#include "yami_link_core.h"
#include "yami_settle_list.h"

#define YAMI_CONSUMER_SERIALS 1024u     //  settle frames whose ACKED is told apart
#define YAMI_CONSUMER_PATIENCE_MS 30000 //  without an answer for so long, the session begins anew

typedef enum {
    YAMI_CONSUMER_DETACHED,
    YAMI_CONSUMER_ATTACHING,
    YAMI_CONSUMER_ATTACHED,
    YAMI_CONSUMER_DETACHING,
    YAMI_CONSUMER_LEFT,
    YAMI_CONSUMER_FINAL,
} yami_consumer_state_t;

typedef struct {
    int kind; //  YAMI_KIND_
    char channel[YAMI_LIMIT_NAME + 1];
    char group[YAMI_LIMIT_NAME + 1]; //  "": the queue's, or a subscription of its own
    char filter[YAMI_LIMIT_SUBJECT + 1];
    char name[YAMI_LIMIT_NAME + 1]; //  told to the relay
    uint64_t start;                 //  YAMI_START_
    uint64_t sequence;              //  for YAMI_START_SEQUENCE
    int64_t lease_ms;               //  0: the relay's
    uint64_t credit_messages;       //  unsettled ones asked for
    uint64_t credit_bytes;
    uint64_t limit_messages; //  handed out in all; 0: no limit
    int64_t heartbeat_ms;
    uint64_t seed;
} yami_consumer_config_t;

//  A settle frame on its way.
typedef struct {
    uint64_t serial;
    uint64_t messages;
} yami_consumer_serial_t;

typedef struct {
    yami_link_core_t link; //  the shell reads socket from it
    yami_consumer_config_t config;

    yami_consumer_state_t state;
    yam_status_t final_status;            //  why FINAL
    char final_text[YAMI_LIMIT_TEXT + 1]; //  the relay's words
    yami_leases_t leases;                 //  (1)
    uint64_t highest;                     //  channel sequence received, in any session
    bool has_position; //  a subscription of its own goes on at config.sequence in the next session

    uint64_t handed_out;        //  messages, ever
    uint64_t received_messages; //  total since ATTACHED
    uint64_t gone_messages;     //  totals since ATTACHED: settled, or given up
    uint64_t gone_bytes;
    uint64_t granted_messages; //  totals since ATTACHED, as told
    uint64_t granted_bytes;

    yami_settle_list_t pending;
    bool is_urgent;   //  pending is to leave now
    int64_t flush_ms; //  when it leaves anyway; 0: not decided yet
    uint64_t serial;  //  of the last settle frame
    yami_consumer_serial_t serials[YAMI_CONSUMER_SERIALS]; //  ring
    size_t serial_head;
    size_t serial_count;
    uint64_t settled;    //  messages, ever
    uint64_t unresolved; //  (4)
    uint64_t lost;       //  settled messages whose session ended first
    int64_t progress_ms; //  when the relay last did what we wait for
    bool storage_failed; //  since the last ATTACHED

    yami_block_t *control;      //  owned; a control frame the socket has not taken yet
    yami_frame_t control_frame; //  what it says; its slices are not valid
    uint64_t control_messages;  //  that it settles
    bool owes_attach;
    bool is_closing; //  detach when all is acked

    uint64_t stale_count;   //  settles that came too late
    uint64_t dropped_count; //  frames malformed or not understood
    uint64_t frame_count;   //  deliveries
} yami_consumer_core_t;

void
yami_consumer_core_init(yami_consumer_core_t *self, const yami_consumer_config_t *config);

//  Frees what it holds. Safe twice.
void
yami_consumer_core_clear(yami_consumer_core_t *self);

//  A control frame without a second part came; borrowed.
void
yami_consumer_core_frame(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame);

//  A DELIVER came; is_sound says whether yami_delivery_decode took its batch.
void
yami_consumer_core_deliver(yami_consumer_core_t *self, int64_t now_ms, const yami_frame_t *frame,
                           const yami_delivery_t *delivery, bool is_sound);

//  Something else came; error is decode's errno.
void
yami_consumer_core_garbage(yami_consumer_core_t *self, int64_t now_ms, int error);

//  The wanted socket could not be opened.
void
yami_consumer_core_failed(yami_consumer_core_t *self, int64_t now_ms);

//  Runs timers; call it when input has been read.
void
yami_consumer_core_turn(yami_consumer_core_t *self, int64_t now_ms);

//  The frame to send next, borrowed until the next call of anything; NULL when there is none.
yami_block_t *
yami_consumer_core_output(yami_consumer_core_t *self, int64_t now_ms);

//  The socket took what output gave.
void
yami_consumer_core_sent(yami_consumer_core_t *self, int64_t now_ms);

//  The next message, NULL when none waits, or the limit is reached. The caller owns it.
yam_message_t *
yami_consumer_core_recv(yami_consumer_core_t *self);

//  Whether as many as config.limit_messages are handed out: no more will come.
bool
yami_consumer_core_is_done(const yami_consumer_core_t *self);

//  Settles or extends a message; type is a frame type. *wakes_p: whether output has something new
//  to do soon, so that the engine is to run. 0, or -1 with errno ESTALE (not leased in this
//  session; counted) or ENOMEM.
int
yami_consumer_core_settle(yami_consumer_core_t *self, const yam_message_t *message, uint8_t type,
                          int64_t delay_ms, const char *reason, bool *wakes_p);

//  What is pending leaves at the next output.
void
yami_consumer_core_flush(yami_consumer_core_t *self);

//  Delivers no more; detaches once all that was settled is acked. Then the state is LEFT (also when
//  there is no session), or FINAL. Safe twice.
void
yami_consumer_core_close(yami_consumer_core_t *self);

//  Says GOODBYE when there is a session, and ends.
void
yami_consumer_core_leave(yami_consumer_core_t *self);

//  Monotonic ms of the next turn or output that time alone brings; INT64_MAX when none.
int64_t
yami_consumer_core_deadline(const yami_consumer_core_t *self, int64_t now_ms);

//  For the core's own files: whether the relay owes an answer; when the oldest lease is given up.
bool
yami_consumer_core_waits(const yami_consumer_core_t *self);
int64_t
yami_consumer_core_forget_ms(const yami_consumer_core_t *self);

void
yami_consumer_core_check(const yami_consumer_core_t *self);

#endif
