/*  yam_dispatcher - sends what an outbox holds, and marks what became of it.

    A thread with a database connection of its own. Several may share a database, in one process or
    in many: each channel is one dispatcher's at a time. Thread-safe but for its end. Invariants:
    (1) A row is marked delivered only when the relay has confirmed it, at the option `level`
    [received] or above. By then a relay with a store has synced it (synced), and one in memory has
    it (received): what is delivered there is gone with that relay's process. Ask for level=synced
    where that must not be; to a relay below it nothing is sent, as if it were away.
    (2) A row is sent only with a sequence that is durable in the database, and again only with the
    same: so the relay stores it once, whichever dispatcher sends it, however often.
    (3) A database that is locked, full or read-only loses nothing: it is tried again.
*/
#ifndef YAM_DISPATCHER_H
#define YAM_DISPATCHER_H

#include <stdint.h>

#include "yam_context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_dispatcher yam_dispatcher_t;

//  Starts a dispatcher for the outbox in an SQLite database file, whose tables it makes or
//  migrates. endpoint is where the relay is, as for yam_push_new, of the sure grade (also without
//  saying so). options (may be NULL) is "name=value&...": see yam_dispatcher_options_help. NULL
//  with errno EINVAL (endpoint, option), ENOENT (no such file), as yam_outbox_new, as yam_push_new,
//  and a sentence. The caller owns the result.
YAM_EXPORT yam_dispatcher_t *
yam_dispatcher_new(yam_t *yam, const char *file, const char *endpoint, const char *options);

//  Ends it and frees *self_p; clears it. What is on its way stays so until another dispatcher goes
//  on. Safe on NULL.
YAM_EXPORT void
yam_dispatcher_destroy(yam_dispatcher_t **self_p);

//  Makes it look at the database now, and not at the next poll: for after a commit.
YAM_EXPORT void
yam_dispatcher_wake(yam_dispatcher_t *self);

//  Waits until it finds no row to send that was committed before this call, at most timeout_ms (-1:
//  for ever). 0, or -1 with errno EAGAIN (time is over).
YAM_EXPORT int
yam_dispatcher_flush(yam_dispatcher_t *self, int timeout_ms);

//  Counters since new.
typedef struct {
    uint64_t sent;      //  messages handed to the sure push, repeats included
    uint64_t delivered; //  rows marked 1
    uint64_t failed;    //  rows marked 2
    uint64_t resent;    //  rows that were tried before
    uint64_t pruned;    //  rows deleted
    uint64_t taken;     //  channels taken over, from nobody or from one who is gone
    uint64_t lost;      //  channels another dispatcher took over from this one
    uint64_t commits;   //  transactions
    uint64_t troubles;  //  transactions that failed: locked, full ...
} yam_dispatcher_stats_t;

YAM_EXPORT void
yam_dispatcher_stats(yam_dispatcher_t *self, yam_dispatcher_stats_t *stats);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_dispatcher_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
