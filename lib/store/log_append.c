//  The owner's half: where an entry goes, when a new segment begins, and which are given back.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_checkpoint.h"
#include "yami_log_state.h"
#include "yami_planted.h"

//  Bytes that the footer of a segment with so much meta takes, trailer included, and a gap between
//  them: a trailer right behind its footer is the sign of a file that was cut there, when all in it
//  was durable.
static uint64_t
s_footer_span(size_t meta_size)
{
    return yami_entry_span(meta_size, 0) + YAMI_ENTRY_ALIGNMENT + YAMI_TRAILER_SIZE;
}

//  The footer of the active segment goes out; it is no longer active then. 0, or -1 with errno
//  ENOMEM.
int
yami_log_seal(yami_log_t *self, bool is_last)
{
    yami_segment_t *segment = self->active;
    size_t size = yami_segment_footer_size(segment, 0, 0);
    uint8_t *footer = yami_try_alloc(size, YAMI_LIMIT_OWN_META);
    if (!footer) {
        return -1;
    }
    yami_segment_footer_encode(segment, footer);
    yami_entry_header_t header = {.salt = segment->header.salt,
                                  .kind = YAMI_ENTRY_FOOTER,
                                  .lsn = segment->last_lsn,
                                  .meta_size = (uint32_t) size};
    uint64_t trailer_offset =
        is_last ? segment->end + yami_entry_span(size, 0) : segment->file_bytes - YAMI_TRAILER_SIZE;
    int rc = yami_commit_seal(self->commit, &header, segment->end, footer, trailer_offset, is_last);
    yami_free(footer);
    if (rc == 0) {
        self->previous = segment->header.number;
        self->active = NULL;
        yami_index_seal(&self->index, segment);
    }
    return rc;
}

static int
s_begin(yami_log_t *self, uint64_t file_bytes, int64_t time_ms)
{
    yami_segment_header_t header = {.version = YAMI_FORMAT_VERSION,
                                    .number = self->next_number,
                                    .store_id = self->store_id,
                                    .created_ms = time_ms,
                                    .first_lsn = self->next_lsn,
                                    .previous = self->previous,
                                    .file_bytes = file_bytes};
    yami_random(&header.salt, sizeof header.salt);
    yami_segment_t *segment = yami_segment_new(&header);
    yami_segment_t *active = segment;
    if (yami_index_add(&self->index, &segment) == -1) {
        yami_segment_destroy(&segment);
        return -1;
    }
    if (yami_commit_begin(self->commit, &header) == -1) {
        yami_index_remove(&self->index, active);
        return -1;
    }
    self->active = active;
    self->next_number++;
    return 0;
}

//  A new active segment, large enough for an entry of that span. Returns 0, or -1 with errno ENOSPC
//  or ENOMEM.
static int
s_roll(yami_log_t *self, const yami_entry_t *entry, uint64_t span)
{
    yami_segment_t empty = {0};
    uint64_t needed =
        YAMI_SEGMENT_HEADER_SIZE + span + s_footer_span(yami_segment_footer_size(&empty, 1, 1));
    uint64_t file_bytes =
        needed > self->options.segment_bytes ? needed : self->options.segment_bytes;
    bool is_refusable = entry->count > 0 && !self->has_promised_room;
    if (yami_spares_promise(self->spares, file_bytes, is_refusable) == -1) {
        return -1;
    }
    if ((self->active && yami_log_seal(self, false) == -1) ||
        s_begin(self, file_bytes, entry->time_ms) == -1) {
        yami_spares_release(self->spares);
        return -1;
    }
    return 0;
}

//  Whether an entry of that span, and the footer as it will be then, fit into the active segment.
static bool
s_fits(const yami_log_t *self, const yami_entry_t *entry, uint64_t span)
{
    const yami_segment_t *segment = self->active;
    size_t growth = entry->count > 0 ? yami_index_footer_growth(&self->index, segment,
                                                                entry->channel, segment->end)
                                     : 0;
    size_t footer_size = yami_segment_footer_size(segment, 0, 0) + growth;
    return footer_size <= YAMI_LIMIT_OWN_META &&
           segment->end + span + s_footer_span(footer_size) <= segment->file_bytes;
}

