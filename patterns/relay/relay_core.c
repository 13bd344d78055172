#include "yami_relay_core.h"

#include <inttypes.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

//  Every owner may have one wake that counts, and four stale ones before they are swept.
#define S_WAKES_LIMIT                                                                              \
    (5 * ((size_t) YAMI_LIMIT_PEERS * (YAMI_LIMIT_HANDLES + 1) + YAMI_LIMIT_GROUPS) + 2048)
#define S_SLOW_MS 1000
#define S_ROOM_MS 10000 //  between two lines about a store that takes nothing

yami_relay_name_t
yami_relay_name(const void *text, size_t size)
{
    yami_relay_name_t name;
    YAM_ASSERT(size < sizeof name.text);
    if (size > 0) {
        memcpy(name.text, text, size);
    }
    name.text[size] = '\0';
    name.size = size;
    return name;
}

yami_frame_t
yami_relay_frame(yami_frame_type_t type, uint32_t handle)
{
    yami_frame_t frame = {.type = (uint8_t) type, .handle = handle};
    return frame;
}

yami_relay_core_t *
yami_relay_core_new(const yami_relay_options_t *options, int level, const char *name, uint64_t seed)
{
    YAM_ASSERT(options != NULL && name != NULL);
    yami_relay_core_t *self = yami_alloc(sizeof *self);
    self->options = options;
    self->level = level;
    size_t size = strlen(name);
    self->name = yami_relay_name(name, size < YAMI_LIMIT_NAME ? size : YAMI_LIMIT_NAME);
    self->seed = yami_relay_mix(seed);
    self->random = yami_relay_mix(seed + 1);
    yami_relay_map_t *maps[] = {&self->peers,         &self->handles,         &self->leases,
                                &self->channel_names, &self->channel_numbers, &self->groups,
                                &self->producer_keys};
    for (size_t index = 0; index < sizeof maps / sizeof maps[0]; index++) {
        yami_relay_map_init(maps[index], self->seed + index);
    }
    TAILQ_INIT(&self->producers);
    TAILQ_INIT(&self->jobs);
    TAILQ_INIT(&self->dirty_handles[YAMI_ROLE_PRODUCER]);
    TAILQ_INIT(&self->dirty_handles[YAMI_ROLE_CONSUMER]);
    TAILQ_INIT(&self->dirty_groups);
    TAILQ_INIT(&self->movers);
    TAILQ_INIT(&self->settled_groups);
    TAILQ_INIT(&self->dirty_channels);
    TAILQ_INIT(&self->cached_groups);
    TAILQ_INIT(&self->due_channels);
    self->due_ms = INT64_MAX;
    self->due_retry_ms = INT64_MAX;
    yami_heap_init(&self->wakes, S_WAKES_LIMIT);
    self->piece_limit = YAMI_LIMIT_PIECES;
    self->run_limit = YAMI_LIMIT_RUNS;
    self->budget = YAMI_RELAY_TURN_BYTES;
    self->has_said_room = true;
    return self;
}

void
yami_relay_core_destroy(yami_relay_core_t **self_p)
{
    YAM_ASSERT(self_p != NULL);
    yami_relay_core_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    yami_relay_effects_t ignored;
    yami_relay_effects_init(&ignored);
    self->effects = &ignored;
    yami_relay_jobs_clear(self);
    yami_relay_dues_clear(self);
    yami_relay_peers_clear(self);
    yami_relay_producers_clear(self);
    yami_relay_channels_clear(self);
    YAM_ASSERT(self->leases.count == 0 && self->handles.count == 0 && self->groups.count == 0);
    yami_relay_map_clear(&self->handles);
    yami_relay_map_clear(&self->leases);
    yami_relay_map_clear(&self->groups);
    yami_heap_clear(&self->wakes);
    yami_free(self->waits.items);
    yami_free(self->losts);
    yami_relay_effects_clear(&ignored);
    yami_free(self);
    *self_p = NULL;
}

void
yami_relay_core_lost(yami_relay_core_t *self, const yami_damage_t *damage)
{
    YAM_ASSERT(!self->has_started && damage != NULL);
    if (damage->is_torn_tail) {
        return;
    }
    if (damage->is_rest || yami_grow(&self->losts, &self->lost_capacity, self->lost_count + 1,
                                     sizeof *self->losts, YAMI_LIMIT_DAMAGES) == -1) {
        self->unnamed_losts += damage->is_rest ? damage->more : 1;
        self->has_unnamed_losts = true;
        return; //  what is not noted here is found when it is read
    }
    self->losts[self->lost_count++] = *damage;
}

