#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_parts.h"

static uint64_t
s_hash(const yami_relay_core_t *core, const yami_relay_channel_t *channel, const yami_id_t *id)
{
    return yami_relay_hash(core->seed + channel->number, id->bytes, sizeof id->bytes);
}

static yami_relay_producer_t *
s_find(const yami_relay_core_t *core, const yami_relay_channel_t *channel, const yami_id_t *id)
{
    yami_relay_producer_t *producer =
        yami_relay_map_get(&core->producer_keys, s_hash(core, channel, id));
    while (producer != NULL &&
           (producer->channel != channel || memcmp(&producer->id, id, sizeof *id) != 0)) {
        producer = producer->same_hash;
    }
    return producer;
}

static void
s_free(yami_relay_core_t *core, yami_relay_producer_t *producer)
{
    YAM_ASSERT(TAILQ_EMPTY(&producer->handles) && producer->waiting == 0);
    yami_relay_producer_t *head = yami_relay_map_get(&core->producer_keys, producer->hash);
    if (head == producer && producer->same_hash == NULL) {
        yami_relay_map_remove(&core->producer_keys, producer->hash);
    } else if (head == producer) {
        yami_relay_map_put(&core->producer_keys, producer->hash, producer->same_hash);
    } else {
        while (head->same_hash != producer) {
            head = head->same_hash;
        }
        head->same_hash = producer->same_hash;
    }
    TAILQ_REMOVE(&core->producers, producer, of_age);
    core->producer_count--;
    yami_free(producer);
}

//  Never stored anything, nor did one of its name before: nobody misses it. An epoch that it was
//  given is not given again, see next_epoch.
static bool
s_is_blank(const yami_relay_producer_t *producer)
{
    return producer->epoch <= 1 && producer->stored_last == 0;
}

//  Makes room by forgetting who was idle for long, or never stored anything. False when nobody can
//  be forgotten.
static bool
s_forget_one(yami_relay_core_t *core)
{
    int64_t since = core->wall_ms - core->options->producer_idle_ms;
    yami_relay_producer_t *producer = NULL;
    TAILQ_FOREACH(producer, &core->producers, of_age)
    {
        bool is_idle = producer->seen_ms <= since || s_is_blank(producer);
        if (is_idle && producer->waiting == 0 && TAILQ_EMPTY(&producer->handles)) {
            s_free(core, producer);
            return true;
        }
    }
    return false;
}

yami_relay_producer_t *
yami_relay_producer_get(yami_relay_core_t *core, yami_relay_channel_t *channel, const yami_id_t *id)
{
    yami_relay_producer_t *producer = s_find(core, channel, id);
    if (producer != NULL) {
        return producer;
    }
    if (core->producer_count >= YAMI_LIMIT_PRODUCERS && !s_forget_one(core)) {
        return NULL;
    }
    producer = yami_alloc(sizeof *producer);
    producer->id = *id;
    producer->channel = channel;
    producer->hash = s_hash(core, channel, id);
    producer->same_hash = yami_relay_map_get(&core->producer_keys, producer->hash);
    producer->seen_ms = core->wall_ms;
    TAILQ_INIT(&producer->handles);
    yami_relay_map_put(&core->producer_keys, producer->hash, producer);
    TAILQ_INSERT_TAIL(&core->producers, producer, of_age);
    core->producer_count++;
    return producer;
}

uint32_t
yami_relay_producer_next_epoch(const yami_relay_core_t *core, const yami_relay_producer_t *producer)
{
    bool is_full = core->producer_count >= YAMI_LIMIT_PRODUCERS;
    uint32_t last = producer->epoch == 0 && is_full ? 1 : producer->epoch;
    return last < UINT32_MAX ? last + 1 : 0;
}

void
yami_relay_producer_stored(yami_relay_core_t *core, yami_relay_producer_t *producer, uint32_t epoch,
                           uint64_t last, int64_t wall_ms)
{
    if (epoch < producer->epoch || (epoch == producer->epoch && last <= producer->last)) {
        return; //  replayed twice
    }
    producer->durable = epoch > producer->epoch ? 0 : producer->durable;
    producer->epoch = epoch;
    producer->stored_last = last;
    producer->last = last;
    producer->seen_ms = wall_ms;
    TAILQ_REMOVE(&core->producers, producer, of_age);
    TAILQ_INSERT_TAIL(&core->producers, producer, of_age);
}

void
yami_relay_producers_clear(yami_relay_core_t *core)
{
    while (!TAILQ_EMPTY(&core->producers)) {
        yami_relay_producer_t *producer = TAILQ_FIRST(&core->producers);
        producer->waiting = 0;
        s_free(core, producer);
    }
    yami_relay_map_clear(&core->producer_keys);
}
