/*  yami_frame_socket - blocks in and out of ZeroMQ sockets, large ones without copying.
*/
#ifndef YAMI_FRAME_SOCKET_H
#define YAMI_FRAME_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "yami_block.h"
#include "yami_outbox.h"

//  Receives one frame part, without waiting. *more_p says whether another part of the same message
//  follows. The caller owns the block, which wraps the zmq_msg_t, or is a copy of a small one. NULL
//  with errno EAGAIN, ETERM: what has come is never lost for lack of memory.
yami_block_t *
yami_socket_recv(void *socket, bool *more_p);

//  The same, and the descriptor of the connection it came by: -1 for transports that have none.
yami_block_t *
yami_socket_recv_from(void *socket, bool *more_p, int *fd_p);

//  The same, waiting as long as the socket's ZMQ_RCVTIMEO says. Also EINTR.
yami_block_t *
yami_socket_recv_wait(void *socket, bool *more_p);

//  Drops the parts of a message that are left, after *more_p said that there are some: how many.
size_t
yami_socket_skip(void *socket);

//  Sends a reference to block as one part, without waiting; large blocks are not copied (the I/O
//  thread drops the reference), small ones (< 1 KiB) are. 0; or -1 with errno EAGAIN, EHOSTUNREACH
//  (ROUTER), ETERM; the reference stays the caller's in every case. EAGAIN may be stale by a
//  millisecond: libzmq looks for news of its peers only now and then, asking for ZMQ_EVENTS makes
//  it.
int
yami_socket_send(void *socket, yami_block_t *block, bool more);

//  The same, never copied: for who wants to see the reference dropped.
int
yami_socket_send_shared(void *socket, yami_block_t *block, bool more);

//  The same, never copied, and charged to outbox until ZeroMQ lets go of it (see yami_outbox.h).
//  Also ENOMEM.
int
yami_socket_send_counted(void *socket, yami_block_t *block, bool more, yami_outbox_t *outbox,
                         uint64_t charge);

//  The same for bytes that are no block: always copied.
int
yami_socket_send_copy(void *socket, const void *data, size_t size, bool more);

#endif
