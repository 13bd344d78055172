#include "world.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_event.h"
#include "yami_relay_parts.h"

#define S_FETCH_LIMIT 2000 //  of one step: more is a loop without end

world_t *
world_new(void)
{
    world_t *self = yami_alloc(sizeof *self);
    yami_options_init(yami_relay_option_table, &self->options);
    self->seed = 7;
    self->mono_ms = 1000000;
    self->wall_ms = 1700000000000;
    self->has_room = true;
    yami_relay_effects_init(&self->effects);
    grammar_init(&self->grammar);
    for (unsigned slot = 0; slot < GRAMMAR_SLOTS; slot++) {
        self->peers[slot] = ++self->peer;
    }
    self->core = yami_relay_core_new(&self->options, YAM_LEVEL_SYNCED, "fuzz", self->seed);
    return self;
}

static void
s_forget(world_t *self, size_t from)
{
    for (size_t index = from; index < self->entry_count; index++) {
        yami_free((void *) self->entries[index].entry.meta);
        yami_block_unref(&self->entries[index].entry.data);
    }
    self->entry_count = from;
}

void
world_free(world_t **self_p)
{
    world_t *self = *self_p;
    yami_relay_core_destroy(&self->core);
    yami_relay_effects_clear(&self->effects);
    s_forget(self, 0);
    yami_free(self);
    *self_p = NULL;
}

//  -- The store -----------------------------------------------------------------------------------

//  Keeps a copy; nothing more is kept at the limit.
static void
s_keep(world_t *self, const yami_entry_t *entry, uint64_t ticket)
{
    if (self->entry_count == WORLD_ENTRY_LIMIT) {
        self->has_room = false;
        return;
    }
    world_entry_t *kept = &self->entries[self->entry_count++];
    *kept = (world_entry_t) {.entry = *entry, .ticket = ticket};
    kept->entry.lsn = self->entry_count;
    kept->entry.meta = fuzz_copy(entry->meta, entry->meta_size);
    (void) yami_block_ref(entry->data);
}

//  The first entry from there on that has it, or what comes behind it.
static const yami_entry_t *
s_find(const world_t *self, size_t from, size_t end, uint32_t channel, uint64_t sequence)
{
    for (size_t index = from; index < end; index++) {
        const yami_entry_t *entry = &self->entries[index].entry;
        if (entry->count > 0 && entry->channel == channel &&
            entry->base + entry->count - 1 >= sequence) {
            return entry;
        }
    }
    return NULL;
}

int
world_replay(world_t *self, const yami_entry_t *entry)
{
    int rc = yami_relay_core_replay(self->core, entry);
    if (rc == 0) { //  else the core is not to be used
        yami_relay_core_check(self->core);
        s_keep(self, entry, 0);
        self->durable_count = self->entry_count;
    }
    return rc;
}

void
world_checkpoint(world_t *self)
{
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
    yami_relay_core_snapshot(self->core, &writer);
    yami_block_t *block = yami_writer_finish(&writer);
    YAM_ASSERT(block);
    yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT,
                          .time_ms = self->wall_ms,
                          .meta = block->data,
                          .meta_size = block->size};
    s_keep(self, &entry, 0);
    yami_block_unref(&block);
}

//  -- Steps ---------------------------------------------------------------------------------------

static void
s_step(world_t *self, yami_relay_event_t *event)
{
    event->mono_ms = self->mono_ms;
    event->wall_ms = self->wall_ms;
    event->has_room = self->has_room;
    yami_relay_core_step(self->core, event, &self->effects);
    yami_relay_core_check(self->core);
}

//  A fetch that answers itself for ever would be a core that never comes back.
static void
s_fetch(world_t *self, const yami_relay_fetch_t *fetch)
{
    yami_damage_t damage = {0};
    yami_relay_event_t event = {.type = YAMI_EVENT_ENTRY, .fetch = *fetch, .damage = &damage};
    YAM_ASSERT(++self->fetch_count < S_FETCH_LIMIT);
    const yami_entry_t *found =
        s_find(self, 0, self->durable_count, fetch->channel, fetch->sequence);
    const yami_entry_t *early =
        s_find(self, self->durable_count, self->entry_count, fetch->channel, fetch->sequence);
    YAM_ASSERT(found || !early || early->base > fetch->sequence);
    event.entry = found;
    event.result = self->read_error != 0 ? self->read_error : found ? 0 : ENOENT;
    if (event.result == EBADMSG) {
        damage = (yami_damage_t) {.channel = fetch->channel,
                                  .first = found ? found->base : fetch->sequence,
                                  .last = found ? found->base + found->count - 1 : fetch->sequence,
                                  .what = "fuzz"};
    }
    s_step(self, &event);
}

