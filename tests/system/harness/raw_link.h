/*  raw_link - a DEALER that says to a relay whatever a test wants it to say, frame by frame.

    Made of libzmq and the frame codec only: it keeps no window, answers nothing, and does not mind
    being refused.
*/
#ifndef RAW_LINK_H
#define RAW_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_batch.h"
#include "yami_frame.h"

#define RAW_LINK_PATIENCE_MS 20000

typedef struct {
    void *context;
    void *socket;
    uint8_t *bytes; //  of the frame received last
    size_t size;
    uint64_t session;
} raw_link_t;

//  Connects; no HELLO.
void
raw_link_open(raw_link_t *self, const char *endpoint);

//  Also what is still in its queues is gone.
void
raw_link_close(raw_link_t *self);

//  Sends bytes as one message, or as one part of it.
void
raw_link_send(raw_link_t *self, const void *bytes, size_t size);
void
raw_link_send_part(raw_link_t *self, const void *bytes, size_t size);

void
raw_link_send_frame(raw_link_t *self, const yami_frame_t *frame);

//  Receives until a control frame of that type (0: any but HEARTBEAT) comes; all others are passed
//  over. False when none comes for timeout_ms. Slices of frame are borrowed until the next call.
bool
raw_link_expect(raw_link_t *self, uint8_t type, yami_frame_t *frame, int timeout_ms);

//  HELLO and its WELCOME.
bool
raw_link_hello(raw_link_t *self);

//  Attaches as a producer of a queue with a fresh epoch. attached (may be NULL) is the answer.
bool
raw_link_produce(raw_link_t *self, uint32_t handle, const char *queue, const yami_id_t *producer,
                 yami_frame_t *attached);

//  A batch with one record; the caller frees it with yami_block_unref.
yami_block_t *
raw_link_batch(uint32_t handle, const yami_id_t *producer, uint32_t epoch, uint64_t sequence,
               const void *body, size_t size);

//  Sends such a batch and waits for its fate: the status, OK only when confirmed as synced.
//  YAM_STATUS_TIMEOUT when nothing is answered.
yam_status_t
raw_link_publish(raw_link_t *self, uint32_t handle, const yami_id_t *producer, uint32_t epoch,
                 uint64_t sequence, const void *body, size_t size);

#endif
