#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define S_EFFECTS_LIMIT ((size_t) 1 << 26)
#define S_KEPT_CAPACITY 4096u //  effects whose memory is kept between steps

void
yami_relay_effects_init(yami_relay_effects_t *self)
{
    memset(self, 0, sizeof *self);
}

void
yami_relay_effects_reset(yami_relay_effects_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        yami_block_unref(&self->items[index].block);
        yami_block_unref(&self->items[index].data);
    }
    self->count = 0;
    if (self->capacity > S_KEPT_CAPACITY) {
        yami_relay_effects_clear(self);
    }
}

void
yami_relay_effects_clear(yami_relay_effects_t *self)
{
    self->capacity = self->capacity > S_KEPT_CAPACITY ? S_KEPT_CAPACITY : self->capacity;
    yami_relay_effects_reset(self);
    yami_free(self->items);
    memset(self, 0, sizeof *self);
}

//  Never fails: effects are bounded by what one event may cause, and a decision that is lost would
//  break promises.
yami_relay_effect_t *
yami_relay_effect(yami_relay_core_t *core, yami_relay_effect_type_t type)
{
    yami_relay_effects_t *self = core->effects;
    YAM_ASSERT(self != NULL);
    int rc = yami_grow(&self->items, &self->capacity, self->count + 1, sizeof *self->items,
                       S_EFFECTS_LIMIT);
    YAM_NEED(rc == 0);
    yami_relay_effect_t *effect = &self->items[self->count++];
    memset(effect, 0, offsetof(yami_relay_effect_t, text));
    effect->text[0] = '\0'; //  not all of it: effects are on the hot path
    effect->type = type;
    return effect;
}

bool
yami_relay_send_to(yami_relay_core_t *core, uint64_t peer, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    if (block == NULL) {
        core->errors++; //  out of memory: whoever waits for this frame asks again or times out
        return false;
    }
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_SEND);
    effect->peer = peer;
    effect->block = block;
    core->bytes_out += block->size;
    return true;
}

bool
yami_relay_send(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    peer->sent_ms = core->mono_ms;
    return yami_relay_send_to(core, peer->id, frame);
}

void
yami_relay_deliver(yami_relay_core_t *core, yami_relay_peer_t *peer, yami_block_t *block,
                   yami_block_t *data)
{
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_DELIVER);
    effect->peer = peer->id;
    effect->block = block;
    effect->data = data;
    core->bytes_out += block->size + data->size;
    peer->sent_ms = core->mono_ms;
}

uint64_t
yami_relay_append(yami_relay_core_t *core, const yami_entry_t *entry, yami_writer_t *meta,
                  yami_block_t *data)
{
    yami_block_t *block = yami_writer_finish(meta);
    YAM_NEED(block != NULL); //  sizes are bounded
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_APPEND);
    effect->entry = *entry;
    effect->entry.time_ms = core->wall_ms;
    effect->entry.meta = block->data;
    effect->entry.meta_size = block->size;
    effect->entry.data = data;
    effect->block = block;
    effect->data = data;
    effect->ticket = ++core->ticket;
    return core->ticket;
}

void
yami_relay_fetch(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t sequence,
                 uint32_t purpose, uint64_t argument)
{
    YAM_ASSERT(sequence < channel->durable); //  invariant (2)
    core->budget -= YAMI_RELAY_DELIVERY_COST;
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_FETCH);
    effect->fetch = (yami_relay_fetch_t) {channel->number, sequence, purpose, argument};
}

void
yami_relay_say(yami_relay_core_t *core, yami_log_level_t level, const char *event,
               const char *format, ...)
{
    yami_relay_effect_t *effect = yami_relay_effect(core, YAMI_EFFECT_LOG);
    effect->level = level;
    effect->event = event;
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(effect->text, sizeof effect->text, format, arguments);
    va_end(arguments);
}
