//  yam_t: forks are refused, descriptors are checked before libzmq could abort, signals are left
//  alone.

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "yam_admin.h"
#include "yam_callback_service.h"
#include "yam_context.h"
#include "yam_error.h"
#include "yam_pub.h"
#include "yam_pull.h"
#include "yam_push.h"
#include "yam_relay_embed.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"
#include "yami_base.h"
#include "yami_callback_store.h"
#include "yami_context.h"
#include "yami_rpc.h"

#define RELAY_INSIDE "@tcp://127.0.0.1:*?relay=memory"

//  A child of a process whose threads are busy.
static void
s_need_forks(void)
{
#if defined(__SANITIZE_ADDRESS__)
    print_message("# not here: what a thread has locked in AddressSanitizer's allocator stays "
                  "locked in a forked child\n");
    skip();
#endif
}

//  Runs check in a child; whether it returned true.
static bool
s_in_child(bool (*check)(void *arg), void *arg)
{
#if defined(__SANITIZE_THREAD__)
    print_message("# not here: ThreadSanitizer starts no threads in a forked child\n");
    skip();
#endif
    pid_t child = fork();
    if (child == 0) {
        _exit(check(arg) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

typedef struct {
    yam_t *yam;
    yam_push_t *push;
    yam_pull_t *pull;
    yam_admin_t *admin;
} s_objects_t;

static bool
s_all_refused(void *arg)
{
    s_objects_t *objects = arg;
    yam_message_t *message = yam_message_new("x", 1);
    bool is_refused = yam_push_send(objects->push, "x", 1) == -1 && errno == ECHILD;
    is_refused = is_refused && yam_push_send_message(objects->push, &message) == -1;
    is_refused = is_refused && errno == ECHILD && message;
    is_refused = is_refused && !yam_pull_recv(objects->pull, 0) && errno == ECHILD;
    is_refused = is_refused && yam_pull_fd(objects->pull) == -1 && errno == ECHILD;
    is_refused = is_refused && !yam_push_new(objects->yam, "q", ">inproc://x") && errno == ECHILD;
    is_refused = is_refused && yam_set_certificate(objects->yam, "x") == -1 && errno == ECHILD;
    is_refused = is_refused && strstr(yam_error(), "fork");
    yam_message_destroy(&message);
    yam_push_destroy(&objects->push);
    yam_pull_destroy(&objects->pull);
    yam_destroy(&objects->yam);
    return is_refused && !objects->push && !objects->pull && !objects->yam;
}

static void
test_a_forked_child_is_refused_and_may_destroy(void **state)
{
    (void) state;
    s_need_forks();
    s_objects_t objects = {.yam = yam_new()};
    objects.pull = yam_pull_new(objects.yam, "q", "@inproc://fork");
    objects.push = yam_push_new(objects.yam, "q", ">inproc://fork");
    assert_true(s_in_child(s_all_refused, &objects));
    assert_int_equal(yam_push_send(objects.push, "x", 1), 0); //  here all goes on
    yam_message_t *message = yam_pull_recv(objects.pull, 10000);
    assert_non_null(message);
    yam_message_destroy(&message);
    yam_push_destroy(&objects.push);
    yam_pull_destroy(&objects.pull);
    yam_destroy(&objects.yam);
}

static bool
s_new_works(void *arg)
{
    (void) arg;
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam ? yam_pull_new(yam, "q", "@inproc://child") : NULL;
    yam_push_t *push = yam ? yam_push_new(yam, "q", ">inproc://child") : NULL;
    if (!pull || !push || yam_push_send(push, "x", 1) == -1) {
        return false;
    }
    yam_message_t *message = yam_pull_recv(pull, 10000);
    bool is_good = message != NULL;
    yam_message_destroy(&message);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
    return is_good;
}

//  A new yam_t may lie where the parent's lay: what that one had embedded must not be found for it.
static bool
s_relay_is_its_own(void *arg)
{
    s_objects_t *objects = arg;
    char inproc[64];
    bool is_forgotten = yam_relay_embed(objects->yam, "@tcp://127.0.0.1:*", "memory", inproc,
                                        sizeof inproc) == -1 &&
                        errno == ECHILD;
    yam_push_destroy(&objects->push);
    yam_admin_destroy(&objects->admin); //  says nothing to the relay: the parent goes on
    yam_destroy(&objects->yam);
    yam_t *yam = yam_new();
    yam_push_t *push = yam ? yam_push_new(yam, "q", RELAY_INSIDE) : NULL;
    bool is_good = push && yam_push_send(push, "x", 1) == 0 && yam_push_flush(push, 10000) == 0;
    yam_push_destroy(&push);
    yam_destroy(&yam);
    return is_forgotten && is_good;
}

static void
test_a_child_embeds_a_relay_of_its_own(void **state)
{
    (void) state;
    s_need_forks();
    s_objects_t objects = {.yam = yam_new()};
    objects.push = yam_push_new(objects.yam, "q", RELAY_INSIDE);
    assert_non_null(objects.push);
    objects.admin = yam_admin_new(objects.yam, yam_push_endpoint(objects.push));
    assert_non_null(objects.admin);
    assert_true(s_in_child(s_relay_is_its_own, &objects));
    assert_int_equal(yam_push_send(objects.push, "x", 1), 0);
    yam_admin_request_t stat = {.command = "stat"};
    assert_int_equal(yam_admin_call(objects.admin, &stat), 0);
    yam_admin_destroy(&objects.admin);
    assert_int_equal(yam_push_close(&objects.push, 10000), 0);
    yam_destroy(&objects.yam);
}

typedef struct {
    yam_rpc_t *rpc;
    yam_rpc_server_t *server;
    yam_callback_service_t *service;
} s_services_t;

static void
s_answer(void *arg, yam_rpc_request_t *request)
{
    (void) arg;
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, "", NULL);
}

//  A future that has no outcome before this caller is closed.
static void *
s_wait_for_answer(void *arg)
{
    yam_rpc_t *rpc = arg;
    (void) yam_rpc_wait(rpc, 1, 10000, NULL);
    return NULL;
}

//  Whoever waits in the parent is not here, and what it waits in is as it left it.
static bool
s_destroys_services(void *arg)
{
    s_services_t *services = arg;
    yam_rpc_destroy(&services->rpc);
    yam_rpc_server_destroy(&services->server);
    return !services->rpc && !services->server;
}

static void
test_a_forked_child_may_destroy_a_caller_and_a_server_that_are_waited_in(void **state)
{
    (void) state;
    s_need_forks();
    yam_t *yam = yam_new();
    s_services_t services = {0};
    services.server = yam_rpc_serve(yam, "orders", "@tcp://127.0.0.1:*", s_answer, NULL);
    assert_non_null(services.server);
    services.rpc = yam_rpc_new(yam, "nobody", ">inproc://nobody");
    yam_message_t *request = yam_message_new("x", 1);
    assert_int_equal(yam_rpc_call(services.rpc, &request, -1, NULL, NULL), 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_wait_for_answer, services.rpc), 0);
    bool is_waited_in = false;
    while (!is_waited_in) {
        yami_monitor_lock(&services.rpc->monitor);
        is_waited_in = services.rpc->monitor.waiter_count > 0;
        yami_monitor_unlock(&services.rpc->monitor);
    }
    assert_true(s_in_child(s_destroys_services, &services));
    assert_int_equal(yam_rpc_cancel(services.rpc, 1), 0);
    (void) pthread_join(thread, NULL);
    yam_rpc_destroy(&services.rpc);
    yam_rpc_server_destroy(&services.server);
    yam_destroy(&yam);
}

static bool s_has_left; //  the database

static int
s_begin(void *database)
{
    (void) database;
    errno = EAGAIN; //  locked, for ever
    return -1;
}

static void
s_end(void *database)
{
    (void) database;
}

static void
s_leave(void *database)
{
    (void) database;
    s_has_left = true;
}

static int64_t
s_refuse(void *database, const yam_callback_statement_t *statement,
         const yam_callback_value_t *values, yam_callback_row_fn take, void *arg)
{
    (void) database, (void) statement, (void) values, (void) take, (void) arg;
    errno = EAGAIN;
    return -1;
}

static const yam_callback_db_t s_locked_database = {
    .begin = s_begin, .commit = s_begin, .rollback = s_end, .run = s_refuse, .destroy = s_leave};

static bool
s_leaves_the_database(void *arg)
{
    s_services_t *services = arg;
    yam_callback_service_destroy(&services->service);
    return !services->service && !s_has_left;
}

//  To a server it is the parent that takes its leave.
static void
test_a_forked_child_that_destroys_a_service_leaves_the_database_to_the_parent(void **state)
{
    (void) state;
    s_need_forks();
    yam_t *yam = yam_new();
    yam_callback_store_t *store = yam_callback_store_new(&s_locked_database, yam);
    s_services_t services = {0};
    services.service = yam_callback_service_new(yam, ">inproc://nobody?grade=sure", &store, NULL);
    assert_non_null(services.service);
    assert_true(s_in_child(s_leaves_the_database, &services));
    yam_callback_service_destroy(&services.service);
    assert_true(s_has_left);
    yam_destroy(&yam);
}

static void
test_a_child_may_make_its_own(void **state)
{
    (void) state;
    s_need_forks();
    yam_t *yam = yam_new();
    assert_true(s_in_child(s_new_works, NULL));
    yam_destroy(&yam);
}

//  Takes every descriptor that is left.
static void
s_take_all(void)
{
    while (dup(STDERR_FILENO) != -1) {
    }
}

#define FEW 200

//  arg: how many descriptors there are, a few or one more. A socket takes one before it is bound
//  and more then, so that one of them runs out before it is opened, the other after.
static bool
s_descriptors_run_out(void *arg)
{
    const rlim_t *most = arg;
    (void) close_range(STDERR_FILENO + 1, ~0u, 0); //  what the test was started with
    yam_t *yam = yam_new();
    struct rlimit limit = {*most, *most};
    if (!yam || setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        return false;
    }
    yam_pull_t *pulls[FEW];
    int count = 0;
    while (count < FEW && (pulls[count] = yam_pull_new(yam, "q", "@tcp://127.0.0.1:*")) != NULL) {
        count++;
    }
    bool is_refused = errno == EMFILE && strstr(yam_error(), "ulimit") && count > 10 && count < FEW;
    s_take_all(); //  what the refused one had is given back by a thread of ZeroMQ, some time
    is_refused = is_refused && !yam_new() && errno == EMFILE;
    while (count > 0) {
        yam_pull_destroy(&pulls[--count]);
    }
    yam_destroy(&yam);
    return is_refused;
}

static void
test_without_descriptors_an_error_comes_and_no_abort(void **state)
{
    (void) state;
    for (rlim_t most = FEW; most <= FEW + 1; most++) {
        assert_true(s_in_child(s_descriptors_run_out, &most));
    }
}

static void
test_signals_are_left_alone(void **state)
{
    (void) state;
    struct sigaction before[32];
    for (int signal = 1; signal < 32; signal++) {
        (void) sigaction(signal, NULL, &before[signal]);
    }
    yam_t *yam = yam_new();
    yam_pub_t *pub = yam_pub_new(yam, "t", "@tcp://127.0.0.1:*");
    yam_pub_destroy(&pub);
    yam_destroy(&yam);
    for (int signal = 1; signal < 32; signal++) {
        struct sigaction after;
        (void) sigaction(signal, NULL, &after);
        assert_true(after.sa_handler == before[signal].sa_handler);
    }
}

static void
test_the_context_is_shared_with_the_applications_sockets(void **state)
{
    (void) state;
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "q", "@inproc://shared?framing=raw");
    void *push = zmq_socket(yam_zmq_context(yam), ZMQ_PUSH);
    assert_int_equal(zmq_connect(push, "inproc://shared"), 0);
    assert_int_equal(zmq_send(push, "hi", 2, 0), 2);
    yam_message_t *message = yam_pull_recv(pull, 10000);
    assert_non_null(message);
    yam_message_destroy(&message);
    (void) zmq_close(push);
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
    yam_destroy(&yam);
    yam_destroy(NULL);
    assert_non_null(strchr(yam_version(), '.'));
}

