//  What is in the directory, and which of it is a segment.

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_recovery.h"

static int
s_add_number(uint64_t **numbers_p, size_t *count_p, size_t *capacity_p, uint64_t number)
{
    if (yami_grow(numbers_p, capacity_p, *count_p + 1, sizeof **numbers_p, YAMI_LIMIT_SEGMENTS) ==
        -1) {
        return -1;
    }
    (*numbers_p)[(*count_p)++] = number;
    return 0;
}

static int
s_add_found(yami_recovery_t *self, uint64_t number)
{
    if (yami_grow(&self->found, &self->found_capacity, self->found_count + 1, sizeof *self->found,
                  YAMI_LIMIT_SEGMENTS) == -1) {
        return -1;
    }
    self->found[self->found_count++] = (yami_found_t) {.number = number};
    return 0;
}

static void
s_visit(void *arg, const char *name)
{
    yami_recovery_t *self = arg;
    uint64_t number = 0;
    int rc = 0;
    switch (yami_name_parse(name, &number)) {
    case YAMI_NAME_SEGMENT:
        rc = s_add_found(self, number);
        break;
    case YAMI_NAME_SPARE:
        rc = s_add_number(&self->spare_numbers, &self->spare_count, &self->spare_capacity, number);
        break;
    case YAMI_NAME_FILLING:
        rc = s_add_number(&self->filling_numbers, &self->filling_count, &self->filling_capacity,
                          number);
        break;
    case YAMI_NAME_MARKER:
        self->has_marker = true;
        break;
    default:
        break;
    }
    if (rc == -1) {
        self->list_error = errno;
    }
}

static int
s_compare_numbers(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *) left;
    uint64_t two = *(const uint64_t *) right;
    return one < two ? -1 : one > two;
}

static int
s_compare_found(const void *left, const void *right)
{
    return s_compare_numbers(&((const yami_found_t *) left)->number,
                             &((const yami_found_t *) right)->number);
}

static bool
s_is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t index = 0; index < size; index++) {
        if (bytes[index] != 0) {
            return false;
        }
    }
    return true;
}

//  Whether an entry was written for another segment, whose name the power took again: until that
//  is synced, too, no entry says that one of that segment was durable.
static bool
s_is_stray(const yami_segment_header_t *stale, const yami_entry_header_t *entry)
{
    return entry->salt == stale->salt && entry->lsn - entry->behind < stale->first_lsn;
}

//  The entry with the highest LSN names the salt: an older generation in the same file has lower
//  ones, but for strays. Returns 1 when there is one from min_lsn on, 0, or -1 with errno.
static int
s_find_salt(yami_recovery_t *self, yami_segment_t *segment, const yami_segment_header_t *stale,
            uint64_t min_lsn)
{
    uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
    uint64_t highest = 0;
    yami_entry_header_t header;
    int rc;
    while ((rc = yami_segment_reader_resync(&self->reader, segment, offset, segment->file_bytes,
                                            min_lsn, UINT64_MAX, true, &offset, &header)) == 1) {
        if (header.lsn > highest && !s_is_stray(stale, &header)) {
            highest = header.lsn;
            segment->header.salt = header.salt;
        }
        uint64_t span = yami_entry_span(header.meta_size, header.data_size);
        offset += span <= segment->file_bytes - offset ? span : YAMI_ENTRY_ALIGNMENT;
    }
    return rc == -1 ? -1 : highest > 0;
}

static int
s_refuse_version(uint32_t version)
{
    return yami_fail(EPROTONOSUPPORT,
                     "store: its format is version %" PRIu32 ", this program reads version %d "
                     "(use the program that wrote it, or a newer one)",
                     version, YAMI_FORMAT_VERSION);
}

//  A file without a valid header: entries in it, a file never written, or nothing readable?
static int
s_inspect_headless(yami_recovery_t *self, yami_found_t *found, const uint8_t *bytes,
                   uint64_t min_lsn)
{
    yami_segment_header_t header = {.number = found->number, .file_bytes = found->file_bytes};
    yami_segment_header_t stale = {0};
    bool is_stale = bytes && yami_segment_header_decode(bytes, &stale) == 0;
    bool is_blank = !bytes || is_stale || s_is_zero(bytes, YAMI_SEGMENT_HEADER_SIZE);
    uint32_t version = bytes ? yami_get_u32(bytes + 4) : 0;
    bool is_magic = bytes && memcmp(bytes, "YAMS", 4) == 0;
    yami_segment_t *segment = found->segment;
    segment->header = header;
    int rc = s_find_salt(self, segment, &stale, min_lsn);
    if (rc == -1) {
        return -1;
    }
    if (rc == 1) {
        found->state = YAMI_FOUND_HEADLESS;
        return 0;
    }
    if (!is_stale && is_magic && version != YAMI_FORMAT_VERSION) {
        return s_refuse_version(version); //  nothing in it contradicts
    }
    found->state = is_blank ? YAMI_FOUND_BLANK : YAMI_FOUND_GARBAGE;
    yami_segment_reader_close(&self->reader, segment);
    yami_segment_destroy(&found->segment);
    return 0;
}

