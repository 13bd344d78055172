//  Answers to FETCH: what a group delivers from, moves to the dead letters, or has lost.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_UNREAD_MS 10000 //  between two lines about entries that cannot be read

void
yami_relay_cache_drop(yami_relay_core_t *core, yami_relay_group_t *group)
{
    if (group->cache.block != NULL) {
        core->cached_bytes -= group->cache.block->size;
        TAILQ_REMOVE(&core->cached_groups, group, of_cached);
        yami_block_unref(&group->cache.block);
    }
}

//  The header only: checksums and records were checked when it came in, and the store checks what
//  it reads.
int
yami_relay_batch_view(yami_batch_t *batch, const yami_entry_t *entry)
{
    const uint8_t *at = entry->data->data;
    if (entry->data->size <= YAMI_BATCH_HEADER_SIZE || yami_get_u32(at) != YAMI_BATCH_MAGIC ||
        yami_get_u32(at + 8) != entry->data->size - YAMI_BATCH_HEADER_SIZE ||
        yami_get_u32(at + 12) != entry->count) {
        errno = EPROTO;
        return -1;
    }
    batch->flags = at[5];
    batch->count = entry->count;
    batch->handle = yami_get_u32(at + 16);
    batch->epoch = yami_get_u32(at + 20);
    memcpy(&batch->producer, at + 24, sizeof batch->producer);
    batch->first_sequence = yami_get_u64(at + 40);
    batch->payload =
        yami_slice(at + YAMI_BATCH_HEADER_SIZE, entry->data->size - YAMI_BATCH_HEADER_SIZE);
    return 0;
}

//  Keeps an entry at hand; other groups' go when they are too big together.
static void
s_cache_set(yami_relay_core_t *core, yami_relay_group_t *group, const yami_entry_t *entry,
            const yami_batch_t *batch)
{
    yami_relay_cache_drop(core, group);
    yami_relay_cache_t *cache = &group->cache;
    cache->batch = *batch;
    cache->block = yami_block_ref(entry->data);
    cache->base = entry->base;
    cache->time_ms = entry->time_ms;
    cache->index = 0;
    cache->offset = 0;
    TAILQ_INSERT_TAIL(&core->cached_groups, group, of_cached);
    core->cached_bytes += cache->block->size;
    while (core->cached_bytes > YAMI_RELAY_CACHE && TAILQ_FIRST(&core->cached_groups) != group) {
        yami_relay_cache_drop(core, TAILQ_FIRST(&core->cached_groups));
    }
}

//  Answers 0: the range of sequences before *entry that is gone; sets *first_p, *last_p. False when
//  nothing is.
static bool
s_lost(const yami_relay_event_t *event, const yami_relay_channel_t *channel, uint64_t *first_p,
       uint64_t *last_p, const char **what_p)
{
    uint64_t sequence = event->fetch.sequence;
    *first_p = sequence;
    *last_p = sequence;
    *what_p = "missing";
    if (event->result == 0) {
        *last_p = event->entry->base - 1;
        return event->entry->base > sequence;
    }
    if (event->result == ENOENT) {
        *last_p = channel->durable - 1; //  nothing at or after it, yet it was durable
    } else {
        YAM_ASSERT(event->damage != NULL);
        *what_p = event->damage->what != NULL ? event->damage->what : "damaged";
        *last_p = event->damage->last > sequence ? event->damage->last : sequence;
        if (event->damage->first > 0 && event->damage->first < sequence &&
            event->damage->first >= channel->first) {
            *first_p = event->damage->first;
        }
    }
    if (*last_p >= channel->durable) {
        *last_p = channel->durable - 1;
    }
    return *first_p <= *last_p;
}

static void
s_group_entry(yami_relay_core_t *core, const yami_relay_event_t *event, bool is_whole,
              bool is_temporary)
{
    yami_relay_group_t *group = yami_relay_map_get(&core->groups, event->fetch.argument);
    bool is_moving = event->fetch.purpose == YAMI_FETCH_DEAD;
    if (is_moving) {
        yami_relay_move_ended(core);
    }
    if (group == NULL) {
        return;
    }
    yami_batch_t batch;
    *(is_moving ? &group->is_moving : &group->is_fetching) = false;
    if (is_whole && yami_relay_batch_view(&batch, event->entry) == -1) {
        yami_relay_channel_lose(core, group->channel, event->entry->base,
                                event->entry->base + event->entry->count - 1, "not a batch");
    } else if (is_whole && is_moving) {
        uint64_t moving = group->pieces.totals[YAMI_PIECE_MOVING];
        yami_relay_dead_entry(core, group, event->entry, &batch);
        is_temporary = group->pieces.totals[YAMI_PIECE_MOVING] == moving;
    } else if (is_whole) {
        s_cache_set(core, group, event->entry, &batch);
    }
    if (is_temporary) { //  out of memory, or of room
        yami_relay_wake(core, YAMI_WAKE_GROUP, group->number, &group->wake_ms,
                        core->mono_ms + YAMI_RELAY_AGAIN_MS);
    } else {
        yami_relay_group_touch(core, group);
    }
}

//  It is tried again, as often as somebody wants it; people hear of it once in a while.
static void
s_say_unread(yami_relay_core_t *core, const yami_relay_event_t *event,
             const yami_relay_channel_t *channel)
{
    core->errors++;
    if (core->unread_ms == 0 || core->mono_ms - core->unread_ms >= S_UNREAD_MS) {
        core->unread_ms = core->mono_ms;
        yami_relay_say(core, YAMI_LOG_ERROR, "relay.read-failed",
                       "channel=%.60s sequence=%llu error=\"%.40s\" action=retry",
                       channel->name.text, (unsigned long long) event->fetch.sequence,
                       strerror(event->result));
    }
}

void
yami_relay_entry(yami_relay_core_t *core, const yami_relay_event_t *event)
{
    yami_relay_channel_t *channel =
        yami_relay_map_get(&core->channel_numbers, event->fetch.channel);
    YAM_ASSERT(channel != NULL);
    uint64_t first;
    uint64_t last;
    const char *what;
    //  Only these are facts about the log. Without memory, descriptors or luck with the disk,
    //  nothing is lost yet.
    bool is_temporary = event->result != 0 && event->result != ENOENT && event->result != EBADMSG &&
                        !(event->result == ENOMEM && YAMI_PLANTED(UNREAD_TAKEN_FOR_LOST));
    if (is_temporary) {
        s_say_unread(core, event, channel);
    }
    if (!is_temporary && s_lost(event, channel, &first, &last, &what) && last >= channel->first) {
        yami_relay_channel_lose(core, channel, first < channel->first ? channel->first : first,
                                last, what);
    }
    if (event->result == 0 && event->entry->data != NULL) {
        core->budget -= (int64_t) event->entry->data->size;
    }
    bool is_whole = event->result == 0 && event->entry->data != NULL &&
                    (event->entry->base + event->entry->count <= channel->durable ||
                     YAMI_PLANTED(DELIVERED_BEFORE_DURABLE));
    if (event->fetch.purpose == YAMI_FETCH_JOB) {
        yami_relay_job_entry(core, event);
    } else if (event->fetch.purpose == YAMI_FETCH_DUE) {
        yami_relay_due_entry(core, event, is_whole, is_temporary);
    } else {
        s_group_entry(core, event, is_whole, is_temporary);
    }
}
