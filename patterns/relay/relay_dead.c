#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_properties.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_SUFFIX ".dead"
#define S_SUFFIX_SIZE 5
#define S_OWN_PAIRS 7
#define S_OWN_SIZE 1024        //  what our pairs take at most
#define S_STEP_MESSAGES 16384u //  moved by one read: they grow by our pairs

bool
yami_relay_is_dead_name(const void *name, size_t size)
{
    return size > S_SUFFIX_SIZE &&
           memcmp((const char *) name + size - S_SUFFIX_SIZE, S_SUFFIX, S_SUFFIX_SIZE) == 0;
}

yami_relay_channel_t *
yami_relay_dead_channel(yami_relay_core_t *core, const yami_relay_channel_t *channel,
                        bool is_making)
{
    YAM_ASSERT(!channel->is_dead);
    if (channel->dues != NULL) {
        return NULL; //  nobody gets those, so none can fail
    }
    YAM_ASSERT(channel->name.size + S_SUFFIX_SIZE <= YAMI_LIMIT_NAME);
    char name[YAMI_LIMIT_NAME + 1];
    size_t size = (size_t) snprintf(name, sizeof name, "%.*s%s", (int) channel->name.size,
                                    channel->name.text, S_SUFFIX);
    yami_relay_channel_t *dead = yami_relay_channel_find(core, name, size);
    if (dead == NULL && is_making) {
        dead = yami_relay_channel_new(core, name, size, YAMI_KIND_QUEUE, NULL);
    }
    return dead;
}

//  There is no room for another channel: what cannot be moved stays, and is tried again late.
static void
s_keep(yami_relay_core_t *core, yami_relay_group_t *group, yami_piece_t *piece)
{
    core->errors++;
    yami_relay_say(core, YAMI_LOG_ERROR, "relay.no-dead-letters",
                   "channel=%.100s why=too-many-channels", group->channel->name.text);
    yami_relay_group_delay(core, group, piece,
                           core->mono_ms + yami_relay_backoff(core, UINT32_MAX));
}

void
yami_relay_dead_pump(yami_relay_core_t *core, yami_relay_group_t *group)
{
    yami_piece_t *piece;
    while (!group->is_moving && !core->has_failed &&
           (piece = yami_pieces_lowest(&group->pieces, YAMI_PIECE_MOVING)) != NULL) {
        if (!yami_relay_may_move(core)) {
            core->lacks_room = true;
            return;
        }
        if (core->is_moving) {
            yami_relay_move_later(core, group);
            return;
        }
        if (yami_relay_dead_channel(core, group->channel, true) == NULL) {
            s_keep(core, group, piece);
            continue;
        }
        group->is_moving = core->is_moving = true;
        yami_relay_fetch(core, group->channel, piece->first, YAMI_FETCH_DEAD, group->number);
    }
    yami_relay_move_next(core);
}

//  The user's pairs, as many as leave room for ours. Returns how many.
static uint32_t
s_write_user(yami_writer_t *writer, yami_slice_t encoded)
{
    yami_properties_t properties;
    yami_property_t property;
    uint32_t count = 0;
    if (yami_properties_start(&properties, encoded) == -1) {
        return 0;
    }
    while (yami_properties_next(&properties, &property) == 1) {
        bool is_ours = property.name.size >= 4 && memcmp(property.name.data, "yam-", 4) == 0;
        bool fits = count < YAMI_LIMIT_PROPERTY_COUNT - S_OWN_PAIRS &&
                    writer->size + property.name.size + property.text.size + 16 + S_OWN_SIZE <
                        YAMI_LIMIT_PROPERTIES;
        if (!is_ours && fits) {
            yami_properties_write(writer, &property);
            count++;
        }
    }
    return count;
}

static void
s_write_text(yami_writer_t *writer, const char *name, const void *text, size_t size)
{
    yami_writer_str(writer, name);
    yami_writer_str_slice(writer, text, size);
}

static void
s_write_number(yami_writer_t *writer, const char *name, int64_t number)
{
    yami_writer_str(writer, name);
    yami_writer_int(writer, number);
}

void
yami_relay_dead_properties(yami_writer_t *writer, yami_slice_t properties,
                           const yami_relay_group_t *group, const yami_piece_t *piece,
                           int64_t wall_ms)
{
    yami_writer_t user;
    yami_writer_init(&user, YAMI_LIMIT_PROPERTIES);
    uint32_t count = s_write_user(&user, properties);
    if (piece == NULL && count == 0) {
        yami_writer_clear(&user);
        return;
    }
    yami_writer_map(writer, count + (piece != NULL ? S_OWN_PAIRS : 0));
    if (count > 0) {
        yami_writer_bytes(writer, user.data, user.size);
    }
    yami_writer_clear(&user);
    if (piece == NULL) {
        return;
    }
    static const char unknown[] = "delivery limit";
    const void *reason = piece->reason != NULL ? (const void *) piece->reason->data : unknown;
    size_t reason_size = piece->reason != NULL ? piece->reason->size : sizeof unknown - 1;
    s_write_text(writer, "yam-origin", group->channel->name.text, group->channel->name.size);
    s_write_text(writer, "yam-group", group->name.text, group->name.size);
    s_write_text(writer, "yam-reason", reason, reason_size);
    s_write_number(writer, "yam-deliveries", piece->deliveries);
    s_write_number(writer, "yam-failures", piece->failures);
    s_write_number(writer, "yam-first-time", piece->first_ms);
    s_write_number(writer, "yam-last-time", wall_ms);
}

//  One record with its history. Whether there was memory for it.
static bool
s_add(yami_relay_move_t *move, yami_relay_channel_t *dead, yami_relay_group_t *group,
      const yami_piece_t *piece, uint64_t sequence, const yami_record_t *record)
{
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_PROPERTIES);
    yami_relay_dead_properties(&writer, record->properties, group, piece, move->core->wall_ms);
    yami_record_t copy = *record;
    copy.flags = 0; //  neither due nor expired any more
    copy.properties = yami_slice(writer.data, writer.size);
    bool is_added = writer.failed == 0 && yami_relay_move_add(move, dead, sequence, &copy);
    yami_writer_clear(&writer);
    return is_added;
}

void
yami_relay_dead_entry(yami_relay_core_t *core, yami_relay_group_t *group, const yami_entry_t *entry,
                      const yami_batch_t *batch)
{
    yami_relay_channel_t *dead = yami_relay_dead_channel(core, group->channel, true);
    if (dead == NULL || !yami_relay_may_move(core)) {
        return;
    }
    yami_relay_move_t move;
    yami_relay_move_start(&move, core, group, NULL);
    uint64_t at = entry->base; //  whose record is at offset
    size_t offset = 0;
    uint64_t sequence = entry->base;
    uint64_t last = entry->base + entry->count - 1;
    unsigned count = 0;
    const yami_piece_t *piece;
    while ((piece = yami_pieces_find(&group->pieces, sequence)) != NULL && piece->first <= last) {
        if (piece->state != YAMI_PIECE_MOVING) {
            sequence = piece->last + 1;
            continue;
        }
        sequence = piece->first > sequence ? piece->first : sequence;
        yami_record_t record = {0};
        for (; at <= sequence && sequence <= last; at++) {
            int rc = yami_batch_next(batch, &offset, &record);
            YAM_ASSERT(rc == 0);
        }
        if (!s_add(&move, dead, group, piece, sequence, &record)) {
            break; //  out of memory: the rest is tried again
        }
        if (sequence == last || ++count == S_STEP_MESSAGES) {
            break;
        }
        sequence++;
    }
    yami_relay_move_finish(&move);
}
