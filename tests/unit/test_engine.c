//  The engine: who is woken runs, who is removed never does again, deadlines and sockets are seen.

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "yami_base.h"
#include "yami_engine.h"
#include "yami_fork.h"

#define PATIENCE_MS 60000 //  how long a failure takes to show

//  A task that counts its steps and tells who waits.
typedef struct {
    yami_task_t task;
    pthread_mutex_t lock;
    pthread_cond_t stepped;
    unsigned step_count;
    unsigned message_count;
    int64_t deadlines[4]; //  returned by the first steps, relative to now
    bool eats;            //  receives from its socket, one message each step
} s_probe_t;

static int64_t
s_step(void *arg, int64_t now_ms)
{
    s_probe_t *self = arg;
    char byte;
    (void) pthread_mutex_lock(&self->lock);
    if (self->eats && zmq_recv(self->task.socket, &byte, 1, ZMQ_DONTWAIT) == 1) {
        self->message_count++;
    }
    int64_t delay_ms = self->step_count < 4 ? self->deadlines[self->step_count] : 0;
    self->step_count++;
    (void) pthread_cond_broadcast(&self->stepped);
    (void) pthread_mutex_unlock(&self->lock);
    return delay_ms ? now_ms + delay_ms : INT64_MAX;
}

static void
s_init(s_probe_t *self)
{
    memset(self, 0, sizeof *self);
    self->task.step = s_step;
    self->task.arg = self;
    (void) pthread_mutex_init(&self->lock, NULL);
    (void) pthread_cond_init(&self->stepped, NULL);
}

static unsigned
s_step_count(s_probe_t *self)
{
    (void) pthread_mutex_lock(&self->lock);
    unsigned count = self->step_count;
    (void) pthread_mutex_unlock(&self->lock);
    return count;
}

//  Waits until *counter, one of the probe's, is at least count.
static void
s_wait(s_probe_t *self, const unsigned *counter, unsigned count)
{
    struct timespec at;
    (void) clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += PATIENCE_MS / 1000;
    (void) pthread_mutex_lock(&self->lock);
    while (*counter < count) {
        assert_int_equal(pthread_cond_timedwait(&self->stepped, &self->lock, &at), 0);
    }
    (void) pthread_mutex_unlock(&self->lock);
}

static void
test_a_task_runs_when_added_and_when_woken(void **state)
{
    (void) state;
    yami_engine_t *engine = yami_engine_new();
    assert_non_null(engine);
    s_probe_t probe;
    s_init(&probe);
    assert_int_equal(yami_engine_add(engine, &probe.task), 0);
    s_wait(&probe, &probe.step_count, 1);
    for (unsigned round = 2; round < 500; round++) {
        yami_engine_wake(engine, &probe.task);
        s_wait(&probe, &probe.step_count, round);
    }
    yami_engine_remove(engine, &probe.task);
    yami_engine_destroy(&engine);
    yami_engine_destroy(&engine);
}

static void
test_a_deadline_runs_the_step_again(void **state)
{
    (void) state;
    yami_engine_t *engine = yami_engine_new();
    s_probe_t probe;
    s_probe_t other;
    s_init(&probe);
    s_init(&other);
    probe.deadlines[0] = 5;
    probe.deadlines[1] = 1;
    other.deadlines[0] = 3;
    (void) yami_engine_add(engine, &probe.task);
    (void) yami_engine_add(engine, &other.task);
    s_wait(&probe, &probe.step_count, 3);
    s_wait(&other, &other.step_count, 2);
    yami_engine_remove(engine, &probe.task);
    yami_engine_remove(engine, &other.task);
    yami_engine_destroy(&engine);
}

static void
test_a_socket_is_served_until_it_is_empty(void **state)
{
    (void) state;
    void *context = zmq_ctx_new();
    void *in = zmq_socket(context, ZMQ_PULL);
    void *out = zmq_socket(context, ZMQ_PUSH);
    assert_int_equal(zmq_bind(in, "inproc://engine"), 0);
    assert_int_equal(zmq_connect(out, "inproc://engine"), 0);
    yami_engine_t *engine = yami_engine_new();
    s_probe_t probe;
    s_init(&probe);
    probe.eats = true;
    probe.task.socket = in;
    (void) yami_engine_add(engine, &probe.task);
    for (int round = 0; round < 300; round++) {
        assert_int_equal(zmq_send(out, "x", 1, 0), 1);
        if (round % 10 == 0) {
            s_wait(&probe, &probe.message_count, (unsigned) round + 1);
        }
    }
    s_wait(&probe, &probe.message_count, 300);
    yami_engine_remove(engine, &probe.task);
    yami_engine_destroy(&engine);
    (void) zmq_close(in);
    (void) zmq_close(out);
    (void) zmq_ctx_term(context);
}

