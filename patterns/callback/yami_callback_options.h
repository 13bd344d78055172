/*  yami_callback_options - what can be set on a callback service; one table drives parsing, help
    and the daemon's file.
*/
#ifndef YAMI_CALLBACK_OPTIONS_H
#define YAMI_CALLBACK_OPTIONS_H

#include <stdint.h>

#include "yam_callback_db.h"
#include "yami_callback_core.h"
#include "yami_option.h"

typedef struct {
    char checks[YAM_CALLBACK_NAME + 1]; //  the queues
    char confirms[YAM_CALLBACK_NAME + 1];
    int64_t round_limit;
    int64_t try_limit;
    char backoff[256];
    int64_t delay_ms; //  of checks that name none
    int64_t call_timeout_ms;
    int64_t call_limit; //  calls at a time
    int64_t retention_ms;
} yami_callback_options_t;

extern const yami_option_t yami_callback_option_table[];

//  Reads "name=value&..." over the defaults, and what the core needs of it. 0, or -1 with errno
//  EINVAL and a sentence.
int
yami_callback_options_read(yami_callback_options_t *options, yami_callback_rules_t *rules,
                           const char *text);

#endif
