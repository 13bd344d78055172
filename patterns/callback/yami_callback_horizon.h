/*  yami_callback_horizon - when checks may be judged: not before the confirms are stored that the
    relay had.

        note which cases are due -> ask -> hear, until it says true -> judge the noted ones, no
        other

    No clock is compared with another one: a check that was noted had been delivered, so what the
    relay had before it was due was in the queue before the question, and has a sequence up to the
    last one heard first. Once the queue's floor, below which all is acknowledged, is beyond that,
    those confirms are in the database: they are acknowledged by whoever stored them, and only then.
    So it holds for two services as well. Pure. Invariant: last never grows between ask and true.
*/
#ifndef YAMI_CALLBACK_HORIZON_H
#define YAMI_CALLBACK_HORIZON_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool has_heard;
    uint64_t last; //  of the confirms' queue when it was asked first
} yami_callback_horizon_t;

//  Begins a new question.
void
yami_callback_horizon_ask(yami_callback_horizon_t *self);

//  Hears the queue's last sequence and its floor, the first one not acknowledged (last + 1: none).
//  Whether what was noted before the question may be judged.
bool
yami_callback_horizon_hear(yami_callback_horizon_t *self, uint64_t last, uint64_t floor);

#endif
