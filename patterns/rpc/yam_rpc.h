/*  yam_rpc - asks a service and gets its answer: by callback, as a future, or while it waits.

    The endpoint string decides where the requests go and what is guaranteed; the code stays the
    same:
        ">tcp://a:7000,>tcp://b:7000"        fast: directly, to whichever of these servers is alive
        ">tcp://host:9260?grade=sure"        sure: through the queues of the relay there; a request
        survives servers that are not there, and the relay's restarts
    Options are those of yam_push; "window" is the most calls without an outcome, "window-bytes" the
    most bytes of their requests, and of replies nobody has taken yet, "heartbeat" how often a
    server is asked for a sign of life, "retries" [2] how often a call is tried again after its
    server died, or refused it for now. Sure: replies come over the topic SERVICE.replies; those
    that come while this caller has lost its relay are lost, so what has no outcome then is asked
    again (not with retries=0), unless it has a durable "name": then they are kept.
    Thread-safe but for its end. Invariants:
    (1) Each call has one outcome, unless it is cancelled: a reply, or why there is none. Replies
    that come later, or again, are dropped and counted.
    (2) Fast: without retries the service sees a request at most once. With them, as in the sure
    grade, it may see one again, with the same property "id": see yam_inbox.h.
    (3) A call that is given up is not begun any more by a server that has not begun it, up to the
    time of one round trip (fast), or the difference of the clocks (sure).
    Wire: patterns/rpc/SPEC.md.
*/
#ifndef YAM_RPC_H
#define YAM_RPC_H

#include <stddef.h>
#include <stdint.h>

#include "yam_context.h"
#include "yam_message.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_rpc yam_rpc_t;

//  The outcome of a call. status YAM_STATUS_OK: *reply_p is what the service answered. Otherwise
//  text says why (never NULL), and *reply_p is what the service sent along, or NULL. TIMEOUT: no
//  answer in time, or from no server; CLOSING: this object was closed; else it is the service's
//  word. *reply_p is freed after the call unless it is taken, by clearing it. Called without a lock
//  held, by the engine's thread, or by yam_rpc_dispatch: it may call, it must not block, wait or
//  destroy.
typedef void (*yam_rpc_reply_fn)(void *arg, yam_status_t status, const char *text,
                                 yam_message_t **reply_p);

//  Opens a caller of the named service (a name as for yam_push_new). Fast: does not wait for a
//  connection, and may name up to 16 servers. Sure: waits for the relay, at most "connect-timeout".
//  NULL with errno EINVAL (name, endpoint or option), ETIMEDOUT (no relay), EMFILE, ECHILD ... and
//  a sentence. The caller owns the result.
YAM_EXPORT yam_rpc_t *
yam_rpc_new(yam_t *yam, const char *service, const char *endpoint);

//  Like close with the option "linger" [5 s]. Safe on NULL.
YAM_EXPORT void
yam_rpc_destroy(yam_rpc_t **self_p);

//  Waits until all calls have an outcome, at most timeout_ms (-1: for ever); those that have none
//  then get CLOSING. Frees *self_p and clears it. Returns how many calls those were. Safe on NULL.
YAM_EXPORT uint64_t
yam_rpc_close(yam_rpc_t **self_p, int timeout_ms);

//  Calls the service with *request_p; reply hears of the outcome within timeout_ms (> 0, or -1: no
//  deadline). With reply NULL the call is a future: wait for it. The property "id" is set unless
//  the request has one. Returns the call's number, and *request_p is freed and cleared; or 0 with
//  errno EAGAIN ("window" calls have no outcome yet), EMSGSIZE, EINVAL, ECHILD, and nothing
//  changed.
YAM_EXPORT uint64_t
yam_rpc_call(yam_rpc_t *self, yam_message_t **request_p, int timeout_ms, yam_rpc_reply_fn reply,
             void *arg);

//  Waits for the outcome of a future, at most timeout_ms (-1: for ever), and ends it. The reply,
//  which the caller owns; NULL with errno EAGAIN (none yet; the call goes on), ENOENT (no such
//  future), else that of the status, whose text yam_error() has. *status_p (may be NULL) gets the
//  status when there is an outcome. Not from a callback.
YAM_EXPORT yam_message_t *
yam_rpc_wait(yam_rpc_t *self, uint64_t call, int timeout_ms, yam_status_t *status_p);

//  A call and its wait in one.
YAM_EXPORT yam_message_t *
yam_rpc_ask(yam_rpc_t *self, yam_message_t **request_p, int timeout_ms, yam_status_t *status_p);

//  Gives a call up: its callback is not called any more. A server that has not begun it is told
//  (fast). 0, or -1 with errno ENOENT: its outcome was told already, or is being told.
YAM_EXPORT int
yam_rpc_cancel(yam_rpc_t *self, uint64_t call);

//  A descriptor for poll/epoll/select of a foreign event loop: readable when yam_rpc_dispatch has
//  something to tell. From the first call on the engine tells no callback any more. Borrowed. -1
//  with errno EMFILE.
YAM_EXPORT int
yam_rpc_fd(yam_rpc_t *self);

//  Calls the callbacks whose outcomes are there, in this thread. Returns how many.
YAM_EXPORT size_t
yam_rpc_dispatch(yam_rpc_t *self);

//  Counters since new. Every drop is counted.
typedef struct {
    uint64_t calls;         //  accepted by call
    uint64_t replied;       //  the service answered, whatever its status
    uint64_t timeouts;      //  the deadline came first
    uint64_t failed;        //  no server to try is left, or closed
    uint64_t cancelled;     //  given up by cancel
    uint64_t retries;       //  sent again, to another server or to the same
    uint64_t late;          //  replies dropped: the call, or that try, was over
    uint64_t duplicates;    //  replies dropped: the call had its reply
    uint64_t unknown;       //  replies dropped: no such call was ever made
    uint64_t malformed;     //  frames dropped that were none
    uint64_t pending;       //  calls without an outcome now
    uint64_t servers_alive; //  now; sure: 1 while there is a session
} yam_rpc_stats_t;

YAM_EXPORT void
yam_rpc_stats(yam_rpc_t *self, yam_rpc_stats_t *stats);

#ifdef __cplusplus
}
#endif
#endif
