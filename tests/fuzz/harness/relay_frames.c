#include "relay_frames.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_limits.h"
#include "yami_link_core.h"

//  Near what is expected, mostly.
static uint64_t
s_near(fuzz_input_t *input, uint64_t value)
{
    uint8_t how = fuzz_u8(input);
    return how < 240 ? value + how % 8 : fuzz_number(input);
}

static uint64_t
s_sequence(fuzz_input_t *input, uint64_t value)
{
    uint64_t sequence = s_near(input, value) % YAMI_LIMIT_SEQUENCE;
    return sequence > 0 ? sequence : 1;
}

static void
s_greeting(const relay_frames_t *self, fuzz_input_t *input, yami_frame_t *frame)
{
    uint8_t how = fuzz_u8(input);
    frame->handle = 0;
    frame->present =
        YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS | YAMI_F_LEVEL;
    frame->session = how < 240 ? self->session : fuzz_number(input);
    frame->name = yami_slice_text("relay");
    frame->max_frame = how & 1 ? YAMI_LIMIT_FRAME : 65536;
    frame->heartbeat_ms = 100 + 100 * (how / 2 % 16);
    frame->level = how % 5;
}

static void
s_attached(const relay_frames_t *self, fuzz_input_t *input, yami_frame_t *frame)
{
    uint8_t how = fuzz_u8(input);
    frame->present = YAMI_F_LEVEL | YAMI_F_SEQUENCE;
    frame->level = YAM_LEVEL_SYNCED;
    frame->sequence = s_near(input, self->sequence) % YAMI_LIMIT_SEQUENCE;
    if (how & 3) {
        frame->present |= YAMI_F_EPOCH | YAMI_F_MESSAGES | YAMI_F_BYTES;
        frame->epoch = how < 200 ? self->epoch : s_near(input, self->epoch) & UINT32_MAX;
        frame->messages = fuzz_number(input);
        frame->bytes = how & 4 ? YAMI_LIMIT_WINDOW_BYTES : fuzz_number(input);
    }
}

static void
s_refuse(const relay_frames_t *self, fuzz_input_t *input, yami_frame_t *frame)
{
    frame->present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS;
    frame->epoch = self->epoch;
    frame->first = s_sequence(input, self->sequence + 1);
    frame->last = frame->first + fuzz_below(input, 8);
    frame->status = 1 + fuzz_below(input, 16);
}

static void
s_ending(fuzz_input_t *input, yami_frame_t *frame, uint32_t handle)
{
    frame->handle = handle;
    frame->present = YAMI_F_STATUS | YAMI_F_TEXT;
    frame->status = fuzz_below(input, 17);
    frame->text = yami_slice_text("fuzz");
}

static yami_frame_t
s_frame(const relay_frames_t *self, fuzz_input_t *input, uint8_t what)
{
    yami_frame_t frame = {.handle = YAMI_CLIENT_HANDLE};
    switch (what % 12) {
    default:
        frame.type = YAMI_FRAME_CONFIRM;
        frame.present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL;
        frame.epoch = self->epoch;
        frame.sequence = s_near(input, self->sequence) % YAMI_LIMIT_SEQUENCE;
        frame.level = YAM_LEVEL_SYNCED;
        break;
    case 0:
    case 1:
        frame.type = YAMI_FRAME_WELCOME;
        s_greeting(self, input, &frame);
        break;
    case 2:
    case 3:
        frame.type = YAMI_FRAME_ATTACHED;
        s_attached(self, input, &frame);
        break;
    case 4:
        frame.type = YAMI_FRAME_REFUSE;
        s_refuse(self, input, &frame);
        break;
    case 5:
        frame.type = YAMI_FRAME_CREDIT;
        frame.present = YAMI_F_MESSAGES | YAMI_F_BYTES;
        frame.messages = fuzz_number(input);
        frame.bytes = fuzz_number(input);
        break;
    case 6:
        frame.type = YAMI_FRAME_ACKED;
        frame.present = YAMI_F_SERIAL;
        frame.serial = s_near(input, self->serial);
        break;
    case 7:
        frame.type = YAMI_FRAME_DETACHED;
        s_ending(input, &frame, YAMI_CLIENT_HANDLE);
        break;
    case 8:
        frame.type = YAMI_FRAME_ERROR;
        s_ending(input, &frame, fuzz_below(input, 2));
        frame.status += frame.status == YAM_STATUS_OK ? 1 : 0; //  an ERROR never says that
        break;
    case 9:
        frame = (yami_frame_t) {.type = fuzz_below(input, 4) ? YAMI_FRAME_HEARTBEAT
                                                             : YAMI_FRAME_GOODBYE};
        break;
    }
    return frame;
}

yami_block_t *
relay_frames_next(const relay_frames_t *self, fuzz_input_t *input, yami_frame_t *frame,
                  int *error_p)
{
    uint8_t what = fuzz_u8(input);
    yami_frame_t made = s_frame(self, input, what);
    yami_block_t *block = fuzz_encode(&made);
    if (what >= 240) {
        uint8_t *bytes = fuzz_copy(block->data, block->size);
        size_t at = fuzz_u8(input) % block->size;
        bytes[at] = fuzz_u8(input);
        yami_block_t *changed = yami_block_copy(bytes, block->size, YAMI_LIMIT_FRAME);
        yami_free(bytes);
        yami_block_unref(&block);
        block = changed;
    }
    memset(frame, 0, sizeof *frame);
    *error_p = yami_frame_decode(frame, block->data, block->size) == 0 ? 0 : errno;
    return block;
}
