/*  yami_relay_due - messages whose time has not come, as the files of the relay core see them.

    They are in a channel of their own, CHANNEL.delayed, whose index (yami_relay_delays.h) says
    which of them wait. What moves them to CHANNEL when they are due is one atomic write, that of
    the dead letters.
*/
#ifndef YAMI_RELAY_DUE_H
#define YAMI_RELAY_DUE_H

#include "yami_relay_state.h"

//  -- relay_delay.c: which channels there are, and what waits in them -----------------------------

//  Whether a name is that of a channel of delayed messages.
bool
yami_relay_is_delayed_name(const void *name, size_t size);

//  Says where the messages of a channel of kind DELAYED go. False when that cannot be.
bool
yami_relay_delay_link(yami_relay_channel_t *channel, yami_relay_channel_t *target);

//  "orders" -> "orders.delayed", made when there is none; NULL when none can be made.
yami_relay_channel_t *
yami_relay_delayed_channel(yami_relay_core_t *core, yami_relay_channel_t *channel);

//  Whether a record may not be delivered yet.
bool
yami_relay_is_later(const yami_relay_core_t *core, const yami_record_t *record);

//  The property "id", empty when there is none; and what it is looked for by, 0: not at all.
yami_slice_t
yami_relay_record_id(const yami_record_t *record);
uint32_t
yami_relay_id_hash(yami_slice_t id);

//  One waits in a channel of kind DELAYED; room for it was reserved.
void
yami_relay_delay_note(yami_relay_core_t *core, yami_relay_channel_t *channel,
                      const yami_relay_delay_t *delay);

//  All of a batch do, from sequence base on. 0, or -1 with errno EPROTO, for those from the first
//  that is malformed on.
int
yami_relay_delay_batch(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t base,
                       const yami_batch_t *batch);

//  Those of first..last wait no more. Returns how many did.
uint64_t
yami_relay_delay_end(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t first,
                     uint64_t last);

//  -- relay_due.c: what is due goes ---------------------------------------------------------------

//  Moves those whose time has come, as far as the turn's budget goes.
void
yami_relay_dues_pump(yami_relay_core_t *core);

void
yami_relay_due_entry(yami_relay_core_t *core, const yami_relay_event_t *event, bool is_whole,
                     bool is_temporary);

//  Monotonic ms at which a TURN could do something for them.
int64_t
yami_relay_dues_deadline(const yami_relay_core_t *core);

void
yami_relay_dues_clear(yami_relay_core_t *core);

//  -- relay_cancel.c ------------------------------------------------------------------------------

void
yami_relay_cancel(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);
void
yami_relay_cancel_go_on(yami_relay_core_t *core, yami_relay_job_t *job);
void
yami_relay_cancel_entry(yami_relay_core_t *core, yami_relay_job_t *job,
                        const yami_relay_event_t *event, const yami_batch_t *batch);

#endif
