//  The engine's tasks of a caller: frames from and to its servers. See yami_rpc.h.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_rpc.h"
#include "yami_socket.h"

#define FRAMES_AT_ONCE 256 //  received before others have their turn
#define RETRY_MS 100       //  a socket that could not be opened
#define RECONNECT_MS 20
#define RECONNECT_LIMIT_MS 500
#define FAREWELL_MS 1000 //  acks of replies may take so long to leave

void
yami_rpc_wake(yam_rpc_t *self)
{
    bool is_any = false;
    for (size_t index = 0; index < self->peer_count; index++) {
        const yami_rpc_server_t *server = &self->core.servers[index];
        if (!server->is_blocked &&
            (!TAILQ_EMPTY(&server->queued) || server->withdrawal_count > 0)) {
            yami_engine_wake(self->engine, &self->peers[index].task);
            is_any = true;
        }
    }
    if (!is_any && self->peer_count > 0) { //  there may be a deadline that nobody knows of
        yami_engine_wake(self->engine, &self->peers[0].task);
    }
}

//  Whether more may be received: what has come is told before more is taken in.
static bool
s_has_room(const yam_rpc_t *self)
{
    return self->event_fd != -1 || TAILQ_EMPTY(&self->core.done) ||
           self->core.answer_bytes < self->core.config.bytes / 2;
}

//  -- Directly

static int
s_open_socket(yami_rpc_peer_t *peer)
{
    yam_rpc_t *self = peer->rpc;
    yami_endpoint_t endpoint = self->endpoint;
    endpoint.address_count = 1;
    endpoint.addresses[0] = self->endpoint.addresses[peer->index];
    void *socket = yami_context_socket(self->yam, ZMQ_DEALER, &endpoint.options);
    if (socket == NULL) {
        return -1;
    }
    int first_ms = RECONNECT_MS;
    int most_ms = RECONNECT_LIMIT_MS;
    (void) zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &first_ms, sizeof first_ms);
    (void) zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &most_ms, sizeof most_ms);
    if (yami_context_attach(socket, &endpoint, NULL, 0) == -1) {
        yami_socket_close(socket);
        return -1;
    }
    peer->socket = socket;
    return 0;
}

//  Makes the socket the one wanted. Whether there is one; otherwise the step is to run again.
static bool
s_follow(yami_rpc_peer_t *peer, uint64_t wanted)
{
    if (peer->number == wanted) {
        return true;
    }
    peer->task.wants_output = false;
    if (peer->socket != NULL) {
        //  The next one is opened in another step: the engine tells sockets apart by address and
        //  descriptor.
        yami_socket_close(peer->socket);
        peer->socket = NULL;
        peer->task.socket = NULL;
        return false;
    }
    if (s_open_socket(peer) == -1) {
        return false;
    }
    peer->number = wanted;
    peer->task.socket = peer->socket;
    return true;
}

//  One message, which has one part. Whether there was one.
static bool
s_receive(yami_rpc_peer_t *peer, int64_t now_ms)
{
    yami_rpc_core_t *core = &peer->rpc->core;
    yami_rpc_frame_t frame;
    bool has_more = false;
    yami_block_t *block = yami_socket_recv(peer->socket, &has_more);
    if (block == NULL) {
        return false;
    }
    bool is_odd = has_more;
    if (is_odd) {
        (void) yami_socket_skip(peer->socket);
    }
    bool is_sound = !is_odd && yami_rpc_decode(&frame, block->data, block->size) == 0;
    yami_monitor_lock(&peer->rpc->monitor);
    if (is_sound) {
        yami_rpc_core_frame(core, now_ms, peer->index, &frame, block);
    } else {
        yami_rpc_core_garbage(core);
    }
    bool has_room = s_has_room(peer->rpc);
    yami_monitor_unlock(&peer->rpc->monitor);
    yami_block_unref(&block);
    return has_room;
}

//  0, or -1 with errno EAGAIN when there is no room.
static int
s_send_frame(yami_rpc_peer_t *peer, const yami_rpc_sending_t *sending, yam_status_t *status_p)
{
    *status_p = YAM_STATUS_OK;
    yami_block_t *block = yami_rpc_encode(&sending->frame, &peer->rpc->id, peer->sent + 1);
    if (block == NULL) {
        *status_p = errno == EMSGSIZE ? YAM_STATUS_TOO_BIG : YAM_STATUS_INTERNAL;
        return 0;
    }
    int rc = yami_socket_send(peer->socket, block, false);
    int error = errno;
    yami_block_unref(&block);
    peer->sent += rc == 0 ? 1 : 0;
    errno = error;
    return rc;
}

