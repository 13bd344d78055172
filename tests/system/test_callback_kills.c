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
#include <unistd.h>

#include "harness/relay_process.h"
#include "yam_callback.h"
#include "yam_callback_store.h"
#include "yam_error.h"
#include "yam_pull.h"
#include "yami_base.h"

#define S_MESSAGES 200
#define S_FEW 20 //  messages where nobody is killed
#define S_DELAY_MS 2000
#define S_KILLS 12
#define S_SERVICES 2
#define S_PLANT_PATIENCE_MS 3000 //  more than until a message's next check
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define S_IS_SANITIZED true
#else
#define S_IS_SANITIZED false
#endif

//  What the consumer does with message N, by N % 4.
enum {
    S_DONE = 0,  //  confirms at once
    S_NEVER = 1, //  forgets to
    S_FAILS = 2, //  says that it failed
    S_LATER = 3, //  confirms what was resent
};

//  A run that cannot fail proves nothing: what a case of this test does wrong on purpose.
typedef enum {
    S_PLANT_NONE,
    S_PLANT_UNCONFIRMED, //  the consumer's confirms are noted, and not sent
    S_PLANT_LOST,        //  the services' database is lost with what is in it
} s_plant_t;

typedef struct {
    atomic_uint calls;   //  of the producer's service
    atomic_bool in_time; //  its confirm was at the relay before its check was due
    int64_t due_ms;      //  wall clock
} s_fate_t;

static s_fate_t s_fates[S_MESSAGES];
static unsigned s_count; //  of messages in this case
static s_plant_t s_plant;
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
    assert_true(number < s_count);
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
        bool is_sent = s_plant != S_PLANT_UNCONFIRMED || is_resent;
        assert_true(!is_sent || yam_callback_confirm(confirms, message) == 0);
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
    for (unsigned number = 0; number < s_count; number++) {
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

static bool
s_is_for_people(unsigned number)
{
    return number % 4 == S_NEVER || number % 4 == S_FAILS;
}

//  Whether every case has come to its end.
static bool
s_has_settled(void)
{
    s_read_states();
    for (unsigned number = 0; number < s_count; number++) {
        int state = s_states[number];
        if (s_is_for_people(number) ? state != YAM_CASE_OPEN
                                    : state == YAM_CASE_WAITING || state == YAM_CASE_CALLING) {
            return false;
        }
    }
    return true;
}

typedef struct {
    unsigned forgotten;    //  nobody was called, or no case is left
    unsigned false_alarms; //  called, though the confirm was there in time
    unsigned in_time;
} s_verdict_t;

static s_verdict_t
s_judge(void)
{
    s_verdict_t verdict = {0};
    s_read_states();
    for (unsigned number = 0; number < s_count; number++) {
        unsigned calls = s_fates[number].calls;
        int state = s_states[number];
        if (number % 4 != S_DONE) {
            int wanted = s_is_for_people(number) ? YAM_CASE_OPEN : YAM_CASE_DONE;
            verdict.forgotten += calls == 0 || state != wanted;
        } else if (s_fates[number].in_time) {
            verdict.in_time++;
            verdict.false_alarms += calls != 0 || state != YAM_CASE_NONE;
        }
    }
    (void) printf("# %u forgotten, %u false alarms, %u of %u confirms were in time\n",
                  verdict.forgotten, verdict.false_alarms, verdict.in_time, s_count / 4);
    return verdict;
}

//  -- The scene ---------------------------------------------------------------------------------

//  The database goes once the last case has been called for: the relay has none of them any more.
static void
s_lose_database(void)
{
    int64_t until_ms = yami_clock_mono_ms() + CHILD_PATIENCE_MS;
    while (s_fates[s_count - 1].calls == 0) {
        assert_true(yami_clock_mono_ms() < until_ms);
        child_look_later();
    }
    for (int index = 0; index < S_SERVICES; index++) {
        (void) child_kill(&s_services[index]);
    }
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++) {
        char path[410];
        (void) snprintf(path, sizeof path, "%s%s", s_path, ends[index]);
        (void) unlink(path);
    }
    for (int index = 0; index < S_SERVICES; index++) {
        s_start_service(index);
    }
}

//  Sends, kills or breaks, and waits for so long until all has settled. What the oracle says.
static s_verdict_t
s_play(const char *name, unsigned count, s_plant_t plant, int64_t patience_ms)
{
    pthread_t consumer;
    s_count = count;
    s_plant = plant;
    s_is_over = false;
    memset((void *) s_fates, 0, sizeof s_fates);
    (void) snprintf(s_path, sizeof s_path, "%s/%s.db", child_folder(), name);
    relay_process_init(&s_relay, name);
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
    if (plant == S_PLANT_LOST) {
        s_lose_database();
    } else if (plant == S_PLANT_NONE) {
        s_kill_some();
    }
    int64_t until_ms = yami_clock_mono_ms() + patience_ms;
    while (!s_has_settled() && yami_clock_mono_ms() < until_ms) {
        child_look_later();
    }
    s_verdict_t verdict = s_judge();
    s_is_over = true;
    (void) pthread_join(consumer, NULL);
    yam_callback_destroy(&producer);
    yam_destroy(&s_yam);
    for (int index = 0; index < S_SERVICES; index++) {
        (void) kill(s_services[index].pid, SIGTERM);
        assert_int_equal(child_wait(&s_services[index], CHILD_PATIENCE_MS), 0);
    }
    assert_int_equal(relay_process_stop(&s_relay), 0);
    return verdict;
}

static void
test_services_and_relay_killed_at_random_forget_nothing_and_alarm_nobody(void **state)
{
    (void) state;
    s_verdict_t verdict = s_play("callback", S_MESSAGES, S_PLANT_NONE, 2 * CHILD_PATIENCE_MS);
    assert_int_equal(verdict.forgotten, 0);
    assert_int_equal(verdict.false_alarms, 0);
    assert_true(verdict.in_time > 0);
}

static void
test_oracle_finds_calls_for_what_was_confirmed_in_time(void **state)
{
    (void) state;
    s_verdict_t verdict = s_play("unconfirmed", S_FEW, S_PLANT_UNCONFIRMED, 2 * CHILD_PATIENCE_MS);
    assert_true(verdict.false_alarms > 0);
}

static void
test_oracle_finds_cases_that_are_lost_with_their_database(void **state)
{
    (void) state;
    assert_true(s_play("lost", S_FEW, S_PLANT_LOST, S_PLANT_PATIENCE_MS).forgotten > 0);
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    //  The oracle itself need not be shown twice.
    const struct CMUnitTest oracle[] = {
        cmocka_unit_test(test_oracle_finds_calls_for_what_was_confirmed_in_time),
        cmocka_unit_test(test_oracle_finds_cases_that_are_lost_with_their_database),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services_and_relay_killed_at_random_forget_nothing_and_alarm_nobody),
    };
    int rc = S_IS_SANITIZED ? 0 : cmocka_run_group_tests(oracle, NULL, NULL);
    return rc + cmocka_run_group_tests(tests, NULL, NULL);
}
