//  What can be set on a callback service. See the header.

#include "yami_callback_options.h"

#include <stddef.h>

#include "yam_callback.h"
#include "yam_callback_service.h"
#include "yami_callback_wire.h"
#include "yami_delays.h"
#include "yami_limits.h"

#define S_DAY_MS (24ll * 3600 * 1000)
//  Until an answer that came in time is stored. A test that kills those who call waits for it.
#ifdef YAMI_FAILPOINTS
#define S_STORE_MS 1000
#else
#define S_STORE_MS 10000
#endif

#define S_INT(name, member, minimum, maximum, initial, unit, help)                                 \
    {                                                                                              \
        name, YAMI_OPTION_INT, offsetof(yami_callback_options_t, member), minimum, maximum,        \
            initial, unit, NULL, help                                                              \
    }
#define S_STRING(name, member, initial, help)                                                      \
    {                                                                                              \
        name, YAMI_OPTION_STRING, offsetof(yami_callback_options_t, member), 1,                    \
            sizeof((yami_callback_options_t *) NULL)->member - 1, initial, "", NULL, help          \
    }

const yami_option_t yami_callback_option_table[] = {
    S_STRING("checks", checks, YAM_CALLBACK_CHECKS, "the queue of checks"),
    S_STRING("confirms", confirms, YAM_CALLBACK_CONFIRMS, "the queue of confirms"),
    S_INT("rounds", round_limit, 0, 1000, "3", "resends",
          "how often a message is resent before its case is open for people"),
    S_INT("tries", try_limit, 1, 1000, "10", "calls",
          "calls without an answer in one round before the case is open"),
    S_STRING("backoff", backoff, "1s:5s:30s:2m:10m",
             "wait after each call without an answer, the last one repeats"),
    S_INT("delay", delay_ms, 1, YAMI_LIMIT_CHECK_MS, "5m", "ms",
          "from a resend to the next look, for checks that name none"),
    S_INT("call-timeout", call_timeout_ms, 10, 3600 * 1000, "30s", "ms",
          "how long a call may take"),
    S_INT("calls", call_limit, 1, YAMI_LIMIT_CALLS, "64", "calls", "calls at a time"),
    S_INT("retention", retention_ms, 1000, 3650 * S_DAY_MS, "168h", "ms",
          "how long confirms and ended cases are kept; longer than any delay"),
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

int
yami_callback_options_read(yami_callback_options_t *options, yami_callback_rules_t *rules,
                           const char *text)
{
    yami_options_init(yami_callback_option_table, options);
    if (yami_options_read(yami_callback_option_table, options, text) == -1) {
        return -1;
    }
    int count = yami_delays_parse(options->backoff, rules->backoff_ms);
    if (count == -1) {
        return -1;
    }
    rules->backoff_count = (size_t) count;
    rules->round_limit = (uint32_t) options->round_limit;
    rules->try_limit = (uint32_t) options->try_limit;
    rules->lease_ms = options->call_timeout_ms + S_STORE_MS;
    return 0;
}

const char *
yam_callback_service_options_help(void)
{
    static char text[2048];
    return yami_options_help_once(yami_callback_option_table, text, sizeof text);
}

bool
yam_callback_service_option(size_t index, yam_option_t *option)
{
    return yami_options_describe(yami_callback_option_table, index, option);
}
