/*  yami_message_slab - messages of one received frame in one allocation.

    Reading a frame of many small messages costs one allocation, one reference to the frame and one
    copy of its subject for all of them. Invariants:
    (1) reference_count is how many of its messages are not destroyed yet; who destroys the last one
    frees the slab and drops the frame. Any thread may.
    (2) Messages are added before the first is handed out, by one thread.
*/
#ifndef YAMI_MESSAGE_SLAB_H
#define YAMI_MESSAGE_SLAB_H

#include "yami_message.h"

#define YAMI_MESSAGE_SLAB_LIMIT 64u //  messages of one slab: some 9 KiB

typedef struct yami_message_slab {
    _Atomic uint32_t reference_count; //  (1)
    uint32_t count;
    yami_block_t *block; //  owned reference
    char *subject;       //  owned; of all messages, NULL when they have none from the transport
    yam_message_t messages[]; //  count of them are set
} yami_message_slab_t;

//  For up to limit (1..YAMI_MESSAGE_SLAB_LIMIT) messages in block, to which it takes a reference of
//  its own; subject (may be empty) is copied. NULL with errno ENOMEM.
yami_message_slab_t *
yami_message_slab_new(yami_block_t *block, const char *subject, uint32_t limit);

//  Adds a message; record points into the block. At most limit times.
void
yami_message_slab_add(yami_message_slab_t *self, const yami_record_t *record, uint64_t sequence);

//  Destroys count (0..) messages at once that were not handed out.
void
yami_message_slab_drop(yami_message_slab_t *self, uint32_t count);

//  Frees a slab to which nothing was added.
void
yami_message_slab_free(yami_message_slab_t *self);

#endif
