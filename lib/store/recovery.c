//  The newest checkpoint, what follows it, and the report of all that is damaged.

#include "yami_recovery.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_limits.h"

yami_found_t *
yami_recovery_last(const yami_recovery_t *self)
{
    for (size_t index = self->found_count; index > 0; index--) {
        if (self->found[index - 1].segment && !self->found[index - 1].is_given_back) {
            return &self->found[index - 1];
        }
    }
    return NULL;
}

const yami_found_t *
yami_recovery_find(const yami_recovery_t *self, uint64_t number)
{
    size_t low = 0;
    size_t high = self->found_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->found[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < self->found_count && self->found[low].number == number;
    return is_found ? &self->found[low] : NULL;
}

//  No damage is left out in silence: what cannot be named is told by its number. Without files to
//  count it in, a range whose loss to another channel cannot be named is there all the same.
static int
s_count_unnamed(yami_recovery_t *self, const yami_damage_t *damage, uint64_t ranges)
{
    if (damage->is_torn_tail || (self->found_count == 0 && ranges == 0)) {
        return 0;
    }
    if (self->found_count == 0) {
        return yami_fail(EMSGSIZE, "store: segment %llu has more damage than can be named",
                         (unsigned long long) damage->segment);
    }
    const yami_found_t *at = yami_recovery_find(self, damage->segment);
    if (!at) {
        self->unnamed_missing += ranges;
        self->unnamed_missing_lsn = damage->last_lsn;
        self->has_unnamed_missing = true;
        return 0;
    }
    yami_found_t *found = &self->found[at - self->found];
    found->unnamed_ranges += ranges;
    found->has_unnamed = true;
    return 0;
}

static int
s_add(yami_recovery_t *self, const yami_damage_t *damage, uint64_t ranges)
{
    size_t limit = self->damage_limit > 0 ? self->damage_limit : YAMI_LIMIT_DAMAGES;
    if (self->damage_count == limit) {
        return s_count_unnamed(self, damage, ranges);
    }
    if (yami_grow(&self->damages, &self->damage_capacity, self->damage_count + 1,
                  sizeof *self->damages, limit) == -1) {
        return -1;
    }
    self->damages[self->damage_count++] = *damage;
    return 0;
}

int
yami_recovery_add_damage(yami_recovery_t *self, const yami_damage_t *damage)
{
    return s_add(self, damage, damage->is_torn_tail ? 0 : 1);
}

int
yami_recovery_add_loss(yami_recovery_t *self, const yami_damage_t *damage)
{
    return s_add(self, damage, 0);
}

int
yami_recovery_add_bad(yami_recovery_t *self, const yami_found_t *found,
                      const yami_scan_item_t *item, bool is_torn_tail)
{
    const yami_entry_t *entry = &item->entry;
    yami_damage_t damage = {.segment = found->number,
                            .offset = item->offset,
                            .size = item->size,
                            .first_lsn = item->first_lsn,
                            .last_lsn = item->last_lsn,
                            .is_torn_tail = is_torn_tail,
                            .what = item->what};
    if (entry->count > 0 && !is_torn_tail) {
        damage.channel = entry->channel;
        damage.first = entry->base;
        damage.last = entry->base + entry->count - 1;
    }
    return yami_recovery_add_damage(self, &damage);
}

//  Loads the checkpoint at offset of a segment and decodes the store's part: 1, 0 when it is bad,
//  -1 with errno.
static int
s_load_checkpoint(yami_recovery_t *self, yami_found_t *found, uint64_t offset)
{
    yami_entry_header_t header;
    int rc = yami_segment_reader_header(&self->reader, found->segment, offset, &header);
    if (rc != 1 || header.kind != YAMI_ENTRY_CHECKPOINT) {
        return rc == -1 ? -1 : 0;
    }
    yami_entry_t entry;
    rc = yami_segment_reader_load(&self->reader, found->segment, offset, &header, &entry);
    if (rc == 1) {
        rc = yami_checkpoint_decode(&self->checkpoint, entry.meta, entry.meta_size);
        rc = rc == 0 ? 1 : errno == EPROTO ? 0 : -1;
        yami_store_release(&entry);
    }
    if (rc == 1) {
        self->checkpoint_lsn = header.lsn;
        self->checkpoint_offset = offset;
        self->checkpoint_found = (size_t) (found - self->found);
    }
    return rc;
}

//  The last readable checkpoint of a segment whose last one is damaged: 1, 0, -1.
static int
s_search_checkpoint(yami_recovery_t *self, yami_found_t *found)
{
    yami_segment_scan_t scan;
    yami_segment_scan_init(&scan, &self->reader, found->segment);
    scan.end = found->segment->end;
    uint64_t offset = 0;
    yami_scan_item_t item;
    do {
        if (yami_segment_scan_next(&scan, &item) == -1) {
            return -1;
        }
        if (item.type == YAMI_SCAN_ENTRY && item.entry.kind == YAMI_ENTRY_CHECKPOINT) {
            offset = item.offset;
        }
        yami_store_release(&item.entry);
    } while (item.type != YAMI_SCAN_END);
    return offset > 0 ? s_load_checkpoint(self, found, offset) : 0;
}

//  The newest one that can be read. None is no error: then everything is replayed.
static int
s_find_checkpoint(yami_recovery_t *self)
{
    for (size_t index = self->found_count; index > 0; index--) {
        yami_found_t *found = &self->found[index - 1];
        if (!found->segment || found->segment->checkpoint_offset == 0) {
            continue;
        }
        int rc = s_load_checkpoint(self, found, found->segment->checkpoint_offset);
        rc = rc == 0 ? s_search_checkpoint(self, found) : rc;
        if (rc != 0) {
            return rc == -1 ? -1 : 0;
        }
    }
    return 0;
}

static void
s_give_back(yami_recovery_t *self, yami_found_t *found)
{
    found->is_given_back = true;
    if (found->segment) {
        yami_segment_reader_close(&self->reader, found->segment);
        yami_index_remove(self->index, found->segment);
        found->segment = NULL;
    }
}

//  Segments older than the checkpoint that it does not list were given back before it.
static void
s_drop_unlisted(yami_recovery_t *self)
{
    for (size_t index = 0; self->checkpoint_lsn > 0 && index < self->checkpoint_found; index++) {
        yami_found_t *found = &self->found[index];
        if (!yami_checkpoint_find(&self->checkpoint, found->number)) {
            s_give_back(self, found);
        }
    }
}

static int
s_add_trim(yami_recovery_t *self, uint64_t number)
{
    if (yami_grow(&self->trims, &self->trim_capacity, self->trim_count + 1, sizeof *self->trims,
                  YAMI_LIMIT_SEGMENTS) == -1) {
        return -1;
    }
    self->trims[self->trim_count++] = number;
    return 0;
}

bool
yami_recovery_is_trimmed(const yami_recovery_t *self, uint64_t number)
{
    for (size_t index = 0; index < self->trim_count; index++) {
        if (self->trims[index] == number) {
            return true;
        }
    }
    return false;
}

//  Hands one entry to the owner; the store's own ones stay here, and so does its part of a
//  checkpoint.
static int
s_replay_entry(yami_recovery_t *self, yami_entry_t *entry)
{
    if (entry->kind == YAMI_ENTRY_TRIM) {
        return s_add_trim(self, entry->base);
    }
    if (entry->kind < YAMI_ENTRY_OWNER && entry->kind != YAMI_ENTRY_CHECKPOINT) {
        return 0;
    }
    yami_entry_t shown = *entry;
    if (entry->kind == YAMI_ENTRY_CHECKPOINT) {
        yami_checkpoint_t prefix;
        int rc = yami_checkpoint_decode(&prefix, entry->meta, entry->meta_size);
        shown.meta = rc == 0 ? (const uint8_t *) entry->meta + prefix.size : NULL;
        shown.meta_size = rc == 0 ? entry->meta_size - prefix.size : 0;
        yami_checkpoint_clear(&prefix);
        if (rc == -1) {
            return -1;
        }
    }
    self->recovered_entries++;
    errno = 0;
    if (self->replay && self->replay(self->arg, &shown) == -1) {
        return errno == 0 ? yami_fail(ECANCELED, "store: replay was refused") : -1;
    }
    return 0;
}

static int
s_handle_bad(yami_recovery_t *self, yami_found_t *found, const yami_scan_item_t *item,
             uint64_t next_lsn)
{
    if (found->is_scanned) {
        return 0; //  was reported when the index was built
    }
    yami_hole_t hole = {
        .offset = item->offset, .end = item->offset + item->size, .next_lsn = next_lsn};
    if (item->size > 0 && yami_segment_add_hole(found->segment, &hole) == -1) {
        return -1;
    }
    return yami_recovery_add_bad(self, found, item, false);
}

//  Everything from offset on in one segment; what lies before first_lsn is only checked.
static int
s_replay_segment(yami_recovery_t *self, yami_found_t *found, uint64_t offset, uint64_t lsn,
                 uint64_t first_lsn)
{
    yami_segment_scan_t scan;
    yami_segment_scan_init(&scan, &self->reader, found->segment);
    scan.offset = offset;
    scan.next_lsn = lsn;
    scan.end = found->segment->end;
    scan.is_end_known = true;
    scan.last_lsn = found->segment->last_lsn;
    bool is_from_start = offset == YAMI_SEGMENT_HEADER_SIZE;
    bool is_known = found->is_scanned;
    yami_scan_item_t item;
    for (;;) {
        if (yami_segment_scan_next(&scan, &item) == -1) {
            return -1;
        }
        int rc = 0;
        if (item.type == YAMI_SCAN_ENTRY) {
            if (item.entry.count > 0 && !is_known) {
                rc = yami_recovery_name_entry(self, found, &item.entry, is_from_start);
            }
            if (rc == 0 && item.entry.lsn >= first_lsn) {
                rc = s_replay_entry(self, &item.entry);
            }
        } else if (item.type == YAMI_SCAN_END && !is_known) {
            rc = yami_recovery_name_rest(self, found, is_from_start);
        } else if (item.type == YAMI_SCAN_BAD) {
            rc = s_handle_bad(self, found, &item, scan.next_lsn);
        }
        int error = errno;
        yami_store_release(&item.entry);
        if (rc == -1 || item.type == YAMI_SCAN_END) {
            errno = error;
            return rc;
        }
    }
}

//  Opening starts at the checkpoint, if there is one. What lies before it is read all the same when
//  that is little.
static int
s_replay(yami_recovery_t *self)
{
    bool has_start = self->spares && self->checkpoint_lsn > 0;
    uint64_t first_lsn = has_start ? self->checkpoint_lsn : 0;
    if (has_start && yami_recovery_unread_bytes(self) <= self->scan_bytes) {
        self->has_read_all = true;
    }
    bool is_skipping = has_start && !self->has_read_all;
    for (size_t index = is_skipping ? self->checkpoint_found : 0; index < self->found_count;
         index++) {
        yami_found_t *found = &self->found[index];
        if (!found->segment) {
            continue;
        }
        bool is_start = is_skipping && index == self->checkpoint_found;
        uint64_t offset = is_start ? self->checkpoint_offset : YAMI_SEGMENT_HEADER_SIZE;
        uint64_t lsn = is_start ? self->checkpoint_lsn : found->segment->header.first_lsn;
        if (s_replay_segment(self, found, offset, lsn, first_lsn) == -1) {
            return -1;
        }
    }
    for (size_t index = 0; index < self->found_count; index++) {
        if (yami_recovery_is_trimmed(self, self->found[index].number)) {
            s_give_back(self, &self->found[index]);
        }
    }
    return 0;
}

//  Whether a damage counts: not when it lies in a segment that was given back.
static bool
s_counts(const yami_recovery_t *self, const yami_damage_t *damage)
{
    const yami_found_t *found = yami_recovery_find(self, damage->segment);
    if (found && found->is_given_back) {
        return false;
    }
    return !yami_recovery_is_trimmed(self, damage->segment);
}

//  Whether the same range comes up before, for another channel.
static bool
s_is_repeated(const yami_recovery_t *self, const yami_damage_t *damage)
{
    for (const yami_damage_t *other = self->damages; other < damage; other++) {
        if (other->segment == damage->segment && other->offset == damage->offset &&
            other->what == damage->what) {
            return true;
        }
    }
    return false;
}

//  Of what is not named, how much there is.
static int
s_report_more(yami_recovery_t *self, uint64_t segment, uint64_t ranges)
{
    yami_damage_t damage = {
        .segment = segment, .is_rest = true, .more = ranges, .what = "more than can be named"};
    self->damaged_ranges += ranges;
    if (self->damaged) {
        self->damaged(self->arg, &damage);
    }
    return self->refuse_damage ? yami_fail(EBADMSG, "store: segment %llu is damaged (%s)",
                                           (unsigned long long) segment, damage.what)
                               : 0;
}

static int
s_report_unnamed(yami_recovery_t *self)
{
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        if (found->has_unnamed && !found->is_given_back &&
            s_report_more(self, found->number, found->unnamed_ranges) == -1) {
            return -1;
        }
    }
    return self->has_unnamed_missing ? s_report_more(self, 0, self->unnamed_missing) : 0;
}

