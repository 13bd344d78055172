/*  yami_relay_commit - the thread that makes things durable: one write and one sync for all that has gathered.

    No timer: while one sync runs the next group gathers.
*/
#ifndef YAMI_RELAY_COMMIT_H
#define YAMI_RELAY_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_store.h"

typedef struct yami_relay_commit yami_relay_commit_t;

//  Starts the thread; store is borrowed. Each time something became durable, or the store failed, 1 is added to the eventfd
//  wake_fd. NULL with errno EAGAIN.
yami_relay_commit_t *
yami_relay_commit_new(yami_store_t *store, int wake_fd);

//  Commits what is there, stops the thread, frees.
void
yami_relay_commit_destroy(yami_relay_commit_t **self_p);

//  Something was appended.
void
yami_relay_commit_kick(yami_relay_commit_t *self);

//  Highest LSN known durable. Any thread.
uint64_t
yami_relay_commit_durable(const yami_relay_commit_t *self);

//  The errno of the commit that failed, 0 while all is well.
int
yami_relay_commit_error(const yami_relay_commit_t *self);

#endif
