/*  yami_producer_core - a producer's side of a link: what is sent, resent, confirmed and refused.

    Pure: no socket, clock or thread; not thread-safe. The shell (or a simulator) feeds frames and
    time, sends what output gives, opens the socket that link wants, and takes outcomes:

        link ends          DETACHED -WELCOME-> ATTACHING -ATTACHED-> ATTACHED -pause, go-back-N->
        ATTACHED (from all) ----------^                     |                    |
                                                   '-- DETACHED, REFUSE (fenced) --> FINAL

    The window holds every batch from the first that has no outcome yet; the relay drops what it has
    already by (producer, epoch, sequence) and confirms it again, so going back is always safe.
    Invariants (yami_producer_core_check):
    (1) The window's sequences are contiguous, and end before next_sequence.
    (2) A batch leaves the window only confirmed, or refused for good; outcomes come in order.
    (3) Since ATTACHED never more messages or bytes were sent than CREDIT allows, but for one batch
    alone
        on its way when there is credit left that it is too big for.
    (4) The epoch never changes once it is known.
    (5) The batches before sent_count are those sent in this session and not gone back to.
*/
#ifndef YAMI_PRODUCER_CORE_H
#define YAMI_PRODUCER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_frame.h"
#include "yami_link_core.h"
#include "yami_window.h"

#define YAMI_PRODUCER_FLIGHT 4 //  batches on their way at which only full ones follow

typedef enum {
    YAMI_PRODUCER_DETACHED,
    YAMI_PRODUCER_ATTACHING,
    YAMI_PRODUCER_ATTACHED,
    YAMI_PRODUCER_FINAL,
} yami_producer_state_t;

typedef struct {
    int kind; //  YAMI_KIND_
    char channel[YAMI_LIMIT_NAME + 1];
    char name[YAMI_LIMIT_NAME + 1]; //  told to the relay
    bool is_durable;                //  known by its name: the relay gives it an epoch
    yami_id_t producer;             //  of a durable name the BLAKE2b, else random
    uint32_t epoch;          //  one that its owner gives; 0: the relay's, or 1 when not durable
    uint64_t first_sequence; //  of the first message, all before it are settled; 0: 1
    //  A refusal for good ends it: its owner notes that, before the relay is told to go on.
    bool ends_when_refused;
    int64_t heartbeat_ms;
    uint64_t seed; //  of sessions and jitter
} yami_producer_config_t;

//  What became of messages first..last; see yam_confirm_fn.
typedef struct {
    uint64_t first;
    uint64_t last;
    uint64_t bytes; //  of their frames
    yam_status_t status;
    yam_level_t level;
    char text[YAMI_LIMIT_TEXT + 1];
} yami_producer_outcome_t;

typedef struct {
    yami_link_core_t link; //  the shell reads socket from it
    yami_producer_config_t config;

    yami_producer_state_t state;
    yam_status_t final_status; //  why FINAL
    uint64_t final_first;      //  sequences that were refused; 0: all, or none was meant
    uint64_t final_last;
    char final_text[YAMI_LIMIT_TEXT + 1]; //  the relay's words
    uint32_t epoch;                       //  0: not known yet
    uint64_t next_sequence;               //  of the next batch added
    yami_window_t window;                 //  (1)
    size_t sent_count;                    //  (5)
    uint64_t confirmed;                   //  sequence; all up to it are
    yam_level_t level;                    //  of the latest confirm
    uint64_t highest_sent;                //  sequence, in any session
    uint64_t known; //  sequence; the last one the relay had at the latest ATTACHED

    uint64_t credit_messages; //  totals since ATTACHED that the relay allows
    uint64_t credit_bytes;
    uint64_t sent_messages; //  totals since ATTACHED
    uint64_t sent_bytes;

    int64_t pause_ms;       //  nothing is sent before
    uint32_t refusal_count; //  temporary ones without progress
    uint32_t gap_count;     //  gaps without progress
    uint64_t burst_begin;   //  end of the batch gone back to; 0: refusals are taken as they come
    uint64_t burst_seen;    //  refusals of what was sent before came up to this
    uint64_t burst_until;   //  and may come up to this
    uint64_t
        refused_last; //  last sequence refused for good in this session; nothing is sent behind it
    int64_t progress_ms; //  when the relay last did something for us
    int64_t patience_ms; //  without progress for so long, the session begins anew
    bool storage_failed; //  since the last ATTACHED

    yami_block_t *control; //  owned; a control frame the socket has not taken yet
    uint8_t control_type;
    bool owes_attach;
    bool owes_detach;

    uint64_t resent_messages;
    uint64_t frame_count; //  batches sent
} yami_producer_core_t;

void
yami_producer_core_init(yami_producer_core_t *self, const yami_producer_config_t *config);

//  Frees what it holds. Safe twice.
void
yami_producer_core_clear(yami_producer_core_t *self);

//  The id of a producer with a durable name: 16 bytes of BLAKE2b.
yami_id_t
yami_producer_id(const char *name);

//  Whether a batch may be finished and added now: all earlier ones are sent, the epoch is known,
//  and it is full or few enough are on their way.
bool
yami_producer_core_wants_batch(const yami_producer_core_t *self, int64_t now_ms, bool is_full);

//  The header for the next batch.
void
yami_producer_core_head(const yami_producer_core_t *self, yami_batch_t *head);

//  Adds the batch with that header; takes the reference. 0, or -1 with errno ENOMEM.
int
yami_producer_core_add(yami_producer_core_t *self, yami_block_t **block_p, uint32_t message_count);

//  A control frame came; frame is borrowed.
void
yami_producer_core_frame(yami_producer_core_t *self, int64_t now_ms, const yami_frame_t *frame);

//  Something else came; error is decode's errno, 0 for a batch.
void
yami_producer_core_garbage(yami_producer_core_t *self, int64_t now_ms, int error);

//  The wanted socket could not be opened.
void
yami_producer_core_failed(yami_producer_core_t *self, int64_t now_ms);

//  Runs timers; call it when input has been read.
void
yami_producer_core_turn(yami_producer_core_t *self, int64_t now_ms);

//  The frame to send next, borrowed until the next call of anything; NULL when there is none.
yami_block_t *
yami_producer_core_output(yami_producer_core_t *self, int64_t now_ms);

//  The socket took what output gave.
void
yami_producer_core_sent(yami_producer_core_t *self, int64_t now_ms);

//  The next outcome, if there is one. Take all after each frame.
bool
yami_producer_core_outcome(yami_producer_core_t *self, yami_producer_outcome_t *outcome);

//  Detaches and says GOODBYE when there is a session, and ends.
void
yami_producer_core_leave(yami_producer_core_t *self);

//  Monotonic ms of the next turn or output that time alone brings; INT64_MAX when none.
int64_t
yami_producer_core_deadline(const yami_producer_core_t *self, int64_t now_ms);

void
yami_producer_core_check(const yami_producer_core_t *self);

#endif
