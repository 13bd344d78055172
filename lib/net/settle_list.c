//  settle_list - ranges of settled messages. See yami_settle_list.h.

#include "yami_settle_list.h"

#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"

#define GROUP_LIMIT YAMI_LIMIT_IN_FLIGHT
#define LOOK_BACK 8          //  groups searched for one of the same kind, delay and reason
#define MERGE_THRESHOLD 4096 //  ranges at which merging is tried before more memory is taken

static void
s_clear_group(yami_settle_group_t *group)
{
    yami_free(group->reason);
    yami_free(group->ranges);
}

void
yami_settle_list_clear(yami_settle_list_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        s_clear_group(&self->groups[index]);
    }
    yami_free(self->groups);
    *self = (yami_settle_list_t) {0};
}

static int
s_compare(const void *left_p, const void *right_p)
{
    const yami_settle_t *left = left_p;
    const yami_settle_t *right = right_p;
    if (left->token != right->token) {
        return left->token < right->token ? -1 : 1;
    }
    return left->first < right->first ? -1 : left->first > right->first;
}

//  Sorts the ranges and joins those that touch or overlap; what they share leaves once.
static void
s_merge(yami_settle_list_t *self, yami_settle_group_t *group)
{
    if (group->is_sorted || group->count == 0) {
        return;
    }
    qsort(group->ranges, group->count, sizeof *group->ranges, s_compare);
    size_t kept = 0;
    for (size_t index = 1; index < group->count; index++) {
        yami_settle_t *last = &group->ranges[kept];
        const yami_settle_t *range = &group->ranges[index];
        if (range->token != last->token || range->first > last->last + 1) {
            group->ranges[++kept] = *range;
            continue;
        }
        uint64_t shared_last = range->last < last->last ? range->last : last->last;
        if (group->type != YAMI_FRAME_EXTEND) {
            self->doubles += shared_last + 1 - range->first;
        }
        last->last = range->last > last->last ? range->last : last->last;
    }
    group->count = kept + 1;
    group->is_sorted = true;
}

static bool
s_is_like(const yami_settle_group_t *group, uint8_t type, int64_t delay_ms, const char *reason)
{
    if (group->type != type || group->delay_ms != delay_ms) {
        return false;
    }
    if (group->reason == NULL || reason == NULL) {
        return group->reason == reason;
    }
    return strncmp(group->reason, reason, YAMI_LIMIT_TEXT) == 0;
}

//  A new group; NULL with errno ENOMEM.
static yami_settle_group_t *
s_new_group(yami_settle_list_t *self, uint8_t type, int64_t delay_ms, const char *reason)
{
    if (yami_grow(&self->groups, &self->capacity, self->count + 1, sizeof *self->groups,
                  GROUP_LIMIT) == -1) {
        return NULL;
    }
    char *copy = NULL;
    if (reason != NULL) {
        size_t size = strnlen(reason, YAMI_LIMIT_TEXT);
        copy = yami_try_alloc(size + 1, YAMI_LIMIT_TEXT + 1);
        if (copy == NULL) {
            return NULL;
        }
        memcpy(copy, reason, size);
        copy[size] = 0;
    }
    yami_settle_group_t *group = &self->groups[self->count];
    *group = (yami_settle_group_t) {
        .type = type, .delay_ms = delay_ms, .reason = copy, .is_sorted = true};
    self->latest = self->count++;
    return group;
}

//  The group of that kind, delay and reason; made when there is none among the latest.
static yami_settle_group_t *
s_group(yami_settle_list_t *self, uint8_t type, int64_t delay_ms, const char *reason)
{
    if (self->count > 0 && s_is_like(&self->groups[self->latest], type, delay_ms, reason)) {
        return &self->groups[self->latest];
    }
    size_t end = self->count > LOOK_BACK ? self->count - LOOK_BACK : 0;
    for (size_t index = self->count; index > end; index--) {
        if (s_is_like(&self->groups[index - 1], type, delay_ms, reason)) {
            self->latest = index - 1;
            return &self->groups[index - 1];
        }
    }
    return s_new_group(self, type, delay_ms, reason);
}

//  Extends the last range of acks by the next message of its lease, as nearly every ack does. Acks
//  have neither delay nor reason, so all of them are of one group.
static bool
s_extend_acks(yami_settle_list_t *self, uint8_t type, uint64_t token, uint64_t sequence)
{
    if (type != YAMI_FRAME_ACK || self->count == 0) {
        return false;
    }
    const yami_settle_group_t *group = &self->groups[self->latest];
    if (group->type != YAMI_FRAME_ACK || group->count == 0) {
        return false;
    }
    yami_settle_t *last = &group->ranges[group->count - 1];
    if (last->token != token || last->last + 1 != sequence) {
        return false;
    }
    last->last = sequence;
    self->messages++;
    return true;
}