static int
s_inspect(yami_recovery_t *self, yami_found_t *found, uint64_t *min_lsn_p)
{
    yami_segment_header_t header = {.number = found->number};
    found->segment = yami_segment_new(&header);
    if (yami_segment_reader_open(&self->reader, found->segment) == -1) {
        return -1;
    }
    int64_t size = self->disk->size(self->disk, found->segment->file);
    if (size == -1) {
        return -1;
    }
    found->file_bytes = (uint64_t) size;
    found->segment->file_bytes = (uint64_t) size;
    const uint8_t *bytes =
        yami_segment_reader_peek(&self->reader, found->segment, 0, YAMI_SEGMENT_HEADER_SIZE);
    if (!bytes && errno != ENODATA) {
        return -1;
    }
    if (!bytes || yami_segment_header_decode(bytes, &header) == -1 ||
        header.number != found->number) {
        uint8_t copy[YAMI_SEGMENT_HEADER_SIZE]; //  the window is about to move
        if (bytes) {
            memcpy(copy, bytes, sizeof copy);
        }
        return s_inspect_headless(self, found, bytes ? copy : NULL, *min_lsn_p);
    }
    if (header.version != YAMI_FORMAT_VERSION) {
        return s_refuse_version(header.version);
    }
    found->state = YAMI_FOUND_SOUND;
    found->segment->header = header;
    yami_segment_reset(found->segment);
    *min_lsn_p = header.first_lsn + 1;
    return 0;
}

static bool
s_is_sound(const yami_found_t *found)
{
    return found->segment && found->state == YAMI_FOUND_SOUND;
}

//  The store id most segments have (Boyer and Moore's vote): a file copied from elsewhere is not
//  ours.
static uint64_t
s_vote(const yami_recovery_t *self)
{
    uint64_t winner = 0;
    size_t lead = 0;
    for (size_t index = 0; index < self->found_count; index++) {
        if (s_is_sound(&self->found[index])) {
            uint64_t id = self->found[index].segment->header.store_id;
            winner = lead == 0 ? id : winner;
            lead = lead == 0 || id == winner ? lead + 1 : lead - 1;
        }
    }
    return winner;
}

static void
s_drop_foreign(yami_recovery_t *self)
{
    self->store_id = s_vote(self);
    for (size_t index = 0; index < self->found_count; index++) {
        yami_found_t *found = &self->found[index];
        if (s_is_sound(found) && found->segment->header.store_id != self->store_id) {
            found->state = YAMI_FOUND_GARBAGE;
            yami_segment_reader_close(&self->reader, found->segment);
            yami_segment_destroy(&found->segment);
        }
    }
}

//  Whether a segment begins with an entry: 1, 0 (with its footer, or what is none), -1 with errno.
static int
s_has_entry(yami_recovery_t *self, yami_segment_t *segment)
{
    const uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
    yami_entry_header_t header;
    yami_entry_t entry;
    int rc = yami_segment_reader_header(&self->reader, segment, offset, &header);
    if (rc != 1 || header.kind == YAMI_ENTRY_FOOTER) {
        return rc == -1 ? -1 : 0;
    }
    rc = yami_segment_reader_load(&self->reader, segment, offset, &header, &entry);
    if (rc == 1) {
        yami_store_release(&entry);
    }
    return rc;
}

//  The last file, made and not written, may have the header of an earlier try to begin a segment of
//  that number, whose name the power took again: LSNs have gone on since. A segment without entries
//  is followed by one of the same first LSN.
static int
s_check_last(yami_recovery_t *self)
{
    if (self->found_count == 0 || !s_is_sound(&self->found[self->found_count - 1])) {
        return 0;
    }
    yami_found_t *last = &self->found[self->found_count - 1];
    size_t before = self->found_count - 1;
    while (before > 0 && !s_is_sound(&self->found[before - 1])) {
        before--;
    }
    if (before == 0) {
        return 0;
    }
    yami_segment_t *previous = self->found[before - 1].segment;
    int rc = last->segment->header.first_lsn < previous->header.first_lsn;
    if (last->segment->header.first_lsn == previous->header.first_lsn) {
        rc = s_has_entry(self, previous);
    }
    if (rc != 1) {
        return rc;
    }
    uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
    yami_segment_header_encode(bytes, &last->segment->header);
    return s_inspect_headless(self, last, bytes, previous->header.first_lsn + 1);
}

//  Who only verifies a directory shall not take any for a store that is sound.
static int
s_check_there(const yami_recovery_t *self)
{
    size_t count = self->found_count + self->spare_count + self->filling_count;
    return self->spares || self->has_marker || count > 0
               ? 0
               : yami_fail(ENOENT, "store: there is none (is this the right directory?)");
}

int
yami_recovery_list(yami_recovery_t *self)
{
    if (self->disk->list(self->disk, s_visit, self) == -1) {
        return -1;
    }
    if (self->list_error != 0) {
        errno = self->list_error;
        return -1;
    }
    if (s_check_there(self) == -1) {
        return -1;
    }
    if (self->found_count > 0) {
        qsort(self->found, self->found_count, sizeof *self->found, s_compare_found);
    }
    if (self->spare_count > 0) {
        qsort(self->spare_numbers, self->spare_count, sizeof *self->spare_numbers,
              s_compare_numbers);
    }
    uint64_t min_lsn = 1;
    for (size_t index = 0; index < self->found_count; index++) {
        if (s_inspect(self, &self->found[index], &min_lsn) == -1) {
            return -1;
        }
        if (self->found[index].segment) {
            yami_segment_reader_close(&self->reader, self->found[index].segment);
        }
    }
    s_drop_foreign(self);
    return s_check_last(self);
}
