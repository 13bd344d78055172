/*  consumer_fixture - a consumer core whose relay, clock and application a test plays, frame by
    frame.

    One per program. Checks the core's invariants after every step.
*/
#ifndef CONSUMER_FIXTURE_H
#define CONSUMER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yami_consumer_core.h"
#include "yami_message.h"

#define CONSUMER_START 1000
#define CONSUMER_CREDIT 100

extern yami_consumer_core_t consumer_core;
extern int64_t consumer_now;
extern yami_frame_t consumer_sent;                       //  what left last
extern yami_settle_t consumer_ranges[YAMI_LIMIT_RANGES]; //  of it

//  A core that wants a socket; setup makes one for a queue. Teardown frees also what recv gave.
void
consumer_init(int kind, const char *group);
int
consumer_setup(void **state);
int
consumer_teardown(void **state);

//  Type of the frame that leaves, 0 for none.
uint8_t
consumer_send(void);

//  The relay sends a frame, by default for our handle.
void
consumer_frame(yami_frame_t frame);

//  HELLO to ATTACHED and the first CREDIT; consumer_sent is the ATTACH then.
void
consumer_attach(uint64_t sequence);

//  A batch of base..base + count - 1, "message N". The caller owns it.
yami_block_t *
consumer_batch(uint64_t base, uint32_t count);

//  Delivers first..last of a batch that holds base..base + count - 1; or all of it.
void
consumer_deliver_part(uint64_t token, uint64_t base, uint32_t count, uint64_t first, uint64_t last);
void
consumer_deliver(uint64_t token, uint64_t base, uint32_t count);

//  The next message, which must be that one, by content; none; that one, acked. Borrowed.
yam_message_t *
consumer_recv(uint64_t sequence);
void
consumer_recv_none(void);
void
consumer_ack(uint64_t sequence);

//  Has teardown free a message; frees all that were received or kept.
void
consumer_keep(yam_message_t *message);
void
consumer_free_messages(void);

//  As yami_consumer_core_settle.
int
consumer_settle(const yam_message_t *message, uint8_t type);

//  Range number index of what left last.
void
consumer_expect_range(uint32_t index, uint64_t token, uint64_t first, uint64_t last);

void
consumer_acked(uint64_t serial);

//  The relay knows no session any more; a second passes.
void
consumer_lose_session(void);

#endif
