//  scripted_relay - see the header.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "scripted_relay.h"

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yami_frame_socket.h"
#include "yami_limits.h"

#define WAIT_MS 60000

void
scripted_relay_init(scripted_relay_t *self)
{
    *self = (scripted_relay_t) {.context = zmq_ctx_new()};
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    assert_non_null(self->router);
    int wait_ms = WAIT_MS;
    int one = 1;
    int zero = 0;
    (void) zmq_setsockopt(self->router, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    (void) zmq_setsockopt(self->router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    (void) zmq_setsockopt(self->router, ZMQ_SNDHWM, &zero, sizeof zero);
    (void) zmq_setsockopt(self->router, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_bind(self->router, "tcp://127.0.0.1:*"), 0);
    size_t size = sizeof self->address;
    assert_int_equal(zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, self->address, &size), 0);
}

void
scripted_relay_clear(scripted_relay_t *self)
{
    yami_block_unref(&self->block);
    if (self->router != NULL) {
        (void) zmq_close(self->router);
    }
    (void) zmq_ctx_term(self->context);
}

void
scripted_relay_vanish(scripted_relay_t *self)
{
    int wait_ms = WAIT_MS;
    (void) zmq_setsockopt(self->router, ZMQ_LINGER, &wait_ms, sizeof wait_ms);
    (void) zmq_close(self->router);
    self->router = NULL;
}

void
scripted_relay_endpoint(const scripted_relay_t *self, yami_endpoint_t *endpoint,
                        const char *options)
{
    char text[512];
    (void) snprintf(text, sizeof text, ">%s?grade=sure&heartbeat=60s%s%s", self->address,
                    options[0] != 0 ? "&" : "", options);
    assert_int_equal(yami_endpoint_parse(endpoint, text, false), 0);
}

//  One message into peer and block.
static void
s_recv_message(scripted_relay_t *self)
{
    bool has_more;
    yami_block_unref(&self->block);
    yami_block_t *peer = yami_socket_recv_wait(self->router, &has_more);
    assert_non_null(peer);
    assert_true(has_more && peer->size <= sizeof self->peer);
    memcpy(self->peer, peer->data, peer->size);
    self->peer_size = peer->size;
    yami_block_unref(&peer);
    self->block = yami_socket_recv_wait(self->router, &has_more);
    assert_non_null(self->block);
    assert_false(has_more);
}

char
scripted_relay_recv(scripted_relay_t *self)
{
    for (;;) {
        s_recv_message(self);
        if (yami_frame_is_batch(self->block->data, self->block->size)) {
            assert_int_equal(yami_batch_decode(&self->batch, self->block->data, self->block->size),
                             0);
            return 'b';
        }
        assert_int_equal(yami_frame_decode(&self->frame, self->block->data, self->block->size), 0);
        bool is_hello = self->frame.type == YAMI_FRAME_HELLO;
        bool is_repeated = is_hello && self->frame.session == self->session;
        if (is_hello) {
            self->session = self->frame.session;
        }
        if (self->frame.type != YAMI_FRAME_HEARTBEAT && !is_repeated) {
            return 'c';
        }
    }
}

void
scripted_relay_expect(scripted_relay_t *self, yami_frame_type_t type)
{
    char what = scripted_relay_recv(self);
    assert_int_equal(what, 'c');
    assert_string_equal(yami_frame_type_name(self->frame.type),
                        yami_frame_type_name((uint8_t) type));
}

void
scripted_relay_expect_batch(scripted_relay_t *self, uint64_t first_sequence)
{
    assert_int_equal(scripted_relay_recv(self), 'b');
    assert_int_equal(self->batch.first_sequence, first_sequence);
}

void
scripted_relay_send(scripted_relay_t *self, const yami_frame_t *frame, yami_block_t *batch)
{
    yami_block_t *block = yami_frame_encode(frame);
    assert_non_null(block);
    assert_int_equal(yami_socket_send_copy(self->router, self->peer, self->peer_size, true), 0);
    assert_int_equal(yami_socket_send(self->router, block, batch != NULL), 0);
    if (batch != NULL) {
        assert_int_equal(yami_socket_send(self->router, batch, false), 0);
    }
    yami_block_unref(&block);
}

static void
s_welcome(scripted_relay_t *self)
{
    yami_frame_t welcome = {.type = YAMI_FRAME_WELCOME,
                            .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_LEVEL |
                                       YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                            .session = self->session,
                            .level = YAM_LEVEL_SYNCED,
                            .max_frame = YAMI_LIMIT_FRAME,
                            .heartbeat_ms = 60000};
    scripted_relay_send(self, &welcome, NULL);
}

static void
s_attach(scripted_relay_t *self, uint64_t epoch, uint64_t sequence)
{
    yami_frame_t attached = {.type = YAMI_FRAME_ATTACHED,
                             .handle = self->frame.handle,
                             .present = YAMI_F_LEVEL | YAMI_F_SEQUENCE,
                             .level = YAM_LEVEL_SYNCED,
                             .sequence = sequence};
    if (self->frame.role == YAMI_ROLE_PRODUCER) {
        attached.present |= YAMI_F_EPOCH | YAMI_F_MESSAGES | YAMI_F_BYTES;
        attached.epoch = epoch;
        attached.messages = 1000000;
        attached.bytes = 1000000000;
    }
    scripted_relay_send(self, &attached, NULL);
}

void
scripted_relay_answer(scripted_relay_t *self, uint64_t epoch, uint64_t sequence)
{
    if (self->frame.type == YAMI_FRAME_HELLO) {
        s_welcome(self);
    } else if (self->frame.type == YAMI_FRAME_ATTACH) {
        s_attach(self, epoch, sequence);
    }
}

void
scripted_relay_welcome(scripted_relay_t *self)
{
    scripted_relay_expect(self, YAMI_FRAME_HELLO);
    s_welcome(self);
}

void
scripted_relay_attach(scripted_relay_t *self, uint64_t epoch, uint64_t sequence)
{
    scripted_relay_welcome(self);
    scripted_relay_expect(self, YAMI_FRAME_ATTACH);
    s_attach(self, epoch, sequence);
}

void
scripted_relay_confirm(scripted_relay_t *self, uint64_t epoch, uint64_t sequence)
{
    yami_frame_t confirm = {.type = YAMI_FRAME_CONFIRM,
                            .handle = 1,
                            .present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL,
                            .epoch = epoch,
                            .sequence = sequence,
                            .level = YAM_LEVEL_SYNCED};
    scripted_relay_send(self, &confirm, NULL);
}

void
scripted_relay_deliver(scripted_relay_t *self, uint64_t token, uint64_t base, uint32_t count)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 64 << 10);
    for (uint64_t sequence = base; sequence < base + count; sequence++) {
        char body[64];
        int size = snprintf(body, sizeof body, "message %" PRIu64, sequence);
        yami_record_t record = {.priority = 4, .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_batch_t head = {.handle = 7, .epoch = 1, .first_sequence = 1};
    yami_block_t *batch = yami_builder_finish(&builder, &head);
    assert_non_null(batch);
    yami_frame_t deliver = {.type = YAMI_FRAME_DELIVER,
                            .handle = 1,
                            .present = YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST |
                                       YAMI_F_DELIVERIES | YAMI_F_FAILURES | YAMI_F_TIME,
                            .token = token,
                            .base = base,
                            .first = base,
                            .last = base + count - 1,
                            .deliveries = 1,
                            .time = 1767225600000};
    scripted_relay_send(self, &deliver, batch);
    yami_block_unref(&batch);
    yami_builder_clear(&builder);
}
