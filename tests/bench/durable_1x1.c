/*  durable-1x1 - one producer, the daemon, one consumer: every message synced before it is
    confirmed and before it is delivered, and acked by itself. All features on, all options at their
    defaults. It begins when the daemon's spare segments are filled, as the ceiling begins with a
    filled file.

    The clock runs from the first send until the consumer has had the last message and the producer
    its last confirm. tests/bench/run puts this next to the ceiling, in turns.
*/
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/bench.h"
#include "yam.h"

#define WAIT_MS 20000
#define QUEUE "bench"

typedef struct {
    size_t size;
    uint64_t message_count;
    char endpoint[256]; //  of the relay, with the grade
    sem_t is_joined;    //  the consumer has had a message
    sem_t is_consumed;  //  and all of them
    int64_t start_ns;
    int64_t confirmed_ns;
    int64_t received_ns;
    int64_t acked_ns; //  the last ack was durable
    bench_check_t check;
} run_t;

//  ---- Producer

static int
s_produce(void *arg, yam_push_t *push)
{
    run_t *run = arg;
    static uint8_t body[BENCH_BODY_MAX];
    bench_body_write(body, run->size, BENCH_WARMUP, 0);
    if (yam_push_send(push, body, run->size) == -1 || yam_push_flush(push, WAIT_MS) > 0 ||
        bench_sem_wait(&run->is_joined) == -1) {
        return -1;
    }
    run->start_ns = bench_now_ns();
    for (uint64_t index = 0; index < run->message_count; index++) {
        bench_body_write(body, run->size, index, bench_body_time(index));
        if (yam_push_send(push, body, run->size) == -1) {
            return -1;
        }
    }
    uint64_t left_count = yam_push_flush(push, WAIT_MS);
    run->confirmed_ns = bench_now_ns();
    return left_count == 0 ? 0 : -1;
}

static int
s_producer(void *arg)
{
    run_t *run = arg;
    return bench_with_push(QUEUE, run->endpoint, s_produce, run);
}

//  ---- Consumer

//  Receives one message, checks it and acks it.
static int
s_take(run_t *run, yam_pull_t *pull)
{
    yam_message_t *message = yam_pull_recv(pull, WAIT_MS);
    if (!message) {
        return -1;
    }
    bench_check_body(&run->check, yam_message_body(message), yam_message_size(message));
    return yam_pull_ack(pull, &message);
}

static int
s_consume(void *arg, yam_pull_t *pull)
{
    run_t *run = arg;
    bench_check_init(&run->check, run->size, 0);
    if (s_take(run, pull) == -1) {
        return -1;
    }
    sem_post(&run->is_joined);
    while (run->check.expected_index < run->message_count) {
        if (s_take(run, pull) == -1) {
            return -1;
        }
    }
    run->received_ns = bench_now_ns();
    uint64_t left_count = yam_pull_flush(pull, WAIT_MS);
    run->acked_ns = bench_now_ns();
    return left_count == 0 ? 0 : -1;
}

static int
s_consumer(void *arg)
{
    run_t *run = arg;
    return bench_with_pull(QUEUE, run->endpoint, s_consume, run);
}

//  ---- The bench

static void
s_report(const run_t *run, const bench_process_t *processes, size_t count, bool has_failed)
{
    int64_t end_ns = run->received_ns > run->confirmed_ns ? run->received_ns : run->confirmed_ns;
    uint64_t sync_count = processes[0].sync_count ? *processes[0].sync_count : 0;
    bench_result_t result = {.system = "yam",
                             .phase = "through",
                             .size = run->size,
                             .message_count = run->message_count,
                             .seconds = (double) (end_ns - run->start_ns) / 1e9,
                             .latency = &run->check.latency,
                             .sync_count = sync_count};
    result.is_void = bench_is_void(&run->check, run->message_count) || has_failed;
    bench_add_processes(&result, processes, count);
    bench_extra(&result, ", \"confirmed_s\": %.4f, \"acked_s\": %.4f",
                (double) (run->confirmed_ns - run->start_ns) / 1e9,
                (double) (run->acked_ns - run->start_ns) / 1e9);
    bench_report(&result);
}

static void
s_measure(size_t size)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t processes[3];
    char *directory = bench_path("relay");
    run->size = size;
    run->message_count = bench_messages(size <= 256    ? 5000000
                                        : size <= 2048 ? 1000000
                                                       : 1000000000 / size);
    sem_init(&run->is_joined, 1, 0);
    bench_clear_directory(directory);
    bool has_failed =
        bench_start_relay(&processes[0], directory, run->endpoint, sizeof run->endpoint) == -1;
    size_t count = 1;
    if (!has_failed) {
        bench_fork(&processes[count++], "consumer", s_consumer, run);
        bench_fork(&processes[count++], "producer", s_producer, run);
    }
    has_failed |= bench_wait(processes, count, 120) == -1;
    s_report(run, processes, count, has_failed);
    bench_clear_directory(directory);
    free(directory);
}

int
main(void)
{
    static const size_t defaults[] = {128, 1024, 10240, 0};
    return bench_main("durable-1x1", defaults, s_measure);
}
