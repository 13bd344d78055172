/*  yami_relay_commit - the thread that makes things durable: one write and one sync for all that
    has gathered.

    No timer: while one sync runs the next group gathers. Only what finds no space on the disk is
    tried again by time.
*/
#ifndef YAMI_RELAY_COMMIT_H
#define YAMI_RELAY_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_store.h"

typedef struct yami_relay_commit yami_relay_commit_t;

//  Starts the thread; store is borrowed. Each time something became durable, or the store failed, 1
//  is added to the eventfd wake_fd. NULL with errno ENOMEM.
yami_relay_commit_t *
yami_relay_commit_new(yami_store_t *store, int wake_fd);

//  Commits what is there, stops the thread, frees.
void
yami_relay_commit_destroy(yami_relay_commit_t **self_p);

//  Entries up to lsn (it never sinks) were appended. While the store has no space for them, they
//  are tried again.
void
yami_relay_commit_kick(yami_relay_commit_t *self, uint64_t lsn);

//  Highest LSN known durable. Any thread.
uint64_t
yami_relay_commit_durable(const yami_relay_commit_t *self);

//  The errno of the commit that failed, 0 while all is well.
int
yami_relay_commit_error(const yami_relay_commit_t *self);

#endif