static unsigned
s_slot(const world_t *self, uint64_t peer)
{
    unsigned slot = 0;
    while (slot < GRAMMAR_SLOTS && self->peers[slot] != peer) {
        slot++;
    }
    return slot;
}

//  Whose batch it is that was just kept.
static void
s_note_speaker(world_t *self)
{
    world_entry_t *kept = &self->entries[self->entry_count - 1];
    yami_batch_t batch;
    if (self->speaker != 0 && kept->ticket == self->ticket && kept->entry.kind == YAMI_KIND_DATA) {
        YAM_ASSERT(yami_batch_decode_head(&batch, kept->entry.data->data, kept->entry.data->size) ==
                   0);
        kept->peer = self->speaker;
        kept->handle = batch.handle;
        kept->first = batch.first_sequence;
    }
}

//  What a peer is told of what it sent by a handle (0: by all of them).
static void
s_check_told(world_t *self, uint64_t peer, const yami_frame_t *frame)
{
    bool is_over = frame->type == YAMI_FRAME_WELCOME || frame->type == YAMI_FRAME_DETACHED;
    for (size_t index = self->durable_count; index < self->entry_count; index++) {
        world_entry_t *entry = &self->entries[index];
        if (entry->peer == peer && (frame->handle == 0 || entry->handle == frame->handle)) {
            YAM_ASSERT(frame->type != YAMI_FRAME_CONFIRM || frame->sequence < entry->first);
            entry->peer = is_over ? 0 : peer; //  the handle may be another's next
        }
    }
}

static void
s_sent(world_t *self, const yami_relay_effect_t *effect)
{
    yami_frame_t frame = {0};
    YAM_ASSERT(yami_frame_decode(&frame, effect->block->data, effect->block->size) == 0);
    YAM_ASSERT((frame.type == YAMI_FRAME_DELIVER) == (effect->data != NULL));
    if (effect->data) {
        yami_batch_t batch;
        YAM_ASSERT(frame.base <= frame.first && frame.first <= frame.last);
        YAM_ASSERT(yami_batch_decode_head(&batch, effect->data->data, effect->data->size) == 0);
        YAM_ASSERT(frame.last - frame.base < batch.count);
    }
    unsigned slot = s_slot(self, effect->peer);
    s_check_told(self, effect->peer, &frame);
    if (slot < GRAMMAR_SLOTS) {
        grammar_observe(&self->grammar, slot, &frame);
    }
}

static void
s_carry_out(world_t *self)
{
    for (size_t index = 0; index < self->effects.count; index++) {
        yami_relay_effect_t effect = self->effects.items[index]; //  the list grows meanwhile
        unsigned slot = s_slot(self, effect.peer);
        if (effect.type == YAMI_EFFECT_SEND || effect.type == YAMI_EFFECT_DELIVER) {
            s_sent(self, &effect);
        } else if (effect.type == YAMI_EFFECT_APPEND) {
            YAM_ASSERT(effect.ticket == self->ticket + 1);
            self->ticket = effect.ticket;
            s_keep(self, &effect.entry, effect.ticket);
            s_note_speaker(self);
        } else if (effect.type == YAMI_EFFECT_FETCH) {
            s_fetch(self, &effect.fetch);
        } else if (effect.type == YAMI_EFFECT_CLOSE && slot < GRAMMAR_SLOTS) {
            self->peers[slot] = ++self->peer; //  whoever it was comes as somebody else
        }
    }
    yami_relay_effects_reset(&self->effects);
}

static void
s_event(world_t *self, yami_relay_event_t event)
{
    self->fetch_count = 0;
    s_step(self, &event);
    s_carry_out(self);
}

static void
s_turn(world_t *self)
{
    s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_TURN});
}

