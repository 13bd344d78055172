/*  producer - a producing process: an application, the real producer core, a socket.

    The application asks for messages in bursts and keeps a journal of what became of them. A crash
    forgets core and socket; the next incarnation goes on with other messages.
*/
#ifndef PRODUCER_H
#define PRODUCER_H

#include "network.h"
#include "oracle.h"
#include "scenario.h"
#include "yami_producer_core.h"

typedef struct {
    world_t *world;
    oracle_t *oracle;
    const scenario_producer_t *plan;
    const char *channel_name;
    int kind;
    unsigned index;
    network_client_t *client;
    uint64_t random;
    unsigned big;         //  messages in a thousand that are
    unsigned asked_count; //  of all incarnations

    //  This incarnation's:
    uint64_t incarnation; //  0: not running
    yami_producer_core_t core;
    bool is_running;
    bool is_leaving;
    uint64_t stream;
    uint32_t batch_messages; //  in a full batch
    uint64_t *ids;           //  owned; asked for, in order: message n has the core's sequence n
    size_t id_count;
    size_t id_capacity;
    size_t batched;    //  of them
    uint64_t settled;  //  of them: the fate is known
    uint64_t socket;   //  number of the one that is open; 0: none
    uint32_t epoch;    //  as told to the oracle
    int64_t wake_us;   //  of the next step; INT64_MAX: none
    int64_t frozen_us; //  until
    bool is_calm;      //  no faults any more
} producer_t;

void
producer_init(producer_t *self, world_t *world, oracle_t *oracle, network_t *network,
              const scenario_t *scenario, unsigned index);
void
producer_clear(producer_t *self);

void
producer_start(producer_t *self);
void
producer_crash(producer_t *self);
void
producer_leave(producer_t *self);
void
producer_freeze(producer_t *self, int64_t until_us);
void
producer_calm(producer_t *self);

#endif
