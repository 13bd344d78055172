//  Dispatchers that are killed, frozen and doubled, on a real database, in virtual time, with a
//  relay of which only this is kept: it takes sequences without gaps, and drops those it knows.
//
//  Whatever happens, each committed row ends delivered and stored once, or failed and (but for
//  those of which nobody knows) not stored; in order; and nothing that was rolled back is ever
//  stored. STEPS and SEED come from the environment.
//  One file: faults, steps and the audit work on one world, which nobody else may see.

#include "outbox/outbox_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_outbox_driver.h"
#include "yami_outbox_sqlite.h"

#define S_STEPS 20000
#define S_ROUND 400 //  steps; then everything heals, and is checked
#define S_CHANNELS 3
#define S_DISPATCHERS 3
#define S_ROWS 100000
#define S_POISON 41 //  each row of which the id is a multiple is refused for good by the relay
#define S_UNFIT 53  //  the same, by every push
#define S_LIMIT_MS 1000
#define S_LEASE_MS 300

//  What a relay keeps of a channel's producer.
typedef struct {
    uint64_t epoch;
    uint64_t last;
    int64_t last_id; //  of the rows stored in the order they were put
} s_channel_t;

//  The sure push of one lane.
typedef struct {
    int64_t ids[1 << 16]; //  rows by sequence - first
    uint64_t epoch;
    uint64_t first;
    uint64_t accepted;    //  next sequence to be taken
    uint64_t transmitted; //  next sequence to be sent to the relay
    uint64_t confirmed;
    int channel;
    bool is_attached;
    bool is_final;
    bool has_refused; //  the row that is next
} s_push_t;

typedef struct {
    bool is_running;
    bool is_frozen;
    sqlite3 *database;
    yami_outbox_driver_t driver;
} s_dispatcher_t;

static const char *const s_names[S_CHANNELS] = {"orders", "bills", "points"};
static s_channel_t s_channels[S_CHANNELS];
static s_dispatcher_t s_dispatchers[S_DISPATCHERS];
static uint8_t s_stored[S_ROWS]; //  how often, by id
static bool s_was_late[S_ROWS];  //  failed once with nobody knowing, and put back
static bool s_was_back[S_ROWS];  //  was put back
static bool s_is_healing;
static sqlite3 *s_locker;
static bool s_is_locked;
static int64_t s_now_ms;
static int64_t s_wall_ms;
static int64_t s_last_id;
static uint64_t s_random;

static uint64_t
s_draw(uint64_t limit)
{
    s_random ^= s_random << 13;
    s_random ^= s_random >> 7;
    s_random ^= s_random << 17;
    return s_random % limit;
}

//  -- The relay -----------------------------------------------------------------------------------

static void
s_store(s_channel_t *channel, uint64_t sequence, int64_t id)
{
    channel->last = sequence;
    assert_in_range(id, 1, s_last_id); //  committed, or it could not be read
    s_stored[id]++;
    if (!s_was_back[id]) {
        assert_true(id > channel->last_id);
        channel->last_id = id;
    }
}

//  Whether the relay knows the push's producer by this epoch still.
static bool
s_is_fenced(const s_push_t *push)
{
    return push->epoch < s_channels[push->channel].epoch;
}

static void
s_end(s_dispatcher_t *dispatcher, yami_outbox_lane_t *lane, uint64_t sequence, yam_status_t status)
{
    s_push_t *push = lane->shell;
    yami_outbox_refusal_t refusal = {sequence, sequence, status, "no"};
    push->is_final = true;
    push->is_attached = false;
    yami_outbox_core_detached(lane);
    yami_outbox_core_final(&dispatcher->driver.core, s_now_ms, lane, &refusal);
}

