/*  yami_outbox_driver - what a dispatcher does between its core and the database, without threads
    or sockets: so tests run all of it.

    Not thread-safe. Invariants:
    (1) The core hears of a change only when it is durable.
    (2) One turn is one transaction.
*/
#ifndef YAMI_OUTBOX_DRIVER_H
#define YAMI_OUTBOX_DRIVER_H

#include "yami_outbox_core.h"

typedef struct {
    const yam_outbox_db_t *db;
    void *database; //  owned; db's
    yami_outbox_core_t core;
    uint64_t mark;     //  of the database, at the latest look
    int64_t waited_us; //  for the write lock, in the latest transaction
} yami_outbox_driver_t;

//  Takes ownership of database.
void
yami_outbox_driver_init(yami_outbox_driver_t *self, const yam_outbox_db_t *db, void *database,
                        const yami_outbox_core_options_t *options, uint64_t owner);

void
yami_outbox_driver_clear(yami_outbox_driver_t *self);

//  Looks when that is due, and carries out what the core has planned. 1 when something was changed,
//  0 when there was nothing to do, -1 with errno and a sentence: nothing was changed, and the core
//  knows.
int
yami_outbox_driver_turn(yami_outbox_driver_t *self, int64_t now_ms, int64_t wall_ms);

//  Gives all lanes back. 0, or -1 as above.
int
yami_outbox_driver_leave(yami_outbox_driver_t *self);

#endif
