//  The delayed second check with a producer's service that answers when the test says so: what it
//  says to an earlier call, of the same yam-callbackd or of one that was frozen, counts no more.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "harness/relay_process.h"
#include "yam_callback.h"
#include "yam_callback_store.h"
#include "yam_rpc_server.h"
#include "yami_base.h"
#include "yami_callback_wire.h"

#define S_CALLS 8 //  held at a time
#define S_SERVICES 2
#define S_HISTORY_SIZE 200

static relay_process_t s_relay;
static child_t s_services[S_SERVICES];
static char s_path[400];
static char s_endpoint[200];
static yam_t *s_yam;
static yam_callback_t *s_producer;
static yam_rpc_server_t *s_server;
static yam_callback_store_t *s_store;
static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static yam_rpc_request_t *s_calls[S_CALLS]; //  that came and were not taken; under the lock

//  -- The producer's service --------------------------------------------------------------------

static void
s_hold(void *arg, yam_rpc_request_t *request)
{
    (void) arg;
    size_t index = 0;
    (void) pthread_mutex_lock(&s_lock);
    while (s_calls[index] != NULL) {
        index++;
        YAM_ASSERT(index < S_CALLS);
    }
    s_calls[index] = request;
    (void) pthread_mutex_unlock(&s_lock);
}

//  The call for that case, if it has come.
static yam_rpc_request_t *
s_find_call(const char *id)
{
    yam_rpc_request_t *found = NULL;
    (void) pthread_mutex_lock(&s_lock);
    for (size_t index = 0; index < S_CALLS && found == NULL; index++) {
        yam_case_t row;
        if (s_calls[index] == NULL) {
            continue;
        }
        YAM_ASSERT(yami_callback_call_parse(yam_rpc_request_message(s_calls[index]), &row) == 0);
        if (strcmp(row.id, id) == 0) {
            found = s_calls[index];
            s_calls[index] = NULL;
        }
    }
    (void) pthread_mutex_unlock(&s_lock);
    return found;
}

//  Waits for the call, which is answered by s_answer.
static yam_rpc_request_t *
s_take_call(const char *id)
{
    int64_t until_ms = child_now_ms() + CHILD_PATIENCE_MS;
    yam_rpc_request_t *call;
    while ((call = s_find_call(id)) == NULL) {
        assert_true(child_now_ms() < until_ms);
        child_look_later();
    }
    return call;
}

static void
s_answer(yam_rpc_request_t *call, yam_callback_answer_t answer)
{
    yam_message_t *reply = yami_callback_answer_build(answer, "");
    assert_int_equal(yam_rpc_reply(&call, YAM_STATUS_OK, "", &reply), 0);
}

//  -- What the database says --------------------------------------------------------------------

static yam_case_note_t s_note;

static int
s_add_note(void *arg)
{
    char *history = arg;
    size_t length = strlen(history);
    (void) snprintf(history + length, S_HISTORY_SIZE - length, "%s ", s_note.event);
    return 0;
}

//  Events of a case, each with a space behind it.
static void
s_read_history(const char *id, char *history)
{
    *history = 0;
    assert_int_equal(yam_callback_store_history(s_store, id, &s_note, s_add_note, history), 0);
}

//  Waits until more has happened to a case than that; it must be that event.
static void
s_wait_for(const char *id, const char *before, const char *event)
{
    int64_t until_ms = child_now_ms() + CHILD_PATIENCE_MS;
    char history[S_HISTORY_SIZE];
    while (s_read_history(id, history), strlen(history) <= strlen(before)) {
        assert_true(child_now_ms() < until_ms);
        child_look_later();
    }
    assert_memory_equal(history, before, strlen(before));
    history[strlen(before) + strlen(event)] = 0; //  and what came later
    assert_string_equal(history + strlen(before), event);
}

static void
s_check_history(const char *id, const char *expected)
{
    char history[S_HISTORY_SIZE];
    s_read_history(id, history);
    assert_string_equal(history, expected);
}

//  -- The scene ---------------------------------------------------------------------------------

static void
s_start_service(int index)
{
    char log[400], line[200];
    (void) snprintf(log, sizeof log, "%s/callbackd-%d.log", child_folder(), index);
    const char *argv[] = {
        child_program("yam-callbackd"), "--db", s_path, "--relay", s_endpoint, NULL};
    child_start(&s_services[index], argv, log);
    assert_true(child_read_line(&s_services[index], line, sizeof line, CHILD_PATIENCE_MS));
    assert_memory_equal(line, "ready ", 6);
}

