//  Extents, points and holes of one segment, and their form in the footer.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_segment.h"

#define ITEM_LIMIT ((size_t) 1 << 31)
#define FOOTER_FIXED_SIZE 40
#define FOOTER_EXTENT_SIZE 32
#define FOOTER_POINT_SIZE 24

yami_segment_t *
yami_segment_new(const yami_segment_header_t *header)
{
    yami_segment_t *self = yami_alloc(sizeof *self);
    self->header = *header;
    self->file_bytes = header->file_bytes;
    self->file = -1;
    yami_segment_reset(self);
    return self;
}

static void
s_extent_destroy(yami_extent_t *extent)
{
    yami_free(extent->points);
    yami_free(extent);
}

void
yami_segment_reset(yami_segment_t *self)
{
    for (size_t index = 0; index < self->extent_count; index++) {
        s_extent_destroy(self->extents[index]);
    }
    self->extent_count = 0;
    self->point_count = 0;
    self->needed_count = 0;
    self->hole_count = 0;
    self->entry_count = 0;
    self->checkpoint_offset = 0;
    self->checkpoint_lsn = 0;
    self->end = YAMI_SEGMENT_HEADER_SIZE;
    self->last_lsn = self->header.first_lsn > 0 ? self->header.first_lsn - 1 : 0;
}

void
yami_segment_destroy(yami_segment_t **self_p)
{
    yami_segment_t *self = *self_p;
    if (!self) {
        return;
    }
    YAM_ASSERT(self->file == -1);
    yami_segment_reset(self);
    yami_free(self->extents);
    yami_free(self->holes);
    yami_free(self);
    *self_p = NULL;
}

yami_extent_t *
yami_segment_add_extent(yami_segment_t *self, uint32_t channel)
{
    if (yami_grow(&self->extents, &self->extent_capacity, self->extent_count + 1,
                  sizeof(yami_extent_t *), ITEM_LIMIT) == -1) {
        return NULL;
    }
    yami_extent_t *extent = yami_alloc(sizeof *extent);
    extent->channel = channel;
    extent->segment = self;
    self->extents[self->extent_count++] = extent;
    self->needed_count++;
    return extent;
}

bool
yami_extent_wants_point(const yami_extent_t *extent, uint64_t offset)
{
    if (extent->point_count == 0) {
        return true;
    }
    const yami_segment_t *segment = extent->segment;
    return offset - extent->points[extent->point_count - 1].offset >= YAMI_POINT_DISTANCE &&
           segment->point_count - segment->extent_count < YAMI_POINT_LIMIT;
}

int
yami_extent_reserve(yami_extent_t *extent)
{
    return yami_grow(&extent->points, &extent->point_capacity, extent->point_count + 1,
                     sizeof *extent->points, ITEM_LIMIT);
}

static void
s_add_point(yami_extent_t *extent, const yami_point_t *point)
{
    YAM_ASSERT(extent->point_count < extent->point_capacity);
    extent->points[extent->point_count++] = *point; //  (1)
    extent->segment->point_count++;                 //  (2)
}

void
yami_extent_note(yami_extent_t *extent, const yami_point_t *point, uint32_t count)
{
    YAM_ASSERT(count > 0);
    if (yami_extent_wants_point(extent, point->offset)) {
        s_add_point(extent, point);
    }
    if (extent->count == 0) {
        extent->first = point->base;
    }
    extent->last = point->base + count - 1;
    extent->count += count;
}

const yami_point_t *
yami_extent_find(const yami_extent_t *extent, uint64_t sequence)
{
    YAM_ASSERT(extent->point_count > 0);
    size_t low = 0;
    size_t high = extent->point_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (extent->points[middle].base <= sequence) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &extent->points[low];
}

int
yami_segment_add_hole(yami_segment_t *self, const yami_hole_t *hole)
{
    YAM_ASSERT(hole->offset <= hole->end);
    if (yami_grow(&self->holes, &self->hole_capacity, self->hole_count + 1, sizeof *self->holes,
                  ITEM_LIMIT) == -1) {
        return -1;
    }
    size_t place = self->hole_count++;
    while (place > 0 && self->holes[place - 1].offset > hole->offset) { //  (3)
        self->holes[place] = self->holes[place - 1];
        place--;
    }
    self->holes[place] = *hole;
    return 0;
}