static void
s_speak(world_t *self, fuzz_input_t *input)
{
    unsigned slot = fuzz_below(input, GRAMMAR_SLOTS);
    yami_frame_t frame = {0};
    yami_batch_t batch;
    self->grammar.wall_ms = self->wall_ms;
    yami_block_t *block = grammar_next(&self->grammar, input, slot);
    yami_relay_event_t event = yami_relay_event_decode(self->peers[slot], block, &frame, &batch);
    self->speaker = event.type == YAMI_EVENT_BATCH ? event.peer : 0;
    s_event(self, event);
    self->speaker = 0;
    yami_block_unref(&block);
}

static void
s_durable(world_t *self, size_t count)
{
    uint64_t ticket = 0;
    for (; self->durable_count < self->entry_count && count > 0; count--) {
        uint64_t next = self->entries[self->durable_count++].ticket;
        ticket = next > 0 ? next : ticket;
    }
    if (ticket > 0) {
        s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_DURABLE, .ticket = ticket});
    }
}

//  -- The relay dies and comes back ---------------------------------------------------------------

static void
s_restart(world_t *self)
{
    yami_relay_core_destroy(&self->core);
    s_forget(self, self->durable_count);
    size_t start = 0;
    for (size_t index = 0; index < self->entry_count; index++) {
        self->entries[index].ticket = 0;
        start = self->entries[index].entry.kind == YAMI_ENTRY_CHECKPOINT ? index : start;
    }
    self->ticket = 0;
    self->core = yami_relay_core_new(&self->options, YAM_LEVEL_SYNCED, "fuzz", ++self->seed);
    for (size_t index = start; index < self->entry_count; index++) {
        //  What a core has written, or taken before, is taken again.
        YAM_ASSERT(yami_relay_core_replay(self->core, &self->entries[index].entry) == 0);
    }
    yami_relay_core_check(self->core);
    for (unsigned slot = 0; slot < GRAMMAR_SLOTS; slot++) {
        self->peers[slot] = ++self->peer;
    }
}

static void
s_advance(world_t *self, fuzz_input_t *input)
{
    static const int64_t steps_ms[] = {1, 100, 1100, 5000, 31000, 3600000};
    int64_t ms = steps_ms[fuzz_below(input, sizeof steps_ms / sizeof steps_ms[0])];
    self->mono_ms += ms;
    self->wall_ms += fuzz_below(input, 8) == 7 ? -ms : ms; //  somebody sets the clock
    s_turn(self);
}

static void
s_break(world_t *self, fuzz_input_t *input)
{
    static const int errors[] = {0, 0, EIO, EBADMSG, ENOENT, ENOMEM};
    unsigned slot = fuzz_below(input, GRAMMAR_SLOTS);
    switch (fuzz_below(input, 8)) {
    case 0:
    case 1:
        self->has_room = !self->has_room && self->entry_count < WORLD_ENTRY_LIMIT;
        break;
    case 2:
        self->read_error = errors[fuzz_below(input, sizeof errors / sizeof errors[0])];
        break;
    case 3:
        s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_DRAIN});
        break;
    case 4:
        s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_FAILED});
        break;
    default:
        s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_GONE, .peer = self->peers[slot]});
        self->peers[slot] = ++self->peer;
        break;
    }
}

void
world_run(world_t *self, fuzz_input_t *input)
{
    while (fuzz_left(input) > 0) {
        uint8_t what = fuzz_u8(input);
        switch (what % 16) {
        default:
            s_speak(self, input);
            break;
        case 10:
        case 11:
            s_durable(self, WORLD_ENTRY_LIMIT);
            s_turn(self);
            break;
        case 12:
            s_durable(self, what / 16);
            break;
        case 13:
            s_advance(self, input);
            break;
        case 14:
            s_break(self, input);
            break;
        case 15:
            if (what & 16) {
                world_checkpoint(self);
            } else if (what & 32) {
                s_restart(self);
            } else {
                s_turn(self);
            }
            break;
        }
    }
    s_durable(self, WORLD_ENTRY_LIMIT);
    s_turn(self);
    s_event(self, (yami_relay_event_t) {.type = YAMI_EVENT_CLOSE});
}
