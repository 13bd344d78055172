/*  yam_outbox_db - what an outbox and its dispatchers ask of a database: the table that a provider
    fills in.

    Not for applications: they call yam_outbox_new and yam_dispatcher_new, or what a provider's
    library gives in their place. A provider keeps rows, and lanes: a lane is a channel, as
    dispatchers see it.

        row     state, lane, time, record (opaque bytes)
        lane    kind, channel; epoch; next sequence; owner and beat (the lease)
        flight  rows of a lane that have been given sequences first..last, until each has an outcome

    Invariants that a provider keeps:
    (1) Sequences of a lane and epoch begin at 1, have no gaps, and are never given twice: not after
    a crash either.
    (2) What rows a flight's sequences mean never changes: they are in the order in which they
    waited (with one writer at a time that of their ids), and only one with an outcome leaves it. A
    flight that loses some from its middle becomes two.
    (3) What a dispatcher changes, it changes as the lane's owner, or not at all: ESTALE.
    All return -1 with errno and a sentence (yam_error_set) when the database fails: EAGAIN
    (locked), EROFS, ENOSPC, EBADMSG, EIO ...; the transaction is then rolled back by the caller. An
    outbox and a dispatcher each have an open provider of their own, used by one thread at a time.
*/
#ifndef YAM_OUTBOX_DB_H
#define YAM_OUTBOX_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_dispatcher.h"
#include "yam_outbox.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YAM_OUTBOX_PREFIX 48   //  most bytes of a prefix
#define YAM_OUTBOX_CHANNEL 200 //  most bytes of a channel's name
#define YAM_OUTBOX_REASON 1024 //  most bytes of a reason
#define YAM_OUTBOX_TRIES 100   //  most tries of a row
#define YAM_OUTBOX_LANES 1024  //  most lanes of an outbox
#define YAM_OUTBOX_PRODUCER 16 //  bytes of the producer's id

typedef struct {
    int64_t lane; //  > 0
    int kind;     //  1: queue, 2: topic
    //  Cut off behind one byte more than a name may have: then it is none.
    char channel[YAM_OUTBOX_CHANNEL + 2];
    uint64_t epoch; //  1..UINT32_MAX
    uint64_t next;  //  sequence of the next row that gets one, > 0
    uint64_t owner; //  0: nobody
    uint64_t beat;  //  changes while the owner lives
    bool has_work;  //  a flight, or a row of state 0 without a sequence
} yam_outbox_lane_t;

typedef struct {
    uint64_t first; //  sequences, of the lane's present epoch
    uint64_t last;
    uint32_t try_count; //  in vain so far
} yam_outbox_flight_t;

//  Rows that wait for a sequence, as a provider has found them: its own numbers.
typedef struct {
    int64_t after; //  where it looked
    int64_t first_id;
    int64_t last_id;
    int64_t count; //  0: not looked, or none
    bool has_more; //  a limit ended it
} yam_outbox_waiting_t;

//  What became of rows that failed.
typedef struct {
    yam_status_t status;
    const char *reason; //  borrowed; up to YAM_OUTBOX_REASON bytes
    int64_t try_ms;     //  the try that failed, wall clock; 0: none beyond those noted
    int64_t time_ms;
} yam_outbox_failure_t;

//  A row as it is in the database. Pointers are borrowed for the call.
typedef struct {
    int64_t id;
    yam_outbox_state_t state;
    int kind;
    const char *channel;
    int64_t time_ms;
    uint64_t epoch;
    uint64_t sequence; //  0: none
    yam_status_t status;
    const char *reason;
    const int64_t *tries_ms;
    size_t try_count;
    const void *record;
    size_t record_size;
} yam_outbox_entry_t;

//  0 to go on, 1 to end, -1: the call ends with -1 and this errno.
typedef int (*yam_outbox_lane_fn)(void *arg, const yam_outbox_lane_t *lane);
typedef int (*yam_outbox_entry_fn)(void *arg, const yam_outbox_entry_t *entry);

