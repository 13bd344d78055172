/*  relay_view - where a relay core has each message of a group: the only place where the model's
    tests look into the core.
*/
#ifndef RELAY_VIEW_H
#define RELAY_VIEW_H

#include "relay_fixture.h"

typedef enum {
    PLACE_FREE, //  somebody may get it, now or later
    PLACE_LEASED,
    PLACE_DEAD, //  on its way to the dead letters
    PLACE_SETTLED
} place_t;

typedef struct {
    place_t place;
    uint32_t deliveries;
    uint32_t failures;
    uint64_t token; //  0: not leased
    int64_t due_ms; //  of what is delayed, which is free until then: wall clock
    char reason[24];
} view_t;

//  Messages the channel was ever given; 0 when there is no such channel.
uint64_t
relay_view_count(const fixture_t *fixture, const char *channel);

//  Sequences first to last, into views. Without such a group all of them are free.
void
relay_view_group(const fixture_t *fixture, const char *channel, const char *group, uint64_t first,
                 uint64_t last, view_t *views);

#endif
