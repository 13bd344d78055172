//  One window over one file at a time; what is not in it is read into place.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_segment_reader.h"

#define WINDOW_SIZE ((size_t) 128 << 10)
#define FILL_SMALL ((size_t) 4 << 10)
#define FILL_LARGE ((size_t) 64 << 10)
#define LARGE_ENTRY ((size_t) 32 << 10)
#define OPEN_LIMIT 64

void
yami_segment_reader_init(yami_segment_reader_t *self, yami_disk_t *disk, yami_index_t *index)
{
    *self = (yami_segment_reader_t) {.disk = disk, .index = index, .fill_size = FILL_LARGE};
}

static void
s_drop_map(yami_segment_reader_t *self, yami_segment_map_t *map)
{
    YAM_ASSERT(self->map_item_count >= map->count);
    self->map_item_count -= map->count;
    yami_segment_map_clear(map);
}

void
yami_segment_reader_clear(yami_segment_reader_t *self)
{
    for (size_t index = 0; index < YAMI_READER_MAPS; index++) {
        s_drop_map(self, &self->maps[index]);
    }
    yami_free(self->window);
    *self = (yami_segment_reader_t) {0};
}

void
yami_segment_reader_forget(yami_segment_reader_t *self)
{
    self->segment = 0;
}

//  Closes the file that was not used for longest.
static void
s_close_oldest(yami_segment_reader_t *self)
{
    yami_segment_t *oldest = NULL;
    for (size_t index = 0; self->index && index < self->index->count; index++) {
        yami_segment_t *segment = self->index->segments[index];
        if (segment->file != -1 && (!oldest || segment->used < oldest->used)) {
            oldest = segment;
        }
    }
    if (oldest) {
        yami_segment_reader_close(self, oldest);
    }
}

int
yami_segment_reader_open(yami_segment_reader_t *self, yami_segment_t *segment)
{
    segment->used = ++self->use_count;
    if (segment->file != -1) {
        return 0;
    }
    if (self->open_count >= OPEN_LIMIT) {
        s_close_oldest(self);
    }
    char name[YAMI_NAME_SIZE];
    int file =
        self->disk->open(self->disk, yami_name_segment(name, segment->header.number), false, true);
    if (file == -1) {
        //  ENOENT would say that nothing is there: what a file that is gone held, recovery reports.
        errno = errno == ENOENT ? EIO : errno;
        return -1;
    }
    segment->file = file;
    self->open_count++;
    return 0;
}

void
yami_segment_reader_close(yami_segment_reader_t *self, yami_segment_t *segment)
{
    if (segment->file != -1) {
        (void) self->disk->close(self->disk, segment->file);
        segment->file = -1;
        self->open_count--;
    }
    if (self->segment == segment->header.number) {
        yami_segment_reader_forget(self);
    }
}

//  How many bytes from offset on the window holds.
static size_t
s_held(const yami_segment_reader_t *self, const yami_segment_t *segment, uint64_t offset)
{
    bool is_in = self->segment == segment->header.number && offset >= self->offset &&
                 offset < self->offset + self->size;
    return is_in ? (size_t) (self->offset + self->size - offset) : 0;
}

static int
s_fill(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset, size_t size)
{
    YAM_ASSERT(size <= WINDOW_SIZE);
    yami_segment_reader_forget(self);
    if (!self->window) {
        self->window = yami_try_alloc(WINDOW_SIZE, WINDOW_SIZE);
    }
    if (!self->window) {
        return -1;
    }
    if (yami_segment_reader_open(self, segment) == -1) {
        return -1;
    }
    int64_t count = yami_disk_read(self->disk, segment->file, self->window, size, offset);
    if (count < 0) {
        return -1;
    }
    self->segment = segment->header.number;
    self->offset = offset;
    self->size = (size_t) count;
    return 0;
}

const uint8_t *
yami_segment_reader_peek(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                         size_t size)
{
    YAM_ASSERT(size <= FILL_SMALL);
    if (s_held(self, segment, offset) < size &&
        s_fill(self, segment, offset, self->fill_size) == -1) {
        return NULL;
    }
    if (s_held(self, segment, offset) < size) {
        errno = ENODATA;
        return NULL;
    }
    return self->window + (offset - self->offset);
}

