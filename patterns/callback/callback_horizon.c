//  yami_callback_horizon - when checks may be judged. See the header.

#include "yami_callback_horizon.h"

#include "yami_planted.h"

void
yami_callback_horizon_ask(yami_callback_horizon_t *self)
{
    self->has_heard = false;
    self->last = 0;
}

bool
yami_callback_horizon_hear(yami_callback_horizon_t *self, uint64_t last, uint64_t floor)
{
    //  A relay that begins anew, without what it had, begins at 1.
    if (!self->has_heard || last < self->last) {
        self->has_heard = true;
        self->last = last;
    }
    return floor > self->last || YAMI_PLANTED(JUDGED_BEFORE_CONFIRMS);
}
