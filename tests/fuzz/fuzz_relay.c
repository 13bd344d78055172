//  The relay's core, stepped with what clients send and with all that may happen to a relay.

#include "harness/world.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    world_t *world = world_new();
    world_run(world, &input);
    world_free(&world);
    return 0;
}
