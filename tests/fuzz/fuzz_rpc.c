//  Frames of calls and replies as a peer sends them: what is taken is within its limits, and is the
//  same when it is written and read again; a caller's core takes whatever comes.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_rpc_core.h"

static bool
s_is_same(yami_slice_t left, yami_slice_t right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

static void
s_check(const yami_rpc_frame_t *frame)
{
    YAM_ASSERT(frame->kind >= YAMI_RPC_CALL && frame->kind <= YAMI_RPC_PONG);
    YAM_ASSERT(frame->correlation.size > 0 && frame->correlation.size <= YAMI_LIMIT_CORRELATION);
    YAM_ASSERT(frame->reply_to.size <= YAMI_LIMIT_SUBJECT && frame->text.size <= YAMI_LIMIT_TEXT);
    YAM_ASSERT(frame->deadline_ms >= 0 && frame->deadline_ms <= YAMI_LIMIT_TIME_MS);
}

//  What was read is written, and read again.
static void
s_write_again(const yami_rpc_frame_t *frame)
{
    static const yami_id_t sender = {{1}};
    yami_rpc_frame_t again;
    yami_block_t *block = yami_rpc_encode(frame, &sender, 1);
    if (block == NULL) {
        return; //  the application's properties leave no room
    }
    YAM_ASSERT(yami_rpc_decode(&again, block->data, block->size) == 0);
    YAM_ASSERT(again.kind == frame->kind && again.epoch == frame->epoch);
    YAM_ASSERT(s_is_same(again.correlation, frame->correlation));
    YAM_ASSERT(s_is_same(again.id, frame->id) && s_is_same(again.text, frame->text));
    YAM_ASSERT(s_is_same(again.record.body, frame->record.body));
    YAM_ASSERT(again.deadline_ms == frame->deadline_ms && again.clock_ms == frame->clock_ms);
    yami_block_unref(&block);
}

static void
s_ignore(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    (void) arg, (void) status, (void) text, (void) reply_p;
}

//  A caller with one call on its way gets the frame from its server.
static void
s_take(const yami_rpc_frame_t *frame, yami_block_t *block)
{
    static const yami_rpc_config_t config = {
        .servers = 2, .calls = 10, .bytes = 1000, .retries = 1, .heartbeat_ms = 100};
    static const yami_id_t id = {{1}};
    yami_rpc_core_t core;
    yami_rpc_sending_t sending;
    yam_message_t *request = yam_message_new("", 0);
    yami_rpc_core_init(&core, &config, &id);
    (void) yami_rpc_core_add(&core, 1000, &request, 2000, s_ignore, NULL);
    for (int64_t now_ms = 1000; now_ms < 2100; now_ms += 50) {
        (void) yami_rpc_core_turn(&core, now_ms, 0);
        while (yami_rpc_core_next(&core, 0, &sending)) {
            yami_rpc_core_sent(&core, now_ms, 0, &sending, YAM_STATUS_OK);
        }
        yami_rpc_core_frame(&core, now_ms, 0, frame, block);
        yami_rpc_core_check(&core);
    }
    yami_rpc_call_t *call = yami_rpc_core_take(&core);
    YAM_ASSERT(call != NULL && yami_rpc_core_take(&core) == NULL);
    yami_rpc_call_free(&call);
    yami_rpc_core_clear(&core);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    yami_rpc_frame_t frame;
    fuzz_input_init(&input, data, size);
    //  The checksums of a batch would hide what is behind them: the input is a body and the
    //  properties.
    size_t body_size = fuzz_below(&input, 32);
    uint32_t epoch = fuzz_u8(&input);
    yami_block_t *block = yami_block_copy(data + input.position, fuzz_left(&input), SIZE_MAX);
    body_size = body_size < block->size ? body_size : block->size;
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                            .body = yami_slice(block->data, body_size),
                            .properties =
                                yami_slice(block->data + body_size, block->size - body_size)};
    if (record.properties.size <= YAMI_LIMIT_PROPERTIES && yami_rpc_read(&frame, &record) == 0) {
        frame.epoch = epoch;
        s_check(&frame);
        s_write_again(&frame);
        s_take(&frame, block);
    }
    (void) yami_rpc_decode(&frame, block->data, block->size);
    yami_block_unref(&block);
    return 0;
}
