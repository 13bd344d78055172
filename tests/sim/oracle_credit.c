//  What producers may send, and whether it comes back. See oracle.h.

#include <inttypes.h>
#include <string.h>

#include "oracle_state.h"

void
oracle_credit_ends(oracle_link_t *link)
{
    link->messages = link->bytes = (oracle_credit_t) {0};
}

void
oracle_credit_takes(oracle_link_t *link, const yami_frame_t *frame)
{
    if (frame->type == YAMI_FRAME_HELLO || frame->type == YAMI_FRAME_ATTACH ||
        frame->type == YAMI_FRAME_DETACH || frame->type == YAMI_FRAME_GOODBYE) {
        oracle_credit_ends(link);
    }
}

void
oracle_credit_hears(oracle_link_t *link, const yami_batch_t *batch)
{
    link->messages.heard += batch->count;
    link->bytes.heard += YAMI_BATCH_HEADER_SIZE + batch->payload.size;
}

//  What was heard before it is not counted: then there is more left than is asked for.
static void
s_begin(oracle_credit_t *self, uint64_t granted)
{
    *self = (oracle_credit_t) {.window = granted, .granted = granted};
}

void
oracle_credit_sends(oracle_link_t *link, const yami_frame_t *frame)
{
    if (frame->type == YAMI_FRAME_ATTACHED && link->group == ORACLE_NONE) {
        s_begin(&link->messages, frame->messages);
        s_begin(&link->bytes, frame->bytes);
    } else if (frame->type == YAMI_FRAME_CREDIT) {
        link->messages.granted = frame->messages;
        link->bytes.granted = frame->bytes;
    }
}

//  A quarter of the window need not be given back before the rest of it is.
static bool
s_is_back(const oracle_credit_t *self)
{
    return self->window == 0 || self->granted + (self->window + 3) / 4 > self->heard + self->window;
}

uint64_t
oracle_credit_undone(const oracle_t *self, char *text, size_t size)
{
    for (size_t index = 0; index < self->link_count; index++) {
        const oracle_link_t *link = &self->links[index];
        if (!s_is_back(&link->messages) || !s_is_back(&link->bytes)) {
            (void) snprintf(text, size,
                            "link %zu has sent %" PRIu64 " messages and %" PRIu64
                            " bytes, and may send up to %" PRIu64 " and %" PRIu64,
                            index + 1, link->messages.heard, link->bytes.heard,
                            link->messages.granted, link->bytes.granted);
            return index + 1;
        }
    }
    return 0;
}