//  What the real relay does with ATTACH.
static void
s_attach(s_dispatcher_t *dispatcher, yami_outbox_lane_t *lane)
{
    s_push_t *push = lane->shell;
    s_channel_t *channel = &s_channels[push->channel];
    if (s_is_fenced(push)) {
        s_end(dispatcher, lane, 0, YAM_STATUS_FENCED);
        return;
    }
    if (push->epoch > channel->epoch) {
        channel->epoch = push->epoch;
        channel->last = 0;
    }
    uint64_t settled = push->confirmed;
    channel->last = settled > channel->last ? settled : channel->last;
    push->transmitted = settled + 1;
    push->is_attached = true;
    yami_outbox_core_attached(&dispatcher->driver.core, s_now_ms, lane, channel->last,
                              YAM_LEVEL_SYNCED);
}

//  Some of what the push holds reaches the relay.
static void
s_transmit(s_dispatcher_t *dispatcher, yami_outbox_lane_t *lane)
{
    s_push_t *push = lane->shell;
    s_channel_t *channel = &s_channels[push->channel];
    uint64_t count = s_is_healing ? UINT64_MAX : s_draw(20);
    for (; push->is_attached && count > 0 && push->transmitted < push->accepted; count--) {
        uint64_t sequence = push->transmitted;
        int64_t id = push->ids[sequence - push->first];
        if (s_is_fenced(push)) {
            s_end(dispatcher, lane, 0, YAM_STATUS_FENCED);
        } else if (sequence <= channel->last) {
            push->transmitted++; //  known
        } else if (id % S_POISON == 0) {
            s_end(dispatcher, lane, sequence, YAM_STATUS_TOO_BIG);
        } else {
            assert_int_equal(sequence, channel->last + 1);
            s_store(channel, sequence, id);
            push->transmitted++;
        }
    }
}

static void
s_confirm(yami_outbox_lane_t *lane)
{
    s_push_t *push = lane->shell;
    if (push->is_attached && push->transmitted - 1 > push->confirmed) {
        push->confirmed = push->transmitted - 1;
        yami_outbox_core_confirmed(lane, s_now_ms, push->confirmed);
    }
}

//  -- Dispatchers ---------------------------------------------------------------------------------

static int
s_channel(const char *name)
{
    for (int channel = 0; channel < S_CHANNELS; channel++) {
        if (strcmp(s_names[channel], name) == 0) {
            return channel;
        }
    }
    fail_msg("there is no channel %s", name);
    return 0;
}

static void
s_open(s_dispatcher_t *dispatcher, const yami_outbox_output_t *output)
{
    s_push_t *push = yami_alloc(sizeof *push);
    push->epoch = output->lane->seen.epoch;
    push->first = push->accepted = push->transmitted = output->first;
    push->confirmed = output->first - 1;
    push->channel = s_channel(output->lane->seen.channel);
    output->lane->shell = push;
    yami_outbox_core_opened(&dispatcher->driver.core, s_now_ms, output->lane, true);
}

static void
s_close(s_dispatcher_t *dispatcher, yami_outbox_lane_t *lane)
{
    yami_free(lane->shell);
    lane->shell = NULL;
    yami_outbox_core_closed(&dispatcher->driver.core, lane);
}

static int
s_take_row(void *arg, const yam_outbox_entry_t *entry)
{
    s_push_t *push = arg;
    assert_int_equal(entry->sequence, push->accepted);
    push->has_refused = entry->id % S_UNFIT == 0;
    if (push->has_refused) {
        return 1;
    }
    push->ids[push->accepted - push->first] = entry->id;
    push->accepted++;
    return 0;
}

