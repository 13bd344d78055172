//  Blocks in and out of ZeroMQ sockets.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"

//  libzmq is not instrumented: the thread sanitizer must be told that it orders who wrote a frame
//  before who reads it.
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(bytes) __tsan_release((void *) (bytes))
#define TAKE_OVER(bytes) __tsan_acquire((void *) (bytes))
#else
#define HAND_OVER(bytes) ((void) (bytes))
#define TAKE_OVER(bytes) ((void) (bytes))
#endif

#define COPY_LIMIT 1024 //  bytes up to which copying is cheaper than sharing

static void
s_close_message(void *hint)
{
    zmq_msg_t *message = hint;
    (void) zmq_msg_close(message);
    yami_free(message);
}

//  Wraps *message, which is taken over. Small frames are copied: libzmq's are slices of an 8 KiB
//  arena, and who keeps one keeps all of it. Without memory for that it is kept all the same: a
//  part that were dropped here would be missed by nobody, and its next would be taken for it.
static yami_block_t *
s_wrap(zmq_msg_t *message, bool *more_p)
{
    size_t size = zmq_msg_size(message);
    *more_p = zmq_msg_more(message) != 0;
    TAKE_OVER(zmq_msg_data(message));
    yami_block_t *copy =
        size <= COPY_LIMIT ? yami_block_copy(zmq_msg_data(message), size, COPY_LIMIT) : NULL;
    if (copy) {
        (void) zmq_msg_close(message);
        return copy;
    }
    zmq_msg_t *kept = yami_alloc(sizeof *kept);
    (void) zmq_msg_init(kept);
    (void) zmq_msg_move(kept, message);
    (void) zmq_msg_close(message);
    return yami_block_new(zmq_msg_data(kept), size, s_close_message, kept);
}

//  fd_p may be NULL: asking costs as much as receiving a small frame.
static yami_block_t *
s_recv(void *socket, bool *more_p, int flags, int *fd_p)
{
    zmq_msg_t message;
    (void) zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, flags) == -1) {
        return NULL;
    }
    if (fd_p) {
        *fd_p = zmq_msg_get(&message, ZMQ_SRCFD);
    }
    return s_wrap(&message, more_p);
}

yami_block_t *
yami_socket_recv(void *socket, bool *more_p)
{
    return s_recv(socket, more_p, ZMQ_DONTWAIT, NULL);
}

yami_block_t *
yami_socket_recv_from(void *socket, bool *more_p, int *fd_p)
{
    return s_recv(socket, more_p, ZMQ_DONTWAIT, fd_p);
}

yami_block_t *
yami_socket_recv_wait(void *socket, bool *more_p)
{
    return s_recv(socket, more_p, 0, NULL);
}

size_t
yami_socket_skip(void *socket)
{
    size_t parts = 0;
    zmq_msg_t message;
    (void) zmq_msg_init(&message);
    bool has_more = true;
    while (has_more) {
        if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) != -1) {
            has_more = zmq_msg_more(&message) != 0;
            parts++;
        } else {
            has_more = errno == EINTR; //  else the context ends: parts come together
        }
    }
    (void) zmq_msg_close(&message);
    return parts;
}

static void
s_drop_reference(void *data, void *hint)
{
    (void) data;
    yami_block_t *block = hint;
    yami_block_unref(&block);
}

static int
s_send(void *socket, zmq_msg_t *message, bool more)
{
    HAND_OVER(zmq_msg_data(message));
    if (zmq_msg_send(message, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) == -1) {
        int error = errno;
        (void) zmq_msg_close(message); //  drops the reference it was given
        errno = error;
        return -1;
    }
    return 0;
}

int
yami_socket_send_shared(void *socket, yami_block_t *block, bool more)
{
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, (void *) block->data, block->size, s_drop_reference, block) ==
        -1) {
        return -1;
    }
    (void) yami_block_ref(block);
    return s_send(socket, &message, more);
}

typedef struct {
    yami_block_t *block;   //  a reference
    yami_outbox_t *outbox; //  charged
    uint64_t charge;
} s_counted_t;

static void
s_drop_counted(void *data, void *hint)
{
    s_counted_t *counted = hint;
    (void) data;
    TAKE_OVER(counted);
    yami_block_unref(&counted->block);
    yami_outbox_discharge(counted->outbox, counted->charge);
    yami_free(counted);
}

int
yami_socket_send_counted(void *socket, yami_block_t *block, bool more, yami_outbox_t *outbox,
                         uint64_t charge)
{
    zmq_msg_t message;
    s_counted_t *counted = yami_alloc(sizeof *counted);
    *counted = (s_counted_t) {yami_block_ref(block), outbox, charge};
    yami_outbox_charge(outbox, charge);
    if (zmq_msg_init_data(&message, (void *) block->data, block->size, s_drop_counted, counted) ==
        -1) {
        s_drop_counted(NULL, counted);
        return yami_fail(ENOMEM, "out of memory for a frame of %zu bytes", block->size);
    }
    HAND_OVER(counted);
    return s_send(socket, &message, more);
}

int
yami_socket_send_copy(void *socket, const void *data, size_t size, bool more)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, size) == -1) {
        return yami_fail(ENOMEM, "out of memory for a frame of %zu bytes", size);
    }
    if (size > 0) {
        memcpy(zmq_msg_data(&message), data, size);
    }
    return s_send(socket, &message, more);
}

int
yami_socket_send(void *socket, yami_block_t *block, bool more)
{
    return block->size < COPY_LIMIT ? yami_socket_send_copy(socket, block->data, block->size, more)
                                    : yami_socket_send_shared(socket, block, more);
}
