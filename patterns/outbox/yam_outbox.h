/*  yam_outbox - a message is sent if, and only if, the business row is there: both are written in
    one transaction, and a dispatcher (yam_dispatcher.h) sends what was committed.

        BEGIN
        the business row
        yam_outbox_put (outbox, "orders", message)        state 0: sending
        COMMIT
                                    dispatcher: sends over a sure push; at the confirm state 1

    Not a queue: nobody takes messages out but dispatchers. Works on the application's own handle;
    not thread-safe beyond what that handle is. Invariants:
    (1) What is committed is delivered to the relay once, or ends in state 2 with a reason.
    (2) What is rolled back never was.
    (3) Messages of one channel are stored by the relay in the order of their rows, but for those
    put back by yam_outbox_retry, which go to the end.
    Tables and their meaning: patterns/outbox/SPEC.md.
*/
#ifndef YAM_OUTBOX_H
#define YAM_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "yam_export.h"
#include "yam_message.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;
typedef struct yam_outbox yam_outbox_t;

typedef enum {
    YAM_OUTBOX_SENDING = 0,   //  to be sent, or on its way
    YAM_OUTBOX_DELIVERED = 1, //  confirmed by the relay, at the dispatcher's `level` or above
    YAM_OUTBOX_FAILED = 2,    //  refused, or tried too often: a person decides
    YAM_OUTBOX_CANCELLED = 3, //  a person has decided: never sent
} yam_outbox_state_t;

//  An outbox in an SQLite database, which stays the application's and must outlive it; makes or
//  migrates its tables. options (may be NULL) is "name=value&...": see yam_outbox_options_help.
//  NULL with errno EINVAL (option), EAGAIN (locked), EROFS, ENOSPC, EBADMSG (damaged),
//  EPROTONOSUPPORT (tables of a newer version), EIO, and a sentence. The caller owns the result.
YAM_EXPORT yam_outbox_t *
yam_outbox_new(struct sqlite3 *database, const char *options);

//  Has the application's connection wait up to timeout_ms for another writer's transaction, in
//  steps of 0.2 ms; 0: not at all. For sqlite3_busy_timeout, whose steps are 1 ms and grow: a
//  dispatcher writes often, and each time for a fraction of that. Takes the place of the
//  connection's busy handler. 0, or -1 with errno EINVAL and a sentence: no database.
YAM_EXPORT int
yam_outbox_busy_timeout(struct sqlite3 *database, int timeout_ms);

//  Frees *self_p and clears it; the database stays open. Safe on NULL.
YAM_EXPORT void
yam_outbox_destroy(yam_outbox_t **self_p);

//  Writes a message for a queue (put), or for a topic (put_topic), inside the open transaction; it
//  stays the caller's. Returns the row's id (> 0), or -1 with errno EINVAL (name of the channel, a
//  received message), ENAMETOOLONG (a message with a due time, and a name of more than 192 bytes),
//  EPERM (no transaction is open: message and effect would be two things), EAGAIN, EROFS, ENOSPC
//  (also: more than 1,024 channels), EBADMSG, EIO ..., and a sentence: roll back then. A message
//  without a property "id" is sent with one: the row's identity, see SPEC.md.
YAM_EXPORT int64_t
yam_outbox_put(yam_outbox_t *self, const char *queue, const yam_message_t *message);
YAM_EXPORT int64_t
yam_outbox_put_topic(yam_outbox_t *self, const char *topic, const yam_message_t *message);

//  -- For those who look after it -----------------------------------------------------------------

//  A row, while it is shown.
typedef struct {
    int64_t id;
    yam_outbox_state_t state;
    int kind;                //  1: of a queue, 2: of a topic
    const char *channel;     //  borrowed, as all below
    int64_t time_ms;         //  of put, wall clock
    const char *identity;    //  the property "id" it is sent with, unless it has one of its own
    uint64_t epoch;          //  of its sequence
    uint64_t sequence;       //  the producer's, while it is on its way; 0 else
    yam_status_t status;     //  why it failed
    const char *reason;      //  in words; "" when there is none
    const int64_t *tries_ms; //  when it was tried in vain, wall clock
    size_t try_count;
    size_t size;            //  bytes of the body
    yam_message_t *message; //  to be read
} yam_outbox_row_t;

//  0 to go on, 1 to end.
typedef int (*yam_outbox_row_fn)(void *arg, const yam_outbox_row_t *row);

//  Shows up to limit rows behind the id after, in order of id; state and channel select (-1 and
//  NULL: all). Returns how many, or -1 as above.
YAM_EXPORT int64_t
yam_outbox_rows(yam_outbox_t *self, int state, const char *channel, int64_t after, int64_t limit,
                yam_outbox_row_fn show, void *arg);

//  Puts a failed row back: state 0, no tries, a sequence of its own; it goes to the end. Each of
//  these is a transaction of its own, unless one is open. Returns 1, 0 when the row is not there or
//  not failed, or -1 as above.
YAM_EXPORT int
yam_outbox_retry(yam_outbox_t *self, int64_t id);

//  Gives up a row that failed, or that has no sequence yet; what has one may be at the relay
//  already. Returns 1, 0 when there is no such row, or -1 as above, EBUSY (it is on its way).
YAM_EXPORT int
yam_outbox_cancel(yam_outbox_t *self, int64_t id);

//  Deletes up to limit rows that were delivered or cancelled and are older than age_ms, oldest
//  first. Dispatchers do so by themselves. Returns how many, or -1 as above.
YAM_EXPORT int64_t
yam_outbox_prune(yam_outbox_t *self, int64_t age_ms, int64_t limit);

//  Begins a trial: what retry, cancel and prune do from now on they do as ever, with the same
//  outcomes, and end_trial undoes it. It is a transaction of its own, which holds up others as one
//  of theirs does. 0, or -1 as above, EPERM (a transaction is open).
YAM_EXPORT int
yam_outbox_begin_trial(yam_outbox_t *self);

//  Keeps errno and yam_error().
YAM_EXPORT void
yam_outbox_end_trial(yam_outbox_t *self);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_outbox_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
