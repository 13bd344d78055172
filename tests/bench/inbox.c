/*  inbox - claims in transactions, next to a bare insert of the same in the same transactions, all
    synced. SIZES (not of make bench) are claims per transaction; the latency is that of a
    transaction. Phases:

        new       ids never seen before, as four outboxes give them: a producer and a number
        again     the same once more: duplicates
        random    new ones without any order: each dirties a page of its own
        steady    as new, while as many old ones are forgotten (only SQLite's inbox)

    A message is a claim. A run in which not exactly the new ones were new is void. Servers are
    started by tests/bench/run, which tells their addresses in YAM_POSTGRES and YAM_REDIS; without
    one of them its systems are left out.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/inbox_driver.h"
#include "harness/bench.h"
#include "yam_inbox.h"
#include "yami_base.h"

#define BODY_SIZE 128
#define PRODUCERS 4

enum {
    S_NEW,
    S_AGAIN,
    S_RANDOM,
    S_STEADY,
    PHASES
};

static const char *const s_phases[PHASES] = {"new", "again", "random", "steady"};

typedef struct {
    int64_t busy_ns;
    double cpu_us;
    uint64_t sync_count;
    uint64_t claim_count;
    uint64_t wrong_count; //  claims that were new and should not have been, or the other way
    yami_histogram_t latency;
} phase_t;

typedef struct {
    const bench_inbox_t *inbox;
    const char *address;
    size_t batch; //  claims per transaction
    uint64_t transactions;
    phase_t phases[PHASES];
    char (*ids)[BENCH_ID_SIZE + 1];
    yam_message_t **messages;
} run_t;

//  The ids and messages of a transaction; the same for the same seed.
static void
s_fill(run_t *run, uint64_t seed, bool is_random)
{
    static const char body[BODY_SIZE] = "a body of the usual size";
    for (size_t index = 0; index < run->batch; index++) {
        uint64_t number = seed * run->batch + index + 1;
        uint64_t source = is_random ? number : number % PRODUCERS;
        uint64_t first = (source + 1) * 0x9e3779b97f4a7c15u;
        uint64_t second = (first ^ first >> 29) * 0xbf58476d1ce4e5b9u;
        snprintf(run->ids[index], sizeof run->ids[index], "%016llx%016llx-%llu",
                 (unsigned long long) second, (unsigned long long) first,
                 (unsigned long long) (number / PRODUCERS));
        run->messages[index] = yam_message_new(body, sizeof body);
        yam_message_set(run->messages[index], "id", run->ids[index]);
    }
}

static void
s_measure_phase(run_t *run, void *self, size_t phase_number, uint64_t first_seed)
{
    phase_t *phase = &run->phases[phase_number];
    bool is_new = phase_number != S_AGAIN;
    uint64_t syncs_before = bench_sync_count();
    for (uint64_t number = 0; number < run->transactions; number++) {
        s_fill(run, first_seed + number, phase_number == S_RANDOM);
        double cpu_before_us = bench_cpu_us();
        int64_t start_ns = bench_now_ns();
        size_t new_count =
            bench_inbox_transact(run->inbox, self, run->messages, run->ids, run->batch);
        int64_t taken_ns = bench_now_ns() - start_ns;
        phase->cpu_us += bench_cpu_us() - cpu_before_us;
        phase->busy_ns += taken_ns;
        phase->claim_count += run->batch;
        phase->wrong_count += is_new ? run->batch - new_count : new_count;
        yami_histogram_add(&phase->latency, (uint64_t) taken_ns);
        for (size_t index = 0; index < run->batch; index++) {
            yam_message_destroy(&run->messages[index]);
        }
    }
    phase->sync_count = bench_sync_count() - syncs_before;
}

static int
s_process(void *arg)
{
    run_t *run = arg;
    run->ids = calloc(run->batch, sizeof *run->ids);
    run->messages = calloc(run->batch, sizeof(void *));
    void *self = run->inbox->open(run->address, NULL);
    s_measure_phase(run, self, S_NEW, 0);
    s_measure_phase(run, self, S_AGAIN, 0);
    s_measure_phase(run, self, S_RANDOM, run->transactions);
    run->inbox->close(self);
    if (run->inbox == &bench_inbox_yam_sqlite) {
        //  What was claimed above is too old after a second.
        bench_wait_until_ns(bench_now_ns() + 1100000000);
        self = run->inbox->open(run->address, "retention=1s");
        s_measure_phase(run, self, S_STEADY, run->transactions);
        run->inbox->close(self);
    }
    free(run->messages);
    free(run->ids);
    return 0;
}

static void
s_report(const run_t *run, const bench_process_t *process, size_t number, bool has_failed)
{
    const phase_t *phase = &run->phases[number];
    bench_result_t result = {.system = run->inbox->name,
                             .phase = s_phases[number],
                             .size = run->batch,
                             .message_count = phase->claim_count,
                             .seconds = (double) phase->busy_ns / 1e9,
                             .latency = &phase->latency,
                             .sync_count = phase->sync_count,
                             .cpu_us = phase->cpu_us,
                             .rss_mb = process->rss_mb,
                             .is_void = has_failed || phase->wrong_count > 0};
    bench_extra(&result, ", \"per_transaction\": %zu", run->batch);
    bench_report(&result);
}

static void
s_remove(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[4200];
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++) {
        snprintf(name, sizeof name, "%s%s", path, ends[index]);
        unlink(name);
    }
}

static void
s_measure(const bench_inbox_t *inbox, size_t batch)
{
    const char *server = inbox->server ? getenv(inbox->server) : NULL;
    if (inbox->server && server == NULL) {
        fprintf(stderr, "%s: left out, %s says no server\n", inbox->name, inbox->server);
        return;
    }
    char *path = bench_path("inbox.sqlite");
    bench_process_t process;
    run_t *run = bench_shared(sizeof *run);
    run->inbox = inbox;
    run->address = server ? server : path;
    run->batch = batch;
    run->transactions = bench_messages(inbox->server ? 100000 : 300000) / batch + 1;
    s_remove(path);
    bench_fork(&process, inbox->name, s_process, run);
    bool has_failed = bench_wait(&process, 1, 300) == -1;
    for (size_t number = 0; number < PHASES; number++) {
        if (number < S_STEADY || run->phases[number].claim_count > 0) {
            s_report(run, &process, number, has_failed);
        }
    }
    s_remove(path);
    free(path);
}

int
main(void)
{
    static const size_t defaults[] = {100, 1000, 0};
    static const bench_inbox_t *const inboxes[] = {&bench_inbox_yam_sqlite,   &bench_inbox_sqlite,
                                                   &bench_inbox_yam_postgres, &bench_inbox_postgres,
                                                   &bench_inbox_yam_redis,    &bench_inbox_redis};
    size_t sizes[16];
    bench_start("inbox");
    size_t size_count = bench_sizes(sizes, 16, defaults);
    for (size_t index = 0; index < size_count; index++) {
        if (sizes[index] == 0 || sizes[index] > YAM_INBOX_BATCH) {
            bench_fail("SIZES are 1 to %d claims per transaction", YAM_INBOX_BATCH);
        }
        for (size_t number = 0; number < sizeof inboxes / sizeof inboxes[0]; number++) {
            if (bench_wants("SYSTEMS", inboxes[number]->name)) {
                s_measure(inboxes[number], sizes[index]);
            }
        }
    }
    return bench_finish();
}
