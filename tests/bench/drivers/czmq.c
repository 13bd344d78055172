/*  CZMQ as its manual shows it: zsock with zframe, and zsock with zmsg. */
#include <czmq.h>

#include "driver.h"

static void *
s_context_new(void)
{
    setenv("ZSYS_SIGHANDLER", "false", 1); //  a bench must die of SIGTERM
    return zsys_init();
}

static void
s_context_destroy(void *context)
{
    (void) context;
    zsys_shutdown();
}

//  Who binds is the server; it lets in any key.
static void
s_set_curve(zsock_t *socket, bool is_bind)
{
    zcert_t *certificate = zcert_load(bench_curve->certificate);
    if (!certificate) {
        bench_fail("cannot read %s", bench_curve->certificate);
    }
    zcert_apply(certificate, socket);
    zcert_destroy(&certificate);
    if (is_bind) {
        zsock_set_curve_server(socket, 1);
    } else {
        zsock_set_curve_serverkey(socket, bench_curve->public_key);
    }
}

static void *
s_open(void *context, bench_kind_t kind, const char *address, char *bound, size_t bound_size)
{
    static const int types[] = {ZMQ_PUSH, ZMQ_PULL, ZMQ_PUB, ZMQ_SUB};
    (void) context;
    zsock_t *socket = zsock_new(types[kind]);
    zsock_set_sndhwm(socket, BENCH_DRIVER_HWM);
    zsock_set_rcvhwm(socket, BENCH_DRIVER_HWM);
    zsock_set_rcvtimeo(socket, BENCH_DRIVER_WAIT_MS);
    zsock_set_linger(socket, 0); //  the receiver has all when the sender closes
    if (kind == BENCH_PUB) {
        zsock_set_xpub_nodrop(socket, 1);
    }
    if (kind == BENCH_SUB) {
        zsock_set_subscribe(socket, "");
    }
    if (bench_curve) {
        s_set_curve(socket, *address == '@');
    }
    if (zsock_attach(socket, address, false) == -1) {
        bench_fail("cannot open %s", address);
    }
    if (*address == '@') {
        snprintf(bound, bound_size, "%s", zsock_endpoint(socket));
    }
    return socket;
}

static void
s_close(void *end)
{
    zsock_t *socket = end;
    zsock_destroy(&socket);
}

static int
s_flush(void *end)
{
    (void) end; //  the I/O thread below sends all by itself
    return 0;
}

static int
s_send_frame(void *end, size_t size, uint64_t index, int64_t sent_ns)
{
    zframe_t *frame = zframe_new(NULL, size);
    bench_body_write(zframe_data(frame), size, index, sent_ns);
    return zframe_send(&frame, end, 0);
}

static void
s_check_frame(bench_check_t *check, zframe_t *frame)
{
    bench_check_body(check, zframe_data(frame), zframe_size(frame));
    zframe_destroy(&frame);
}

static int
s_receive_frame(void *end, bench_check_t *check)
{
    zframe_t *frame = zframe_recv(end);
    if (!frame) {
        return -1;
    }
    s_check_frame(check, frame);
    return 0;
}

static int
s_send_zmsg(void *end, size_t size, uint64_t index, int64_t sent_ns)
{
    zmsg_t *message = zmsg_new();
    zframe_t *frame = zframe_new(NULL, size);
    bench_body_write(zframe_data(frame), size, index, sent_ns);
    zmsg_append(message, &frame);
    return zmsg_send(&message, end);
}

static int
s_receive_zmsg(void *end, bench_check_t *check)
{
    zmsg_t *message = zmsg_recv(end);
    if (!message) {
        return -1;
    }
    s_check_frame(check, zmsg_pop(message));
    zmsg_destroy(&message);
    return 0;
}

const bench_driver_t bench_czmq = {.name = "czmq-zframe",
                                   .ahead_limit = 16384,
                                   .context_new = s_context_new,
                                   .context_destroy = s_context_destroy,
                                   .open = s_open,
                                   .close = s_close,
                                   .send = s_send_frame,
                                   .flush = s_flush,
                                   .receive = s_receive_frame};

const bench_driver_t bench_zmsg = {.name = "czmq-zmsg",
                                   .ahead_limit = 16384,
                                   .context_new = s_context_new,
                                   .context_destroy = s_context_destroy,
                                   .open = s_open,
                                   .close = s_close,
                                   .send = s_send_zmsg,
                                   .flush = s_flush,
                                   .receive = s_receive_zmsg};
