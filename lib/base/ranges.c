//  Sorted array of disjoint ranges; nearly all changes happen at its end.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_ranges.h"

void
yami_ranges_init(yami_ranges_t *self, size_t limit)
{
    YAM_ASSERT(limit > 0);
    *self = (yami_ranges_t) {.limit = limit};
}

void
yami_ranges_clear(yami_ranges_t *self)
{
    yami_free(self->items);
    yami_ranges_init(self, self->limit);
}

//  Index of the first range that ends at or after sequence; count when there is none.
static size_t
s_find(const yami_ranges_t *self, uint64_t sequence)
{
    size_t low = 0;
    size_t high = self->count;
    if (high > 0 && self->items[high - 1].last < sequence) {
        return high; //  the usual case: behind all that is known
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->items[middle].last < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t
s_width(const yami_range_t *range)
{
    return range->last - range->first + 1;
}

//  Puts new_count ranges where old_count were, at index. Nothing changed when it returns -1.
static int
s_replace(yami_ranges_t *self, size_t index, size_t old_count, const yami_range_t *ranges,
          size_t new_count)
{
    size_t count = self->count - old_count + new_count;
    if (count > self->limit) {
        errno = ENOSPC;
        return -1;
    }
    if (yami_grow(&self->items, &self->capacity, count, sizeof *self->items, self->limit) == -1) {
        return -1;
    }
    size_t tail = self->count - index - old_count;
    if (tail > 0 && new_count != old_count) {
        memmove(&self->items[index + new_count], &self->items[index + old_count],
                tail * sizeof *self->items);
    }
    if (new_count > 0) {
        memcpy(&self->items[index], ranges, new_count * sizeof *ranges);
    }
    self->count = count;
    return 0;
}

int64_t
yami_ranges_add(yami_ranges_t *self, uint64_t first, uint64_t last)
{
    YAM_ASSERT(first <= last);
    if (last >= INT64_MAX) {
        errno = EINVAL;
        return -1;
    }
    //  All ranges that touch or overlap first..last become one.
    size_t index = s_find(self, first > 0 ? first - 1 : 0);
    yami_range_t merged = {.first = first, .last = last};
    uint64_t covered = 0;
    size_t end = index;
    for (; end < self->count && self->items[end].first <= last + 1; end++) {
        covered += s_width(&self->items[end]);
    }
    if (end > index) {
        if (self->items[index].first < first) {
            merged.first = self->items[index].first;
        }
        if (self->items[end - 1].last > last) {
            merged.last = self->items[end - 1].last;
        }
    }
    if (s_replace(self, index, end - index, &merged, 1) == -1) {
        return -1;
    }
    uint64_t added = s_width(&merged) - covered;
    self->total += added;
    return (int64_t) added;
}

int64_t
yami_ranges_remove(yami_ranges_t *self, uint64_t first, uint64_t last)
{
    YAM_ASSERT(first <= last);
    size_t index = s_find(self, first);
    uint64_t covered = 0;
    size_t end = index;
    for (; end < self->count && self->items[end].first <= last; end++) {
        covered += s_width(&self->items[end]);
    }
    if (end == index) {
        return 0;
    }
    //  What sticks out on either side stays.
    yami_range_t rest[2];
    size_t rest_count = 0;
    if (self->items[index].first < first) {
        rest[rest_count++] = (yami_range_t) {self->items[index].first, first - 1};
    }
    if (self->items[end - 1].last > last) {
        rest[rest_count++] = (yami_range_t) {last + 1, self->items[end - 1].last};
    }
    if (s_replace(self, index, end - index, rest, rest_count) == -1) {
        return -1;
    }
    for (size_t kept = 0; kept < rest_count; kept++) {
        covered -= s_width(&rest[kept]);
    }
    self->total -= covered;
    return (int64_t) covered;
}

void
yami_ranges_remove_below(yami_ranges_t *self, uint64_t floor)
{
    if (floor > 0) {
        int64_t removed = yami_ranges_remove(self, 0, floor - 1);
        YAM_ASSERT(removed >= 0); //  no hole, so no range more than before
    }
}

bool
yami_ranges_has(const yami_ranges_t *self, uint64_t sequence)
{
    size_t index = s_find(self, sequence);
    return index < self->count && self->items[index].first <= sequence;
}

//  Length of start..end when both lie in from..until; saturates at UINT64_MAX.
static uint64_t
s_run_length(uint64_t start, uint64_t end)
{
    return end - start == UINT64_MAX ? UINT64_MAX : end - start + 1;
}

uint64_t
yami_ranges_gap(const yami_ranges_t *self, uint64_t from, uint64_t until, uint64_t *start_p)
{
    size_t index = s_find(self, from);
    if (index < self->count && self->items[index].first <= from) {
        from = self->items[index].last + 1; //  (1): not in the set
        index++;
    }
    if (from > until) {
        return 0;
    }
    if (index < self->count && self->items[index].first <= until) {
        until = self->items[index].first - 1;
    }
    *start_p = from;
    return s_run_length(from, until);
}

uint64_t
yami_ranges_run(const yami_ranges_t *self, uint64_t from, uint64_t until, uint64_t *start_p)
{
    size_t index = s_find(self, from);
    if (index == self->count || from > until || self->items[index].first > until) {
        return 0;
    }
    const yami_range_t *range = &self->items[index];
    *start_p = range->first > from ? range->first : from;
    return s_run_length(*start_p, range->last < until ? range->last : until);
}

void
yami_ranges_check(const yami_ranges_t *self)
{
    uint64_t total = 0;
    YAM_ASSERT(self->count <= self->capacity && self->capacity <= self->limit);
    for (size_t index = 0; index < self->count; index++) {
        const yami_range_t *range = &self->items[index];
        YAM_ASSERT(range->first <= range->last && range->last < INT64_MAX); //  (1)
        YAM_ASSERT(index == 0 || range->first > range[-1].last + 1);        //  (1)
        total += s_width(range);
    }
    YAM_ASSERT(total == self->total); //  (2)
}
