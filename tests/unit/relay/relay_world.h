/*  relay_world - clients of a relay core at random: producers and members, each told to the model
    before it is done.

    Every function but world_random does one thing that some client may do now, or nothing when
    nobody can.
*/
#ifndef RELAY_WORLD_H
#define RELAY_WORLD_H

#include "relay_model.h"

#define WORLD_MEMBERS 5
#define WORLD_LAST_PEER (MODEL_PEERS - 1) //  never a member

typedef struct {
    fixture_t *f;
    model_t model;
    uint64_t random;
    uint64_t backlog;                //  nobody publishes beyond it
    bool is_calm;                    //  crashes are rare
    uint64_t peer;                   //  last number given to a member
    uint64_t members[WORLD_MEMBERS]; //  peers, 0: not there
    bool has_handle[WORLD_MEMBERS][MODEL_HANDLES + 1];
    uint64_t serial;
    uint32_t attached; //  times a producer did
} world_t;

//  0 to limit - 1.
uint64_t
world_random(world_t *w, uint64_t limit);

//  -- producers ---------------------------------------------------------------------------------

//  The one publishing link, after a start or restart of the relay.
void
world_connect_producers(world_t *w);
//  On another handle, in the same epoch or a new one.
void
world_attach_again(world_t *w);
//  New messages, known ones, or what is to be refused.
void
world_publish(world_t *w);

//  Of some delayed messages.
const char *
world_id(world_t *w);

//  -- members -----------------------------------------------------------------------------------

void
world_attach_member(world_t *w, uint64_t peer, uint32_t handle);
//  Says HELLO, also when it was there: that ends its session.
void
world_join(world_t *w);
void
world_leave(world_t *w);
void
world_credit(world_t *w);
void
world_send_settle(world_t *w, const model_settle_t *settle);
//  Settles a run from some leased message on, rightly or not.
void
world_settle(world_t *w);
//  Somebody else's lease, or one that is over: settles nothing.
void
world_settle_stale(world_t *w);

#endif
