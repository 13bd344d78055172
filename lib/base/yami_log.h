/*  yami_log - log lines to stderr: "2026-01-31T12:00:00.123Z warn store.sync-failed path=/x
    error=..".

    Stable event name, then key=value. Only actors and daemons log. Payloads never appear. A line
    that a peer can trigger goes through yami_log_limited: at most 10 lines/s per call site, then a
    count. Thread-safe. Control characters in values are escaped.
*/
#ifndef YAMI_LOG_H
#define YAMI_LOG_H

#include <stdint.h>

typedef enum {
    YAMI_LOG_ERROR = 0,
    YAMI_LOG_WARN = 1,
    YAMI_LOG_INFO = 2,
    YAMI_LOG_DEBUG = 3,
} yami_log_level_t;

//  State of one rate-limited call site; zero-initialised static.
typedef struct {
    int64_t window_ms;   //  start of the current second
    uint32_t count;      //  lines in it
    uint64_t suppressed; //  lines not printed since the last printed one
} yami_log_site_t;

//  Lines above this level are dropped [YAMI_LOG_WARN].
void
yami_log_set_level(yami_log_level_t level);

void
yami_log(yami_log_level_t level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void
yami_log_limited(yami_log_site_t *site, yami_log_level_t level, const char *event,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
