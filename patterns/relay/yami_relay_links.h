/*  yami_relay_links - the links of a ROUTER socket: routing ids of ZeroMQ to numbers of ours, and
    back.

    Not thread-safe. Numbers count 1, 2, 3 ... and are never used again, so a late event for a link
    that is gone can hit nobody else.
*/
#ifndef YAMI_RELAY_LINKS_H
#define YAMI_RELAY_LINKS_H

#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"

typedef struct yami_relay_links yami_relay_links_t;

yami_relay_links_t *
yami_relay_links_new(size_t limit);

void
yami_relay_links_destroy(yami_relay_links_t **self_p);

//  The number of the link with this routing id (1..255 bytes), a new one when it is not known; 0
//  when limit links are known.
uint64_t
yami_relay_links_number(yami_relay_links_t *self, const yami_block_t *routing_id);

//  The routing id of a link, borrowed; NULL when it is gone.
yami_block_t *
yami_relay_links_routing_id(yami_relay_links_t *self, uint64_t number);

//  Forgets a link.
void
yami_relay_links_remove(yami_relay_links_t *self, uint64_t number);

#endif
