//  sim - the whole of Yam in one thread over a simulated disk, network and clock. See README.

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "shrink.h"
#include "yami_base.h"

#define SEEDS_DEFAULT 2000u

typedef struct {
    runner_options_t runner;
    bool has_seed;
    bool has_count;
    bool traces;
    bool has_faults; //  only these happen
    bool is_chosen[SIMULATION_FAULTS];
    bool keeps_all; //  no shrinking
    const char *program;
} s_options_t;

static const char s_help[] =
    "usage: sim [--seeds N] [--seed K] [OPTION]...\n"
    "\n"
    "Runs the real cores and the real log of Yam over a simulated disk, network and clock, with\n"
    "faults, from seeds, and judges each run. A seed that fails is run again with fewer and fewer\n"
    "faults; what is left is printed with the command that replays it. Exit code 1 then.\n"
    "\n"
    "  --seeds N         how many [2000; 1 with --seed]\n"
    "  --seed K          the first one [1]\n"
    "  --scenario NAME   this one for all seeds; --list shows them\n"
    "  --jobs N          processes [one a processor]\n"
    "  --trace           print what happens, line by line\n"
    "  --faults 1,5,...  only these of the seed's faults; none: --faults -\n"
    "  --all             go on after a failure, and count\n"
    "  --whole           do not shrink the list of faults\n"
    "  --lying-disk      syncs do nothing: runs must fail, or the oracle is blind\n"
    "  --list            show the scenarios\n"
    "  --help            this\n";

static int
s_list(void)
{
    for (unsigned index = 0; index < scenario_count; index++) {
        printf("%-16s%s\n", scenario_table[index].name, scenario_table[index].what);
    }
    return 0;
}

static int
s_scenario(const char *name)
{
    for (unsigned index = 0; index < scenario_count; index++) {
        if (strcmp(scenario_table[index].name, name) == 0) {
            return (int) index;
        }
    }
    (void) fprintf(stderr, "sim: no scenario \"%s\" (--list shows them)\n", name);
    exit(2);
}

static uint64_t
s_number(const char *option, const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number == 0) {
        (void) fprintf(stderr, "sim: --%s %s: a number from 1 on is needed\n", option, text);
        exit(2);
    }
    return number;
}

static void
s_choose_faults(s_options_t *options, const char *text)
{
    options->has_faults = true;
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long fault = strtoul(text, &end, 10);
        if (fault < SIMULATION_FAULTS) {
            options->is_chosen[fault] = true;
        }
        text = end + (*end == ',');
    }
}

static void
s_parse(s_options_t *options, int argc, char **argv)
{
    static const struct option table[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 'k'},
                                          {"scenario", required_argument, NULL, 's'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"faults", required_argument, NULL, 'f'},
                                          {"all", no_argument, NULL, 'a'},
                                          {"whole", no_argument, NULL, 'w'},
                                          {"lying-disk", no_argument, NULL, 'd'},
                                          {"list", no_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (option) {
        case 'n':
            options->has_count = true;
            options->runner.seed_count = s_number("seeds", optarg);
            break;
        case 'k':
            options->has_seed = true;
            options->runner.first_seed = s_number("seed", optarg);
            break;
        case 's':
            options->runner.scenario = s_scenario(optarg);
            break;
        case 'j':
            options->runner.jobs = (unsigned) s_number("jobs", optarg);
            break;
        case 't':
            options->traces = true;
            break;
        case 'f':
            s_choose_faults(options, optarg);
            break;
        case 'a':
            options->runner.keeps_going = true;
            break;
        case 'w':
            options->keeps_all = true;
            break;
        case 'd':
            options->runner.has_lying_disk = true;
            break;
        case 'l':
            exit(s_list());
        case 'h':
            (void) fputs(s_help, stdout);
            exit(0);
        default:
            exit(2);
        }
    }
}

static void
s_print_faults(const simulation_plan_t *plan, const simulation_result_t *result)
{
    for (unsigned index = 0; index < result->fault_count; index++) {
        if (!plan->is_left_out[index]) {
            printf("  fault %-3u at %8.3f ms  %s\n", index,
                   (double) result->faults[index].at_us / 1000,
                   scenario_fault_name(result->faults[index].type));
        }
    }
}

static void
s_print_replay(const s_options_t *options, const simulation_plan_t *plan,
               const simulation_result_t *result)
{
    printf("  replay: %s --seed %" PRIu64, options->program, plan->seed);
    if (plan->scenario >= 0) {
        printf(" --scenario %s", scenario_table[plan->scenario].name);
    }
    printf("%s --faults ", plan->has_lying_disk ? " --lying-disk" : "");
    const char *separator = "";
    for (unsigned index = 0; index < result->fault_count; index++) {
        if (!plan->is_left_out[index]) {
            printf("%s%u", separator, index);
            separator = ",";
        }
    }
    printf("%s --trace\n", *separator == '\0' ? "-" : "");
}

