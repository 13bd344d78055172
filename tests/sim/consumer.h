/*  consumer - a consuming process: an application, the real consumer core, a socket.

    The application works on a few messages at a time, each for a while, and then does with it what
    the scenario says. A crash forgets all of it.
*/
#ifndef CONSUMER_H
#define CONSUMER_H

#include "network.h"
#include "oracle.h"
#include "scenario.h"
#include "yam_message.h"
#include "yami_consumer_core.h"

#define CONSUMER_HOLD 32

//  A message at work.
typedef struct {
    yam_message_t *message; //  owned
    int64_t done_us;
} consumer_work_t;

typedef struct {
    world_t *world;
    oracle_t *oracle;
    const scenario_consumer_t *plan;
    unsigned poison;
    char channel[64];
    int kind;
    unsigned group; //  the oracle's number
    unsigned index;
    network_client_t *client;
    uint64_t random;

    //  This incarnation's:
    uint64_t incarnation;
    yami_consumer_core_t *core; //  owned; NULL: not running
    bool is_leaving;
    consumer_work_t work[CONSUMER_HOLD];
    size_t work_count;
    uint64_t socket;
    int64_t wake_us;
    int64_t frozen_us;
    bool is_calm;
    int64_t lease_ms;
} consumer_t;

void
consumer_init(consumer_t *self, world_t *world, oracle_t *oracle, network_t *network,
              const scenario_t *scenario, unsigned index);
void
consumer_clear(consumer_t *self);

void
consumer_start(consumer_t *self);
void
consumer_crash(consumer_t *self);
void
consumer_leave(consumer_t *self);
void
consumer_freeze(consumer_t *self, int64_t until_us);
//  From now on everything is acked at once, but for poison.
void
consumer_calm(consumer_t *self);

#endif
