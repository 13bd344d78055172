//  yami_delays - lists of delays. See the header.

#include "yami_delays.h"

#include <ctype.h>
#include <errno.h>

#include "yami_base.h"
#include "yami_limits.h"

//  One delay, "500ms", "30s", "2m", "1h" or plain milliseconds; moves *text_p behind it. -1 when
//  there is none.
static int64_t
s_delay(const char **text_p)
{
    const char *at = *text_p;
    int64_t number = 0;
    if (!isdigit((unsigned char) *at)) {
        return -1;
    }
    for (; isdigit((unsigned char) *at); at++) {
        number = number * 10 + (*at - '0');
        if (number > YAMI_LIMIT_RETRY_MS) {
            return -1;
        }
    }
    int64_t factor = 1;
    if (at[0] == 'm' && at[1] == 's') {
        at += 2;
    } else if (*at == 's' || *at == 'm' || *at == 'h') {
        factor = *at == 's' ? 1000 : *at == 'm' ? 60000 : 3600000;
        at++;
    }
    *text_p = at;
    return number <= YAMI_LIMIT_RETRY_MS / factor ? number * factor : -1;
}

int
yami_delays_parse(const char *text, int64_t delays_ms[YAMI_LIMIT_DELAYS])
{
    const char *at = text;
    int count = 0;
    while (count < YAMI_LIMIT_DELAYS) {
        int64_t delay_ms = s_delay(&at);
        if (delay_ms == -1 || (*at != ':' && *at != '\0')) {
            break;
        }
        delays_ms[count++] = delay_ms;
        if (*at++ == '\0') {
            return count;
        }
    }
    return yami_fail(EINVAL,
                     "backoff '%.64s' must be 1 to %d delays of at most 30 days, like 1s:5s:2m",
                     text, YAMI_LIMIT_DELAYS);
}
