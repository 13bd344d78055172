/*  relay_model - says of every sequence of every group where it must be; simple enough to be
    believed.

    Fed with what clients do and with what the core sends and appends. Where a crash leaves more
    than one outcome, the model checks that the core's is one of them and takes it over.
*/
#ifndef RELAY_MODEL_H
#define RELAY_MODEL_H

#include "relay_fixture.h"

typedef enum {
    MODEL_FREE,
    MODEL_LEASED,
    MODEL_DEAD,
    MODEL_SETTLED
} model_place_t;

typedef struct {
    model_place_t place;
    bool is_told; //  that it is settled is durable
    uint32_t failures;
    uint64_t token;
    uint64_t peer;
    int64_t deadline_ms;
    uint64_t serial; //  of the settle frame, when settled by one
} model_message_t;

typedef struct {
    const char *channel;
    const char *name;
    uint32_t handle;           //  on which every member attaches
    model_message_t *messages; //  by sequence - 1
    size_t count;
    size_t capacity;
} model_group_t;

typedef struct {
    fixture_t *fixture;
    model_group_t groups[4];
    char (*bodies[FIXTURE_CHANNELS])[16]; //  by channel and sequence - 1
    size_t body_count[FIXTURE_CHANNELS];
    size_t body_capacity[FIXTURE_CHANNELS];
    size_t seen; //  entries of the journal
    uint64_t delivered;
    uint64_t crashes;
} model_t;

void
model_init(model_t *self, fixture_t *fixture);
void
model_clear(model_t *self);
//  Takes in new journal entries, then frames sent to peers; to be called after each step.
void
model_observe(model_t *self);
//  A settle frame is about to be sent.
void
model_settle(model_t *self, uint64_t peer, uint32_t handle, int type, uint64_t serial,
             uint64_t token, uint64_t first, uint64_t last);
//  Time has come to fixture->mono_ms and a TURN ran.
void
model_time(model_t *self);
void
model_gone(model_t *self, uint64_t peer);
void
model_purged(model_t *self, const char *channel);
//  Compares all of it with the core. is_crash: takes over what a crash may change.
void
model_compare(model_t *self, bool is_crash);

#endif
