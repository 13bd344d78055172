/*  scripted_relay - the relay's end of a sure link, as a ROUTER that does what a test says, frame
    by frame.

    Everything waits for an event, at most a minute, and fails the test then.
*/
#ifndef SCRIPTED_RELAY_H
#define SCRIPTED_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_block.h"
#include "yami_endpoint.h"
#include "yami_frame.h"

typedef struct {
    void *context;     //  owned; of its own
    void *router;      //  owned
    char address[256]; //  "tcp://127.0.0.1:port"
    uint8_t peer[32];  //  routing id of who spoke last
    size_t peer_size;
    yami_block_t *block; //  owned; what came last
    yami_frame_t frame;  //  when that was a control frame
    yami_batch_t batch;  //  when it was a batch
    uint64_t session;    //  of the last HELLO
} scripted_relay_t;

void
scripted_relay_init(scripted_relay_t *self);

void
scripted_relay_clear(scripted_relay_t *self);

//  Sends what it still has to send, and is gone as after a kill; only to be cleared then.
void
scripted_relay_vanish(scripted_relay_t *self);

//  The endpoint a sender or receiver connects to, with default options.
void
scripted_relay_endpoint(const scripted_relay_t *self, yami_endpoint_t *endpoint,
                        const char *options);

//  The next thing that is no HEARTBEAT: 'c' control frame, 'b' batch. A HELLO that a client says
//  once more, since the answer comes late on a busy machine, is none either.
char
scripted_relay_recv(scripted_relay_t *self);

//  The next thing is a frame of that type / a batch that begins with that sequence.
void
scripted_relay_expect(scripted_relay_t *self, yami_frame_type_t type);
void
scripted_relay_expect_batch(scripted_relay_t *self, uint64_t first_sequence);

//  Sends a control frame to who spoke last; batch (may be NULL) is a second part.
void
scripted_relay_send(scripted_relay_t *self, const yami_frame_t *frame, yami_block_t *batch);

//  Answers what came last when it is a HELLO or an ATTACH, of whichever link; as welcome and
//  attach.
void
scripted_relay_answer(scripted_relay_t *self, uint64_t epoch, uint64_t sequence);

//  HELLO, WELCOME; heartbeats are a minute apart, so that none disturbs.
void
scripted_relay_welcome(scripted_relay_t *self);

//  The same, then ATTACH and ATTACHED; sequence as the frame's.
void
scripted_relay_attach(scripted_relay_t *self, uint64_t epoch, uint64_t sequence);

void
scripted_relay_confirm(scripted_relay_t *self, uint64_t epoch, uint64_t sequence);

//  Delivers count messages "message N" with channel sequences from base on, under that token.
void
scripted_relay_deliver(scripted_relay_t *self, uint64_t token, uint64_t base, uint32_t count);

#endif
