/*  yami_pollable - one descriptor for foreign event loops that says "recv may have something".

    A ZeroMQ socket's own descriptor goes quiet as soon as anything looked at the socket, and knows
    nothing of messages that wait in a frame already received. So this is an epoll descriptor over
    two: the socket's, and a signal that stands from the first message handed out until recv found
    nothing. Guarded by its owner's lock.
*/
#ifndef YAMI_POLLABLE_H
#define YAMI_POLLABLE_H

#include <stdbool.h>

typedef struct {
    int fd;        //  owned; what the application polls; -1 until asked for
    int signal_fd; //  owned eventfd; -1
    bool is_signalled;
} yami_pollable_t;

void
yami_pollable_init(yami_pollable_t *self);

//  The descriptor, opened when first asked for and then readable, so that the first wait looks. -1
//  with errno EMFILE and a sentence.
int
yami_pollable_fd(yami_pollable_t *self, int socket_fd);

//  Makes it readable, or leaves it to the socket. Cheap when nothing changes.
void
yami_pollable_set(yami_pollable_t *self, bool is_signalled);

void
yami_pollable_close(yami_pollable_t *self);

#endif