static void
s_send(s_dispatcher_t *dispatcher, const yami_outbox_output_t *output)
{
    s_push_t *push = output->lane->shell;
    yami_outbox_driver_t *driver = &dispatcher->driver;
    uint64_t last = output->last;
    uint64_t first = push->accepted;
    bool has_failed = s_draw(64) == 0;
    if (has_failed || s_draw(8) == 0) {
        last = output->first + s_draw(output->last - output->first + 1); //  its window is full
    }
    int64_t rows = has_failed && last == output->last
                       ? -1
                       : driver->db->read(driver->database, output->lane->seen.lane, output->first,
                                          last, s_take_row, push);
    if (rows == -1 || has_failed) {
        yami_outbox_core_sent(&driver->core, s_now_ms, s_wall_ms, output, push->accepted - first,
                              false);
        yami_outbox_core_troubled(&driver->core, s_now_ms);
    } else if (push->has_refused) {
        yami_outbox_refusal_t refusal = {push->accepted, push->accepted, YAM_STATUS_MALFORMED,
                                         "unfit"};
        yami_outbox_core_sent(&driver->core, s_now_ms, s_wall_ms, output, push->accepted - first,
                              false);
        yami_outbox_core_refused(output->lane, &refusal);
    } else if (push->accepted <= last) {
        yami_outbox_core_lost(&driver->core, s_now_ms, output->lane);
    } else {
        yami_outbox_core_sent(&driver->core, s_now_ms, s_wall_ms, output, last - first + 1,
                              last < output->last);
    }
}

static void
s_turn(s_dispatcher_t *dispatcher)
{
    yami_outbox_output_t output;
    (void) yami_outbox_driver_turn(&dispatcher->driver, s_now_ms, s_wall_ms);
    yami_outbox_core_check(&dispatcher->driver.core);
    for (int count = 0; count < 10; count++) {
        if (!yami_outbox_core_output(&dispatcher->driver.core, s_now_ms, &output)) {
            break;
        }
        if (output.action == YAMI_OUTBOX_DO_OPEN) {
            s_open(dispatcher, &output);
        } else if (output.action == YAMI_OUTBOX_DO_CLOSE) {
            s_close(dispatcher, output.lane);
        } else {
            s_send(dispatcher, &output);
        }
        yami_outbox_core_check(&dispatcher->driver.core);
    }
}

static void
s_start(s_dispatcher_t *dispatcher)
{
    yami_outbox_core_options_t options = {
        .limit_ms = S_LIMIT_MS,
        .try_limit = 3,
        .lease_ms = S_LEASE_MS,
        .keep_ms = INT32_MAX,
        .batch = 50,
    };
    dispatcher->database = outbox_open();
    (void) sqlite3_busy_timeout(dispatcher->database, 0);
    outbox_run(dispatcher->database, "PRAGMA synchronous = OFF");
    void *provider = yami_outbox_sqlite.open(dispatcher->database, "yam_outbox");
    assert_non_null(provider);
    yami_outbox_driver_init(&dispatcher->driver, &yami_outbox_sqlite, provider, &options,
                            1 + s_draw(INT64_MAX - 1));
    dispatcher->is_running = true;
    dispatcher->is_frozen = false;
}

static void
s_kill(s_dispatcher_t *dispatcher)
{
    for (size_t index = 0; index < dispatcher->driver.core.lane_count; index++) {
        yami_free(dispatcher->driver.core.lanes[index]->shell);
    }
    yami_outbox_driver_clear(&dispatcher->driver);
    assert_int_equal(sqlite3_close(dispatcher->database), SQLITE_OK);
    dispatcher->is_running = false;
}

//  A lane of it that has a push, or NULL.
static yami_outbox_lane_t *
s_any_lane(const s_dispatcher_t *dispatcher)
{
    const yami_outbox_core_t *core = &dispatcher->driver.core;
    yami_outbox_lane_t *lane = core->lane_count > 0 ? core->lanes[s_draw(core->lane_count)] : NULL;
    return lane != NULL && lane->shell != NULL && !((s_push_t *) lane->shell)->is_final ? lane
                                                                                        : NULL;
}

static void
s_move_push(s_dispatcher_t *dispatcher, yami_outbox_lane_t *lane)
{
    s_push_t *push = lane->shell;
    if (s_is_healing) {
        yami_outbox_core_pressed(lane, s_now_ms, false);
    }
    switch (s_draw(s_is_healing ? 3 : 5)) {
    case 0:
        if (!push->is_attached) {
            s_attach(dispatcher, lane);
        }
        break;
    case 1:
        s_transmit(dispatcher, lane);
        break;
    case 2:
        s_confirm(lane);
        break;
    case 3: //  whatever was on its way is lost, confirms, too
        if (push->is_attached && s_draw(4) == 0) {
            push->is_attached = false;
            yami_outbox_core_detached(lane);
        }
        break;
    default:
        yami_outbox_core_pressed(lane, s_now_ms, s_draw(8) == 0);
    }
}

