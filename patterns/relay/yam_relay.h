/*  yam_relay - a store between senders and receivers; a value you can put anywhere.

    Inside the producer, inside the consumer, or alone in the daemon yamd. Two threads of its own:
    one decides and talks, one writes and syncs. Not a replicated service: one relay, one directory.
    Promises: (1) no confirm leaves before what it confirms is durable at the level it states; (2)
    nothing is delivered before it is durable; (3) a message leaves a channel only by ack, a counted
    limit policy, an administrator's purge, or into the dead letters with a reason.
*/
#ifndef YAM_RELAY_H
#define YAM_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_context.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_relay yam_relay_t;

//  Whether a relay may be opened so, as far as that can be told without touching anything. 0, or -1
//  with errno EINVAL or EACCES and the sentence that yam_relay_new would give.
YAM_EXPORT int
yam_relay_check(const char *endpoints, const char *options);

//  Opens the store in directory (NULL: in memory), recovers it, binds the comma-separated endpoints
//  and serves. options (may be NULL) is "name=value&name=value", see yam_relay_options_help. NULL
//  with errno EINVAL (endpoint or option; a certificate that is not there), EWOULDBLOCK (directory
//  in use; yam_error() names the holder), EADDRINUSE, EACCES (a non-loopback endpoint without CURVE
//  and without "insecure"), EBADMSG, EPROTONOSUPPORT, ENOSPC ... and a sentence. The caller owns
//  the result.
YAM_EXPORT yam_relay_t *
yam_relay_new(yam_t *yam, const char *endpoints, const char *directory, const char *options);

//  Drains for up to the option "linger" [5 s], seals the store, frees *self_p and clears it. Safe
//  on NULL.
YAM_EXPORT void
yam_relay_destroy(yam_relay_t **self_p);

//  Like destroy with a deadline (-1: none): refuses new messages, waits until leased ones are
//  settled, commits, seals. Returns 0, or -1 with errno EIO when the store had failed.
YAM_EXPORT int
yam_relay_close(yam_relay_t **self_p, int timeout_ms);

//  The endpoints really bound, comma-separated, with the ports '*' got. Borrowed.
YAM_EXPORT const char *
yam_relay_endpoints(const yam_relay_t *self);

//  Changes options that may change while it runs: lease, delivery-limit, backoff, producer-idle and
//  limits, but for those that senders count on (window-messages, window-bytes) and that of a store
//  in memory (memory-size). 0, or -1 with errno EINVAL and a sentence; nothing changed then.
YAM_EXPORT int
yam_relay_set(yam_relay_t *self, const char *name, const char *value);

//  True once the store has failed: the relay has stopped serving; destroy it and start anew.
YAM_EXPORT bool
yam_relay_has_failed(const yam_relay_t *self);

//  Monotonic milliseconds of the last turn of the relay's loop: for a watchdog.
YAM_EXPORT int64_t
yam_relay_last_turn_ms(const yam_relay_t *self);

//  Text for people: every option, one per line, with default, range and meaning. Static storage.
YAM_EXPORT const char *
yam_relay_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
