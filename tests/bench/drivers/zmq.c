/*  Raw libzmq: what a careful program without any library above does. */
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "driver.h"

static void *
s_context_new(void)
{
    return zmq_ctx_new();
}

static void
s_context_destroy(void *context)
{
    zmq_ctx_term(context);
}

static void
s_set(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) == -1) {
        bench_fail("cannot set socket option %d", option);
    }
}

static void
s_set_key(void *socket, int option, const char *key)
{
    if (zmq_setsockopt(socket, option, key, strlen(key) + 1) == -1) {
        bench_fail("cannot set key %d", option);
    }
}

//  Who binds is the server; it lets in any key.
static void
s_set_curve(void *socket, bool is_bind)
{
    if (is_bind) {
        s_set(socket, ZMQ_CURVE_SERVER, 1);
    } else {
        s_set_key(socket, ZMQ_CURVE_SERVERKEY, bench_curve->public_key);
        s_set_key(socket, ZMQ_CURVE_PUBLICKEY, bench_curve->public_key);
    }
    s_set_key(socket, ZMQ_CURVE_SECRETKEY, bench_curve->secret_key);
}

static void *
s_open(void *context, bench_kind_t kind, const char *address, char *bound, size_t bound_size)
{
    static const int types[] = {ZMQ_PUSH, ZMQ_PULL, ZMQ_PUB, ZMQ_SUB};
    void *socket = zmq_socket(context, types[kind]);
    s_set(socket, ZMQ_SNDHWM, BENCH_DRIVER_HWM);
    s_set(socket, ZMQ_RCVHWM, BENCH_DRIVER_HWM);
    s_set(socket, ZMQ_LINGER, 0); //  the receiver has all when the sender closes
    s_set(socket, ZMQ_RCVTIMEO, BENCH_DRIVER_WAIT_MS);
    if (kind == BENCH_PUB) {
        s_set(socket, ZMQ_XPUB_NODROP, 1);
    }
    if (kind == BENCH_SUB) {
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    }
    bool is_bind = *address == '@';
    if (bench_curve) {
        s_set_curve(socket, is_bind);
    }
    if ((is_bind ? zmq_bind(socket, address + 1) : zmq_connect(socket, address + 1)) == -1) {
        bench_fail("cannot open %s", address);
    }
    if (is_bind && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_size) == -1) {
        bench_fail("no endpoint");
    }
    return socket;
}

static void
s_close(void *end)
{
    zmq_close(end);
}

static int
s_send(void *end, size_t size, uint64_t index, int64_t sent_ns)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, size) == -1) {
        return -1;
    }
    bench_body_write(zmq_msg_data(&message), size, index, sent_ns);
    return zmq_msg_send(&message, end, 0) == -1 ? -1 : 0;
}

static int
s_flush(void *end)
{
    (void) end; //  its I/O thread sends all by itself
    return 0;
}

static int
s_receive(void *end, bench_check_t *check)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, end, 0) == -1) {
        return -1;
    }
    bench_check_body(check, zmq_msg_data(&message), zmq_msg_size(&message));
    zmq_msg_close(&message);
    return 0;
}

const bench_driver_t bench_zmq = {.name = "libzmq",
                                  .ahead_limit = 16384,
                                  .context_new = s_context_new,
                                  .context_destroy = s_context_destroy,
                                  .open = s_open,
                                  .close = s_close,
                                  .send = s_send,
                                  .flush = s_flush,
                                  .receive = s_receive};
