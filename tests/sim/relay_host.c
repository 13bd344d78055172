//  A relay's life. See relay_host.h.
//  One file: turns, commits, crashes and starts schedule each other; nobody else calls them.

#include "relay_host.h"

#include <errno.h>
#include <string.h>

#include "log_check.h"
#include "shortage.h"
#include "yam_error.h"
#include "yam_status.h"
#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_relay_state.h"

#define IDLE_TURN_US 1000000
#define TURN_DELAY_MAX_US 50
#define WRITE_MAX_US 1500
#define SYNC_MAX_US 4000
#define COMMIT_AGAIN_US 100000 //  when there was no space
#define FILL_AGAIN_US 100000   //  the same
#define DOWN_MIN_US 5000
#define DOWN_MAX_US 400000
#define STOP_MAX_US 500000
#define RUNS_MOST 8

static void
s_turn(void *arg, uint64_t life);

//  -- Time

static bool
s_is_frozen(const relay_host_t *self)
{
    return self->world->now_us < self->frozen_us;
}

static void
s_turn_after(relay_host_t *self, int64_t delay_us)
{
    int64_t at_us = self->world->now_us + delay_us;
    at_us = at_us < self->frozen_us ? self->frozen_us : at_us;
    if (at_us < self->turn_us) {
        self->turn_us = at_us;
        world_after(self->world, at_us - self->world->now_us, s_turn, self, self->life);
    }
}

//  -- What the driver asks for

//  Shows the oracle what the relay says.
static void
s_show(relay_host_t *self, uint64_t link, yami_block_t *block, yami_block_t *data, bool is_sent)
{
    yami_frame_t frame;
    yami_batch_t batch;
    if (yami_frame_decode(&frame, block->data, block->size) == -1 ||
        (data != NULL && yami_batch_decode(&batch, data->data, data->size) == -1)) {
        world_fail(self->world, "frame", "the relay sends what nobody can decode");
        return;
    }
    world_trace(self->world, is_sent ? "to-link" : "to-nobody", link,
                yami_frame_type_name(frame.type), data != NULL ? frame.first : frame.sequence,
                data != NULL ? frame.last : frame.serial, frame.status);
    if (data != NULL) {
        oracle_relay_delivers(self->oracle, link, &frame, &batch, is_sent);
    } else if (is_sent) {
        oracle_relay_sends(self->oracle, link, &frame);
    }
}

//  Whoever relies on what the relay says shall be able to, whatever happens right after.
static void
s_count_promise(relay_host_t *self, const yami_block_t *block, bool is_delivery)
{
    yami_frame_t frame;
    bool is_promise = yami_frame_decode(&frame, block->data, block->size) == 0 &&
                      (is_delivery || frame.type == YAMI_FRAME_CONFIRM ||
                       frame.type == YAMI_FRAME_ATTACHED || frame.type == YAMI_FRAME_ACKED);
    if (is_promise && self->crash_after_promises > 0 && --self->crash_after_promises == 0) {
        self->crash_is_power = true;
        self->crash_is_heard = true;
        self->crash_in_steps = 1;
    }
}

//  A link that was forgotten meanwhile gets nothing, but the core had counted on it.
static int
s_send(void *arg, uint64_t peer, yami_block_t *block, yami_block_t *data)
{
    relay_host_t *self = arg;
    relay_host_peer_t known = self->peers[peer - 1];
    yami_alloc_pause(true);
    s_show(self, known.link, block, data, !known.is_forgotten);
    s_count_promise(self, block, data != NULL);
    int rc = known.is_forgotten ? 0 : network_answer(self->network, known.link, block, data);
    yami_alloc_pause(false);
    return rc;
}

static void
s_close(void *arg, uint64_t peer)
{
    relay_host_t *self = arg;
    relay_host_peer_t *known = &self->peers[peer - 1];
    yami_alloc_pause(true);
    if (!known->is_forgotten) {
        oracle_relay_drops(self->oracle, known->link);
        known->is_forgotten = true;
    }
    yami_alloc_pause(false);
}

static void
s_log(void *arg, yami_log_level_t level, const char *event, const char *text)
{
    relay_host_t *self = arg;
    world_trace(self->world, "relay", self->life, event, (uint64_t) level, 0, 0);
    if (self->world->trace != NULL) {
        (void) fprintf(self->world->trace, "           %s\n", text);
    }
}

static int64_t
s_mono_ms(void *arg)
{
    return world_ms(((relay_host_t *) arg)->world);
}

