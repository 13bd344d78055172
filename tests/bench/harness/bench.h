/*  bench - what every bench program shares: settings, message bodies that prove themselves,
    processes whose cost is counted, and one way of reporting.

    A program measures each (system, size) it knows once, in the order asked for, and reports each
    as one JSON line on stdout and in build/bench/NAME.jsonl, and as a table row for people on
    stderr. Repeating, alternating, medians and targets are the business of tests/bench/run.
    A run that lost, reordered, repeated or changed a message is void: reported as such, and the
    program exits with 1.

    Settings come from the environment:
        SIZES=128,1024    bytes of a body             SYSTEMS=name,name  only these (so with other
        names)
        QUICK=1           fewer messages              MSGS=N             exactly so many
        BENCH_WORKLOAD=name  reported as this: a program may serve several workloads
        BENCH_DIR=path    where files go [build/bench/data: the disk of the build tree, never a
        tmpfs]
*/
#ifndef BENCH_H
#define BENCH_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "yam_pull.h"
#include "yam_push.h"
#include "yami_histogram.h"

//  ---- Settings

//  Names the workload, opens its .jsonl for appending and prints the table's head. Call once,
//  first.
void
bench_start(const char *workload);

//  Whether the setting (such as "SYSTEMS", a comma-separated list) is unset or has name in it.
bool
bench_wants(const char *setting, const char *name);

//  Fills sizes with SIZES, or with the zero-terminated defaults; returns how many (at most limit).
size_t
bench_sizes(size_t *sizes, size_t limit, const size_t *defaults);

//  All of a program's main that measures size after size: its exit code.
int
bench_main(const char *workload, const size_t *defaults, void (*measure)(size_t size));

//  MSGS when set, otherwise full, or a fifth of it when QUICK is set.
uint64_t
bench_messages(uint64_t full);

bool
bench_is_quick(void);

//  Path of name in the data directory, which is created. Caller frees.
char *
bench_path(const char *name);

//  Exit code of the program: 0, or 1 when a run was void.
int
bench_finish(void);

//  Prints what broke, with errno, and exits with 1. For the bench's own set-up only.
_Noreturn void
bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

//  ---- Clock

//  Nanoseconds of CLOCK_MONOTONIC, the same in all processes of this machine.
int64_t
bench_now_ns(void);

//  Returns at when_ns within a microsecond or so: sleeps, and spins the last 100 us.
void
bench_wait_until_ns(int64_t when_ns);

//  Until what others have done is looked at again: they tell nobody.
void
bench_look_later(int64_t pause_us);

//  ---- Message bodies
//
//  u64 index, u64 checksum of index, size and time, i64 time sent in ns (0: not sampled), then
//  bytes of a fixed random pool that start at a place given by the index. The receiver compares all
//  of it.

#define BENCH_WARMUP UINT64_MAX //  index of bodies that are not counted
#define BENCH_BODY_MIN 24
#define BENCH_BODY_MAX (1u << 20)
#define BENCH_SAMPLE_EVERY                                                                         \
    64 //  one body in so many carries its time: clock reads must not be what is measured

//  Writes the body number index (0..) of size bytes (BENCH_BODY_MIN..BENCH_BODY_MAX).
void
bench_body_write(void *body, size_t size, uint64_t index, int64_t sent_ns);

//  The time to put into body number index: now for sampled ones, otherwise 0.
int64_t
bench_body_time(uint64_t index);

//  Whether body is what bench_body_write wrote as number index, whatever its time.
bool
bench_body_is_valid(const void *body, size_t size, uint64_t index);

//  What one receiver saw. Expects the indices expected_index, +1, ... of one sender.
typedef struct {
    size_t size;              //  of every body
    uint64_t expected_index;  //  of the next body
    uint64_t bad_count;       //  wrong size, content or order
    uint64_t first_bad_index; //  expected when the first bad one came
    uint64_t warmup_count;    //  bodies with index BENCH_WARMUP
    yami_histogram_t latency; //  of sampled bodies, ns
} bench_check_t;