const yami_hole_t *
yami_segment_find_hole(const yami_segment_t *self, uint64_t offset)
{
    size_t low = 0;
    size_t high = self->hole_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->holes[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < self->hole_count && self->holes[low].offset == offset;
    return is_found ? &self->holes[low] : NULL;
}

size_t
yami_segment_footer_size(const yami_segment_t *self, size_t more_extents, size_t more_points)
{
    return FOOTER_FIXED_SIZE + (self->extent_count + more_extents) * FOOTER_EXTENT_SIZE +
           (self->point_count + more_points) * FOOTER_POINT_SIZE;
}

static uint8_t *
s_extent_encode(const yami_extent_t *extent, uint8_t *bytes)
{
    yami_put_u32(bytes, extent->channel);
    yami_put_u32(bytes + 4, (uint32_t) extent->point_count);
    yami_put_u64(bytes + 8, extent->first);
    yami_put_u64(bytes + 16, extent->last);
    yami_put_u64(bytes + 24, extent->count);
    bytes += FOOTER_EXTENT_SIZE;
    for (size_t index = 0; index < extent->point_count; index++) {
        yami_put_u64(bytes, extent->points[index].base);
        yami_put_u64(bytes + 8, extent->points[index].lsn);
        yami_put_u64(bytes + 16, extent->points[index].offset);
        bytes += FOOTER_POINT_SIZE;
    }
    return bytes;
}

void
yami_segment_footer_encode(const yami_segment_t *self, uint8_t *bytes)
{
    uint8_t *start = bytes;
    yami_put_u64(bytes, self->entry_count);
    yami_put_u64(bytes + 8, self->checkpoint_offset);
    yami_put_u64(bytes + 16, self->checkpoint_lsn);
    yami_put_u64(bytes + 24, self->last_lsn);
    yami_put_u32(bytes + 32, (uint32_t) self->extent_count);
    yami_put_u32(bytes + 36, (uint32_t) self->point_count);
    bytes += FOOTER_FIXED_SIZE;
    for (size_t index = 0; index < self->extent_count; index++) {
        bytes = s_extent_encode(self->extents[index], bytes);
    }
    YAM_ASSERT((size_t) (bytes - start) == yami_segment_footer_size(self, 0, 0));
}

//  One extent with its points; *cursor_p moves on.
static int
s_extent_decode(yami_segment_t *self, const uint8_t **cursor_p, const uint8_t *end)
{
    const uint8_t *bytes = *cursor_p;
    if ((size_t) (end - bytes) < FOOTER_EXTENT_SIZE) {
        errno = EPROTO;
        return -1;
    }
    size_t point_count = yami_get_u32(bytes + 4);
    if (point_count == 0 ||
        point_count > (size_t) (end - bytes - FOOTER_EXTENT_SIZE) / FOOTER_POINT_SIZE) {
        errno = EPROTO;
        return -1;
    }
    yami_extent_t *extent = yami_segment_add_extent(self, yami_get_u32(bytes));
    if (!extent || yami_grow(&extent->points, &extent->point_capacity, point_count,
                             sizeof *extent->points, ITEM_LIMIT) == -1) {
        return -1;
    }
    extent->first = yami_get_u64(bytes + 8);
    extent->last = yami_get_u64(bytes + 16);
    extent->count = yami_get_u64(bytes + 24);
    bytes += FOOTER_EXTENT_SIZE;
    for (size_t index = 0; index < point_count; index++, bytes += FOOTER_POINT_SIZE) {
        s_add_point(extent, &(yami_point_t) {.base = yami_get_u64(bytes),
                                             .lsn = yami_get_u64(bytes + 8),
                                             .offset = yami_get_u64(bytes + 16)});
    }
    *cursor_p = bytes;
    return 0;
}

//  What the checksum cannot promise of a file from elsewhere: that reading by these points stays
//  within it.
static bool
s_is_sound(const yami_segment_t *self)
{
    for (size_t index = 0; index < self->extent_count; index++) {
        const yami_extent_t *extent = self->extents[index];
        uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
        uint64_t base = extent->first;
        for (size_t point = 0; point < extent->point_count; point++) {
            if (extent->points[point].offset < offset ||
                extent->points[point].offset >= self->end || extent->points[point].base < base ||
                extent->points[point].lsn > self->last_lsn) {
                return false;
            }
            offset = extent->points[point].offset;
            base = extent->points[point].base;
        }
        if (extent->count == 0 || extent->last < base) {
            return false;
        }
    }
    return self->checkpoint_offset < self->end;
}

int
yami_segment_footer_decode(yami_segment_t *self, const uint8_t *bytes, size_t size)
{
    YAM_ASSERT(self->extent_count == 0);
    if (size < FOOTER_FIXED_SIZE) {
        errno = EPROTO;
        return -1;
    }
    uint64_t footer_offset = self->end;
    self->entry_count = yami_get_u64(bytes);
    self->checkpoint_offset = yami_get_u64(bytes + 8);
    self->checkpoint_lsn = yami_get_u64(bytes + 16);
    self->last_lsn = yami_get_u64(bytes + 24);
    const uint8_t *cursor = bytes + FOOTER_FIXED_SIZE;
    const uint8_t *end = bytes + size;
    int rc = 0;
    for (uint32_t left = yami_get_u32(bytes + 32); left > 0 && rc == 0; left--) {
        rc = s_extent_decode(self, &cursor, end);
    }
    if (rc == 0 &&
        (cursor != end || self->point_count != yami_get_u32(bytes + 36) || !s_is_sound(self))) {
        errno = EPROTO;
        rc = -1;
    }
    if (rc == -1) {
        int error = errno;
        yami_segment_reset(self);
        self->end = footer_offset;
        errno = error;
    }
    return rc;
}

void
yami_segment_check(const yami_segment_t *self)
{
    size_t point_count = 0;
    size_t needed_count = 0;
    for (size_t index = 0; index < self->extent_count; index++) {
        const yami_extent_t *extent = self->extents[index];
        YAM_ASSERT(extent->segment == self && extent->point_count > 0);
        for (size_t point = 1; point < extent->point_count; point++) { //  (1)
            YAM_ASSERT(extent->points[point - 1].base < extent->points[point].base);
            YAM_ASSERT(extent->points[point - 1].lsn < extent->points[point].lsn);
            YAM_ASSERT(extent->points[point - 1].offset < extent->points[point].offset);
        }
        point_count += extent->point_count;
        needed_count += extent->is_unneeded ? 0 : 1;
    }
    YAM_ASSERT(point_count == self->point_count); //  (2)
    YAM_ASSERT(needed_count == self->needed_count);
    for (size_t index = 1; index < self->hole_count; index++) { //  (3)
        YAM_ASSERT(self->holes[index - 1].end <= self->holes[index].offset);
    }
}
