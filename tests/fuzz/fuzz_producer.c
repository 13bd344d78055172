//  A producer's end of a link, fed with frames of a relay that need not be sane.
//
//  Whatever the relay says: the core's invariants hold after each step, outcomes come once for each
//  message and in order, what it sends can be decoded, and of what has no outcome it sends what it
//  was given, and attaches as if it was not there yet.

#include <string.h>

#include "harness/relay_frames.h"
#include "yami_base.h"
#include "yami_producer_core.h"

#define S_GIVEN_LIMIT 4096 //  messages whose bytes are remembered

typedef struct {
    yami_producer_core_t core;
    int64_t now_ms;
    uint64_t given;                 //  messages
    uint64_t settled;               //  messages with an outcome
    uint32_t hashes[S_GIVEN_LIMIT]; //  of payloads, by the first message of a batch; 0: none begins
} s_world_t;

static void
s_outcomes(s_world_t *self)
{
    static yami_producer_outcome_t outcome;
    while (yami_producer_core_outcome(&self->core, &outcome)) {
        YAM_ASSERT(outcome.first == self->settled + 1 && outcome.last >= outcome.first);
        YAM_ASSERT(outcome.last <= self->given);
        self->settled = outcome.last;
    }
}

//  Of a batch's records; never 0.
static uint32_t
s_hash(const yami_block_t *block)
{
    return yami_crc32c(0, block->data + YAMI_BATCH_HEADER_SIZE,
                       block->size - YAMI_BATCH_HEADER_SIZE) |
           1;
}

static void
s_add(s_world_t *self, fuzz_input_t *input)
{
    uint8_t how = fuzz_u8(input);
    if (!yami_producer_core_wants_batch(&self->core, self->now_ms, how & 1)) {
        return;
    }
    yami_batch_t head;
    yami_builder_t builder;
    uint32_t count = 1 + how / 64;
    yami_builder_init(&builder, 65536);
    for (uint32_t index = 0; index < count; index++) {
        yami_record_t record = {.priority = 4, .body = fuzz_bytes(input, how / 8 % 8)};
        YAM_ASSERT(yami_builder_append(&builder, &record) == 0);
    }
    yami_producer_core_head(&self->core, &head);
    YAM_ASSERT(head.first_sequence == self->given + 1);
    yami_block_t *block = yami_builder_finish(&builder, &head);
    YAM_ASSERT(block);
    if (self->given < S_GIVEN_LIMIT) {
        self->hashes[self->given] = s_hash(block);
    }
    YAM_ASSERT(yami_producer_core_add(&self->core, &block, count) == 0);
    self->given += count;
    yami_builder_clear(&builder);
}

static void
s_check_sent(const s_world_t *self, const yami_block_t *block)
{
    yami_frame_t frame = {0};
    yami_batch_t batch;
    if (yami_frame_is_batch(block->data, block->size)) {
        YAM_ASSERT(yami_batch_decode(&batch, block->data, block->size) == 0);
        YAM_ASSERT(batch.first_sequence > self->settled && batch.first_sequence <= self->given);
        YAM_ASSERT(batch.first_sequence > S_GIVEN_LIMIT ||
                   self->hashes[batch.first_sequence - 1] == s_hash(block));
    } else {
        YAM_ASSERT(yami_frame_decode(&frame, block->data, block->size) == 0);
        YAM_ASSERT(frame.type != YAMI_FRAME_ATTACH || frame.first == self->settled + 1);
    }
}

//  Takes up to count frames.
static void
s_send(s_world_t *self, unsigned count)
{
    for (; count > 0; count--) {
        s_outcomes(self);
        yami_block_t *block = yami_producer_core_output(&self->core, self->now_ms);
        if (!block) {
            return;
        }
        s_check_sent(self, block);
        yami_producer_core_sent(&self->core, self->now_ms);
    }
}

static void
s_hear(s_world_t *self, fuzz_input_t *input)
{
    relay_frames_t say = {.session = self->core.link.session,
                          .epoch = self->core.epoch > 0 ? self->core.epoch : 1,
                          .sequence = self->settled};
    yami_frame_t frame = {0};
    int error = 0;
    yami_block_t *block = relay_frames_next(&say, input, &frame, &error);
    if (error == 0) {
        yami_producer_core_frame(&self->core, self->now_ms, &frame);
    } else {
        yami_producer_core_garbage(&self->core, self->now_ms, error);
    }
    yami_block_unref(&block);
}

static void
s_step(s_world_t *self, fuzz_input_t *input)
{
    uint8_t what = fuzz_u8(input);
    switch (what % 8) {
    default:
        s_hear(self, input);
        break;
    case 4:
        s_add(self, input);
        break;
    case 5:
        s_send(self, 1 + what / 16);
        break;
    case 6:
        self->now_ms += (what & 128) ? 31000 : 1 << what / 16 % 8;
        yami_producer_core_turn(&self->core, self->now_ms);
        break;
    case 7:
        if (what == 255) {
            yami_producer_core_leave(&self->core);
        } else if (what >= 240) {
            yami_producer_core_failed(&self->core, self->now_ms);
        } else {
            yami_producer_core_turn(&self->core, self->now_ms);
            s_send(self, 64);
        }
        break;
    }
    (void) yami_producer_core_deadline(&self->core, self->now_ms);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t how = fuzz_u8(&input);
    static s_world_t world;
    world = (s_world_t) {.now_ms = 1000};
    yami_producer_config_t config = {.kind = YAMI_KIND_QUEUE,
                                     .channel = "orders",
                                     .name = "fuzz",
                                     .is_durable = how & 1,
                                     .producer = {.bytes = {1}},
                                     .heartbeat_ms = 1000,
                                     .seed = 1};
    yami_producer_core_init(&world.core, &config);
    while (fuzz_left(&input) > 0) {
        s_step(&world, &input);
        s_outcomes(&world);
        yami_producer_core_check(&world.core);
    }
    yami_producer_core_clear(&world.core);
    return 0;
}
