//  What opening has left unread: entries before the checkpoint, in segments whose footer was sound.

#include "yami_base.h"
#include "yami_recovery.h"

bool
yami_recovery_is_unread(const yami_recovery_t *self, const yami_found_t *found)
{
    size_t position = (size_t) (found - self->found);
    YAM_ASSERT(position < self->found_count);
    return self->checkpoint_lsn > 0 && position <= self->checkpoint_found && found->segment &&
           !found->is_scanned && !self->has_read_all;
}

//  Where entries nobody has read end: at the checkpoint, which has begun the replay.
static uint64_t
s_unread_end(const yami_recovery_t *self, const yami_found_t *found)
{
    bool is_start = found == &self->found[self->checkpoint_found];
    return is_start ? self->checkpoint_offset : found->segment->end;
}

uint64_t
yami_recovery_unread_bytes(const yami_recovery_t *self)
{
    uint64_t bytes = 0;
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        if (yami_recovery_is_unread(self, found)) {
            bytes += s_unread_end(self, found) - YAMI_SEGMENT_HEADER_SIZE;
        }
    }
    return bytes;
}

int
yami_recovery_plan_scrub(const yami_recovery_t *self, yami_scrub_t *scrub)
{
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        if (yami_recovery_is_unread(self, found) &&
            yami_scrub_add(scrub, found->segment, s_unread_end(self, found)) == -1) {
            return -1;
        }
    }
    return 0;
}
