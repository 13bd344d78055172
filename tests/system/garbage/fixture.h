/*  fixture - a live yamd that gets garbage, and a well-behaved client that is served meanwhile.
*/
#ifndef GARBAGE_FIXTURE_H
#define GARBAGE_FIXTURE_H

#include "../harness/raw_link.h"
#include "../harness/relay_process.h"

#define GARBAGE_PATIENCE_MS 20000

extern relay_process_t garbage_relay;

//  Of the group of tests. A relay that a sanitizer ended, or that forgot how to stop, fails in
//  teardown.
int
garbage_setup(void **state);
int
garbage_teardown(void **state);

//  A message goes through the relay, all the way, while everything else is as it is.
void
garbage_serve(void);

//  Whether such a message is confirmed in time.
bool
garbage_is_confirmed(int patience_ms);

//  The relay has not grown much since the beginning.
void
garbage_assert_memory(void);

//  A link that has said HELLO.
void
garbage_open(raw_link_t *link);

//  The next answer but HEARTBEAT has this type and status; what names the case.
void
garbage_expect(raw_link_t *link, const char *what, uint8_t type, yam_status_t status);

#endif
