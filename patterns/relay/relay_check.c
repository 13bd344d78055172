#include "yami_base.h"
#include "yami_relay_parts.h"

//  (3) The set of pieces says where each sequence is; leases and cursor must agree with it.
static void
s_check_group(const yami_relay_core_t *core, const yami_relay_group_t *group)
{
    yami_pieces_check(&group->pieces);
    yami_heap_check(&group->retries);
    yami_ranges_check(&group->settled);
    const yami_relay_channel_t *channel = group->channel;
    YAM_ASSERT(group->next >= 1 && group->next <= channel->next);
    YAM_ASSERT(yami_relay_group_floor(group) >= channel->first || channel->durable_groups == 0);
    const yami_piece_t *piece;
    for (piece = yami_pieces_find(&group->pieces, 0); piece != NULL;
         piece = yami_pieces_next(piece)) {
        YAM_ASSERT(piece->last < group->next);
        const yami_relay_lease_t *lease = piece->lease;
        if (lease != NULL) {
            YAM_ASSERT(lease->group == group &&
                       yami_relay_map_get(&core->leases, lease->token) == lease);
            YAM_ASSERT(piece->first >= lease->first && piece->last <= lease->last);
            YAM_ASSERT(piece->last < channel->durable); //  (2)
        }
    }
    YAM_ASSERT(group->has_settled == (group->settled.count > 0));
    YAM_ASSERT(group->cache.block == NULL ||
               group->cache.base + group->cache.batch.count <= channel->durable);
}

//  Delayed messages wait in one place, and the core knows how many there are.
static uint64_t
s_check_dues(const yami_relay_channel_t *channel)
{
    const yami_relay_dues_t *dues = channel->dues;
    YAM_ASSERT((dues != NULL) == (channel->kind == YAMI_KIND_DELAYED));
    YAM_ASSERT(channel->delayed == NULL || channel->delayed->dues->target == channel);
    if (dues == NULL) {
        return 0;
    }
    const yami_relay_group_t *group = TAILQ_FIRST(&channel->groups);
    yami_relay_delays_check(&dues->waiting);
    YAM_ASSERT(dues->target->delayed == channel);
    YAM_ASSERT(group->pieces.count == 0 && TAILQ_EMPTY(&group->members));
    YAM_ASSERT(dues->is_listed == (dues->waiting.waiting > 0));
    YAM_ASSERT(yami_relay_delays_from(&dues->waiting, channel->next) == NULL);
    return dues->waiting.waiting;
}

static void
s_check_channel(const yami_relay_core_t *core, const yami_relay_channel_t *channel)
{
    YAM_ASSERT(channel->first >= 1 && channel->first <= channel->durable &&
               channel->durable <= channel->next);
    YAM_ASSERT(channel->kind == YAMI_KIND_TOPIC || !TAILQ_EMPTY(&channel->groups));
    YAM_ASSERT(channel->mark_count <= YAMI_RELAY_MARKS);
    unsigned durable_groups = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &channel->groups, of_channel)
    {
        s_check_group(core, group);
        durable_groups += group->is_durable ? 1 : 0;
    }
    YAM_ASSERT(durable_groups == channel->durable_groups);
}

//  What of a lease is open is what its pieces say.
static void
s_check_lease(const yami_relay_lease_t *lease)
{
    uint64_t open = 0;
    const yami_piece_t *piece = yami_pieces_find(&lease->group->pieces, lease->first);
    for (; piece != NULL && piece->first <= lease->last; piece = yami_pieces_next(piece)) {
        open += piece->lease == lease ? piece->last - piece->first + 1 : 0;
    }
    YAM_ASSERT(open == lease->open && open > 0);
    YAM_ASSERT(lease->handle->group == lease->group);
    YAM_ASSERT(lease->handle->wake_ms <= lease->deadline_ms ||
               TAILQ_FIRST(&lease->handle->leases) != lease);
}

//  (6) One at most may send; others are fenced, or leave.
static void
s_check_sender(const yami_relay_handle_t *handle)
{
    const yami_relay_handle_t *other = NULL;
    TAILQ_FOREACH(other, &handle->producer->handles, of_owner)
    {
        YAM_ASSERT(other == handle || other->is_leaving || handle->is_leaving);
    }
}

