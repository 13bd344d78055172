/*  fast - push/pull and pub/sub without a relay: Yam's fast grade against raw libzmq and CZMQ.

    Two processes over tcp and ipc, two threads over inproc. Two phases: "rate", as many messages as
    go through; and "latency", one message about every millisecond, measured one way from the time
    it was meant to be sent. The sender binds. Publishers are held back (at most AHEAD_BYTES before
    the subscriber), since a topic may drop what a slow subscriber does not take, and lost messages
    make a run void.

    Over tcp and ipc all of it is measured once more with CURVE, all with the same keys.

    QUICK leaves out ipc, CZMQ, latencies but those of the first size, and of CURVE all but the
    rates of push. More settings: PATTERNS=push,pub  TRANSPORTS=inproc,ipc,tcp  PHASES=rate,latency
    SECURITY=plain,curve
*/
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "drivers/driver.h"

#define AHEAD_BYTES (4 << 20) //  most bytes a publisher is ahead of its subscriber
#define PROGRESS_EVERY 128    //  messages between two notes of progress

typedef struct {
    const bench_driver_t *driver;
    const char *pattern;
    const char *transport;
    bool is_latency;
    bool is_curve;
    size_t size;
    uint64_t message_count;
    void *context;     //  of both ends, inproc only
    char address[256]; //  to bind
    char bound[256];   //  to connect to
    sem_t is_bound;
    sem_t is_joined;
    sem_t is_done;
    int64_t start_ns;
    int64_t end_ns;
    atomic_uint_fast64_t received_count;
    atomic_bool has_failed; //  the receiver gave up
    bench_check_t check;
} run_t;

//  ---- Sender

//  Sends bodies that do not count until the receiver has one: connected, and subscribed.
static int
s_join(run_t *run, void *end)
{
    for (int turn = 0; turn < BENCH_DRIVER_WAIT_MS; turn++) {
        if (run->driver->send(end, run->size, BENCH_WARMUP, 0) == -1) {
            return -1;
        }
        bench_look_later(1000);
        if (sem_trywait(&run->is_joined) == 0) {
            return 0;
        }
    }
    return -1;
}

//  0, or -1 when the receiver gave up.
static int
s_stay_near(run_t *run, uint64_t index)
{
    uint64_t limit = AHEAD_BYTES / run->size;
    limit = limit < run->driver->ahead_limit ? limit : run->driver->ahead_limit;
    while (index > atomic_load_explicit(&run->received_count, memory_order_relaxed) + limit) {
        if (atomic_load(&run->has_failed)) {
            return -1;
        }
        bench_look_later(50);
    }
    return 0;
}

static int
s_send_rate(run_t *run, void *end)
{
    bool is_topic = strcmp(run->pattern, "pub") == 0;
    run->start_ns = bench_now_ns();
    for (uint64_t index = 0; index < run->message_count; index++) {
        if (is_topic && index % PROGRESS_EVERY == 0 && s_stay_near(run, index) == -1) {
            return -1;
        }
        if (run->driver->send(end, run->size, index, bench_body_time(index)) == -1) {
            return -1;
        }
    }
    return run->driver->flush(end);
}

static int
s_send_paced(run_t *run, void *end)
{
    int64_t when_ns = bench_now_ns() + 1000000;
    run->start_ns = when_ns;
    for (uint64_t index = 0; index < run->message_count; index++) {
        bench_wait_until_ns(when_ns);
        if (run->driver->send(end, run->size, index, when_ns) == -1) {
            return -1;
        }
        when_ns += 950000 + (int64_t) (index * 7919 % 100000); //  not in step with any timer
    }
    return 0;
}

static int
s_sender(void *arg)
{
    run_t *run = arg;
    const bench_driver_t *driver = run->driver;
    bench_kind_t kind = strcmp(run->pattern, "pub") == 0 ? BENCH_PUB : BENCH_PUSH;
    prctl(PR_SET_TIMERSLACK, 1);
    void *context = run->context ? run->context : driver->context_new();
    void *end = driver->open(context, kind, run->address, run->bound, sizeof run->bound);
    sem_post(&run->is_bound);
    int rc = s_join(run, end);
    if (rc == 0) {
        rc = run->is_latency ? s_send_paced(run, end) : s_send_rate(run, end);
    }
    if (rc == 0) {
        rc = bench_sem_wait(&run->is_done);
    }
    driver->close(end);
    if (!run->context) {
        driver->context_destroy(context);
    }
    return rc == 0 ? 0 : 1;
}

//  ---- Receiver

static int
s_receive_all(run_t *run, void *end)
{
    uint64_t noted_count = 0;
    bool has_joined = false;
    bench_check_init(&run->check, run->size, 0);
    while (run->check.expected_index < run->message_count) {
        if (run->driver->receive(end, &run->check) == -1) {
            return -1;
        }
        if (!has_joined) {
            sem_post(&run->is_joined);
            has_joined = true;
        }
        if (run->check.expected_index >= noted_count + PROGRESS_EVERY) {
            noted_count = run->check.expected_index;
            atomic_store_explicit(&run->received_count, noted_count, memory_order_relaxed);
        }
    }
    run->end_ns = bench_now_ns();
    return 0;
}

static int
s_receiver(void *arg)
{
    run_t *run = arg;
    const bench_driver_t *driver = run->driver;
    bench_kind_t kind = strcmp(run->pattern, "pub") == 0 ? BENCH_SUB : BENCH_PULL;
    char address[sizeof run->bound + 1];
    if (bench_sem_wait(&run->is_bound) == -1) {
        return 1;
    }
    snprintf(address, sizeof address, ">%s", run->bound);
    void *context = run->context ? run->context : driver->context_new();
    void *end = driver->open(context, kind, address, NULL, 0);
    int rc = s_receive_all(run, end);
    atomic_store(&run->has_failed, rc == -1);
    sem_post(&run->is_done);
    driver->close(end);
    if (!run->context) {
        driver->context_destroy(context);
    }
    return rc == 0 ? 0 : 1;
}

