//  message_slab - see yami_message_slab.h.

#include "yami_message_slab.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

yami_message_slab_t *
yami_message_slab_new(yami_block_t *block, const char *subject, uint32_t limit)
{
    YAM_ASSERT(block != NULL && limit > 0 && limit <= YAMI_MESSAGE_SLAB_LIMIT);
    yami_message_slab_t *self =
        yami_try_alloc(sizeof *self + limit * sizeof(yam_message_t), SIZE_MAX);
    if (self == NULL) {
        return NULL;
    }
    size_t subject_size = strlen(subject);
    self->subject = NULL;
    if (subject_size > 0) {
        self->subject = yami_try_alloc(subject_size + 1, SIZE_MAX);
        if (self->subject == NULL) {
            yami_free(self);
            return NULL;
        }
        memcpy(self->subject, subject, subject_size + 1);
    }
    atomic_init(&self->reference_count, 0);
    self->count = 0;
    self->block = yami_block_ref(block);
    return self;
}

void
yami_message_slab_add(yami_message_slab_t *self, const yami_record_t *record, uint64_t sequence)
{
    yam_message_t *message = &self->messages[self->count++];
    message->slab = self;
    message->block = self->block;
    message->record = *record;
    message->sequence = sequence;
    message->token = 0;
    message->time_ms = 0;
    message->deliveries = 1;
    message->failures = 0;
    message->scratch = NULL;
    message->built = NULL;
    message->subject = self->subject;
    atomic_store_explicit(&self->reference_count, self->count, memory_order_relaxed); //  (2)
}

void
yami_message_slab_drop(yami_message_slab_t *self, uint32_t count)
{
    if (count == 0) {
        return;
    }
    //  Release: our reads of the messages come before the free. Acquire: so do those of all others.
    uint32_t before =
        atomic_fetch_sub_explicit(&self->reference_count, count, memory_order_acq_rel);
    YAM_ASSERT(before >= count);
    if (before == count) {
        yami_message_slab_free(self);
    }
}

void
yami_message_slab_free(yami_message_slab_t *self)
{
    YAM_ASSERT(atomic_load_explicit(&self->reference_count, memory_order_relaxed) == 0);
    yami_block_unref(&self->block);
    yami_free(self->subject);
    yami_free(self);
}
