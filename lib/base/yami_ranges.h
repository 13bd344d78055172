/*  yami_ranges - a set of 64-bit sequence numbers, kept as sorted, disjoint, non-adjacent ranges.

    Pure, not thread-safe. Cost O(log ranges) to look up, O(ranges) to change in the middle;
    appending at the end is O(1). Memory is O(ranges), bounded by the limit given at init.
    Invariants (yami_ranges_check):
    (1) first <= last in each range; ranges ascend with a gap of at least one number between them.
    (2) total is the number of sequences in the set.
*/
#ifndef YAMI_RANGES_H
#define YAMI_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t first; //  inclusive
    uint64_t last;  //  inclusive
} yami_range_t;

typedef struct {
    yami_range_t *items; //  owned
    size_t count;        //  ranges in use
    size_t capacity;     //  ranges allocated
    size_t limit;        //  most ranges ever held
    uint64_t total;      //  sequences in the set
} yami_ranges_t;

//  Starts an empty set of at most limit (> 0) ranges.
void
yami_ranges_init(yami_ranges_t *self, size_t limit);

//  Frees what the set holds; it is empty then and may be used again. Safe twice.
void
yami_ranges_clear(yami_ranges_t *self);

//  Adds first..last (first <= last). Returns how many sequences were new (0 when all were there),
//  or -1 with errno ENOSPC (range limit), ENOMEM or EINVAL (last >= INT64_MAX, so that a count
//  always fits); nothing changed then.
int64_t
yami_ranges_add(yami_ranges_t *self, uint64_t first, uint64_t last);

//  Takes first..last out. Returns how many were there, or -1 with errno ENOSPC/ENOMEM (a hole
//  needed one range more); nothing changed then.
int64_t
yami_ranges_remove(yami_ranges_t *self, uint64_t first, uint64_t last);

//  Takes out everything below floor. Never fails.
void
yami_ranges_remove_below(yami_ranges_t *self, uint64_t floor);

bool
yami_ranges_has(const yami_ranges_t *self, uint64_t sequence);

//  The smallest sequence >= from that is not in the set, and how many in a row from it are missing,
//  at most until (inclusive). Returns the run's length, 0 when all of from..until are in the set.
uint64_t
yami_ranges_gap(const yami_ranges_t *self, uint64_t from, uint64_t until, uint64_t *start_p);

//  Like yami_ranges_gap for sequences that are in the set: the first run in from..until.
uint64_t
yami_ranges_run(const yami_ranges_t *self, uint64_t from, uint64_t until, uint64_t *start_p);

//  Aborts when an invariant is broken.
void
yami_ranges_check(const yami_ranges_t *self);

#endif
