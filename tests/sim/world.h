/*  world - the ground of a simulation: virtual time, a queue of events, randomness, a trace, a
    verdict.

    One thread, one seed. Time is in microseconds from 0 and moves only from event to event.
    Invariants:
    (1) Events run in the order of their time, and of scheduling within it: a seed gives one trace.
    (2) The first failure stays; nothing runs after it but what has begun.
    (3) Each actor draws from a stream of its own, so that leaving one fault out changes little
    else.
*/
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef void (*world_fn)(void *arg, uint64_t what);

typedef struct {
    int64_t at_us;
    uint64_t order; //  (1)
    world_fn run;
    void *arg;
    uint64_t what;
} world_event_t;

typedef struct {
    uint64_t seed;
    int64_t now_us;
    int64_t wall_ms;       //  what the wall clock says at time 0; it jumps
    world_event_t *events; //  owned; a heap
    size_t event_count;
    size_t event_capacity;
    uint64_t order;
    uint64_t run_count; //  events run
    FILE *trace;        //  borrowed; NULL: only hashed
    uint64_t hash;      //  of all lines of the trace
    bool has_failed;
    char kind[32];  //  of the failure: two with the same kind are taken for the same
    char text[400]; //  a sentence
} world_t;

void
world_init(world_t *self, uint64_t seed, FILE *trace);
void
world_clear(world_t *self);

//  A seed for the stream of one actor, from two numbers.
uint64_t
world_mix(uint64_t left, uint64_t right);

//  The next number below limit (0: 0) of a stream.
uint64_t
world_draw(uint64_t *random_p, uint64_t limit);
//  One of minimum..maximum.
int64_t
world_between(uint64_t *random_p, int64_t minimum, int64_t maximum);
//  True permille times in a thousand.
bool
world_chance(uint64_t *random_p, unsigned permille);

//  Runs run (arg, what) after delay_us (>= 0).
void
world_after(world_t *self, int64_t delay_us, world_fn run, void *arg, uint64_t what);

//  Moves to the next event and runs it. False when there is none.
bool
world_step(world_t *self);

int64_t
world_ms(const world_t *self);

//  One line "time who-number what a b c", hashed always and printed when there is a trace.
void
world_trace(world_t *self, const char *who, uint64_t number, const char *what, uint64_t a,
            uint64_t b, uint64_t c);

//  Something that must not be; (2).
void
world_fail(world_t *self, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
