#include "yami_base.h"
#include "yami_relay_parts.h"

//  Nobody can guess one: a secret permutation of a counter.
uint64_t
yami_relay_lease_token(yami_relay_core_t *core)
{
    uint64_t token;
    do {
        token = yami_relay_mix(yami_relay_mix(++core->token_count ^ core->seed) + core->seed);
    } while (token == 0 || yami_relay_map_get(&core->leases, token) != NULL);
    return token;
}

yami_relay_lease_t *
yami_relay_lease_new(yami_relay_core_t *core, yami_relay_handle_t *handle, yami_piece_t *piece,
                     uint64_t token)
{
    YAM_ASSERT(piece->state != YAMI_PIECE_MOVING && piece->lease == NULL);
    yami_relay_lease_t *lease = yami_alloc(sizeof *lease);
    lease->token = token;
    lease->group = handle->group;
    lease->handle = handle;
    lease->first = piece->first;
    lease->last = piece->last;
    lease->open = piece->last - piece->first + 1;
    lease->deadline_ms = core->mono_ms + handle->lease_ms;
    TAILQ_INSERT_TAIL(&handle->leases, lease, of_handle);
    yami_relay_map_put(&core->leases, lease->token, lease);
    yami_pieces_set_state(&handle->group->pieces, piece, YAMI_PIECE_LEASED);
    piece->lease = lease;
    piece->deliveries++;
    handle->in_flight += lease->open;
    yami_relay_wake(core, YAMI_WAKE_HANDLE, handle->id, &handle->wake_ms, lease->deadline_ms);
    return lease;
}

void
yami_relay_lease_close(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t count)
{
    YAM_ASSERT(count <= lease->open && count <= lease->handle->in_flight);
    lease->open -= count;
    lease->handle->in_flight -= count;
    if (lease->open == 0) {
        lease->handle->in_flight_bytes -= lease->bytes;
        yami_relay_handle_line_up(core, lease->handle);
        TAILQ_REMOVE(&lease->handle->leases, lease, of_handle);
        yami_relay_map_remove(&core->leases, lease->token);
        yami_free(lease);
    }
}

bool
yami_relay_pieces_fit(const yami_relay_core_t *core, size_t more, bool is_ending)
{
    size_t limit = is_ending ? core->piece_limit : core->piece_limit - core->piece_limit / 8;
    return more == 0 || core->piece_count + more <= limit;
}

void
yami_relay_lease_release(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t first,
                         uint64_t last)
{
    yami_pieces_t *pieces = &lease->group->pieces;
    yami_relay_group_touch(core, lease->group);
    uint64_t count = 0;
    yami_piece_t *piece;
    while (first <= last && (piece = yami_pieces_find(pieces, first)) != NULL &&
           piece->first <= last) {
        uint64_t to = piece->last < last ? piece->last : last;
        if (piece->lease == lease) {
            piece =
                yami_pieces_isolate(pieces, piece, piece->first > first ? piece->first : first, to);
            count += piece->last - piece->first + 1;
            piece->lease = NULL;
            yami_pieces_set_state(pieces, piece, YAMI_PIECE_READY);
            (void) yami_pieces_merge(pieces, piece);
        }
        first = to + 1;
    }
    yami_relay_lease_close(core, lease, count);
}

void
yami_relay_lease_extend(yami_relay_core_t *core, yami_relay_lease_t *lease)
{
    yami_relay_handle_t *handle = lease->handle;
    lease->deadline_ms = core->mono_ms + handle->lease_ms;
    TAILQ_REMOVE(&handle->leases, lease, of_handle);
    TAILQ_INSERT_TAIL(&handle->leases, lease,
                      of_handle); //  deadlines ascend: every lease of a handle has the same length
}

void
yami_relay_handle_due(yami_relay_core_t *core, uint64_t id)
{
    static const char text[] = "lease timeout";
    yami_relay_handle_t *handle = yami_relay_map_get(&core->handles, id);
    YAM_ASSERT(handle != NULL);
    if (handle->role == YAMI_ROLE_PRODUCER) {
        yami_relay_handle_touch(core, handle); //  what there was no memory to tell it
        return;
    }
    yami_block_t *reason = yami_block_copy(text, sizeof text - 1, sizeof text);
    yami_relay_blame_t blame = {.delay_ms = -1, .reason = reason};
    yami_relay_lease_t *lease;
    while ((lease = TAILQ_FIRST(&handle->leases)) != NULL && lease->deadline_ms <= core->mono_ms) {
        yami_relay_lease_fail(core, lease, lease->first, lease->last, &blame);
    }
    yami_block_unref(&reason);
    if (lease != NULL) {
        yami_relay_wake(core, YAMI_WAKE_HANDLE, handle->id, &handle->wake_ms, lease->deadline_ms);
    }
}