//  Runs the seed anew, shrinks and prints it.
static void
s_explain(const s_options_t *options, simulation_plan_t *plan)
{
    simulation_result_t result;
    plan->trace = NULL;
    shrink_run(plan, &result);
    unsigned all = result.fault_count;
    unsigned runs = result.has_failed && !options->keeps_all ? shrink(plan, &result) : 0;
    printf("seed %" PRIu64 ", scenario %s: %s: %s\n", plan->seed,
           scenario_table[result.scenario].name, result.kind, result.text);
    unsigned left = 0;
    for (unsigned index = 0; index < result.fault_count; index++) {
        left += plan->is_left_out[index] ? 0 : 1;
    }
    printf("  %u of %u faults left after %u runs\n", left, all, runs);
    s_print_faults(plan, &result);
    s_print_replay(options, plan, &result);
}

//  One seed, perhaps with a trace.
static int
s_one(const s_options_t *options)
{
    simulation_plan_t plan = {.seed = options->runner.first_seed,
                              .scenario = options->runner.scenario,
                              .has_lying_disk = options->runner.has_lying_disk,
                              .trace = options->traces ? stdout : NULL};
    for (unsigned index = 0; index < SIMULATION_FAULTS; index++) {
        plan.is_left_out[index] = options->has_faults && !options->is_chosen[index];
    }
    simulation_result_t result;
    if (options->traces) {
        simulation_run(&plan, &result); //  here, whatever becomes of this process
    } else {
        shrink_run(&plan, &result);
    }
    if (result.has_failed) {
        s_explain(options, &plan);
        return 1;
    }
    printf("seed %" PRIu64 ", scenario %s: clean, %u faults, %" PRIu64 " events, trace %016" PRIx64
           "\n",
           plan.seed, scenario_table[result.scenario].name, result.fault_count, result.events,
           result.hash);
    return 0;
}

static void
s_print_counts(const runner_report_t *report)
{
    printf("%" PRIu64 " messages, %" PRIu64 " confirmed, %" PRIu64 " deliveries, %" PRIu64
           " redeliveries, %" PRIu64 " dead letters, %" PRIu64 " crashes of the relay\n",
           report->asked, report->confirmed, report->delivered, report->redelivered, report->dead,
           report->crashes);
    printf("%" PRIu64 " steps without memory for all they did, of which %" PRIu64
           " ended the relay\nfaults:",
           report->shortages, report->starved);
    for (unsigned type = 0; type < FAULT_TYPES; type++) {
        printf("%s %" PRIu64 " %s", type > 0 ? "," : "", report->faults[type],
               scenario_fault_name((fault_type_t) type));
    }
    printf("\n");
}

static int
s_many(const s_options_t *options)
{
    runner_report_t report;
    int64_t start_us = yami_clock_mono_us();
    runner_run(&options->runner, &report);
    double seconds = (double) (yami_clock_mono_us() - start_us) / 1e6;
    for (unsigned index = 0; index < RUNNER_FAILURES && report.failures[index].seed > 0; index++) {
        const runner_failure_t *failure = &report.failures[index];
        simulation_plan_t plan = {.seed = failure->seed,
                                  .scenario = options->runner.scenario,
                                  .has_lying_disk = options->runner.has_lying_disk};
        if (options->runner.keeps_going) {
            printf("seed %" PRIu64 ": %s: %s\n", failure->seed, failure->kind, failure->text);
        } else {
            s_explain(options, &plan);
        }
    }
    s_print_counts(&report);
    printf("%" PRIu64 " seeds, %" PRIu64 " failed, %.1f s, %.0f seeds/s\n", report.run,
           report.failed, seconds, (double) report.run / (seconds > 0 ? seconds : 1));
    return report.failed > 0;
}

int
main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    s_options_t options = {.program = argv[0],
                           .runner = {.first_seed = 1,
                                      .seed_count = SEEDS_DEFAULT,
                                      .jobs = processors > 0 ? (unsigned) processors : 1,
                                      .scenario = -1,
                                      .shows_progress = isatty(STDERR_FILENO) != 0}};
    s_parse(&options, argc, argv);
    options.runner.jobs = options.runner.jobs > 16 ? 16 : options.runner.jobs;
    if (options.has_seed && !options.has_count) {
        return s_one(&options);
    }
    return s_many(&options);
}
