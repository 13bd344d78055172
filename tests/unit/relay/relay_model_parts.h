/*  relay_model_parts - what the files of relay_model share.
*/
#ifndef RELAY_MODEL_PARTS_H
#define RELAY_MODEL_PARTS_H

#include "relay_model.h"

#define MODEL_MEMORY ((size_t) 1 << 24)
#define MODEL_FILTERED 3 //  index of the group with the filter "eu.>"

bool
model_is_dead(const model_t *self, const model_channel_t *channel);
bool
model_is_delayed(const model_t *self, const model_channel_t *channel);
model_message_t *
model_message(const model_group_t *group, uint64_t sequence);
//  The group with that number in the journal; there must be one.
model_group_t *
model_group(model_t *self, uint64_t number);
//  A new one, which the journal as it is does not have.
model_fact_t *
model_fact(model_t *self);
//  Appends a message to a channel.
void
model_add(model_t *self, model_channel_t *channel, const model_content_t *content);
//  Settles one message; returns the fact.
model_fact_t *
model_settled(model_t *self, model_group_t *group, uint64_t sequence);
//  Takes over what has become durable.
void
model_keep(model_t *self, size_t entry_count);
//  Stored is what was published, as it was.
void
model_check_record(const model_content_t *content, const yami_record_t *record);
//  Checks a MOVE entry, the index-th of the journal, and moves what it moves.
void
model_move(model_t *self, size_t index);

//  -- delayed messages --------------------------------------------------------------------------

//  Where what is sent to channel waits for its time.
model_channel_t *
model_delayed(model_t *self, const model_channel_t *channel);
//  All that is due is to go at once, in the order of times, then of sequences; up to one that is
//  not durable, which nothing overtakes. Their sequences, the caller's to free; *count_p of them.
uint64_t *
model_due(const model_t *self, const model_group_t *origin, size_t *count_p);
//  The index-th entry of the journal ends the wait of one.
void
model_see_cancelled(model_t *self, model_group_t *group, uint64_t sequence, size_t index);
//  A cancel is answered: no other is left that was there when it was asked for.
void
model_see_none_left(const model_t *self);
//  None is due, and the core wakes for the next.
void
model_no_delay_is_over(const model_t *self);

#endif
