#include "yami_base.h"
#include "yami_planted.h"
#include "yami_properties.h"
#include "yami_relay_parts.h"

#define S_CHOICES 4 //  members compared for the least loaded

//  A run of sequences that may be delivered: part of a piece, or new ones.
typedef struct {
    yami_piece_t *piece; //  NULL: new
    uint64_t first;
    uint64_t last;
} s_run_t;

static void
s_try_again(yami_relay_core_t *core, yami_relay_group_t *group)
{
    yami_relay_wake(core, YAMI_WAKE_GROUP, group->number, &group->wake_ms,
                    core->mono_ms + YAMI_RELAY_AGAIN_MS);
}

//  Returned ones first, lowest first; then new ones. False when there is nothing.
static bool
s_next_run(yami_relay_core_t *core, yami_relay_group_t *group, s_run_t *run)
{
    yami_piece_t *piece = yami_pieces_lowest(&group->pieces, YAMI_PIECE_READY);
    if (piece != NULL) {
        *run = (s_run_t) {piece, piece->first, piece->last};
        return true;
    }
    const yami_relay_channel_t *channel = group->channel;
    uint64_t end =
        YAMI_PLANTED(DELIVERED_BEFORE_DURABLE) ? channel->next : channel->durable; //  (2)
    if (group->next >= end || group->pieces.total >= YAMI_LIMIT_IN_FLIGHT) {
        return false;
    }
    if (!yami_relay_pieces_fit(core, 1, false)) {
        s_try_again(core, group); //  pieces of other groups may end, of which nobody tells this one
        return false;
    }
    uint64_t most = YAMI_LIMIT_IN_FLIGHT - group->pieces.total;
    *run = (s_run_t) {NULL, group->next, end - 1};
    if (run->last - run->first >= most) {
        run->last = run->first + most - 1;
    }
    return true;
}

//  The member with least in flight among the next few whose turn it is.
static yami_relay_handle_t *
s_pick(const yami_relay_group_t *group)
{
    yami_relay_handle_t *best = TAILQ_FIRST(&group->credited);
    yami_relay_handle_t *member = best;
    for (int looked = 1; member != NULL && looked < S_CHOICES; looked++) {
        member = TAILQ_NEXT(member, of_credited);
        if (member != NULL && member->in_flight < best->in_flight) {
            best = member;
        }
    }
    return best;
}

//  Moves the cache's cursor to a record.
static void
s_seek(yami_relay_cache_t *cache, uint32_t index)
{
    yami_record_t record;
    if (cache->index > index) {
        cache->index = 0;
        cache->offset = 0;
    }
    for (; cache->index < index; cache->index++) {
        int rc = yami_batch_next(&cache->batch, &cache->offset, &record);
        YAM_ASSERT(rc == 0); //  checked before it was stored
    }
}

bool
yami_relay_group_wants(const yami_relay_group_t *group, const yami_record_t *record)
{
    yami_property_t property;
    yami_slice_t subject = yami_slice("", 0);
    if (yami_properties_find(record->properties, "subject", &property) && property.type == 's') {
        subject = property.text;
    }
    return yami_subject_matches(subject, yami_slice(group->filter.text, group->filter.size));
}

//  Settles those at the start of the run that the filter does not want. Whether there were any.
static bool
s_skip(yami_relay_core_t *core, yami_relay_group_t *group, const s_run_t *run)
{
    yami_relay_cache_t *cache = &group->cache;
    uint64_t sequence = run->first;
    size_t offset = cache->offset;
    yami_record_t record;
    for (; sequence <= run->last; sequence++) {
        int rc = yami_batch_next(&cache->batch, &offset, &record);
        YAM_ASSERT(rc == 0);
        if (yami_relay_group_wants(group, &record)) {
            break;
        }
        cache->offset = offset;
        cache->index++;
    }
    if (sequence == run->first) {
        return false;
    }
    group->counts.filtered += sequence - run->first;
    core->budget -= (int64_t) (sequence - run->first) * YAMI_RELAY_SKIP_COST;
    (void) yami_relay_group_settle(core, group, run->first, sequence - 1);
    yami_relay_group_journal(core, group, run->first, sequence - 1);
    return true;
}

