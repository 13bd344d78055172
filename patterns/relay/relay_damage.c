//  What becomes of messages in a damaged range: lost in every group, said aloud, counted.

#include "yami_relay_damage.h"

#include <inttypes.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

void
yami_relay_damage_text(const yami_damage_t *damage, char text[YAMI_DAMAGE_TEXT_SIZE])
{
    if (damage->is_rest) {
        (void) snprintf(text, YAMI_DAMAGE_TEXT_SIZE,
                        "what=\"%.40s\" segment=%" PRIu64 " more=%" PRIu64, damage->what,
                        damage->segment, damage->more);
        return;
    }
    char last_segment[40] = "";
    if (damage->last_segment > 0) {
        (void) snprintf(last_segment, sizeof last_segment, " last-segment=%" PRIu64,
                        damage->last_segment);
    }
    (void) snprintf(text, YAMI_DAMAGE_TEXT_SIZE,
                    "what=\"%.40s\" segment=%" PRIu64 "%s offset=%" PRIu64 " bytes=%" PRIu64
                    " first-lsn=%" PRIu64 " last-lsn=%" PRIu64 " channel=%" PRIu32 " first=%" PRIu64
                    " last=%" PRIu64,
                    damage->what, damage->segment, last_segment, damage->offset, damage->size,
                    damage->first_lsn, damage->last_lsn, damage->channel, damage->first,
                    damage->last);
}

void
yami_relay_damaged(yami_relay_core_t *core, const yami_damage_t *damage)
{
    char last_segment[40] = "";
    if (damage->last_segment > 0) {
        (void) snprintf(last_segment, sizeof last_segment, " last-segment=%" PRIx64,
                        damage->last_segment);
    }
    yami_relay_say(core, YAMI_LOG_ERROR, "relay.store-damaged",
                   "segment=%" PRIx64 "%s offset=%" PRIu64 " size=%" PRIu64 " channel=%" PRIu32
                   " first=%" PRIu64 " last=%" PRIu64 " what=\"%.30s\"",
                   damage->segment, last_segment, damage->offset, damage->size, damage->channel,
                   damage->first, damage->last, damage->what);
    yami_relay_channel_t *channel = yami_relay_map_get(&core->channel_numbers, damage->channel);
    if (channel == NULL || damage->first == 0 || damage->last < damage->first ||
        damage->last >= YAMI_LIMIT_SEQUENCE || damage->last < channel->first) {
        return;
    }
    uint64_t first = damage->first > channel->first ? damage->first : channel->first;
    yami_relay_channel_lose(core, channel, first, damage->last, damage->what);
}

void
yami_relay_scrubbed(yami_relay_core_t *core, const yami_scrub_progress_t *progress,
                    const yami_damage_t *damage)
{
    YAM_ASSERT(core->has_started && progress != NULL);
    bool was_done = core->scrub.is_done;
    core->scrub = *progress;
    if (damage != NULL) {
        yami_relay_damaged(core, damage);
    }
    if (progress->is_done && !was_done && progress->read_bytes > 0) {
        bool is_sound = progress->damaged_ranges + progress->unread_segments == 0;
        yami_relay_say(core, is_sound ? YAMI_LOG_INFO : YAMI_LOG_ERROR, "store.scrubbed",
                       "bytes=%" PRIu64 " damaged=%" PRIu64 " unread-segments=%" PRIu64,
                       progress->read_bytes, progress->damaged_ranges, progress->unread_segments);
    }
}
