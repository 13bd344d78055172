/*  yami_failpoint - places where a test may end the process.

    Not a switch: in every build that is meant for use YAMI_FAILPOINT(name) is nothing. With `make
    FAILPOINTS=yes`, in a folder of its own, the process kills itself, as `kill -9` would, at the
    N-th time that it comes by the point which YAM_FAILPOINT="NAME:N" names. "NAME:N+MS" first holds
    that thread for so many milliseconds: what it has handed to others leaves the process then.
    "NAME:N~" freezes the process there, until somebody wakes it with SIGCONT.
*/
#ifndef YAMI_FAILPOINT_H
#define YAMI_FAILPOINT_H

#ifdef YAMI_FAILPOINTS

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static inline void
yami_failpoint(const char *name, atomic_long *count)
{
    const char *wanted = getenv("YAM_FAILPOINT");
    size_t size = strlen(name);
    if (wanted != NULL && strncmp(wanted, name, size) == 0 && wanted[size] == ':' &&
        atomic_fetch_add(count, 1) + 1 == strtol(wanted + size + 1, NULL, 10)) {
        const char *pause = strchr(wanted, '+');
        (void) poll(NULL, 0, pause != NULL ? (int) strtol(pause + 1, NULL, 10) : 0);
        (void) raise(strchr(wanted, '~') != NULL ? SIGSTOP : SIGKILL);
    }
}

#define YAMI_FAILPOINT(name)                                                                       \
    do {                                                                                           \
        static atomic_long failpoint_count;                                                        \
        yami_failpoint(name, &failpoint_count);                                                    \
    } while (0)

#else
#define YAMI_FAILPOINT(name) ((void) 0)
#endif

#endif
