//  Leaves the directory as if it had been closed: the tail is durable, the last segment sealed,
//  nothing half made is left.

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "yami_base.h"
#include "yami_marker.h"
#include "yami_recovery.h"

#define COPY_CHUNK ((size_t) 128 << 10)

//  Copies size bytes from one place to the same, or to the start of another file.
static int
s_copy(yami_disk_t *disk, int from, uint64_t offset, uint64_t size, int to, uint64_t to_offset)
{
    uint8_t *buffer = yami_try_alloc(COPY_CHUNK, COPY_CHUNK);
    int rc = buffer ? 0 : -1;
    while (size > 0 && rc == 0) {
        size_t part = size < COPY_CHUNK ? (size_t) size : COPY_CHUNK;
        int64_t count = yami_disk_read(disk, from, buffer, part, offset);
        if (count <= 0) {
            rc = count == 0 ? 0 : -1;
            break;
        }
        struct iovec vector = {.iov_base = buffer, .iov_len = (size_t) count};
        rc = yami_disk_write(disk, to, &vector, 1, to_offset);
        offset += (uint64_t) count;
        to_offset += (uint64_t) count;
        size -= (uint64_t) count;
    }
    yami_free(buffer);
    return rc;
}

//  Keeps the bytes of a damaged range in a file of their own. One that is there is from an earlier
//  opening.
static int
s_keep_aside(yami_recovery_t *self, const yami_damage_t *damage)
{
    char name[YAMI_NAME_SIZE];
    yami_disk_t *disk = self->disk;
    int from = disk->open(disk, yami_name_segment(name, damage->segment), false, true);
    if (from == -1) {
        return errno == ENOENT ? 0 : -1;
    }
    int to = disk->open(disk, yami_name_lost(name, damage->segment, damage->offset), true, false);
    int rc = to == -1 && errno != EEXIST ? -1 : 0;
    if (to != -1) {
        rc = s_copy(disk, from, damage->offset, damage->size, to, 0);
        if (rc == 0) {
            rc = disk->sync_file(disk, to);
        }
        int error = errno;
        (void) disk->close(disk, to);
        if (rc == -1) {
            (void) disk->remove(disk, name);
            errno = error;
        }
    }
    (void) disk->close(disk, from);
    return rc == -1 && errno == ENOSPC ? 0 : rc; //  they still are in the segment
}

static int
s_keep_all_aside(yami_recovery_t *self)
{
    for (size_t index = 0; index < self->damage_count; index++) {
        const yami_damage_t *damage = &self->damages[index];
        if (!damage->is_torn_tail && damage->size > 0 && s_keep_aside(self, damage) == -1) {
            return -1;
        }
    }
    return 0;
}

//  Writes footer and trailer behind the last entry, and cuts the file there. All entries are
//  durable by then.
static int
s_write_end(yami_recovery_t *self, const yami_segment_t *segment, int file)
{
    size_t meta_size = yami_segment_footer_size(segment, 0, 0);
    uint64_t span = yami_entry_span(meta_size, 0);
    uint8_t *bytes = yami_try_alloc(span + YAMI_TRAILER_SIZE, SIZE_MAX);
    if (!bytes) {
        return -1;
    }
    memset(bytes, 0, span + YAMI_TRAILER_SIZE);
    yami_segment_footer_encode(segment, bytes + YAMI_ENTRY_HEADER_SIZE);
    yami_entry_header_t header = {.salt = segment->header.salt,
                                  .kind = YAMI_ENTRY_FOOTER,
                                  .lsn = segment->last_lsn,
                                  .meta_size = (uint32_t) meta_size};
    yami_entry_header_encode(bytes, &header);
    yami_entry_header_finish(
        bytes, 0, yami_crc32c(0, bytes + YAMI_ENTRY_HEADER_SIZE, span - YAMI_ENTRY_HEADER_SIZE));
    yami_trailer_encode(bytes + span, &(yami_trailer_t) {.salt = segment->header.salt,
                                                         .footer_offset = segment->end,
                                                         .last_lsn = segment->last_lsn,
                                                         .footer_size = (uint32_t) span});
    struct iovec vector = {.iov_base = bytes, .iov_len = span + YAMI_TRAILER_SIZE};
    yami_disk_t *disk = self->disk;
    uint64_t end = segment->end + vector.iov_len;
    int rc = yami_disk_write(disk, file, &vector, 1, segment->end);
    rc = rc == 0 ? disk->sync_file(disk, file) : rc;
    rc = rc == 0 ? disk->truncate(disk, file, end) : rc;
    rc = rc == 0 ? disk->sync_file(disk, file) : rc;
    yami_free(bytes);
    return rc;
}