static void
s_apply_losts(yami_relay_core_t *core)
{
    for (size_t index = 0; index < core->lost_count; index++) {
        const yami_damage_t *damage = &core->losts[index];
        bool is_repeated = index > 0 && damage->segment == damage[-1].segment &&
                           damage->offset == damage[-1].offset; //  for another channel
        core->damaged_ranges += is_repeated ? 0 : 1;
        yami_relay_damaged(core, damage);
    }
    if (core->has_unnamed_losts) {
        core->damaged_ranges += core->unnamed_losts;
        yami_relay_say(core, YAMI_LOG_ERROR, "relay.store-damaged",
                       "more=%" PRIu64 " what=\"more than can be named\"", core->unnamed_losts);
    }
    yami_free(core->losts);
    core->losts = NULL;
    core->lost_count = core->lost_capacity = 0;
}

//  What waits gets a time on the monotonic clock.
static void
s_start_group(yami_relay_core_t *core, yami_relay_group_t *group)
{
    yami_piece_t *piece;
    for (piece = yami_pieces_find(&group->pieces, 0); piece != NULL;
         piece = yami_pieces_next(piece)) {
        if (piece->state == YAMI_PIECE_WAITING) {
            int64_t left_ms = piece->due_ms - core->wall_ms;
            left_ms = left_ms < piece->wait_ms ? left_ms : piece->wait_ms; //  it was set back
            left_ms = left_ms < 0                     ? 0
                      : left_ms > YAMI_LIMIT_RETRY_MS ? YAMI_LIMIT_RETRY_MS
                                                      : left_ms;
            yami_relay_group_delay(core, group, piece, core->mono_ms + left_ms);
        }
    }
    yami_relay_group_touch(core, group);
}

//  Once, before the first event: replay knew no clock.
static void
s_start(yami_relay_core_t *core)
{
    core->has_started = true;
    core->start_ms = core->mono_ms;
    core->slow_ms = core->mono_ms;
    yami_relay_group_t *group;
    for (size_t index = 0; (group = yami_relay_map_next(&core->groups, &index)) != NULL;) {
        s_start_group(core, group);
    }
    s_apply_losts(core);
    yami_relay_channel_t *channel;
    for (size_t index = 0;
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        yami_relay_channel_touch(core, channel);
    }
}

static void
s_credit(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_handle_t *handle = yami_relay_handle_get(peer, frame->handle);
    if (handle == NULL || handle->role != YAMI_ROLE_CONSUMER) {
        yami_relay_peer_error(core, peer, frame->handle, YAM_STATUS_UNKNOWN,
                              "no such consumer handle");
        return;
    }
    yami_relay_handle_credit(core, handle, frame);
}

static void
s_detach(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_handle_t *handle = yami_relay_handle_get(peer, frame->handle);
    if (handle == NULL) {
        yami_relay_peer_error(core, peer, frame->handle, YAM_STATUS_UNKNOWN, "no such handle");
        return;
    }
    yami_relay_handle_detach(core, handle);
}

//  A frame within a session.
static void
s_session_frame(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    switch (frame->type) {
    case YAMI_FRAME_ATTACH:
        yami_relay_attach(core, peer, frame);
        break;
    case YAMI_FRAME_DETACH:
        s_detach(core, peer, frame);
        break;
    case YAMI_FRAME_CREDIT:
        s_credit(core, peer, frame);
        break;
    case YAMI_FRAME_ACK:
    case YAMI_FRAME_NACK:
    case YAMI_FRAME_EXTEND:
    case YAMI_FRAME_REJECT:
    case YAMI_FRAME_RELEASE:
        yami_relay_settle(core, peer, frame);
        break;
    case YAMI_FRAME_HEARTBEAT:
        break;
    case YAMI_FRAME_ERROR:
        core->errors++; //  never answered, or two ends could go on for ever
        break;
    case YAMI_FRAME_ADMIN:
        yami_relay_admin(core, peer, frame);
        break;
    case YAMI_FRAME_GOODBYE:
        yami_relay_peer_end(core, peer, true);
        break;
    default:
        (void) yami_relay_peer_fault(core, peer, frame->handle, YAM_STATUS_UNKNOWN,
                                     "not a client's frame");
        break;
    }
}