typedef struct {
    //  Checks or makes the tables whose names begin with prefix (a-z, 0-9, _, beginning with a
    //  letter: may stand in SQL). Returns the provider's own state; NULL with errno and a sentence.
    void *(*open)(void *connection, const char *prefix);
    void (*close)(void *self);
    //  Ends a connection that a dispatcher was given.
    void (*disconnect)(void *connection);

    bool (*is_inside)(void *self); //  a transaction is open
    int (*begin)(void *self);      //  one that will write; not when one is open
    int (*commit)(void *self);     //  durable when it returns 0; rolled back when -1
    void (*rollback)(void *self);  //  keeps errno and the sentence

    //  16 random bytes, made with the tables.
    int (*producer)(void *self, uint8_t producer[YAM_OUTBOX_PRODUCER]);
    //  A row of state 0, and its lane if there is none yet (up to YAM_OUTBOX_LANES, then ENOSPC).
    //  Its id, which is never used again, nor is a smaller one for a row committed later when both
    //  are of one writer.
    int64_t (*put)(void *self, int kind, const char *channel, int64_t time_ms, const void *record,
                   size_t size);

    //  -- Dispatchers: changes within begin and commit
    //  ------------------------------------------------

    //  *mark_p differs from the last one when others may have committed since. Cheap.
    int (*changed)(void *self, uint64_t *mark_p);
    //  Every lane that has work, or an owner.
    int (*lanes)(void *self, yam_outbox_lane_fn fn, void *arg);
    //  Makes owner (> 0) the lane's, and its beat another one, if owner and beat are still as seen.
    //  1, 0 when they are not.
    int (*take)(void *self, const yam_outbox_lane_t *seen, uint64_t owner);
    //  A new beat for every lane of owner.
    int (*keep)(void *self, uint64_t owner);
    //  The lane is nobody's, if it is owner's; lane 0: all of owner's are.
    int (*release)(void *self, int64_t lane, uint64_t owner);
    //  Flights of a lane from that sequence on, in order, up to limit; durable. How many.
    int (*flights)(void *self, int64_t lane, uint64_t first, yam_outbox_flight_t *flights,
                   size_t limit);
    //  Before begin: looks for the rows that assign will give sequences, so that it need not, and
    //  the application waits less. May be NULL; then *waiting is all 0. Returns 0.
    int (*gather)(void *self, int64_t lane, uint32_t row_limit, uint64_t byte_limit,
                  yam_outbox_waiting_t *waiting);
    //  Gives sequences to rows of state 0 that have none, oldest first, up to row_limit or about
    //  byte_limit: one new flight. waiting is what gather found, which may be true no longer. 1
    //  with *flight, 2 when a limit ended it and more may wait, 0 when there is no such row,
    //  ESTALE.
    int (*assign)(void *self, int64_t lane, uint64_t owner, uint32_t row_limit, uint64_t byte_limit,
                  const yam_outbox_waiting_t *waiting, yam_outbox_flight_t *flight);
    //  The rows of sequences first..last of one flight, in order, of one snapshot. How many came;
    //  fewer than there should be mean that another dispatcher has gone on.
    int64_t (*read)(void *self, int64_t lane, uint64_t first, uint64_t last, yam_outbox_entry_fn fn,
                    void *arg);
    //  The flights within first..last are over: their rows are of state 1 (is_kept), or deleted.
    //  How many rows, ESTALE.
    int64_t (*delivered)(void *self, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                         bool is_kept);
    //  Those flights were tried in vain at time_ms.
    int (*tried)(void *self, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                 int64_t time_ms);
    //  The rows of first..last are of state 2, and leave their flights. How many, ESTALE.
    int64_t (*failed)(void *self, int64_t lane, uint64_t owner, uint64_t first, uint64_t last,
                      const yam_outbox_failure_t *failure);
    //  A new epoch, whose sequences begin at 1: rows that had some get others, in their old order,
    //  as the flights they were in or with those that wait. 0, ESTALE.
    int (*renumber)(void *self, int64_t lane, uint64_t owner, uint64_t epoch);

    //  -- People: as yam_outbox.h says, within begin and commit or the application's transaction
    //  ------

    int64_t (*rows)(void *self, int state, const char *channel, int64_t after, int64_t limit,
                    yam_outbox_entry_fn fn, void *arg);
    int (*retry)(void *self, int64_t id); //  as a flight of its own, at the end of its lane
    int (*cancel)(void *self, int64_t id, int64_t time_ms);
    int64_t (*prune)(void *self, int64_t before_ms, int64_t limit);
} yam_outbox_db_t;

//  An outbox over a provider's database; options as for yam_outbox_new. db must outlive it. NULL
//  with errno EINVAL (option, connection), or as open failed, and a sentence. The caller owns the
//  result.
YAM_EXPORT yam_outbox_t *
yam_outbox_new_over(const yam_outbox_db_t *db, void *connection, const char *options);

//  A dispatcher over a provider's database, which is the dispatcher's from now on, also on failure:
//  disconnect ends it. Options as for yam_dispatcher_new.
YAM_EXPORT yam_dispatcher_t *
yam_dispatcher_new_over(yam_t *yam, const yam_outbox_db_t *db, void *connection,
                        const char *endpoint, const char *options);

#ifdef __cplusplus
}
#endif
#endif
