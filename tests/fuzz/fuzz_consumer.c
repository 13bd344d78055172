//  A consumer's end of a link, fed with frames and deliveries of a relay that need not be sane.

#include <errno.h>
#include <string.h>

#include "harness/relay_frames.h"
#include "yami_base.h"
#include "yami_consumer_core.h"
#include "yami_limits.h"
#include "yami_message.h"

#define S_HELD_LIMIT 16

typedef struct {
    yami_consumer_core_t core;
    int64_t now_ms;
    uint64_t token;
    uint64_t base; //  of the next sane delivery
    yam_message_t *held[S_HELD_LIMIT];
    size_t held_count;
} s_world_t;

//  A batch of up to four messages, at times changed.
static yami_block_t *
s_batch(fuzz_input_t *input, uint32_t count)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 65536);
    uint8_t how = fuzz_u8(input);
    for (uint32_t index = 0; index < count; index++) {
        yami_record_t record = {.priority = 4, .body = fuzz_bytes(input, how % 8)};
        YAM_ASSERT(yami_builder_append(&builder, &record) == 0);
    }
    yami_batch_t head = {.handle = 1, .epoch = 1, .first_sequence = 1, .flags = how / 8 % 2};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    YAM_ASSERT(block);
    if (how >= 224) {
        uint8_t *bytes = fuzz_copy(block->data, block->size);
        bytes[fuzz_u8(input) % block->size] = fuzz_u8(input);
        yami_block_t *changed = yami_block_copy(bytes, block->size, YAMI_LIMIT_FRAME);
        yami_free(bytes);
        yami_block_unref(&block);
        block = changed;
    }
    yami_builder_clear(&builder);
    return block;
}

//  As it comes off the wire: what does not decode is garbage.
static void
s_take(s_world_t *self, const yami_frame_t *made, yami_block_t *batch)
{
    yami_frame_t frame = {0};
    yami_delivery_t delivery;
    bool is_ordered = made->base <= made->first && made->first <= made->last;
    yami_block_t *block = is_ordered ? yami_frame_encode(made) : NULL;
    if (block && yami_frame_decode(&frame, block->data, block->size) == 0) {
        bool is_sound = yami_delivery_decode(&delivery, &frame, batch) == 0;
        yami_consumer_core_deliver(&self->core, self->now_ms, &frame, &delivery, is_sound);
    } else {
        yami_consumer_core_garbage(&self->core, self->now_ms, EPROTO);
    }
    yami_block_unref(&block);
}

static void
s_deliver(s_world_t *self, fuzz_input_t *input)
{
    uint8_t how = fuzz_u8(input);
    uint32_t count = 1 + how % 4;
    yami_frame_t frame = {.type = YAMI_FRAME_DELIVER,
                          .handle = how < 250 ? 1 : 2,
                          .present = YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST |
                                     YAMI_F_DELIVERIES | YAMI_F_FAILURES | YAMI_F_TIME,
                          .token = how < 240 ? ++self->token : fuzz_number(input),
                          .base = how < 230 ? self->base : fuzz_number(input),
                          .deliveries = 1 + how / 64,
                          .failures = how / 128};
    frame.first = frame.base + (how & 16 ? fuzz_below(input, count) : 0);
    frame.last = frame.base + count - 1 + (how >= 235 ? fuzz_below(input, 4) : 0);
    frame.time = how == 255 ? fuzz_number(input) : 1700000000000;
    self->base = frame.base < YAMI_LIMIT_SEQUENCE - 8 ? frame.last + 1 : 1;
    yami_block_t *block = s_batch(input, count);
    s_take(self, &frame, block);
    yami_block_unref(&block);
}

static void
s_hear(s_world_t *self, fuzz_input_t *input)
{
    relay_frames_t say = {.session = self->core.link.session,
                          .epoch = 1,
                          .sequence = self->base - 1,
                          .serial = self->core.serial > 3 ? self->core.serial - 3 : 0};
    yami_frame_t frame = {0};
    int error = 0;
    yami_block_t *block = relay_frames_next(&say, input, &frame, &error);
    if (error != 0 || frame.type == YAMI_FRAME_DELIVER) {
        yami_consumer_core_garbage(&self->core, self->now_ms, error != 0 ? error : EPROTO);
    } else {
        yami_consumer_core_frame(&self->core, self->now_ms, &frame);
    }
    yami_block_unref(&block);
}

