/*  yami_outbox_core - what a dispatcher does with an outbox, and when.

    Pure: no database, socket, clock or thread; not thread-safe. The shell (or a test) shows it the
    lanes and their flights, carries a plan out in one transaction and says that it is done, opens
    and closes a sure sender for each lane, and tells what senders hear:

        lane    foreign -TAKE-> ours, looked at once more, its flights loaded
        sender  CLOSED -OPEN-> ASKING -attached-> OPEN -SEND, outcome-> MARK or FAIL
                  ^---- CLOSE: tried too long, refused for good, renumbered, a gap, lost ---'

    A lease is a beat: who has seen the same owner and beat for as long as `lease`, by its own
    monotonic clock, may take the lane. No two clocks are compared, and none that jumps.
    Invariants (yami_outbox_core_check):
    (1) MARK names only whole flights that a relay of the level asked for has confirmed.
    (2) SEND names only what is in a flight, hence durable with its sequences, and has no outcome;
    from OPEN on without a gap.
    (3) ASSIGN follows only an attachment at which the relay knew no sequence that the database does
    not: else the database is older than what was sent from it, and the lane is renumbered.
    (4) Flights are in order of sequence, none twice, and end before `loaded`.
*/
#ifndef YAMI_OUTBOX_CORE_H
#define YAMI_OUTBOX_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_outbox_db.h"

#define YAMI_OUTBOX_FLIGHTS 8  //  of one lane on their way
#define YAMI_OUTBOX_EFFECTS 64 //  of one plan

typedef struct {
    int64_t limit_ms;  //  without a confirm: a try in vain
    int64_t try_limit; //  tries in vain, then a row fails
    int64_t lease_ms;
    int64_t keep_ms; //  rows that are over; 0: delivered ones go at once
    int64_t batch;   //  most rows of a flight
    int64_t level;   //  yam_level_t; a relay below it is as good as none
} yami_outbox_core_options_t;

typedef enum {
    YAMI_OUTBOX_CLOSED,
    YAMI_OUTBOX_ASKING,
    YAMI_OUTBOX_OPEN,
} yami_outbox_sender_t;

//  Of yami_outbox_core_plan: changes of the database; see yam_outbox_db.h for what they mean.
typedef enum {
    YAMI_OUTBOX_TAKE,
    YAMI_OUTBOX_KEEP,
    YAMI_OUTBOX_RELEASE,
    YAMI_OUTBOX_RENUMBER,
    YAMI_OUTBOX_FAIL,
    YAMI_OUTBOX_TRY,
    YAMI_OUTBOX_MARKED,
    YAMI_OUTBOX_ASSIGN,
    YAMI_OUTBOX_PRUNE,
} yami_outbox_change_t;

typedef struct {
    uint64_t first;
    uint64_t last;
    yam_status_t status; //  OK: none
    char text[YAM_OUTBOX_REASON + 1];
} yami_outbox_refusal_t;

typedef struct {
    yam_outbox_lane_t seen; //  when last looked at
    int64_t seen_ms;        //  since when owner and beat are so
    bool is_in_look;
    bool is_ours;
    bool must_look;  //  ours by now, and what was seen may be older
    bool must_load;  //  the database has flights from `loaded` on
    bool is_drained; //  there was nothing to assign
    bool has_more;   //  there was more to assign than a flight takes
    int64_t idle_ms; //  since when there is nothing to do
    yam_outbox_flight_t flights[2 * YAMI_OUTBOX_FLIGHTS]; //  (4)
    size_t flight_count;
    uint64_t loaded; //  sequence; flights before it are here, or over

    yami_outbox_sender_t sender;
    bool is_attached;
    bool is_pressed; //  the relay takes no more for now
    bool is_blocked; //  the sender takes no more for now
    bool must_close;
    bool must_renumber;
    bool must_try;       //  the present try was in vain
    uint64_t next;       //  sequence that the sender gets next (2)
    uint64_t confirmed;  //  sequence; flights up to it are confirmed (1)
    int64_t progress_ms; //  when the relay last did something for us, or owed nothing
    int64_t try_ms;      //  wall clock; when the present try began
    int64_t pause_ms;    //  no sender is opened before
    uint32_t failure_count;
    yami_outbox_refusal_t refusal; //  of rows, to be noted
    yami_outbox_refusal_t closure; //  of the channel: whatever is sent there
    void *shell;                   //  the shell's own
} yami_outbox_lane_t;

typedef struct {
    yami_outbox_change_t change;
    yami_outbox_lane_t *lane; //  NULL for KEEP and PRUNE
    uint64_t first;
    uint64_t last;
    uint64_t epoch;
    yam_outbox_failure_t failure;
    int64_t time_ms;
    int64_t limit;
} yami_outbox_effect_t;

//  Of yami_outbox_core_output: what senders do.
typedef enum {
    YAMI_OUTBOX_DO_OPEN, //  with the lane's epoch and first
    YAMI_OUTBOX_DO_CLOSE,
    YAMI_OUTBOX_DO_SEND, //  rows first..last
} yami_outbox_action_t;