//  Tells the owner.
static int
s_report(yami_recovery_t *self)
{
    for (size_t index = 0; index < self->damage_count; index++) {
        const yami_damage_t *damage = &self->damages[index];
        if (!s_counts(self, damage)) {
            continue;
        }
        self->damaged_ranges += damage->is_torn_tail || s_is_repeated(self, damage) ? 0 : 1;
        if (self->damaged) {
            self->damaged(self->arg, damage);
        }
        if (self->refuse_damage && !damage->is_torn_tail) {
            return yami_fail(EBADMSG, "store: segment %llu is damaged at byte %llu (%s)",
                             (unsigned long long) damage->segment,
                             (unsigned long long) damage->offset, damage->what);
        }
    }
    return s_report_unnamed(self);
}

static void
s_set_results(yami_recovery_t *self)
{
    self->next_number = 1;
    self->next_lsn = self->checkpoint_lsn + 1;
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        if (found->state != YAMI_FOUND_BLANK || found->number > 1) {
            self->next_number = found->number + 1;
        }
        if (found->segment && found->segment->last_lsn >= self->next_lsn) {
            self->next_lsn = found->segment->last_lsn + 1;
        }
    }
    const yami_found_t *last = yami_recovery_last(self);
    self->previous = last ? last->number : 0;
}