//  ---- Both in one process

static void *
s_sender_thread(void *arg)
{
    return s_sender(arg) == 0 ? NULL : arg;
}

static int
s_both(void *arg)
{
    run_t *run = arg;
    pthread_t thread;
    void *failure = NULL;
    run->context = run->driver->context_new();
    pthread_create(&thread, NULL, s_sender_thread, run);
    int rc = s_receiver(run);
    pthread_join(thread, &failure);
    run->driver->context_destroy(run->context);
    return rc == 0 && !failure ? 0 : 1;
}

//  ---- The bench

//  Enough that connecting and the first frames count for little, also with who is fast.
static uint64_t
s_message_count(const run_t *run)
{
    if (run->is_latency) {
        return bench_messages(1000);
    }
    bool is_inproc = strcmp(run->transport, "inproc") == 0;
    uint64_t full = run->size <= 256 ? 4000000 : 1000000;
    return bench_messages(is_inproc ? 2 * full : run->is_curve ? full / 4 : full);
}

static void
s_set_address(run_t *run)
{
    if (strcmp(run->transport, "tcp") == 0) {
        snprintf(run->address, sizeof run->address, "@tcp://127.0.0.1:*");
    } else if (strcmp(run->transport, "ipc") == 0) {
        char *path = bench_path("fast.ipc");
        unlink(path);
        snprintf(run->address, sizeof run->address, "@ipc://%s", path);
        free(path);
    } else {
        snprintf(run->address, sizeof run->address, "@inproc://fast");
    }
}

static void
s_measure(const run_t *wanted)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t processes[2];
    size_t process_count = 0;
    char phase[64];
    *run = *wanted;
    run->message_count = s_message_count(run);
    s_set_address(run);
    sem_init(&run->is_bound, 1, 0);
    sem_init(&run->is_joined, 1, 0);
    sem_init(&run->is_done, 1, 0);
    if (strcmp(run->transport, "inproc") == 0) {
        bench_fork(&processes[process_count++], "both", s_both, run);
    } else {
        bench_fork(&processes[process_count++], "receiver", s_receiver, run);
        bench_fork(&processes[process_count++], "sender", s_sender, run);
    }
    bool has_failed = bench_wait(processes, process_count, 60) == -1;
    snprintf(phase, sizeof phase, "%s-%s%s-%s", run->pattern, run->transport,
             run->is_curve ? "-curve" : "", run->is_latency ? "latency" : "rate");
    bench_result_t result = {.system = run->driver->name,
                             .phase = phase,
                             .size = run->size,
                             .message_count = run->message_count,
                             .seconds = (double) (run->end_ns - run->start_ns) / 1e9,
                             .latency = &run->check.latency};
    result.is_void = bench_is_void(&run->check, run->message_count) || has_failed;
    bench_add_processes(&result, processes, process_count);
    bench_report(&result);
}

//  What the settings, or the lack of time, leave out.
static bool
s_is_wanted(const run_t *run)
{
    bool is_ipc = strcmp(run->transport, "ipc") == 0;
    bool is_push = strcmp(run->pattern, "push") == 0;
    if (bench_is_quick() && (is_ipc || (run->is_curve && (!is_push || run->is_latency)))) {
        return false;
    }
    return bench_wants("PATTERNS", run->pattern) && bench_wants("TRANSPORTS", run->transport) &&
           bench_wants("PHASES", run->is_latency ? "latency" : "rate") &&
           bench_wants("SECURITY", run->is_curve ? "curve" : "plain");
}

static void
s_measure_drivers(run_t *run)
{
    static const bench_driver_t *const drivers[] = {&bench_zmq, &bench_yam, &bench_yam_raw,
                                                    &bench_czmq, &bench_zmsg};
    size_t count = bench_is_quick() ? 3 : sizeof drivers / sizeof drivers[0];
    bench_curve = run->is_curve ? bench_curve_keys() : NULL;
    for (size_t index = 0; index < count; index++) {
        if (bench_wants("SYSTEMS", drivers[index]->name)) {
            run->driver = drivers[index];
            s_measure(run);
        }
    }
}

//  Both phases at each size.
static void
s_measure_sizes(run_t *run)
{
    static const size_t defaults[] = {128, 1024, 0};
    size_t sizes[16];
    size_t size_count = bench_sizes(sizes, 16, defaults);
    for (int is_latency = 0; is_latency < 2; is_latency++) {
        run->is_latency = is_latency == 1;
        bool is_once = run->is_latency && bench_is_quick();
        for (size_t index = 0; index < size_count && s_is_wanted(run); index++) {
            run->size = sizes[index];
            if (index == 0 || !is_once) {
                s_measure_drivers(run);
            }
        }
    }
}

int
main(void)
{
    static const char *const patterns[] = {"push", "pub"};
    static const char *const transports[] = {"tcp", "inproc", "ipc"};
    bench_start("fast");
    for (size_t index = 0; index < 2 * 3; index++) {
        run_t run = {.pattern = patterns[index / 3], .transport = transports[index % 3]};
        s_measure_sizes(&run);
        if (strcmp(run.transport, "inproc") != 0) { //  where no byte leaves the process
            run.is_curve = true;
            s_measure_sizes(&run);
        }
    }
    return bench_finish();
}
