/*  yami_relay_ahead - records of delayed messages that were read along with one whose time had
    come, because they stand in the same entry of the log, and are kept until their own has.

    Without them an entry is read anew for each of its messages. How far ahead is found out: as far
    as there is room for. Pure, not thread-safe. Invariants (yami_relay_ahead_check):
    (1) All together take at most limit_bytes, S_RECORD_BYTES of overhead for each included.
    (2) Each is on the shelf of its channel, there by its sequence, and in the list of all.
*/
#ifndef YAMI_RELAY_AHEAD_H
#define YAMI_RELAY_AHEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "yami_reader.h"
#include "yami_relay_map.h"

typedef struct yami_relay_kept yami_relay_kept_t;

//  Those of one channel. Zeroed it is empty; stays where it is.
typedef struct {
    yami_relay_map_t by_sequence;
    LIST_HEAD(, yami_relay_kept) list;
} yami_relay_shelf_t;

//  Those of all channels.
typedef struct {
    TAILQ_HEAD(, yami_relay_kept) list;
    uint64_t bytes;
    uint64_t limit_bytes;
    int64_t horizon_ms; //  those due later are not kept
    int64_t grown_ms;   //  monotonic, when that was last raised
} yami_relay_ahead_t;

void
yami_relay_ahead_init(yami_relay_ahead_t *self, uint64_t limit_bytes);

//  Whether one that is due then would be kept. now_ms is the wall clock's.
bool
yami_relay_ahead_wants(const yami_relay_ahead_t *self, int64_t now_ms, int64_t due_ms);

//  Keeps a copy of the record, unless it is there or there is no room.
void
yami_relay_ahead_keep(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf, int64_t mono_ms,
                      int64_t now_ms, uint64_t sequence, int64_t due_ms, yami_slice_t record);

//  The record, borrowed until a change; size 0: it is not there.
yami_slice_t
yami_relay_ahead_find(const yami_relay_shelf_t *shelf, uint64_t sequence);

//  Forgets those of first..last.
void
yami_relay_ahead_drop(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf, uint64_t first,
                      uint64_t last);

//  Forgets all of the channel, and what held them. Safe twice.
void
yami_relay_ahead_clear(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf);

//  Aborts when an invariant is broken.
void
yami_relay_ahead_check(const yami_relay_ahead_t *self);

#endif
