/*  world - a relay core with a shell of arrays, driven by a fuzzer's bytes.

    Clients speak by the grammar; the rest of the bytes says when what was appended becomes durable,
    when time passes, links break, the disk is full or cannot be read, and when the relay dies and
    comes back. After each step the core's invariants are checked, what it sends is decoded, and
    what is read, or confirmed to whoever sent it, must be durable.
*/
#ifndef WORLD_H
#define WORLD_H

#include "grammar.h"
#include "yami_relay_core.h"

#define WORLD_ENTRY_LIMIT 4096

typedef struct {
    yami_entry_t entry; //  meta and data owned
    uint64_t ticket;    //  0: a checkpoint, or there from the start
    uint64_t peer;      //  who sent it by that handle, and is still there; 0: nobody, or not known
    uint32_t handle;
    uint64_t first; //  the producer's sequence
} world_entry_t;

typedef struct {
    yami_relay_options_t options;
    yami_relay_core_t *core; //  owned
    yami_relay_effects_t effects;
    grammar_t grammar;
    uint64_t peers[GRAMMAR_SLOTS]; //  number of each client's link
    uint64_t peer;                 //  last given
    uint64_t speaker;              //  who sends a batch in this step; 0: nobody
    uint64_t seed;
    int64_t mono_ms;
    int64_t wall_ms;
    bool has_room;
    int read_error;       //  errno of each FETCH; 0: they work
    unsigned fetch_count; //  within this step
    world_entry_t entries[WORLD_ENTRY_LIMIT];
    size_t entry_count;
    size_t durable_count;
    uint64_t ticket; //  last appended by this core
} world_t;

//  A new core with nothing in it. The caller owns the result.
world_t *
world_new(void);

void
world_free(world_t **self_p);

//  Replays an entry into a core that was not stepped yet, and keeps it as durable when it is taken.
//  0, or -1 with errno as the core refused it.
int
world_replay(world_t *self, const yami_entry_t *entry);

//  Lives by the rest of the input.
void
world_run(world_t *self, fuzz_input_t *input);

//  Appends the core's state as a checkpoint.
void
world_checkpoint(world_t *self);

#endif
