//  A recovery of one segment: its footer tells whose sequences should be there, a walk whose are.

#include "yami_sealed.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_recovery.h"

//  Fills the extents from the footer; one that is bad now is damage, and names nothing.
static int
s_load_footer(yami_recovery_t *work, yami_segment_t *segment)
{
    yami_entry_header_t header;
    yami_entry_t entry = {0};
    int rc = yami_segment_reader_header(&work->reader, segment, segment->end, &header);
    if (rc == 1 && header.kind != YAMI_ENTRY_FOOTER) {
        rc = 0;
    }
    if (rc == 1) {
        rc = yami_segment_reader_load(&work->reader, segment, segment->end, &header, &entry);
    }
    if (rc == 1 && yami_segment_footer_decode(segment, entry.meta, entry.meta_size) == -1) {
        rc = errno == EPROTO ? 0 : -1;
    }
    yami_store_release(&entry);
    if (rc == 0) {
        yami_damage_t damage = {.segment = segment->header.number,
                                .offset = segment->end,
                                .size = segment->file_bytes - segment->end,
                                .what = "footer"};
        return yami_recovery_add_damage(work, &damage);
    }
    return rc == 1 ? 0 : -1;
}

//  One item of the walk. Returns 0, or -1 with errno.
static int
s_look_at(yami_recovery_t *work, const yami_found_t *found, const yami_scan_item_t *item)
{
    switch (item->type) {
    case YAMI_SCAN_ENTRY:
        return item->entry.count > 0 ? yami_recovery_name_entry(work, found, &item->entry, true)
                                     : 0;
    case YAMI_SCAN_BAD:
        return yami_recovery_add_bad(work, found, item, false);
    case YAMI_SCAN_END:
        return yami_recovery_name_rest(work, found, true);
    case YAMI_SCAN_FOOTER:
        break;
    }
    return 0;
}

static int
s_walk(yami_recovery_t *work, const yami_found_t *found, yami_pace_fn pace, void *arg)
{
    yami_segment_scan_t scan;
    yami_segment_scan_init(&scan, &work->reader, found->segment);
    scan.end = found->segment->end;
    scan.is_end_known = true;
    scan.last_lsn = found->segment->last_lsn;
    for (;;) {
        yami_scan_item_t item;
        if (yami_segment_scan_next(&scan, &item) == -1) {
            return -1;
        }
        int rc = s_look_at(work, found, &item);
        int error = errno;
        yami_store_release(&item.entry);
        if (rc == -1 || item.type == YAMI_SCAN_END || !pace(arg, item.size)) {
            errno = error;
            return rc;
        }
    }
}

//  Forgets what lies behind the limit. Ranges that several channels lost are one after the other.
static size_t
s_keep_below(yami_damage_t *damages, size_t count, uint64_t limit)
{
    size_t kept = 0;
    for (size_t index = 0; index < count; index++) {
        if (damages[index].offset < limit) {
            damages[kept++] = damages[index];
        }
    }
    return kept;
}

int
yami_sealed_check(yami_disk_t *disk, const yami_sealed_t *sealed, yami_pace_fn pace, void *arg,
                  yami_damage_t **damages_p, size_t *count_p)
{
    YAM_ASSERT(sealed->end >= YAMI_SEGMENT_HEADER_SIZE && sealed->end < sealed->file_bytes);
    yami_index_t index = {0};
    yami_recovery_t work = {.disk = disk, .index = &index};
    yami_segment_reader_init(&work.reader, disk, NULL);
    yami_segment_t *segment = yami_segment_new(&sealed->header);
    segment->file_bytes = sealed->file_bytes;
    segment->end = sealed->end;
    segment->last_lsn = sealed->last_lsn;
    yami_found_t found = {.number = sealed->header.number, .segment = segment};
    yami_segment_t *added = segment; //  the index owns it from then on
    int rc = s_load_footer(&work, segment);
    rc = rc == 0 ? yami_index_add(&index, &added) : rc;
    rc = rc == 0 ? s_walk(&work, &found, pace, arg) : rc;
    int error = errno;
    yami_segment_reader_close(&work.reader, segment);
    yami_segment_destroy(&added);
    yami_index_clear(&index);
    *count_p = s_keep_below(work.damages, work.damage_count, sealed->limit);
    *damages_p = work.damages;
    work.damages = NULL;
    yami_recovery_clear(&work);
    errno = error;
    return rc;
}
