//  The whole durable state as one msgpack array:
//
//      [version, last channel number, last group number, channels, groups, producers]
//      channel   [number, name, kind, first, next, bytes, depth, total bytes, marks: flat sequence,
//      bytes, time]; of delayed messages: and target, delays
//      delays    flat, of those that wait: gap to the sequence before, due minus the due before,
//      size minus the size before, hash of the id
//      group     [number, channel, name, filter, pieces, next]
//      producer  [channel, id, epoch, last sequence, seen]
//      pieces    flat: gap to the previous piece's end, length, deliveries << 1 | has failed, and
//      if so: failures, due,
//                first failure, is moving, reason
//
//  Leases are not in it: what is leased is ready again after a restart. A reader skips items it
//  does not know at an array's end only in the outermost one.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_parts.h"

#define S_VERSION 1

//  The most that all a relay may hold takes. A checkpoint that does not fit is none: no space is
//  given back then.
#define S_CHANNELS_BYTES (YAMI_LIMIT_CHANNELS * 695u)
#define S_GROUPS_BYTES (YAMI_LIMIT_GROUPS * 477u)
#define S_PRODUCERS_BYTES (YAMI_LIMIT_PRODUCERS * 45u)
#define S_DELAYS_BYTES (YAMI_LIMIT_DELAYED * 28u)
//  A group that has nothing leased may cut one piece beyond the limit.
#define S_PIECES_BYTES ((YAMI_LIMIT_PIECES + YAMI_LIMIT_GROUPS) * YAMI_RELAY_PIECE_BYTES)
_Static_assert(S_CHANNELS_BYTES + S_GROUPS_BYTES + S_PRODUCERS_BYTES + S_DELAYS_BYTES +
                       S_PIECES_BYTES <
                   YAMI_LIMIT_ENTRY_META,
               "every checkpoint fits into an entry");

static void
s_write_name(yami_writer_t *writer, const yami_relay_name_t *name)
{
    yami_writer_str_slice(writer, name->text, name->size);
}

//  Some ten bytes each, as one after the other was sent.
static void
s_write_delays(yami_writer_t *writer, const yami_relay_delays_t *waiting)
{
    yami_writer_t delays;
    yami_writer_init(&delays, writer->limit);
    yami_relay_delay_t last = {0};
    const yami_relay_delay_t *delay = yami_relay_delays_from(waiting, 0);
    while (delay != NULL && !YAMI_PLANTED(DELAYS_NOT_IN_CHECKPOINT)) {
        yami_writer_uint(&delays, delay->sequence - last.sequence);
        yami_writer_int(&delays, delay->due_ms - last.due_ms);
        yami_writer_int(&delays, (int64_t) delay->size - (int64_t) last.size);
        yami_writer_uint(&delays, delay->id_hash);
        last = *delay;
        delay = yami_relay_delays_from(waiting, delay->sequence + 1);
    }
    yami_writer_bin(writer, delays.data, delays.size);
    writer->failed = delays.failed != 0 ? delays.failed : writer->failed;
    yami_writer_clear(&delays);
}

static void
s_write_channel(yami_writer_t *writer, const yami_relay_channel_t *channel, bool is_canonical)
{
    yami_writer_array(writer, channel->dues != NULL ? 11 : 9);
    yami_writer_uint(writer, channel->number);
    s_write_name(writer, &channel->name);
    yami_writer_uint(writer, (uint64_t) channel->kind);
    yami_writer_uint(writer, is_canonical ? 0 : channel->first);
    yami_writer_uint(writer, channel->next);
    yami_writer_uint(writer, is_canonical ? 0 : channel->bytes);
    yami_writer_uint(writer, is_canonical ? 0 : channel->depth);
    yami_writer_uint(writer, is_canonical ? 0 : channel->total_bytes);
    unsigned mark_count = is_canonical ? 0 : channel->mark_count;
    yami_writer_array(writer, mark_count * 3);
    for (unsigned index = 0; index < mark_count; index++) {
        yami_writer_uint(writer, channel->marks[index].sequence);
        yami_writer_uint(writer, channel->marks[index].bytes);
        yami_writer_int(writer, channel->marks[index].time_ms);
    }
    if (channel->dues != NULL) {
        yami_writer_uint(writer, channel->dues->target->number);
        s_write_delays(writer, &channel->dues->waiting);
    }
}

