/*  delayed - a million messages, each due at a random moment from a second on; how late they come,
    and what the relay's memory grows by while all of them wait.

    Lateness is from the due time, a millisecond of the wall clock, until the consumer has the
    message. One that comes before its time, twice, changed, or not at all makes the run void. Each
    has an id to be cancelled by. SPREAD_S says over how many seconds they are due [60, QUICK: 5].
*/
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/bench.h"
#include "yam.h"
#include "yami_base.h"

#define WAIT_MS 120000
#define LEAST_MS 1000 //  after it was sent
#define QUEUE "bench"

typedef struct {
    size_t size;
    uint64_t message_count;
    uint64_t spread_ms;
    char endpoint[256]; //  of the relay, with the grade
    bench_process_t relay;
    int64_t start_ns;
    int64_t stored_ns; //  all are confirmed
    int64_t received_ns;
    double idle_mb; //  of the relay, before the first message
    double full_mb; //  when all are stored
    uint64_t early_count;
    uint64_t bad_count;
    uint64_t received_count;
    yami_histogram_t lateness; //  ns
} run_t;

//  ---- Producer

static uint64_t
s_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int
s_send(run_t *run, yam_push_t *push, uint64_t index, uint64_t *random)
{
    static uint8_t body[BENCH_BODY_MAX];
    char id[32];
    bench_body_write(body, run->size, index, 0);
    snprintf(id, sizeof id, "order-%" PRIu64, index);
    yam_message_t *message = yam_message_new(body, run->size);
    int64_t due_ms =
        yami_clock_wall_ms() + LEAST_MS + (int64_t) (s_random(random) % run->spread_ms);
    if (!message || yam_message_set(message, "id", id) == -1 ||
        yam_message_set_due(message, due_ms) == -1 || yam_push_send_message(push, &message) == -1) {
        yam_message_destroy(&message);
        return -1;
    }
    return 0;
}

static int
s_produce(void *arg, yam_push_t *push)
{
    run_t *run = arg;
    uint64_t random = 88172645463325252u;
    run->idle_mb = bench_rss_mb(&run->relay);
    run->start_ns = bench_now_ns();
    for (uint64_t index = 0; index < run->message_count; index++) {
        if (s_send(run, push, index, &random) == -1) {
            return -1;
        }
    }
    uint64_t left_count = yam_push_flush(push, WAIT_MS);
    run->stored_ns = bench_now_ns();
    run->full_mb = bench_rss_mb(&run->relay);
    return left_count == 0 ? 0 : -1;
}

static int
s_producer(void *arg)
{
    run_t *run = arg;
    return bench_with_push(QUEUE, run->endpoint, s_produce, run);
}

//  ---- Consumer

//  They come in no order of their own, so it is noted which have come.
static void
s_check(run_t *run, const yam_message_t *message, uint8_t *seen)
{
    uint64_t index = UINT64_MAX;
    int64_t late_ms = yami_clock_wall_ms() - yam_message_due_ms(message);
    if (yam_message_size(message) == run->size) {
        memcpy(&index, yam_message_body(message), sizeof index);
    }
    if (index >= run->message_count || seen[index] ||
        !bench_body_is_valid(yam_message_body(message), run->size, index)) {
        run->bad_count++;
        return;
    }
    seen[index] = 1;
    run->received_count++;
    run->early_count += late_ms < 0 ? 1 : 0;
    yami_histogram_add(&run->lateness, late_ms > 0 ? (uint64_t) late_ms * 1000000 : 0);
}

static int
s_consume(void *arg, yam_pull_t *pull)
{
    run_t *run = arg;
    uint8_t *seen = yami_alloc(run->message_count);
    int rc = 0;
    while (rc == 0 && run->received_count < run->message_count) {
        yam_message_t *message = yam_pull_recv(pull, WAIT_MS);
        if (!message) {
            rc = -1;
            break;
        }
        s_check(run, message, seen);
        rc = yam_pull_ack(pull, &message);
    }
    run->received_ns = bench_now_ns();
    yami_free(seen);
    return rc == 0 && yam_pull_flush(pull, WAIT_MS) == 0 ? 0 : -1;
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
    bench_result_t result = {.system = "yam",
                             .phase = "lateness",
                             .size = run->size,
                             .message_count = run->message_count,
                             .seconds = (double) (run->received_ns - run->start_ns) / 1e9,
                             .latency = &run->lateness,
                             .sync_count = processes[0].sync_count ? *processes[0].sync_count : 0};
    result.is_void = has_failed || run->bad_count > 0 || run->early_count > 0 ||
                     run->received_count != run->message_count;
    bench_add_processes(&result, processes, count);
    bench_extra(&result, ", \"late_max_ms\": %.0f, \"spread_s\": %.0f, \"stored_s\": %.3f",
                (double) run->lateness.max / 1e6, (double) run->spread_ms / 1e3,
                (double) (run->stored_ns - run->start_ns) / 1e9);
    bench_extra(&result, ", \"relay_grown_mb\": %.1f, \"early\": %" PRIu64 ", \"bad\": %" PRIu64,
                run->full_mb - run->idle_mb, run->early_count, run->bad_count);
    bench_report(&result);
}

static void
s_measure(size_t size)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t processes[3];
    char *directory = bench_path("delayed");
    const char *spread = getenv("SPREAD_S");
    run->size = size;
    run->message_count = bench_messages(1000000);
    run->spread_ms = spread && *spread  ? strtoull(spread, NULL, 10) * 1000
                     : bench_is_quick() ? 5000
                                        : 60000;
    bench_clear_directory(directory);
    bool has_failed =
        bench_start_relay(&processes[0], directory, run->endpoint, sizeof run->endpoint) == -1;
    size_t count = 1;
    if (!has_failed) {
        run->relay = processes[0];
        bench_fork(&processes[count++], "consumer", s_consumer, run);
        bench_fork(&processes[count++], "producer", s_producer, run);
    }
    has_failed |= bench_wait(processes, count, (int) (run->spread_ms / 1000) + 240) == -1;
    s_report(run, processes, count, has_failed);
    bench_clear_directory(directory);
    free(directory);
}

int
main(void)
{
    static const size_t defaults[] = {128, 0};
    return bench_main("delayed", defaults, s_measure);
}