//  -- Applications and people ---------------------------------------------------------------------

static void
s_put(void)
{
    bool is_rolled_back = s_draw(5) == 0;
    if (s_is_locked) {
        return;
    }
    outbox_run(outbox_database, "BEGIN IMMEDIATE");
    int64_t id = 0;
    for (uint64_t count = s_draw(40); count > 0; count--) {
        id = outbox_put(s_names[s_draw(S_CHANNELS)], "x", NULL);
        assert_in_range(id, 1, S_ROWS - 1);
    }
    outbox_run(outbox_database, is_rolled_back ? "ROLLBACK" : "COMMIT");
    s_last_id = is_rolled_back || id == 0 ? s_last_id : id;
}

//  The state of a row, and why it failed.
static int
s_look(void *arg, const yam_outbox_row_t *row)
{
    *(yam_outbox_row_t *) arg = *row;
    return 1;
}

static yam_outbox_row_t
s_row(int64_t id)
{
    yam_outbox_row_t row = {.id = 0};
    assert_int_equal(yam_outbox_rows(outbox, -1, NULL, id - 1, 1, s_look, &row), 1);
    assert_int_equal(row.id, id);
    return row;
}

static void
s_compensate(void)
{
    if (s_last_id == 0 || s_is_locked) {
        return;
    }
    int64_t id = 1 + (int64_t) s_draw((uint64_t) s_last_id);
    yam_outbox_row_t row = s_row(id);
    if (s_draw(2) == 0) {
        (void) yam_outbox_cancel(outbox, id);
    } else if (yam_outbox_retry(outbox, id) == 1) {
        s_was_back[id] = true;
        s_was_late[id] = s_was_late[id] || row.status == YAM_STATUS_TIMEOUT;
    }
}

static void
s_lock(bool is_locked)
{
    if (is_locked != s_is_locked) {
        outbox_run(s_locker, is_locked ? "BEGIN IMMEDIATE" : "COMMIT");
        s_is_locked = is_locked;
    }
}

//  -- The test ------------------------------------------------------------------------------------

//  While all heals no lease ends: a lane that is stuck is not saved by another dispatcher.
static void
s_pass_time(void)
{
    s_now_ms += (int64_t) s_draw(s_is_healing ? 4 : s_draw(60) == 0 ? S_LIMIT_MS : 20);
    s_wall_ms += (int64_t) s_draw(100) * (s_draw(20) == 0 ? -36000 : 1);
}

static void
s_move_dispatcher(s_dispatcher_t *dispatcher)
{
    if (!dispatcher->is_running) {
        if (s_is_healing || s_draw(10) == 0) {
            s_start(dispatcher);
        }
        return;
    }
    if (s_is_healing || s_draw(50) == 0) {
        dispatcher->is_frozen = !s_is_healing && !dispatcher->is_frozen;
    }
    if (!s_is_healing && s_draw(300) == 0) {
        s_kill(dispatcher);
        return;
    }
    if (dispatcher->is_frozen) {
        return;
    }
    yami_outbox_lane_t *lane = s_any_lane(dispatcher);
    if (lane != NULL) {
        s_move_push(dispatcher, lane);
    }
    if (s_draw(2) == 0) {
        s_turn(dispatcher);
    }
}

static void
s_step(void)
{
    s_pass_time();
    if (!s_is_healing) {
        switch (s_draw(40)) {
        case 0:
        case 1:
            s_put();
            break;
        case 2:
            s_compensate();
            break;
        case 3:
            s_lock(s_draw(4) == 0);
            break;
        default:
            break;
        }
    }
    s_move_dispatcher(&s_dispatchers[s_draw(S_DISPATCHERS)]);
}

static bool
s_is_settled(void)
{
    return outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 0") == 0 &&
           outbox_number("SELECT count(*) FROM yam_outbox_flight") == 0;
}

