#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define S_JITTER_PERMILLE 200 //  either way

//  A number of 0..1999 or so; only retries depend on it.
static uint64_t
s_random(yami_relay_core_t *core)
{
    core->random = yami_relay_mix(core->random);
    return core->random;
}

int64_t
yami_relay_backoff(yami_relay_core_t *core, uint32_t failures)
{
    if (core->delay_count == 0 || strcmp(core->backoff_text, core->options->backoff) != 0) {
        int count = yami_delays_parse(core->options->backoff, core->delays_ms);
        if (count <= 0) { //  unusable: the owner of the options checks them
            core->delays_ms[0] = 1000;
            count = 1;
        }
        core->delay_count = count;
        memcpy(core->backoff_text, core->options->backoff, sizeof core->backoff_text);
    }
    int step = failures < 1                              ? 0
               : failures > (uint32_t) core->delay_count ? core->delay_count - 1
                                                         : (int) failures - 1;
    int64_t delay_ms = core->delays_ms[step];
    int64_t permille =
        1000 - S_JITTER_PERMILLE + (int64_t) (s_random(core) % (2 * S_JITTER_PERMILLE + 1));
    return delay_ms * permille / 1000;
}

//  Where one blamed piece goes. It is not leased any more.
static void
s_place(yami_relay_core_t *core, yami_relay_group_t *group, yami_piece_t *piece, int64_t due_ms,
        bool is_rejected)
{
    bool is_over = is_rejected || piece->failures >= (uint64_t) core->options->delivery_limit;
    if (is_over && !group->channel->is_dead) {
        piece->due_ms = 0;
        yami_pieces_set_state(&group->pieces, piece, YAMI_PIECE_MOVING);
    } else {
        yami_relay_group_delay(core, group, piece, due_ms);
    }
}

static int64_t
s_due_ms(yami_relay_core_t *core, const yami_relay_group_t *group, const yami_piece_t *piece,
         const yami_relay_blame_t *blame)
{
    int64_t delay_ms = blame->delay_ms;
    if (group->channel->is_dead) {
        delay_ms =
            yami_relay_backoff(core, UINT32_MAX); //  no dead letters of dead letters: it stays
    } else if (delay_ms == -1) {
        delay_ms = yami_relay_backoff(core, piece->failures + 1);
    }
    return core->mono_ms + (delay_ms > YAMI_LIMIT_RETRY_MS ? YAMI_LIMIT_RETRY_MS : delay_ms);
}

void
yami_relay_lease_fail(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t first,
                      uint64_t last, const yami_relay_blame_t *blame)
{
    yami_relay_group_t *group = lease->group;
    yami_pieces_t *pieces = &group->pieces;
    yami_ranges_t ranges; //  all with the same history: a lease is made from one piece
    yami_ranges_init(&ranges, YAMI_LIMIT_BATCH_COUNT);
    yami_piece_t like = {0};
    yami_piece_t *piece;
    while (first <= last && (piece = yami_pieces_find(pieces, first)) != NULL &&
           piece->first <= last) {
        uint64_t to = piece->last < last ? piece->last : last;
        if (piece->lease == lease) {
            piece =
                yami_pieces_isolate(pieces, piece, piece->first > first ? piece->first : first, to);
            if (ranges.count == 0) {
                like.due_ms = s_due_ms(core, group, piece, blame);
            }
            piece->lease = NULL;
            piece->failures += piece->failures < UINT32_MAX ? 1 : 0;
            piece->first_ms = piece->first_ms == 0 ? core->wall_ms : piece->first_ms;
            yami_block_unref(&piece->reason);
            piece->reason = yami_block_ref(blame->reason);
            s_place(core, group, piece, like.due_ms, blame->is_rejected);
            like = *piece;
            int64_t added = yami_ranges_add(&ranges, piece->first, piece->last);
            YAM_NEED(added > 0);
        }
        first = to + 1;
    }
    if (ranges.count > 0) {
        group->counts.nacked += ranges.total;
        (void) yami_relay_write_failure(core, group, &like, &ranges);
    }
    yami_relay_group_touch(core, group);
    uint64_t count = ranges.total;
    yami_ranges_clear(&ranges);
    yami_relay_lease_close(core, lease, count);
}

void
yami_relay_replay_failure(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                          uint64_t last, const yami_piece_t *like)
{
    yami_pieces_t *pieces = &group->pieces;
    if (last >= group->next) {
        (void) yami_pieces_merge(pieces,
                                 yami_pieces_add(pieces, group->next, last, YAMI_PIECE_READY));
        group->next = last + 1;
    }
    yami_piece_t *piece;
    while (first <= last && (piece = yami_pieces_find(pieces, first)) != NULL &&
           piece->first <= last) {
        uint64_t to = piece->last < last ? piece->last : last;
        if (piece->failures <= like->failures && piece->state != YAMI_PIECE_MOVING) {
            piece =
                yami_pieces_isolate(pieces, piece, piece->first > first ? piece->first : first, to);
            piece->failures = like->failures;
            piece->deliveries =
                like->deliveries > piece->deliveries ? like->deliveries : piece->deliveries;
            piece->first_ms = like->first_ms;
            piece->due_ms = like->due_ms;
            piece->wait_ms = like->wait_ms;
            yami_block_unref(&piece->reason);
            piece->reason = yami_block_ref(like->reason);
            yami_pieces_set_state(pieces, piece, like->state);
        }
        first = to + 1;
    }
    yami_relay_group_touch(core, group);
}
