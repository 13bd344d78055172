/*  yami_callback_calls - calls of producers' services under way, and the answers that have come.

    Owned by the thread of a callback service, which alone calls these functions; answers come by
    the engine's thread, and wait here until they are taken. Bounded: a limited number of calls, and
    of services.
*/
#ifndef YAMI_CALLBACK_CALLS_H
#define YAMI_CALLBACK_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "yam_callback_db.h"
#include "yam_context.h"

typedef struct yami_callback_calls yami_callback_calls_t;

//  An answer, or that there is none.
typedef struct {
    char id[YAM_CALLBACK_ID + 1];
    uint32_t call;
    int answer; //  yam_callback_answer_t, 0: none
    char text[YAM_CALLBACK_TEXT + 1];
} yami_callback_answered_t;

//  endpoint is where services are found (borrowed), limit how many calls there may be, wake_fd an
//  eventfd that tells of answers. Never NULL.
yami_callback_calls_t *
yami_callback_calls_new(yam_t *yam, const char *endpoint, size_t limit, int timeout_ms,
                        int wake_fd);

//  Gives all calls up; frees *self_p and clears it. Safe on NULL.
void
yami_callback_calls_destroy(yami_callback_calls_t **self_p);

//  How many more calls may begin.
size_t
yami_callback_calls_free(const yami_callback_calls_t *self);

//  Calls row's service for call number row->call. What cannot be called is answered with none. May
//  wait for the relay, at most the endpoint's "connect-timeout", the first time for a service; not
//  again within a second of having done so in vain.
void
yami_callback_calls_begin(yami_callback_calls_t *self, const yam_case_t *row);

//  The answers there are, at most limit, borrowed into answers. They stay until they are dropped,
//  so that one that could not be stored is seen again. Returns how many.
size_t
yami_callback_calls_answers(yami_callback_calls_t *self, const yami_callback_answered_t **answers,
                            size_t limit);

//  Drops the first count of those that were given last: they are stored.
void
yami_callback_calls_drop(yami_callback_calls_t *self, size_t count);

#endif
