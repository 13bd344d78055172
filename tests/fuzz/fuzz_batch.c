//  The batch decoder: any bytes give a valid batch or an error, and what is valid can be walked,
//  sliced and built again. The first byte says whether the checksums are made to match first, since
//  nobody guesses those.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_batch.h"
#include "yami_bytes.h"
#include "yami_frame.h"
#include "yami_limits.h"
#include "yami_message.h"

enum {
    S_SIGN = 1,  //  checksums
    S_SHAPE = 2, //  magic, version and size, too
};

static void
s_sign(uint8_t *bytes, size_t size, uint8_t how)
{
    if (size < YAMI_BATCH_HEADER_SIZE) {
        return;
    }
    if (how & S_SHAPE) {
        yami_put_u32(bytes, YAMI_BATCH_MAGIC);
        bytes[4] = YAMI_BATCH_VERSION;
        yami_put_u32(bytes + 8, (uint32_t) (size - YAMI_BATCH_HEADER_SIZE));
    }
    if (how & S_SIGN) {
        fuzz_sign_batch(bytes, size);
    }
}

//  A received message's getters.
static void
s_look(yami_block_t *block, const yami_record_t *record)
{
    yam_message_t *message = yami_message_received(NULL, yami_block_ref(block), record);
    YAM_ASSERT(yam_message_size(message) == record->body.size);
    YAM_ASSERT(yam_message_subject(message) != NULL);
    for (size_t index = 0; index <= YAMI_LIMIT_PROPERTY_COUNT; index++) {
        const char *name = yam_message_property_name(message, index);
        if (!name) {
            break;
        }
        char *copy = yami_strdup(name);
        (void) yam_message_get(message, copy);
        yami_free(copy);
    }
    yam_message_destroy(&message);
}

//  The same records, built anew, are the same bytes.
static void
s_build(const yami_batch_t *batch)
{
    yami_builder_t builder;
    yami_builder_init(&builder, batch->payload.size + YAMI_BATCH_HEADER_SIZE);
    size_t offset = 0;
    yami_record_t record;
    for (uint32_t index = 0; index < batch->count; index++) {
        YAM_ASSERT(yami_batch_next(batch, &offset, &record) == 0);
        YAM_ASSERT(yami_builder_append(&builder, &record) == 0);
    }
    yami_block_t *block = yami_builder_finish(&builder, batch);
    YAM_ASSERT(block);
    YAM_ASSERT(block->size == batch->payload.size + YAMI_BATCH_HEADER_SIZE);
    YAM_ASSERT(memcmp(block->data + YAMI_BATCH_HEADER_SIZE, batch->payload.data,
                      batch->payload.size) == 0);
    yami_block_unref(&block);
    yami_builder_clear(&builder);
}

static void
s_slice(const yami_batch_t *batch, uint32_t index, uint32_t count)
{
    yami_block_t *block = yami_batch_slice(batch, index, count);
    bool is_possible = count > 0 && index < batch->count && count <= batch->count - index;
    YAM_ASSERT((block != NULL) == is_possible);
    if (block) {
        yami_batch_t part;
        YAM_ASSERT(yami_batch_decode(&part, block->data, block->size) == 0);
        YAM_ASSERT(yami_batch_check_records(&part, NULL) == 0);
        YAM_ASSERT(part.count == count && part.first_sequence == batch->first_sequence + index);
        yami_block_unref(&block);
    }
}

static void
s_decode(yami_block_t *block, fuzz_input_t *input)
{
    yami_batch_t batch;
    bool is_claimed = yami_frame_is_batch(block->data, block->size);
    int head = yami_batch_decode_head(&batch, block->data, block->size);
    int rc = yami_batch_decode(&batch, block->data, block->size);
    YAM_ASSERT(rc == -1 || (head == 0 && is_claimed));
    if (rc == 0 && yami_batch_check_records(&batch, NULL) == 0) {
        size_t offset = 0;
        yami_record_t record;
        for (uint32_t index = 0; index < batch.count; index++) {
            YAM_ASSERT(yami_batch_next(&batch, &offset, &record) == 0);
            s_look(block, &record);
        }
        s_build(&batch);
        s_slice(&batch, fuzz_below(input, 8), fuzz_below(input, 8));
    } else if (rc == 0) {
        s_slice(&batch, batch.count, 1); //  also what is malformed may be asked for
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t how = fuzz_u8(&input);
    fuzz_input_t indexes = input; //  any bytes will do
    uint8_t *bytes = fuzz_copy(data + input.position, fuzz_left(&input));
    s_sign(bytes, fuzz_left(&input), how);
    yami_block_t *block = yami_block_copy(bytes, fuzz_left(&input), YAMI_LIMIT_FRAME);
    YAM_ASSERT(block);
    s_decode(block, &indexes);
    yami_block_unref(&block);
    yami_free(bytes);
    return 0;
}