//  Entries that nothing proves durable are written once more before they count: after a failed sync
//  the kernel may hold them as clean pages that the disk never saw, and a sync alone would not
//  notice.
static int
s_seal(yami_recovery_t *self, yami_found_t *found)
{
    yami_segment_t *segment = found->segment;
    yami_disk_t *disk = self->disk;
    yami_segment_reader_close(&self->reader, segment);
    char name[YAMI_NAME_SIZE];
    int file = disk->open(disk, yami_name_segment(name, found->number), false, false);
    if (file == -1) {
        return -1;
    }
    int rc = 0;
    if (found->tail_offset > 0) {
        rc = s_copy(disk, file, found->tail_offset, segment->end - found->tail_offset, file,
                    found->tail_offset);
    }
    bool is_sealed = found->has_footer && found->is_whole;
    rc = rc == 0 ? disk->sync_file(disk, file) : rc;
    if (rc == 0 && !is_sealed) {
        rc = s_write_end(self, segment, file);
    }
    int64_t size = rc == 0 ? disk->size(disk, file) : -1;
    int error = errno;
    (void) disk->close(disk, file);
    errno = error;
    if (size == -1) {
        return -1;
    }
    segment->file_bytes = (uint64_t) size;
    return 0;
}

//  The last segment: sealed, or given back when it never held anything. One without a header in
//  which no entry is left would not be known for one of ours again: it is kept under another name.
static int
s_finish_last(yami_recovery_t *self)
{
    yami_found_t *last = yami_recovery_last(self);
    if (!last) {
        return 0;
    }
    const yami_segment_t *segment = last->segment;
    bool is_garbage = last->state == YAMI_FOUND_HEADLESS && segment->entry_count == 0;
    bool is_blank = segment->entry_count == 0 && !last->is_whole && segment->hole_count == 0;
    if (!is_garbage && !is_blank) {
        return s_seal(self, last);
    }
    yami_segment_reader_close(&self->reader, last->segment);
    yami_index_remove(self->index, last->segment);
    last->segment = NULL;
    last->is_given_back = !is_garbage;
    const yami_found_t *before = yami_recovery_last(self);
    self->previous = before ? before->number : 0;
    if (self->found_count == 1 && !is_garbage) {
        self->next_number = 1; //  nothing ever was in this store: as if it had not been opened
    }
    return 0;
}

//  A file that nothing can be read of is kept under another name.
static int
s_rename_garbage(yami_recovery_t *self, const yami_found_t *found)
{
    char from[YAMI_NAME_SIZE];
    char to[YAMI_NAME_SIZE];
    return self->disk->rename(self->disk, yami_name_segment(from, found->number),
                              yami_name_lost(to, found->number, 0));
}

static int
s_tidy(yami_recovery_t *self)
{
    char name[YAMI_NAME_SIZE];
    for (size_t index = 0; index < self->filling_count; index++) {
        if (self->disk->remove(self->disk, yami_name_filling(name, self->filling_numbers[index])) ==
            -1) {
            return -1;
        }
    }
    for (size_t index = 0; index < self->spare_count; index++) {
        if (yami_spares_adopt(self->spares, self->spare_numbers[index]) == -1) {
            return -1;
        }
    }
    for (size_t index = 0; index < self->found_count; index++) {
        const yami_found_t *found = &self->found[index];
        int rc = 0;
        if (found->is_given_back) {
            rc = yami_spares_give(self->spares, found->number);
        } else if (!found->segment) {
            rc = s_rename_garbage(self, found);
        }
        if (rc == -1) {
            return -1;
        }
    }
    return self->disk->sync_directory(self->disk);
}

//  A store whose first entry was durable, and the process ended then, or of a version without
//  markers.
static int
s_mark(yami_recovery_t *self)
{
    return self->has_marker || !self->has_entries ? 0 : yami_marker_write(self->disk);
}

int
yami_recovery_finish(yami_recovery_t *self)
{
    if (s_keep_all_aside(self) == -1 || s_finish_last(self) == -1 || s_tidy(self) == -1 ||
        s_mark(self) == -1) {
        return yami_fail(errno, "store: cannot put its files in order (%s)", strerror(errno));
    }
    return 0;
}
