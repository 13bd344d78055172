//  The relay's journal: entries of any content, as a store could give them, are taken or refused;
//  with what was taken the relay lives on, dies, and reads it again.
//
//  Input: entries {kind, channel, base, count, sizes, meta, data}, ended by kind 255; then what
//  world_run takes.

#include <string.h>

#include "harness/world.h"
#include "yami_base.h"
#include "yami_relay_parts.h"

#define S_END 255
#define S_CHANNEL_LIMIT 8 //  smaller ones are meant as they are

static bool
s_entry(world_t *world, fuzz_input_t *input, uint8_t kind)
{
    uint8_t channel = fuzz_u8(input);
    yami_entry_t entry = {.kind = kind % 16 == 0 ? YAMI_ENTRY_CHECKPOINT : 15 + kind % 16};
    entry.channel = channel < S_CHANNEL_LIMIT ? channel : (uint32_t) fuzz_number(input);
    entry.time_ms = world->wall_ms;
    entry.base = fuzz_number(input);
    entry.count = fuzz_u8(input);
    entry.base = entry.count > 0 ? entry.base : 0;
    yami_slice_t meta = fuzz_bytes(input, fuzz_u16(input));
    yami_slice_t data = fuzz_bytes(input, entry.count > 0 ? fuzz_u16(input) : 0);
    if (entry.kind == YAMI_ENTRY_CHECKPOINT && world->entry_count > 0) {
        return true; //  the store gives one, and gives it first
    }
    entry.meta = fuzz_copy(meta.data, meta.size);
    entry.meta_size = meta.size;
    entry.data = data.size > 0 ? yami_block_copy(data.data, data.size, data.size) : NULL;
    int rc = world_replay(world, &entry);
    yami_block_unref(&entry.data);
    yami_free((void *) entry.meta);
    return rc == 0;
}

//  A checkpoint of a core is read into an equal one.
static void
s_compare(const world_t *world)
{
    yami_writer_t writers[2];
    yami_relay_core_t *copy = yami_relay_core_new(&world->options, YAM_LEVEL_SYNCED, "copy", 1);
    const yami_relay_core_t *cores[2] = {world->core, copy};
    for (int index = 0; index < 2; index++) {
        yami_writer_init(&writers[index], YAMI_LIMIT_ENTRY_META);
        yami_relay_core_snapshot(cores[index], &writers[index]);
        if (index == 0) {
            yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT,
                                  .time_ms = world->wall_ms,
                                  .meta = writers[0].data,
                                  .meta_size = writers[0].size};
            YAM_ASSERT(yami_relay_core_replay(copy, &entry) == 0);
            yami_relay_core_check(copy);
        }
    }
    YAM_ASSERT(writers[0].size == writers[1].size);
    YAM_ASSERT(memcmp(writers[0].data, writers[1].data, writers[0].size) == 0);
    yami_writer_clear(&writers[0]);
    yami_writer_clear(&writers[1]);
    yami_relay_core_destroy(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    world_t *world = world_new();
    bool is_sound = true;
    for (uint8_t kind = fuzz_u8(&input); fuzz_left(&input) > 0 && kind != S_END && is_sound;
         kind = fuzz_u8(&input)) {
        is_sound = s_entry(world, &input, kind);
    }
    if (is_sound) { //  else a relay does not start
        s_compare(world);
        yami_damage_t damage = {.channel = 1, .first = fuzz_u8(&input), .what = "fuzz"};
        damage.last = damage.first + fuzz_u8(&input) / 4;
        yami_relay_core_lost(world->core, &damage);
        world_run(world, &input);
    }
    world_free(&world);
    return 0;
}
