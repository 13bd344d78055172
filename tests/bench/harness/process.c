/*  Processes whose cost is counted: forked roles and started programs. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND ((int64_t) 1000000000) //  nanoseconds

static double
s_cpu_us(const struct rusage *usage)
{
    return (double) (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 +
           (double) (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

double
bench_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return s_cpu_us(&usage);
}

void *
bench_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        bench_fail("cannot share %zu bytes", size);
    }
    return memory;
}

static pid_t
s_fork(void)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == -1) {
        bench_fail("cannot fork");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1); //  it died before prctl
        }
    }
    return pid;
}

void
bench_fork(bench_process_t *process, const char *name, bench_role_fn role, void *arg)
{
    *process = (bench_process_t) {.name = name};
    process->pid = s_fork();
    if (process->pid == 0) {
        int code = role(arg);
        fflush(NULL);
        _exit(code);
    }
}

//  Reads one line of at most size - 1 characters; false at the end, or when nothing comes in time.
static bool
s_read_line(int fd, char *line, size_t size, int64_t deadline_ns)
{
    size_t used = 0;
    for (;;) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int64_t left_us = (deadline_ns - bench_now_ns()) / 1000;
        char character;
        if (left_us <= 0 || poll(&item, 1, (int) (left_us / 1000) + 1) <= 0 ||
            read(fd, &character, 1) != 1) {
            return false;
        }
        if (character == '\n') {
            line[used] = 0;
            return true;
        }
        if (used + 1 < size) {
            line[used++] = character;
        }
    }
}

static bool
s_read_until(int fd, const char *expected, char *line, size_t line_size)
{
    int64_t deadline_ns = bench_now_ns() + 10 * SECOND;
    size_t length = strlen(expected);
    while (s_read_line(fd, line, line_size, deadline_ns)) {
        if (strncmp(line, expected, length) == 0) {
            memmove(line, line + length, strlen(line + length) + 1);
            return true;
        }
    }
    return false;
}

//  In the child: has the syncs of what is started counted into the memory behind descriptor.
static void
s_count_syncs(int descriptor)
{
    char path[4096];
    char number[16];
    const char *build = getenv("YAM_BUILD");
    snprintf(path, sizeof path, "%s/bench/count_syncs.so", build && *build ? build : "build");
    snprintf(number, sizeof number, "%d", descriptor);
    if (access(path, R_OK) == 0) {
        setenv("LD_PRELOAD", path, 1);
        setenv("BENCH_SYNCS", number, 1);
    }
}

//  8 bytes that a started program can map; *descriptor is inherited.
static uint64_t *
s_shared_count(int *descriptor)
{
    *descriptor = memfd_create("syncs", 0);
    if (*descriptor == -1 || ftruncate(*descriptor, sizeof(uint64_t)) == -1) {
        bench_fail("cannot share a counter");
    }
    void *shared = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, *descriptor, 0);
    return shared == MAP_FAILED ? NULL : shared;
}

int
bench_exec(bench_process_t *process, const char *name, const char *const argv[],
           const char *expected, char *line, size_t line_size)
{
    int ends[2];
    int counter;
    if (pipe2(ends, O_CLOEXEC) == -1) {
        bench_fail("cannot make a pipe");
    }
    *process = (bench_process_t) {.name = name, .is_server = true, .output = ends[0]};
    process->sync_count = s_shared_count(&counter);
    process->pid = s_fork();
    if (process->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        s_count_syncs(counter);
        execv(argv[0], (char *const *) argv); //  which changes nothing
        fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    close(counter);
    if (!s_read_until(ends[0], expected, line, line_size)) {
        fprintf(stderr, "%s did not say '%s'\n", argv[0], expected);
        return -1;
    }
    return 0;
}

int
bench_sem_wait(sem_t *sem)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 20;
    int rc = 0;
    do {
        rc = sem_timedwait(sem, &deadline);
    } while (rc == -1 && errno == EINTR);
    return rc;
}

static void
s_settle(bench_process_t *process, int status, const struct rusage *usage)
{
    process->pid = 0;
    process->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    process->cpu_us = s_cpu_us(usage);
    process->rss_mb = (double) usage->ru_maxrss / 1024;
    if (process->output > 0) {
        close(process->output);
        process->output = 0;
    }
}

//  Takes in all that have ended. False when one failed.
static bool
s_reap(bench_process_t *processes, size_t count)
{
    bool all_good = true;
    for (size_t index = 0; index < count; index++) {
        bench_process_t *process = &processes[index];
        struct rusage usage;
        int status = 0;
        if (process->pid > 0 && wait4(process->pid, &status, WNOHANG, &usage) == process->pid) {
            s_settle(process, status, &usage);
            if (process->status != 0) {
                fprintf(stderr, "%s ended with %d\n", process->name, process->status);
                all_good = false;
            }
        }
    }
    return all_good;
}

static size_t
s_running(const bench_process_t *processes, size_t count, bool with_servers)
{
    size_t running = 0;
    for (size_t index = 0; index < count; index++) {
        running += processes[index].pid > 0 && (with_servers || !processes[index].is_server);
    }
    return running;
}

static void
s_signal(const bench_process_t *processes, size_t count, int signal_number)
{
    for (size_t index = 0; index < count; index++) {
        if (processes[index].pid > 0) {
            kill(processes[index].pid, signal_number);
        }
    }
}

//  Waits until all (or all but servers) have ended; true when they ended well and in time.
static bool
s_wait_until(bench_process_t *processes, size_t count, bool with_servers, int64_t deadline_ns)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    for (;;) {
        if (!s_reap(processes, count)) {
            return false;
        }
        int64_t left_us = (deadline_ns - bench_now_ns()) / 1000;
        if (s_running(processes, count, with_servers) == 0) {
            return true;
        }
        if (left_us <= 0) {
            fprintf(stderr, "not done in time\n");
            return false;
        }
        struct timespec wait = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
        (void) sigtimedwait(&children, NULL, &wait);
    }
}

int
bench_wait(bench_process_t *processes, size_t count, int timeout_s)
{
    sigset_t children;
    sigset_t before;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &before);
    int64_t deadline_ns = bench_now_ns() + timeout_s * SECOND;
    bool is_good = s_wait_until(processes, count, false, deadline_ns);
    if (is_good) {
        s_signal(processes, count, SIGTERM);
        is_good = s_wait_until(processes, count, true, bench_now_ns() + 15 * SECOND);
    }
    if (!is_good) {
        s_signal(processes, count, SIGKILL);
        while (s_running(processes, count, true) > 0) {
            s_wait_until(processes, count, true, bench_now_ns() + SECOND);
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return is_good ? 0 : -1;
}
