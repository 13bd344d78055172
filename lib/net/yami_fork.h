/*  yami_fork - tells a forked child from the process it came from, without a system call.

    getpid() asks the kernel each time; this is one load. Thread-safe.
*/
#ifndef YAMI_FORK_H
#define YAMI_FORK_H

#include <stdint.h>

//  A number that is another one in every child process. Keep it in an object and compare.
uint64_t
yami_fork_stamp(void);

//  Makes the stamp change in children from now on. Called by yam_new.
void
yami_fork_watch(void);

#endif
