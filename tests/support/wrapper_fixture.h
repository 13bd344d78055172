/*  wrapper_fixture - a yam_t, and pushers, pullers, publishers and subscriptions of it, for tests
    of what applications call.

    The queue is "orders", the topic "prices". What cannot be opened fails the test with the
    sentence. What a test that failed has left open stays so: its yam_t would not be destroyed, and
    the words would be lost.
*/
#ifndef WRAPPER_FIXTURE_H
#define WRAPPER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yam_pub.h"
#include "yam_pull.h"
#include "yam_push.h"
#include "yam_sub.h"

#define PATIENCE_MS 60000 //  how long a failure takes to show

//  A test with a yam_t of its own.
#define WRAPPER_TEST(name) WRAPPER_TEST_WITH(name, wrapper_setup, wrapper_teardown)

//  The same, with a setup and a teardown that call those.
#define WRAPPER_TEST_WITH(test, setup, teardown)                                                   \
    {                                                                                              \
        .name = #test, .test_func = wrapper_run, .setup_func = (setup),                            \
        .teardown_func = (teardown), .initial_state = (CMUnitTestFunction[1])                      \
        {                                                                                          \
            (test)                                                                                 \
        }                                                                                          \
    }

extern yam_t *wrapper_yam;

int
wrapper_setup(void **state);
int
wrapper_teardown(void **state);

//  Runs the test that *state points at.
void
wrapper_run(void **state);

yam_push_t *
wrapper_push(const char *endpoint);
yam_pull_t *
wrapper_pull(const char *endpoint);
yam_pub_t *
wrapper_pub(const char *endpoint);
yam_sub_t *
wrapper_sub(const char *endpoint);

//  ">endpoint" and options, for a peer of who is bound there. Valid until the next call.
const char *
wrapper_peer(const char *endpoint, const char *options);

#endif
