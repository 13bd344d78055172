//  Gaps in senders' sequences.

#include "yami_gaps.h"

#include <stdbool.h>
#include <string.h>

static bool
s_is(const yami_gaps_sender_t *sender, const yami_batch_t *batch)
{
    return sender->epoch == batch->epoch &&
           memcmp(sender->producer.bytes, batch->producer.bytes, sizeof batch->producer.bytes) == 0;
}

//  The entry of the batch's sender; a new one takes the place of who was silent longest.
static yami_gaps_sender_t *
s_find(yami_gaps_t *self, const yami_batch_t *batch)
{
    yami_gaps_sender_t *oldest = &self->senders[0];
    for (size_t index = 0; index < self->count; index++) {
        yami_gaps_sender_t *sender = &self->senders[index];
        if (s_is(sender, batch)) {
            return sender;
        }
        if (sender->used_at < oldest->used_at) {
            oldest = sender;
        }
    }
    if (self->count < YAMI_GAPS_LIMIT) {
        oldest = &self->senders[self->count++];
    }
    oldest->producer = batch->producer;
    oldest->epoch = batch->epoch;
    oldest->next = batch->first_sequence;
    return oldest;
}

uint64_t
yami_gaps_note(yami_gaps_t *self, const yami_batch_t *batch)
{
    yami_gaps_sender_t *sender = s_find(self, batch);
    uint64_t missing = 0;
    if (batch->first_sequence > sender->next) {
        missing = batch->first_sequence - sender->next;
    }
    sender->next = batch->first_sequence + batch->count;
    sender->used_at = ++self->turn;
    return missing;
}