typedef struct {
    yami_outbox_action_t action;
    yami_outbox_lane_t *lane;
    uint64_t first;
    uint64_t last;
} yami_outbox_output_t;

typedef struct {
    yami_outbox_core_options_t options;
    uint64_t owner;                              //  this dispatcher
    yami_outbox_lane_t *lanes[YAM_OUTBOX_LANES]; //  owned
    size_t lane_count;
    bool must_look;
    int64_t look_ms;  //  when others' leases are looked at again
    int64_t keep_ms;  //  when ours are renewed
    int64_t pause_ms; //  the database is left alone until then
    int64_t pause_length_ms;
    int64_t prune_ms;
    uint64_t prune_count; //  rows that became old since
    yam_dispatcher_stats_t stats;
} yami_outbox_core_t;

//  owner is random, > 0, and below 2^63.
void
yami_outbox_core_init(yami_outbox_core_t *self, const yami_outbox_core_options_t *options,
                      uint64_t owner);

//  Frees what it holds. Safe twice.
void
yami_outbox_core_clear(yami_outbox_core_t *self);

//  -- Looking -------------------------------------------------------------------------------------

//  Whether the lanes are to be looked at now; has_changed: others may have committed.
bool
yami_outbox_core_wants_look(const yami_outbox_core_t *self, int64_t now_ms, bool has_changed);

//  Begins a look; saw once for each lane; then looked.
void
yami_outbox_core_look(yami_outbox_core_t *self);
void
yami_outbox_core_saw(yami_outbox_core_t *self, int64_t now_ms, const yam_outbox_lane_t *seen);
void
yami_outbox_core_looked(yami_outbox_core_t *self, int64_t now_ms);

//  A lane whose flights from `loaded` on are to be read, up to *room_p; NULL: none.
yami_outbox_lane_t *
yami_outbox_core_wants_flights(const yami_outbox_core_t *self, size_t *room_p);

//  They are these; has_all: there are no more.
void
yami_outbox_core_loaded(yami_outbox_core_t *self, yami_outbox_lane_t *lane,
                        const yam_outbox_flight_t *flights, size_t count, bool has_all);

//  Whether no lane has work, as far as the latest look knows.
bool
yami_outbox_core_is_idle(const yami_outbox_core_t *self);

//  -- Changing ------------------------------------------------------------------------------------

//  What is to be changed, in one transaction; up to YAMI_OUTBOX_EFFECTS. How many.
size_t
yami_outbox_core_plan(yami_outbox_core_t *self, int64_t now_ms, int64_t wall_ms,
                      yami_outbox_effect_t *effects);

//  It is durable: for each effect, in order. result is what the database answered, flight what
//  ASSIGN gave.
void
yami_outbox_core_done(yami_outbox_core_t *self, int64_t now_ms, const yami_outbox_effect_t *effect,
                      int64_t result, const yam_outbox_flight_t *flight);

//  The database failed: nothing was changed. It is left alone for a while.
void
yami_outbox_core_troubled(yami_outbox_core_t *self, int64_t now_ms);

//  The lane is another dispatcher's.
void
yami_outbox_core_lost(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane);

//  -- Sending -------------------------------------------------------------------------------------

//  The next thing a sender is to do. Whether there is one; opened, closed, sent or (of a channel
//  that there cannot be) refused must follow.
bool
yami_outbox_core_output(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_output_t *output);

void
yami_outbox_core_opened(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                        bool has_succeeded);
void
yami_outbox_core_closed(yami_outbox_core_t *self, yami_outbox_lane_t *lane);

//  The sender took count messages from output->first on. is_full: it takes no more until some of
//  its messages are confirmed; otherwise fewer than were to be sent could be read.
void
yami_outbox_core_sent(yami_outbox_core_t *self, int64_t now_ms, int64_t wall_ms,
                      const yami_outbox_output_t *output, uint64_t count, bool is_full);

//  No sender will take the row of first = last, which is the next: after sent. Or (0) there can be
//  none for the lane, in place of opened.
void
yami_outbox_core_refused(yami_outbox_lane_t *lane, const yami_outbox_refusal_t *refusal);

//  A session began; known is the last sequence that the relay has, level that of its confirms.
void
yami_outbox_core_attached(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                          uint64_t known, yam_level_t level);
void
yami_outbox_core_detached(yami_outbox_lane_t *lane);

//  Whether the relay refuses for now.
void
yami_outbox_core_pressed(yami_outbox_lane_t *lane, int64_t now_ms, bool is_pressed);

//  The relay has confirmed all up to that sequence, at the level asked for or above.
void
yami_outbox_core_confirmed(yami_outbox_lane_t *lane, int64_t now_ms, uint64_t last);

//  The sender will never be attached again: first..last were refused, or (0) all that would come.
void
yami_outbox_core_final(yami_outbox_core_t *self, int64_t now_ms, yami_outbox_lane_t *lane,
                       const yami_outbox_refusal_t *refusal);

void
yami_outbox_core_check(const yami_outbox_core_t *self);

#endif