int
yami_recovery_run(yami_recovery_t *self)
{
    yami_segment_reader_init(&self->reader, self->disk, self->index);
    if (yami_recovery_list(self) == -1 || yami_recovery_load_index(self) == -1 ||
        s_find_checkpoint(self) == -1) {
        return -1;
    }
    s_drop_unlisted(self);
    if (s_replay(self) == -1) {
        int error = errno;
        if (!self->spares) {
            (void) s_report(self); //  who only looks hears what was found so far
        }
        errno = error;
        return -1;
    }
    if (yami_recovery_find_missing(self) == -1 || yami_recovery_name_missing(self) == -1 ||
        s_report(self) == -1) {
        return -1;
    }
    yami_checkpoint_trim(&self->checkpoint, self->index); //  (4)
    s_set_results(self);
    return self->spares ? yami_recovery_finish(self) : 0; //  (1)
}

void
yami_recovery_clear(yami_recovery_t *self)
{
    for (size_t index = 0; index < self->found_count; index++) {
        yami_segment_t *segment = self->found[index].segment;
        if (segment) {
            yami_segment_reader_close(&self->reader, segment);
            if (yami_index_find(self->index, self->found[index].number) != segment) {
                yami_segment_destroy(&segment);
            }
        }
    }
    yami_segment_reader_clear(&self->reader);
    yami_checkpoint_clear(&self->checkpoint);
    yami_free(self->found);
    yami_free(self->spare_numbers);
    yami_free(self->filling_numbers);
    yami_free(self->trims);
    yami_free(self->damages);
    self->found = NULL;
    self->found_count = 0;
    self->spare_numbers = NULL;
    self->filling_numbers = NULL;
    self->trims = NULL;
    self->damages = NULL;
}
