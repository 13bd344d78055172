/*  rpc_fixture - a yam_t, a service "orders" and its callers, for tests of what applications call.

    The service does what the first word of a request says:
        echo TEXT   answers TEXT at once         fail TEXT   answers YAM_STATUS_CONFLICT and TEXT
        busy        answers YAM_STATUS_FULL      hold TEXT   keeps the request for rpc_release
        id          answers the property "id"
    What cannot be opened fails the test with the sentence; what is open when a test ends, or fails,
    is closed then. Outcomes that callbacks hear of are counted, and waited for.
*/
#ifndef RPC_FIXTURE_H
#define RPC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yam_error.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"

#define PATIENCE_MS 60000 //  how long a failure takes to show

//  A test with a yam_t of its own.
#define RPC_TEST(name) cmocka_unit_test_setup_teardown(name, rpc_setup, rpc_teardown)

extern yam_t *rpc_yam;

//  What callbacks heard.
typedef struct {
    uint64_t told;
    uint64_t by_status[32];
    char text[2048]; //  the latest, "" for none
    char body[2048];
} rpc_outcomes_t;

int
rpc_setup(void **state);
int
rpc_teardown(void **state);

//  The service of the fixture.
yam_rpc_server_t *
rpc_serve(const char *endpoint);

//  A caller of who is bound there, ">endpoint" and options. Unless they say how often a server is
//  asked, so seldom that none is given up, however slow the machine is.
yam_rpc_t *
rpc_caller(const char *endpoint, const char *options);

//  The same, of the whole endpoint, as it is.
yam_rpc_t *
rpc_caller_of(const char *endpoint);

//  Server and caller (not NULL), which are closed with the test.
yam_rpc_server_t *
rpc_keep_server(yam_rpc_server_t *server);
yam_rpc_t *
rpc_keep(yam_rpc_t *rpc);

//  Closes it earlier, as yam_rpc_server_close and yam_rpc_close do.
uint64_t
rpc_close_server(yam_rpc_server_t **server_p, int timeout_ms);
uint64_t
rpc_close(yam_rpc_t **rpc_p, int timeout_ms);

//  Closes all that is open.
void
rpc_close_all(void);

yam_message_t *
rpc_message(const char *text);

//  Asks, and fails unless that is the answer.
void
rpc_assert_answer(yam_rpc_t *rpc, const char *text, const char *expected);

//  Calls; rpc_heard counts the outcome. The call's number.
uint64_t
rpc_call(yam_rpc_t *rpc, const char *text, int timeout_ms);

//  Waits until so many outcomes were told since rpc_setup; what was heard.
rpc_outcomes_t
rpc_heard(uint64_t count);

//  The same, and meanwhile answers all that is held, however often it comes.
rpc_outcomes_t
rpc_heard_releasing(uint64_t count);

//  Waits until a request is held, or so many outcomes were told. Whether one is held.
bool
rpc_wait_held_or_heard(uint64_t count);

//  Waits until so many requests are held.
void
rpc_wait_held(size_t count);

//  Takes the oldest held one out.
yam_rpc_request_t *
rpc_take_held(void);

//  Answers all held ones with their text. How many.
size_t
rpc_release(void);

//  Waits until a counter of the caller, or of the server, is at least that much.
void
rpc_wait_count(yam_rpc_t *rpc, size_t offset, uint64_t count);
void
rpc_wait_server_count(yam_rpc_server_t *server, size_t offset, uint64_t count);

//  Waits until so many servers are alive, neither more nor fewer.
void
rpc_wait_alive(yam_rpc_t *rpc, uint64_t count);

#define RPC_WAIT(rpc, field, count) rpc_wait_count(rpc, offsetof(yam_rpc_stats_t, field), count)
#define RPC_WAIT_SERVER(server, field, count)                                                      \
    rpc_wait_server_count(server, offsetof(yam_rpc_server_stats_t, field), count)

#endif
