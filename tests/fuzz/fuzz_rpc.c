//  Frames of calls and replies as a peer sends them: what is taken is within its limits, and is the
//  same when it is written and read again; a caller's core takes whatever comes, and only a reply
//  to a call is its outcome; a server's desk begins nothing that nobody waits for.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_rpc_core.h"
#include "yami_rpc_server.h"

#define S_FIRST_MS 1000
#define S_SECOND_MS 1500
#define S_END_MS 2100

typedef struct {
    yami_rpc_desk_t desk;
    int64_t now_ms;
} s_desk_t;

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

//  -- A caller ------------------------------------------------------------------------------------

static void
s_ignore(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    (void) arg, (void) status, (void) text, (void) reply_p;
}

//  What is due is sent; a sane server answers a PING.
static void
s_send(yami_rpc_core_t *core, int64_t now_ms, uint32_t epoch, bool is_sane)
{
    yami_rpc_sending_t sending;
    (void) yami_rpc_core_turn(core, now_ms, 0);
    while (yami_rpc_core_next(core, 0, &sending)) {
        yami_rpc_core_sent(core, now_ms, 0, &sending, YAM_STATUS_OK);
        if (sending.frame.kind == YAMI_RPC_PING && is_sane) {
            yami_rpc_frame_t pong = {.kind = YAMI_RPC_PONG,
                                     .epoch = epoch,
                                     .correlation = sending.frame.correlation,
                                     .clock_ms = now_ms};
            yami_rpc_core_frame(core, now_ms, 0, &pong, NULL);
        }
    }
    yami_rpc_core_check(core);
}

//  How many calls have an outcome now. Of a reply, it is that of the call it names.
static int
s_outcomes(yami_rpc_core_t *core, const yami_rpc_frame_t *frame, bool is_reply)
{
    int count = 0;
    yami_rpc_call_t *call;
    yami_rpc_correlation_t correlation;
    for (; (call = yami_rpc_core_take(core)) != NULL; count++) {
        YAM_ASSERT(!is_reply || (yami_rpc_correlation_read(&correlation, frame->correlation) &&
                                 correlation.number == call->number));
        yami_rpc_call_free(&call);
    }
    return count;
}

//  A caller that makes one call after the other gets the frame from its server, again and again:
//  from the start on, or when the first call is over. Each has one outcome.
static void
s_take(const yami_rpc_frame_t *frame, yami_block_t *block)
{
    static const yami_rpc_config_t config = {
        .servers = 2, .calls = 10, .bytes = 1000, .retries = 1, .heartbeat_ms = 100};
    static const yami_id_t id = {{1}};
    yami_rpc_core_t core;
    int outcomes = 0;
    int64_t heard_ms = frame->epoch & 2 ? S_SECOND_MS : S_FIRST_MS;
    yami_rpc_core_init(&core, &config, &id);
    for (int64_t now_ms = S_FIRST_MS; now_ms < S_END_MS; now_ms += 50) {
        if (now_ms == S_FIRST_MS || now_ms == S_SECOND_MS) {
            yam_message_t *request = yam_message_new("", 0);
            (void) yami_rpc_core_add(&core, now_ms, &request, now_ms + 400, s_ignore, NULL);
        }
        s_send(&core, now_ms, frame->epoch, frame->epoch & 1);
        outcomes += s_outcomes(&core, frame, false);
        uint64_t replied = core.stats.replied;
        if (now_ms >= heard_ms) {
            yami_rpc_core_frame(&core, now_ms, 0, frame, block);
        }
        yami_rpc_core_check(&core);
        outcomes += s_outcomes(&core, frame, core.stats.replied > replied);
    }
    YAM_ASSERT(outcomes == 2);
    yami_rpc_core_clear(&core);
}

//  -- A server ------------------------------------------------------------------------------------

