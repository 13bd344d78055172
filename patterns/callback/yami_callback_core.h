/*  yami_callback_core - what a callback service decides about one case. Pure: rows in, rows and
    effects out.

        nothing  -- check, and no confirm that says done --> WAITING
        WAITING  -- due, and none still, or a failed one --> CALLING; after the last round: OPEN
        CALLING  -- answer: resent --> WAITING, round + 1, due after the delay
        CALLING  -- answer: gone --> GONE
        CALLING  -- no answer, or later --> CALLING, after the backoff; too often: OPEN
        WAITING, CALLING, OPEN  -- a confirm that says done, of any round --> DONE
        WAITING, CALLING, OPEN  -- people: close --> CLOSED
        all but DONE  -- people: retry --> CALLING

    A case that is WAITING is looked at only when all confirms are stored that the relay had when it
    became due: the shell sees to that (yami_callback_horizon.h). A failed confirm waits for the
    check, too: what failed a moment ago would most likely fail again. Invariants:
    (1) A confirm that says done is never replaced, and ends every case that is not ended.
    (2) A case that is CALLING has a call under way or due: due_ms is when others may make it again.
    (3) An answer counts only for the latest call: of two services one moves a case on.
    (4) round grows by an answer alone: a producer that is away costs none.
    (5) A case that was confirmed before anybody was called leaves nothing but the confirm.
*/
#ifndef YAMI_CALLBACK_CORE_H
#define YAMI_CALLBACK_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_callback_db.h"
#include "yami_delays.h"

#define YAMI_CALLBACK_SKEW_MS 60000 //  rows changed later than that after now: a clock was set back
#define YAMI_CALLBACK_NOTES 2       //  most lines of history one step writes

typedef struct {
    uint32_t round_limit; //  resends; then the case is open
    uint32_t try_limit;   //  calls without an answer, of one round; then the case is open
    int64_t lease_ms;     //  a call under way is made again after so long
    int64_t backoff_ms[YAMI_LIMIT_DELAYS]; //  after a call without an answer; the last repeats
    size_t backoff_count;
} yami_callback_rules_t;

typedef enum {
    YAMI_CALLBACK_CHECK = 1, //  check
    YAMI_CALLBACK_CONFIRM,   //  confirm
    YAMI_CALLBACK_LOOK,      //  call; a case that was due when noted; WAITING: confirms are clear
    YAMI_CALLBACK_ANSWER,    //  call, answer, text
    YAMI_CALLBACK_RETRY,     //  people
    YAMI_CALLBACK_CLOSE,     //  people; text
} yami_callback_event_type_t;

typedef struct {
    yami_callback_event_type_t type;
    const yam_case_t *check;           //  id, queue, service, delay_ms
    const yam_case_confirm_t *confirm; //  all of it
    uint32_t call;                     //  the one that is answered; LOOK: the latest when noted
    int answer;                        //  yam_callback_answer_t, 0: none
    const char *text;                  //  "" for none
} yami_callback_event_t;

//  What is known of one id; the step changes it.
typedef struct {
    yam_case_t row;             //  state NONE: there is none
    yam_case_confirm_t confirm; //  outcome 0: there is none
} yami_callback_view_t;

typedef struct {
    bool writes_case;    //  view->row is to be written
    bool drops_case;     //  it is to be forgotten
    bool writes_confirm; //  view->confirm is to be written
    bool calls;          //  once all is durable, call view->row.service
    bool is_stale;       //  an answer that came too late
    size_t note_count;
    yam_case_note_t notes[YAMI_CALLBACK_NOTES];
} yami_callback_effects_t;

//  Decides. 0; or -1 with errno EINVAL and a sentence when people ask for what the state does not
//  allow, and nothing is to be done.
int
yami_callback_step(const yami_callback_rules_t *rules, int64_t now_ms,
                   const yami_callback_event_t *event, yami_callback_view_t *view,
                   yami_callback_effects_t *effects);

//  Asserts the invariants of what may stand in the database.
void
yami_callback_check(const yami_callback_rules_t *rules, const yami_callback_view_t *view);

#endif
