/*  yam_callback - the delayed second check: was done what was sent? For paths that cannot afford a
    table of messages.

    The producer stores only its business row, and sends with each message a check, which the relay
    delivers after "delay" [5 min]. The consumer, when done, sends a confirm: a message of its own,
    not the ack. A callback service (yam_callback_service.h, or the daemon yam-callbackd) keeps the
    confirms; on a check without one it calls the producer's service, which reads its row again.

        producer    expect (id), COMMIT, send_expected     or: COMMIT, send (a crash in between
                    serve: read the row again, resend          leaves a row that nobody sends)
        consumer    work, COMMIT, confirm, yam_pull_ack

    Not a substitute for an inbox: what is resent may have been done already. Thread-safe.
    Invariants:
    (1) A check is handed over before its message. What was expected is at the relay before its
    message; of what is sent together, either may be there alone until yam_callback_flush.
    (2) A message that is resent has the id it had, and the number of its round.
    Wire: patterns/callback/SPEC.md.
*/
#ifndef YAM_CALLBACK_H
#define YAM_CALLBACK_H

#include <stddef.h>
#include <stdint.h>

#include "yam_context.h"
#include "yam_message.h"
#include "yam_push.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YAM_CALLBACK_CHECKS "callback.checks"     //  the queue of checks, unless an option says
#define YAM_CALLBACK_CONFIRMS "callback.confirms" //  the queue of confirms

typedef struct yam_callback yam_callback_t;

//  -- The producer ------------------------------------------------------------------------------

//  Opens the sending side for messages of queue, which service (a name as for yam_push_new) resends
//  when they are not confirmed. endpoint: as for yam_push_new, of the sure grade. options (may be
//  NULL) is "name=value&...": see yam_callback_options_help. NULL with errno as yam_push_new. The
//  caller owns the result.
YAM_EXPORT yam_callback_t *
yam_callback_new(yam_t *yam, const char *queue, const char *service, const char *endpoint,
                 const char *options);

//  Stops serving, sends what is open, waits up to the endpoint's "linger" [5 s], frees *self_p and
//  clears it. Safe on NULL.
YAM_EXPORT void
yam_callback_destroy(yam_callback_t **self_p);

//  Sends the check of a message that will have that id (1..200 bytes of text), and waits up to
//  timeout_ms (-1: for ever) until the relay has it. Before the business transaction commits: then
//  no crash leaves a row that nobody sends. "delay" must be longer than the transaction takes. 0,
//  or -1 with errno EINVAL (id), EAGAIN (not confirmed in time: it may have come or not, which is
//  harmless), that of the relay's refusal, or as yam_push_send, and a sentence. A check that
//  another thread sends meanwhile, and that is refused, may fail this call, too.
YAM_EXPORT int
yam_callback_expect(yam_callback_t *self, const char *id, int timeout_ms);

//  Sends a message whose check is at the relay already. It needs a property "id". Outcomes as
//  yam_push_send_message, and EINVAL (no id).
YAM_EXPORT int
yam_callback_send_expected(yam_callback_t *self, yam_message_t **message_p);

//  Sends the check, then the message. Outcomes as above; when -1, a check may have been sent
//  without its message: the service is asked then, and says that there is nothing, or resends. A
//  process that dies before yam_callback_flush may leave a message that comes and is not checked,
//  too: who cannot have that expects it.
YAM_EXPORT int
yam_callback_send(yam_callback_t *self, yam_message_t **message_p);

//  Waits until all checks and messages are confirmed by the relay, at most timeout_ms (-1: for
//  ever). Returns how many are not: 0 is success.
YAM_EXPORT uint64_t
yam_callback_flush(yam_callback_t *self, int timeout_ms);

//  What the producer's service says of a message that is not confirmed.
typedef enum {
    YAM_CALLBACK_RESEND = 1, //  here it is again, in *message_p
    YAM_CALLBACK_GONE = 2,   //  there is nothing to send (any more): the case is closed
    YAM_CALLBACK_LATER = 3,  //  cannot say now: ask again
} yam_callback_answer_t;

typedef struct {
    const char *id;    //  of the message
    unsigned round;    //  1..: how often it was resent, this time included
    const char *queue; //  where it was sent
} yam_callback_case_ref_t;

//  Reads the business row again. RESEND: *message_p gets a message, which needs no id; the same
//  content as before, else an inbox calls it a CONFLICT. note, of note_size bytes, is "" and may be
//  written: people see it in the history of the case. Called by a thread of its own; it may block.
typedef yam_callback_answer_t (*yam_callback_fn)(void *arg, const yam_callback_case_ref_t *ref,
                                                 yam_message_t **message_p, char *note,
                                                 size_t note_size);

//  Answers the calls of callback services from now on, once per object. Several processes may serve
//  one service: each call reaches one of them. 0, or -1 with errno as yam_rpc_serve, and EALREADY.
YAM_EXPORT int
yam_callback_serve(yam_callback_t *self, yam_callback_fn answer, void *arg);

typedef struct {
    uint64_t sent;    //  messages
    uint64_t checks;  //  checks sent
    uint64_t resent;  //  messages, for a callback service that called
    uint64_t gone;    //  calls answered with GONE
    uint64_t later;   //  calls answered with LATER, those of which the resending failed included
    uint64_t refused; //  calls that were none: malformed
} yam_callback_stats_t;

YAM_EXPORT void
yam_callback_stats(yam_callback_t *self, yam_callback_stats_t *stats);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_callback_options_help(void);

//  -- The consumer ------------------------------------------------------------------------------

//  Says that a received message was done. confirms is a pusher of the queue YAM_CALLBACK_CONFIRMS,
//  of the sure grade. After the effect is committed, before the ack: a consumer that dies in
//  between gets the message again. Of one that an inbox calls a DUPLICATE, too: whoever had its
//  effect may have died before it confirmed. Outcomes as yam_push_send, and EINVAL (the message has
//  no id).
YAM_EXPORT int
yam_callback_confirm(yam_push_t *confirms, const yam_message_t *message);

//  Says that it could not be done, and will not be by this consumer: the service is called when the
//  check is due. reason (may be NULL; 1024 bytes are kept) is shown to people.
YAM_EXPORT int
yam_callback_confirm_failed(yam_push_t *confirms, const yam_message_t *message, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
