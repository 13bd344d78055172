//  yami_prefixes - what a publisher's subscribers asked for. See the header.

#include "yami_prefixes.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_topic_frame.h"

struct yami_prefix {
    yami_prefix_t *parent; //  (2) borrowed; NULL: none
    uint64_t since;
    uint64_t count;   //  messages
    uint64_t used_at; //  sequence of the latest one, or when it was subscribed to, (3)
    uint8_t size;     //  1..YAMI_LIMIT_SUBJECT + 1
    uint8_t bytes[];
};

//  Below 0, 0 or above it, as a comes before b, is it, or comes behind it.
static int
s_compare(const yami_prefix_t *entry, const uint8_t *bytes, size_t size)
{
    int order = memcmp(entry->bytes, bytes, entry->size < size ? entry->size : size);
    return order != 0 ? order : (entry->size > size) - (entry->size < size);
}

static bool
s_is_prefix(const yami_prefix_t *entry, const uint8_t *bytes, size_t size)
{
    return entry->size <= size && memcmp(entry->bytes, bytes, entry->size) == 0;
}

//  How many entries come before the bytes, or are them.
static size_t
s_rank(const yami_prefixes_t *self, const uint8_t *bytes, size_t size)
{
    size_t first = 0;
    size_t end = self->count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (s_compare(self->entries[middle], bytes, size) <= 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

//  The entry of just these bytes, NULL when there is none.
static yami_prefix_t *
s_entry(const yami_prefixes_t *self, const uint8_t *bytes, size_t size)
{
    size_t rank = s_rank(self, bytes, size);
    yami_prefix_t *last = rank > 0 ? self->entries[rank - 1] : NULL;
    return last && s_compare(last, bytes, size) == 0 ? last : NULL;
}

//  Makes (2) true.
static void
s_link(yami_prefixes_t *self)
{
    yami_prefix_t *parent = NULL;
    for (size_t index = 0; index < self->count; index++) {
        yami_prefix_t *entry = self->entries[index];
        while (parent && !s_is_prefix(parent, entry->bytes, entry->size)) {
            parent = parent->parent;
        }
        entry->parent = parent;
        parent = entry;
    }
    self->is_linked = true;
}

//  When all places are taken: frees one, (3).
static void
s_make_room(yami_prefixes_t *self)
{
    if (self->count < YAMI_LIMIT_PREFIXES) {
        return;
    }
    size_t oldest = 0;
    for (size_t index = 1; index < self->count; index++) {
        oldest = self->entries[index]->used_at < self->entries[oldest]->used_at ? index : oldest;
    }
    yami_free(self->entries[oldest]);
    self->count--;
    memmove(&self->entries[oldest], &self->entries[oldest + 1],
            (self->count - oldest) * sizeof(void *));
    self->is_linked = false;
}

//  A new entry in its place. NULL when there is no memory.
static yami_prefix_t *
s_insert(yami_prefixes_t *self, const uint8_t *bytes, size_t size, uint64_t sequence)
{
    s_make_room(self);
    if (yami_grow(&self->entries, &self->capacity, self->count + 1, sizeof(void *),
                  YAMI_LIMIT_PREFIXES) == -1) {
        return NULL;
    }
    yami_prefix_t *entry =
        yami_try_alloc(sizeof *entry + size, sizeof *entry + YAMI_LIMIT_SUBJECT + 1);
    if (!entry) {
        return NULL;
    }
    *entry = (yami_prefix_t) {.since = sequence, .size = (uint8_t) size};
    memcpy(entry->bytes, bytes, size);
    size_t rank = s_rank(self, bytes, size);
    memmove(&self->entries[rank + 1], &self->entries[rank], (self->count - rank) * sizeof(void *));
    self->entries[rank] = entry;
    self->count++;
    self->is_linked = false;
    return entry;
}

void
yami_prefixes_clear(yami_prefixes_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        yami_free(self->entries[index]);
    }
    yami_free(self->entries);
    *self = (yami_prefixes_t) {0};
}

void
yami_prefixes_subscribe(yami_prefixes_t *self, const uint8_t *bytes, size_t size, uint64_t sequence)
{
    if (size == 0 || size > YAMI_LIMIT_SUBJECT + 1) {
        return;
    }
    yami_prefix_t *entry = s_entry(self, bytes, size);
    if (!entry) {
        entry = s_insert(self, bytes, size, sequence);
    }
    if (entry) {
        entry->used_at = sequence;
    }
}

yami_prefix_t *
yami_prefixes_find(yami_prefixes_t *self, const void *bytes, size_t size)
{
    if (self->count == 0) {
        return NULL;
    }
    if (!self->is_linked) {
        s_link(self);
    }
    size_t rank = s_rank(self, bytes, size);
    yami_prefix_t *entry = rank > 0 ? self->entries[rank - 1] : NULL;
    while (entry && !s_is_prefix(entry, bytes, size)) {
        entry = entry->parent;
    }
    return entry;
}

size_t
yami_prefix_marks(const yami_prefix_t *longest, uint8_t *at)
{
    size_t size = 0;
    for (const yami_prefix_t *entry = longest; entry; entry = entry->parent) {
        yami_mark_write(at + size, entry->size, &(yami_mark_t) {entry->since, entry->count});
        size += YAMI_MARK_SIZE;
    }
    return size;
}

void
yami_prefix_add(yami_prefix_t *longest, uint32_t count, uint64_t sequence)
{
    for (yami_prefix_t *entry = longest; entry; entry = entry->parent) {
        entry->count += count;
        entry->used_at = sequence;
    }
}