static void
s_receive(s_world_t *self)
{
    if (self->held_count == S_HELD_LIMIT) {
        yam_message_destroy(&self->held[--self->held_count]);
    }
    yam_message_t *message = yami_consumer_core_recv(&self->core);
    if (message) {
        YAM_ASSERT(yam_message_sequence(message) > 0 && yam_message_body(message));
        self->held[self->held_count++] = message;
    }
}

static void
s_settle(s_world_t *self, fuzz_input_t *input)
{
    if (self->held_count == 0) {
        return;
    }
    uint8_t how = fuzz_u8(input);
    size_t index = how / 8 % self->held_count;
    bool wakes;
    uint8_t type = (uint8_t) (YAMI_FRAME_ACK + how % 5);
    int rc = yami_consumer_core_settle(&self->core, self->held[index], type, how & 128 ? 700 : -1,
                                       how & 64 ? "no" : NULL, &wakes);
    YAM_ASSERT(rc == 0 || errno == ESTALE);
    if (type != YAMI_FRAME_EXTEND) {
        yam_message_destroy(&self->held[index]);
        self->held[index] = self->held[--self->held_count];
    }
}

//  Takes up to count frames.
static void
s_send(s_world_t *self, unsigned count)
{
    for (; count > 0; count--) {
        yami_block_t *block = yami_consumer_core_output(&self->core, self->now_ms);
        if (!block) {
            return;
        }
        yami_frame_t frame = {0};
        YAM_ASSERT(yami_frame_decode(&frame, block->data, block->size) == 0);
        yami_consumer_core_sent(&self->core, self->now_ms);
    }
}

static void
s_end(s_world_t *self, uint8_t what)
{
    if (what >= 248) {
        yami_consumer_core_close(&self->core);
    } else if (what >= 240) {
        yami_consumer_core_leave(&self->core);
    } else if (what >= 224) {
        yami_consumer_core_failed(&self->core, self->now_ms);
    } else {
        yami_consumer_core_turn(&self->core, self->now_ms);
        yami_consumer_core_flush(&self->core);
        s_send(self, 64);
    }
}

static void
s_step(s_world_t *self, fuzz_input_t *input)
{
    uint8_t what = fuzz_u8(input);
    switch (what % 8) {
    case 0:
    case 1:
        s_hear(self, input);
        break;
    case 2:
        s_deliver(self, input);
        break;
    case 3:
        s_receive(self);
        break;
    case 4:
        s_settle(self, input);
        break;
    case 5:
        s_send(self, 1 + what / 16);
        break;
    case 6:
        self->now_ms += (what & 128) ? 31000 : 1 << what / 16 % 8;
        yami_consumer_core_turn(&self->core, self->now_ms);
        break;
    default:
        s_end(self, what);
        break;
    }
    (void) yami_consumer_core_deadline(&self->core, self->now_ms);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static s_world_t world;
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t how = fuzz_u8(&input);
    memset(&world, 0, sizeof world);
    world.now_ms = 1000;
    world.base = 1;
    yami_consumer_config_t config = {.kind = how & 1 ? YAMI_KIND_QUEUE : YAMI_KIND_TOPIC,
                                     .channel = "orders",
                                     .group = "",
                                     .start = how / 2 % 3,
                                     .sequence = how / 2 % 3 == YAMI_START_SEQUENCE ? 5 : 0,
                                     .lease_ms = how & 8 ? 1000 : 0,
                                     .credit_messages = 1 + how / 16,
                                     .credit_bytes = 1000000,
                                     .heartbeat_ms = 1000,
                                     .seed = 1};
    yami_consumer_core_init(&world.core, &config);
    while (fuzz_left(&input) > 0) {
        s_step(&world, &input);
        yami_consumer_core_check(&world.core);
    }
    while (world.held_count > 0) {
        yam_message_destroy(&world.held[--world.held_count]);
    }
    yami_consumer_core_clear(&world.core);
    return 0;
}
