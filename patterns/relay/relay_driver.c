//  The relay's shell without its threads and sockets. See yami_relay_driver.h.

#include "yami_relay_driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_relay_damage.h"
#include "yami_relay_event.h"

#define S_CHECKPOINT_AGAIN_MS 1000 //  after one that failed: making one takes time
#define S_SCRUB_BURST 64           //  damaged ranges told in one turn
#define S_SCRUB_BYTES (1u << 20)   //  read between two words about it

void
yami_relay_driver_init(yami_relay_driver_t *self, yami_relay_core_t *core, yami_store_t *store,
                       const yami_relay_driver_ops_t *ops, void *arg)
{
    YAM_ASSERT(core != NULL && store != NULL && ops != NULL);
    *self = (yami_relay_driver_t) {.core = core, .store = store, .ops = ops, .arg = arg};
    yami_relay_effects_init(&self->effects);
    yami_relay_tickets_init(&self->tickets);
}

void
yami_relay_driver_clear(yami_relay_driver_t *self)
{
    yami_relay_effects_clear(&self->effects);
    yami_relay_tickets_clear(&self->tickets);
}

static void
s_fail(yami_relay_driver_t *self, int error)
{
    if (!atomic_exchange(&self->has_failed, true)) {
        char text[160];
        (void) snprintf(text, sizeof text, "error=\"%s\" action=restart-to-recover",
                        strerror(error));
        self->ops->log(self->arg, YAMI_LOG_ERROR, "relay.store-failed", text);
    }
}

//  Steps the core; what it decides is at the end of self->effects.
static void
s_step(yami_relay_driver_t *self, yami_relay_event_t *event)
{
    event->mono_ms = self->ops->mono_ms(self->arg);
    event->wall_ms = self->ops->wall_ms(self->arg);
    event->has_room = self->has_room;
    yami_relay_core_step(self->core, event, &self->effects);
}

static void
s_append(yami_relay_driver_t *self, yami_relay_effect_t *effect)
{
    if (atomic_load(&self->has_failed)) {
        return; //  (3)
    }
    if (self->store->ops->append(self->store, &effect->entry) == -1 ||
        !yami_relay_tickets_push(&self->tickets, effect->ticket, effect->entry.lsn)) {
        s_fail(self, errno);
    }
}

//  A link whose queue is full or that is gone is dropped: its session can always begin anew.
static void
s_send(yami_relay_driver_t *self, const yami_relay_effect_t *effect)
{
    if (self->ops->send(self->arg, effect->peer, effect->block, effect->data) == -1) {
        self->ops->close(self->arg, effect->peer);
        yami_relay_event_t event = {.type = YAMI_EVENT_GONE, .peer = effect->peer};
        s_step(self, &event);
    }
}

static void
s_fetch(yami_relay_driver_t *self, const yami_relay_fetch_t *fetch)
{
    yami_entry_t entry = {0};
    yami_damage_t damage = {0};
    yami_relay_event_t event = {.type = YAMI_EVENT_ENTRY, .fetch = *fetch};
    int rc = self->store->ops->read(self->store, fetch->channel, fetch->sequence, &entry, &damage);
    event.result = rc == 0 ? 0 : errno;
    event.entry = rc == 0 ? &entry : NULL;
    event.damage = &damage;
    s_step(self, &event);
    if (rc == 0) {
        yami_store_release(&entry);
    }
}

//  (2) Some effects make the core decide more, which goes to the end of the list.
static void
s_carry_out(yami_relay_driver_t *self)
{
    for (size_t index = 0; index < self->effects.count; index++) {
        yami_relay_effect_t effect = self->effects.items[index]; //  the list may move
        switch (effect.type) {
        case YAMI_EFFECT_SEND:
        case YAMI_EFFECT_DELIVER:
            s_send(self, &effect);
            break;
        case YAMI_EFFECT_APPEND:
            s_append(self, &effect);
            break;
        case YAMI_EFFECT_FETCH:
            s_fetch(self, &effect.fetch);
            break;
        case YAMI_EFFECT_TRIM:
            self->store->ops->trim(self->store, effect.channel, effect.sequence);
            break;
        case YAMI_EFFECT_CLOSE:
            self->ops->close(self->arg, effect.peer);
            break;
        case YAMI_EFFECT_LOG:
            self->ops->log(self->arg, effect.level, effect.event, effect.text);
            break;
        }
    }
    yami_relay_effects_reset(&self->effects);
}

void
yami_relay_driver_event(yami_relay_driver_t *self, yami_relay_event_t *event)
{
    self->has_room = self->store->ops->has_room(self->store); //  (4)
    s_step(self, event);
    s_carry_out(self);
}

