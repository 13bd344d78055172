//  One line, one write: lines of several threads do not mix.

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_log.h"

#define TEXT_SIZE 1024
#define LINE_SIZE 2048
#define WINDOW_MS 1000

static _Atomic int s_level = YAMI_LOG_WARN;
static pthread_mutex_t s_sites_lock = PTHREAD_MUTEX_INITIALIZER; //  guards every yami_log_site_t

void
yami_log_set_level(yami_log_level_t level)
{
    atomic_store(&s_level, (int) level);
}

static bool
s_is_wanted(yami_log_level_t level)
{
    return (int) level <= atomic_load_explicit(&s_level, memory_order_relaxed);
}

//  "2026-01-31T12:00:00.123Z warn event "; returns its length.
static size_t
s_print_prefix(char *line, size_t size, yami_log_level_t level, const char *event)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    int64_t now_ms = yami_clock_wall_ms();
    time_t seconds = (time_t) (now_ms / 1000);
    struct tm parts;
    char date[32];
    (void) gmtime_r(&seconds, &parts);
    (void) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    int length = snprintf(line, size, "%s.%03dZ %s %.64s ", date, (int) (now_ms % 1000),
                          names[level], event);
    YAM_ASSERT(length > 0 && (size_t) length < size);
    return (size_t) length;
}

//  Copies text with control characters as \xNN: a peer's name must not forge a line or move a
//  cursor.
static size_t
s_escape(char *line, size_t size, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (; *text && used + 4 < size; text++) {
        unsigned char byte = (unsigned char) *text;
        if (byte >= 0x20 && byte != 0x7f) {
            line[used++] = *text;
            continue;
        }
        line[used++] = '\\';
        line[used++] = 'x';
        line[used++] = digits[byte >> 4];
        line[used++] = digits[byte & 15];
    }
    return used;
}

__attribute__((format(printf, 4, 0))) static void
s_print(yami_log_level_t level, const char *event, uint64_t suppressed, const char *format,
        va_list arguments)
{
    char text[TEXT_SIZE];
    char line[LINE_SIZE];
    (void) vsnprintf(text, sizeof text, format, arguments);
    size_t used = s_print_prefix(line, sizeof line, level, event);
    used += s_escape(line + used, sizeof line - used - 64, text);
    if (suppressed > 0) {
        used +=
            (size_t) snprintf(line + used, 48, " suppressed=%llu", (unsigned long long) suppressed);
    }
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void) written; //  there is nobody left to tell
}

void
yami_log(yami_log_level_t level, const char *event, const char *format, ...)
{
    if (!s_is_wanted(level)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    s_print(level, event, 0, format, arguments);
    va_end(arguments);
}

//  Whether this line may be printed; *suppressed_p is then how many were not since the last one.
static bool
s_admit(yami_log_site_t *site, uint64_t *suppressed_p)
{
    int64_t now_ms = yami_clock_mono_ms();
    (void) pthread_mutex_lock(&s_sites_lock);
    if (now_ms - site->window_ms >= WINDOW_MS) {
        site->window_ms = now_ms;
        site->count = 0;
    }
    bool is_admitted = site->count < YAMI_LIMIT_LOG_LINES;
    if (is_admitted) {
        site->count++;
        *suppressed_p = site->suppressed;
        site->suppressed = 0;
    } else {
        site->suppressed++;
    }
    (void) pthread_mutex_unlock(&s_sites_lock);
    return is_admitted;
}

void
yami_log_limited(yami_log_site_t *site, yami_log_level_t level, const char *event,
                 const char *format, ...)
{
    uint64_t suppressed;
    if (!s_is_wanted(level) || !s_admit(site, &suppressed)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    s_print(level, event, suppressed, format, arguments);
    va_end(arguments);
}