void
bench_check_init(bench_check_t *self, size_t size, uint64_t first_index);

//  Checks one body; the clock is read only for sampled ones.
void
bench_check_body(bench_check_t *self, const void *body, size_t size);

//  ---- Processes

typedef int (*bench_role_fn)(void *arg); //  returns the exit code

typedef struct {
    const char *name;
    pid_t pid;            //  0 when none or gone
    bool is_server;       //  ends by SIGTERM once the others are done
    int output;           //  reading end of a started program's output, 0 when none
    uint64_t *sync_count; //  of a started program, shared; NULL when it cannot be counted
    int status;           //  exit code, 128 + signal when killed
    double cpu_us;        //  user and system
    double rss_mb;        //  at its greatest
} bench_process_t;

//  Memory shared by this process and all it forks later, zeroed.
void *
bench_shared(size_t size);

//  Forks before any context exists; the child runs role(arg), and dies with its parent.
void
bench_fork(bench_process_t *process, const char *name, bench_role_fn role, void *arg);

//  What a role does with a pusher or a puller of its own: 0, or -1 with yam_error.
typedef int (*bench_push_fn)(void *arg, yam_push_t *push);
typedef int (*bench_pull_fn)(void *arg, yam_pull_t *pull);

//  The whole of such a role; what went wrong is printed. Exit codes as a role's.
int
bench_with_push(const char *queue, const char *endpoint, bench_push_fn produce, void *arg);
int
bench_with_pull(const char *queue, const char *endpoint, bench_pull_fn consume, void *arg);

//  Starts a program with its output in a pipe, and waits for a line that begins with expected. The
//  rest of that line is stored in line. Its syncs are counted. Returns 0, or -1 when it did not
//  come within 10 s.
int
bench_exec(bench_process_t *process, const char *name, const char *const argv[],
           const char *expected, char *line, size_t line_size);

//  Waits for all; when one fails or timeout_s have passed, kills the others. 0 when all ended well.
int
bench_wait(bench_process_t *processes, size_t count, int timeout_s);

//  Waits for a semaphore in shared memory, at most 20 s. 0, or -1.
int
bench_sem_wait(sem_t *sem);

//  Starts yamd over an empty directory, and waits until its spare segments are filled. Writes its
//  endpoint, with the sure grade, to endpoint. 0, or -1.
int
bench_start_relay(bench_process_t *process, const char *directory, char *endpoint, size_t size);

//  Removes the files in it.
void
bench_clear_directory(const char *path);

//  What a running process has in memory now; 0 when nobody knows.
double
bench_rss_mb(const bench_process_t *process);

//  User and system microseconds of the calling process so far.
double
bench_cpu_us(void);

//  Calls of fsync, fdatasync and msync in this process so far, those of libraries included.
uint64_t
bench_sync_count(void);

//  ---- Reports

typedef struct {
    const char *system;
    const char *phase; //  "through", "append", "latency", ...
    size_t size;
    uint64_t message_count;
    double seconds;
    const yami_histogram_t *latency; //  ns; NULL or empty: not measured
    uint64_t sync_count;
    double cpu_us; //  of all processes
    double rss_mb; //  of all processes
    bool is_void;
    char extra[512]; //  more JSON members, each beginning with a comma
} bench_result_t;

//  Appends one JSON member to extra.
void
bench_extra(bench_result_t *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

//  Adds CPU and memory of processes to result; set message_count first. One member per process in
//  extra.
void
bench_add_processes(bench_result_t *result, const bench_process_t *processes, size_t count);

void
bench_report(const bench_result_t *result);

//  Tells why a check failed, on stderr, and whether it did: not all of count messages, or a bad
//  one.
bool
bench_is_void(const bench_check_t *check, uint64_t count);

#endif
