/*  yami_relay_core - decides everything a relay does. Pure: no socket, no clock, no disk, no
    thread.

    yami_relay_core_step (core, event) appends effects to a list; the shell carries them out in
    order:

        event                                    effects
        FRAME, BATCH   from a peer               SEND     a control frame to a peer
        GONE           a peer's link ended       DELIVER  a DELIVER frame and its batch, as one
        message of two parts
        DURABLE        ticket n is durable       APPEND   an entry to the store; tickets count 1, 2,
        3 ...
        ENTRY          answer to FETCH           FETCH    read the entry with this sequence, then
        step ENTRY
        TURN           end of a burst, or the    TRIM     the store may forget below this sequence
                       deadline has come         CLOSE    drop the peer's link
        FAILED         the store has failed      LOG      a line for people
        DRAIN          refuse new work
        PRESSED        a peer takes too little

    Between two TURNs it reads, moves and delivers a bounded amount only (YAMI_RELAY_TURN_BYTES);
    with more
    to do its deadline has come at once, and whoever waited longest goes first.

    Only the shell knows LSNs: it keeps (ticket, LSN) in order and steps DURABLE with the highest
    durable ticket.
    Invariants (yami_relay_core_check, run after every step in tests); numbers are those of the
    promises:
    (1) A CONFIRM covers only sequences whose tickets are durable.
    (2) A sequence is fetched for delivery only when its ticket is durable.
    (3) Each sequence of a group is in exactly one place: below floor or in settled; leased;
    returned (waiting for a retry or ready);
        being moved to the dead letters; or not yet delivered (>= next).
    (5) A settle frame changes something only when its token names a live lease of that very peer
    and handle.
    (6) Per producer and channel, stored sequences ascend without gap or repetition, and one handle
    at most may send.
    (9) Memory is bounded by yami_limits.h and the options, before and after HELLO.

    Kinds of entries it appends, all idempotent when replayed twice (meta is msgpack, see
    relay_journal.c): CHANNEL, GROUP definitions; DATA a batch as received; SETTLE ranges done in a
    group; FAILURE a range's counters and due time; MOVE a batch into another channel together with
    the settling of its origin (dead letter, redrive, a delayed message whose time has come: one
    atomic write); REMOVE a group; EPOCH an epoch that a producer is given; DELAY a batch as
    received, kept in another channel than the producer's.
*/
#ifndef YAMI_RELAY_CORE_H
#define YAMI_RELAY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_block.h"
#include "yami_frame.h"
#include "yami_log.h"
#include "yami_relay_options.h"
#include "yami_store.h"
#include "yami_writer.h"

enum {
    YAMI_KIND_CHANNEL = 16,
    YAMI_KIND_GROUP = 17,
    YAMI_KIND_DATA = 18,
    YAMI_KIND_SETTLE = 19,
    YAMI_KIND_FAILURE = 20,
    YAMI_KIND_MOVE = 21,
    YAMI_KIND_REMOVE = 22,
    YAMI_KIND_EPOCH = 23,
    YAMI_KIND_DELAY = 24,
};

typedef struct yami_relay_core yami_relay_core_t;

typedef enum {
    YAMI_EVENT_FRAME, //  peer, frame (decoded, borrowed)
    //  peer, batch (decoded, borrowed), block; is_damaged: the header holds, but the payload's
    //  checksum does not match
    YAMI_EVENT_BATCH,
    //  peer, status: bytes that are no frame; status says why (malformed, version, unknown)
    YAMI_EVENT_GARBAGE,
    YAMI_EVENT_GONE,    //  peer
    YAMI_EVENT_DURABLE, //  ticket
    //  fetch (as the effect gave it), result 0 with entry, or an errno value as the store's read
    //  says
    YAMI_EVENT_ENTRY,
    //  scrub: how far the store's background reading is; damage (NULL: none): a range it has found,
    //  whose sequences, where known, count as lost in every group
    YAMI_EVENT_SCRUB,
    YAMI_EVENT_TURN, //  nothing more: flush what was gathered, run timers
    //  the store failed: waiting confirms are refused with storage-failed, everything stops
    YAMI_EVENT_FAILED,
    //  refuse new messages with "closing", deliver no more; leased ones may still be settled
    YAMI_EVENT_DRAIN,
    YAMI_EVENT_CLOSE, //  the last one: all peers are told that the relay is going away
    //  peer, is_pressed: much of what was sent to it waits to be taken (or does not any more), so
    //  it gets no deliveries meanwhile
    YAMI_EVENT_PRESSED,
} yami_relay_event_type_t;

//  What a FETCH is for; the shell hands it back unchanged.
typedef struct {
    uint32_t channel;
    uint64_t sequence;
    uint32_t purpose;  //  the core's own
    uint64_t argument; //  the core's own
} yami_relay_fetch_t;