//  What the dispatchers think, for whoever looks at a failure.
static void
s_tell(void)
{
    for (int number = 0; number < S_DISPATCHERS; number++) {
        const yami_outbox_core_t *core = &s_dispatchers[number].driver.core;
        for (size_t index = 0; s_dispatchers[number].is_running && index < core->lane_count;
             index++) {
            const yami_outbox_lane_t *lane = core->lanes[index];
            (void) printf(
                "dispatcher %d lane %s: ours %d sender %d attached %d flights %zu next %d "
                "confirmed %d loaded %d drained %d close %d renumber %d work %d\n",
                number, lane->seen.channel, lane->is_ours, (int) lane->sender, lane->is_attached,
                lane->flight_count, (int) lane->next, (int) lane->confirmed, (int) lane->loaded,
                lane->is_drained, lane->must_close, lane->must_renumber, lane->seen.has_work);
        }
    }
}

//  Everything heals; then nothing may be stuck.
static void
s_heal(void)
{
    s_is_healing = true;
    s_lock(false);
    for (int steps = 0; !s_is_settled(); steps += 50) {
        if (steps > 200000) {
            s_tell();
            fail_msg("rows are stuck");
        }
        for (int count = 0; count < 50; count++) {
            s_step();
        }
    }
    s_is_healing = false;
}

static int
s_audit(void *arg, const yam_outbox_row_t *row)
{
    int *audited = arg;
    (*audited)++;
    uint8_t stored = s_stored[row->id];
    bool is_vague = s_was_late[row->id];
    assert_true(row->id % S_UNFIT != 0 || row->state != YAM_OUTBOX_DELIVERED);
    if (row->state == YAM_OUTBOX_DELIVERED) {
        assert_in_range(stored, 1, is_vague ? 255 : 1);
    } else if (row->state == YAM_OUTBOX_FAILED) {
        assert_in_range(stored, 0, is_vague || row->status == YAM_STATUS_TIMEOUT ? 255 : 0);
        assert_true(row->try_count > 0 && *row->reason != 0);
    } else {
        assert_int_equal(row->state, YAM_OUTBOX_CANCELLED);
        assert_in_range(stored, 0, is_vague || row->status == YAM_STATUS_TIMEOUT ? 255 : 0);
    }
    return 0;
}

static void
s_begin(void)
{
    const char *seed = getenv("SEED");
    s_random = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    s_random = s_random * 0x9e3779b97f4a7c15u + 1;
    outbox_run(outbox_database, "PRAGMA synchronous = OFF");
    s_locker = outbox_open();
    s_now_ms = 1000;
    s_wall_ms = 1700000000000;
}

static void
s_finish(void)
{
    for (int index = 0; index < S_DISPATCHERS; index++) {
        if (s_dispatchers[index].is_running) {
            s_kill(&s_dispatchers[index]);
        }
    }
    assert_int_equal(sqlite3_close(s_locker), SQLITE_OK);
}

static void
test_every_row_ends_delivered_once_or_failed_whatever_happens(void **state)
{
    (void) state;
    const char *text = getenv("STEPS");
    long steps = text != NULL ? strtol(text, NULL, 10) : S_STEPS;
    s_begin();
    for (long step = 0; step < steps && s_last_id < S_ROWS - 100; step++) {
        s_step();
        if (step % S_ROUND == S_ROUND - 1) {
            s_heal();
        }
    }
    s_heal();
    int audited = 0;
    assert_int_equal(yam_outbox_rows(outbox, -1, NULL, 0, S_ROWS, s_audit, &audited),
                     outbox_number("SELECT count(*) FROM yam_outbox"));
    assert_true(audited > 100);
    (void) printf("%d rows: %d delivered, %d failed (%d late), %d cancelled\n", audited,
                  (int) outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"),
                  (int) outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 2"),
                  (int) outbox_number("SELECT count(*) FROM yam_outbox_failed WHERE status = 15"),
                  (int) outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 3"));
    s_finish();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_TEST(test_every_row_ends_delivered_once_or_failed_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
