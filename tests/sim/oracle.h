/*  oracle - knows what was sent, confirmed, delivered and settled, and says when that cannot be.

    It sees three things: what applications ask and are told; each frame at the moment the relay
    takes it, and each at the moment the relay sends it; the relay's turns and crashes. So it can
    keep, for each sequence of each group, where it must be, and a message has to be where that
    says. Only a crash of the relay leaves more than one outcome: what it had not said to be durable
    may be forgotten.

    What it checks, by the kind of failure:
        forgotten         what the relay said to be stored, it has still when it is asked again
        sequence-changed  a channel's sequence stands for one message for ever
        stored-twice      a message has one sequence, and one more for each redrive
        body              a body is the one that was sent, also as the consumer sees it
        order             sequences of a producer ascend as it sent them, those of what waited for
                          its time as these times do; first deliveries ascend
        refused           what was refused for good is never delivered
        leased            nobody gets what another holds
        fenced            whoever settles what it does not hold is told so, and nobody else
        acked-again       what was said to be settled durably never comes again
        counters          deliveries and failures are as many as there were
        early             a retry waits for its delay, a delayed message for its time
        cancelled         what was told to be cancelled is never delivered
        dead-letter       only what was rejected or failed too often is one, with its reason
        epoch             no epoch is given to two incarnations
        missing, stuck    see oracle_undone; credit comes back, too
*/
#ifndef ORACLE_H
#define ORACLE_H

#include "world.h"
#include "yami_batch.h"
#include "yami_frame.h"

typedef struct oracle oracle_t;

typedef enum {
    ORACLE_ASKED,
    ORACLE_CONFIRMED,
    ORACLE_REFUSED,
    ORACLE_UNKNOWN //  the producer crashed, or was fenced, before it knew
} oracle_fate_t;

typedef struct {
    int64_t lease_ms; //  of who asks for none
    int64_t delivery_limit;
    int64_t backoff_ms[4]; //  the last repeats
    unsigned backoff_count;
} oracle_rules_t;

oracle_t *
oracle_new(world_t *world, const oracle_rules_t *rules);
void
oracle_destroy(oracle_t **self_p);

//  -- What there is: channels and groups are counted from 0

unsigned
oracle_channel(oracle_t *self, const char *name, int kind);
//  name "": the queue's own.
unsigned
oracle_group(oracle_t *self, unsigned channel, const char *name);

//  -- Producers: a stream is one producer id and channel

uint64_t
oracle_stream(const yami_id_t *producer, unsigned channel);
//  Asks for a message; returns its id, > 0.
uint64_t
oracle_ask(oracle_t *self, unsigned channel, uint64_t stream, size_t body_size);
//  Fills what was asked for: as many bytes as asked.
size_t
oracle_body(const oracle_t *self, uint64_t id, uint8_t *body);
//  The message goes out with this epoch and sequence.
void
oracle_numbered(oracle_t *self, uint64_t id, uint32_t epoch, uint64_t sequence);
//  Asks that nobody gets it before, by the wall clock; and what was asked for, 0: nothing.
void
oracle_delay(oracle_t *self, uint64_t id, int64_t due_ms);
int64_t
oracle_due_ms(const oracle_t *self, uint64_t id);
//  A delayed message that has not come, drawn from those there are; 0: there is none.
uint64_t
oracle_draw_delayed(const oracle_t *self, uint64_t *random_p);
const char *
oracle_channel_of(const oracle_t *self, uint64_t id);
//  Somebody asks that it be cancelled; and is told that it was.
void
oracle_cancels(oracle_t *self, uint64_t id);
void
oracle_cancelled(oracle_t *self, uint64_t id);
void
oracle_fate(oracle_t *self, uint64_t id, oracle_fate_t fate);
void
oracle_epoch(oracle_t *self, uint64_t stream, uint32_t epoch, uint64_t incarnation);

//  -- Consumers

//  What the application got.
void
oracle_received(oracle_t *self, unsigned group, uint64_t sequence, yami_slice_t body);
//  Somebody asks for dead letters to be sent back: each may get another sequence now.
void
oracle_redrives(oracle_t *self);

//  -- The relay; its links are known by their ATTACH

void
oracle_relay_takes(oracle_t *self, uint64_t number, const yami_frame_t *frame);
//  What it did with that frame is done: who settles what it does not hold is told so, if there was
//  memory for that, and nobody else.
void
oracle_relay_took(oracle_t *self, uint64_t number, bool had_memory);
void
oracle_relay_takes_batch(oracle_t *self, uint64_t number, const yami_batch_t *batch);
//  Something else: garbage.
void
oracle_relay_hears(oracle_t *self, uint64_t number);
//  is_sent: false when the relay's link is gone, so that nobody gets it.
void
oracle_relay_delivers(oracle_t *self, uint64_t number, const yami_frame_t *frame,
                      const yami_batch_t *batch, bool is_sent);
void
oracle_relay_sends(oracle_t *self, uint64_t number, const yami_frame_t *frame);
//  The link is forgotten.
void
oracle_relay_drops(oracle_t *self, uint64_t number);
//  It looks at the wall clock.
void
oracle_relay_sees_time(oracle_t *self, int64_t wall_ms);
//  Before timers run.
void
oracle_relay_turns(oracle_t *self);
//  Its process ended.
void
oracle_relay_crashes(oracle_t *self);

//  Nothing is left to do: each message has its fate, each that was confirmed or seen is settled in
//  every group it is for, also as a dead letter; producers may send what they could at first. 0, or
//  the id of a message or the number of a link for which that is not so, with a sentence.
uint64_t
oracle_undone(const oracle_t *self, char *text, size_t size);

//  How much was checked, for those who doubt.
typedef struct {
    uint64_t asked;
    uint64_t confirmed;
    uint64_t refused;
    uint64_t unknown;
    uint64_t delivered;
    uint64_t redelivered;
    uint64_t acked;
    uint64_t dead;
} oracle_counts_t;

oracle_counts_t
oracle_counts(const oracle_t *self);

#endif
