/*  yami_sure_link - the DEALER socket of a sure sender or receiver, kept as its core wants it.

    The engine thread's alone, after init.
*/
#ifndef YAMI_SURE_LINK_H
#define YAMI_SURE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_context.h"

#define YAMI_SURE_FAREWELL_MS 200 //  GOODBYE may take so long to leave

typedef struct {
    yam_t *yam;               //  borrowed
    yami_endpoint_t endpoint; //  one address, that of the relay
    void *socket;             //  owned, NULL for none
    uint64_t number;          //  of that socket, as the link core counts them
    bool is_leaving;          //  what was sent last is to arrive
    bool has_deliveries;      //  messages of two parts come
} yami_sure_link_t;

//  has_deliveries: messages of two parts come. Then sending succeeds also without a connection, and
//  waits for one; otherwise it is EAGAIN.
void
yami_sure_link_init(yami_sure_link_t *self, yam_t *yam, const yami_endpoint_t *endpoint,
                    bool has_deliveries);

//  Makes the socket the one wanted (0: none), and the task poll it. 0, or -1 with errno EMFILE,
//  EINVAL ... when it could not be opened. *again_p is set when another step is needed, since one
//  was closed.
int
yami_sure_link_follow(yami_sure_link_t *self, yami_task_t *task, uint64_t wanted, bool *again_p);

//  One message: its first part, and its second (NULL: none). Parts beyond are dropped, and
//  *is_odd_p says so. NULL with errno EAGAIN when none waits. The caller owns both.
yami_block_t *
yami_sure_link_recv(yami_sure_link_t *self, yami_block_t **second_p, bool *is_odd_p);

//  0, or -1 with errno EAGAIN (no room, or not connected), ETERM.
int
yami_sure_link_send(yami_sure_link_t *self, yami_block_t *block);

void
yami_sure_link_close(yami_sure_link_t *self);

//  A name for the relay's logs: the one given, or the process's id.
void
yami_sure_link_name(char *name, size_t size, const char *given);

#endif
