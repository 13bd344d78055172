#include "yami_relay_event.h"

#include <errno.h>

//  Why a control frame could not be decoded, as its sender is told.
static yam_status_t
s_frame_status(int error)
{
    switch (error) {
    case EPROTONOSUPPORT:
        return YAM_STATUS_VERSION;
    case EOPNOTSUPP:
        return YAM_STATUS_UNKNOWN;
    case EMSGSIZE:
        return YAM_STATUS_TOO_BIG;
    default:
        return YAM_STATUS_MALFORMED;
    }
}

yami_relay_event_t
yami_relay_event_decode(uint64_t peer, yami_block_t *block, yami_frame_t *frame,
                        yami_batch_t *batch)
{
    yami_relay_event_t event = {.type = YAMI_EVENT_GARBAGE, .peer = peer, .block = block};
    if (yami_frame_is_batch(block->data, block->size)) {
        if (yami_batch_decode(batch, block->data, block->size) == 0) {
            event.type = YAMI_EVENT_BATCH;
            event.batch = batch;
        } else if (errno == EBADMSG &&
                   yami_batch_decode_head(batch, block->data, block->size) == 0) {
            event.type = YAMI_EVENT_BATCH;
            event.batch = batch;
            event.is_damaged = true;
        } else {
            event.status = YAM_STATUS_MALFORMED;
        }
    } else if (yami_frame_decode(frame, block->data, block->size) == 0) {
        event.type = YAMI_EVENT_FRAME;
        event.frame = frame;
    } else {
        event.status = s_frame_status(errno);
    }
    return event;
}