//  Puts an entry at the end of the active segment. 0, or -1 with errno ENOMEM; nothing to be seen
//  changed then.
static int
s_place(yami_log_t *self, yami_entry_t *entry, const uint8_t *prefix, size_t prefix_size,
        uint64_t span)
{
    yami_segment_t *segment = self->active;
    yami_entry_header_t header = {.salt = segment->header.salt,
                                  .kind = entry->kind,
                                  .channel = entry->channel,
                                  .lsn = self->next_lsn,
                                  .base = entry->base,
                                  .time_ms = entry->time_ms,
                                  .count = entry->count,
                                  .meta_size = (uint32_t) (prefix_size + entry->meta_size),
                                  .data_size = entry->data ? (uint32_t) entry->data->size : 0};
    yami_block_t *data = header.data_size > 0 ? entry->data : NULL;
    if (entry->count > 0 &&
        yami_index_prepare(&self->index, segment, entry->channel, segment->end) == -1) {
        return -1;
    }
    if (yami_commit_entry(self->commit, &header, segment->end, prefix, prefix_size, entry->meta,
                          data) == -1) {
        if (entry->count > 0) {
            yami_index_cancel(&self->index, segment, entry->channel);
        }
        return -1;
    }
    entry->lsn = self->next_lsn++;
    if (entry->count > 0) {
        yami_point_t point = {.base = entry->base, .lsn = entry->lsn, .offset = segment->end};
        yami_index_note(&self->index, segment, entry->channel, &point, entry->count);
        yami_cache_add(&self->cache, entry);
    }
    if (entry->kind == YAMI_ENTRY_CHECKPOINT) {
        segment->checkpoint_offset = segment->end;
        segment->checkpoint_lsn = entry->lsn;
    }
    segment->end += span;
    segment->last_lsn = entry->lsn;
    segment->entry_count++;
    self->bytes_since_checkpoint += span;
    self->stats.entries++;
    self->stats.bytes += span;
    return 0;
}

static int
s_append_any(yami_log_t *self, yami_entry_t *entry, const uint8_t *prefix, size_t prefix_size)
{
    size_t data_size = entry->data ? entry->data->size : 0;
    uint64_t span = yami_entry_span(prefix_size + entry->meta_size, data_size);
    if ((!self->active || !s_fits(self, entry, span)) && s_roll(self, entry, span) == -1) {
        return -1;
    }
    return s_place(self, entry, prefix, prefix_size, span);
}

static int
s_append_checkpoint(yami_log_t *self, yami_entry_t *entry)
{
    size_t prefix_size = 0;
    uint8_t *prefix = yami_checkpoint_encode(&self->index, &prefix_size);
    if (!prefix) {
        return -1;
    }
    int rc = s_append_any(self, entry, prefix, prefix_size);
    yami_free(prefix);
    if (rc == 0) {
        self->has_checkpoint = true;
        self->checkpoint_lsn = entry->lsn;
        self->checkpoint_size = entry->meta_size;
        self->bytes_since_checkpoint = 0;
    }
    return rc;
}

//  Gives back the segments that nobody needs: a TRIM entry for each; the file follows when that is
//  durable. What cannot be done now is done later.
static void
s_give_back(yami_log_t *self)
{
    if (self->checkpoint_lsn > self->durable_checkpoint_lsn &&
        self->checkpoint_lsn <= yami_commit_durable(self->commit)) {
        self->durable_checkpoint_lsn = self->checkpoint_lsn;
    }
    bool is_swept = self->swept_checkpoint_lsn == self->durable_checkpoint_lsn &&
                    self->swept_count == self->index.unneeded_count;
    if (self->index.unneeded_count == 0 || is_swept) {
        return;
    }
    for (size_t index = 0; index < self->index.count;) {
        yami_segment_t *segment = self->index.segments[index];
        bool is_covered = segment->last_lsn < self->durable_checkpoint_lsn;
        if (!yami_index_is_unneeded(segment) ||
            !(is_covered || YAMI_PLANTED(SEGMENT_RECYCLED_EARLY))) {
            index++;
            continue;
        }
        yami_scrub_forget(self->scrub, segment->header.number); //  its file may change from now on
        yami_entry_t entry = {.kind = YAMI_ENTRY_TRIM, .base = segment->header.number};
        if (s_append_any(self, &entry, NULL, 0) == -1) {
            return;
        }
        yami_segment_reader_close(&self->reader, segment);
        yami_index_remove(&self->index, segment);
    }
    self->swept_checkpoint_lsn = self->durable_checkpoint_lsn;
    self->swept_count = self->index.unneeded_count;
}

