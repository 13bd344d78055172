/*  yam_pull - takes messages from a queue; each message reaches exactly one of the pullers.

    The endpoint string is that of yam_push (see there). In the sure grade each message is leased to
    this puller: settle it with ack, nack, reject or release before the lease [30 s] ends, or extend
    it. Unsettled messages are delivered again. In the fast grade settling always succeeds and means
    nothing, so that one program fits both. Thread-safe: several threads may receive and settle.

    Sure grade: at most "credit" [65536] messages are unsettled at a time. A message destroyed
    without being settled stays unsettled: the relay still holds its lease for this puller, and a
    program that only destroys shall not use up the delivery attempts of the whole queue. It keeps
    its place in the credit for two leases (with lease=0, ten minutes); to look and give back at
    once, release. Option "limit" [0 = none]: so many messages are received in all; no other is
    ever leased to this puller, and recv then fails with ENODATA.
*/
#ifndef YAM_PULL_H
#define YAM_PULL_H

#include <stddef.h>
#include <stdint.h>

#include "yam_confirm.h"
#include "yam_context.h"
#include "yam_message.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_pull yam_pull_t;

//  Opens a puller of the named queue. Errors as yam_push_new. The caller owns the result.
YAM_EXPORT yam_pull_t *
yam_pull_new(yam_t *yam, const char *queue, const char *endpoint);

//  Releases what is unsettled, sends pending acks, frees *self_p and clears it. Waits at most the
//  option "linger" [5 s]. Safe on NULL.
YAM_EXPORT void
yam_pull_destroy(yam_pull_t **self_p);

//  Like destroy with a deadline of timeout_ms (-1: none): returns how many settled messages were
//  not known to be durable.
YAM_EXPORT uint64_t
yam_pull_close(yam_pull_t **self_p, int timeout_ms);

//  The next message; waits up to timeout_ms (0: not at all, -1: for ever). The caller owns the
//  result. NULL with errno EAGAIN (none in time), ENODATA ("limit" reached), EACCES, ENOENT, EEXIST
//  (the channel is of another kind), EIO, ECHILD, ENOMEM (fast grade: it is still there).
YAM_EXPORT yam_message_t *
yam_pull_recv(yam_pull_t *self, int timeout_ms);

//  Done: the message leaves the queue. Frees and clears *message_p. 0, or -1 with errno ESTALE: the
//  session in which it was received is over, so the message will come again (it is freed all the
//  same).
YAM_EXPORT int
yam_pull_ack(yam_pull_t *self, yam_message_t **message_p);

//  Failed: deliver again after delay_ms (0: at once, -1: by the relay's backoff list). reason (may
//  be NULL) is kept with the message and shown in the dead letters. Outcomes as ack.
YAM_EXPORT int
yam_pull_nack(yam_pull_t *self, yam_message_t **message_p, int delay_ms, const char *reason);

//  Can never succeed: to the dead letters, now. Outcomes as ack.
YAM_EXPORT int
yam_pull_reject(yam_pull_t *self, yam_message_t **message_p, const char *reason);

//  Not done, no blame: back to its place for whoever comes next. Outcomes as ack.
YAM_EXPORT int
yam_pull_release(yam_pull_t *self, yam_message_t **message_p);

//  Starts the lease of a message anew. 0, or -1 with errno ESTALE.
YAM_EXPORT int
yam_pull_extend(yam_pull_t *self, const yam_message_t *message);

//  Waits until all settled messages are durably so, at most timeout_ms (-1: for ever). Returns how
//  many are not.
YAM_EXPORT uint64_t
yam_pull_flush(yam_pull_t *self, int timeout_ms);

//  A descriptor for poll/epoll/select of a foreign event loop: readable when yam_pull_recv(self, 0)
//  may have something. Call recv until it gives EAGAIN, then wait again. Borrowed: neither read nor
//  close it. Call it once before the first wait.
YAM_EXPORT int
yam_pull_fd(yam_pull_t *self);

typedef yam_receiver_stats_t yam_pull_stats_t;

YAM_EXPORT void
yam_pull_stats(yam_pull_t *self, yam_pull_stats_t *stats);

//  The first endpoint really bound, by itself or by the relay in this process, with the port that
//  '*' got; the endpoint given when it connects. Borrowed.
YAM_EXPORT const char *
yam_pull_endpoint(const yam_pull_t *self);

#ifdef __cplusplus
}
#endif
#endif