static void
test_errors_of_addresses_name_them(void **state)
{
    (void) state;
    yam_t *yam = yam_new();
    assert_null(yam_push_new(yam, "q", "@tcp://192.0.2.1:9999"));
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_non_null(strstr(yam_error(), "tcp://192.0.2.1:9999"));
    assert_null(yam_push_new(yam, "q", ">tcp://127.0.0.1:notaport"));
    assert_non_null(strstr(yam_error(), "notaport"));
    yam_destroy(&yam);
}

#define BURST_COUNT 128
#define BURST_FRAME ((size_t) 256 << 10)

//  Page faults of a burst of frames that come and go, as a window of them does.
static long
s_faults_of_a_burst(void)
{
    static void *frames[BURST_COUNT];
    struct rusage before;
    struct rusage after;
    (void) getrusage(RUSAGE_SELF, &before);
    for (int index = 0; index < BURST_COUNT; index++) {
        frames[index] = malloc(BURST_FRAME);
        assert_non_null(frames[index]);
        memset(frames[index], 1, BURST_FRAME);
    }
    for (int index = 0; index < BURST_COUNT; index++) {
        free(frames[index]);
    }
    (void) getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt - before.ru_minflt;
}

static void
test_the_memory_of_a_burst_of_frames_serves_the_next(void **state)
{
    (void) state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    print_message("# not here: a sanitizer has another allocator\n");
    skip();
#endif
    yam_t *yam = yam_new();
    long first_count = s_faults_of_a_burst();
    long next_count = s_faults_of_a_burst();
    assert_true(next_count < first_count / 10);
    yam_destroy(&yam);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        //  first: what others free teaches the allocator, too
        cmocka_unit_test(test_the_memory_of_a_burst_of_frames_serves_the_next),
        cmocka_unit_test(test_a_forked_child_is_refused_and_may_destroy),
        cmocka_unit_test(test_a_forked_child_may_destroy_a_caller_and_a_server_that_are_waited_in),
        cmocka_unit_test(
            test_a_forked_child_that_destroys_a_service_leaves_the_database_to_the_parent),
        cmocka_unit_test(test_a_child_may_make_its_own),
        cmocka_unit_test(test_a_child_embeds_a_relay_of_its_own),
        cmocka_unit_test(test_without_descriptors_an_error_comes_and_no_abort),
        cmocka_unit_test(test_signals_are_left_alone),
        cmocka_unit_test(test_the_context_is_shared_with_the_applications_sockets),
        cmocka_unit_test(test_errors_of_addresses_name_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
