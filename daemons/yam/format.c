#include "format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "yami_base.h"
#include "yami_limits.h"

#define S_LETTERS "bksndft0%"

int
cli_format_check(const char *format)
{
    for (const char *at = format; *at; at++) {
        size_t column = (size_t) (at - format) + 1;
        if (*at == '\\' && (!at[1] || !strchr("ntr\\", at[1]))) {
            return yami_fail(EINVAL, "format: '\\' at column %zu must be \\n, \\t, \\r or \\\\",
                             column);
        }
        if (*at == '%' && at[1] == '{') {
            size_t length = strcspn(at, "}");
            if (!at[length] || length < 3 || length - 2 > YAMI_LIMIT_FORMAT_NAME) {
                return yami_fail(EINVAL, "format: '%%{' at column %zu must be %%{NAME}", column);
            }
            at += length;
        } else if (*at == '%' && (!at[1] || !strchr(S_LETTERS, at[1]))) {
            return yami_fail(EINVAL,
                             "format: '%%' at column %zu must be %%b, %%k, %%s, %%n, %%d, %%f, "
                             "%%t, %%{NAME}, %%0 or %%%%",
                             column);
        } else if (*at == '%' || *at == '\\') {
            at++;
        }
    }
    return 0;
}

const char *
cli_format_time(int64_t time_ms, char *buffer, size_t size)
{
    struct tm parts;
    time_t seconds = (time_t) (time_ms / 1000);
    buffer[0] = '\0';
    if (time_ms > 0 && gmtime_r(&seconds, &parts)) {
        size_t used = strftime(buffer, size, "%Y-%m-%dT%H:%M:%S", &parts);
        (void) snprintf(buffer + used, size - used, ".%03dZ", (int) (time_ms % 1000));
    }
    return buffer;
}

//  "2026-01-31T12:00:00Z", with or without a fraction of a second; -1 when it is none.
static int64_t
s_parse_utc(const char *text)
{
    struct tm parts = {0};
    const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    int64_t ms = 0;
    if (at && *at == '.') {
        int64_t unit = 100;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) {
            ms += (*at - '0') * unit;
        }
    }
    if (!at || strcmp(at, "Z") != 0) {
        return -1;
    }
    struct tm real = parts; //  timegm makes 3 March of 31 February
    int64_t seconds = (int64_t) timegm(&real);
    bool is_same =
        real.tm_mday == parts.tm_mday && real.tm_mon == parts.tm_mon && real.tm_sec == parts.tm_sec;
    return is_same ? seconds * 1000 + ms : -1;
}

int64_t
cli_parse_time(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    bool is_number = digits > 0 && digits < 17 && !text[digits];
    int64_t time_ms = is_number ? (int64_t) strtoll(text, NULL, 10) : s_parse_utc(text);
    if (time_ms <= 0 || time_ms > YAMI_LIMIT_TIME_MS) {
        return yami_fail(EINVAL,
                         "'%.64s' is no time: give 2026-01-31T12:00:00Z (UTC), or milliseconds "
                         "since 1970",
                         text);
    }
    return time_ms;
}

static void
s_print_property(yam_message_t *message, const char *name, FILE *out)
{
    const char *value = yam_message_get(message, name);
    (void) fputs(value ? value : "", out);
}

static void
s_print_field(char letter, yam_message_t *message, FILE *out)
{
    char time[32];
    switch (letter) {
    case 'b':
        (void) fwrite(yam_message_body(message), 1, yam_message_size(message), out);
        break;
    case 'k':
        s_print_property(message, "key", out);
        break;
    case 's':
        (void) fputs(yam_message_subject(message), out);
        break;
    case 'n':
        (void) fprintf(out, "%" PRIu64, yam_message_sequence(message));
        break;
    case 'd':
        (void) fprintf(out, "%" PRIu32, yam_message_deliveries(message));
        break;
    case 'f':
        (void) fprintf(out, "%" PRIu32, yam_message_failures(message));
        break;
    case 't':
        (void) fputs(cli_format_time(yam_message_time_ms(message), time, sizeof time), out);
        break;
    default:
        (void) fputc(letter == '0' ? '\0' : letter, out);
        break;
    }
}

static char
s_escaped(char letter)
{
    static const char from[] = "ntr";
    static const char to[] = "\n\t\r";
    const char *at = strchr(from, letter);
    return at ? to[at - from] : letter;
}

void
cli_format_print(const char *format, yam_message_t *message, FILE *out)
{
    for (const char *at = format; *at; at++) {
        if (*at == '\\') {
            (void) fputc(s_escaped(*++at), out);
        } else if (*at == '%' && at[1] == '{') {
            char name[YAMI_LIMIT_FORMAT_NAME + 1];
            size_t length = strcspn(at, "}");
            (void) snprintf(name, sizeof name, "%.*s", (int) length - 2, at + 2);
            s_print_property(message, name, out);
            at += length;
        } else if (*at == '%') {
            s_print_field(*++at, message, out);
        } else {
            (void) fputc(*at, out);
        }
    }
}
