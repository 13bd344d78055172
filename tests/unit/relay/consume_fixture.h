/*  A producer and a consumer of a queue, for tests of what consumers get.
*/
#ifndef CONSUME_FIXTURE_H
#define CONSUME_FIXTURE_H

#include "relay_fixture.h"

#define QUEUE YAMI_KIND_QUEUE
#define TOPIC YAMI_KIND_TOPIC
#define LEASE_MS 30000
#define PLENTY (1u << 30)

//  Peer 1 produces to "q" as producer 9; peer 2 consumes it on handle 5.
int
consume_setup(void **state);

//  Messages of peer 1, and what peer 2 says of its leases.
void
consume_publish(fixture_t *f, uint64_t first, uint32_t count);
void
consume_settle(fixture_t *f, int type, uint64_t token, uint64_t first, uint64_t last);

void
consume_expect_deliver(fixture_t *f, uint64_t peer, uint64_t first, uint64_t last,
                       uint64_t deliveries, uint64_t failures);

#endif