static bool
s_has_failed(const yami_piece_t *piece)
{
    return piece->failures > 0 || piece->state == YAMI_PIECE_MOVING;
}

static void
s_write_piece(const yami_relay_core_t *core, yami_writer_t *writer, const yami_piece_t *piece,
              uint64_t end, bool is_canonical)
{
    bool has_failed = s_has_failed(piece);
    uint64_t deliveries = is_canonical ? 0 : piece->deliveries;
    yami_writer_uint(writer, piece->first - end);
    yami_writer_uint(writer, piece->last - piece->first + 1);
    yami_writer_uint(writer, deliveries << 1 | (has_failed ? 1u : 0u));
    if (has_failed) {
        int64_t offset = core->has_started ? core->wall_ms - core->mono_ms : 0;
        bool is_waiting = piece->state == YAMI_PIECE_WAITING && !is_canonical;
        yami_writer_uint(writer, piece->failures);
        yami_writer_int(writer, is_waiting ? piece->due_ms + offset : 0);
        yami_writer_int(writer, piece->first_ms);
        yami_writer_bool(writer, piece->state == YAMI_PIECE_MOVING);
        yami_writer_str_slice(writer, piece->reason != NULL ? piece->reason->data : NULL,
                              piece->reason != NULL ? piece->reason->size : 0);
    }
}

//  Whether a restart could have told the two pieces apart.
static bool
s_is_same(const yami_piece_t *left, const yami_piece_t *right)
{
    size_t size = left->reason != NULL ? left->reason->size : 0;
    return left->last + 1 == right->first && left->failures == right->failures &&
           left->first_ms == right->first_ms &&
           (left->state == YAMI_PIECE_MOVING) == (right->state == YAMI_PIECE_MOVING) &&
           size == (right->reason != NULL ? right->reason->size : 0) &&
           (size == 0 || memcmp(left->reason->data, right->reason->data, size) == 0);
}

//  Pieces, then the cursor. Canonical: alike ones joined; those that touch the cursor and never
//  failed are below it only because they were delivered, which the journal does not know.
static void
s_write_pieces(const yami_relay_core_t *core, yami_writer_t *writer,
               const yami_relay_group_t *group, bool is_canonical)
{
    yami_writer_t pieces;
    yami_writer_init(&pieces, writer->limit);
    uint64_t end = 0;
    uint64_t next = group->next;
    const yami_piece_t *piece = yami_pieces_find(&group->pieces, 0);
    while (piece != NULL) {
        yami_piece_t run = *piece;
        piece = yami_pieces_next(piece);
        while (is_canonical && piece != NULL && s_is_same(&run, piece)) {
            run.last = piece->last;
            piece = yami_pieces_next(piece);
        }
        if (is_canonical && run.last + 1 == next && !s_has_failed(&run)) {
            next = run.first;
            break;
        }
        s_write_piece(core, &pieces, &run, end, is_canonical);
        end = run.last + 1;
    }
    if (pieces.failed != 0) {
        writer->failed = pieces.failed;
    }
    yami_writer_bin(writer, pieces.data, pieces.size);
    yami_writer_clear(&pieces);
    yami_writer_uint(writer, next);
}

static void
s_write_group(const yami_relay_core_t *core, yami_writer_t *writer, const yami_relay_group_t *group,
              bool is_canonical)
{
    yami_writer_array(writer, 6);
    yami_writer_uint(writer, group->number);
    yami_writer_uint(writer, group->channel->number);
    s_write_name(writer, &group->name);
    s_write_name(writer, &group->filter);
    s_write_pieces(core, writer, group, is_canonical);
}