static void
s_from_peer(yami_relay_core_t *core, const yami_relay_event_t *event)
{
    yami_relay_peer_t *peer = yami_relay_peer_get(core, event->peer);
    if (peer == NULL) {
        return;
    }
    core->bytes_in += event->block != NULL ? event->block->size : 0;
    bool is_hello = event->type == YAMI_EVENT_FRAME && event->frame->type == YAMI_FRAME_HELLO;
    if (event->type == YAMI_EVENT_GARBAGE) {
        (void) yami_relay_peer_fault(core, peer, 0, event->status, yam_status_name(event->status));
    } else if (is_hello) {
        yami_relay_peer_hello(core, peer, event->frame);
    } else if (peer->session == 0) {
        //  No fault: after a restart of ours, what it had on its way to the one before comes here.
        yami_relay_peer_error(core, peer, 0, YAM_STATUS_NO_SESSION, "say HELLO first");
    } else if (event->type == YAMI_EVENT_BATCH) {
        yami_relay_batch(core, peer, event);
    } else {
        s_session_frame(core, peer, event->frame);
    }
}

static void
s_refuse_waiting(yami_relay_core_t *core, yami_relay_handle_t *handle)
{
    if (handle->role != YAMI_ROLE_PRODUCER || handle->last <= handle->confirmed) {
        return;
    }
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_REFUSE, handle->number);
    frame.present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS;
    frame.epoch = handle->epoch;
    frame.first = handle->confirmed + 1;
    frame.last = handle->last;
    frame.status = YAM_STATUS_STORAGE_FAILED;
    (void) yami_relay_send(core, handle->peer, &frame);
}

//  Promise 7: final. Everybody is told, nobody is served.
static void
s_fail(yami_relay_core_t *core)
{
    core->has_failed = true;
    yami_relay_jobs_clear(core);
    yami_relay_peer_t *peer;
    for (size_t index = 0; (peer = yami_relay_map_next(&core->peers, &index)) != NULL; index = 0) {
        while (!TAILQ_EMPTY(&peer->handles)) {
            yami_relay_handle_t *handle = TAILQ_FIRST(&peer->handles);
            s_refuse_waiting(core, handle);
            yami_relay_handle_end(core, handle, YAM_STATUS_STORAGE_FAILED, "the store failed");
        }
        yami_frame_t goodbye = yami_relay_frame(YAMI_FRAME_GOODBYE, 0);
        (void) yami_relay_send(core, peer, &goodbye);
        yami_relay_peer_end(core, peer, true);
    }
    for (size_t index = 0; index < core->waits.count; index++) {
        yami_relay_producer_t *producer = core->waits.items[core->waits.head + index].producer;
        if (producer != NULL) {
            producer->waiting--;
        }
    }
    core->waits.count = 0;
    core->waiting_bytes = 0;
}

//  What costs too much for every turn.
static void
s_slow(yami_relay_core_t *core)
{
    core->slow_ms = core->mono_ms;
    yami_relay_moves_late(core);
    yami_relay_channel_t *channel;
    for (size_t index = 0;
         core->topic_count > 0 &&
         (channel = yami_relay_map_next(&core->channel_numbers, &index)) != NULL;) {
        if (channel->kind == YAMI_KIND_TOPIC && channel->mark_count > 1) {
            yami_relay_channel_touch(core, channel);
        }
    }
}

static void
s_turn(yami_relay_core_t *core, const yami_relay_gauges_t *gauges)
{
    core->budget = YAMI_RELAY_TURN_BYTES;
    if (gauges != NULL) {
        core->gauges = *gauges;
    }
    yami_relay_run_timers(core);
    if (core->mono_ms - core->slow_ms >= S_SLOW_MS) {
        s_slow(core);
    }
    yami_relay_jobs_pump(core);
    yami_relay_dues_pump(core);
    yami_relay_groups_pump(core);
    yami_relay_groups_flush(core);
    yami_relay_handles_flush(core, YAMI_ROLE_CONSUMER);
    yami_relay_handles_flush(core, YAMI_ROLE_PRODUCER);
    yami_relay_channels_flush(core);
}