static int64_t
s_wall_ms(void *arg)
{
    const relay_host_t *self = arg;
    int64_t wall_ms = self->world->wall_ms + world_ms(self->world);
    oracle_relay_sees_time(self->oracle, wall_ms);
    return wall_ms;
}

static const yami_relay_driver_ops_t s_driver_ops = {
    .send = s_send, .close = s_close, .log = s_log, .mono_ms = s_mono_ms, .wall_ms = s_wall_ms};

//  -- The end of a life

static void
s_restart(void *arg, uint64_t life)
{
    relay_host_t *self = arg;
    if (life == self->life) {
        relay_host_start(self);
    }
}

static void
s_start_later(relay_host_t *self)
{
    world_after(self->world, world_between(&self->random, DOWN_MIN_US, DOWN_MAX_US), s_restart,
                self, self->life);
}

//  The process is gone; what its store had not written yet is lost with it, unless is_clean.
static void
s_bury(relay_host_t *self, bool is_clean)
{
    self->is_up = false;
    self->is_stopping = false;
    self->crash_in_steps = 0;
    self->turn_us = INT64_MAX;
    if (!is_clean && !sim_disk_is_dead(self->disk)) {
        sim_disk_die_after(self->disk, 1);
    }
    if (self->store != NULL) {
        (void) self->store->ops->close(&self->store);
        yami_relay_driver_clear(&self->driver);
    }
    yami_relay_core_destroy(&self->core);
    network_relay_gone(self->network, is_clean || self->crash_is_heard);
    self->crash_is_heard = false;
    self->crash_after_promises = 0;
    oracle_relay_crashes(self->oracle);
    s_start_later(self);
}

void
relay_host_crash(relay_host_t *self, bool is_power)
{
    if (!self->is_up) {
        return;
    }
    world_trace(self->world, "relay", self->life, is_power ? "power-lost" : "killed", 0, 0, 0);
    self->crash_count++;
    s_bury(self, false);
    if (is_power) {
        sim_disk_crash(self->disk);
    } else {
        sim_disk_revive(self->disk);
    }
}

//  There is no going on without memory: no function returns, nothing is closed.
static void
s_starve(relay_host_t *self)
{
    world_trace(self->world, "relay", self->life, "starved", 0, 0, 0);
    self->crash_count++;
    self->starved_count++;
    self->driver.core = self->core;
    shortage_bury(&self->driver, sizeof self->driver);
    self->core = NULL;
    self->store = NULL;
    sim_disk_abandon(self->disk);
    s_bury(self, false);
    sim_disk_revive(self->disk);
}

//  A segment that was begun in this step is written by a commit to come.
static void
s_watch_segments(relay_host_t *self)
{
    uint64_t newest = log_newest_segment(self->store);
    if (newest > self->newest_segment && self->segment_dies_at > 0) {
        sim_disk_die_after(self->disk, self->segment_dies_at);
        self->segment_dies_at = 0;
    }
    self->newest_segment = newest;
}

//  The thread that commits waits for no step: it may have taken what this one has appended so far
//  when the process dies.
static void
s_commit_amid(relay_host_t *self)
{
    uint64_t lsn;
    if (self->segment_dies_at > 0 && self->segment_dies_amid &&
        log_newest_segment(self->store) > self->newest_segment) {
        (void) self->store->ops->commit(self->store, &lsn);
        self->segment_dies_at = 0;
        self->crash_in_steps = 1;
    }
}

//  After each step: did it die in it, or is it time to?
static void
s_after_step(relay_host_t *self)
{
    if (sim_disk_is_dead(self->disk)) {
        relay_host_crash(self, self->crash_is_power);
        return;
    }
    yami_relay_core_check(self->core);
    log_check(self->store);
    s_watch_segments(self);
    if (self->crash_in_steps > 0 && --self->crash_in_steps == 0) {
        relay_host_crash(self, self->crash_is_power);
    }
}

//  -- Steps

//  Runs what the process does in one event, perhaps with too little memory.
static shortage_t
s_run(relay_host_t *self, void (*part)(void *arg), void *arg)
{
    if (self->alloc_fails_at < 0) {
        part(arg);
        return SHORTAGE_NONE;
    }
    shortage_t shortage = shortage_run(self->alloc_fails_at, part, arg);
    if (shortage != SHORTAGE_NONE) {
        self->alloc_fails_at = -1;
        self->shortage_count++;
        world_trace(self->world, "relay", self->life, "out-of-memory", shortage, 0, 0);
    }
    if (shortage == SHORTAGE_DIED) {
        s_starve(self);
    }
    return shortage;
}

