//  A counter that every fork moves on in the child.

#include "yami_fork.h"

#include <pthread.h>

#include "yami_base.h"

static uint64_t s_stamp = 1; //  changed only in a child, while it has one thread
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static void
s_move_on(void)
{
    s_stamp++;
}

static void
s_watch(void)
{
    int rc = pthread_atfork(NULL, NULL, s_move_on);
    YAM_ASSERT(rc == 0);
}

uint64_t
yami_fork_stamp(void)
{
    return s_stamp;
}

void
yami_fork_watch(void)
{
    (void) pthread_once(&s_once, s_watch);
}
