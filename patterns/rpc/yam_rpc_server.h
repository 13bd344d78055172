/*  yam_rpc_server - answers the calls of a service, now or later.

    The endpoint string is that of yam_rpc, seen from the other side: "@tcp://0.0.0.0:7000" is
    called directly, ">tcp://host:9260?grade=sure" takes requests from the relay there; with
    "relay=" that is in this process. Options are those of yam_pull; "workers" [1] is how many
    threads call the handler, "credit" and "credit-bytes" how many requests may be here without an
    answer: more are refused as FULL (fast), or stay at the relay (sure).
    Thread-safe but for its end. Invariants:
    (1) The handler is called at most "workers" times at once, and never for a request whose caller
    has given up, as far as that is known here.
    (2) Each request is answered once. What nobody answers before close is refused as CLOSING
    (fast), or goes back to the relay (sure).
    (3) Sure: a request is acknowledged only when its reply is safe at the relay; its lease is
    extended as long as it is here. A server that dies leaves it to the next one.
    Wire: patterns/rpc/SPEC.md.
*/
#ifndef YAM_RPC_SERVER_H
#define YAM_RPC_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "yam_context.h"
#include "yam_message.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_rpc_server yam_rpc_server_t;
typedef struct yam_rpc_request yam_rpc_request_t;

//  Has a request to answer: it owns request, and hands it to yam_rpc_reply, at once or later, from
//  any thread. Called by one of the workers; it may block.
typedef void (*yam_rpc_handler_fn)(void *arg, yam_rpc_request_t *request);

//  Serves the named service. NULL with errno EINVAL (name, endpoint or option), EADDRINUSE, EAGAIN
//  (no threads), EMFILE, ECHILD ... and a sentence. The caller owns the result.
YAM_EXPORT yam_rpc_server_t *
yam_rpc_serve(yam_t *yam, const char *service, const char *endpoint, yam_rpc_handler_fn handler,
              void *arg);

//  Like close with the option "linger" [5 s]. Safe on NULL.
YAM_EXPORT void
yam_rpc_server_destroy(yam_rpc_server_t **self_p);

//  Takes no more requests, waits until those begun are answered and their replies have left, at
//  most timeout_ms (-1: for ever), and for handlers to return, however long. Frees *self_p and
//  clears it. Returns how many requests had no answer; their handles stay valid: yam_rpc_reply
//  frees them. Not from a handler. Safe on NULL.
YAM_EXPORT uint64_t
yam_rpc_server_close(yam_rpc_server_t **self_p, int timeout_ms);

//  What was asked; its property "id" is the same when a call is tried again. Borrowed until the
//  request is answered.
YAM_EXPORT yam_message_t *
yam_rpc_request_message(yam_rpc_request_t *self);

//  How long the caller still waits: milliseconds > 0, 0 when it does not any more (its deadline
//  came, or it gave up), -1 when it set no deadline.
YAM_EXPORT int64_t
yam_rpc_request_left_ms(yam_rpc_request_t *self);

//  Answers: status and text (at most 1024 bytes are sent; NULL: "") travel as they are, *body_p
//  (may be NULL) with its properties. Temporary statuses (yam_status_is_temporary) make a caller
//  try another server (fast). Frees and clears *request_p and *body_p in every case. 0, or -1 with
//  errno EMSGSIZE (the caller gets TOO_BIG), ESTALE (nobody waits any more: gave up, went away, or
//  the server was closed).
YAM_EXPORT int
yam_rpc_reply(yam_rpc_request_t **request_p, yam_status_t status, const char *text,
              yam_message_t **body_p);

//  Counters since serve. Every drop is counted.
typedef struct {
    uint64_t requests;   //  well-formed ones received
    uint64_t handled;    //  given to the handler
    uint64_t replied;    //  answered by yam_rpc_reply
    uint64_t refused;    //  answered here: FULL, CLOSING, UNKNOWN (another service), NO_SESSION
    uint64_t expired;    //  dropped before the handler: nobody waits any more
    uint64_t cancelled;  //  the same, since the caller said so
    uint64_t duplicates; //  dropped: the same request is here already
    uint64_t unsent;     //  replies dropped: the caller is gone, or reads nothing
    uint64_t malformed;  //  frames dropped that were none
    uint64_t pending;    //  requests without an answer now
} yam_rpc_server_stats_t;

YAM_EXPORT void
yam_rpc_server_stats(yam_rpc_server_t *self, yam_rpc_server_stats_t *stats);

//  The first endpoint really bound, by itself or by the relay in this process, with the port that
//  '*' got; the endpoint given when it connects. Borrowed.
YAM_EXPORT const char *
yam_rpc_server_endpoint(const yam_rpc_server_t *self);

#ifdef __cplusplus
}
#endif
#endif
