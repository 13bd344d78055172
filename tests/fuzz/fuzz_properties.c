//  Properties as a peer sends them: the walk ends, finds what it has seen, and a message gives each
//  of them; what a user sets is encoded so that it can be read.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_properties.h"

//  -- As received ---------------------------------------------------------------------------------

static void
s_walk(yami_slice_t encoded)
{
    yami_properties_t walk;
    yami_property_t property, found;
    uint32_t count = 0;
    if (yami_properties_start(&walk, encoded) == -1) {
        return;
    }
    while (yami_properties_next(&walk, &property) == 1) {
        YAM_ASSERT(property.type && strchr("sxib", property.type));
        count++;
        char name[64];
        if (property.name.size > 0 && property.name.size < sizeof name &&
            !memchr(property.name.data, 0, property.name.size)) {
            memcpy(name, property.name.data, property.name.size);
            name[property.name.size] = '\0';
            (void) yami_properties_find(encoded, name, &found);
        }
    }
    YAM_ASSERT(count <= YAMI_LIMIT_PROPERTY_COUNT);
}

static void
s_receive(yami_slice_t encoded)
{
    uint8_t empty = 0;
    yami_block_t *block = yami_block_copy(&empty, 1, 1);
    yami_record_t record = {.priority = 4, .properties = encoded};
    yam_message_t *message = yami_message_received(NULL, yami_block_ref(block), &record);
    for (size_t index = 0; index < YAMI_LIMIT_PROPERTY_COUNT + 2; index++) {
        const char *name = yam_message_property_name(message, index);
        if (!name) {
            break;
        }
        char *copy = yami_strdup(name);
        (void) yam_message_get(message, copy);
        yami_free(copy);
    }
    YAM_ASSERT(yam_message_subject(message));
    YAM_ASSERT(yam_message_set(message, "tag", "x") == -1); //  it is received
    yam_message_destroy(&message);
    yami_block_unref(&block);
}

//  -- As set --------------------------------------------------------------------------------------

static void
s_set(fuzz_input_t *input)
{
    yam_message_t *message = yam_message_new("", 0);
    YAM_ASSERT(message);
    while (fuzz_left(input) > 0) {
        char *name = fuzz_text(input, fuzz_below(input, 12));
        char *value = fuzz_text(input, fuzz_u8(input));
        if (yam_message_set(message, name, value) == 0) {
            const char *got = yam_message_get(message, name);
            YAM_ASSERT(got && strcmp(got, value) == 0);
        }
        yami_free(name);
        yami_free(value);
    }
    yami_property_t property;
    yami_properties_t walk;
    YAM_ASSERT(yami_properties_start(&walk, message->record.properties) == 0);
    for (size_t index = 0; yam_message_property_name(message, index); index++) {
        YAM_ASSERT(yami_properties_next(&walk, &property) == 1);
    }
    YAM_ASSERT(yami_properties_next(&walk, &property) == 0);
    yam_message_destroy(&message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    if (fuzz_u8(&input) & 1) {
        s_set(&input);
        return 0;
    }
    uint8_t *bytes = fuzz_copy(data + input.position, fuzz_left(&input));
    yami_slice_t encoded = yami_slice(bytes, fuzz_left(&input));
    s_walk(encoded);
    s_receive(encoded);
    yami_free(bytes);
    return 0;
}
