//  yam call against a service in this process: answers, refusals, nobody there.

#include "rpc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#define OUTPUT_SIZE 1000

static char s_output[OUTPUT_SIZE]; //  of the last call: stdout and stderr

//  Runs it with that request and those arguments. Its exit status.
static int
s_call(const char *request, const char *endpoint, const char *arguments)
{
    const char *bin = getenv("YAM_BIN");
    char command[1000];
    int length =
        snprintf(command, sizeof command, "printf '%s' | %s/yam call orders -e '%s' %s 2>&1",
                 request, bin != NULL ? bin : "build/bin", endpoint, arguments);
    assert_in_range(length, 1, sizeof command - 1);
    FILE *pipe = popen(command, "r"); // NOLINT(cert-env33-c): a shell is what it is for
    assert_non_null(pipe);
    s_output[fread(s_output, 1, sizeof s_output - 1, pipe)] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
s_ask_everything(const char *server_endpoint, const char *arguments)
{
    char json[100];
    yam_rpc_server_t *server = rpc_serve(server_endpoint);
    const char *endpoint = yam_rpc_server_endpoint(server);
    (void) snprintf(json, sizeof json, "%s --json", arguments);
    assert_int_equal(s_call("echo hello", endpoint, arguments), EX_OK);
    assert_string_equal(s_output, "hello\n");
    assert_int_equal(s_call("echo hello", endpoint, json), EX_OK);
    assert_non_null(strstr(s_output, "\"status\":\"ok\""));
    assert_non_null(strstr(s_output, "\"body\":\"hello\""));
    assert_int_equal(s_call("fail out of stock", endpoint, arguments), EX_DATAERR);
    assert_string_equal(s_output, "yam call: orders: conflict: out of stock\n");
    assert_int_equal(s_call("fail out of stock", endpoint, json), EX_DATAERR);
    assert_non_null(strstr(s_output, "\"status\":\"conflict\""));
    assert_int_equal(s_call("busy", endpoint, arguments), EX_TEMPFAIL);
}

static void
test_call_prints_the_answer_of_a_service_that_it_asks_directly(void **state)
{
    (void) state;
    s_ask_everything("@tcp://127.0.0.1:*", "--fast");
}

static void
test_call_prints_the_answer_of_a_service_behind_a_relay(void **state)
{
    (void) state;
    s_ask_everything("@tcp://127.0.0.1:*?relay=memory", "");
}

static void
test_call_that_nobody_answers_says_so_in_time(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    assert_int_equal(s_call("hold", yam_rpc_server_endpoint(server), "--fast --timeout 300ms"),
                     EX_UNAVAILABLE);
    assert_non_null(strstr(s_output, "timeout"));
}

static void
test_call_has_the_id_it_is_given(void **state)
{
    (void) state;
    yam_rpc_server_t *server = rpc_serve("@tcp://127.0.0.1:*");
    assert_int_equal(s_call("id", yam_rpc_server_endpoint(server), "--fast --id once"), EX_OK);
    assert_string_equal(s_output, "once\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RPC_TEST(test_call_prints_the_answer_of_a_service_that_it_asks_directly),
        RPC_TEST(test_call_prints_the_answer_of_a_service_behind_a_relay),
        RPC_TEST(test_call_that_nobody_answers_says_so_in_time),
        RPC_TEST(test_call_has_the_id_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
