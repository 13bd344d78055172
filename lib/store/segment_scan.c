//  The walk: a sound header tells where the next one is; after an unsound one, the next is searched
//  for.

#include <errno.h>

#include "yami_base.h"
#include "yami_segment_scan.h"

void
yami_segment_scan_init(yami_segment_scan_t *self, yami_segment_reader_t *reader,
                       yami_segment_t *segment)
{
    *self = (yami_segment_scan_t) {.reader = reader,
                                   .segment = segment,
                                   .offset = YAMI_SEGMENT_HEADER_SIZE,
                                   .end = segment->file_bytes,
                                   .next_lsn = segment->header.first_lsn,
                                   .lsn_limit = UINT64_MAX};
}

//  A bad range up to `to`, after which LSNs go on with next_lsn (0: not known).
static void
s_bad(yami_segment_scan_t *self, yami_scan_item_t *item, uint64_t to, uint64_t next_lsn,
      const char *what)
{
    item->type = YAMI_SCAN_BAD;
    item->offset = self->offset;
    item->size = to - self->offset;
    item->what = what;
    item->at_lsn = self->next_lsn;
    if (self->next_lsn > 0 && next_lsn > self->next_lsn) {
        item->first_lsn = self->next_lsn;
        item->last_lsn = next_lsn - 1;
    }
    self->offset = to;
    if (next_lsn > 0) {
        self->next_lsn = next_lsn;
    }
}

//  Behind an unsound header: the range up to the next sound one, or all the rest, or nothing when
//  the log ends here.
static int
s_step_over(yami_segment_scan_t *self, yami_scan_item_t *item, const char *what)
{
    uint64_t found = 0;
    yami_entry_header_t header;
    uint64_t from = self->offset + YAMI_ENTRY_ALIGNMENT;
    int rc = yami_segment_reader_resync(self->reader, self->segment, from, self->end,
                                        self->next_lsn, self->lsn_limit, false, &found, &header);
    if (rc == -1) {
        return -1;
    }
    if (rc == 1) {
        uint64_t next_lsn = header.lsn + (header.kind == YAMI_ENTRY_FOOTER ? 1 : 0);
        s_bad(self, item, found, next_lsn, what);
        return 0;
    }
    if (self->is_end_known) {
        s_bad(self, item, self->end, self->last_lsn > 0 ? self->last_lsn + 1 : 0, what);
        return 0;
    }
    size_t size = self->end - self->offset;
    size = size < YAMI_ENTRY_HEADER_SIZE ? size : YAMI_ENTRY_HEADER_SIZE;
    const uint8_t *bytes =
        yami_segment_reader_peek(self->reader, self->segment, self->offset, size);
    if (!bytes && errno != ENODATA) {
        return -1;
    }
    bool is_torn = !bytes || yami_entry_header_begins(bytes, size, self->segment->header.salt);
    if (is_torn) {
        s_bad(self, item, self->end, self->next_lsn > 0 ? self->next_lsn + 1 : 0, what);
    }
    return 0;
}

//  A sound header that belongs here: load what follows it.
static int
s_load(yami_segment_scan_t *self, yami_scan_item_t *item, const yami_entry_header_t *header)
{
    uint64_t to = self->offset + yami_entry_span(header->meta_size, header->data_size);
    bool is_footer = header->kind == YAMI_ENTRY_FOOTER;
    uint64_t next_lsn = header->lsn + 1;
    int rc = to > self->end ? 0
                            : yami_segment_reader_load(self->reader, self->segment, self->offset,
                                                       header, &item->entry);
    if (rc == -1) {
        return -1;
    }
    if (rc == 0) {
        s_bad(self, item, to > self->end ? self->end : to, next_lsn,
              is_footer ? "footer checksum" : "entry checksum");
        item->entry = (yami_entry_t) {.kind = header->kind,
                                      .channel = header->channel,
                                      .base = header->base,
                                      .count = header->count,
                                      .lsn = header->lsn};
        return 0;
    }
    item->type = is_footer ? YAMI_SCAN_FOOTER : YAMI_SCAN_ENTRY;
    item->offset = self->offset;
    item->size = to - self->offset;
    item->durable = header->lsn - header->behind;
    self->offset = is_footer ? self->end : to;
    self->next_lsn = next_lsn;
    return 0;
}

int
yami_segment_scan_next(yami_segment_scan_t *self, yami_scan_item_t *item)
{
    *item = (yami_scan_item_t) {.type = YAMI_SCAN_END};
    if (self->offset >= self->end) {
        return 0;
    }
    yami_entry_header_t header;
    int rc = yami_segment_reader_header(self->reader, self->segment, self->offset, &header);
    if (rc == -1) {
        return -1;
    }
    if (rc == 0) {
        return s_step_over(self, item, "entry header");
    }
    uint64_t lsn = header.lsn + (header.kind == YAMI_ENTRY_FOOTER ? 1 : 0);
    if (header.lsn >= self->lsn_limit) {
        self->end = self->offset; //  left over from a cut tail
        return 0;
    }
    if (lsn < self->next_lsn) {
        return s_step_over(self, item, "entry out of order");
    }
    if (self->next_lsn > 0 && lsn > self->next_lsn) {
        s_bad(self, item, self->offset, lsn, "missing entries");
        return 0;
    }
    return s_load(self, item, &header);
}
