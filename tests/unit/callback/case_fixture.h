/*  case_fixture - one case, "a", and each event that there is for it; its invariants are looked at
    after every step.
*/
#ifndef CASE_FIXTURE_H
#define CASE_FIXTURE_H

#include <stdint.h>

#include "yami_callback_core.h"

#define CASE_DELAY_MS 1000
#define CASE_LEASE_MS 400

extern const yami_callback_rules_t case_rules;
extern yami_callback_view_t case_view;
extern yami_callback_effects_t case_effects; //  of the last step
extern int64_t case_now_ms;                  //  a test moves it

int
case_setup(void **state);

//  Steps the core at case_now_ms. 0, or -1 when it refuses the event.
int
case_step(const yami_callback_event_t *event);

//  Each of them, for which it must be 0.
void
case_check(void);
void
case_confirm(int outcome, uint32_t round);
void
case_look(void);
void
case_answer(uint32_t call, int answer);

//  As case_step.
int
case_people(yami_callback_event_type_t type);

#endif
