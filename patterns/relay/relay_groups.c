#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

yami_relay_group_t *
yami_relay_group_find(const yami_relay_channel_t *channel, yami_slice_t name)
{
    yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        if (group->name.size > 0 && group->name.size == name.size &&
            memcmp(group->name.text, name.data, name.size) == 0) {
            return group;
        }
    }
    return NULL;
}

yami_relay_group_t *
yami_relay_group_add(yami_relay_core_t *core, yami_relay_channel_t *channel, uint32_t number,
                     yami_slice_t name, yami_slice_t filter, uint64_t next)
{
    YAM_ASSERT(number > 0 && next >= 1);
    YAM_ASSERT(yami_relay_map_get(&core->groups, number) == NULL);
    yami_relay_group_t *group = yami_alloc(sizeof *group);
    group->number = number;
    group->channel = channel;
    group->name = yami_relay_name(name.data, name.size);
    group->filter = yami_relay_name(filter.data, filter.size);
    group->is_durable = (number & YAMI_RELAY_EPHEMERAL) == 0;
    group->next = next;
    group->wake_ms = INT64_MAX;
    yami_pieces_init(&group->pieces, &core->piece_count);
    yami_heap_init(&group->retries, (size_t) 4 * YAMI_LIMIT_IN_FLIGHT);
    yami_ranges_init(&group->settled, YAMI_RELAY_SETTLE_RANGES + 1);
    TAILQ_INIT(&group->members);
    TAILQ_INIT(&group->credited);
    TAILQ_INSERT_TAIL(&channel->groups, group, of_channel);
    yami_relay_map_put(&core->groups, number, group);
    channel->group_count++;
    if (group->is_durable) {
        channel->durable_groups++;
        if (number > core->group_number && number < YAMI_RELAY_RECOVERED) {
            core->group_number = number;
        }
    }
    return group;
}

void
yami_relay_group_remove(yami_relay_core_t *core, yami_relay_group_t *group)
{
    YAM_ASSERT(TAILQ_EMPTY(&group->members));
    yami_relay_cache_drop(core, group);
    if (group->is_dirty) {
        TAILQ_REMOVE(&core->dirty_groups, group, of_dirty);
    }
    yami_relay_move_forget(core, group);
    if (group->has_settled) {
        TAILQ_REMOVE(&core->settled_groups, group, of_settled);
    }
    TAILQ_REMOVE(&group->channel->groups, group, of_channel);
    group->channel->durable_groups -= group->is_durable ? 1 : 0;
    group->channel->group_count--;
    yami_relay_map_remove(&core->groups, group->number);
    yami_relay_channel_touch(core, group->channel);
    yami_pieces_clear(&group->pieces);
    yami_heap_clear(&group->retries);
    yami_ranges_clear(&group->settled);
    yami_free(group);
}

uint64_t
yami_relay_group_floor(const yami_relay_group_t *group)
{
    if (group->channel->dues != NULL) {
        const yami_relay_delay_t *delay = yami_relay_delays_from(&group->channel->dues->waiting, 0);
        return delay != NULL ? delay->sequence : group->channel->next;
    }
    const yami_piece_t *piece = yami_pieces_find(&group->pieces, 0);
    return piece != NULL ? piece->first : group->next;
}

uint64_t
yami_relay_group_depth(const yami_relay_group_t *group)
{
    YAM_ASSERT(group->next <= group->channel->next);
    if (group->channel->dues != NULL) {
        return group->channel->dues->waiting.waiting;
    }
    return group->channel->next - group->next + group->pieces.total;
}

void
yami_relay_group_touch(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (!group->is_dirty) {
        group->is_dirty = true;
        TAILQ_INSERT_TAIL(&core->dirty_groups, group, of_dirty);
    }
}

//  A heap item for a piece that waits; forgets those of pieces that do not, when they are too many.
static void
s_push_retry(yami_relay_core_t *core, yami_relay_group_t *group, const yami_piece_t *piece)
{
    YAM_ASSERT(piece->state == YAMI_PIECE_WAITING);
    if (!core->has_started) {
        return; //  pushed when due times have become monotonic
    }
    int rc = 0;
    if (group->retries.count > 2 * group->pieces.count + 64) {
        yami_heap_clear(&group->retries);
        group->retries.limit = (size_t) 4 * YAMI_LIMIT_IN_FLIGHT;
        for (piece = yami_pieces_find(&group->pieces, 0); piece != NULL;
             piece = yami_pieces_next(piece)) {
            if (piece->state == YAMI_PIECE_WAITING) {
                rc |= yami_heap_push(&group->retries, piece->due_ms, piece->first);
            }
        }
    } else {
        rc = yami_heap_push(&group->retries, piece->due_ms, piece->first);
    }
    YAM_NEED(rc == 0);
    yami_relay_wake(core, YAMI_WAKE_GROUP, group->number, &group->wake_ms,
                    yami_heap_peek(&group->retries)->when);
}

