/*  yami_relay_links - the links of a ROUTER socket: routing ids of ZeroMQ to numbers of ours, and
    back.

    Not thread-safe. Numbers count 1, 2, 3 ... and are never used again, so a late event for a link
    that is gone can hit nobody else.
*/
#ifndef YAMI_RELAY_LINKS_H
#define YAMI_RELAY_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_connections.h"

//  What its owner knows of a link.
typedef struct {
    uint64_t number;
    yami_block_t *routing_id;        //  owned by the links
    yami_connection_id_t connection; //  stamp 0: none
    bool is_placed;                  //  connection was asked for
    bool has_greeted;                //  on this connection
    bool is_crowded;                 //  much waits for it
    bool is_pressed;                 //  and the core knows
} yami_relay_link_t;

typedef struct yami_relay_links yami_relay_links_t;

yami_relay_links_t *
yami_relay_links_new(size_t limit);

void
yami_relay_links_destroy(yami_relay_links_t **self_p);

//  The link with this routing id (1..255 bytes), a new one when it is not known, borrowed until it
//  is removed; NULL when limit links are known.
yami_relay_link_t *
yami_relay_links_find(yami_relay_links_t *self, const yami_block_t *routing_id);

//  NULL when it is gone.
yami_relay_link_t *
yami_relay_links_get(const yami_relay_links_t *self, uint64_t number);

//  Forgets a link.
void
yami_relay_links_remove(yami_relay_links_t *self, uint64_t number);

#endif
