//  A relay as a value that several threads use at once: each is told its own outcome, and none
//  waits for what is another's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_pull.h"
#include "yam_push.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_monitor.h"

#define SETTERS 4
#define SETTINGS 200

typedef struct {
    yam_relay_t *relay;
    const char *value;
    int expected; //  errno
    int wrong_count;
} s_setter_t;

static void *
s_set_often(void *arg)
{
    s_setter_t *setter = arg;
    for (int count = 0; count < SETTINGS; count++) {
        errno = 0;
        int rc = yam_relay_set(setter->relay, "lease", setter->value);
        setter->wrong_count += rc == (setter->expected == 0 ? 0 : -1) ? 0 : 1;
        setter->wrong_count += errno == setter->expected ? 0 : 1;
    }
    return NULL;
}

static void
test_threads_that_set_at_once_are_each_told_their_own_outcome(void **state)
{
    (void) state;
    yam_t *yam = yam_new();
    yam_relay_t *relay = yam_relay_new(yam, "tcp://127.0.0.1:*", NULL, NULL);
    assert_non_null(relay);
    s_setter_t setters[SETTERS];
    pthread_t threads[SETTERS];
    for (int index = 0; index < SETTERS; index++) {
        bool is_right = index % 2 == 0;
        setters[index] = (s_setter_t) {relay, is_right ? "20s" : "soon", is_right ? 0 : EINVAL, 0};
        assert_int_equal(pthread_create(&threads[index], NULL, s_set_often, &setters[index]), 0);
    }
    for (int index = 0; index < SETTERS; index++) {
        (void) pthread_join(threads[index], NULL);
        assert_int_equal(setters[index].wrong_count, 0);
    }
    yam_relay_destroy(&relay);
    yam_destroy(&yam);
}

//  Whether that thread would be given the signal.
static bool
s_takes(const char *task, int signal)
{
    char path[64 + NAME_MAX];
    char line[256];
    unsigned long long blocked = 0;
    (void) snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "r");
    if (file == NULL) { //  it has ended
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "SigBlk:", 7) == 0) {
            blocked = strtoull(line + 7, NULL, 16);
        }
    }
    (void) fclose(file);
    return (blocked & 1ull << (signal - 1)) == 0;
}

//  An application's handler ran in the relay's thread, and broke off what that was waiting for.
static void
test_threads_of_a_relay_take_no_signal(void **state)
{
    (void) state;
    yam_t *yam = yam_new();
    yam_relay_t *relay = yam_relay_new(yam, "tcp://127.0.0.1:*", NULL, NULL);
    assert_non_null(relay);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    int taking = 0;
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        taking += entry->d_name[0] != '.' && s_takes(entry->d_name, SIGPROF) ? 1 : 0;
    }
    (void) closedir(tasks);
    assert_int_equal(taking, 1); //  this one
    yam_relay_destroy(&relay);
    yam_destroy(&yam);
}

#define WAIT_MS 10000
#define INSIDE "@tcp://127.0.0.1:*?relay=memory&connect-timeout=10s"

static void *
s_close(void *arg)
{
    yam_push_t *push = arg;
    (void) yam_push_close(&push, -1);
    return NULL;
}

typedef struct {
    yam_t *yam;
    yami_monitor_t monitor;
    yam_push_t *push; //  under the lock; what was opened
} s_opening_t;

static void *
s_open(void *arg)
{
    s_opening_t *self = arg;
    yam_push_t *push = yam_push_new(self->yam, "q", INSIDE);
    yami_monitor_lock(&self->monitor);
    self->push = push;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return NULL;
}

static void
s_assert_opened(s_opening_t *self)
{
    int64_t until_ms = yami_monitor_deadline(WAIT_MS);
    yami_monitor_lock(&self->monitor);
    while (self->push == NULL && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    bool is_opened = self->push != NULL;
    yami_monitor_unlock(&self->monitor);
    assert_true(is_opened);
}

//  Sends until the relay refuses for now, since it drains.
static void
s_send_until_refused(yam_push_t *push)
{
    yam_push_stats_t stats = {0};
    int64_t until_ms = yami_clock_mono_ms() + WAIT_MS;
    while (stats.resent == 0) {
        assert_true(yami_clock_mono_ms() < until_ms);
        assert_int_equal(yam_push_send(push, "x", 1), 0);
        (void) yam_push_flush(push, 10);
        yam_push_stats(push, &stats);
    }
}

static void
test_relay_that_waits_for_a_lease_before_it_closes_keeps_nobody_from_embedding_another(void **state)
{
    (void) state;
    char endpoint[300];
    yam_t *yam = yam_new();
    yam_t *other = yam_new();
    yam_push_t *push = yam_push_new(yam, "q", INSIDE);
    assert_non_null(push);
    assert_int_equal(yam_push_send(push, "x", 1), 0);
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&linger=0&connect-timeout=10s",
                    yam_push_endpoint(push));
    yam_pull_t *pull = yam_pull_new(other, "q", endpoint);
    yam_push_t *witness = yam_push_new(other, "w", endpoint);
    assert_int_equal(yam_push_send(witness, "x", 1), 0);
    //  It is attached: a relay that drains takes nobody.
    assert_int_equal(yam_push_flush(witness, WAIT_MS), 0);
    yam_message_t *message = yam_pull_recv(pull, WAIT_MS); //  leased
    assert_non_null(message);
    pthread_t closing;
    pthread_t thread;
    static s_opening_t opening;
    assert_int_equal(pthread_create(&closing, NULL, s_close, push), 0);
    s_send_until_refused(witness);
    yami_monitor_init(&opening.monitor);
    opening.yam = other;
    assert_int_equal(pthread_create(&thread, NULL, s_open, &opening), 0);
    s_assert_opened(&opening);
    (void) pthread_join(thread, NULL);
    assert_int_equal(yam_pull_ack(pull, &message), 0);
    (void) pthread_join(closing, NULL);
    yam_push_destroy(&opening.push);
    yam_push_destroy(&witness);
    yam_pull_destroy(&pull);
    yam_destroy(&other);
    yam_destroy(&yam);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_of_a_relay_take_no_signal),
        cmocka_unit_test(test_threads_that_set_at_once_are_each_told_their_own_outcome),
        cmocka_unit_test(
            test_relay_that_waits_for_a_lease_before_it_closes_keeps_nobody_from_embedding_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