int
yami_segment_reader_header(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                           yami_entry_header_t *header)
{
    const uint8_t *bytes = yami_segment_reader_peek(self, segment, offset, YAMI_ENTRY_HEADER_SIZE);
    if (!bytes) {
        return errno == ENODATA ? 0 : -1;
    }
    if (yami_entry_header_decode(bytes, header) == -1 || header->salt != segment->header.salt) {
        return 0;
    }
    //  Many small entries are read ahead, before large ones only the next header.
    uint64_t span = yami_entry_span(header->meta_size, header->data_size);
    self->fill_size = span > LARGE_ENTRY ? FILL_SMALL : FILL_LARGE;
    return 1;
}

//  Copies size bytes at offset: 1, 0 when the file ends before, -1 with errno.
static int
s_copy(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset, uint8_t *bytes,
       size_t size)
{
    size_t held = s_held(self, segment, offset);
    size_t part = held < size ? held : size;
    if (part > 0) {
        memcpy(bytes, self->window + (offset - self->offset), part);
    }
    if (part == size) {
        return 1;
    }
    if (size - part < LARGE_ENTRY) { //  what follows will be wanted next
        if (s_fill(self, segment, offset + part,
                   self->fill_size < LARGE_ENTRY ? LARGE_ENTRY : self->fill_size) == -1) {
            return -1;
        }
        held = s_held(self, segment, offset + part);
        if (held < size - part) {
            return 0;
        }
        memcpy(bytes + part, self->window, size - part);
        return 1;
    }
    if (yami_segment_reader_open(self, segment) == -1) {
        return -1;
    }
    int64_t count =
        yami_disk_read(self->disk, segment->file, bytes + part, size - part, offset + part);
    if (count < 0) {
        return -1;
    }
    return (size_t) count == size - part ? 1 : 0;
}

//  Reads meta and data, each with the padding when it is the last part, so that no extra read is
//  needed for that.
static int
s_load_body(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
            const yami_entry_header_t *header, yami_entry_t *entry)
{
    size_t padding = (size_t) (yami_entry_span(header->meta_size, header->data_size) -
                               YAMI_ENTRY_HEADER_SIZE - header->meta_size - header->data_size);
    size_t meta_size = header->meta_size + (header->data_size == 0 ? padding : 0);
    size_t data_size = header->data_size + (header->data_size == 0 ? 0 : padding);
    uint32_t crc = 0;
    offset += YAMI_ENTRY_HEADER_SIZE;
    if (meta_size > 0) {
        uint8_t *meta = yami_try_alloc(meta_size, YAMI_LIMIT_OWN_META + YAMI_ENTRY_ALIGNMENT);
        entry->meta = meta;
        int rc = meta ? s_copy(self, segment, offset, meta, meta_size) : -1;
        if (rc != 1) {
            return rc;
        }
        crc = yami_crc32c(crc, meta, meta_size);
    }
    if (data_size > 0) {
        uint8_t *data = NULL;
        entry->data =
            yami_block_alloc(data_size, YAMI_LIMIT_ENTRY_DATA + YAMI_ENTRY_ALIGNMENT, &data);
        int rc = entry->data ? s_copy(self, segment, offset + meta_size, data, data_size) : -1;
        if (rc != 1) {
            return rc;
        }
        crc = yami_crc32c(crc, data, data_size);
        yami_block_shrink(entry->data, header->data_size);
    }
    return crc == header->body_crc ? 1 : 0;
}

int
yami_segment_reader_load(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t offset,
                         const yami_entry_header_t *header, yami_entry_t *entry)
{
    *entry = (yami_entry_t) {.kind = header->kind,
                             .channel = header->channel,
                             .base = header->base,
                             .count = header->count,
                             .time_ms = header->time_ms,
                             .meta_size = header->meta_size,
                             .lsn = header->lsn};
    int rc = s_load_body(self, segment, offset, header, entry);
    if (rc != 1) {
        int error = errno;
        yami_store_release(entry);
        errno = error;
    }
    return rc;
}