static void
s_write_groups(const yami_relay_core_t *core, yami_writer_t *writer, bool is_canonical)
{
    const yami_relay_channel_t *channel;
    const yami_relay_group_t *group;
    uint32_t count = 0;
    for (uint32_t number = 1; number <= core->channel_number; number++) {
        channel = yami_relay_map_get(&core->channel_numbers, number);
        count += channel != NULL ? channel->durable_groups : 0;
    }
    yami_writer_array(writer, count);
    for (uint32_t number = 1; number <= core->channel_number; number++) {
        channel = yami_relay_map_get(&core->channel_numbers, number);
        if (channel == NULL) {
            continue;
        }
        TAILQ_FOREACH(group, &channel->groups, of_channel)
        {
            if (group->is_durable) {
                s_write_group(core, writer, group, is_canonical);
            }
        }
    }
}

static void
s_write_producers(const yami_relay_core_t *core, yami_writer_t *writer)
{
    const yami_relay_producer_t *producer = NULL;
    yami_writer_array(writer, (uint32_t) core->producer_count);
    TAILQ_FOREACH(producer, &core->producers, of_age)
    {
        yami_writer_array(writer, 5);
        yami_writer_uint(writer, producer->channel->number);
        yami_writer_bin(writer, producer->id.bytes, sizeof producer->id.bytes);
        yami_writer_uint(writer, producer->epoch);
        yami_writer_uint(writer, producer->stored_last);
        yami_writer_int(writer, producer->seen_ms);
    }
}

void
yami_relay_snapshot_write(const yami_relay_core_t *core, yami_writer_t *writer, bool is_canonical)
{
    yami_writer_array(writer, 6);
    yami_writer_uint(writer, S_VERSION);
    yami_writer_uint(writer, core->channel_number);
    yami_writer_uint(writer, core->group_number);
    yami_writer_array(writer, (uint32_t) core->channel_numbers.count);
    for (uint32_t number = 1; number <= core->channel_number; number++) {
        const yami_relay_channel_t *channel = yami_relay_map_get(&core->channel_numbers, number);
        if (channel != NULL) {
            s_write_channel(writer, channel, is_canonical);
        }
    }
    s_write_groups(core, writer, is_canonical);
    s_write_producers(core, writer);
}

void
yami_relay_core_snapshot(const yami_relay_core_t *self, yami_writer_t *writer)
{
    yami_relay_snapshot_write(self, writer, false);
}

static void
s_read_delays(yami_relay_core_t *core, yami_reader_t *reader, yami_relay_channel_t *channel,
              yami_slice_t encoded)
{
    yami_reader_t own;
    yami_reader_init(&own, encoded.data, encoded.size);
    yami_relay_delay_t delay = {0};
    while (yami_reader_left(&own) > 0) {
        uint64_t gap = yami_reader_uint(&own);
        int64_t due_ms = yami_reader_int(&own);
        int64_t size = yami_reader_int(&own);
        uint64_t hash = yami_reader_uint(&own);
        if (own.failed || gap == 0 || gap >= channel->next - delay.sequence ||
            due_ms < 1 - delay.due_ms || due_ms > YAMI_LIMIT_TIME_MS - delay.due_ms ||
            size < -(int64_t) delay.size || size > (int64_t) (YAMI_LIMIT_FRAME - delay.size) ||
            hash > UINT32_MAX) {
            yami_reader_fail(reader);
            return;
        }
        bool has_memory = yami_relay_delays_reserve(&channel->dues->waiting, 1);
        YAM_NEED(has_memory);
        delay.sequence += gap;
        delay.due_ms += due_ms;
        delay.size = (uint32_t) ((int64_t) delay.size + size);
        delay.id_hash = (uint32_t) hash;
        yami_relay_delay_note(core, channel, &delay);
    }
}