static void
s_event(yami_relay_core_t *core, const yami_relay_event_t *event)
{
    yami_relay_peer_t *peer;
    switch (event->type) {
    case YAMI_EVENT_FRAME:
    case YAMI_EVENT_BATCH:
    case YAMI_EVENT_GARBAGE:
        s_from_peer(core, event);
        break;
    case YAMI_EVENT_GONE:
        peer = yami_relay_map_get(&core->peers, event->peer);
        if (peer != NULL && !YAMI_PLANTED(LEASES_KEPT)) {
            yami_relay_peer_end(core, peer, false);
        }
        break;
    case YAMI_EVENT_DURABLE:
        yami_relay_durable(core, event->ticket);
        yami_relay_handles_flush(core, YAMI_ROLE_PRODUCER);
        yami_relay_groups_pump(core);
        break;
    case YAMI_EVENT_ENTRY:
        yami_relay_entry(core, event);
        yami_relay_groups_pump(core);
        break;
    case YAMI_EVENT_SCRUB:
        yami_relay_scrubbed(core, event->scrub, event->damage);
        break;
    case YAMI_EVENT_TURN:
        s_turn(core, event->gauges);
        break;
    case YAMI_EVENT_DRAIN:
        core->is_draining = true;
        break;
    case YAMI_EVENT_CLOSE:
        core->is_draining = true;
        yami_relay_peers_close(core);
        break;
    case YAMI_EVENT_FAILED:
        s_fail(core);
        break;
    case YAMI_EVENT_PRESSED:
        peer = yami_relay_map_get(&core->peers, event->peer);
        if (peer != NULL) {
            yami_relay_peer_press(core, peer, event->is_pressed);
        }
        break;
    }
}

//  Publishers are told by REFUSE{disk}; whoever can do something about it reads the log. Once in a
//  while: at the edge it comes and goes.
static void
s_say_room(yami_relay_core_t *core)
{
    if (core->has_room == core->has_said_room ||
        (!core->has_room && core->room_ms != 0 && core->mono_ms - core->room_ms < S_ROOM_MS)) {
        return;
    }
    core->has_said_room = core->has_room;
    if (core->has_room) {
        yami_relay_say(core, YAMI_LOG_INFO, "relay.room-again", "publishers=accepted");
    } else {
        core->room_ms = core->mono_ms;
        yami_relay_say(core, YAMI_LOG_ERROR, "relay.no-room",
                       "publishers=refused why=\"free space, quota or descriptors are short\" "
                       "action=\"make space, or raise ulimit -n\"");
    }
}

void
yami_relay_core_step(yami_relay_core_t *self, const yami_relay_event_t *event,
                     yami_relay_effects_t *effects)
{
    YAM_ASSERT(event != NULL && effects != NULL);
    self->effects = effects;
    self->store = event->store;
    self->mono_ms = event->mono_ms > self->mono_ms ? event->mono_ms : self->mono_ms;
    self->wall_ms = event->wall_ms;
    self->has_room = event->has_room;
    if (!self->has_started) {
        s_start(self);
    } else {
        s_say_room(self);
    }
    bool is_from_peer = event->type <= YAMI_EVENT_GARBAGE;
    if (!self->has_failed || is_from_peer) {
        s_event(self, event);
    }
    self->store = NULL;
    self->effects = NULL;
}

int64_t
yami_relay_core_deadline(const yami_relay_core_t *self)
{
    int64_t deadline = INT64_MAX;
    const yami_heap_item_t *item = yami_heap_peek(&self->wakes);
    if (self->has_failed) {
        return deadline;
    }
    if (!self->has_started || yami_relay_jobs_are_due(self) || !TAILQ_EMPTY(&self->dirty_groups) ||
        !TAILQ_EMPTY(&self->settled_groups) ||
        !TAILQ_EMPTY(&self->dirty_handles[YAMI_ROLE_PRODUCER]) ||
        !TAILQ_EMPTY(&self->dirty_handles[YAMI_ROLE_CONSUMER])) {
        return self->mono_ms;
    }
    if (item != NULL) {
        deadline = item->when;
    }
    int64_t due_ms = yami_relay_dues_deadline(self);
    deadline = due_ms < deadline ? due_ms : deadline;
    bool is_slow_needed = self->lacks_room || self->topic_count > 0;
    if (is_slow_needed && self->slow_ms + S_SLOW_MS < deadline) {
        deadline = self->slow_ms + S_SLOW_MS;
    }
    return deadline;
}

bool
yami_relay_core_has_session(const yami_relay_core_t *self, uint64_t peer)
{
    const yami_relay_peer_t *found = yami_relay_map_get(&self->peers, peer);
    return found != NULL && found->session != 0;
}

bool
yami_relay_core_is_idle(const yami_relay_core_t *self)
{
    return self->leases.count == 0 && self->ticket == self->durable &&
           TAILQ_EMPTY(&self->settled_groups) && TAILQ_EMPTY(&self->jobs) &&
           TAILQ_EMPTY(&self->dirty_handles[YAMI_ROLE_CONSUMER]);
}