//  What a caller may not ask for.
static int
s_check_entry(const yami_log_t *self, const yami_entry_t *entry)
{
    size_t data_size = entry->data ? entry->data->size : 0;
    if (entry->meta_size > YAMI_LIMIT_ENTRY_META || data_size > YAMI_LIMIT_ENTRY_DATA) {
        return yami_fail(EMSGSIZE,
                         "store: an entry of %zu + %zu bytes is larger than the log takes",
                         entry->meta_size, data_size);
    }
    bool is_kind = entry->kind == YAMI_ENTRY_CHECKPOINT || entry->kind >= YAMI_ENTRY_OWNER;
    bool is_range = entry->base <= YAMI_LIMIT_SEQUENCE - entry->count;
    uint64_t last = yami_index_last_sequence(&self->index, entry->channel);
    if (!is_kind || !is_range || (entry->count > 0 && entry->base <= last)) {
        return yami_fail(EINVAL,
                         "store: kind %u, channel %u, sequence %llu (the last is %llu) "
                         "cannot be appended",
                         (unsigned) entry->kind, (unsigned) entry->channel,
                         (unsigned long long) entry->base, (unsigned long long) last);
    }
    return 0;
}

int
yami_log_append(yami_store_t *store, yami_entry_t *entry)
{
    yami_log_t *self = (yami_log_t *) store;
    if (yami_commit_has_failed(self->commit)) {
        return yami_fail(EIO, "store: a write failed before; open it again to recover");
    }
    if (s_check_entry(self, entry) == -1) {
        return -1;
    }
    if (entry->count > 0 && !self->has_promised_room && yami_spares_is_low(self->spares)) {
        return yami_fail(ENOSPC, "store: free disk is below the reserve of %llu bytes",
                         (unsigned long long) self->options.reserve_bytes);
    }
    int rc = entry->kind == YAMI_ENTRY_CHECKPOINT ? s_append_checkpoint(self, entry)
                                                  : s_append_any(self, entry, NULL, 0);
    if (rc == 0) {
        s_give_back(self);
    }
    return rc;
}

bool
yami_log_has_room(const yami_store_t *store)
{
    //  the object is not const; what it says, it must remember
    yami_log_t *self = (yami_log_t *) store;
    bool has_room = !yami_commit_has_failed(self->commit) && !yami_commit_is_short(self->commit) &&
                    !yami_spares_is_low(self->spares);
    //  One event's appends may need a new segment, unless half of this one is left.
    bool has_rest = self->active && self->active->end < self->options.segment_bytes / 2;
    has_room = has_room &&
               (has_rest || yami_spares_has_segment(self->spares, self->options.segment_bytes));
    self->has_promised_room = has_room;
    return has_room;
}

void
yami_log_trim(yami_store_t *store, uint32_t channel, uint64_t floor)
{
    yami_log_t *self = (yami_log_t *) store;
    yami_cache_trim(&self->cache, channel, floor);
    yami_index_trim(&self->index, channel, floor);
    (void) yami_log_give_back(store);
}

uint64_t
yami_log_give_back(yami_store_t *store)
{
    yami_log_t *self = (yami_log_t *) store;
    if (!yami_commit_has_failed(self->commit)) {
        s_give_back(self);
    }
    return self->next_lsn - 1;
}

//  One per segment; but large ones in small segments not more often than there is something to
//  leave out next time.
bool
yami_log_wants_checkpoint(const yami_store_t *store)
{
    const yami_log_t *self = (const yami_log_t *) store;
    if (self->active && self->active->checkpoint_offset > 0) {
        return false;
    }
    uint64_t distance = self->options.segment_bytes / 8;
    distance = self->checkpoint_size > distance ? self->checkpoint_size : distance;
    return !self->has_checkpoint || self->bytes_since_checkpoint >= distance;
}

void
yami_log_check(const yami_log_t *self)
{
    yami_index_check(&self->index);
    yami_cache_check(&self->cache);
    const yami_segment_t *last = yami_index_last(&self->index);
    for (size_t index = 0; index < self->index.count; index++) { //  (1)
        const yami_segment_t *segment = self->index.segments[index];
        YAM_ASSERT(segment->is_sealed == (segment != self->active));
        YAM_ASSERT(segment->last_lsn < self->next_lsn); //  (2)
    }
    YAM_ASSERT(!self->active || self->active == last);
    YAM_ASSERT(yami_commit_durable(self->commit) < self->next_lsn);
}
