/*  run - a relay, producers and consumers, and somebody who kills them at random.
*/
#ifndef KILL_RUN_H
#define KILL_RUN_H

#include "journal.h"

enum {
    KILL_THE_RELAY = 1,
    KILL_PRODUCERS = 2,
    KILL_CONSUMERS = 4,
    KILL_ALL = 7
};

typedef struct {
    const char *name; //  of the relay's store
    uint64_t seed;
    unsigned kills;
    unsigned producers;
    unsigned groups;   //  1 on a queue
    unsigned members;  //  consumers of each group
    unsigned victims;  //  KILL_ bits
    unsigned progress; //  most signs of life between two kills
    bool is_topic;
    kill_home_t home; //  of the relay; in a client, that client is the only one of its kind
    kill_plant_t plant;
    int patience_ms; //  how long nothing may happen at the end
} kill_plan_t;

//  Carries the plan out to the end: kills, then lets producers flush and consumers drain, then
//  judges. Fills verdict, prints what is wrong. At the end the relay has been stopped, its store
//  verified.
void
kill_run(const kill_plan_t *plan, kill_verdict_t *verdict);

//  Prints one line.
void
kill_verdict_print(const kill_plan_t *plan, const kill_verdict_t *verdict);

#endif
