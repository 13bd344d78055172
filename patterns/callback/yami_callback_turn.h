/*  yami_callback_turn - one turn of a callback service's loop: takes what has come, stores it, and
    only then acknowledges it or calls.

    Everything is done in transactions of the database, one for all that has gathered; what fails is
    rolled back, given back to the relay, and tried again later. Invariants:
    (1) A check or confirm is acknowledged after the transaction that stores its effect.
    (2) A call begins after the transaction that notes it.
    (3) Cases that are WAITING are looked at when the horizon says so, those noted before it was
    asked for.
*/
#ifndef YAMI_CALLBACK_TURN_H
#define YAMI_CALLBACK_TURN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_callback_service.h"
#include "yami_callback_calls.h"
#include "yami_callback_horizon.h"
#include "yami_callback_intake.h"
#include "yami_callback_options.h"
#include "yami_callback_store.h"
#include "yami_monitor.h"

#define YAMI_CALLBACK_NOTED 512 //  most cases looked at in one transaction

typedef struct {
    char id[YAM_CALLBACK_ID + 1];
    uint32_t call; //  the case's latest, when it was noted
} yami_callback_noted_t;

typedef struct {
    yami_callback_options_t options;
    yami_callback_rules_t rules;
    int wake_fd;                 //  owned
    yam_callback_store_t *store; //  owned by the service
    yami_callback_intake_t intake;
    yami_callback_calls_t *calls; //  owned
    //  Cases that wait for the horizon.
    yami_callback_noted_t noted[YAMI_CALLBACK_NOTED];
    size_t noted_count;
    yami_callback_horizon_t horizon;
    //  Monotonic times.
    int64_t retry_ms; //  the database or the relay is tried again; 0: nothing is wrong
    int64_t pause_ms; //  the wait that led there
    int64_t look_ms;  //  next look at what is due
    int64_t ask_ms;   //  next question to the relay
    int64_t prune_ms; //  next time old rows are forgotten
    int64_t heard_ms; //  the relay was there, or that it is not was told
    yam_callback_service_stats_t stats;
} yami_callback_turn_t;

struct yam_callback_service {
    yami_callback_turn_t turn; //  the thread's, while it runs
    char *endpoint;            //  owned
    pthread_t thread;
    atomic_bool is_stopped;
    _Atomic int64_t last_turn_ms;
    yami_monitor_t monitor; //  guards stats; told after each turn
    yam_callback_service_stats_t stats;
};

//  Does what can be done now, without waiting for more than the database and, when it is asked, the
//  relay.
void
yami_callback_turn(yami_callback_turn_t *self);

//  How long the next turn may wait when nothing comes.
int
yami_callback_turn_wait_ms(const yami_callback_turn_t *self);

//  Gives back what is not stored, and closes.
void
yami_callback_turn_clear(yami_callback_turn_t *self);

#endif