static void
s_read_channel(yami_relay_core_t *core, yami_reader_t *reader)
{
    (void) yami_reader_array(reader);
    uint64_t number = yami_reader_uint(reader);
    yami_slice_t name = yami_reader_str(reader);
    uint64_t kind = yami_reader_uint(reader);
    if (reader->failed || number == 0 || number > YAMI_LIMIT_CHANNELS || name.size == 0 ||
        name.size > YAMI_LIMIT_NAME || kind < YAMI_KIND_QUEUE || kind > YAMI_KIND_DELAYED ||
        yami_relay_map_get(&core->channel_numbers, number) != NULL) {
        yami_reader_fail(reader);
        return;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_add(core, (uint32_t) number, name.data, name.size, (int) kind);
    channel->first = yami_reader_uint(reader);
    channel->next = yami_reader_uint(reader);
    channel->durable = channel->next;
    channel->bytes = yami_reader_uint(reader);
    channel->depth = yami_reader_uint(reader);
    channel->total_bytes = yami_reader_uint(reader);
    uint32_t mark_count = yami_reader_array(reader) / 3;
    if (mark_count > YAMI_RELAY_MARKS || channel->first > channel->next || channel->first == 0 ||
        channel->next > YAMI_LIMIT_SEQUENCE) {
        yami_reader_fail(reader);
        return;
    }
    for (; channel->mark_count < mark_count; channel->mark_count++) {
        yami_relay_mark_t *mark = &channel->marks[channel->mark_count];
        mark->sequence = yami_reader_uint(reader);
        mark->bytes = yami_reader_uint(reader);
        mark->time_ms = yami_reader_int(reader);
    }
    if (channel->dues != NULL) {
        yami_relay_channel_t *target =
            yami_relay_map_get(&core->channel_numbers, yami_reader_uint(reader));
        s_read_delays(core, reader, channel, yami_reader_bin(reader));
        if (reader->failed || !yami_relay_delay_link(channel, target)) {
            yami_reader_fail(reader);
        }
    }
}

static void
s_read_history(yami_reader_t *reader, yami_pieces_t *pieces, yami_piece_t *piece, int64_t time_ms)
{
    piece->failures = (uint32_t) yami_reader_uint(reader);
    piece->due_ms = yami_reader_int(reader);
    piece->first_ms = yami_reader_int(reader);
    bool is_moving = yami_reader_bool(reader);
    yami_slice_t reason = yami_reader_str(reader);
    if (!yami_relay_is_time(piece->due_ms) || !yami_relay_is_time(piece->first_ms)) {
        yami_reader_fail(reader);
        piece->due_ms = 0;
    }
    piece->wait_ms =
        yami_relay_is_time(time_ms) && piece->due_ms > time_ms ? piece->due_ms - time_ms : 0;
    if (reason.size > 0) {
        piece->reason = yami_block_copy(reason.data, reason.size, YAMI_LIMIT_TEXT);
    }
    yami_pieces_set_state(pieces, piece,
                          is_moving           ? YAMI_PIECE_MOVING
                          : piece->due_ms > 0 ? YAMI_PIECE_WAITING
                                              : YAMI_PIECE_READY);
}

static void
s_read_pieces(const yami_relay_core_t *core, yami_reader_t *reader, yami_relay_group_t *group,
              yami_slice_t encoded)
{
    yami_reader_t own;
    yami_reader_init(&own, encoded.data, encoded.size);
    uint64_t end = 0;
    while (yami_reader_left(&own) > 0) {
        uint64_t first = end + yami_reader_uint(&own);
        uint64_t length = yami_reader_uint(&own);
        uint64_t code = yami_reader_uint(&own);
        if (own.failed || first < end || first == 0 || length == 0 || length > group->next ||
            first > group->next - length) {
            yami_reader_fail(reader);
            return;
        }
        end = first + length;
        yami_piece_t *piece = yami_pieces_add(&group->pieces, first, end - 1, YAMI_PIECE_READY);
        piece->deliveries = (uint32_t) (code >> 1);
        if (code & 1) {
            s_read_history(&own, &group->pieces, piece, core->wall_ms);
        }
    }
    if (yami_reader_finish(&own) == -1) {
        yami_reader_fail(reader);
    }
}

static void
s_read_group(yami_relay_core_t *core, yami_reader_t *reader)
{
    (void) yami_reader_array(reader);
    uint64_t number = yami_reader_uint(reader);
    yami_relay_channel_t *channel =
        yami_relay_map_get(&core->channel_numbers, yami_reader_uint(reader));
    yami_slice_t name = yami_reader_str(reader);
    yami_slice_t filter = yami_reader_str(reader);
    yami_slice_t pieces = yami_reader_bin(reader);
    uint64_t next = yami_reader_uint(reader);
    if (reader->failed || number == 0 || number >= YAMI_RELAY_EPHEMERAL || channel == NULL ||
        name.size > YAMI_LIMIT_NAME || filter.size > YAMI_LIMIT_SUBJECT || next == 0 ||
        next > channel->next || yami_relay_map_get(&core->groups, number) != NULL) {
        yami_reader_fail(reader);
        return;
    }
    yami_relay_group_t *group =
        yami_relay_group_add(core, channel, (uint32_t) number, name, filter, next);
    s_read_pieces(core, reader, group, pieces);
}

static void
s_read_producer(yami_relay_core_t *core, yami_reader_t *reader)
{
    (void) yami_reader_array(reader);
    yami_relay_channel_t *channel =
        yami_relay_map_get(&core->channel_numbers, yami_reader_uint(reader));
    yami_slice_t id = yami_reader_bin(reader);
    uint64_t epoch = yami_reader_uint(reader);
    uint64_t last = yami_reader_uint(reader);
    int64_t seen_ms = yami_reader_int(reader);
    if (reader->failed || channel == NULL || id.size != sizeof(yami_id_t) || epoch > UINT32_MAX ||
        last >= YAMI_LIMIT_SEQUENCE) {
        yami_reader_fail(reader);
        return;
    }
    yami_relay_producer_t *producer =
        yami_relay_producer_get(core, channel, (const yami_id_t *) id.data);
    if (producer != NULL) {
        yami_relay_producer_stored(core, producer, (uint32_t) epoch, last, seen_ms);
        producer->durable = producer->last;
    }
}

//  What each part says alone is right; together they are what no relay writes when a queue lacks
//  its group, or a group wants what was trimmed.
static bool
s_is_sound(const yami_relay_core_t *core)
{
    yami_relay_channel_t *channel;
    const yami_relay_group_t *group = NULL;
    for (size_t index = 0;
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        if (channel->kind != YAMI_KIND_TOPIC && TAILQ_EMPTY(&channel->groups)) {
            return false;
        }
        TAILQ_FOREACH(group, &channel->groups, of_channel)
        {
            if (yami_relay_group_floor(group) < channel->first) {
                return false;
            }
        }
    }
    return core->groups.count <= YAMI_LIMIT_GROUPS;
}

int
yami_relay_snapshot_read(yami_relay_core_t *core, const yami_entry_t *entry)
{
    static void (*const readers[])(yami_relay_core_t *, yami_reader_t *) = {
        s_read_channel, s_read_group, s_read_producer};
    YAM_ASSERT(core->channel_numbers.count == 0);
    core->wall_ms = entry->time_ms;
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    uint64_t version = yami_reader_uint(&reader);
    uint64_t channel_number = yami_reader_uint(&reader);
    uint64_t group_number = yami_reader_uint(&reader);
    if (reader.failed || version != S_VERSION) {
        return yami_fail(EPROTO, "the store's checkpoint is of version %llu, this relay reads %d",
                         (unsigned long long) version, S_VERSION);
    }
    for (size_t part = 0; part < sizeof readers / sizeof readers[0]; part++) {
        uint32_t count = yami_reader_array(&reader);
        for (uint32_t index = 0; index < count && !reader.failed; index++) {
            readers[part](core, &reader);
        }
    }
    if (reader.failed || channel_number > YAMI_LIMIT_CHANNELS ||
        channel_number < core->channel_number || group_number < core->group_number ||
        group_number >= YAMI_RELAY_RECOVERED || !s_is_sound(core)) {
        return yami_fail(EPROTO, "the store's checkpoint is malformed");
    }
    core->channel_number = (uint32_t) channel_number;
    core->group_number = (uint32_t) group_number;
    return 0;
}
