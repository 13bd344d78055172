//  callback_wait - tests wait for what a callback service of their own process has done.
#ifndef CALLBACK_WAIT_H
#define CALLBACK_WAIT_H

#include "yami_callback_turn.h"

#define CALLBACK_PATIENCE_MS 60000 //  how long a failure takes to show

//  Waits until that is so after a turn of service, which has one every half second at the least.
#define CALLBACK_WAIT(service, condition)                                                          \
    do {                                                                                           \
        int64_t until_ms = yami_monitor_deadline(CALLBACK_PATIENCE_MS);                            \
        while (!(condition)) {                                                                     \
            yami_monitor_lock(&(service)->monitor);                                                \
            bool has_time = yami_monitor_wait(&(service)->monitor, until_ms);                      \
            yami_monitor_unlock(&(service)->monitor);                                              \
            if (!has_time) {                                                                       \
                fail_msg("in vain: %s", #condition);                                               \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#endif
