//  When the time of delayed messages has come: rounds of the earliest of one channel are read, in
//  the order in which they stand in the log, and moved to where they were sent, in the order of
//  their times.
//
//      yami_relay_dues_pump   s_begin     picks the earliest
//                             s_go_on     FETCH of the next that was not read
//      yami_relay_due_entry   s_read      copies what of an entry is picked, then s_go_on
//                             s_finish    MOVE, when all are read

#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_ROUND_MESSAGES 16384u
#define S_ROUND_BYTES (4u << 20) //  if records are not bigger
#define S_CLOCK_MS 250           //  a wall clock that is set is noticed so soon

//  What a target takes now.
typedef struct {
    uint64_t messages;
    uint64_t bytes;
    bool takes_any; //  one message, whatever its size
} s_room_t;

static uint64_t
s_left(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

static s_room_t
s_room(const yami_relay_core_t *core, yami_relay_channel_t *target)
{
    s_room_t room = {S_ROUND_MESSAGES, S_ROUND_BYTES, true};
    uint64_t messages = (uint64_t) core->options->channel_messages;
    uint64_t bytes = (uint64_t) core->options->channel_bytes;
    if (yami_relay_disk_lags(core)) {
        room.messages = 0;
    }
    if (messages > 0 || bytes > 0) {
        uint64_t depth = yami_relay_channel_depth(target);
        uint64_t left = messages > 0 ? s_left(messages, depth) : room.messages;
        uint64_t left_bytes = bytes > 0 ? s_left(bytes, target->bytes) : room.bytes;
        room.messages = left < room.messages ? left : room.messages;
        room.takes_any = bytes == 0 || depth == 0;
        room.bytes = left_bytes < room.bytes ? left_bytes : room.bytes;
    }
    return room;
}

//  The channel's earliest if its time has come and it can be read; else NULL.
static const yami_relay_delay_t *
s_earliest(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    const yami_relay_delay_t *delay = yami_relay_delays_earliest(&channel->dues->waiting);
    bool is_due = delay != NULL && (delay->due_ms <= core->wall_ms || YAMI_PLANTED(FIRED_EARLY));
    return is_due && delay->sequence < channel->durable ? delay : NULL; //  (2)
}

//  Tried again a little later.
static void
s_retry(yami_relay_core_t *core, yami_relay_dues_t *dues)
{
    dues->retry_ms = core->mono_ms + YAMI_RELAY_AGAIN_MS;
    core->due_retry_ms = dues->retry_ms < core->due_retry_ms ? dues->retry_ms : core->due_retry_ms;
}

//  Picks what may go now, the earliest first. Whether there is anything.
static bool
s_pick(yami_relay_core_t *core, yami_relay_channel_t *channel)
{
    yami_relay_round_t *round = &core->round;
    yami_relay_dues_t *dues = channel->dues;
    s_room_t room = s_room(core, dues->target);
    uint64_t used = 0;
    round->count = 0;
    const yami_relay_delay_t *delay;
    while (round->count < room.messages && (delay = s_earliest(core, channel)) != NULL) {
        used += delay->size;
        if ((used > room.bytes && (round->count > 0 || !room.takes_any)) ||
            yami_grow(&round->picks, &round->capacity, round->count + 1, sizeof *round->picks,
                      S_ROUND_MESSAGES) == -1) {
            break;
        }
        round->picks[round->count++] =
            (yami_relay_pick_t) {delay->due_ms, delay->sequence, SIZE_MAX};
        yami_relay_delays_pick(&dues->waiting);
    }
    if (round->count == 0) {
        s_retry(core, dues);
    }
    return round->count > 0;
}

static int
s_by_sequence(const void *left_p, const void *right_p)
{
    const yami_relay_pick_t *left = left_p;
    const yami_relay_pick_t *right = right_p;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

static int
s_by_time(const void *left_p, const void *right_p)
{
    const yami_relay_pick_t *left = left_p;
    const yami_relay_pick_t *right = right_p;
    return left->due_ms < right->due_ms   ? -1
           : left->due_ms > right->due_ms ? 1
                                          : s_by_sequence(left, right);
}

//  A round of the channel whose turn it is. False when nothing is due anywhere; the core knows then
//  when something will be.
static bool
s_begin(yami_relay_core_t *core)
{
    yami_relay_channel_t *channel = NULL;
    yami_relay_round_t *round = &core->round;
    core->due_ms = INT64_MAX;
    core->due_retry_ms = INT64_MAX;
    TAILQ_FOREACH(channel, &core->due_channels, dues->of_core)
    {
        yami_relay_dues_t *dues = channel->dues;
        const yami_relay_delay_t *delay = yami_relay_delays_earliest(&dues->waiting);
        if (s_earliest(core, channel) == NULL) {
            //  One that is not durable yet says so when it is.
            bool is_later = delay != NULL && delay->due_ms > core->wall_ms;
            core->due_ms = is_later && delay->due_ms < core->due_ms ? delay->due_ms : core->due_ms;
        } else if (core->mono_ms < dues->retry_ms) {
            core->due_retry_ms =
                dues->retry_ms < core->due_retry_ms ? dues->retry_ms : core->due_retry_ms;
        } else if (s_pick(core, channel)) {
            break;
        }
    }
    if (channel == NULL) {
        return false;
    }
    core->due_ms = INT64_MIN; //  there may be more
    TAILQ_REMOVE(&core->due_channels, channel, dues->of_core);
    TAILQ_INSERT_TAIL(&core->due_channels, channel, dues->of_core);
    qsort(round->picks, round->count, sizeof *round->picks, s_by_sequence);
    round->channel = channel;
    round->next = 0;
    yami_writer_init(&round->records, YAMI_LIMIT_FRAME + S_ROUND_BYTES);
    return true;
}

//  Ends the round: what of it still waits is in line again.
static void
s_end(yami_relay_core_t *core)
{
    yami_relay_round_t *round = &core->round;
    for (size_t index = 0; index < round->count; index++) {
        yami_relay_delays_put_back(&round->channel->dues->waiting, round->picks[index].sequence);
    }
    yami_writer_clear(&round->records);
    round->channel = NULL;
}

//  They were moved; how late is known.
static void
s_count(yami_relay_core_t *core, const yami_relay_pick_t *pick)
{
    yami_relay_dues_t *dues = core->round.channel->dues;
    uint64_t late_ms = core->wall_ms > pick->due_ms ? (uint64_t) (core->wall_ms - pick->due_ms) : 0;
    yami_histogram_add(&core->lateness, late_ms);
    dues->late_sum_ms += late_ms;
    dues->late_max_ms = late_ms > dues->late_max_ms ? late_ms : dues->late_max_ms;
    core->round.channel->counts.fired++;
    yami_relay_group_t *group = TAILQ_FIRST(&core->round.channel->groups);
    yami_rate_add(&group->out_rate, core->mono_ms, 1);
}

//  Those that were read and not cancelled meanwhile go.
static void
s_finish(yami_relay_core_t *core)
{
    yami_relay_round_t *round = &core->round;
    yami_relay_channel_t *channel = round->channel;
    yami_batch_t records = {.payload = yami_slice(round->records.data, round->records.size)};
    yami_relay_move_t move;
    bool has_memory = true;
    qsort(round->picks, round->count, sizeof *round->picks,
          YAMI_PLANTED(FIRED_OUT_OF_ORDER) ? s_by_sequence : s_by_time);
    yami_relay_move_start(&move, core, TAILQ_FIRST(&channel->groups), NULL);
    for (size_t index = 0; index < round->count && has_memory; index++) {
        yami_relay_pick_t *pick = &round->picks[index];
        if (pick->offset == SIZE_MAX ||
            yami_relay_delays_find(&channel->dues->waiting, pick->sequence) == NULL) {
            pick->offset = SIZE_MAX;
            continue;
        }
        size_t offset = pick->offset;
        yami_record_t record;
        int rc = yami_batch_next(&records, &offset, &record);
        YAM_ASSERT(rc == 0);
        has_memory = yami_relay_move_add(&move, channel->dues->target, pick->sequence, &record);
    }
    yami_relay_move_finish(&move);
    for (size_t index = 0; index < round->count; index++) {
        const yami_relay_pick_t *pick = &round->picks[index];
        if (yami_relay_delays_find(&channel->dues->waiting, pick->sequence) != NULL) {
            s_retry(core, channel->dues); //  out of memory
        } else if (pick->offset != SIZE_MAX) {
            s_count(core, pick);
        }
    }
    s_end(core);
}

//  Reads on, or moves when all are read.
static void
s_go_on(yami_relay_core_t *core)
{
    yami_relay_round_t *round = &core->round;
    const yami_relay_delays_t *waiting = &round->channel->dues->waiting;
    while (round->next < round->count &&
           yami_relay_delays_find(waiting, round->picks[round->next].sequence) == NULL) {
        round->next++; //  cancelled, or lost
    }
    if (round->next == round->count) {
        s_finish(core);
        return;
    }
    round->is_fetching = true;
    yami_relay_fetch(core, round->channel, round->picks[round->next].sequence, YAMI_FETCH_DUE, 0);
}

void
yami_relay_dues_pump(yami_relay_core_t *core)
{
    yami_relay_round_t *round = &core->round;
    while (core->budget > 0 && !round->is_fetching && !core->is_draining && !core->has_failed) {
        bool is_due = core->wall_ms >= core->due_ms || core->mono_ms >= core->due_retry_ms ||
                      YAMI_PLANTED(FIRED_EARLY);
        if (round->channel == NULL && (!is_due || TAILQ_EMPTY(&core->due_channels))) {
            return;
        }
        if (!core->has_room) {
            core->lacks_room = true;
            return;
        }
        if (round->channel == NULL && !s_begin(core)) {
            return;
        }
        s_go_on(core);
    }
}

//  Copies the picked records of an entry.
static void
s_read(yami_relay_round_t *round, const yami_entry_t *entry, const yami_batch_t *batch)
{
    uint64_t sequence = entry->base;
    size_t end = 0;
    for (; round->next < round->count; round->next++) {
        yami_relay_pick_t *pick = &round->picks[round->next];
        size_t start = end;
        if (pick->sequence >= entry->base + entry->count) {
            break;
        }
        for (; sequence <= pick->sequence; sequence++) {
            yami_record_t record;
            start = end;
            int rc = yami_batch_next(batch, &end, &record);
            YAM_ASSERT(rc == 0);
        }
        if (pick->sequence >= entry->base) {
            pick->offset = round->records.size;
            yami_writer_bytes(&round->records, batch->payload.data + start, end - start);
        }
    }
}

void
yami_relay_due_entry(yami_relay_core_t *core, const yami_relay_event_t *event, bool is_whole,
                     bool is_temporary)
{
    yami_relay_round_t *round = &core->round;
    yami_batch_t batch;
    YAM_ASSERT(round->is_fetching && round->channel->number == event->fetch.channel);
    round->is_fetching = false;
    if (is_whole && yami_relay_batch_view(&batch, event->entry) == -1) {
        yami_relay_channel_lose(core, round->channel, event->entry->base,
                                event->entry->base + event->entry->count - 1, "not a batch");
    } else if (is_whole) {
        s_read(round, event->entry, &batch);
    }
    if (is_temporary || round->records.failed != 0) {
        s_retry(core, round->channel->dues);
        s_end(core);
    }
    yami_relay_dues_pump(core);
}

int64_t
yami_relay_dues_deadline(const yami_relay_core_t *core)
{
    if (TAILQ_EMPTY(&core->due_channels) || core->is_draining || core->round.is_fetching) {
        return INT64_MAX;
    }
    if (core->round.channel != NULL || core->wall_ms >= core->due_ms) {
        bool waits_for_room = !core->has_room && core->lacks_room; //  looked for once a second
        return waits_for_room ? INT64_MAX : core->mono_ms;
    }
    int64_t left_ms = core->due_ms - core->wall_ms; //  by clocks that go on as they do
    int64_t deadline = core->mono_ms + (left_ms < S_CLOCK_MS ? left_ms : S_CLOCK_MS);
    return core->due_retry_ms < deadline ? core->due_retry_ms : deadline;
}

void
yami_relay_dues_clear(yami_relay_core_t *core)
{
    if (core->round.channel != NULL) {
        yami_writer_clear(&core->round.records);
    }
    yami_free(core->round.picks);
    core->round = (yami_relay_round_t) {0};
}
