/*  simulation - one run: everything of a scenario made, run with its faults, drained, judged.

    The schedule of faults is drawn up front, from the seed; any part of it can be left out. A run
    has two halves: while faults come, and calm, in which everything must come to its end.
*/
#ifndef SIMULATION_H
#define SIMULATION_H

#include "oracle.h"
#include "scenario.h"

#define SIMULATION_FAULTS 64u

typedef struct {
    uint64_t seed;
    int scenario;                        //  -1: the seed's
    bool is_left_out[SIMULATION_FAULTS]; //  faults not to happen
    bool has_lying_disk;                 //  it says synced and is not: the oracle must find out
    FILE *trace;                         //  NULL: none
} simulation_plan_t;

typedef struct {
    int64_t at_us;
    fault_type_t type;
    uint64_t random; //  target and extent
} simulation_fault_t;

typedef struct {
    bool has_failed;
    char kind[32];
    char text[400];
    uint64_t hash;   //  of the trace
    uint64_t events; //  run
    int64_t end_us;  //  virtual time
    unsigned scenario;
    unsigned fault_count;
    simulation_fault_t faults[SIMULATION_FAULTS];
    oracle_counts_t counts;
    unsigned crashes;   //  of the relay
    unsigned shortages; //  steps of it that lacked memory
    unsigned starved;   //  of these, ones that were its end
} simulation_result_t;

void
simulation_run(const simulation_plan_t *plan, simulation_result_t *result);

#endif
