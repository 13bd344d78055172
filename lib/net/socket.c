//  Sockets with limits, bound and connected.

#include "yami_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_context.h"
#include "yami_limits.h"
#include "yami_topic_frame.h"

#define HWM_RAW 1000 //  libzmq's own default
#define HWM_BATCH 64 //  frames of up to batch-bytes each
#define RECONNECT_MS 100
#define RECONNECT_LIMIT_MS 2000
#define KEEPALIVE_IDLE_S 10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3

int
yami_socket_check_descriptors(void)
{
    int fds[YAMI_SPARE_DESCRIPTORS];
    int count = 0;
    int error = 0;
    for (; count < YAMI_SPARE_DESCRIPTORS; count++) {
        fds[count] = count == 0 ? eventfd(0, EFD_CLOEXEC) : dup(fds[0]);
        if (fds[count] == -1) {
            error = errno;
            break;
        }
    }
    for (int index = 0; index < count; index++) {
        (void) close(fds[index]);
    }
    if (error == 0) {
        return 0;
    }
    return yami_fail(
        error, "only %d descriptors are left, a socket needs up to %d (raise the limit: ulimit -n)",
        count, YAMI_SPARE_DESCRIPTORS);
}

static void
s_set(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    YAM_ASSERT(rc == 0); //  fails only for values that are wrong in this file
}

static void
s_limit(void *socket, int type, const yami_endpoint_options_t *options)
{
    int64_t frame_limit = YAMI_LIMIT_FRAME + YAMI_LIMIT_SUBJECT + 1 + YAMI_MARKS_SIZE_LIMIT;
    int rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_limit, sizeof frame_limit);
    YAM_ASSERT(rc == 0);
    s_set(socket, ZMQ_LINGER, 0);
    s_set(socket, ZMQ_HANDSHAKE_IVL, YAMI_LIMIT_HANDSHAKE_MS);
    s_set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    s_set(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_LIMIT_MS);
    int hwm = options->hwm != 0                      ? (int) options->hwm
              : options->framing == YAMI_FRAMING_RAW ? HWM_RAW
                                                     : HWM_BATCH;
    s_set(socket, ZMQ_SNDHWM, hwm);
    s_set(socket, ZMQ_RCVHWM, hwm);
    if (type == ZMQ_PUSH) {
        s_set(socket, ZMQ_IMMEDIATE, options->is_immediate);
    }
}

//  Not by ZeroMQ's heartbeats: it ends the process over one that is due on a broken connection of
//  which not all was taken (its issue 4364), and what a puller answers after the pusher has closed
//  makes the pusher's kernel reset the connection and forget what it had not sent yet (seen:
//  megabytes). Links and callers ask who is silent themselves; TCP finds everybody else's dead.
static void
s_watch_peers(void *socket, int type)
{
    s_set(socket, ZMQ_TCP_KEEPALIVE, 1);
    s_set(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S);
    s_set(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S);
    s_set(socket, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT);
    if (type == ZMQ_ROUTER) { //  a pusher waits for who is slow
        s_set(socket, ZMQ_TCP_MAXRT, YAMI_LIMIT_STUCK_MS);
    }
}

void *
yami_socket_open(void *context, int type, const yami_endpoint_options_t *options)
{
    if (yami_socket_check_descriptors() == -1) {
        return NULL;
    }
    void *socket = zmq_socket(context, type);
    if (!socket) {
        int error = errno;
        (void) yami_fail(error, "cannot open a socket: %s%s", zmq_strerror(error),
                         error == EMFILE ? " (too many sockets in one yam_t)" : "");
        return NULL;
    }
    s_limit(socket, type, options);
    s_watch_peers(socket, type);
    return socket;
}

void
yami_socket_close(void *socket)
{
    int error = errno;
    if (socket) {
        (void) zmq_close(socket);
    }
    errno = error;
}

//  With CURVE a socket is client or server for good, so its addresses must all be of one kind.
static int
s_check_role(void *socket, const yami_address_t *address)
{
    int mechanism = ZMQ_NULL;
    int is_server = 0;
    size_t size = sizeof mechanism;
    (void) zmq_getsockopt(socket, ZMQ_MECHANISM, &mechanism, &size);
    size = sizeof is_server;
    (void) zmq_getsockopt(socket, ZMQ_CURVE_SERVER, &is_server, &size);
    if (mechanism != ZMQ_CURVE || strncmp(address->address, "inproc://", 9) == 0 ||
        address->is_bind == (is_server != 0)) {
        return 0;
    }
    if (address->is_bind) {
        return yami_fail(EINVAL, "cannot bind %s: server-key= is for addresses that connect",
                         address->address);
    }
    return yami_fail(EINVAL, "cannot connect to %s: a certificate is set, so server-key= is needed",
                     address->address);
}

static int
s_attach(void *socket, const yami_address_t *address)
{
    if (s_check_role(socket, address) == -1 || yami_socket_check_descriptors() == -1) {
        return -1;
    }
    //  Only for an address that is one: with it libzmq reports 127.0.0.1 as ::ffff:127.0.0.1.
    s_set(socket, ZMQ_IPV6, strchr(address->address, '[') != NULL);
    int rc = address->is_bind ? zmq_bind(socket, address->address)
                              : zmq_connect(socket, address->address);
    if (rc == 0) {
        return 0;
    }
    int error = errno;
    bool is_name = address->is_bind && error == ENODEV; //  "localhost"
    return yami_fail(error, "cannot %s %s (column %zu): %s",
                     address->is_bind ? "bind" : "connect to", address->address, address->column,
                     is_name ? "no address or interface of this host, and names are for connecting "
                               "only (127.0.0.1, lo, ..)"
                             : zmq_strerror(error));
}

int
yami_context_attach(void *socket, const yami_endpoint_t *endpoint, char *bound, size_t size)
{
    for (size_t index = 0; index < endpoint->address_count; index++) {
        if (s_attach(socket, &endpoint->addresses[index]) == -1) {
            return -1;
        }
        if (index == 0 && bound) {
            size_t bound_size = size;
            if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_size) == -1) {
                (void) snprintf(bound, size, "%s", endpoint->addresses[index].address);
            }
        }
    }
    return 0;
}
