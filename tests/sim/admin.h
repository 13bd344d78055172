/*  admin - somebody who has dead letters sent back and delayed messages cancelled: the real link
    core, and two frames.
*/
#ifndef ADMIN_H
#define ADMIN_H

#include "network.h"
#include "oracle.h"
#include "yami_link_core.h"

typedef struct {
    world_t *world;
    oracle_t *oracle;
    network_client_t *client;
    uint64_t random;
    yami_link_core_t link;
    uint64_t socket;
    int64_t wake_us;
    uint64_t serial;
    bool is_asked;       //  a request waits to be sent
    const char *channel; //  of that
    uint64_t cancel;     //  the message that is to be cancelled; 0: a redrive
    char id[24];         //  its id, as text
    uint64_t answers;    //  serial of the cancel that has no answer yet; 0: none
} admin_t;

void
admin_init(admin_t *self, world_t *world, oracle_t *oracle, network_t *network);

//  Asks for all dead letters of a channel; what was asked for before and not sent yet is forgotten.
void
admin_redrive(admin_t *self, const char *channel);

//  The same for a cancel of that message.
void
admin_cancel(admin_t *self, const char *channel, uint64_t id);

#endif
