//  Delta debugging. See shrink.h.

#include "shrink.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yami_base.h"

#define RUN_LIMIT 400u

static void
s_child(const simulation_plan_t *plan, simulation_result_t *result)
{
    const struct rlimit none = {0, 0};
    (void) setrlimit(RLIMIT_CORE, &none);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void) dup2(null, STDERR_FILENO);
    (void) alarm(SHRINK_SECONDS);
    simulation_run(plan, result);
    _exit(0);
}

void
shrink_run(const simulation_plan_t *plan, simulation_result_t *result)
{
    simulation_result_t *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    YAM_ASSERT(shared != MAP_FAILED);
    pid_t child = fork();
    YAM_ASSERT(child != -1);
    if (child == 0) {
        s_child(plan, shared);
    }
    int status;
    pid_t ended = waitpid(child, &status, 0);
    YAM_ASSERT(ended == child);
    *result = *shared;
    (void) munmap(shared, sizeof *shared);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        bool hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        result->has_failed = true;
        (void) snprintf(result->kind, sizeof result->kind, "%s",
                        hangs ? SHRINK_HANGS : SHRINK_ABORTED);
        (void) snprintf(result->text, sizeof result->text, "%s",
                        hangs ? "the run does not end" : "an assertion failed: see stderr");
    }
}

//  Leaves out count of the listed faults from first on, and tries. Whether it fails in the same
//  way; then they stay out.
static bool
s_try(simulation_plan_t *plan, simulation_result_t *result, const unsigned *faults, unsigned first,
      unsigned count)
{
    simulation_plan_t smaller = *plan;
    simulation_result_t tried;
    for (unsigned index = first; index < first + count; index++) {
        smaller.is_left_out[faults[index]] = true;
    }
    shrink_run(&smaller, &tried);
    if (!tried.has_failed || strcmp(tried.kind, result->kind) != 0) {
        return false;
    }
    *plan = smaller;
    *result = tried;
    return true;
}

unsigned
shrink(simulation_plan_t *plan, simulation_result_t *result)
{
    unsigned faults[SIMULATION_FAULTS];
    unsigned count = 0;
    unsigned runs = 0;
    for (unsigned index = 0; index < result->fault_count; index++) {
        if (!plan->is_left_out[index]) {
            faults[count++] = index;
        }
    }
    for (unsigned part = count; part > 0 && runs < RUN_LIMIT;) {
        bool has_shrunk = false;
        for (unsigned first = 0; first < count && runs < RUN_LIMIT;) {
            unsigned size = part < count - first ? part : count - first;
            runs++;
            if (s_try(plan, result, faults, first, size)) {
                memmove(faults + first, faults + first + size,
                        (count - first - size) * sizeof faults[0]);
                count -= size;
                has_shrunk = true;
            } else {
                first += size;
            }
        }
        part = part > 1 ? part / 2 : has_shrunk ? 1 : 0;
    }
    return runs;
}