static uint64_t
s_peer(relay_host_t *self, uint64_t link)
{
    for (size_t peer = self->peer_count; peer > 0; peer--) {
        const relay_host_peer_t *known = &self->peers[peer - 1];
        if (known->link == link && !known->is_forgotten) {
            return peer;
        }
    }
    int rc = yami_grow(&self->peers, &self->peer_capacity, self->peer_count + 1,
                       sizeof *self->peers, SIZE_MAX);
    YAM_ASSERT(rc == 0);
    self->peers[self->peer_count++] = (relay_host_peer_t) {.link = link};
    return self->peer_count;
}

//  Shows the oracle what the relay is about to take.
static void
s_show_taken(relay_host_t *self, uint64_t link, const yami_block_t *block)
{
    yami_frame_t frame;
    yami_batch_t batch;
    if (yami_batch_decode(&batch, block->data, block->size) == 0) {
        oracle_relay_takes_batch(self->oracle, link, &batch);
        return;
    }
    if (yami_frame_decode(&frame, block->data, block->size) == -1) {
        oracle_relay_hears(self->oracle, link);
        return;
    }
    yami_settle_t range = {.first = frame.messages};
    size_t offset = 0;
    (void) yami_frame_range(&frame, &offset, &range);
    world_trace(self->world, "from-link", link, yami_frame_type_name(frame.type), frame.serial,
                range.first, range.last);
    oracle_relay_takes(self->oracle, link, &frame);
}

//  A frame for the driver.
typedef struct {
    relay_host_t *host;
    uint64_t peer;
    yami_block_t *block; //  borrowed
} s_frame_t;

static void
s_take_frame(void *arg)
{
    const s_frame_t *frame = arg;
    yami_relay_driver_frame(&frame->host->driver, frame->peer, frame->block);
    s_commit_amid(frame->host);
    yami_relay_driver_checkpoint(&frame->host->driver);
}

static void
s_arrive(void *arg, uint64_t link, yami_block_t *block)
{
    relay_host_t *self = arg;
    s_frame_t frame = {.host = self, .peer = s_peer(self, link), .block = block};
    s_show_taken(self, link, block);
    shortage_t shortage = s_run(self, s_take_frame, &frame);
    if (shortage == SHORTAGE_DIED) {
        shortage_bury(&frame, sizeof frame); //  its stack may have held the block
        return;
    }
    oracle_relay_took(self->oracle, link, shortage == SHORTAGE_NONE);
    s_turn_after(self, world_between(&self->random, 0, TURN_DELAY_MAX_US));
    s_after_step(self);
}

//  How long the disk takes for something, on a bad day.
static int64_t
s_disk_us(relay_host_t *self, int64_t most_us)
{
    bool is_slow = self->world->now_us < self->slow_disk_us;
    return world_between(&self->random, 0, is_slow ? self->slow_disk_by_us : most_us);
}

static void
s_commit_done(void *arg, uint64_t life)
{
    relay_host_t *self = arg;
    if (life != self->life || !self->is_up) {
        return;
    }
    if (s_is_frozen(self)) {
        world_after(self->world, self->frozen_us - self->world->now_us, s_commit_done, self, life);
        return;
    }
    self->is_committing = false;
    self->committed_lsn = self->committing_lsn;
    self->commit_error = self->committing_error;
    s_turn_after(self, 0);
}

static void
s_write(void *arg)
{
    relay_host_t *self = arg;
    int rc = self->store->ops->commit(self->store, &self->committing_lsn);
    self->committing_error = rc == -1 ? (errno == 0 ? EIO : errno) : 0;
}

//  One write and one sync, in one moment: what happens between them is up to the disk's faults.
static void
s_commit(void *arg, uint64_t life)
{
    relay_host_t *self = arg;
    if (life != self->life || !self->is_up) {
        return;
    }
    if (s_is_frozen(self)) {
        world_after(self->world, self->frozen_us - self->world->now_us, s_commit, self, life);
        return;
    }
    if (s_run(self, s_write, self) == SHORTAGE_DIED) {
        return;
    }
    world_trace(self->world, "relay", self->life, "commit", self->committing_lsn,
                (uint64_t) self->committing_error, 0);
    int64_t delay_us = s_disk_us(self, SYNC_MAX_US);
    if (self->committing_error == 0 && self->committing_lsn < self->driver.kicked_lsn) {
        delay_us = COMMIT_AGAIN_US;
    }
    world_after(self->world, delay_us, s_commit_done, self, self->life);
    s_after_step(self);
}

