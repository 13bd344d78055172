#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_parts.h"

//  How many of this range are open in this lease; *others_p is how many runs in between are not.
static uint64_t
s_open(const yami_relay_lease_t *lease, const yami_settle_t *range, uint64_t *others_p)
{
    uint64_t count = 0;
    for (const yami_piece_t *piece = yami_pieces_find(&lease->group->pieces, range->first);
         piece != NULL && piece->first <= range->last; piece = yami_pieces_next(piece)) {
        if (piece->lease == lease) {
            uint64_t first = piece->first < range->first ? range->first : piece->first;
            uint64_t last = piece->last > range->last ? range->last : piece->last;
            count += last - first + 1;
        } else {
            (*others_p)++;
        }
    }
    return count;
}

//  Whether the relay can do what is asked of this part of a lease. It cannot when to tell it from
//  the rest, or with an ack to take it out, makes too many pieces: the part stays leased then, and
//  comes again when the lease is over. Told by its ends alone, for it may be asked again and again.
static bool
s_can_apply(const yami_relay_core_t *core, const yami_frame_t *frame,
            const yami_relay_lease_t *lease, const yami_settle_t *range)
{
    const yami_piece_t *low = yami_pieces_find(&lease->group->pieces, range->first);
    const yami_piece_t *high = yami_pieces_find(&lease->group->pieces, range->last);
    bool is_ack = frame->type == YAMI_FRAME_ACK;
    size_t below = low != NULL && low->lease == lease && low->first < range->first;
    size_t above = high != NULL && high->lease == lease && high->first <= range->last &&
                   high->last > range->last;
    size_t more = is_ack ? below & above & (low == high) : below + above;
    return yami_relay_pieces_fit(core, more, is_ack);
}

//  The open part of first..last is done.
static void
s_ack(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t first, uint64_t last)
{
    yami_relay_group_t *group = lease->group;
    uint64_t count = 0;
    yami_piece_t *piece;
    while (first <= last && (piece = yami_pieces_find(&group->pieces, first)) != NULL &&
           piece->first <= last) {
        uint64_t from = piece->first > first ? piece->first : first;
        uint64_t to = piece->last < last ? piece->last : last;
        if (piece->lease == lease) {
            yami_pieces_cut(&group->pieces, piece, from, to);
            yami_relay_group_journal(core, group, from, to);
            count += to - from + 1;
        }
        first = to + 1;
    }
    group->counts.acked += count;
    yami_relay_channel_touch(core, group->channel);
    yami_relay_group_touch(core, group);
    yami_relay_lease_close(core, lease, count);
}

static void
s_apply(yami_relay_core_t *core, const yami_frame_t *frame, yami_relay_lease_t *lease,
        const yami_settle_t *range, const yami_relay_blame_t *blame)
{
    switch (frame->type) {
    case YAMI_FRAME_ACK:
        s_ack(core, lease, range->first, range->last + (YAMI_PLANTED(ACK_OFF_BY_ONE) ? 1 : 0));
        break;
    case YAMI_FRAME_RELEASE:
        yami_relay_lease_release(core, lease, range->first, range->last);
        break;
    default:
        yami_relay_lease_fail(core, lease, range->first, range->last, blame);
        break;
    }
}

static yami_block_t *
s_reason(const yami_frame_t *frame)
{
    if ((frame->present & YAMI_F_TEXT) == 0 || frame->text.size == 0) {
        return NULL;
    }
    size_t size = frame->text.size < YAMI_LIMIT_REASON ? frame->text.size : YAMI_LIMIT_REASON;
    while (size > 0 && size < frame->text.size && (frame->text.data[size] & 0xc0) == 0x80) {
        size--; //  not within a character of UTF-8
    }
    return yami_block_copy(frame->text.data, size, YAMI_LIMIT_REASON);
}

//  (5) Only a live lease of this very peer and handle; NULL else.
static yami_relay_lease_t *
s_lease(const yami_relay_core_t *core, const yami_relay_handle_t *handle,
        const yami_settle_t *range)
{
    yami_relay_lease_t *lease = yami_relay_map_get(&core->leases, range->token);
    if (YAMI_PLANTED(LEASE_NOT_FENCED)) {
        const yami_piece_t *piece = yami_pieces_find(&handle->group->pieces, range->first);
        return piece != NULL ? piece->lease : NULL;
    }
    return lease != NULL && lease->handle == handle ? lease : NULL;
}

//  Returns how many of the range's messages are stale; adds to *runs_p what that cost. Open
//  messages can be settled once; but a lease can be extended again and again, so nobody counts what
//  is left of the range then.
static uint64_t
s_settle(yami_relay_core_t *core, yami_relay_handle_t *handle, const yami_frame_t *frame,
         const yami_settle_t *range, const yami_relay_blame_t *blame, uint64_t *runs_p)
{
    yami_relay_lease_t *lease = s_lease(core, handle, range);
    bool is_valid = lease != NULL && range->first >= lease->first && range->last <= lease->last;
    if (is_valid && frame->type == YAMI_FRAME_EXTEND) {
        yami_relay_lease_extend(core, lease);
        return 0;
    }
    uint64_t open = 0;
    uint64_t others = 0;
    if (is_valid && s_can_apply(core, frame, lease, range)) {
        open = s_open(lease, range, &others);
    }
    if (open > 0) {
        s_apply(core, frame, lease, range, blame);
    }
    *runs_p += open == 0 && others == 0 ? 1 : others;
    return range->last - range->first + 1 - open;
}

void
yami_relay_settle(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_handle_t *handle = yami_relay_handle_get(peer, frame->handle);
    if (handle == NULL || handle->role != YAMI_ROLE_CONSUMER) {
        yami_relay_peer_stale(core, peer, frame->handle, YAM_STATUS_UNKNOWN,
                              "no such consumer handle", frame->range_count);
        return;
    }
    yami_block_t *reason = s_reason(frame);
    yami_relay_blame_t blame = {
        .delay_ms = -1, .is_rejected = frame->type == YAMI_FRAME_REJECT, .reason = reason};
    if ((frame->present & YAMI_F_DELAY_MS) != 0) {
        blame.delay_ms = (int64_t) frame->delay_ms;
    }
    uint64_t stale = 0; //  messages
    uint64_t stale_ranges = 0;
    size_t offset = 0;
    yami_settle_t range;
    //  With more than the limit the link ends.
    while (stale_ranges <= YAMI_LIMIT_STALE_RANGES && yami_frame_range(frame, &offset, &range)) {
        stale += s_settle(core, handle, frame, &range, &blame, &stale_ranges);
    }
    yami_block_unref(&reason);
    handle->serial = frame->serial > handle->serial ? frame->serial : handle->serial;
    yami_relay_handle_touch(core, handle);
    if (stale > 0) {
        handle->group->counts.stale += stale;
        yami_relay_peer_stale(core, peer, frame->handle, YAM_STATUS_FENCED,
                              "stale: some of these messages are not leased to you any more",
                              stale_ranges);
    }
}
