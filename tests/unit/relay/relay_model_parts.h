/*  relay_model_parts - what the files of relay_model share.
*/
#ifndef RELAY_MODEL_PARTS_H
#define RELAY_MODEL_PARTS_H

#include "relay_model.h"

#define MODEL_MEMORY ((size_t) 1 << 24)
#define MODEL_FILTERED 3 //  index of the group with the filter "eu.>"

bool
model_is_dead(const model_t *self, const model_channel_t *channel);
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
//  Checks a MOVE entry, the index-th of the journal, and moves what it moves.
void
model_move(model_t *self, size_t index);

#endif
