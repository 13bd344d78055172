//  A live relay behind a socket: clients say to it what the grammar makes of the input, and
//  afterwards it still serves: another client is greeted after each input, and a well-behaved
//  sender and receiver move a message through it every so often.
//
//  One relay lives as long as the process, so what one input leaves behind meets the next.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "harness/grammar.h"
#include "yam.h"
#include "yami_base.h"
#include "yami_limits.h"

#define S_OPTIONS "memory-size=64M&lease=100ms&linger=100ms&channel-messages=1000"
#define S_PATIENCE_MS 20000
#define S_SERVE_EVERY 32 //  inputs

static yam_t *s_yam;
static yam_relay_t *s_relay;
static void *s_context;
static char s_endpoint[256];
static void *s_witness;
static yam_push_t *s_push;
static yam_pull_t *s_pull;
static uint64_t s_count;

//  -- Sockets -------------------------------------------------------------------------------------

static void *
s_connect(void)
{
    int linger_ms = 0;
    void *socket = zmq_socket(s_context, ZMQ_DEALER);
    YAM_ASSERT(socket);
    (void) zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    YAM_ASSERT(zmq_connect(socket, s_endpoint) == 0);
    return socket;
}

//  Receives one part within timeout_ms. Whether it was a control frame, which *frame then says; the
//  caller closes the message. -1 when nothing came.
static int
s_receive(void *socket, int timeout_ms, zmq_msg_t *message, yami_frame_t *frame)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    int rc;
    do {
        rc = zmq_poll(&item, 1, timeout_ms);
    } while (rc == -1 && errno == EINTR); //  libFuzzer's alarm
    if (rc != 1) {
        return -1;
    }
    (void) zmq_msg_init(message);
    YAM_ASSERT(zmq_msg_recv(message, socket, ZMQ_DONTWAIT) >= 0);
    if (yami_frame_is_batch(zmq_msg_data(message), zmq_msg_size(message))) {
        return 0;
    }
    memset(frame, 0, sizeof *frame);
    YAM_ASSERT(yami_frame_decode(frame, zmq_msg_data(message), zmq_msg_size(message)) == 0);
    return 1;
}

static void
s_send(void *socket, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    YAM_ASSERT(block);
    YAM_ASSERT(zmq_send(socket, block->data, block->size, 0) >= 0);
    yami_block_unref(&block);
}

//  -- Those who behave ----------------------------------------------------------------------------

static void
s_expect_welcome(void *socket, uint64_t session)
{
    zmq_msg_t message;
    yami_frame_t frame;
    bool is_found = false;
    while (!is_found) {
        int rc = s_receive(socket, S_PATIENCE_MS, &message, &frame);
        YAM_ASSERT(rc != -1); //  the relay does not answer any more
        is_found = rc == 1 && frame.type == YAMI_FRAME_WELCOME && frame.session == session;
        (void) zmq_msg_close(&message);
    }
}

static void
s_hello(void *socket, uint64_t session)
{
    yami_frame_t hello = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = session,
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = YAMI_LIMIT_HEARTBEAT_MS};
    s_send(socket, &hello);
    s_expect_welcome(socket, session);
}

static void
s_start(void)
{
    s_yam = yam_new();
    s_context = zmq_ctx_new();
    s_relay = yam_relay_new(s_yam, "@tcp://127.0.0.1:*", NULL, S_OPTIONS);
    YAM_ASSERT(s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, "%s",
                    yam_relay_endpoints(s_relay) + (*yam_relay_endpoints(s_relay) == '@'));
    char text[300];
    (void) snprintf(text, sizeof text, ">%s?grade=sure", s_endpoint);
    s_push = yam_push_new(s_yam, "well-behaved", text);
    s_pull = yam_pull_new(s_yam, "well-behaved", text);
    YAM_ASSERT(s_push && s_pull);
    s_witness = s_connect();
    s_hello(s_witness, 1);
}

static void
s_serve(void)
{
    YAM_ASSERT(yam_push_send(s_push, &s_count, sizeof s_count) == 0);
    YAM_ASSERT(yam_push_flush(s_push, S_PATIENCE_MS) == 0);
    uint64_t number = 0;
    yam_message_t *message = yam_pull_recv(s_pull, S_PATIENCE_MS);
    YAM_ASSERT(message && yam_message_size(message) == sizeof number);
    memcpy(&number, yam_message_body(message), sizeof number);
    YAM_ASSERT(number <= s_count);
    YAM_ASSERT(yam_pull_ack(s_pull, &message) == 0);
}

//  -- Those who do not ----------------------------------------------------------------------------

//  Takes what is there, so that the grammar knows leases and epochs.
static void
s_listen(void *socket, grammar_t *grammar, unsigned slot, int timeout_ms)
{
    zmq_msg_t message;
    yami_frame_t frame;
    int rc;
    while ((rc = s_receive(socket, timeout_ms, &message, &frame)) != -1) {
        if (rc == 1) {
            grammar_observe(grammar, slot, &frame);
        }
        (void) zmq_msg_close(&message);
        timeout_ms = 0;
    }
}

static void
s_misbehave(fuzz_input_t *input)
{
    grammar_t grammar;
    void *sockets[GRAMMAR_SLOTS] = {NULL};
    grammar_init(&grammar);
    while (fuzz_left(input) > 0) {
        uint8_t what = fuzz_u8(input);
        unsigned slot = what % GRAMMAR_SLOTS;
        if (!sockets[slot]) {
            sockets[slot] = s_connect();
            s_hello(sockets[slot], 1 + what);
        }
        grammar.wall_ms = yami_clock_wall_ms();
        yami_block_t *block = grammar_next(&grammar, input, slot);
        //  Now and then as a part of a message, which no client of ours does.
        (void) zmq_send(sockets[slot], block->data, block->size,
                        ZMQ_DONTWAIT | (what >= 250 ? ZMQ_SNDMORE : 0));
        yami_block_unref(&block);
        s_listen(sockets[slot], &grammar, slot, what >= 128 && what < 160 ? 1 : 0);
    }
    for (unsigned slot = 0; slot < GRAMMAR_SLOTS; slot++) {
        if (sockets[slot]) {
            (void) zmq_close(sockets[slot]);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    if (!s_yam) {
        s_start();
    }
    s_misbehave(&input);
    s_hello(s_witness, s_count + 2);
    if (++s_count % S_SERVE_EVERY == 0) {
        s_serve();
    }
    YAM_ASSERT(!yam_relay_has_failed(s_relay));
    return 0;
}