//  Shortens the run to what this member may get now; returns the bytes of a frame with just that.
//  Only the first message may be more than its credit, or more than it takes at all.
static uint64_t
s_cut(const yami_relay_group_t *group, const yami_relay_handle_t *member, s_run_t *run)
{
    const yami_relay_cache_t *cache = &group->cache;
    uint64_t messages = member->granted_messages - member->sent_messages;
    uint64_t bytes = member->granted_bytes - member->sent_bytes;
    if (run->last - run->first >= messages) {
        run->last = run->first + messages - 1;
    }
    uint64_t frame = member->peer->max_frame;
    bool is_whole = run->first == cache->base && run->last - run->first + 1 == cache->batch.count;
    if (is_whole && group->filter.size == 0 && cache->block->size <= bytes &&
        cache->block->size <= frame) {
        return cache->block->size; //  the usual case: nothing to look into
    }
    uint64_t most = bytes < frame ? bytes : frame;
    size_t offset = cache->offset;
    size_t end = offset;
    yami_record_t record;
    uint64_t sequence = run->first;
    for (; sequence <= run->last; sequence++) {
        size_t next = end;
        int rc = yami_batch_next(&cache->batch, &next, &record);
        YAM_ASSERT(rc == 0);
        if (sequence > run->first &&
            (YAMI_BATCH_HEADER_SIZE + next - offset > most ||
             (group->filter.size > 0 && !yami_relay_group_wants(group, &record)))) {
            break;
        }
        end = next;
    }
    run->last = sequence - 1;
    return YAMI_BATCH_HEADER_SIZE + end - offset;
}

//  The frame itself when most of it is wanted, else a copy of the part. *base_p is the sequence of
//  its record 0.
static yami_block_t *
s_data(const yami_relay_group_t *group, const yami_relay_handle_t *member, const s_run_t *run,
       uint64_t bytes, uint64_t *base_p)
{
    const yami_relay_cache_t *cache = &group->cache;
    if (bytes * 2 >= cache->block->size && cache->block->size <= member->peer->max_frame &&
        cache->block->size <= member->granted_bytes - member->sent_bytes) {
        *base_p = cache->base;
        return yami_block_ref(cache->block);
    }
    yami_batch_t view =
        cache->batch; //  from the cursor on, so that slicing walks over nothing else
    view.payload = yami_slice(view.payload.data + cache->offset, view.payload.size - cache->offset);
    view.count -= cache->index;
    view.first_sequence += cache->index;
    *base_p = run->first;
    return yami_batch_slice(&view, 0, (uint32_t) (run->last - run->first + 1));
}

static yami_relay_lease_t *
s_lease(yami_relay_core_t *core, yami_relay_group_t *group, yami_relay_handle_t *member,
        s_run_t *run, uint64_t token)
{
    uint64_t count = run->last - run->first + 1;
    if (run->piece == NULL) {
        run->piece = yami_pieces_add(&group->pieces, run->first, run->last, YAMI_PIECE_READY);
        group->next = run->last + 1;
    } else {
        run->piece = yami_pieces_isolate(&group->pieces, run->piece, run->first, run->last);
    }
    group->counts.delivered += count;
    yami_rate_add(&group->out_rate, core->mono_ms, count);
    group->counts.redelivered += run->piece->deliveries > 0 ? count : 0;
    core->messages_out += count;
    return yami_relay_lease_new(core, member, run->piece, token);
}

//  Whoever got something goes to the end of the line, or out of it.
static void
s_charge(yami_relay_group_t *group, yami_relay_handle_t *member, uint64_t messages, uint64_t bytes)
{
    member->sent_messages += messages;
    member->sent_bytes += bytes;
    TAILQ_REMOVE(&group->credited, member, of_credited);
    member->is_credited = yami_relay_handle_wants(member);
    if (member->is_credited) {
        TAILQ_INSERT_TAIL(&group->credited, member, of_credited);
    }
}

//  What says of data that it is the run's. NULL when memory is out.
static yami_block_t *
s_frame(const yami_relay_group_t *group, const yami_relay_handle_t *member, const s_run_t *run,
        uint64_t token, uint64_t base)
{
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_DELIVER, member->number);
    frame.present = YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_DELIVERIES |
                    YAMI_F_FAILURES | YAMI_F_TIME;
    frame.token = token;
    frame.base = base;
    frame.first = run->first;
    frame.last = run->last;
    frame.deliveries = (run->piece != NULL ? run->piece->deliveries : 0) + 1;
    frame.failures = run->piece != NULL ? run->piece->failures : 0;
    frame.time = (uint64_t) group->cache.time_ms;
    return yami_frame_encode(&frame);
}

