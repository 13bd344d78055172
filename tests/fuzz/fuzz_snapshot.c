//  The relay's checkpoint: any bytes are refused, or give a core whose own checkpoint gives it
//  again, and that serves.

#include "harness/world.h"
#include "yami_base.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    world_t *world = world_new();
    yami_slice_t meta = fuzz_bytes(&input, fuzz_u16(&input));
    uint8_t *bytes = fuzz_copy(meta.data, meta.size);
    yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT,
                          .time_ms = world->wall_ms,
                          .meta = bytes,
                          .meta_size = meta.size};
    if (world_replay(world, &entry) == 0) {
        world_checkpoint(world);
        world->durable_count = world->entry_count;
        world_run(world, &input);
    }
    yami_free(bytes);
    world_free(&world);
    return 0;
}