//  What found no space is tried again without a word, as the commit thread does.
static void
s_kick(relay_host_t *self)
{
    if (self->is_committing || self->commit_error != 0) {
        return;
    }
    uint64_t lsn;
    if (yami_relay_driver_wants_commit(&self->driver, &lsn) || lsn > self->committed_lsn) {
        self->is_committing = true;
        world_after(self->world, s_disk_us(self, WRITE_MAX_US), s_commit, self, self->life);
    }
}

static void
s_fill_now(void *arg)
{
    log_fill(((relay_host_t *) arg)->store);
}

//  The thread that fills segments: it tells nobody.
static void
s_fill(void *arg, uint64_t life)
{
    relay_host_t *self = arg;
    if (life != self->life || !self->is_up) {
        return;
    }
    if (s_is_frozen(self)) {
        world_after(self->world, self->frozen_us - self->world->now_us, s_fill, self, life);
        return;
    }
    self->is_filling = false;
    if (s_run(self, s_fill_now, self) != SHORTAGE_DIED) {
        s_after_step(self);
    }
}

static void
s_fill_later(relay_host_t *self)
{
    if (!self->is_filling && !self->store->ops->has_room(self->store)) {
        self->is_filling = true;
        world_after(self->world, FILL_AGAIN_US, s_fill, self, self->life);
    }
}

//  SIGTERM: ends when nothing is leased any more, or its time is over.
static void
s_stop_when_idle(relay_host_t *self)
{
    if (!yami_relay_driver_is_idle(&self->driver) && self->world->now_us < self->stop_us) {
        s_turn_after(self, 10000);
        return;
    }
    yami_relay_event_t close = {.type = YAMI_EVENT_CLOSE};
    yami_relay_driver_event(&self->driver, &close);
    world_trace(self->world, "relay", self->life, "stopped", 0, 0, 0);
    s_bury(self, true);
    sim_disk_revive(self->disk);
}

static void
s_serve(void *arg)
{
    relay_host_t *self = arg;
    yami_relay_driver_durable(&self->driver, self->commit_error, self->committed_lsn);
    oracle_relay_turns(self->oracle);
    yami_relay_event_t turn = {.type = YAMI_EVENT_TURN};
    yami_relay_driver_event(&self->driver, &turn);
    s_commit_amid(self);
    yami_relay_driver_checkpoint(&self->driver);
}

//  The loop of the shell's core thread, once round.
static void
s_turn(void *arg, uint64_t life)
{
    relay_host_t *self = arg;
    if (life != self->life || !self->is_up || self->world->now_us != self->turn_us) {
        return;
    }
    self->turn_us = INT64_MAX;
    if (s_is_frozen(self)) {
        s_turn_after(self, 0);
        return;
    }
    if (s_run(self, s_serve, self) == SHORTAGE_DIED) {
        return;
    }
    s_kick(self);
    s_fill_later(self);
    int64_t wait_us = yami_relay_core_deadline(self->core) == INT64_MAX
                          ? IDLE_TURN_US
                          : yami_relay_core_deadline(self->core) * 1000 - self->world->now_us;
    wait_us = wait_us < 0 ? 0 : wait_us > IDLE_TURN_US ? IDLE_TURN_US : wait_us;
    s_turn_after(self, wait_us > 0 ? wait_us : 1);
    if (self->driver.has_told_failure) {
        relay_host_crash(self, false); //  its supervisor starts it anew
        return;
    }
    if (self->is_stopping) {
        s_stop_when_idle(self);
    }
    if (self->is_up) {
        s_after_step(self);
    }
}

//  -- The beginning of a life

static int
s_replay(void *arg, const yami_entry_t *entry)
{
    relay_host_t *self = arg;
    return yami_relay_core_replay(self->core, entry);
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    relay_host_t *self = arg;
    if (!damage->is_torn_tail) {
        world_fail(self->world, "damage", "recovery finds damage: %s, segment %llu at %llu",
                   damage->what, (unsigned long long) damage->segment,
                   (unsigned long long) damage->offset);
    }
}