//  Adds all data entries of a segment, up to the first that is damaged. 0, or -1 with errno.
static int
s_fill_map(yami_segment_reader_t *self, yami_segment_t *segment, yami_segment_map_t *map)
{
    uint64_t offset = YAMI_SEGMENT_HEADER_SIZE;
    yami_entry_header_t header;
    while (offset < segment->end) {
        int rc = yami_segment_reader_header(self, segment, offset, &header);
        if (rc != 1) {
            return rc;
        }
        yami_map_item_t item = {.channel = header.channel,
                                .count = header.count,
                                .base = header.base,
                                .lsn = header.lsn,
                                .offset = offset};
        if (header.count > 0 && yami_segment_map_add(map, &item) == -1) {
            return -1;
        }
        offset += yami_entry_span(header.meta_size, header.data_size);
    }
    return 0;
}

//  A free map, with room for count items in all; the ones used longest ago are dropped for that.
static yami_segment_map_t *
s_free_map(yami_segment_reader_t *self, size_t count)
{
    for (;;) {
        yami_segment_map_t *oldest = &self->maps[0];
        yami_segment_map_t *unused = NULL;
        for (size_t index = 0; index < YAMI_READER_MAPS; index++) {
            yami_segment_map_t *map = &self->maps[index];
            unused = map->segment == 0 ? map : unused;
            bool is_older = map->segment != 0 && map->used < oldest->used;
            oldest = oldest->segment == 0 || is_older ? map : oldest;
        }
        if (unused && self->map_item_count + count <= 2 * YAMI_MAP_LIMIT) {
            return unused;
        }
        s_drop_map(self, oldest);
    }
}

const yami_segment_map_t *
yami_segment_reader_map(yami_segment_reader_t *self, yami_segment_t *segment, bool make)
{
    for (size_t index = 0; index < YAMI_READER_MAPS; index++) {
        yami_segment_map_t *map = &self->maps[index];
        if (map->segment == segment->header.number) {
            map->used = ++self->use_count;
            return map;
        }
    }
    if (!make || !segment->is_sealed || segment->entry_count > YAMI_MAP_LIMIT) {
        return NULL;
    }
    yami_segment_map_t *map = s_free_map(self, segment->entry_count);
    if (s_fill_map(self, segment, map) == -1) {
        yami_segment_map_clear(map);
        return NULL;
    }
    yami_segment_map_sort(map);
    map->segment = segment->header.number;
    map->used = ++self->use_count;
    self->map_item_count += map->count;
    return map;
}

//  Whether a header found while looking for one is what was looked for.
static bool
s_is_wanted(const yami_segment_t *segment, const yami_entry_header_t *header, uint64_t min_lsn,
            uint64_t lsn_limit, bool is_any_salt)
{
    uint64_t lsn = header->lsn + (header->kind == YAMI_ENTRY_FOOTER ? 1 : 0);
    return (is_any_salt || header->salt == segment->header.salt) && lsn >= min_lsn &&
           header->lsn < lsn_limit;
}

int
yami_segment_reader_resync(yami_segment_reader_t *self, yami_segment_t *segment, uint64_t from,
                           uint64_t end, uint64_t min_lsn, uint64_t lsn_limit, bool is_any_salt,
                           uint64_t *offset_p, yami_entry_header_t *header)
{
    YAM_ASSERT(from % YAMI_ENTRY_ALIGNMENT == 0);
    self->fill_size = WINDOW_SIZE;
    int rc = 0;
    for (uint64_t offset = from; rc == 0 && offset + YAMI_ENTRY_HEADER_SIZE <= end;
         offset += YAMI_ENTRY_ALIGNMENT) {
        const uint8_t *bytes =
            yami_segment_reader_peek(self, segment, offset, YAMI_ENTRY_HEADER_SIZE);
        if (!bytes) {
            rc = errno == ENODATA ? 0 : -1;
            break;
        }
        if (yami_entry_header_decode(bytes, header) == 0 &&
            s_is_wanted(segment, header, min_lsn, lsn_limit, is_any_salt)) {
            *offset_p = offset;
            rc = 1;
        }
    }
    self->fill_size = FILL_LARGE;
    return rc;
}
