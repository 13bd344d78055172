//  See relay_view.h.

#include "relay_view.h"

#include <stdio.h>
#include <string.h>

#include "yami_relay_parts.h"

static const yami_relay_channel_t *
s_channel(const fixture_t *fixture, const char *channel)
{
    return yami_relay_channel_find(fixture->core, channel, strlen(channel));
}

static const yami_relay_group_t *
s_group(const fixture_t *fixture, const char *channel, const char *group)
{
    const yami_relay_channel_t *found = s_channel(fixture, channel);
    if (found == NULL) {
        return NULL;
    }
    return group[0] == '\0' ? TAILQ_FIRST(&found->groups)
                            : yami_relay_group_find(found, yami_slice_text(group));
}

uint64_t
relay_view_count(const fixture_t *fixture, const char *channel)
{
    const yami_relay_channel_t *found = s_channel(fixture, channel);
    return found != NULL ? found->next - 1 : 0;
}

static view_t
s_view(const yami_piece_t *piece)
{
    static const place_t places[] = {[YAMI_PIECE_READY] = PLACE_FREE,
                                     [YAMI_PIECE_WAITING] = PLACE_FREE,
                                     [YAMI_PIECE_LEASED] = PLACE_LEASED,
                                     [YAMI_PIECE_MOVING] = PLACE_DEAD};
    view_t view = {.place = places[piece->state],
                   .deliveries = piece->deliveries,
                   .failures = piece->failures,
                   .token =
                       piece->lease != NULL ? ((yami_relay_lease_t *) piece->lease)->token : 0};
    if (piece->reason != NULL) {
        (void) snprintf(view.reason, sizeof view.reason, "%.*s", (int) piece->reason->size,
                        (const char *) piece->reason->data);
    }
    return view;
}

//  A channel of delayed messages knows only of those that wait.
static void
s_view_delays(const yami_relay_channel_t *channel, uint64_t first, uint64_t last, view_t *views)
{
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        const yami_relay_delay_t *delay = yami_relay_delays_find(&channel->dues->waiting, sequence);
        views[sequence - first] = (view_t) {.place = delay != NULL ? PLACE_FREE : PLACE_SETTLED,
                                            .due_ms = delay != NULL ? delay->due_ms : 0};
    }
}

void
relay_view_group(const fixture_t *fixture, const char *channel, const char *group, uint64_t first,
                 uint64_t last, view_t *views)
{
    const yami_relay_group_t *found = s_group(fixture, channel, group);
    if (found != NULL && found->channel->dues != NULL) {
        s_view_delays(found->channel, first, last, views);
        return;
    }
    const yami_piece_t *piece = found != NULL ? yami_pieces_find(&found->pieces, first) : NULL;
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        while (piece != NULL && piece->last < sequence) {
            piece = yami_pieces_next(piece);
        }
        bool is_settled = found != NULL && sequence < found->next;
        views[sequence - first] = (view_t) {.place = is_settled ? PLACE_SETTLED : PLACE_FREE};
        if (piece != NULL && piece->first <= sequence) {
            views[sequence - first] = s_view(piece);
        }
    }
}
