/*  yam_sub - receives the messages of a topic: every subscription gets every message.

    Fast grade: option "subject" is a prefix of the subjects wanted ["" = all].
    Sure grade: option "group" names a durable subscription whose members share its messages;
    without one the subscription is its own and ends with this object. Option "start" [new; first
    for a durable group] is "first", "new" or a sequence, and counts only when the group is created;
    "subject" is a filter of words ('*' one, '>' the rest). The subscription exists at the relay
    before yam_sub_new returns when option "connect-timeout" [5 s] allows. Leases, settling,
    "credit" and "limit" as in yam_pull. Thread-safe: several threads may receive and settle.
*/
#ifndef YAM_SUB_H
#define YAM_SUB_H

#include <stddef.h>
#include <stdint.h>

#include "yam_confirm.h"
#include "yam_context.h"
#include "yam_message.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_sub yam_sub_t;

//  Opens a subscription to the named topic. Errors as yam_push_new; in the sure grade also
//  ETIMEDOUT (no relay answered within "connect-timeout"). The caller owns the result.
YAM_EXPORT yam_sub_t *
yam_sub_new(yam_t *yam, const char *topic, const char *endpoint);

//  Releases what is unsettled, sends pending acks, frees *self_p and clears it. Waits at most the
//  option "linger" [5 s]. Safe on NULL.
YAM_EXPORT void
yam_sub_destroy(yam_sub_t **self_p);

//  Like destroy with a deadline of timeout_ms (-1: none): returns how many settled messages were
//  not known to be durable.
YAM_EXPORT uint64_t
yam_sub_close(yam_sub_t **self_p, int timeout_ms);

//  The next message; waits up to timeout_ms (0: not at all, -1: for ever). The caller owns the
//  result. NULL with errno EAGAIN (none in time), ENODATA ("limit" reached), EACCES, ENOENT, EEXIST
//  (the channel is of another kind), EIO, ECHILD, ENOMEM (fast grade: it is still there).
YAM_EXPORT yam_message_t *
yam_sub_recv(yam_sub_t *self, int timeout_ms);

//  Done: the subscription has settled the message. Frees and clears *message_p. 0, or -1 with errno
//  ESTALE: the session in which it was received is over, so the message will come again (it is
//  freed all the same).
YAM_EXPORT int
yam_sub_ack(yam_sub_t *self, yam_message_t **message_p);

//  Failed: deliver again after delay_ms (0: at once, -1: by the relay's backoff list). reason (may
//  be NULL) is kept with the message and shown in the dead letters. Outcomes as ack.
YAM_EXPORT int
yam_sub_nack(yam_sub_t *self, yam_message_t **message_p, int delay_ms, const char *reason);

//  Can never succeed: to the dead letters, now. Outcomes as ack.
YAM_EXPORT int
yam_sub_reject(yam_sub_t *self, yam_message_t **message_p, const char *reason);

//  Not done, no blame: back to its place for whoever comes next. Outcomes as ack.
YAM_EXPORT int
yam_sub_release(yam_sub_t *self, yam_message_t **message_p);

//  Starts the lease of a message anew. 0, or -1 with errno ESTALE.
YAM_EXPORT int
yam_sub_extend(yam_sub_t *self, const yam_message_t *message);

//  Waits until all settled messages are durably so, at most timeout_ms (-1: for ever). Returns how
//  many are not.
YAM_EXPORT uint64_t
yam_sub_flush(yam_sub_t *self, int timeout_ms);

//  A descriptor for poll/epoll/select of a foreign event loop: readable when yam_sub_recv(self, 0)
//  may have something. Call recv until it gives EAGAIN, then wait again. Borrowed: neither read nor
//  close it. Call it once before the first wait.
YAM_EXPORT int
yam_sub_fd(yam_sub_t *self);

typedef yam_receiver_stats_t yam_sub_stats_t;

YAM_EXPORT void
yam_sub_stats(yam_sub_t *self, yam_sub_stats_t *stats);

//  The first endpoint really bound, by itself or by the relay in this process, with the port that
//  '*' got; the endpoint given when it connects. Borrowed.
YAM_EXPORT const char *
yam_sub_endpoint(const yam_sub_t *self);

#ifdef __cplusplus
}
#endif
#endif
