/*  yami_lock - the lock of a store's directory: one owner in all processes.

    It goes with a descriptor, so it ends with the process, however that ends. A child that was
    forked would have that descriptor, too, and hold the lock for as long as it lives: in a child
    all are closed before fork returns. Only one made without fork (clone by hand) keeps them, as
    long as it executes nothing else.
    Thread-safe.
*/
#ifndef YAMI_LOCK_H
#define YAMI_LOCK_H

#include <sys/queue.h>

typedef struct yami_lock {
    int fd; //  -1: not held
    LIST_ENTRY(yami_lock) of_process;
} yami_lock_t;

//  Locks the directory (an open descriptor) by its file "lock", and writes the process id into it.
//  path is for sentences. 0; or -1 with errno EWOULDBLOCK and a sentence naming the holder, EACCES,
//  ENOSPC ..., and it is not held.
int
yami_lock_take(yami_lock_t *self, int directory, const char *path);

//  Safe on one that is not held.
void
yami_lock_release(yami_lock_t *self);

#endif