//  The call comes, from one of a few callers.
static void
s_come(s_desk_t *self, const yami_rpc_frame_t *frame, yami_block_t *block, uint8_t caller)
{
    static yam_rpc_server_t server; //  nothing of it is read
    yam_status_t status;
    yam_rpc_request_t *twin;
    yam_rpc_request_t *request = yami_rpc_server_request(&server, frame);
    YAM_ASSERT(s_is_same(yami_slice_text(request->correlation), frame->correlation));
    YAM_ASSERT(s_is_same(yami_slice_text(request->reply_to), frame->reply_to));
    request->message = yami_message_received(NULL, yami_block_ref(block), &frame->record);
    request->peer = caller > 0 ? yami_block_copy(&caller, 1, 1) : NULL;
    request->deadline_ms = frame->deadline_ms > 0 ? frame->deadline_ms : INT64_MAX;
    yami_rpc_verdict_t verdict =
        yami_rpc_desk_take(&self->desk, self->now_ms, &request, &status, &twin);
    YAM_ASSERT((verdict == YAMI_RPC_TAKEN) == (request == NULL));
    YAM_ASSERT(frame->deadline_ms == 0 || frame->deadline_ms > self->now_ms ||
               verdict == YAMI_RPC_EXPIRED || verdict == YAMI_RPC_REPEATED);
    YAM_ASSERT(!self->desk.is_closing || verdict != YAMI_RPC_TAKEN);
    yami_rpc_request_free(&request);
}

//  The oldest one that runs, or the next, is answered: its caller can tell that it is its own.
static void
s_answer(s_desk_t *self, uint8_t how)
{
    yami_rpc_frame_t answer;
    yami_rpc_desk_t *desk = &self->desk;
    yam_rpc_request_t *request = TAILQ_FIRST(&desk->running);
    yam_message_t *body = how & 1 ? yam_message_new("done", 4) : NULL;
    if (request != NULL && how < 16) {
        (void) yami_rpc_desk_answer(desk, self->now_ms, request, how, "done", &body);
        yami_rpc_server_answer(request, &answer);
        s_write_again(&answer);
        YAM_ASSERT(s_is_same(answer.correlation, yami_slice_text(request->correlation)));
        YAM_ASSERT(answer.kind == YAMI_RPC_REPLY && answer.status == (yam_status_t) how);
    } else if ((request = yami_rpc_desk_next(desk, self->now_ms)) != NULL) {
        YAM_ASSERT(!request->is_cancelled && request->deadline_ms > self->now_ms);
    }
    yam_message_destroy(&body);
}

static void
s_let_go(s_desk_t *self, bool is_published)
{
    yam_rpc_request_t *request = yami_rpc_desk_leaving(&self->desk);
    if (request != NULL && is_published) {
        yami_rpc_desk_left(&self->desk, request, 1);
    } else if (request != NULL || (request = TAILQ_FIRST(&self->desk.left)) != NULL) {
        yami_rpc_desk_free(&self->desk, &request);
    }
}

static void
s_end(s_desk_t *self)
{
    yami_rpc_desk_t *desk = &self->desk;
    yam_rpc_request_t *request;
    while ((request = TAILQ_FIRST(&desk->queued)) != NULL ||
           (request = TAILQ_FIRST(&desk->running)) != NULL ||
           (request = TAILQ_FIRST(&desk->leaving)) != NULL ||
           (request = TAILQ_FIRST(&desk->left)) != NULL) {
        yami_rpc_desk_free(desk, &request);
    }
    yami_rpc_desk_clear(desk);
}

//  A server's desk gets the frame; the bytes of its body say what happens when.
static void
s_serve(const yami_rpc_frame_t *frame, yami_block_t *block)
{
    s_desk_t self = {.now_ms = frame->deadline_ms > 100 ? frame->deadline_ms - 100 : 1};
    yami_rpc_desk_init(&self.desk, 2, 100000);
    for (size_t index = 0; index < frame->record.body.size; index++) {
        uint8_t how = frame->record.body.data[index] / 8;
        switch (frame->record.body.data[index] % 8) {
        case 0:
            self.now_ms += how;
            break;
        case 1: {
            uint8_t caller = how % 4;
            yami_block_t *peer = yami_block_copy(&caller, 1, 1);
            yami_rpc_desk_cancel(&self.desk, caller > 0 ? peer : NULL, frame->correlation);
            yami_block_unref(&peer);
            break;
        }
        case 2:
            s_let_go(&self, how & 1);
            break;
        case 3:
            if (how == 0) {
                yami_rpc_desk_close(&self.desk);
            }
            break;
        case 4:
        case 5:
            s_answer(&self, how);
            break;
        default:
            s_come(&self, frame, block, how % 4);
        }
        yami_rpc_desk_check(&self.desk);
    }
    s_end(&self);
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
        if (frame.kind == YAMI_RPC_CALL) {
            s_serve(&frame, block);
        }
    }
    (void) yami_rpc_decode(&frame, block->data, block->size);
    yami_block_unref(&block);
    return 0;
}
