/*  yami_relay_move - messages from one channel to another: dead letters and back, and those whose
    time has come.

    A MOVE is one entry that stores the messages and settles them where they were. One of dead
    letters is under way at a time: others line up, so that what a turn moves is bounded.
*/
#ifndef YAMI_RELAY_MOVE_H
#define YAMI_RELAY_MOVE_H

#include "yami_relay_state.h"

//  -- Whose turn it is ----------------------------------------------------------------------------

//  Whether a MOVE may be appended now. Whoever may not sets lacks_room, and is touched or due again
//  when it may.
bool
yami_relay_may_move(const yami_relay_core_t *core);

//  Lines up until the move that is under way has ended.
void
yami_relay_move_later(yami_relay_core_t *core, yami_relay_group_t *group);

//  Unless a move is under way, the next in the line is touched: by the end of a move, and by a
//  group that was touched and has nothing to move, or is no more.
void
yami_relay_move_next(yami_relay_core_t *core);
void
yami_relay_move_ended(yami_relay_core_t *core);
void
yami_relay_move_forget(yami_relay_core_t *core, yami_relay_group_t *group);

//  Touches groups with dead letters that were not moved, when they may be again.
void
yami_relay_moves_late(yami_relay_core_t *core);

//  -- One MOVE ------------------------------------------------------------------------------------

//  A MOVE being gathered: records for one channel, and the ranges of one group they settle.
typedef struct {
    yami_relay_core_t *core;
    yami_relay_group_t *origin;
    yami_relay_channel_t *target; //  NULL: nothing gathered
    yami_builder_t builder;
    yami_ranges_t ranges;
    yami_relay_job_t *owner; //  counts tickets; or NULL
} yami_relay_move_t;

void
yami_relay_move_start(yami_relay_move_t *self, yami_relay_core_t *core, yami_relay_group_t *origin,
                      yami_relay_job_t *owner);

//  Adds one record that leaves sequence of the origin for target. Whether there was memory for it.
bool
yami_relay_move_add(yami_relay_move_t *self, yami_relay_channel_t *target, uint64_t sequence,
                    const yami_record_t *record);

//  Appends what was gathered.
void
yami_relay_move_finish(yami_relay_move_t *self);

#endif
