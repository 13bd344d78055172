/*  yami_frame_socket - blocks in and out of ZeroMQ sockets without copying. Never blocks.
*/
#ifndef YAMI_FRAME_SOCKET_H
#define YAMI_FRAME_SOCKET_H

#include <stdbool.h>

#include "yami_block.h"

//  Receives one frame part. *more_p says whether another part of the same message follows. The caller owns the block, which wraps the
//  zmq_msg_t. NULL with errno EAGAIN, ETERM, ENOMEM.
yami_block_t *
yami_socket_recv(void *socket, bool *more_p);

//  Sends a reference to block as one part; large blocks are not copied (the I/O thread drops the reference), small ones (< 1 KiB) are.
//  0; or -1 with errno EAGAIN, EHOSTUNREACH (ROUTER), ETERM; the reference stays the caller's in every case.
int
yami_socket_send(void *socket, yami_block_t *block, bool more);

#endif