//  A frozen service keeps its session, for which relay and client have to be patient, and nobody
//  calls in its place but when people say so.
static int
s_setup(void **state)
{
    static int number;
    char name[40];
    (void) state;
    (void) snprintf(name, sizeof name, "answers-%d", ++number);
    (void) snprintf(s_path, sizeof s_path, "%s/%s.db", child_folder(), name);
    relay_process_init(&s_relay, name);
    s_relay.options[0] = "--heartbeat=60s";
    assert_true(relay_process_start(&s_relay));
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?grade=sure&heartbeat=60s",
                    s_relay.endpoint);
    s_start_service(0);
    s_store = yam_callback_store_sqlite(s_path, false);
    s_yam = yam_new();
    s_producer = yam_callback_new(s_yam, "orders", "shop", s_endpoint, "delay=300ms");
    s_server = yam_rpc_serve(s_yam, "shop", s_endpoint, s_hold, NULL);
    assert_true(s_store != NULL && s_producer != NULL && s_server != NULL);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    for (int index = 0; index < S_SERVICES; index++) {
        if (s_services[index].pid != 0) {
            (void) child_kill(&s_services[index]);
        }
    }
    (void) yam_rpc_server_close(&s_server, 0);
    for (size_t index = 0; index < S_CALLS; index++) {
        if (s_calls[index] != NULL) {
            (void) yam_rpc_reply(&s_calls[index], YAM_STATUS_CLOSING, "", NULL);
        }
    }
    yam_callback_destroy(&s_producer);
    yam_destroy(&s_yam);
    yam_callback_store_destroy(&s_store);
    return relay_process_stop(&s_relay);
}

static void
s_expect(const char *id)
{
    assert_int_equal(yam_callback_expect(s_producer, id, CHILD_PATIENCE_MS), 0);
}

//  While we have the database's lock it is in no transaction, with which it would hold up others.
static void
s_freeze_first_service(void)
{
    int status;
    assert_int_equal(yam_callback_store_begin_trial(s_store), 0);
    assert_int_equal(kill(s_services[0].pid, SIGSTOP), 0);
    assert_int_equal(waitpid(s_services[0].pid, &status, WUNTRACED), s_services[0].pid);
    assert_true(WIFSTOPPED(status));
    yam_callback_store_end_trial(s_store);
}

static void
test_answer_that_comes_when_people_had_it_called_again_counts_no_more(void **state)
{
    (void) state;
    s_expect("order-1");
    yam_rpc_request_t *earlier = s_take_call("order-1");
    assert_int_equal(yam_callback_store_retry(s_store, "order-1"), 0);
    yam_rpc_request_t *latest = s_take_call("order-1");
    s_answer(earlier, YAM_CALLBACK_GONE);
    s_answer(latest, YAM_CALLBACK_RESEND);
    s_wait_for("order-1", "missing retry ", "resent ");
}

static void
test_answer_to_a_service_that_froze_and_was_replaced_counts_no_more(void **state)
{
    (void) state;
    s_expect("order-1");
    yam_rpc_request_t *earlier = s_take_call("order-1");
    s_expect("order-2");
    yam_rpc_request_t *other = s_take_call("order-2");
    s_freeze_first_service();
    s_start_service(1);
    assert_int_equal(yam_callback_store_retry(s_store, "order-1"), 0);
    yam_rpc_request_t *latest = s_take_call("order-1");
    s_answer(earlier, YAM_CALLBACK_GONE);
    s_answer(other, YAM_CALLBACK_GONE);
    assert_int_equal(kill(s_services[0].pid, SIGCONT), 0);
    s_wait_for("order-2", "missing ", "gone "); //  it has taken both answers, in their order
    s_check_history("order-1", "missing retry ");
    s_answer(latest, YAM_CALLBACK_RESEND);
    s_wait_for("order-1", "missing retry ", "resent ");
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_answer_that_comes_when_people_had_it_called_again_counts_no_more, s_setup,
            s_teardown),
        cmocka_unit_test_setup_teardown(
            test_answer_to_a_service_that_froze_and_was_replaced_counts_no_more, s_setup,
            s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
