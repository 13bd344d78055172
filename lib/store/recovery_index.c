//  The index of each segment: from its footer, or from a scan of all its entries. The newest
//  segment is always scanned, since what was written last is what a crash tears.
//
//      bad range, nothing later says it was durable  -> torn tail: the log ends there
//      any other bad range                           -> damage: reported, skipped

#include <errno.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_planted.h"
#include "yami_recovery.h"

//  What the first pass over a segment tells the second.
typedef struct {
    uint64_t first_lsn; //  expected; 0: not known
    uint64_t lsn_limit; //  first LSN of the next segment; UINT64_MAX: not known
    uint64_t last_lsn;  //  of the last entry, by the trailer; 0: not known
    uint64_t seen_end;  //  how far the first pass met anything
    uint64_t seen_lsn;
    uint64_t durable; //  highest LSN that an entry here says was durable
    uint64_t end;     //  the log goes on up to here
    bool is_end_known;
    bool has_footer;       //  a valid one was met at end
    yami_scan_item_t *bad; //  owned
    size_t bad_count;
    size_t bad_capacity;
} s_measure_t;

static void
s_start_scan(yami_recovery_t *self, const yami_found_t *found, const s_measure_t *measure,
             yami_segment_scan_t *scan)
{
    yami_segment_scan_init(scan, &self->reader, found->segment);
    scan->end = measure->end;
    scan->is_end_known = measure->is_end_known;
    scan->next_lsn = measure->first_lsn;
    scan->last_lsn = measure->last_lsn;
    scan->lsn_limit = measure->lsn_limit;
}

//  Whether nothing proves that the bad range was ever durable.
static bool
s_is_torn(const yami_found_t *found, const s_measure_t *measure, const yami_scan_item_t *bad)
{
    return !found->is_whole && (bad->at_lsn > measure->durable || YAMI_PLANTED(DAMAGE_READ_AS_END));
}

static int
s_remember_bad(s_measure_t *measure, const yami_scan_item_t *item)
{
    if (yami_grow(&measure->bad, &measure->bad_capacity, measure->bad_count + 1,
                  sizeof *measure->bad, YAMI_LIMIT_BAD_RANGES) == -1) {
        return -1;
    }
    measure->bad[measure->bad_count++] = *item;
    return 0;
}

//  First pass: what is bad, where entries end, and how far they say the log was durable.
static int
s_measure(yami_recovery_t *self, const yami_found_t *found, s_measure_t *measure)
{
    yami_segment_scan_t scan;
    s_start_scan(self, found, measure, &scan);
    yami_scan_item_t item;
    do {
        if (yami_segment_scan_next(&scan, &item) == -1) {
            return -1;
        }
        yami_store_release(&item.entry);
        if (item.type == YAMI_SCAN_BAD && s_remember_bad(measure, &item) == -1) {
            return -1;
        }
        measure->durable = item.durable > measure->durable ? item.durable : measure->durable;
        if (item.type == YAMI_SCAN_FOOTER) {
            measure->has_footer = true;
            measure->end = item.offset;
        }
        if (item.type != YAMI_SCAN_END) {
            measure->seen_end = item.offset + item.size;
        }
        measure->seen_lsn = scan.next_lsn > 0 ? scan.next_lsn - 1 : 0;
    } while (item.type != YAMI_SCAN_END);
    if (!measure->is_end_known && !measure->has_footer) {
        measure->end = scan.offset;
    }
    return 0;
}

//  Cuts at the first torn range and reports it, with all that follows.
static int
s_cut(yami_recovery_t *self, const yami_found_t *found, s_measure_t *measure)
{
    for (size_t index = 0; index < measure->bad_count; index++) {
        yami_scan_item_t *bad = &measure->bad[index];
        if (s_is_torn(found, measure, bad)) {
            measure->end = bad->offset;
            measure->last_lsn = bad->at_lsn - 1;
            measure->has_footer = false;
            bad->size = measure->seen_end - bad->offset;
            bad->first_lsn = measure->seen_lsn >= bad->at_lsn ? bad->at_lsn : 0;
            bad->last_lsn = measure->seen_lsn >= bad->at_lsn ? measure->seen_lsn : 0;
            return yami_recovery_add_bad(self, found, bad, true);
        }
    }
    return 0;
}

