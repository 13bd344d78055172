/*  yami_socket - making ZeroMQ sockets without ever running into libzmq's aborts.

    libzmq ends the process when descriptors run out under it, so there must be some to spare before
    it is asked.
*/
#ifndef YAMI_SOCKET_H
#define YAMI_SOCKET_H

#include "yami_endpoint.h"

//  0 when at least YAMI_SPARE_DESCRIPTORS more descriptors can be opened, else -1 with errno EMFILE
//  or ENFILE and a sentence.
#define YAMI_SPARE_DESCRIPTORS 16
int
yami_socket_check_descriptors(void);

//  A socket of context with the limits every socket gets. NULL with errno EMFILE, EINVAL, ETERM and
//  a sentence.
void *
yami_socket_open(void *context, int type, const yami_endpoint_options_t *options);

//  Closes without losing errno; NULL is safe.
void
yami_socket_close(void *socket);

#endif
