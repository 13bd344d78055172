//  Callers and servers over real sockets: the same program directly, by every transport, and
//  through a relay.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "rpc_fixture.h"

//  -- The same program everywhere

static void
s_serve_and_ask(const char *server_endpoint, const char *options)
{
    yam_rpc_server_t *server = rpc_serve(server_endpoint);
    yam_rpc_t *rpc = rpc_caller(yam_rpc_server_endpoint(server), options);
    rpc_assert_answer(rpc, "echo hello", "hello");
    yam_status_t status;
    yam_message_t *request = rpc_message("fail out of stock");
    assert_null(yam_rpc_ask(rpc, &request, PATIENCE_MS, &status));
    assert_int_equal(status, YAM_STATUS_CONFLICT);
    assert_int_equal(errno, EEXIST);
    assert_string_equal(yam_error(), "orders: conflict: out of stock");
    assert_int_equal(yam_rpc_close(&rpc, PATIENCE_MS), 0);
    assert_int_equal(yam_rpc_server_close(&server, PATIENCE_MS), 0);
}

static void
test_call_over_inproc_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@inproc://orders", "");
}

static void
test_call_over_ipc_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@ipc://*", "");
}

static void
test_call_over_tcp_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@tcp://127.0.0.1:*", "");
}

static void
test_call_through_a_relay_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@tcp://127.0.0.1:*?relay=memory", "?grade=sure");
}

static void
test_call_through_a_relay_by_a_named_caller_is_answered(void **state)
{
    (void) state;
    s_serve_and_ask("@inproc://relay?relay=memory", "?grade=sure&name=desk-1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RPC_TEST(test_call_over_inproc_is_answered),
        RPC_TEST(test_call_over_ipc_is_answered),
        RPC_TEST(test_call_over_tcp_is_answered),
        RPC_TEST(test_call_through_a_relay_is_answered),
        RPC_TEST(test_call_through_a_relay_by_a_named_caller_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