//  Files one entry of the second pass. One that comes out of order cannot be found by its sequence,
//  but is replayed.
static int
s_note(yami_recovery_t *self, yami_found_t *found, const s_measure_t *measure,
       const yami_scan_item_t *item)
{
    yami_segment_t *segment = found->segment;
    const yami_entry_t *entry = &item->entry;
    if (segment->entry_count == 0 && segment->header.first_lsn == 0) {
        segment->header.first_lsn = entry->lsn;
    }
    segment->entry_count++;
    segment->last_lsn = entry->lsn;
    if (entry->kind == YAMI_ENTRY_CHECKPOINT) {
        segment->checkpoint_offset = item->offset;
        segment->checkpoint_lsn = entry->lsn;
    }
    if (!found->is_whole && entry->lsn > measure->durable && found->tail_offset == 0) {
        found->tail_offset = item->offset;
    }
    uint64_t last = yami_index_last_sequence(self->index, entry->channel);
    if (entry->count == 0 || entry->base <= last) {
        return 0;
    }
    if (last > 0 && entry->base > last + 1 &&
        yami_recovery_name_lost(self, found->number, entry->channel, last + 1, entry->base - 1) ==
            -1) {
        return -1;
    }
    if (yami_index_prepare(self->index, segment, entry->channel, item->offset) == -1) {
        return -1;
    }
    yami_index_note(
        self->index, segment, entry->channel,
        &(yami_point_t) {.base = entry->base, .lsn = entry->lsn, .offset = item->offset},
        entry->count);
    return 0;
}

static int
s_note_bad(yami_recovery_t *self, const yami_found_t *found, const yami_scan_item_t *item,
           uint64_t next_lsn)
{
    yami_hole_t hole = {
        .offset = item->offset, .end = item->offset + item->size, .next_lsn = next_lsn};
    if (item->size > 0 && yami_segment_add_hole(found->segment, &hole) == -1) {
        return -1;
    }
    if (item->last_lsn > found->segment->last_lsn) {
        found->segment->last_lsn = item->last_lsn;
    }
    return yami_recovery_add_bad(self, found, item, false);
}

//  Second pass: builds the index up to the end that the first one found.
static int
s_build(yami_recovery_t *self, yami_found_t *found, const s_measure_t *measure)
{
    yami_segment_t *segment = found->segment;
    yami_segment_scan_t scan;
    s_start_scan(self, found, measure, &scan);
    scan.is_end_known = true;
    segment->end = measure->end;
    yami_scan_item_t item;
    for (;;) {
        if (yami_segment_scan_next(&scan, &item) == -1) {
            return -1;
        }
        int rc = 0;
        if (item.type == YAMI_SCAN_ENTRY) {
            rc = s_note(self, found, measure, &item);
        } else if (item.type == YAMI_SCAN_BAD && item.offset < measure->end) {
            rc = s_note_bad(self, found, &item, scan.next_lsn);
        }
        yami_store_release(&item.entry);
        if (rc == -1 || item.type == YAMI_SCAN_END) {
            return rc;
        }
    }
}

//  Where entries stopped before the next segment's first one: the last of them are lost.
static int
s_check_end(yami_recovery_t *self, yami_found_t *found, const s_measure_t *measure)
{
    yami_segment_t *segment = found->segment;
    if (measure->lsn_limit == UINT64_MAX || segment->last_lsn + 1 >= measure->lsn_limit) {
        return 0;
    }
    yami_damage_t damage = {.segment = found->number,
                            .offset = segment->end,
                            .size = found->file_bytes - segment->end,
                            .first_lsn = segment->last_lsn + 1,
                            .last_lsn = measure->lsn_limit - 1,
                            .what = "missing entries"};
    segment->last_lsn = measure->lsn_limit - 1;
    return yami_recovery_add_damage(self, &damage);
}

