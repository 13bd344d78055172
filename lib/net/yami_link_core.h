/*  yami_link_core - the session of a client with a relay: greeting, signs of life, when to begin
    anew.

    Pure: no socket, clock or thread; not thread-safe. It says which socket it wants, which frame is
    due, and what a frame that came means for the session; producer and consumer cores stand on it.

        CLOSED -turn-> WAITING -sent(HELLO)-> GREETING -frame(WELCOME)-> UP -leave, sent(GOODBYE)->
        ENDED
           ^             ^  ^----- turn: no answer -'                    |
           |             '-------- frame(no-session, GOODBYE), restart --+
           '---------------------- turn: silence; greeting in vain; failed

    Invariants (yami_link_core_check):
    (1) Two HELLOs are at least YAMI_LINK_HELLO_GAP_MS apart, whatever the relay answers.
    (2) Nothing passes to the core above before the WELCOME that echoes the session in use.
    (3) No socket is wanted in CLOSED and ENDED; each socket has another number.
*/
#ifndef YAMI_LINK_CORE_H
#define YAMI_LINK_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_frame.h"
#include "yami_limits.h"

#define YAMI_CLIENT_HANDLE 1 //  a link of ours carries one attachment
#define YAMI_LINK_HELLO_GAP_MS 50
#define YAMI_LINK_BACKOFF_MIN_MS 50
#define YAMI_LINK_BACKOFF_MAX_MS 1000

typedef enum {
    YAMI_LINK_CLOSED,   //  no socket until until_ms
    YAMI_LINK_WAITING,  //  HELLO goes at until_ms, or when the socket takes it
    YAMI_LINK_GREETING, //  HELLO was sent; again at until_ms
    YAMI_LINK_UP,       //  a session
    YAMI_LINK_ENDED,    //  GOODBYE was said, for good
} yami_link_state_t;

//  What an event means for the core above.
typedef enum {
    YAMI_LINK_NOTHING,
    YAMI_LINK_STARTED, //  a session began
    YAMI_LINK_LOST,    //  the session ended; what was attached is no more
    YAMI_LINK_PASS,    //  the frame is for the core above
} yami_link_outcome_t;

typedef struct {
    char name[YAMI_LIMIT_NAME + 1]; //  told to the relay
    int64_t heartbeat_ms;           //  announced

    yami_link_state_t state;
    uint64_t socket_number;   //  of the socket wanted, counted from 1
    uint64_t session;         //  of this greeting or session
    uint64_t random;          //  state of the generator of sessions and jitter
    int64_t until_ms;         //  see the states
    int64_t hello_ms;         //  when the latest HELLO went, for (1)
    int64_t heard_ms;         //  latest sign of life
    int64_t sent_ms;          //  when we gave the latest
    int64_t peer_interval_ms; //  what the relay announced
    uint64_t peer_max_frame;  //  bytes the relay takes in one frame
    uint32_t hello_count;     //  HELLOs of this greeting
    uint32_t failure_count;   //  in a row, for the backoff
    bool owes_error;          //  ERROR{unknown} is due
    bool is_leaving;          //  GOODBYE is due
    uint64_t session_count;   //  WELCOMEs taken
} yami_link_core_t;

//  Starts in CLOSED, with the socket wanted at the first turn. name is cut at its limit; seed makes
//  sessions and jitter.
void
yami_link_core_init(yami_link_core_t *self, const char *name, int64_t heartbeat_ms, uint64_t seed);

//  Number of the socket that shall be open, 0 for none: when it differs from the shell's, the shell
//  closes the one it has and opens another.
uint64_t
yami_link_core_socket(const yami_link_core_t *self);

//  The wanted socket could not be opened, or broke: tries again later.
yami_link_outcome_t
yami_link_core_failed(yami_link_core_t *self, int64_t now_ms);

//  Bytes came that are no control frame for the core above: a batch, or garbage with decode's errno
//  (EOPNOTSUPP is answered); 0 for none.
void
yami_link_core_heard(yami_link_core_t *self, int64_t now_ms, int error);

yami_link_outcome_t
yami_link_core_frame(yami_link_core_t *self, int64_t now_ms, const yami_frame_t *frame);

//  Runs the timers. Call it when input has been read: a frame that waits in the socket is a sign of
//  life.
yami_link_outcome_t
yami_link_core_turn(yami_link_core_t *self, int64_t now_ms);

//  The session is no good: begins another on the same socket, after the backoff.
yami_link_outcome_t
yami_link_core_restart(yami_link_core_t *self, int64_t now_ms);

//  The session does what it is for: the next backoff starts small.
void
yami_link_core_prosper(yami_link_core_t *self);

//  Says GOODBYE when there is a session, and ends.
void
yami_link_core_leave(yami_link_core_t *self);

//  Whether the link itself has a frame to send; fills it (its slices are borrowed from self).
bool
yami_link_core_next(const yami_link_core_t *self, int64_t now_ms, yami_frame_t *frame);

//  The socket took a frame of that type (0: a batch).
void
yami_link_core_sent(yami_link_core_t *self, int64_t now_ms, uint8_t type);

//  Monotonic ms of the next turn, INT64_MAX when none; what only waits for the socket does not
//  count.
int64_t
yami_link_core_deadline(const yami_link_core_t *self, int64_t now_ms);

//  Whether an attachment that ended with this status cannot succeed later.
bool
yami_link_is_final(uint64_t status);

//  How long to wait after failure_count failures: min_ms, doubled for each, at most max_ms, up to
//  half of it taken off at random.
int64_t
yami_link_backoff_ms(uint64_t *random_p, uint32_t failure_count, int64_t min_ms, int64_t max_ms);

void
yami_link_core_check(const yami_link_core_t *self);

#endif
