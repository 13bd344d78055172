/*  delay_model - says of every message of delay_fixture's queue where it must be: offered, waiting
    for its time, in the queue, or ended by a cancel or purge; simple enough to be believed.

    An array of all messages, and nothing of the core's: each holds the entry of the journal that
    stored it, and the one that ended its wait. So what a crash leaves is known exactly, wherever
    the journal is cut. It is told what clients do before they do it, and sees what anybody may see:
    entries and frames. What it expects of them it asserts, order and contents included.
*/
#ifndef DELAY_MODEL_H
#define DELAY_MODEL_H

#include "delay_fixture.h"

#define DELAY_NEVER SIZE_MAX //  no entry

typedef struct {
    int64_t due_ms; //  wall clock; AT_ONCE: none
    const char *id; //  NULL: none
    bool was_later; //  when it was stored
    size_t stored;  //  entry
    size_t ended;   //  entry that moved, cancelled or purged it; also of what was never delayed
    bool is_moved;
} delay_model_message_t;

typedef enum {
    DELAY_ASKS_NOTHING,
    DELAY_ASKS_CANCEL,
    DELAY_ASKS_PURGE
} delay_model_question_t;

typedef struct {
    fixture_t *fixture;
    delay_model_message_t *messages; //  by producer sequence - 1
    size_t capacity;
    size_t offered;
    size_t stored;
    size_t *waits; //  what CHANNEL.delayed has: messages, by its sequence - 1
    size_t wait_capacity;
    size_t wait_count;
    size_t *queue; //  what CHANNEL has, likewise
    size_t queue_capacity;
    size_t queue_count;
    size_t waiting; //  messages
    size_t seen;    //  entries of the journal
    uint32_t delayed_number;

    uint64_t confirmed;
    uint64_t delivered; //  highest sequence, since the consumer came
    uint64_t serial;
    bool expects_refusal; //  of what was offered

    delay_model_question_t question;
    const char *id;    //  to be cancelled
    size_t asked_at;   //  messages stored by then
    size_t asked_for;  //  a purge: how many wait
    uint64_t answered; //  ended since
    bool may_fail;     //  reading did, since

    uint64_t moved; //  for the test: that all of it was tried
    uint64_t cancelled;
    uint64_t purged;
} delay_model_t;

void
delay_model_init(delay_model_t *self, fixture_t *fixture);
void
delay_model_clear(delay_model_t *self);

//  Producer offers another message.
void
delay_model_offer(delay_model_t *self, int64_t due_ms, const char *id);
//  Cancels id, or purges what waits (NULL). No other question may be open.
void
delay_model_ask(delay_model_t *self, const char *id);
//  Takes in what the last step appended and sent. Acks what was delivered.
void
delay_model_observe(delay_model_t *self);
//  Compares what waits with the core's index.
void
delay_model_compare(const delay_model_t *self);
//  Nothing is left to do: whose time has come was moved, delivered and acked, all is confirmed.
void
delay_model_is_quiet(const delay_model_t *self);
//  The core was restarted from that many entries.
void
delay_model_crashed(delay_model_t *self, size_t entry_count);

//  Whether it waits for its time.
bool
delay_model_waits(const delay_model_message_t *message);

#endif