//  What only the shell knows, for statistics.
typedef struct {
    uint64_t connections;          //  open now
    uint64_t connections_silent;   //  of them, have not said HELLO
    uint64_t connections_accepted; //  ever
    uint64_t connections_ended;    //  by the relay, ever
    uint64_t handshakes_failed;    //  of ZeroMQ or CURVE, ever
    uint64_t unsent_bytes;         //  queued for all links
    uint64_t pressed;              //  links that take too little of it
    uint64_t unnumbered;           //  messages dropped since too many links are known
} yami_relay_gauges_t;

typedef struct {
    yami_relay_event_type_t type;
    int64_t mono_ms; //  leases, timeouts
    int64_t wall_ms; //  due times, append times
    bool has_room;   //  the store accepts data
    uint64_t peer;   //  the shell's number of a link, > 0, never used again
    const yami_frame_t *frame;
    const yami_batch_t *batch;
    bool is_damaged;                   //  BATCH
    bool is_pressed;                   //  PRESSED
    const yami_relay_gauges_t *gauges; //  TURN: borrowed, or NULL
    const yami_store_stats_t *store;   //  FRAME: borrowed, for statistics; or NULL
    yami_block_t *block; //  BATCH: the frame's bytes, borrowed (take a reference to keep)
    yam_status_t status;
    uint64_t ticket;
    yami_relay_fetch_t fetch;
    int result;                         //  0 or an errno value
    const yami_entry_t *entry;          //  borrowed
    const yami_damage_t *damage;        //  borrowed
    const yami_scrub_progress_t *scrub; //  borrowed
} yami_relay_event_t;

typedef enum {
    YAMI_EFFECT_SEND,    //  peer, block
    YAMI_EFFECT_DELIVER, //  peer, block (DELIVER frame), data (batch)
    YAMI_EFFECT_APPEND,  //  entry (meta owned by the effect in meta block), ticket
    YAMI_EFFECT_FETCH,   //  fetch
    YAMI_EFFECT_TRIM,    //  channel, sequence
    YAMI_EFFECT_CLOSE,   //  peer
    YAMI_EFFECT_LOG,     //  level, event name, text
} yami_relay_effect_type_t;

typedef struct {
    yami_relay_effect_type_t type;
    uint64_t peer;
    yami_block_t *block; //  owned by the effect
    yami_block_t *data;  //  owned by the effect
    yami_entry_t entry;  //  APPEND: meta points into block, data is the effect's data
    uint64_t ticket;
    yami_relay_fetch_t fetch;
    uint32_t channel;
    uint64_t sequence;
    yami_log_level_t level;
    const char *event; //  static storage
    char text[160];
} yami_relay_effect_t;

//  A growing list; the shell empties it after each step. Effects are carried out in order.
typedef struct {
    yami_relay_effect_t *items; //  owned
    size_t count;
    size_t capacity;
} yami_relay_effects_t;

void
yami_relay_effects_init(yami_relay_effects_t *self);
//  Drops all references; the list is empty then and keeps its memory.
void
yami_relay_effects_reset(yami_relay_effects_t *self);
void
yami_relay_effects_clear(yami_relay_effects_t *self);

//  options is borrowed and may change between steps; level is what a durable ticket means
//  (yam_level_t); name is shown to peers; seed makes tokens unguessable and jitter (random in
//  production, fixed in tests). Never NULL.
yami_relay_core_t *
yami_relay_core_new(const yami_relay_options_t *options, int level, const char *name,
                    uint64_t seed);

void
yami_relay_core_destroy(yami_relay_core_t **self_p);

//  Before the first step: takes one entry of the store (see yami_replay_fn), checkpoint first. 0,
//  or -1 with errno EPROTO (not what this core writes) and a sentence.
int
yami_relay_core_replay(yami_relay_core_t *self, const yami_entry_t *entry);

//  A damaged range found while the store was opened: its sequences, where known, count as lost in
//  every group.
void
yami_relay_core_lost(yami_relay_core_t *self, const yami_damage_t *damage);

//  The whole durable state, for a checkpoint: replaying it into a new core gives an equal one.
void
yami_relay_core_snapshot(const yami_relay_core_t *self, yami_writer_t *writer);

void
yami_relay_core_step(yami_relay_core_t *self, const yami_relay_event_t *event,
                     yami_relay_effects_t *effects);

//  Monotonic ms at which a TURN is due, INT64_MAX when nothing waits.
int64_t
yami_relay_core_deadline(const yami_relay_core_t *self);

//  Whether this peer has said HELLO, and its session has not ended.
bool
yami_relay_core_has_session(const yami_relay_core_t *self, uint64_t peer);

//  Nothing leased, nothing waiting for durability: a drain is complete.
bool
yami_relay_core_is_idle(const yami_relay_core_t *self);

void
yami_relay_core_check(const yami_relay_core_t *self);

#endif
