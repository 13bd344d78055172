//  sure_link - a DEALER socket that queues no batches for a relay that is not there. See
//  yami_sure_link.h.

#include "yami_sure_link.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_socket.h"

#define RECONNECT_MS 20
#define RECONNECT_LIMIT_MS 500

void
yami_sure_link_init(yami_sure_link_t *self, yam_t *yam, const yami_endpoint_t *endpoint,
                    bool has_deliveries)
{
    YAM_ASSERT(endpoint->address_count == 1 && !endpoint->addresses[0].is_bind);
    *self =
        (yami_sure_link_t) {.yam = yam, .endpoint = *endpoint, .has_deliveries = has_deliveries};
}

static void
s_set(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    YAM_ASSERT(rc == 0);
}

static int
s_open(yami_sure_link_t *self)
{
    void *socket = yami_context_socket(self->yam, ZMQ_DEALER, &self->endpoint.options);
    if (socket == NULL) {
        return -1;
    }
    //  Batches shall not wait in a dead peer's queue, which would be lost without a word. But with
    //  this option libzmq takes a broken connection's messages away between two parts, and then
    //  asserts that there were no more (fq.cpp). What a receiver sends may wait, or be lost.
    s_set(socket, ZMQ_IMMEDIATE, !self->has_deliveries);
    //  What comes is taken at once, and bounded by credit. A socket that had no room would be one
    //  at which ZeroMQ ends the process when the peer asks with heartbeats of its own, and breaks
    //  off.
    s_set(socket, ZMQ_RCVHWM, 0);
    s_set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    s_set(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_LIMIT_MS);
    if (yami_context_attach(socket, &self->endpoint, NULL, 0) == -1) {
        yami_socket_close(socket);
        return -1;
    }
    self->socket = socket;
    return 0;
}

void
yami_sure_link_close(yami_sure_link_t *self)
{
    if (self->socket != NULL) {
        s_set(self->socket, ZMQ_LINGER, self->is_leaving ? YAMI_SURE_FAREWELL_MS : 0);
        yami_socket_close(self->socket);
    }
    self->socket = NULL;
    self->number = 0;
}

int
yami_sure_link_follow(yami_sure_link_t *self, yami_task_t *task, uint64_t wanted, bool *again_p)
{
    if (self->number == wanted) {
        return 0;
    }
    task->wants_output = false;
    if (self->socket != NULL) {
        //  The next one is opened in another step: the engine tells sockets apart by address and
        //  descriptor.
        yami_sure_link_close(self);
        task->socket = NULL;
        *again_p = wanted != 0;
        return 0;
    }
    if (s_open(self) == -1) {
        return -1;
    }
    self->number = wanted;
    task->socket = self->socket;
    return 0;
}

yami_block_t *
yami_sure_link_recv(yami_sure_link_t *self, yami_block_t **second_p, bool *is_odd_p)
{
    *second_p = NULL;
    *is_odd_p = false;
    bool has_more;
    if (self->socket == NULL) {
        errno = EAGAIN;
        return NULL;
    }
    yami_block_t *first = yami_socket_recv(self->socket, &has_more);
    if (first != NULL && has_more) {
        *second_p = yami_socket_recv(self->socket, &has_more);
        *is_odd_p = *second_p == NULL;
    }
    if (first != NULL && has_more && *second_p != NULL) {
        *is_odd_p = true;
        (void) yami_socket_skip(self->socket);
    }
    return first;
}

int
yami_sure_link_send(yami_sure_link_t *self, yami_block_t *block)
{
    if (self->socket == NULL) {
        errno = EAGAIN;
        return -1;
    }
    return yami_socket_send(self->socket, block, false);
}

void
yami_sure_link_name(char *name, size_t size, const char *given)
{
    if (given[0] != 0) {
        (void) snprintf(name, size, "%s", given);
    } else {
        (void) snprintf(name, size, "pid-%ld", (long) getpid());
    }
}
