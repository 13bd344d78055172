/*  relay_model - says of every message of every group where it must be; simple enough to be
    believed.

    Lists, and nothing of the core's: it is told what clients do before they do it, and sees what
    anybody may see: the frames that are sent and the entries that are appended. What it expects of
    them it asserts, contents and counters included. Where power loss leaves more than one outcome,
    since acks are written in groups, it checks that the core's is one of them and takes that over.

    To be called: model_X for what a client is about to do, then the step of the core, then
    model_observe.
*/
#ifndef RELAY_MODEL_H
#define RELAY_MODEL_H

#include "relay_fixture.h"
#include "relay_view.h"

#define MODEL_CHANNELS 6
#define MODEL_GROUPS 8
#define MODEL_HANDLES 6   //  members may have the first of them
#define MODEL_PRODUCERS 6 //  three ids on each of the first two channels
#define MODEL_PEERS 64
#define MODEL_PUBLISHER 1 //  the peer of all producers
#define MODEL_LEASE_MS 5000
#define MODEL_LIMIT 3 //  failures
#define MODEL_WINDOW 200
#define MODEL_BODY 24

typedef struct {
    char body[MODEL_BODY];
    bool is_eu;     //  its subject is eu.x, which group "c" wants
    int64_t due_ms; //  wall clock; 0: none
    const char *id; //  by which it can be cancelled; NULL: none
} model_content_t;

typedef struct {
    view_t now;
    view_t kept; //  what every restart must know
    view_t most; //  what a restart may know
    bool is_wanted;
    uint64_t peer;
    uint64_t token;       //  of its last lease
    uint64_t last_token;  //  of the one before
    uint64_t lease_first; //  LEASED: what was delivered with it
    uint64_t lease_last;
    int64_t deadline_ms;
    int64_t again_ms;   //  FREE and failed: not before
    int64_t forward_ms; //  of the model, when that was said
} model_message_t;

typedef struct {
    const char *name;
    model_content_t *contents; //  by sequence - 1
    size_t capacity;
    uint64_t count;
    uint64_t kept; //  messages every restart must have
} model_channel_t;

typedef struct {
    model_channel_t *channel;
    const char *name;
    uint64_t number;           //  in the journal
    model_message_t *messages; //  by sequence - 1
    size_t capacity;
    uint64_t count;
    uint64_t floor; //  all below, from 0, are settled for good
} model_group_t;

typedef struct {
    model_channel_t *channel;
    uint8_t id;
    uint32_t handle;
    uint32_t epoch;
    uint64_t last; //  stored in epoch
    uint32_t kept_epoch;
    uint64_t kept_last;
    uint64_t confirmed; //  as told on handle
    uint64_t granted;   //  messages on handle
    uint64_t sent;
} model_producer_t;

//  Something that is in the journal from one length of it on.
typedef struct {
    enum {
        FACT_SETTLED,
        FACT_FAILED,
        FACT_STORED,
        FACT_EPOCH
    } type;
    size_t from; //  a journal of so many entries does not have it
    size_t to;   //  of so many has it; 0: not known yet
    model_group_t *group;
    uint64_t sequence;
    view_t view; //  FAILED
    model_channel_t *channel;
    uint64_t count; //  STORED: messages in the channel
    model_producer_t *producer;
    uint32_t epoch;
    uint64_t last;
    uint64_t peer; //  SETTLED: by whose frame
    uint32_t handle;
    uint64_t serial;
    bool is_asked; //  SETTLED: by the request that has no answer yet
} model_fact_t;

//  A request that has no answer yet.
typedef struct {
    enum {
        ASKS_NOTHING,
        ASKS_PURGE,
        ASKS_REDRIVE,
        ASKS_CANCEL
    } type;
    uint64_t min; //  PURGE: how many the answer says
    uint64_t max;
    uint64_t done;        //  REDRIVE, CANCEL: since
    model_group_t *group; //  CANCEL
    const char *id;
    uint64_t last; //  sequence when it was asked
    bool may_fail; //  reading did, since
} model_request_t;

//  A settle frame.
typedef struct {
    uint64_t peer;
    uint32_t handle;
    int type;
    uint64_t serial;
    yami_settle_t range;
    int64_t delay_ms;   //  -1: it says none
    const char *reason; //  NULL: it says none
} model_settle_t;

typedef struct {
    fixture_t *fixture;
    int64_t now_ms;
    model_channel_t channels[MODEL_CHANNELS];
    model_group_t groups[MODEL_GROUPS]; //  handle index + 1
    model_producer_t producers[MODEL_PRODUCERS];
    model_producer_t nobody; //  stores what is moved
    uint32_t channel_numbers[MODEL_CHANNELS];
    model_fact_t *facts; //  that may still be lost
    size_t fact_count;
    size_t fact_capacity;
    size_t seen; //  entries of the journal
    uint64_t granted[MODEL_PEERS][MODEL_HANDLES + 1];
    uint64_t received[MODEL_PEERS][MODEL_HANDLES + 1];
    int64_t forward_ms; //  by which the wall clock was set forward, in all

    yami_frame_t refusal; //  expected; type 0: none
    bool may_be_stale;    //  an ERROR{fenced} may come
    model_request_t request;

    uint64_t delivered;
    uint64_t crashes;
    uint64_t buried; //  dead letters
    uint64_t fired;  //  delayed ones
    uint64_t cancelled;
} model_t;

void
model_init(model_t *self, fixture_t *fixture);
void
model_clear(model_t *self);
//  Takes in what the last steps appended, then what they sent.
void
model_observe(model_t *self);

//  -- what clients are about to do --------------------------------------------------------------

//  Producer index attaches on a new handle; epoch 0 is for a new one.
void
model_attach(model_t *self, size_t index, uint32_t handle, bool is_new_epoch);
//  Sends records with these contents, from producer sequence first on, as id and epoch say.
void
model_publish(model_t *self, size_t index, uint8_t id, uint32_t epoch, uint64_t first,
              uint32_t count, const model_content_t *contents);
void
model_credit(model_t *self, uint64_t peer, uint32_t handle, uint64_t messages);
void
model_settle(model_t *self, const model_settle_t *settle);
//  Leaves one group, or all of them (handle 0).
void
model_leave(model_t *self, uint64_t peer, uint32_t handle);
void
model_purge(model_t *self, const char *channel, const char *group);
void
model_redrive(model_t *self);
//  What channel has of delayed messages with that id.
void
model_cancel(model_t *self, const char *channel, const char *id);
//  Time goes on by ms, and a turn is to run.
void
model_time(model_t *self, int64_t ms);
//  The wall clock is set, by ms.
void
model_set_clock(model_t *self, int64_t ms);

//  -- against the core --------------------------------------------------------------------------

//  Compares every message of every group.
void
model_compare(model_t *self);
//  The core was restarted from so many entries of the journal: compares, and goes on from there.
void
model_crashed(model_t *self, size_t entry_count);
//  All that was appended is durable, and turns have run: everybody must have been told.
void
model_is_quiet(const model_t *self);

#endif