static void
test_a_descriptor_is_polled(void **state)
{
    (void) state;
    yami_engine_t *engine = yami_engine_new();
    s_probe_t probe;
    s_init(&probe);
    probe.task.polls_fd = true;
    probe.task.fd = eventfd(0, EFD_NONBLOCK);
    (void) yami_engine_add(engine, &probe.task);
    s_wait(&probe, &probe.step_count, 1);
    uint64_t one = 1;
    assert_int_equal(write(probe.task.fd, &one, sizeof one), sizeof one);
    s_wait(&probe, &probe.step_count, 10); //  level-triggered: nobody reads it
    yami_engine_remove(engine, &probe.task);
    yami_engine_destroy(&engine);
    (void) close(probe.task.fd);
}

static void *
s_hammer(void *arg)
{
    void **both = arg;
    for (int round = 0; round < 20000; round++) {
        yami_engine_wake(both[0], &((s_probe_t *) both[1])->task);
    }
    return NULL;
}

static void
test_wakes_from_many_threads_are_not_lost(void **state)
{
    (void) state;
    yami_engine_t *engine = yami_engine_new();
    s_probe_t probes[3];
    pthread_t threads[3];
    void *arguments[3][2];
    for (int index = 0; index < 3; index++) {
        s_init(&probes[index]);
        (void) yami_engine_add(engine, &probes[index].task);
        arguments[index][0] = engine;
        arguments[index][1] = &probes[index];
        (void) pthread_create(&threads[index], NULL, s_hammer, arguments[index]);
    }
    for (int index = 0; index < 3; index++) {
        (void) pthread_join(threads[index], NULL);
        unsigned before = s_step_count(&probes[index]);
        yami_engine_wake(engine, &probes[index].task);
        s_wait(&probes[index], &probes[index].step_count, before + 1);
        yami_engine_remove(engine, &probes[index].task);
    }
    yami_engine_destroy(&engine);
}

static void
test_after_a_removal_the_step_does_not_run(void **state)
{
    (void) state;
    yami_engine_t *engine = yami_engine_new();
    s_probe_t other;
    s_init(&other);
    (void) yami_engine_add(engine, &other.task);
    for (int round = 0; round < 200; round++) {
        s_probe_t probe;
        s_init(&probe);
        probe.deadlines[0] = 1;
        (void) yami_engine_add(engine, &probe.task);
        yami_engine_wake(engine, &probe.task);
        yami_engine_remove(engine, &probe.task);
        unsigned count = s_step_count(&probe);
        yami_engine_wake(engine, &other.task);
        s_wait(&other, &other.step_count, (unsigned) round / 2 + 1);
        assert_int_equal(s_step_count(&probe), count);
    }
    yami_engine_remove(engine, &other.task);
    yami_engine_destroy(&engine);
}

static void
test_a_forked_child_cannot_add_and_does_not_hang(void **state)
{
    (void) state;
    yami_fork_watch();
    yami_engine_t *engine = yami_engine_new();
    pid_t child = fork();
    if (child == 0) {
        s_probe_t probe;
        s_init(&probe);
        int is_refused = yami_engine_add(engine, &probe.task) == -1 && errno == ECHILD;
        yami_engine_remove(engine, &probe.task);
        yami_engine_destroy(&engine);
        _exit(is_refused ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    yami_engine_destroy(&engine);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task_runs_when_added_and_when_woken),
        cmocka_unit_test(test_a_deadline_runs_the_step_again),
        cmocka_unit_test(test_a_socket_is_served_until_it_is_empty),
        cmocka_unit_test(test_a_descriptor_is_polled),
        cmocka_unit_test(test_wakes_from_many_threads_are_not_lost),
        cmocka_unit_test(test_after_a_removal_the_step_does_not_run),
        cmocka_unit_test(test_a_forked_child_cannot_add_and_does_not_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