void
yami_relay_group_delay(yami_relay_core_t *core, yami_relay_group_t *group, yami_piece_t *piece,
                       int64_t due_ms)
{
    yami_pieces_set_state(&group->pieces, piece, YAMI_PIECE_WAITING);
    piece->due_ms = due_ms;
    s_push_retry(core, group, piece);
}

void
yami_relay_group_due(yami_relay_core_t *core, uint32_t number)
{
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, number);
    YAM_ASSERT(group != NULL);
    yami_relay_group_touch(core, group);
    yami_heap_item_t item;
    while (yami_heap_pop_due(&group->retries, core->mono_ms, &item)) {
        yami_piece_t *piece = yami_pieces_find(&group->pieces, item.id);
        if (piece != NULL && piece->state == YAMI_PIECE_WAITING && piece->due_ms <= core->mono_ms) {
            yami_pieces_set_state(&group->pieces, piece, YAMI_PIECE_READY);
            (void) yami_pieces_merge(&group->pieces, piece);
        }
    }
    if (group->retries.count > 0) {
        yami_relay_wake(core, YAMI_WAKE_GROUP, group->number, &group->wake_ms,
                        yami_heap_peek(&group->retries)->when);
    }
}

//  What is of first..last in pieces leaves them.
static uint64_t
s_settle_pieces(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first, uint64_t last)
{
    uint64_t count = 0;
    yami_piece_t *piece = yami_pieces_find(&group->pieces, first);
    while (piece != NULL && piece->first <= last) {
        uint64_t from = piece->first > first ? piece->first : first;
        uint64_t to = piece->last < last ? piece->last : last;
        yami_relay_lease_t *lease = piece->lease;
        count += to - from + 1;
        yami_pieces_cut(&group->pieces, piece, from, to);
        if (lease != NULL) {
            yami_relay_lease_close(core, lease, to - from + 1);
        }
        piece = yami_pieces_find(&group->pieces, to + 1);
        if (piece != NULL && piece->state == YAMI_PIECE_WAITING && piece->first == to + 1) {
            s_push_retry(core, group,
                         piece); //  the upper part of what was cut has no item of its own
        }
    }
    return count;
}

uint64_t
yami_relay_group_settle(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                        uint64_t last)
{
    YAM_ASSERT(first <= last && last < group->channel->next);
    uint64_t count = 0;
    if (group->channel->dues != NULL) {
        yami_relay_channel_touch(core, group->channel);
        return yami_relay_delay_end(core, group->channel, first, last);
    }
    if (first < group->next) {
        count = s_settle_pieces(core, group, first, last);
    }
    if (last >= group->next) {
        uint64_t from = first > group->next ? first : group->next;
        if (from > group->next) { //  only after a restart: what was leased then
            (void) yami_pieces_merge(&group->pieces, yami_pieces_add(&group->pieces, group->next,
                                                                     from - 1, YAMI_PIECE_READY));
        }
        count += last - from + 1;
        group->next = last + 1;
    }
    yami_relay_channel_touch(core, group->channel);
    yami_relay_group_touch(core, group);
    return count;
}

void
yami_relay_group_journal(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                         uint64_t last)
{
    if (!group->is_durable || YAMI_PLANTED(ACK_NOT_WRITTEN)) {
        return;
    }
    int64_t added = yami_ranges_add(&group->settled, first, last);
    YAM_NEED(added >= 0);
    if (!group->has_settled) {
        group->has_settled = true;
        TAILQ_INSERT_TAIL(&core->settled_groups, group, of_settled);
    }
    if (group->settled.count >= YAMI_RELAY_SETTLE_RANGES) {
        yami_relay_group_flush(core, group);
    }
}

void
yami_relay_group_flush(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (group->has_settled) {
        TAILQ_REMOVE(&core->settled_groups, group, of_settled);
        group->has_settled = false;
        (void) yami_relay_write_settle(core, group, &group->settled);
        yami_ranges_remove_below(&group->settled, YAMI_LIMIT_SEQUENCE);
    }
}

void
yami_relay_groups_flush(yami_relay_core_t *core)
{
    while (!TAILQ_EMPTY(&core->settled_groups)) {
        yami_relay_group_flush(core, TAILQ_FIRST(&core->settled_groups));
    }
}
