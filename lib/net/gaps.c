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
s_find(yami_gaps_t *self, const yami_batch_t *batch, const yami_mark_t *mark)
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
    if (self->count < YAMI_LIMIT_GAPS) {
        oldest = &self->senders[self->count++];
    }
    *oldest = (yami_gaps_sender_t) {.producer = batch->producer,
                                    .epoch = batch->epoch,
                                    .has_count = mark != NULL,
                                    .since = mark ? mark->since : 0,
                                    .next = mark ? mark->before : 0};
    return oldest;
}

//  How many messages are missing before the mark.
static uint64_t
s_missing(yami_gaps_sender_t *sender, const yami_mark_t *mark)
{
    if (!sender->has_count || sender->since != mark->since) {
        sender->has_count = true;
        sender->since = mark->since;
        sender->next = mark->since >= sender->latest ? 0 : mark->before;
    }
    return mark->before > sender->next ? mark->before - sender->next : 0;
}

uint64_t
yami_gaps_note(yami_gaps_t *self, const yami_batch_t *batch, const yami_mark_t *mark)
{
    yami_gaps_sender_t *sender = s_find(self, batch, mark);
    uint64_t last = batch->first_sequence + batch->count - 1;
    uint64_t missing = 0;
    sender->used_at = ++self->turn;
    if (mark) {
        uint64_t next = mark->before + batch->count;
        missing = s_missing(sender, mark);
        sender->next = next > sender->next ? next : sender->next;
    }
    sender->latest = last > sender->latest ? last : sender->latest;
    return missing;
}
