//  The delayed second check with two yam-callbackd on one database, all killed at random, with
//  their relay: nothing is forgotten, and nobody is called without reason.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/relay_process.h"
#include "yam_callback.h"
#include "yam_callback_store.h"
#include "yam_error.h"
#include "yam_pull.h"
#include "yami_base.h"

#define S_MESSAGES 200
#define S_DELAY_MS 2000
#define S_KILLS 12
#define S_SERVICES 2

//  What the consumer does with message N, by N % 4.
enum {
    S_DONE = 0,  //  confirms at once
    S_NEVER = 1, //  forgets to
    S_FAILS = 2, //  says that it failed
    S_LATER = 3, //  confirms what was resent
};

typedef struct {
    atomic_uint calls;   //  of the producer's service
    atomic_bool in_time; //  its confirm was at the relay before its check was due
    int64_t due_ms;      //  wall clock
} s_fate_t;

static s_fate_t s_fates[S_MESSAGES];
static relay_process_t s_relay;
static child_t s_services[S_SERVICES];
static char s_path[400];
static char s_endpoint[200];
static yam_t *s_yam;
static atomic_bool s_is_over;

static void
s_start_service(int index)
{
    char log[400], line[200];
    (void) snprintf(log, sizeof log, "%s/callbackd-%d.log", child_folder(), index);
    const char *argv[] = {child_program("yam-callbackd"),
                          "--db",
                          s_path,
                          "--relay",
                          s_endpoint,
                          "--rounds=1",
                          "--tries=1000",
                          "--backoff=50ms",
                          "--call-timeout=500ms",
                          NULL};
    child_start(&s_services[index], argv, log);
    assert_true(child_read_line(&s_services[index], line, sizeof line, CHILD_PATIENCE_MS));
    assert_memory_equal(line, "ready ", 6);
}

static unsigned
s_number(const char *id)
{
    unsigned number = (unsigned) strtoul(id, NULL, 10);
    assert_true(number < S_MESSAGES);
    return number;
}

//  The producer's service: the business row is the number itself.
static yam_callback_answer_t
s_answer(void *arg, const yam_callback_case_ref_t *ref, yam_message_t **message_p, char *note,
         size_t note_size)
{
    (void) arg;
    (void) snprintf(note, note_size, "row %s", ref->id);
    s_fates[s_number(ref->id)].calls++;
    *message_p = yam_message_new(ref->id, strlen(ref->id));
    return YAM_CALLBACK_RESEND;
}

static void
s_handle(yam_push_t *confirms, yam_message_t *message)
{
    unsigned number = s_number(yam_message_get(message, "id"));
    bool is_resent = yam_message_get(message, "yam-round") != NULL;
    if (number % 4 == S_FAILS) {
        assert_int_equal(yam_callback_confirm_failed(confirms, message, "no stock"), 0);
    } else if (number % 4 == S_DONE || (number % 4 == S_LATER && is_resent)) {
        assert_int_equal(yam_callback_confirm(confirms, message), 0);
        bool is_safe = yam_push_flush(confirms, CHILD_PATIENCE_MS) == 0;
        bool is_early = yami_clock_wall_ms() < s_fates[number].due_ms;
        s_fates[number].in_time = s_fates[number].in_time || (is_safe && is_early);
    }
}

static void *
s_consume(void *arg)
{
    (void) arg;
    yam_pull_t *orders = yam_pull_new(s_yam, "orders", s_endpoint);
    yam_push_t *confirms = yam_push_new(s_yam, YAM_CALLBACK_CONFIRMS, s_endpoint);
    while (!s_is_over) {
        yam_message_t *message = yam_pull_recv(orders, 50);
        if (message != NULL) {
            s_handle(confirms, message);
            (void) yam_pull_ack(orders, &message); //  stale: it comes again
        }
    }
    yam_pull_destroy(&orders);
    yam_push_destroy(&confirms);
    return NULL;
}

static void
s_send_all(yam_callback_t *producer)
{
    for (unsigned number = 0; number < S_MESSAGES; number++) {
        char id[16];
        (void) snprintf(id, sizeof id, "%u", number);
        yam_message_t *message = yam_message_new(id, strlen(id));
        assert_int_equal(yam_message_set(message, "id", id), 0);
        s_fates[number].due_ms = yami_clock_wall_ms() + S_DELAY_MS;
        assert_int_equal(yam_callback_send(producer, &message), 0);
    }
    assert_int_equal(yam_callback_flush(producer, CHILD_PATIENCE_MS), 0);
}

