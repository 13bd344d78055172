//  Segments that should be there and are not, and files that nothing can be read of.

#include "yami_recovery.h"

static const char s_missing[] = "missing segment";
static const char s_missing_many[] = "missing segments";

//  Segments that follow each other are one range when they are missing, named or not.
static bool
s_join_missing(yami_recovery_t *self, const yami_damage_t *damage)
{
    if (self->unnamed_missing > 0 && damage->what == s_missing &&
        self->unnamed_missing_lsn + 1 == damage->first_lsn) {
        self->unnamed_missing_lsn = damage->last_lsn;
        return true;
    }
    yami_damage_t *last = self->damage_count > 0 ? &self->damages[self->damage_count - 1] : NULL;
    bool is_missing = last && (last->what == s_missing || last->what == s_missing_many);
    if (!is_missing || damage->what != s_missing || last->last_lsn + 1 != damage->first_lsn) {
        return false;
    }
    last->last_segment = damage->segment;
    last->last_lsn = damage->last_lsn;
    last->what = s_missing_many;
    return true;
}

//  Reports segments first..number, of which the last should be there, unless it is, or was given
//  back.
static int
s_add_missing(yami_recovery_t *self, uint64_t first, uint64_t number, uint64_t first_lsn,
              uint64_t last_lsn)
{
    const yami_found_t *found = yami_recovery_find(self, number);
    if ((found && (found->is_given_back || found->segment)) ||
        yami_recovery_is_trimmed(self, number)) {
        return 0;
    }
    bool is_range = !found && first < number;
    yami_damage_t damage = {.segment = is_range ? first : number,
                            .last_segment = is_range ? number : 0,
                            .size = found ? found->file_bytes : 0,
                            .first_lsn = first_lsn,
                            .last_lsn = last_lsn,
                            .what = found      ? "segment header"
                                    : is_range ? s_missing_many
                                               : s_missing};
    return s_join_missing(self, &damage) ? 0 : yami_recovery_add_damage(self, &damage);
}

//  What the checkpoint lists and is not there, among the segments before it.
static int
s_find_unlisted(yami_recovery_t *self)
{
    for (size_t index = 0; index < self->checkpoint.segment_count; index++) {
        const yami_live_segment_t *live = &self->checkpoint.segments[index];
        if (live->number < self->found[self->checkpoint_found].number &&
            s_add_missing(self, live->number, live->number, live->first_lsn, live->last_lsn) ==
                -1) {
            return -1;
        }
    }
    return 0;
}

//  Of those that are neither there nor given back, and follow each other up to number. When nothing
//  older is known it is number: the others may have been given back long ago.
static uint64_t
s_first_missing(const yami_recovery_t *self, uint64_t number)
{
    uint64_t first = 0;
    for (size_t index = 0; index < self->found_count && self->found[index].number < number;
         index++) {
        first = self->found[index].number + 1;
    }
    for (size_t index = 0; index < self->trim_count; index++) {
        uint64_t trim = self->trims[index];
        first = trim >= first && trim < number ? trim + 1 : first;
    }
    return first > 0 ? first : number;
}

//  Behind the checkpoint, or in all of the log when there is none, LSNs go on from segment to
//  segment.
static int
s_find_gaps(yami_recovery_t *self)
{
    uint64_t next_lsn = 1;
    size_t start = 0;
    if (self->checkpoint_lsn > 0) {
        start = self->checkpoint_found + 1;
        const yami_segment_t *segment = self->found[self->checkpoint_found].segment;
        next_lsn = segment ? segment->last_lsn + 1 : self->checkpoint_lsn + 1;
    }
    for (size_t index = start; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        if (!found->segment || found->segment->entry_count == 0) {
            continue;
        }
        const yami_segment_header_t *header = &found->segment->header;
        uint64_t previous = found->state == YAMI_FOUND_SOUND ? header->previous : found->number - 1;
        if (header->first_lsn > next_lsn &&
            s_add_missing(self, s_first_missing(self, previous), previous, next_lsn,
                          header->first_lsn - 1) == -1) {
            return -1;
        }
        next_lsn = found->segment->last_lsn + 1;
    }
    return 0;
}

//  Files that nothing can be read of, and whose place in the log nothing else told.
static int
s_find_garbage(yami_recovery_t *self)
{
    const yami_found_t *last = yami_recovery_last(self);
    for (size_t index = 0; index < self->found_count; index++) {
        yami_found_t *found = &self->found[index];
        bool is_behind = !last || found->number > last->number;
        if (found->state == YAMI_FOUND_BLANK && is_behind) {
            found->is_given_back = true; //  made, and never written
        }
        if (found->segment || found->is_given_back) {
            continue;
        }
        bool is_known = found->has_unnamed;
        for (size_t damage = 0; damage < self->damage_count; damage++) {
            is_known = is_known || self->damages[damage].segment == found->number;
        }
        yami_damage_t damage = {
            .segment = found->number, .size = found->file_bytes, .what = "segment header"};
        if (!is_known && yami_recovery_add_damage(self, &damage) == -1) {
            return -1;
        }
    }
    return 0;
}

int
yami_recovery_find_missing(yami_recovery_t *self)
{
    return s_find_unlisted(self) == -1 || s_find_gaps(self) == -1 || s_find_garbage(self) == -1 ? -1
                                                                                                : 0;
}
