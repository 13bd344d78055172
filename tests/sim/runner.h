/*  runner - many seeds in several processes, what came of them, and the first that fails.
*/
#ifndef RUNNER_H
#define RUNNER_H

#include "simulation.h"

typedef struct {
    uint64_t first_seed;
    uint64_t seed_count;
    unsigned jobs;
    bool has_lying_disk;
    int scenario;     //  -1: the seed's
    bool keeps_going; //  after a failure
    bool shows_progress;
} runner_options_t;

#define RUNNER_FAILURES 64u //  told apart; more are only counted

typedef struct {
    uint64_t seed;
    char kind[32];
    char text[400];
} runner_failure_t;

typedef struct {
    uint64_t run;
    uint64_t failed;
    runner_failure_t failures[RUNNER_FAILURES]; //  by seed
    uint64_t asked, confirmed, delivered, redelivered, dead, crashes, events, shortages, starved;
    uint64_t faults[FAULT_TYPES]; //  how often each type came
} runner_report_t;

void
runner_run(const runner_options_t *options, runner_report_t *report);

#endif