static void
s_kill_some(void)
{
    const char *given = getenv("YAM_SEED");
    unsigned seed =
        given != NULL ? (unsigned) strtoul(given, NULL, 10) : (unsigned) yami_clock_mono_us();
    (void) printf("# YAM_SEED=%u\n", seed);
    for (int kill = 0; kill < S_KILLS; kill++) {
        (void) poll(NULL, 0, (int) (rand_r(&seed) % 600)); //  this is the fault
        int victim = (int) (rand_r(&seed) % (S_SERVICES * 2 + 1));
        if (victim == S_SERVICES * 2) {
            (void) child_kill(&s_relay.child);
            assert_true(relay_process_start(&s_relay));
        } else {
            (void) child_kill(&s_services[victim / 2]);
            s_start_service(victim / 2);
        }
    }
}

//  -- The oracle --------------------------------------------------------------------------------

static yam_case_t s_row;
static int s_states[S_MESSAGES];

static int
s_see(void *arg)
{
    (void) arg;
    s_states[s_number(s_row.id)] = s_row.state;
    return 0;
}

static void
s_read_states(void)
{
    memset(s_states, 0, sizeof s_states);
    yam_callback_store_t *store = yam_callback_store_sqlite(s_path, false);
    assert_non_null(store);
    assert_int_equal(yam_callback_store_walk(store, 0, NULL, S_MESSAGES + 1, &s_row, s_see, NULL),
                     0);
    yam_callback_store_destroy(&store);
}

//  Whether every case has come to its end.
static bool
s_has_settled(void)
{
    s_read_states();
    for (unsigned number = 0; number < S_MESSAGES; number++) {
        bool is_for_people = number % 4 == S_NEVER || number % 4 == S_FAILS;
        int state = s_states[number];
        if (is_for_people ? state != YAM_CASE_OPEN
                          : state == YAM_CASE_WAITING || state == YAM_CASE_CALLING) {
            return false;
        }
    }
    return true;
}

static void
s_judge(void)
{
    unsigned in_time = 0;
    for (unsigned number = 0; number < S_MESSAGES; number++) {
        unsigned calls = s_fates[number].calls;
        switch (number % 4) {
        case S_DONE:
            if (s_fates[number].in_time) {
                in_time++;
                assert_int_equal(calls, 0);
                assert_int_equal(s_states[number], YAM_CASE_NONE);
            }
            break;
        case S_LATER:
            assert_true(calls >= 1);
            assert_int_equal(s_states[number], YAM_CASE_DONE);
            break;
        default:
            assert_true(calls >= 1);
            break;
        }
    }
    (void) printf("# %u of %d confirms were in time\n", in_time, S_MESSAGES / 4);
    assert_true(in_time > 0);
}

static void
test_services_and_relay_killed_at_random_forget_nothing_and_alarm_nobody(void **state)
{
    (void) state;
    pthread_t consumer;
    (void) snprintf(s_path, sizeof s_path, "%s/callback.db", child_folder());
    relay_process_init(&s_relay, "callback");
    assert_true(relay_process_start(&s_relay));
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?grade=sure&heartbeat=200ms",
                    s_relay.endpoint);
    for (int index = 0; index < S_SERVICES; index++) {
        s_start_service(index);
    }
    s_yam = yam_new();
    yam_callback_t *producer = yam_callback_new(s_yam, "orders", "shop", s_endpoint, "delay=2s");
    assert_non_null(producer);
    assert_int_equal(yam_callback_serve(producer, s_answer, NULL), 0);
    assert_int_equal(pthread_create(&consumer, NULL, s_consume, NULL), 0);
    s_send_all(producer);
    s_kill_some();
    int64_t until_ms = yami_clock_mono_ms() + 2 * CHILD_PATIENCE_MS;
    while (!s_has_settled()) {
        assert_true(yami_clock_mono_ms() < until_ms);
        child_look_later();
    }
    s_judge();
    s_is_over = true;
    (void) pthread_join(consumer, NULL);
    yam_callback_destroy(&producer);
    yam_destroy(&s_yam);
    for (int index = 0; index < S_SERVICES; index++) {
        (void) kill(s_services[index].pid, SIGTERM);
        assert_int_equal(child_wait(&s_services[index], CHILD_PATIENCE_MS), 0);
    }
    assert_int_equal(relay_process_stop(&s_relay), 0);
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services_and_relay_killed_at_random_forget_nothing_and_alarm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
