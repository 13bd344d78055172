/*  delay_fixture - a relay core with a queue "q", whose producer asks for delays, and a consumer.
*/
#ifndef DELAY_FIXTURE_H
#define DELAY_FIXTURE_H

#include "relay_fixture.h"

#define QUEUE YAMI_KIND_QUEUE
#define TOPIC YAMI_KIND_TOPIC
#define PRODUCER 1u //  peers
#define CONSUMER 2u
#define AT_ONCE INT64_MIN

//  Wall clock when the test began.
extern int64_t delay_start_ms;

//  A message: when it is due, after the start of the test (AT_ONCE: no due time), and its id.
typedef struct {
    int64_t delay_ms;
    const char *id;
} delay_message_t;

int
delay_setup(void **state);

//  Messages first.. of the producer, with bodies "SEQUENCE"; and sent, until all is quiet.
yami_block_t *
delay_batch(uint64_t first, const delay_message_t *messages, uint32_t count);
void
delay_publish(fixture_t *f, uint64_t first, const delay_message_t *messages, uint32_t count);
void
delay_publish_one(fixture_t *f, uint64_t first, int64_t delay_ms, const char *id);

//  Takes all deliveries; their bodies, in order, with spaces between them.
const char *
delay_delivered(fixture_t *f);

//  The wall clock says so much after the start.
void
delay_set_wall(fixture_t *f, int64_t ms);

//  The clients again, after a restart.
void
delay_attach_again(fixture_t *f, uint64_t first);

int64_t
delay_stat(fixture_t *f, const char *channel, const char *key);

//  Asks for a cancel. What the relay answers: how many, or -1 - status.
int64_t
delay_cancel(fixture_t *f, const char *channel, const char *id, bool is_dry);

//  How many messages wait for their time.
uint64_t
delay_waiting(const fixture_t *f);

#endif
