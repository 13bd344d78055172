/*  yami_relay_delays - which messages of one channel wait for their time: by due time, by sequence,
    by a hash of their id.

    Not the messages: 40 bytes for each of them, so that a million fit where a cache does. Pure, not
    thread-safe. Items stand in the order of their sequences; one that has ended its wait stays
    where it is until half of all have, so that nothing is ever moved for one. Invariants
    (yami_relay_delays_check):
    (1) Sequences ascend. None before first waits.
    (2) Each item that waits is in the heap, unless it was picked; the root is the earliest (due
        time, then sequence), once those that wait no more are taken away.
    (3) Each item with an id, from first on, is in the chain of its hash, the highest sequence
        first.
*/
#ifndef YAMI_RELAY_DELAYS_H
#define YAMI_RELAY_DELAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t due_ms; //  wall clock
    uint64_t sequence;
    uint32_t id_hash; //  0: no id
    uint32_t size;    //  bytes of the record
    uint32_t next;    //  private: 1 + the item before it in its chain, 0: none
    bool is_waiting;  //  private, as is_picked
    bool is_picked;
} yami_relay_delay_t;

typedef struct {
    yami_relay_delay_t **chunks; //  owned: items, so many in each; nothing is copied to grow
    size_t chunk_count;
    size_t chunk_capacity;
    size_t count;
    size_t first;   //  all before have ended their wait
    size_t waiting; //  how many have not
    uint32_t *heap; //  owned: places of items
    size_t heap_count;
    size_t heap_capacity;
    uint32_t *chains;   //  owned: 1 + place of the last item of each hash, 0: none
    size_t chain_count; //  0 or a power of two
} yami_relay_delays_t;

//  Zeroed it is empty. Frees what it holds; empty then. Safe twice.
void
yami_relay_delays_clear(yami_relay_delays_t *self);

//  Makes room for so many more. Whether there was memory for them.
bool
yami_relay_delays_reserve(yami_relay_delays_t *self, size_t more);

//  Adds one, with the highest sequence so far, for which room was made. due_ms > 0.
void
yami_relay_delays_add(yami_relay_delays_t *self, const yami_relay_delay_t *delay);

//  The earliest that waits and is not picked; NULL when there is none. Borrowed until a change.
const yami_relay_delay_t *
yami_relay_delays_earliest(yami_relay_delays_t *self);

//  Takes the earliest out of the line: it still waits, but is not the earliest any more.
void
yami_relay_delays_pick(yami_relay_delays_t *self);

//  Puts one that was picked, and may have ended its wait, back in line.
void
yami_relay_delays_put_back(yami_relay_delays_t *self, uint64_t sequence);

//  The first that waits and has at least that sequence; NULL when there is none.
const yami_relay_delay_t *
yami_relay_delays_from(const yami_relay_delays_t *self, uint64_t sequence);

//  The one with that sequence, if it waits; else NULL.
const yami_relay_delay_t *
yami_relay_delays_find(const yami_relay_delays_t *self, uint64_t sequence);

//  The last that waits, has that hash and a sequence below that; NULL when there is none. Takes no
//  search where below is one of that hash.
const yami_relay_delay_t *
yami_relay_delays_by_id(const yami_relay_delays_t *self, uint32_t id_hash, uint64_t below);

//  Those of first..last wait no more. Returns how many did.
uint64_t
yami_relay_delays_end(yami_relay_delays_t *self, uint64_t first, uint64_t last);

//  Aborts when an invariant is broken.
void
yami_relay_delays_check(const yami_relay_delays_t *self);

#endif
