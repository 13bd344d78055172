/*  yami_delays - lists of delays: "1s:5s:30s:2m:10m", the last of which repeats.
*/
#ifndef YAMI_DELAYS_H
#define YAMI_DELAYS_H

#include <stdint.h>

#include "yami_limits.h"

//  Parses text into delays_ms: 1 to 16 delays of at most 30 days, plain milliseconds or with ms, s,
//  m or h. Returns how many, or -1 with errno EINVAL and a sentence.
int
yami_delays_parse(const char *text, int64_t delays_ms[YAMI_LIMIT_DELAYS]);

#endif