//  What the trailer says, if it is valid.
static int
s_read_trailer(yami_recovery_t *self, yami_found_t *found)
{
    const yami_segment_t *segment = found->segment;
    uint64_t file_bytes = found->file_bytes;
    if (file_bytes < YAMI_SEGMENT_HEADER_SIZE + YAMI_TRAILER_SIZE) {
        return 0;
    }
    const uint8_t *bytes = yami_segment_reader_peek(
        &self->reader, found->segment, file_bytes - YAMI_TRAILER_SIZE, YAMI_TRAILER_SIZE);
    if (!bytes) {
        return -1;
    }
    yami_trailer_t trailer;
    if (yami_trailer_decode(bytes, &trailer) == -1 || trailer.salt != segment->header.salt ||
        trailer.footer_offset < YAMI_SEGMENT_HEADER_SIZE ||
        trailer.footer_offset > file_bytes - YAMI_TRAILER_SIZE ||
        trailer.footer_size > file_bytes - YAMI_TRAILER_SIZE - trailer.footer_offset) {
        return 0;
    }
    found->footer_offset = trailer.footer_offset;
    found->footer_size = trailer.footer_size;
    found->trailer_lsn = trailer.last_lsn;
    found->is_cut = found->footer_offset + found->footer_size + YAMI_TRAILER_SIZE == file_bytes;
    return 0;
}

//  Loads the footer that the trailer names: 1 with *entry, 0 when it is bad, -1 with errno.
static int
s_load_footer(yami_recovery_t *self, yami_found_t *found, yami_entry_t *entry)
{
    yami_entry_header_t header;
    *entry = (yami_entry_t) {0};
    int rc = found->footer_offset == 0 ? 0
                                       : yami_segment_reader_header(&self->reader, found->segment,
                                                                    found->footer_offset, &header);
    if (rc != 1) {
        return rc;
    }
    if (header.kind != YAMI_ENTRY_FOOTER ||
        yami_entry_span(header.meta_size, header.data_size) != found->footer_size) {
        return 0;
    }
    return yami_segment_reader_load(&self->reader, found->segment, found->footer_offset, &header,
                                    entry);
}

static int
s_report_end(yami_recovery_t *self, const yami_found_t *found, bool is_footer)
{
    yami_damage_t damage = {.segment = found->number,
                            .offset = is_footer ? found->footer_offset
                                                : found->file_bytes - YAMI_TRAILER_SIZE,
                            .size = is_footer ? found->footer_size : YAMI_TRAILER_SIZE,
                            .what = is_footer ? "footer" : "trailer"};
    return yami_recovery_add_damage(self, &damage);
}

//  Reports a footer or trailer that should be there and is not.
static int
s_check_footer(yami_recovery_t *self, yami_found_t *found, const s_measure_t *measure)
{
    if (found->footer_offset > 0 && measure->is_end_known) { //  the trailer is valid; the footer?
        yami_entry_t entry;
        int rc = s_load_footer(self, found, &entry);
        yami_store_release(&entry);
        found->has_footer = rc == 1;
        return rc == 0 ? s_report_end(self, found, true) : rc == 1 ? 0 : -1;
    }
    found->has_footer = measure->has_footer && found->footer_offset == measure->end;
    bool is_shortened = found->state == YAMI_FOUND_SOUND &&
                        found->file_bytes < found->segment->header.file_bytes &&
                        measure->has_footer;
    bool is_missing = found->footer_offset == 0 && (found->is_whole || is_shortened);
    return is_missing && found->file_bytes >= YAMI_TRAILER_SIZE ? s_report_end(self, found, false)
                                                                : 0;
}

//  A header that should be there and is not; unless all that came with it was torn, too.
static int
s_check_header(yami_recovery_t *self, const yami_found_t *found)
{
    if (found->state == YAMI_FOUND_SOUND || found->segment->entry_count == 0) {
        return 0;
    }
    yami_damage_t damage = {
        .segment = found->number, .size = YAMI_SEGMENT_HEADER_SIZE, .what = "segment header"};
    return yami_recovery_add_damage(self, &damage);
}

