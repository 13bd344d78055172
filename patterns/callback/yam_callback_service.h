/*  yam_callback_service - keeps confirms, and on a check without one calls the producer's service.

    A value you can put anywhere: in a program of yours, or alone in the daemon yam-callbackd. One
    thread of its own. Two services may share the queues and the database: each case is worked on by
    one of them at a time. Promises: (1) a check or confirm is acknowledged at the relay only when
    its effect is durable in the database; (2) nobody is called for a message whose confirm was
    durable at the relay before its check was due; (3) every checked message ends confirmed, gone by
    its producer's word, or as a case that is open for people; (4) a producer that does not answer
    costs no round. While the relay or the database is away it waits, says so in the log, and goes
    on by itself.
*/
#ifndef YAM_CALLBACK_SERVICE_H
#define YAM_CALLBACK_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_callback_store.h"
#include "yam_context.h"
#include "yam_option.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_callback_service yam_callback_service_t;

//  Starts to work on the queues of the relay at endpoint (as for yam_pull_new, of the sure grade).
//  Takes over *store_p, and clears it, on success. options (may be NULL) is "name=value&...": see
//  yam_callback_service_option. Does not wait for the relay. NULL with errno EINVAL, EMFILE, ECHILD
//  ... and a sentence. The caller owns the result.
YAM_EXPORT yam_callback_service_t *
yam_callback_service_new(yam_t *yam, const char *endpoint, yam_callback_store_t **store_p,
                         const char *options);

//  Stops: gives back what was not stored, gives up calls under way (they are made again by whoever
//  comes next), frees *self_p and clears it. Takes at most some seconds. Safe on NULL.
YAM_EXPORT void
yam_callback_service_destroy(yam_callback_service_t **self_p);

//  Counters since new.
typedef struct {
    uint64_t checks;         //  stored and acknowledged, duplicates included
    uint64_t confirms;       //  the same
    uint64_t malformed;      //  messages that were neither: sent to the dead letters
    uint64_t calls;          //  calls begun
    uint64_t resent;         //  answers: resent
    uint64_t gone;           //  answers: nothing to resend
    uint64_t unanswered;     //  calls without an answer, or with "later"
    uint64_t stale;          //  answers of calls that others had made again
    uint64_t opened;         //  cases that became open
    uint64_t done;           //  cases that were confirmed after a call
    uint64_t asked;          //  questions to the relay, how far the confirms are
    uint64_t store_failures; //  transactions that failed and were tried again
    uint64_t pruned;         //  rows forgotten
} yam_callback_service_stats_t;

//  Thread-safe.
YAM_EXPORT void
yam_callback_service_stats(yam_callback_service_t *self, yam_callback_service_stats_t *stats);

//  Monotonic milliseconds of the last turn of the service's loop: for a watchdog. Thread-safe.
YAM_EXPORT int64_t
yam_callback_service_last_turn_ms(yam_callback_service_t *self);

//  Describes option number index (0..). Whether there is one.
YAM_EXPORT bool
yam_callback_service_option(size_t index, yam_option_t *option);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_callback_service_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
