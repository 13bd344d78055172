/*  yam_pub - publishes messages on a topic: each goes to every subscription.

    The endpoint string decides what is guaranteed, as for yam_push (see there). A message may carry
    a subject ("eu.de.orders"); fast subscribers choose by subject prefix, sure ones by subject
    filter ('*' one word, '>' the rest). Fast grade: a subscriber that is slow, absent or late
    misses messages. What a slow one loses it counts itself, as gaps, when the framing is batch;
    here overflows count frames with which somebody began to lose some. Thread-safe. Invariants as
    yam_push.
*/
#ifndef YAM_PUB_H
#define YAM_PUB_H

#include <stddef.h>
#include <stdint.h>

#include "yam_confirm.h"
#include "yam_context.h"
#include "yam_message.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_pub yam_pub_t;

//  Opens a publisher of the named topic. Parameters and errors as yam_push_new. The caller owns the
//  result.
YAM_EXPORT yam_pub_t *
yam_pub_new(yam_t *yam, const char *topic, const char *endpoint);

//  Sends what is open, waits up to the option "linger" [5 s] for confirms, then frees *self_p and
//  clears it. Safe on NULL.
YAM_EXPORT void
yam_pub_destroy(yam_pub_t **self_p);

//  Like destroy with a deadline of timeout_ms (-1: none): returns how many messages were not
//  confirmed (sure) or not handed to the transport (fast).
YAM_EXPORT uint64_t
yam_pub_close(yam_pub_t **self_p, int timeout_ms);

//  Waits until at least count subscriptions are active (fast grade; 0 at once in the sure grade and
//  over multicast, where nobody tells), at most timeout_ms (-1: for ever). 0, or -1 with errno
//  EAGAIN. Cures the slow joiner: what is published afterwards reaches them. A foreign subscriber
//  counts once for each of its subscriptions.
YAM_EXPORT int
yam_pub_wait(yam_pub_t *self, unsigned count, int timeout_ms);

//  Sends size bytes (copied) without a subject. Returns 0: accepted, and in the sure grade kept
//  until confirmed. -1 with errno, the message not accepted: EAGAIN (window or high-water mark full
//  for "send-timeout" ms [-1 = wait for ever]), ENOTCONN (the same, and no peer is connected),
//  EMSGSIZE, ESTALE (a newer epoch of this producer took over), EEXIST (the channel is of another
//  kind), EIO (the relay's storage failed), EACCES (not allowed), ECHILD.
YAM_EXPORT int
yam_pub_send(yam_pub_t *self, const void *body, size_t size);

//  Sends a message with properties; the same outcomes, and for one with a due time ENOTSUP (in the
//  fast grade) and ENAMETOOLONG (the name has more than 192 bytes). On success *message_p is freed
//  and cleared, otherwise it stays the caller's.
YAM_EXPORT int
yam_pub_send_message(yam_pub_t *self, yam_message_t **message_p);

//  Waits until everything sent so far is confirmed (sure) or handed to the transport (fast), at
//  most timeout_ms (-1: for ever). Returns how many messages are not: 0 is success, else errno is
//  EAGAIN (not yet), or what every later send fails with (ESTALE, EACCES, EEXIST), or why the relay
//  refused some: these are counted by the first flush, or close, after their refusal only, and
//  yam_error() has the relay's words. In the confirm callback it does not wait.
YAM_EXPORT uint64_t
yam_pub_flush(yam_pub_t *self, int timeout_ms);

//  Sets the function that hears of confirms; NULL for none. Returns when no earlier one is running.
YAM_EXPORT void
yam_pub_set_confirm(yam_pub_t *self, yam_confirm_fn confirm, void *arg);

typedef yam_sender_stats_t yam_pub_stats_t;

YAM_EXPORT void
yam_pub_stats(yam_pub_t *self, yam_pub_stats_t *stats);

//  The first endpoint really bound, by itself or by the relay in this process, with the port that
//  '*' got; the endpoint given when it connects. Borrowed.
YAM_EXPORT const char *
yam_pub_endpoint(const yam_pub_t *self);

#ifdef __cplusplus
}
#endif
#endif