static int
s_scan(yami_recovery_t *self, yami_found_t *found, s_measure_t *measure)
{
    yami_segment_t *segment = found->segment;
    measure->is_end_known = found->footer_offset > 0 && (found->is_cut || found->is_whole);
    measure->end = measure->is_end_known ? found->footer_offset : found->file_bytes;
    measure->last_lsn = measure->is_end_known ? found->trailer_lsn : 0;
    found->is_whole = found->is_whole || found->is_cut;
    found->is_scanned = true;
    yami_segment_reset(segment);
    if (s_measure(self, found, measure) == -1 || s_cut(self, found, measure) == -1 ||
        yami_index_add(self->index, &segment) == -1 || s_build(self, found, measure) == -1 ||
        s_check_header(self, found) == -1 || s_check_end(self, found, measure) == -1 ||
        s_check_footer(self, found, measure) == -1) {
        return -1;
    }
    yami_index_seal(self->index, found->segment);
    return 0;
}

//  The index from the footer: 1, 0 when the segment has to be scanned, -1 with errno.
static int
s_use_footer(yami_recovery_t *self, yami_found_t *found)
{
    yami_segment_t *segment = found->segment;
    yami_entry_t entry;
    int rc = s_load_footer(self, found, &entry);
    if (rc == 1) {
        segment->end = found->footer_offset;
        rc = yami_segment_footer_decode(segment, entry.meta, entry.meta_size);
        rc = rc == 0 ? 1 : errno == EPROTO ? 0 : -1;
    }
    yami_store_release(&entry);
    if (rc == 1) {
        segment->is_sealed = true;
        found->has_footer = true;
        rc = yami_index_add(self->index, &segment) == 0 ? 1 : -1;
    }
    return rc;
}

//  What its neighbours tell about a segment before it is read.
static s_measure_t
s_expect(const yami_recovery_t *self, size_t position)
{
    const yami_found_t *found = &self->found[position];
    s_measure_t measure = {.first_lsn = found->segment->header.first_lsn, .lsn_limit = UINT64_MAX};
    if (found->state == YAMI_FOUND_HEADLESS) {
        const yami_segment_t *before = yami_index_last(self->index);
        measure.first_lsn = before ? before->last_lsn + 1 : found->number == 1 ? 1 : 0;
    }
    for (size_t index = position + 1; index < self->found_count; index++) {
        const yami_found_t *next = &self->found[index];
        if (next->state == YAMI_FOUND_SOUND) {
            bool is_next = next->segment->header.previous == found->number;
            measure.lsn_limit = is_next ? next->segment->header.first_lsn : UINT64_MAX;
            break;
        }
    }
    return measure;
}

static int
s_load_segment(yami_recovery_t *self, size_t position, bool is_last)
{
    yami_found_t *found = &self->found[position];
    found->is_whole = position + 1 < self->found_count; //  a file was made after it was sealed
    if (s_read_trailer(self, found) == -1) {
        return -1;
    }
    if (!is_last && found->state == YAMI_FOUND_SOUND) {
        int rc = s_use_footer(self, found);
        if (rc != 0) {
            return rc == -1 ? -1 : 0;
        }
    }
    s_measure_t measure = s_expect(self, position);
    int rc = s_scan(self, found, &measure);
    yami_free(measure.bad);
    return rc;
}

//  Whether an entry is left, or nobody was ever told of one: then there is at most the very first
//  file, made and not written, or a header.
static int
s_check_left(yami_recovery_t *self)
{
    bool is_begun = self->found_count == 0;
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        bool is_first = self->found_count == 1 && found->number == 1;
        is_begun = is_begun || found->segment || (is_first && found->state == YAMI_FOUND_BLANK);
        self->has_entries =
            self->has_entries || (found->segment && found->segment->entry_count > 0);
    }
    if (self->has_entries || (is_begun && !self->has_marker)) {
        return 0;
    }
    return yami_fail(EBADMSG,
                     "store: none of its %zu segment files can be read; nothing was "
                     "changed (is this the right directory? restore it from a copy)",
                     self->found_count);
}

int
yami_recovery_load_index(yami_recovery_t *self)
{
    const yami_found_t *last = yami_recovery_last(self);
    for (size_t index = 0; index < self->found_count; index++) {
        yami_found_t *found = &self->found[index];
        if (found->segment && s_load_segment(self, index, found == last) == -1) {
            return -1;
        }
    }
    return s_check_left(self);
}
