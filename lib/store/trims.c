//  Which segments are to be given back.

#include "yami_trims.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"

void
yami_trims_clear(yami_trims_t *self)
{
    yami_free(self->items);
    *self = (yami_trims_t) {0};
}

int
yami_trims_reserve(yami_trims_t *self)
{
    return yami_grow(&self->items, &self->capacity, self->count + 1, sizeof *self->items,
                     YAMI_LIMIT_SEGMENTS);
}

void
yami_trims_note(yami_trims_t *self, uint64_t segment, uint64_t lsn)
{
    if (self->count == 0 || self->items[self->count - 1].lsn < lsn) {
        YAM_ASSERT(self->count < self->capacity);
        self->items[self->count++] = (yami_trim_t) {segment, lsn};
    }
}

int
yami_trims_give_back(yami_trims_t *self, yami_spares_t *spares, uint64_t durable_lsn)
{
    int rc = 0;
    size_t given = 0;
    while (rc == 0 && given < self->count && self->items[given].lsn <= durable_lsn) {
        rc = yami_spares_give(spares, self->items[given].segment) == -1 && errno != ENOENT ? -1 : 0;
        given += rc == 0 ? 1 : 0;
    }
    self->count -= given;
    if (given > 0) {
        memmove(self->items, self->items + given, self->count * sizeof *self->items);
    }
    return rc == -1 && yami_disk_is_short(errno) ? 0 : rc;
}