static void
s_check_handle(const yami_relay_handle_t *handle)
{
    if (handle->role == YAMI_ROLE_PRODUCER) {
        const yami_relay_producer_t *producer = handle->producer;
        s_check_sender(handle);
        YAM_ASSERT(handle->epoch == producer->epoch); //  others are fenced
        YAM_ASSERT(producer->durable <= producer->stored_last &&
                   producer->stored_last <= producer->last); //  (1), (6)
        YAM_ASSERT(handle->resolved_messages <= handle->received_messages);
        YAM_ASSERT(handle->resolved_bytes <= handle->received_bytes);
        return;
    }
    uint64_t in_flight = 0;
    uint64_t in_flight_bytes = 0;
    int64_t deadline_ms = INT64_MIN;
    const yami_relay_lease_t *lease = NULL;
    TAILQ_FOREACH(lease, &handle->leases, of_handle)
    {
        YAM_ASSERT(lease->handle == handle && lease->deadline_ms >= deadline_ms);
        s_check_lease(lease);
        in_flight += lease->open;
        in_flight_bytes += lease->bytes;
        deadline_ms = lease->deadline_ms;
    }
    YAM_ASSERT(in_flight == handle->in_flight);
    YAM_ASSERT(in_flight_bytes == handle->in_flight_bytes); //  (9)
    YAM_ASSERT(handle->is_credited == yami_relay_handle_wants(handle));
}

static void
s_check_peer(const yami_relay_core_t *core, const yami_relay_peer_t *peer)
{
    size_t count = 0;
    const yami_relay_handle_t *handle = NULL;
    TAILQ_FOREACH(handle, &peer->handles, of_peer)
    {
        YAM_ASSERT(handle->peer == peer &&
                   yami_relay_map_get(&core->handles, handle->id) == handle);
        YAM_ASSERT(yami_relay_map_get(&peer->by_number, handle->number) == handle);
        s_check_handle(handle);
        count++;
    }
    YAM_ASSERT(count == peer->by_number.count && count <= YAMI_LIMIT_HANDLES);
    YAM_ASSERT(peer->session != 0 || count == 0);
}

//  (9) and what is counted in more than one place.
static void
s_check_tables(const yami_relay_core_t *core)
{
    YAM_ASSERT(core->peers.count <= YAMI_LIMIT_PEERS);
    YAM_ASSERT(core->channel_numbers.count <= YAMI_LIMIT_CHANNELS);
    YAM_ASSERT(core->producer_count <= YAMI_LIMIT_PRODUCERS);
    YAM_ASSERT(core->job_count <= YAMI_LIMIT_ADMIN_REQUESTS);
    YAM_ASSERT(core->durable <= core->ticket);
    YAM_ASSERT(core->waits.count == 0 ||
               core->waits.items[core->waits.head].ticket > core->durable); //  (1)
    yami_heap_check(&core->wakes);
    size_t cached_bytes = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &core->cached_groups, of_cached)
    {
        cached_bytes += group->cache.block->size;
    }
    YAM_ASSERT(cached_bytes == core->cached_bytes);
    size_t producers = 0;
    const yami_relay_producer_t *producer = NULL;
    TAILQ_FOREACH(producer, &core->producers, of_age)
    {
        producers++;
    }
    YAM_ASSERT(producers == core->producer_count);
}

void
yami_relay_core_check(const yami_relay_core_t *self)
{
    const yami_relay_peer_t *peer;
    const yami_relay_channel_t *channel;
    s_check_tables(self);
    size_t handles = 0;
    uint64_t delayed = 0;
    for (size_t index = 0; (peer = yami_relay_map_next(&self->peers, &index)) != NULL;) {
        s_check_peer(self, peer);
        handles += peer->by_number.count;
    }
    YAM_ASSERT(handles == self->handles.count);
    for (size_t index = 0;
         (channel = yami_relay_map_next(&self->channel_numbers, &index)) != NULL;) {
        s_check_channel(self, channel);
        delayed += s_check_dues(channel);
    }
    YAM_ASSERT(delayed == self->delayed_count);
    size_t pieces = 0;
    const yami_relay_group_t *group;
    for (size_t index = 0; (group = yami_relay_map_next(&self->groups, &index)) != NULL;) {
        pieces += group->pieces.count;
    }
    YAM_ASSERT(pieces == self->piece_count);
    YAM_ASSERT(TAILQ_EMPTY(&self->movers) || self->is_moving || self->lacks_room ||
               self->has_failed || !TAILQ_EMPTY(&self->dirty_groups));
}