//  The log could not be opened: by a planned fault only.
static void
s_not_opened(relay_host_t *self, int error)
{
    bool is_planned = error == EIO || error == ENOSPC || error == EMFILE || error == ENOMEM;
    if (!is_planned || self->is_calm) {
        world_fail(self->world, "recovery", "the store cannot be opened: %s", yam_error());
    }
    world_trace(self->world, "relay", self->life, "not-opened", (uint64_t) error, 0, 0);
    bool is_power = sim_disk_is_dead(self->disk) && self->crash_is_power;
    yami_relay_core_destroy(&self->core);
    if (is_power) {
        sim_disk_crash(self->disk);
    } else {
        sim_disk_revive(self->disk);
    }
    s_start_later(self);
}

static void
s_recover(void *arg)
{
    relay_host_t *self = arg;
    self->core = yami_relay_core_new(&self->options, YAM_LEVEL_SYNCED, "sim",
                                     world_mix(self->world->seed, self->life));
    //  Batches are small here: those of both kinds come in parts all the same.
    self->core->run_limit = 1 + world_mix(self->world->seed, self->life) % RUNS_MOST;
    self->store = yami_segment_log_open(sim_disk_attach(self->disk), &self->log_options, s_replay,
                                        s_damaged, self);
    self->open_error = self->store == NULL ? errno : 0;
}

void
relay_host_start(relay_host_t *self)
{
    self->life++;
    if (self->recovery_dies_at > 0) {
        sim_disk_die_after(self->disk, self->recovery_dies_at);
        self->recovery_dies_at = 0;
    }
    if (s_run(self, s_recover, self) == SHORTAGE_DIED) {
        return;
    }
    if (self->store == NULL) {
        s_not_opened(self, self->open_error);
        return;
    }
    self->peer_count = 0;
    yami_relay_driver_init(&self->driver, self->core, self->store, &s_driver_ops, self);
    self->newest_segment = log_newest_segment(self->store);
    self->committed_lsn = 0;
    self->is_committing = false;
    self->is_filling = false;
    self->commit_error = 0;
    self->turn_us = INT64_MAX;
    self->is_up = true;
    world_trace(self->world, "relay", self->life, "up", 0, 0, 0);
    s_turn_after(self, 0);
    s_after_step(self);
}

void
relay_host_stop(relay_host_t *self)
{
    if (self->is_up && !self->is_stopping) {
        self->is_stopping = true;
        self->stop_us = self->world->now_us + world_between(&self->random, 0, STOP_MAX_US);
        yami_relay_event_t drain = {.type = YAMI_EVENT_DRAIN};
        yami_relay_driver_event(&self->driver, &drain);
        s_turn_after(self, 0);
    }
}

void
relay_host_freeze(relay_host_t *self, int64_t until_us)
{
    self->frozen_us = until_us;
}

void
relay_host_calm(relay_host_t *self)
{
    self->is_calm = true;
    self->frozen_us = 0;
    self->slow_disk_us = 0;
    self->crash_after_promises = 0;
    self->crash_in_steps = 0;
    self->segment_dies_at = 0;
    self->recovery_dies_at = 0;
    self->alloc_fails_at = -1;
    sim_disk_set_free(self->disk, -1);
    sim_disk_deny_opens(self->disk, 0);
    if (!self->is_up || !sim_disk_is_dead(self->disk)) {
        sim_disk_revive(self->disk);
    }
    if (self->is_up) {
        s_turn_after(self, 0);
    }
}

void
relay_host_init(relay_host_t *self, world_t *world, oracle_t *oracle)
{
    *self = (relay_host_t) {.world = world,
                            .oracle = oracle,
                            .disk = sim_disk_new(world_mix(world->seed, 0x6469736b)),
                            .random = world_mix(world->seed, 0x686f7374),
                            .turn_us = INT64_MAX,
                            .alloc_fails_at = -1};
    yami_options_init(yami_relay_option_table, &self->options);
    yami_log_options_init(&self->log_options);
    self->log_options.is_threaded = false;
}

void
relay_host_clear(relay_host_t *self)
{
    if (self->store != NULL) {
        sim_disk_die_after(self->disk, 1);
        (void) self->store->ops->close(&self->store);
        yami_relay_driver_clear(&self->driver);
    }
    yami_relay_core_destroy(&self->core);
    yami_free(self->peers);
    sim_disk_destroy(&self->disk);
}

static int64_t
s_reads_at(const void *arg)
{
    return ((const relay_host_t *) arg)->frozen_us;
}

static bool
s_is_listening(const void *arg)
{
    return ((const relay_host_t *) arg)->is_up;
}

const network_relay_ops_t relay_host_network_ops = {
    .arrive = s_arrive, .reads_at = s_reads_at, .is_listening = s_is_listening};