int
yami_settle_list_add(yami_settle_list_t *self, uint8_t type, int64_t delay_ms, const char *reason,
                     uint64_t token, uint64_t sequence)
{
    YAM_ASSERT(type >= YAMI_FRAME_ACK && type <= YAMI_FRAME_RELEASE && token > 0 && sequence > 0);
    if (s_extend_acks(self, type, token, sequence)) {
        return 0;
    }
    bool has_reason = type == YAMI_FRAME_NACK || type == YAMI_FRAME_REJECT;
    yami_settle_group_t *group =
        s_group(self, type, type == YAMI_FRAME_NACK ? delay_ms : -1, has_reason ? reason : NULL);
    if (group == NULL) {
        return -1;
    }
    yami_settle_t *last = group->count > 0 ? &group->ranges[group->count - 1] : NULL;
    if (last != NULL && last->token == token && last->last + 1 == sequence) {
        last->last = sequence;
        self->messages++;
        return 0;
    }
    if (group->count == group->capacity && group->count >= MERGE_THRESHOLD) {
        s_merge(self, group);
    }
    if (yami_grow(&group->ranges, &group->capacity, group->count + 1, sizeof *group->ranges,
                  2 * YAMI_LIMIT_IN_FLIGHT) == -1) {
        return -1; //  a group without ranges is passed over
    }
    yami_settle_t range = {.token = token, .first = sequence, .last = sequence};
    if (group->count > 0 && s_compare(&group->ranges[group->count - 1], &range) >= 0) {
        group->is_sorted = false;
    }
    group->ranges[group->count++] = range;
    self->messages++;
    return 0;
}

//  Index of the group whose turn it is, count when there is none.
static size_t
s_first(const yami_settle_list_t *self)
{
    size_t found = self->count;
    for (size_t index = self->count; index > 0; index--) {
        const yami_settle_group_t *group = &self->groups[index - 1];
        if (group->count > 0 && (found == self->count || group->type == YAMI_FRAME_EXTEND ||
                                 self->groups[found].type != YAMI_FRAME_EXTEND)) {
            found = index - 1;
        }
    }
    return found;
}

bool
yami_settle_list_next(yami_settle_list_t *self, yami_frame_t *frame, uint64_t *messages_p)
{
    size_t index = s_first(self);
    if (index == self->count) {
        return false;
    }
    yami_settle_group_t *group = &self->groups[index];
    s_merge(self, group);
    *frame = (yami_frame_t) {.type = group->type, .present = YAMI_F_RANGES};
    frame->range_count =
        group->count < YAMI_LIMIT_RANGES ? (uint32_t) group->count : YAMI_LIMIT_RANGES;
    frame->ranges =
        &group->ranges[group->count - frame->range_count]; //  from the end: cheap to take
    if (group->delay_ms >= 0) {
        frame->present |= YAMI_F_DELAY_MS;
        frame->delay_ms = (uint64_t) group->delay_ms;
    }
    if (group->reason != NULL) {
        frame->present |= YAMI_F_TEXT;
        frame->text = yami_slice_text(group->reason);
    }
    *messages_p = 0;
    for (uint32_t at = 0; at < frame->range_count && group->type != YAMI_FRAME_EXTEND; at++) {
        *messages_p += frame->ranges[at].last - frame->ranges[at].first + 1;
    }
    return true;
}

uint64_t
yami_settle_list_doubles(yami_settle_list_t *self)
{
    uint64_t doubles = self->doubles;
    self->doubles = 0;
    return doubles;
}

void
yami_settle_list_taken(yami_settle_list_t *self, const yami_frame_t *frame)
{
    size_t index = s_first(self);
    YAM_ASSERT(index < self->count && self->groups[index].count >= frame->range_count);
    self->groups[index].count -= frame->range_count;
    if (s_first(self) < self->count) {
        return;
    }
    //  All is out: the groups go, but the first one's memory stays for the usual case, acks alone.
    for (size_t other = 1; other < self->count; other++) {
        s_clear_group(&self->groups[other]);
    }
    self->count = 1;
    self->latest = 0;
    self->messages = 0;
    if (self->groups[0].type != YAMI_FRAME_ACK || self->groups[0].capacity > MERGE_THRESHOLD) {
        yami_settle_list_clear(self);
    }
}
