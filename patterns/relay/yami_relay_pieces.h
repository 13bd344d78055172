/*  yami_relay_pieces - the unsettled sequences of a group below its cursor, as disjoint pieces in
    order.

    A piece is a run of sequences that share a state and a history. What is below the group's cursor
    and in no piece is settled: so each sequence is in exactly one place by construction, and memory
    is O(pieces), never O(backlog). A treap (random priorities, O(log pieces) for everything but
    walks) whose nodes know which states occur below them, so that the lowest ready piece is found
    without passing leased ones. Pure, not thread-safe. Invariants (yami_pieces_check):
    (1) first <= last; pieces ascend without overlap.
    (2) total and totals[state] count the sequences of all pieces and of those in a state.
    (3) states is the union of the states in the subtree; no child has a higher priority than its
    parent.
*/
#ifndef YAMI_RELAY_PIECES_H
#define YAMI_RELAY_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"

typedef enum {
    YAMI_PIECE_READY,   //  may be delivered now
    YAMI_PIECE_WAITING, //  may be delivered from due_ms on
    YAMI_PIECE_LEASED,  //  with a consumer
    YAMI_PIECE_MOVING,  //  on its way to the dead letters
    YAMI_PIECE_STATES,
} yami_piece_state_t;

typedef struct yami_piece yami_piece_t;

struct yami_piece {
    uint64_t first; //  sequences, inclusive
    uint64_t last;
    yami_piece_state_t state; //  changed by yami_pieces_set_state only
    uint32_t deliveries;
    uint32_t failures;
    int64_t due_ms;       //  WAITING: monotonic clock; while replaying: wall clock
    int64_t wait_ms;      //  WAITING, replayed: no longer than this, whatever that clock says
    int64_t first_ms;     //  wall clock of the first failure, 0: none
    void *lease;          //  LEASED: borrowed
    yami_block_t *reason; //  of the last failure, or NULL; owned reference

    yami_piece_t *left; //  private
    yami_piece_t *right;
    yami_piece_t *parent;
    uint32_t priority;
    uint32_t states;
};

typedef struct {
    yami_piece_t *root; //  owned
    size_t count;
    size_t *all_p; //  count of this set and others of its owner together; borrowed
    uint64_t total;
    uint64_t totals[YAMI_PIECE_STATES];
    uint32_t random;
} yami_pieces_t;

//  *all_p is kept as the number of pieces of all sets that are given it.
void
yami_pieces_init(yami_pieces_t *self, size_t *all_p);

void
yami_pieces_clear(yami_pieces_t *self);

//  Adds first..last, of which none may be there. Never NULL; owned by the set.
yami_piece_t *
yami_pieces_add(yami_pieces_t *self, uint64_t first, uint64_t last, yami_piece_state_t state);

//  Takes out and frees.
void
yami_pieces_remove(yami_pieces_t *self, yami_piece_t *piece);

//  The first piece that ends at or after sequence; NULL when there is none.
yami_piece_t *
yami_pieces_find(const yami_pieces_t *self, uint64_t sequence);

yami_piece_t *
yami_pieces_next(const yami_piece_t *piece);

//  The lowest piece in that state; NULL when there is none.
yami_piece_t *
yami_pieces_lowest(const yami_pieces_t *self, yami_piece_state_t state);

void
yami_pieces_set_state(yami_pieces_t *self, yami_piece_t *piece, yami_piece_state_t state);

//  Cuts a piece so that exactly first..last (within it) is one of its own, with the same history;
//  returns that one.
yami_piece_t *
yami_pieces_isolate(yami_pieces_t *self, yami_piece_t *piece, uint64_t first, uint64_t last);

//  Takes first..last (within piece) out of the set: cheaper than isolate and remove at a piece's
//  edge. piece may be gone.
void
yami_pieces_cut(yami_pieces_t *self, yami_piece_t *piece, uint64_t first, uint64_t last);

//  Joins a READY piece with READY neighbours of the same history. Returns the piece that holds it
//  now.
yami_piece_t *
yami_pieces_merge(yami_pieces_t *self, yami_piece_t *piece);

//  Aborts when an invariant is broken.
void
yami_pieces_check(const yami_pieces_t *self);

#endif
