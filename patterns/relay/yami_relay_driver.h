/*  yami_relay_driver - carries out what a relay core decides, over a store and whatever sends.

    The part of the shell that has neither threads nor sockets, so that the simulator runs the very
    same code. Not thread-safe but for has_failed: one owner, who alone touches core and store
    (store->commit excepted, see yami_store.h).
    Invariants:
    (1) Tickets are matched to LSNs in the order of append, so that the highest durable ticket
    covers all below; the core hears of a ticket only when its entry is durable.
    (2) Effects are carried out in the order the core gave them, before the next event is taken.
    (3) After a failure (of the store, or of memory for an entry) nothing more is appended: the core
    has built on what is missing, and only recovery gives a consistent state.
    (4) The store is asked for room once per event, and its answer holds for all steps that carrying
    out its effects takes: asked again, it would take back what entries not yet appended rely on.
*/
#ifndef YAMI_RELAY_DRIVER_H
#define YAMI_RELAY_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "yami_relay_core.h"
#include "yami_relay_tickets.h"
#include "yami_store.h"

//  What the owner does for the driver. None may call the driver.
typedef struct {
    //  Sends block, and data (NULL: none) as the second part of the same message. 0, or -1 when the
    //  link is full or gone: the driver forgets it then. What goes to an unknown peer is dropped,
    //  with 0.
    int (*send)(void *arg, uint64_t peer, yami_block_t *block, yami_block_t *data);
    //  The link is forgotten: its number is not used again.
    void (*close)(void *arg, uint64_t peer);
    void (*log)(void *arg, yami_log_level_t level, const char *event, const char *text);
    int64_t (*mono_ms)(void *arg);
    int64_t (*wall_ms)(void *arg);
} yami_relay_driver_ops_t;

typedef struct {
    yami_relay_core_t *core; //  borrowed
    yami_store_t *store;     //  borrowed
    const yami_relay_driver_ops_t *ops;
    void *arg;

    yami_relay_effects_t effects;
    yami_relay_tickets_t tickets;
    uint64_t kicked_lsn;         //  the owner was told to commit all up to it
    uint64_t durable_lsn;        //  as last told to the core
    bool has_room;               //  of the event that is carried out
    int64_t checkpoint_ms;       //  not before: the last one failed
    bool has_told_failure;       //  the core knows
    yami_scrub_progress_t scrub; //  as last told to the core
    atomic_bool has_failed;
} yami_relay_driver_t;

void
yami_relay_driver_init(yami_relay_driver_t *self, yami_relay_core_t *core, yami_store_t *store,
                       const yami_relay_driver_ops_t *ops, void *arg);

//  Frees what it holds; core and store stay the owner's.
void
yami_relay_driver_clear(yami_relay_driver_t *self);

//  Steps the core and carries out what it decides. Clocks and has_room of event are filled in here.
void
yami_relay_driver_event(yami_relay_driver_t *self, yami_relay_event_t *event);

//  One frame of a link (NULL: a message of the wrong shape); block is borrowed.
void
yami_relay_driver_frame(yami_relay_driver_t *self, uint64_t peer, yami_block_t *block);

//  The commit's state: error is its errno (0: none) and durable_lsn what it has made durable. A
//  failure is told to the core, once.
void
yami_relay_driver_durable(yami_relay_driver_t *self, int error, uint64_t durable_lsn);

//  Tells the core what the store's background reading has found since. Once per turn.
void
yami_relay_driver_scrub(yami_relay_driver_t *self);

//  Appends a checkpoint when the store wants one. Between two events only: it is the state of all
//  entries so far.
void
yami_relay_driver_checkpoint(yami_relay_driver_t *self);

//  Whether the store has entries, its own included, that the owner was not told of yet: he is to
//  commit all up to *lsn_p. At the end of each turn.
bool
yami_relay_driver_wants_commit(yami_relay_driver_t *self, uint64_t *lsn_p);

//  Nothing leased, nothing waiting to become durable: a drain is complete.
bool
yami_relay_driver_is_idle(const yami_relay_driver_t *self);

#endif
