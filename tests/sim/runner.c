//  Seeds over processes. See runner.h.

#include "runner.h"

#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shrink.h"
#include "yami_base.h"

#define JOB_LIMIT 64u
#define PROGRESS_MS 250
#define REPLAY_EVERY 50u //  seeds that are run twice: the trace must be the same

//  What the processes share.
typedef struct {
    _Atomic uint64_t next; //  seeds taken
    atomic_bool shall_stop;
    _Atomic uint64_t run;
    _Atomic uint64_t failed;
    _Atomic uint64_t current[JOB_LIMIT]; //  seed of each worker; 0: none
    _Atomic uint64_t sums[9];
    _Atomic uint64_t faults[FAULT_TYPES];
    atomic_flag is_written;
    runner_failure_t failures[RUNNER_FAILURES];
    unsigned failure_count;
} s_shared_t;

static void
s_note(s_shared_t *shared, const runner_options_t *options, uint64_t seed, const char *kind,
       const char *text)
{
    while (atomic_flag_test_and_set(&shared->is_written)) {
    }
    if (shared->failure_count < RUNNER_FAILURES) {
        runner_failure_t *failure = &shared->failures[shared->failure_count++];
        failure->seed = seed;
        (void) snprintf(failure->kind, sizeof failure->kind, "%s", kind);
        (void) snprintf(failure->text, sizeof failure->text, "%s", text);
    }
    atomic_flag_clear(&shared->is_written);
    atomic_fetch_add(&shared->failed, 1);
    if (!options->keeps_going) {
        atomic_store(&shared->shall_stop, true);
    }
}

static void
s_run_seed(s_shared_t *shared, const runner_options_t *options, uint64_t seed)
{
    simulation_plan_t plan = {
        .seed = seed, .scenario = options->scenario, .has_lying_disk = options->has_lying_disk};
    simulation_result_t result;
    (void) alarm(SHRINK_SECONDS);
    simulation_run(&plan, &result);
    uint64_t hash = result.hash;
    if (!result.has_failed && seed % REPLAY_EVERY == 0) {
        simulation_run(&plan, &result);
        if (result.hash != hash) {
            s_note(shared, options, seed, "replay", "two runs of the seed have different traces");
        }
    }
    if (result.has_failed) {
        s_note(shared, options, seed, result.kind, result.text);
    }
    const oracle_counts_t *counts = &result.counts;
    const uint64_t sums[] = {counts->asked,       counts->confirmed, counts->delivered,
                             counts->redelivered, counts->dead,      result.crashes,
                             result.events,       result.shortages,  result.starved};
    for (size_t index = 0; index < sizeof sums / sizeof sums[0]; index++) {
        atomic_fetch_add(&shared->sums[index], sums[index]);
    }
    for (unsigned index = 0; index < result.fault_count; index++) {
        atomic_fetch_add(&shared->faults[result.faults[index].type], 1);
    }
    atomic_fetch_add(&shared->run, 1);
}

static void
s_worker(s_shared_t *shared, const runner_options_t *options, unsigned job)
{
    (void) mallopt(M_TRIM_THRESHOLD, 64 << 20); //  thousands of worlds: keep their pages
    (void) mallopt(M_MMAP_THRESHOLD, 64 << 20);
    while (!atomic_load(&shared->shall_stop)) {
        uint64_t taken = atomic_fetch_add(&shared->next, 1);
        if (taken >= options->seed_count) {
            break;
        }
        atomic_store(&shared->current[job], options->first_seed + taken);
        s_run_seed(shared, options, options->first_seed + taken);
        atomic_store(&shared->current[job], 0);
    }
    exit(0);
}

static pid_t
s_start(s_shared_t *shared, const runner_options_t *options, unsigned job)
{
    (void) fflush(NULL);
    pid_t worker = fork();
    YAM_ASSERT(worker != -1);
    if (worker == 0) {
        s_worker(shared, options, job);
    }
    return worker;
}

//  A worker ended; when a run has ended it, another goes on. Whether one runs in its place.
static bool
s_ended(s_shared_t *shared, const runner_options_t *options, unsigned job, int status, pid_t *pid_p)
{
    uint64_t seed = atomic_load(&shared->current[job]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return false;
    }
    bool hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    s_note(shared, options, seed, hangs ? SHRINK_HANGS : SHRINK_ABORTED,
           hangs ? "the run does not end" : "an assertion failed: see above");
    atomic_fetch_add(&shared->run, 1);
    atomic_store(&shared->current[job], 0);
    if (!options->keeps_going) {
        return false;
    }
    *pid_p = s_start(shared, options, job);
    return true;
}

static void
s_progress(s_shared_t *shared, const runner_options_t *options, int64_t start_us)
{
    if (options->shows_progress) {
        uint64_t run = atomic_load(&shared->run);
        double seconds = (double) (yami_clock_mono_us() - start_us) / 1e6;
        (void) fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed, %.0f/s ",
                       run, options->seed_count, atomic_load(&shared->failed),
                       (double) run / (seconds > 0 ? seconds : 1));
        (void) fflush(stderr);
    }
}

static void
s_wait(s_shared_t *shared, const runner_options_t *options, pid_t *workers)
{
    int64_t start_us = yami_clock_mono_us();
    unsigned running = options->jobs;
    while (running > 0) {
        int status;
        pid_t ended = waitpid(-1, &status, options->shows_progress ? WNOHANG : 0);
        if (ended == 0) {
            s_progress(shared, options, start_us);
            (void) poll(NULL, 0, PROGRESS_MS);
            continue;
        }
        for (unsigned job = 0; job < options->jobs; job++) {
            if (workers[job] == ended) {
                running -= s_ended(shared, options, job, status, &workers[job]) ? 0 : 1;
            }
        }
    }
    s_progress(shared, options, start_us);
    if (options->shows_progress) {
        (void) fprintf(stderr, "\n");
    }
}

static int
s_compare(const void *left, const void *right)
{
    uint64_t a = ((const runner_failure_t *) left)->seed;
    uint64_t b = ((const runner_failure_t *) right)->seed;
    return a < b ? -1 : a > b;
}

void
runner_run(const runner_options_t *options, runner_report_t *report)
{
    YAM_ASSERT(options->jobs > 0 && options->jobs <= JOB_LIMIT);
    s_shared_t *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    YAM_ASSERT(shared != MAP_FAILED);
    pid_t workers[JOB_LIMIT];
    for (unsigned job = 0; job < options->jobs; job++) {
        workers[job] = s_start(shared, options, job);
    }
    s_wait(shared, options, workers);
    *report = (runner_report_t) {.run = shared->run,
                                 .failed = shared->failed,
                                 .asked = shared->sums[0],
                                 .confirmed = shared->sums[1],
                                 .delivered = shared->sums[2],
                                 .redelivered = shared->sums[3],
                                 .dead = shared->sums[4],
                                 .crashes = shared->sums[5],
                                 .events = shared->sums[6],
                                 .shortages = shared->sums[7],
                                 .starved = shared->sums[8]};
    for (unsigned type = 0; type < FAULT_TYPES; type++) {
        report->faults[type] = shared->faults[type];
    }
    memcpy(report->failures, shared->failures, sizeof report->failures);
    qsort(report->failures, shared->failure_count, sizeof report->failures[0], s_compare);
    (void) munmap(shared, sizeof *shared);
}
