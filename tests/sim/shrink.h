/*  shrink - finds a short list of faults with which a seed still fails in the same way.

    Delta debugging (Zeller, Hildebrandt 2002) over the schedule of faults: parts of it are left out
    for as long as the failure stays. Each run is a process of its own, since some failures abort.
*/
#ifndef SHRINK_H
#define SHRINK_H

#include "simulation.h"

#define SHRINK_ABORTED "aborted" //  kind of a run that ended its process
#define SHRINK_HANGS "hangs"     //  and of one that did not end
#define SHRINK_SECONDS 60u       //  after which it does not

//  Runs the plan in a process of its own, without a word on stderr.
void
shrink_run(const simulation_plan_t *plan, simulation_result_t *result);

//  Leaves faults out of *plan, which fails as *result says, for as long as it fails so; *result is
//  of the last one that did. Returns how many runs that took.
unsigned
shrink(simulation_plan_t *plan, simulation_result_t *result);

#endif
