#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_BATCH_SIZE (1u << 20) //  bytes of one batch, if records are not bigger
#define S_RANGES_LIMIT 16384u

bool
yami_relay_may_move(const yami_relay_core_t *core)
{
    return core->has_room && !yami_relay_disk_lags(core);
}

void
yami_relay_moves_late(yami_relay_core_t *core)
{
    if (!core->lacks_room || !yami_relay_may_move(core)) {
        return;
    }
    core->lacks_room = false;
    yami_relay_group_t *group;
    for (size_t index = 0; (group = yami_relay_map_next(&core->groups, &index)) != NULL;) {
        if (group->pieces.totals[YAMI_PIECE_MOVING] > 0) {
            yami_relay_group_touch(core, group);
        }
    }
}

void
yami_relay_move_later(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (!group->is_mover) {
        group->is_mover = true;
        TAILQ_INSERT_TAIL(&core->movers, group, of_movers);
    }
}

static void
s_leave_line(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (group->is_mover) {
        group->is_mover = false;
        TAILQ_REMOVE(&core->movers, group, of_movers);
    }
}

void
yami_relay_move_next(yami_relay_core_t *core)
{
    yami_relay_group_t *group = TAILQ_FIRST(&core->movers);
    if (!core->is_moving && group != NULL) {
        s_leave_line(core, group);
        yami_relay_group_touch(core, group);
    }
}

void
yami_relay_move_ended(yami_relay_core_t *core)
{
    core->is_moving = false;
    yami_relay_move_next(core);
}

void
yami_relay_move_forget(yami_relay_core_t *core, yami_relay_group_t *group)
{
    s_leave_line(core, group);
    yami_relay_move_next(core);
}

void
yami_relay_move_start(yami_relay_move_t *self, yami_relay_core_t *core, yami_relay_group_t *origin,
                      yami_relay_job_t *owner)
{
    *self = (yami_relay_move_t) {.core = core, .origin = origin, .owner = owner};
    yami_builder_init(&self->builder, S_BATCH_SIZE);
    yami_ranges_init(&self->ranges, S_RANGES_LIMIT);
}

//  One entry holds the batch and says what it settles: so a message is never in both places, nor in
//  none.
static void
s_write(yami_relay_move_t *self)
{
    yami_relay_core_t *core = self->core;
    yami_relay_channel_t *target = self->target;
    uint32_t count = self->builder.count;
    uint64_t bytes = self->builder.size - YAMI_BATCH_HEADER_SIZE;
    yami_batch_t head = {.first_sequence = target->next};
    memcpy(&head.producer, "yam-relay-moved", 15);
    yami_block_t *block = yami_builder_finish(&self->builder, &head);
    if (block == NULL) {
        core->errors++; //  they stay where they are
        yami_builder_clear(&self->builder);
        return;
    }
    YAM_ASSERT(count == self->ranges.total);
    uint64_t base = target->next;
    const yami_ranges_t none = {0};
    uint64_t ticket =
        yami_relay_write_move(core, target, base, count, self->origin,
                              YAMI_PLANTED(DEAD_LETTER_NOT_ATOMIC) ? &none : &self->ranges, block);
    yami_relay_channel_appended(target, base, base + count - 1, bytes, core->wall_ms);
    core->budget -= (int64_t) bytes;
    for (size_t index = 0; index < self->ranges.count; index++) {
        const yami_range_t *range = &self->ranges.items[index];
        uint64_t settled = yami_relay_group_settle(core, self->origin, range->first, range->last);
        YAM_ASSERT(settled == range->last - range->first + 1);
        if (YAMI_PLANTED(DEAD_LETTER_NOT_ATOMIC)) {
            yami_relay_group_journal(core, self->origin, range->first, range->last);
        }
    }
    if (self->owner != NULL) {
        self->owner->done += count;
        self->owner->waiting++;
    } else if (self->origin->channel->dues == NULL) {
        self->origin->counts.dead_lettered += count;
    }
    yami_relay_wait_t wait = {.ticket = ticket,
                              .type = YAMI_WAIT_MOVE,
                              .channel = target,
                              .last = target->next - 1,
                              .bytes = bytes,
                              .job = self->owner != NULL ? self->owner->id : 0};
    yami_relay_wait(core, &wait);
}

static void
s_flush(yami_relay_move_t *self)
{
    if (self->target != NULL && self->builder.count > 0) {
        s_write(self);
    }
    yami_ranges_remove_below(&self->ranges, YAMI_LIMIT_SEQUENCE);
    self->target = NULL;
}

bool
yami_relay_move_add(yami_relay_move_t *self, yami_relay_channel_t *target, uint64_t sequence,
                    const yami_record_t *record)
{
    if (self->target != NULL && (self->target != target || self->ranges.count == S_RANGES_LIMIT)) {
        s_flush(self);
    }
    int rc = yami_builder_append(&self->builder, record);
    if (rc == -1 && errno == EAGAIN) {
        s_flush(self);
        rc = yami_builder_append(&self->builder, record);
    }
    if (rc == -1) {
        return false;
    }
    self->target = target;
    int64_t added = yami_ranges_add(&self->ranges, sequence, sequence);
    YAM_NEED(added == 1);
    return true;
}

void
yami_relay_move_finish(yami_relay_move_t *self)
{
    s_flush(self);
    yami_builder_clear(&self->builder);
    yami_ranges_clear(&self->ranges);
}
