/*  yam_push - puts messages on a queue: each goes to exactly one puller.

    The endpoint string decides where the messages go and what is guaranteed; the code stays the
    same:
        ">tcp://host:9260"                     fast: peer to peer, at most once
        ">tcp://host:9260?grade=sure"          sure: at least once, through the relay there
        "@tcp://127.0.0.1:9260?relay=/var/lib/orders"  sure: the relay is in this process, with its
        store in that directory
    '@' binds, '>' connects (also the default); a comma-separated list uses several. What comes
    after '?' says yam_endpoint.h.
    Thread-safe. Invariants:
    (1) Messages of one object leave in the order in which send returned.
    (2) In the sure grade a message is kept until it is confirmed or refused for good; it is resent
    after a reconnect.
*/
#ifndef YAM_PUSH_H
#define YAM_PUSH_H

#include <stddef.h>
#include <stdint.h>

#include "yam_confirm.h"
#include "yam_context.h"
#include "yam_message.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_push yam_push_t;

//  Opens a pusher of the named queue (1..200 letters, digits, '.', '-', '_', ':', '/'). Does not
//  wait for a connection. NULL with errno EINVAL (name, endpoint or option, also one of topics:
//  group, start, subject; yam_error() tells the column), EADDRINUSE, EADDRNOTAVAIL, EWOULDBLOCK
//  (relay directory in use), ECHILD, ... The caller owns the result.
YAM_EXPORT yam_push_t *
yam_push_new(yam_t *yam, const char *queue, const char *endpoint);

//  Sends what is open, waits up to the option "linger" [5 s] for confirms, then frees *self_p and
//  clears it. Safe on NULL.
YAM_EXPORT void
yam_push_destroy(yam_push_t **self_p);

//  Like destroy with a deadline of timeout_ms (-1: none): returns how many messages were not
//  confirmed (sure) or not handed to the transport (fast).
YAM_EXPORT uint64_t
yam_push_close(yam_push_t **self_p, int timeout_ms);

//  Sends size bytes (copied). Returns 0: accepted, and in the sure grade kept until confirmed. -1
//  with errno, the message not accepted: EAGAIN (window or high-water mark full for "send-timeout"
//  ms [-1 = wait for ever]), ENOTCONN (the same, and no peer is connected), EMSGSIZE, ESTALE (a
//  newer epoch of this producer took over), EEXIST (the channel is of another kind), EIO (the
//  relay's storage failed), EACCES (not allowed), ECHILD.
YAM_EXPORT int
yam_push_send(yam_push_t *self, const void *body, size_t size);

//  Sends a message with properties; the same outcomes, and for one with a due time ENOTSUP (in the
//  fast grade) and ENAMETOOLONG (the name has more than 192 bytes). On success *message_p is freed
//  and cleared, otherwise it stays the caller's.
YAM_EXPORT int
yam_push_send_message(yam_push_t *self, yam_message_t **message_p);

//  Waits until everything sent so far is confirmed (sure) or handed to the transport (fast), at
//  most timeout_ms (-1: for ever). Returns how many messages are not: 0 is success, else errno is
//  EAGAIN (not yet), or what every later send fails with (ESTALE, EACCES, EEXIST), or why the relay
//  refused some: these are counted by the first flush, or close, after their refusal only, and
//  yam_error() has the relay's words. In the confirm callback it does not wait.
YAM_EXPORT uint64_t
yam_push_flush(yam_push_t *self, int timeout_ms);

//  Sets the function that hears of confirms; NULL for none. Returns when no earlier one is running.
YAM_EXPORT void
yam_push_set_confirm(yam_push_t *self, yam_confirm_fn confirm, void *arg);

typedef yam_sender_stats_t yam_push_stats_t;

YAM_EXPORT void
yam_push_stats(yam_push_t *self, yam_push_stats_t *stats);

//  The first endpoint really bound, by itself or by the relay in this process, with the port that
//  '*' got; the endpoint given when it connects. Borrowed.
YAM_EXPORT const char *
yam_push_endpoint(const yam_push_t *self);

#ifdef __cplusplus
}
#endif
#endif
