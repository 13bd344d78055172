//  Asks for redrives and cancels. See admin.h.

#include "admin.h"

#include <errno.h>
#include <stdio.h>

#include "yami_base.h"

#define HEARTBEAT_MS 300

static void
s_wake(void *arg, uint64_t what);

static void
s_wake_after(admin_t *self, int64_t delay_us)
{
    int64_t at_us = self->world->now_us + delay_us;
    if (at_us < self->wake_us) {
        self->wake_us = at_us;
        world_after(self->world, delay_us, s_wake, self, 0);
    }
}

//  The frame that is due, if one is.
static bool
s_next(admin_t *self, yami_frame_t *frame)
{
    if (self->link.state != YAMI_LINK_UP || !self->is_asked) {
        return yami_link_core_next(&self->link, world_ms(self->world), frame);
    }
    bool is_cancel = self->cancel != 0;
    (void) snprintf(self->id, sizeof self->id, "%llu", (unsigned long long) self->cancel);
    *frame = (yami_frame_t) {.type = YAMI_FRAME_ADMIN,
                             .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL |
                                        (is_cancel ? YAMI_F_ID : 0),
                             .serial = self->serial + 1,
                             .command = yami_slice_text(is_cancel ? "cancel" : "redrive"),
                             .id = yami_slice_text(self->id),
                             .channel = yami_slice_text(self->channel)};
    return true;
}

static void
s_send(admin_t *self)
{
    yami_frame_t frame;
    while (self->socket != 0 && s_next(self, &frame)) {
        yami_block_t *block = yami_frame_encode(&frame);
        YAM_ASSERT(block != NULL);
        int rc = network_send(self->client, block);
        yami_block_unref(&block);
        if (rc == -1) {
            return;
        }
        if (frame.type == YAMI_FRAME_ADMIN) {
            self->is_asked = false;
            self->serial++;
            self->answers = self->cancel != 0 ? self->serial : 0;
            if (self->cancel == 0) {
                oracle_redrives(self->oracle);
            }
        }
        yami_link_core_sent(&self->link, world_ms(self->world), frame.type);
    }
}

static void
s_wake(void *arg, uint64_t what)
{
    (void) what;
    admin_t *self = arg;
    if (self->world->now_us != self->wake_us) {
        return;
    }
    self->wake_us = INT64_MAX;
    int64_t now_ms = world_ms(self->world);
    (void) yami_link_core_turn(&self->link, now_ms);
    uint64_t wanted = yami_link_core_socket(&self->link);
    if (wanted != self->socket) {
        if (self->socket != 0) {
            network_close(self->client, false);
        }
        self->socket = wanted;
        if (wanted != 0) {
            network_open(self->client);
        }
    }
    s_send(self);
    yami_link_core_check(&self->link);
    int64_t deadline_ms = yami_link_core_deadline(&self->link, now_ms);
    if (deadline_ms != INT64_MAX) {
        int64_t wait_us = deadline_ms * 1000 - self->world->now_us;
        s_wake_after(self, wait_us > 0 ? wait_us : 1);
    }
}

//  [{"messages": n}]
static void
s_answered(admin_t *self, const yami_frame_t *frame)
{
    yami_reader_t reader;
    yami_reader_init(&reader, frame->rows.data, frame->rows.size);
    bool is_told = frame->status == YAM_STATUS_OK && yami_reader_array(&reader) == 1 &&
                   yami_reader_map(&reader) == 1 && yami_reader_str(&reader).size > 0 &&
                   yami_reader_uint(&reader) > 0;
    world_trace(self->world, "admin", 0, "cancelled", self->cancel, is_told, frame->status);
    self->answers = 0;
    if (is_told) {
        oracle_cancelled(self->oracle, self->cancel);
    }
}

static void
s_arrive(void *arg, yami_block_t *block, yami_block_t *data)
{
    admin_t *self = arg;
    yami_frame_t frame;
    int64_t now_ms = world_ms(self->world);
    if (data != NULL || yami_frame_decode(&frame, block->data, block->size) == -1) {
        yami_link_core_heard(&self->link, now_ms, EPROTO);
    } else {
        (void) yami_link_core_frame(&self->link, now_ms, &frame);
        if (frame.type == YAMI_FRAME_REPLY && self->answers != 0 && frame.serial == self->answers) {
            s_answered(self, &frame);
        }
    }
    s_wake_after(self, 0);
}

static void
s_connected(void *arg)
{
    s_wake_after(arg, 0);
}

static const network_client_ops_t s_ops = {.arrive = s_arrive, .connected = s_connected};

void
admin_init(admin_t *self, world_t *world, oracle_t *oracle, network_t *network)
{
    *self = (admin_t) {.world = world,
                       .oracle = oracle,
                       .random = world_mix(world->seed, 0x61646d),
                       .wake_us = INT64_MAX};
    self->client = network_client(network, false, &s_ops, self);
    yami_link_core_init(&self->link, "admin", HEARTBEAT_MS, world_draw(&self->random, UINT64_MAX));
}

void
admin_redrive(admin_t *self, const char *channel)
{
    self->channel = channel;
    self->cancel = 0;
    self->is_asked = true;
    s_wake_after(self, 0);
}

void
admin_cancel(admin_t *self, const char *channel, uint64_t id)
{
    self->channel = channel;
    self->cancel = id;
    self->answers = 0; //  nobody waits for an older one any more
    self->is_asked = true;
    oracle_cancels(self->oracle, id);
    s_wake_after(self, 0);
}
