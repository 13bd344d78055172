/*  relay_fixture - a relay core with a shell made of arrays: tests say when what is appended
    becomes durable.

    Every step is followed by yami_relay_core_check. Appended entries are the journal, from which a
    restart replays; what is sent waits in a list until a test takes it.
*/
#ifndef RELAY_FIXTURE_H
#define RELAY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yami_relay_core.h"

#define FIXTURE_CHANNELS 64

typedef struct {
    yami_entry_t entry; //  meta and data owned
    uint64_t ticket;    //  0: checkpoint
    bool is_damaged;    //  reading it fails
    bool is_missing;    //  not found any more
} fixture_entry_t;

typedef struct {
    uint64_t peer;
    yami_block_t *block;
    yami_block_t *data;
} fixture_sent_t;

typedef struct {
    size_t *items;
    size_t count;
    size_t capacity;
} fixture_index_t;

typedef struct fixture fixture_t;

struct fixture {
    yami_relay_options_t options;
    yami_relay_core_t *core;
    uint64_t seed;
    uint64_t session; //  of the last HELLO
    int64_t mono_ms;
    int64_t wall_ms;
    bool has_room;
    bool is_unchecked; //  for measuring
    int read_error;    //  errno of each FETCH; 0: they work

    fixture_entry_t *entries;
    size_t entry_count;
    size_t entry_capacity;
    size_t durable_count;
    uint64_t ticket; //  last appended
    fixture_index_t by_channel[FIXTURE_CHANNELS];
    uint64_t trimmed[FIXTURE_CHANNELS];

    fixture_sent_t *sent;
    size_t sent_count;
    size_t sent_capacity;
    yami_block_t *taken; //  what frame and batch below point into
    yami_block_t *taken_data;
    yami_frame_t frame;
    yami_batch_t batch;

    yami_relay_effects_t effects;
    uint64_t closed;    //  last peer closed
    char logged[64];    //  last event name,
    char log_text[160]; //  and what follows it
    unsigned log_count;
    unsigned fetch_count;
    yami_log_level_t log_level;
    //  Called before each FETCH, unless NULL: what steps the core meanwhile uses our effects.
    void (*before_fetch)(fixture_t *self, const yami_relay_fetch_t *fetch);
};

fixture_t *
fixture_new(void);
void
fixture_free(fixture_t **self_p);
//  The same, as cmocka calls it after a test.
int
fixture_teardown(void **state);

//  A new core; what was not durable is gone, what is durable is replayed from the last checkpoint
//  on. All peers are gone.
void
fixture_restart(fixture_t *self);
//  The same with the first entry_count entries only.
void
fixture_restart_at(fixture_t *self, size_t entry_count);
void
fixture_checkpoint(fixture_t *self);

void
fixture_step(fixture_t *self, yami_relay_event_t *event);
void
fixture_turn(fixture_t *self);
//  Everything appended so far is durable, then a turn.
void
fixture_durable(fixture_t *self);
//  The first entry_count entries are, and no turn.
void
fixture_durable_at(fixture_t *self, size_t entry_count);
//  Turns, durable, until nothing changes.
void
fixture_settle_down(fixture_t *self);
void
fixture_advance(fixture_t *self, int64_t ms);

//  -- as clients --------------------------------------------------------------------------------

void
fixture_send(fixture_t *self, uint64_t peer, const yami_frame_t *frame);
//  Begins a session of its own.
void
fixture_hello(fixture_t *self, uint64_t peer);
//  Says HELLO of that session, perhaps again.
void
fixture_hello_of(fixture_t *self, uint64_t peer, uint64_t session);
void
fixture_producer(fixture_t *self, uint64_t peer, uint32_t handle, int kind, const char *channel,
                 uint8_t id, uint32_t epoch, uint64_t first);
void
fixture_consumer(fixture_t *self, uint64_t peer, uint32_t handle, int kind, const char *channel,
                 const char *group, const char *filter, int start, int64_t lease_ms);
//  Messages first.. of producer id; bodies are "ID.SEQUENCE", with a subject when it is not NULL.
yami_block_t *
fixture_batch(uint32_t handle, uint8_t id, uint32_t epoch, uint64_t first, uint32_t count,
              const char *subject);
//  The same, not to be delivered before due_ms by the wall clock.
yami_block_t *
fixture_batch_due(uint32_t handle, uint8_t id, uint32_t epoch, uint64_t first, uint32_t count,
                  const char *subject, int64_t due_ms);
void
fixture_publish(fixture_t *self, uint64_t peer, yami_block_t *block);
void
fixture_credit(fixture_t *self, uint64_t peer, uint32_t handle, uint64_t messages, uint64_t bytes);
void
fixture_settle(fixture_t *self, uint64_t peer, uint32_t handle, int type, uint64_t serial,
               uint64_t token, uint64_t first, uint64_t last);
void
fixture_admin(fixture_t *self, uint64_t peer, const char *command, const char *channel,
              bool is_dry);
void
fixture_gone(fixture_t *self, uint64_t peer);

//  -- what they got -----------------------------------------------------------------------------

//  Takes the oldest frame of that type sent to peer into self->frame (and its batch into
//  self->batch). Whether there was one.
bool
fixture_take(fixture_t *self, uint64_t peer, int type);
//  The oldest of all; there must be one.
void
fixture_take_first(fixture_t *self);
void
fixture_expect(fixture_t *self, uint64_t peer, int type);
void
fixture_expect_none(fixture_t *self, uint64_t peer, int type);
void
fixture_forget(fixture_t *self);
//  Body of the record with that sequence of the taken batch, copied as text.
const char *
fixture_body(fixture_t *self, uint64_t sequence);
//  A number in the first row of the taken REPLY whose key it is; -1 when there is none.
int64_t
fixture_number(const fixture_t *self, const char *key);
//  What is durable, in a form that a restart must give again.
yami_block_t *
fixture_state(const yami_relay_core_t *core);
//  A number from the environment.
uint64_t
fixture_setting(const char *name, uint64_t otherwise);

#endif