void
yami_relay_driver_frame(yami_relay_driver_t *self, uint64_t peer, yami_block_t *block)
{
    yami_frame_t frame;
    yami_batch_t batch;
    yami_relay_event_t event = {
        .type = YAMI_EVENT_GARBAGE, .peer = peer, .status = YAM_STATUS_MALFORMED};
    if (block != NULL) {
        event = yami_relay_event_decode(peer, block, &frame, &batch);
    }
    yami_store_stats_t stats;
    if (event.type == YAMI_EVENT_FRAME && event.frame->type == YAMI_FRAME_ADMIN) {
        self->store->ops->stats(self->store, &stats);
        event.store = &stats;
    }
    yami_relay_driver_event(self, &event);
}

void
yami_relay_driver_durable(yami_relay_driver_t *self, int error, uint64_t durable_lsn)
{
    if (error != 0) {
        s_fail(self, error);
    }
    if (durable_lsn > self->durable_lsn) {
        self->durable_lsn = durable_lsn;
        uint64_t ticket = yami_relay_tickets_pop(&self->tickets, durable_lsn); //  (1)
        if (ticket > 0) {
            yami_relay_event_t event = {.type = YAMI_EVENT_DURABLE, .ticket = ticket};
            yami_relay_driver_event(self, &event);
        }
    }
    if (atomic_load(&self->has_failed) && !self->has_told_failure) {
        yami_relay_event_t failed = {.type = YAMI_EVENT_FAILED};
        yami_relay_driver_event(self, &failed);
        self->has_told_failure = true;
    }
}

void
yami_relay_driver_scrub(yami_relay_driver_t *self)
{
    bool is_found = !self->scrub.is_done;
    for (int count = 0; is_found && count < S_SCRUB_BURST; count++) {
        yami_damage_t damage;
        yami_scrub_progress_t progress;
        is_found = self->store->ops->scrub(self->store, &progress, &damage);
        if (is_found) {
            char text[YAMI_DAMAGE_TEXT_SIZE];
            yami_relay_damage_text(&damage, text);
            self->ops->log(self->arg, YAMI_LOG_ERROR, "store.damaged", text);
        }
        if (is_found || progress.is_done ||
            progress.read_bytes - self->scrub.read_bytes >= S_SCRUB_BYTES) {
            self->scrub = progress;
            yami_relay_event_t event = {
                .type = YAMI_EVENT_SCRUB, .scrub = &progress, .damage = is_found ? &damage : NULL};
            yami_relay_driver_event(self, &event);
        }
    }
}

//  The core's whole state as an entry. 0, or -1 when memory is out.
static int
s_snapshot(yami_relay_driver_t *self, yami_entry_t *entry, yami_block_t **snapshot_p)
{
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_ENTRY_META);
    yami_relay_core_snapshot(self->core, &writer);
    *snapshot_p = yami_writer_finish(&writer);
    if (*snapshot_p == NULL) {
        return -1;
    }
    *entry = (yami_entry_t) {.kind = YAMI_ENTRY_CHECKPOINT,
                             .time_ms = self->ops->wall_ms(self->arg),
                             .meta = (*snapshot_p)->data,
                             .meta_size = (*snapshot_p)->size};
    return 0;
}

void
yami_relay_driver_checkpoint(yami_relay_driver_t *self)
{
    if (!self->store->ops->wants_checkpoint(self->store) || atomic_load(&self->has_failed) ||
        self->ops->mono_ms(self->arg) < self->checkpoint_ms) {
        return;
    }
    yami_entry_t entry;
    yami_block_t *snapshot;
    if (s_snapshot(self, &entry, &snapshot) == -1) {
        //  the older one stays good; recovery takes longer, and no space is given back meanwhile
        self->checkpoint_ms = self->ops->mono_ms(self->arg) + S_CHECKPOINT_AGAIN_MS;
        char text[160];
        (void) snprintf(text, sizeof text, "error=\"%s\"", strerror(errno));
        self->ops->log(self->arg, YAMI_LOG_ERROR, "relay.checkpoint-failed", text);
        return;
    }
    if (self->store->ops->append(self->store, &entry) == -1) {
        s_fail(self, errno);
    }
    yami_block_unref(&snapshot);
}

bool
yami_relay_driver_wants_commit(yami_relay_driver_t *self, uint64_t *lsn_p)
{
    *lsn_p = self->store->ops->give_back(self->store);
    YAM_ASSERT(*lsn_p >= self->kicked_lsn);
    bool is_new = *lsn_p > self->kicked_lsn;
    self->kicked_lsn = *lsn_p;
    return is_new;
}

bool
yami_relay_driver_is_idle(const yami_relay_driver_t *self)
{
    return yami_relay_core_is_idle(self->core) && self->tickets.count == 0;
}
