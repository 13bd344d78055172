//  Channels of delayed messages: which there are, and what waits in them.

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_properties.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

#define S_SUFFIX ".delayed"
#define S_SUFFIX_SIZE 8

_Static_assert(sizeof S_SUFFIX - 1 == S_SUFFIX_SIZE, "the suffix is as long as it says");
_Static_assert(YAMI_LIMIT_DELAYED_NAME + S_SUFFIX_SIZE == YAMI_LIMIT_NAME, "and always fits");

bool
yami_relay_is_delayed_name(const void *name, size_t size)
{
    return size > S_SUFFIX_SIZE &&
           memcmp((const char *) name + size - S_SUFFIX_SIZE, S_SUFFIX, S_SUFFIX_SIZE) == 0;
}

bool
yami_relay_delay_link(yami_relay_channel_t *channel, yami_relay_channel_t *target)
{
    YAM_ASSERT(channel->dues != NULL && channel->dues->target == NULL);
    if (target == NULL || target->dues != NULL || target->delayed != NULL) {
        return false;
    }
    channel->dues->target = target;
    target->delayed = channel;
    return true;
}

yami_relay_channel_t *
yami_relay_delayed_channel(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    if (channel->delayed == NULL && channel->name.size <= YAMI_LIMIT_DELAYED_NAME) {
        char name[YAMI_LIMIT_NAME + 1];
        size_t size = (size_t) snprintf(name, sizeof name, "%.*s%s", (int) channel->name.size,
                                        channel->name.text, S_SUFFIX);
        if (yami_relay_channel_find(core, name, size) == NULL) {
            (void) yami_relay_channel_new(core, name, size, YAMI_KIND_DELAYED, channel);
        }
    }
    return channel->delayed;
}

bool
yami_relay_is_later(const yami_relay_core_t *core, const yami_record_t *record)
{
    return (record->flags & YAMI_RECORD_DUE) != 0 && record->due_ms > core->wall_ms;
}

uint32_t
yami_relay_id_hash(yami_slice_t id)
{
    return id.size <= YAMI_LIMIT_ID ? yami_key_hash(id.data, id.size) : 0;
}

yami_slice_t
yami_relay_record_id(const yami_record_t *record)
{
    yami_property_t property;
    bool is_there = yami_properties_find(record->properties, "id", &property) &&
                    (property.type == 's' || property.type == 'x');
    return is_there ? property.text : yami_slice("", 0);
}

void
yami_relay_delay_note(yami_relay_core_t *core, yami_relay_channel_t *channel,
                      const yami_relay_delay_t *delay)
{
    yami_relay_dues_t *dues = channel->dues;
    yami_relay_delays_add(&dues->waiting, delay);
    core->delayed_count++;
    core->due_ms = delay->due_ms < core->due_ms ? delay->due_ms : core->due_ms;
    if (!dues->is_listed) {
        dues->is_listed = true;
        TAILQ_INSERT_TAIL(&core->due_channels, channel, dues->of_core);
    }
}

int
yami_relay_delay_batch(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t base,
                       const yami_batch_t *batch)
{
    size_t offset = 0;
    for (uint32_t index = 0; index < batch->count; index++) {
        size_t start = offset;
        yami_record_t record;
        if (yami_batch_next(batch, &offset, &record) == -1) {
            return -1;
        }
        yami_relay_delay_t delay = {.due_ms = record.due_ms > 0 ? record.due_ms : 1,
                                    .sequence = base + index,
                                    .size = (uint32_t) (offset - start),
                                    .id_hash = yami_relay_id_hash(yami_relay_record_id(&record))};
        yami_relay_delay_note(core, channel, &delay);
    }
    return 0;
}

uint64_t
yami_relay_delay_end(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t first,
                     uint64_t last)
{
    yami_relay_dues_t *dues = channel->dues;
    uint64_t ended = yami_relay_delays_end(&dues->waiting, first, last);
    YAM_ASSERT(ended <= core->delayed_count);
    core->delayed_count -= ended;
    if (dues->is_listed && dues->waiting.waiting == 0) {
        dues->is_listed = false;
        TAILQ_REMOVE(&core->due_channels, channel, dues->of_core);
    }
    return ended;
}