typedef enum {
    S_SERVED,
    S_NO_MEMORY,
    S_NO_PIECES,
    S_MEMBER_ENDED
} s_served_t;

//  Gives a member what it may have of the run, all of which is in the cache. Nothing is leased
//  before there is what tells the member: a message that reached nobody would be blamed for it.
static s_served_t
s_serve(yami_relay_core_t *core, yami_relay_group_t *group, yami_relay_handle_t *member,
        s_run_t *run)
{
    yami_relay_cache_t *cache = &group->cache;
    s_seek(cache, (uint32_t) (run->first - cache->base));
    if (group->filter.size > 0 && s_skip(core, group, run)) {
        return S_SERVED;
    }
    uint64_t bytes = s_cut(group, member, run);
    if (bytes > member->peer->max_frame) {
        yami_relay_handle_end(core, member, YAM_STATUS_TOO_BIG,
                              "a message is larger than max-frame");
        return S_MEMBER_ENDED;
    }
    bool may_end = group->pieces.totals[YAMI_PIECE_LEASED] > 0; //  else only this one can
    if (run->piece != NULL && may_end &&
        !yami_relay_pieces_fit(core, run->last < run->piece->last, true)) {
        return S_NO_PIECES;
    }
    uint64_t base;
    yami_block_t *data = s_data(group, member, run, bytes, &base);
    uint64_t token = yami_relay_lease_token(core);
    yami_block_t *block = data != NULL ? s_frame(group, member, run, token, base) : NULL;
    if (block == NULL) {
        yami_block_unref(&data);
        return S_NO_MEMORY;
    }
    bytes = data->size;
    core->budget -= YAMI_RELAY_DELIVERY_COST + (data != cache->block ? (int64_t) bytes : 0);
    yami_relay_lease_t *lease = s_lease(core, group, member, run, token);
    lease->bytes = bytes;
    member->in_flight_bytes += bytes;
    yami_relay_deliver(core, member->peer, block, data);
    s_charge(group, member, run->last - run->first + 1, bytes);
    return S_SERVED;
}

bool
yami_relay_group_pump(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (core->is_draining || core->has_failed || group->ticket > core->durable) {
        return true;
    }
    uint64_t number = group->number;
    s_run_t run;
    while (core->budget > 0 && !TAILQ_EMPTY(&group->credited) && s_next_run(core, group, &run)) {
        const yami_relay_cache_t *cache = &group->cache;
        if (cache->block == NULL || run.first < cache->base ||
            run.first >= cache->base + cache->batch.count) {
            if (!group->is_fetching) {
                group->is_fetching = true;
                yami_relay_fetch(core, group->channel, run.first, YAMI_FETCH_DELIVER,
                                 group->number);
            }
            return true;
        }
        if (run.last >= cache->base + cache->batch.count) {
            run.last = cache->base + cache->batch.count - 1;
        }
        s_served_t served = s_serve(core, group, s_pick(group), &run);
        if (served == S_MEMBER_ENDED && yami_relay_map_get(&core->groups, number) == NULL) {
            return false; //  it was the last one of an ephemeral group
        }
        if (served == S_NO_MEMORY || served == S_NO_PIECES) {
            core->errors += served == S_NO_MEMORY ? 1 : 0;
            s_try_again(core, group);
            return true;
        }
    }
    if (group->cache.block != NULL && group->pieces.totals[YAMI_PIECE_READY] == 0 &&
        group->next >= group->cache.base + group->cache.batch.count) {
        yami_relay_cache_drop(core, group); //  nothing more to take from it
    }
    return true;
}

void
yami_relay_groups_pump(yami_relay_core_t *core)
{
    //  Whoever is touched meanwhile gets its turn in the next step.
    yami_relay_groups_t groups = TAILQ_HEAD_INITIALIZER(groups);
    TAILQ_CONCAT(&groups, &core->dirty_groups, of_dirty);
    yami_relay_group_t *group;
    while (core->budget > 0 && (group = TAILQ_FIRST(&groups)) != NULL) {
        TAILQ_REMOVE(&groups, group, of_dirty);
        group->is_dirty = false;
        if (!yami_relay_group_pump(core, group)) {
            continue;
        }
        yami_relay_dead_pump(core, group);
        if (core->budget <= 0) {
            yami_relay_group_touch(core, group); //  it may have more: behind all others
        }
    }
    TAILQ_CONCAT(&groups, &core->dirty_groups, of_dirty);
    TAILQ_CONCAT(&core->dirty_groups, &groups, of_dirty);
}