//  Under the lock.
static void
s_send(yami_rpc_peer_t *peer, int64_t now_ms,
       int (*send)(yami_rpc_peer_t *peer, const yami_rpc_sending_t *sending,
                   yam_status_t *status_p))
{
    yami_rpc_core_t *core = &peer->rpc->core;
    yami_rpc_sending_t sending;
    while (yami_rpc_core_next(core, peer->index, &sending)) {
        yam_status_t status;
        sending.frame.service =
            yami_slice_text(sending.frame.kind == YAMI_RPC_CALL ? peer->rpc->service : "");
        if (send(peer, &sending, &status) == -1) {
            yami_rpc_core_block(core, peer->index, true);
            return;
        }
        yami_rpc_core_sent(core, now_ms, peer->index, &sending, status);
    }
}

//  Sends what there is to send, tells what there is to tell; when it is due again.
static int64_t
s_turn(yami_rpc_peer_t *peer, int64_t now_ms,
       int (*send)(yami_rpc_peer_t *peer, const yami_rpc_sending_t *sending,
                   yam_status_t *status_p))
{
    yam_rpc_t *self = peer->rpc;
    yami_monitor_lock(&self->monitor);
    yami_rpc_core_block(&self->core, peer->index, false);
    int64_t due_ms = yami_rpc_core_turn(&self->core, now_ms, peer->index);
    bool is_same = peer->number == self->core.servers[peer->index].socket;
    if (is_same) {
        s_send(peer, now_ms, send);
    }
    for (size_t index = 0; index < self->peer_count; index++) { //  what was moved to others
        const yami_rpc_server_t *server = &self->core.servers[index];
        if (index != peer->index && !server->is_blocked && !TAILQ_EMPTY(&server->queued)) {
            yami_engine_wake(self->engine, &self->peers[index].task);
        }
    }
    bool is_blocked = self->core.servers[peer->index].is_blocked;
    bool shall_tell = self->event_fd == -1;
    yami_rpc_signal(self);
    yami_monitor_unlock(&self->monitor);
    peer->task.wants_output = is_blocked && peer->socket != NULL;
    if (shall_tell) {
        (void) yami_rpc_tell(self);
    }
    return is_same ? due_ms : now_ms;
}

static int64_t
s_step_direct(void *arg, int64_t now_ms)
{
    yami_rpc_peer_t *peer = arg;
    yami_monitor_lock(&peer->rpc->monitor);
    uint64_t wanted = peer->rpc->core.servers[peer->index].socket;
    yami_monitor_unlock(&peer->rpc->monitor);
    if (!s_follow(peer, wanted)) {
        bool was_closed = peer->number != 0;
        peer->number = 0;
        int64_t due_ms = s_turn(peer, now_ms, s_send_frame);
        int64_t again_ms = was_closed ? now_ms : now_ms + RETRY_MS;
        return due_ms > now_ms && due_ms < again_ms ? due_ms : again_ms;
    }
    for (int count = 0; count < FRAMES_AT_ONCE && s_receive(peer, now_ms); count++) {
    }
    return s_turn(peer, now_ms, s_send_frame);
}

static int
s_open_direct(yam_rpc_t *self)
{
    for (size_t index = 0; index < self->endpoint.address_count; index++) {
        yami_rpc_peer_t *peer = &self->peers[index];
        peer->task = (yami_task_t) {.step = s_step_direct, .arg = peer};
        if (!s_follow(peer, 1)) { //  what is wrong with an address is said now
            return -1;
        }
    }
    return 0;
}

//  -- Through a relay

static int
s_send_message(yami_rpc_peer_t *peer, const yami_rpc_sending_t *sending, yam_status_t *status_p)
{
    yam_rpc_t *self = peer->rpc;
    yami_rpc_frame_t frame = sending->frame;
    frame.reply_to = yami_slice_text(self->subject);
    if (frame.deadline_ms > 0) { //  the relay's hosts share no clock but the wall's
        frame.record.flags |= YAMI_RECORD_EXPIRY;
        frame.record.expiry_ms = yami_clock_wall_ms() + frame.deadline_ms - yami_clock_mono_ms();
        frame.deadline_ms = 0;
    }
    *status_p = YAM_STATUS_OK;
    yam_message_t *message = yami_rpc_wrap(&frame, "");
    if (message != NULL && yam_push_send_message(self->push, &message) == 0) {
        return 0;
    }
    int error = errno;
    yam_message_destroy(&message);
    if (error == EAGAIN || error == ENOTCONN) {
        errno = EAGAIN;
        return -1;
    }
    *status_p = error == EMSGSIZE ? YAM_STATUS_TOO_BIG
                : error == EACCES ? YAM_STATUS_NOT_ALLOWED
                                  : YAM_STATUS_INTERNAL;
    return 0;
}

static bool
s_receive_message(yami_rpc_peer_t *peer, int64_t now_ms)
{
    yam_rpc_t *self = peer->rpc;
    yami_rpc_frame_t frame;
    yam_message_t *message = yam_sub_recv(self->sub, 0);
    if (message == NULL) {
        return false;
    }
    bool is_sound = yami_rpc_read(&frame, &message->record) == 0;
    yami_monitor_lock(&self->monitor);
    if (is_sound) {
        yami_rpc_core_frame(&self->core, now_ms, peer->index, &frame, message->block);
    } else {
        yami_rpc_core_garbage(&self->core);
    }
    bool has_room = s_has_room(self);
    yami_monitor_unlock(&self->monitor);
    (void) yam_sub_ack(self->sub, &message);
    return has_room;
}

