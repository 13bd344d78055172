/*  yami_gate - how many frames of a publisher are still on their way.

    A PUB socket never says that it is busy. But a frame's memory is given back once the transport
    has taken it, and that is what this counts: while two are under way, what is published gathers
    for the next one. Thread-safe. Outlives its owner until the last frame is back.
*/
#ifndef YAMI_GATE_H
#define YAMI_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_engine.h"

typedef struct yami_gate yami_gate_t;

//  task is woken when the gate opens for somebody who asked. Never NULL.
yami_gate_t *
yami_gate_new(yami_engine_t *engine, yami_task_t *task);

//  From here on the task is not woken any more. Safe on NULL.
void
yami_gate_silence(yami_gate_t *self);

//  The owner leaves, after silencing it or without a frame ever made. Clears *self_p. Safe on NULL.
void
yami_gate_leave(yami_gate_t **self_p);

//  Frames under way.
uint32_t
yami_gate_count(const yami_gate_t *self);

//  Whether fewer than limit frames are under way; if not, the task is woken as soon as that is so.
bool
yami_gate_ask(yami_gate_t *self, uint32_t limit);

//  A block of size bytes, to be filled through bytes_p, that counts as under way until its last
//  reference is dropped. NULL with errno ENOMEM.
yami_block_t *
yami_gate_block(yami_gate_t *self, size_t size, uint8_t **bytes_p);

#endif
