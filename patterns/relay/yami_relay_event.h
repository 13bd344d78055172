/*  yami_relay_event - makes of the bytes of a link what the core steps.
*/
#ifndef YAMI_RELAY_EVENT_H
#define YAMI_RELAY_EVENT_H

#include "yami_relay_core.h"

//  An event of type FRAME, BATCH or, whatever the bytes are, GARBAGE with a status that says why.
//  It borrows block and, where its type says so, what was decoded into *frame or *batch.
yami_relay_event_t
yami_relay_event_decode(uint64_t peer, yami_block_t *block, yami_frame_t *frame,
                        yami_batch_t *batch);

#endif
