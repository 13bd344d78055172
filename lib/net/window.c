//  window - a ring of unconfirmed batches. See yami_window.h.

#include "yami_window.h"

#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_planted.h"

#define FIRST_CAPACITY 16

yami_window_batch_t *
yami_window_at(const yami_window_t *self, size_t index)
{
    YAM_ASSERT(index < self->count);
    return &self->batches[(self->head + index) & (self->capacity - 1)];
}

void
yami_window_pop(yami_window_t *self)
{
    yami_window_batch_t *batch = yami_window_at(self, 0);
    yami_block_unref(&batch->block);
    yami_free(batch->text);
    self->head = (self->head + 1) & (self->capacity - 1);
    self->count--;
}

void
yami_window_clear(yami_window_t *self)
{
    while (self->count > 0) {
        yami_window_pop(self);
    }
    yami_free(self->batches);
    *self = (yami_window_t) {0};
}

//  Doubles the ring; capacities are powers of two.
static int
s_grow(yami_window_t *self)
{
    size_t capacity = self->capacity > 0 ? self->capacity * 2 : FIRST_CAPACITY;
    size_t size = capacity * sizeof *self->batches;
    yami_window_batch_t *batches =
        yami_try_alloc(size, (size_t) YAMI_LIMIT_WINDOW_MESSAGES * 2 * sizeof *batches);
    if (batches == NULL) {
        return -1;
    }
    for (size_t index = 0; index < self->count; index++) {
        batches[index] =
            YAMI_PLANTED(WRONG_RECORD_RESENT) ? self->batches[index] : *yami_window_at(self, index);
    }
    yami_free(self->batches);
    self->batches = batches;
    self->capacity = capacity;
    self->head = 0;
    return 0;
}

int
yami_window_push(yami_window_t *self, yami_block_t **block_p, uint64_t first, uint64_t last)
{
    YAM_ASSERT(first > 0 && first <= last);
    YAM_ASSERT(self->count == 0 || yami_window_at(self, self->count - 1)->last + 1 == first); // (1)
    if (self->count == self->capacity && s_grow(self) == -1) {
        return -1;
    }
    self->count++;
    *yami_window_at(self, self->count - 1) =
        (yami_window_batch_t) {.block = *block_p, .first = first, .last = last};
    *block_p = NULL;
    return 0;
}

size_t
yami_window_find(const yami_window_t *self, uint64_t sequence)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (yami_window_at(self, middle)->last < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_inside = low < self->count && yami_window_at(self, low)->first <= sequence;
    return is_inside ? low : self->count;
}

void
yami_window_check(const yami_window_t *self)
{
    YAM_ASSERT(self->count <= self->capacity);
    for (size_t index = 0; index < self->count; index++) {
        const yami_window_batch_t *batch = yami_window_at(self, index);
        YAM_ASSERT(batch->block != NULL && batch->first <= batch->last);
        YAM_ASSERT(index == 0 || yami_window_at(self, index - 1)->last + 1 == batch->first); //  (1)
    }
}