//  Replies that came while the subscription was gone are lost, unless it is a durable one: what has
//  none is asked again.
static void
s_look_for_session(yam_rpc_t *self, int64_t now_ms)
{
    yam_sub_stats_t stats;
    if (now_ms < self->look_ms || self->endpoint.options.name[0] != '\0') {
        return;
    }
    self->look_ms = now_ms + self->endpoint.options.heartbeat_ms;
    yam_sub_stats(self->sub, &stats);
    if (stats.is_connected != 0 && stats.reconnects != self->sessions) {
        self->sessions = stats.reconnects;
        yami_monitor_lock(&self->monitor);
        yami_rpc_core_lost(&self->core, now_ms, 0);
        yami_monitor_unlock(&self->monitor);
    }
}

static int64_t
s_step_relayed(void *arg, int64_t now_ms)
{
    yami_rpc_peer_t *peer = arg;
    bool has_more = true;
    for (int count = 0; count < FRAMES_AT_ONCE && has_more; count++) {
        has_more = s_receive_message(peer, now_ms);
    }
    s_look_for_session(peer->rpc, now_ms);
    int64_t due_ms = s_turn(peer, now_ms, s_send_message);
    int64_t look_ms = now_ms + peer->rpc->endpoint.options.heartbeat_ms;
    return has_more ? now_ms : due_ms < look_ms ? due_ms : look_ms;
}

//  The relay took some: there is room for more.
static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    yam_rpc_t *self = arg;
    (void) first, (void) last, (void) status, (void) level, (void) text;
    yami_engine_wake(self->engine, &self->peers[0].task);
}

static int
s_open_relayed(yam_rpc_t *self, const char *endpoint)
{
    char text[4096];
    char topic[YAMI_LIMIT_NAME + sizeof YAMI_RPC_REPLIES];
    const char *separator = strchr(endpoint, '?') != NULL ? "&" : "?";
    const char *name = self->endpoint.options.name;
    (void) snprintf(topic, sizeof topic, "%s%s", self->service, YAMI_RPC_REPLIES);
    int size = snprintf(text, sizeof text, "%s%ssubject=%s&group=%s", endpoint, separator,
                        self->subject, name);
    if (size < 0 || (size_t) size >= sizeof text) {
        return yami_fail(EINVAL, "endpoint \"%.100s...\" is too long", endpoint);
    }
    self->sub = yam_sub_new(self->yam, topic, text);
    if (self->sub == NULL) {
        return -1;
    }
    (void) snprintf(text, sizeof text, "%s%ssend-timeout=0", endpoint, separator);
    self->push = yam_push_new(self->yam, self->service, text);
    int fd = yam_sub_fd(self->sub);
    if (self->push == NULL || fd == -1) {
        return -1;
    }
    self->peers[0].number = 1;
    self->peers[0].task =
        (yami_task_t) {.step = s_step_relayed, .arg = &self->peers[0], .polls_fd = true, .fd = fd};
    return 0;
}

//  -- Both

int
yami_rpc_open_io(yam_rpc_t *self, const char *endpoint)
{
    size_t count = self->core.config.servers;
    self->peers = yami_alloc(count * sizeof *self->peers);
    for (size_t index = 0; index < count; index++) {
        self->peers[index] = (yami_rpc_peer_t) {.rpc = self, .index = index};
    }
    int rc = self->core.config.is_relayed ? s_open_relayed(self, endpoint) : s_open_direct(self);
    for (size_t index = 0; rc == 0 && index < count; index++) {
        rc = yami_engine_add(self->engine, &self->peers[index].task);
        yami_monitor_lock(&self->monitor);
        self->peer_count += rc == 0 ? 1 : 0;
        yami_monitor_unlock(&self->monitor);
    }
    if (rc == 0 && self->push != NULL) {
        yam_push_set_confirm(self->push, s_confirmed, self);
    }
    return rc;
}

void
yami_rpc_close_io(yam_rpc_t *self)
{
    if (self->push != NULL) {
        yam_push_set_confirm(self->push, NULL, NULL);
    }
    yami_monitor_lock(&self->monitor);
    size_t count = self->peer_count;
    self->peer_count = 0; //  nobody wakes them any more
    yami_monitor_unlock(&self->monitor);
    for (size_t index = 0; index < count; index++) {
        yami_engine_remove(self->engine, &self->peers[index].task);
    }
    for (size_t index = 0; index < self->core.config.servers; index++) {
        yami_socket_close(self->peers[index].socket);
    }
    (void) yam_push_close(&self->push, 0); //  what is on its way has no outcome any more
    (void) yam_sub_close(&self->sub, FAREWELL_MS);
}
