//  Requests that come directly, by a ROUTER socket. See yami_rpc_server.h.

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_message.h"
#include "yami_rpc_server.h"
#include "yami_socket.h"

#define COUNTED_SIZE 1024u //  smaller frames are copied, and bounded by the HWM
#define LOOK_AGAIN_MS 2    //  whether a caller that reads slowly has read
#define OWN_ID_SIZE 5      //  of a routing id that ZeroMQ made: 0, and a number

//  What came, and from whom.
typedef struct {
    yami_block_t *peer;  //  owned
    yami_block_t *block; //  owned; NULL: a message of another shape
    yami_connection_id_t connection;
} s_arrival_t;

//  -- Out

//  0, or -1 with errno: EAGAIN when too much waits for that peer, EHOSTUNREACH when it is gone.
static int
s_send(yam_rpc_server_t *self, const yami_rpc_frame_t *frame, yami_block_t *peer,
       yami_connection_id_t connection)
{
    yami_outbox_t *outbox = yami_connections_outbox(self->connections, connection);
    if (outbox != NULL && (yami_outbox_bytes(outbox) >= YAMI_LIMIT_UNSENT_BYTES ||
                           yami_outboxes_bytes(self->outboxes) >= YAMI_LIMIT_UNSENT_TOTAL)) {
        errno = EAGAIN;
        return -1;
    }
    yami_block_t *block = yami_rpc_encode(frame, &self->id, ++self->sent);
    if (block == NULL) {
        return -1;
    }
    int rc = yami_socket_send(self->socket, peer, true);
    if (rc == 0) {
        rc = outbox == NULL || block->size < COUNTED_SIZE
                 ? yami_socket_send(self->socket, block, false)
                 : yami_socket_send_counted(self->socket, block, false, outbox, block->size);
    }
    int error = errno;
    yami_block_unref(&block);
    errno = error;
    return rc;
}

//  A reply, or a pong, at once.
static void
s_respond(yam_rpc_server_t *self, const s_arrival_t *arrival, yami_rpc_frame_t *frame)
{
    frame->epoch = self->epoch;
    frame->record.priority = YAMI_PRIORITY_DEFAULT;
    if (s_send(self, frame, arrival->peer, arrival->connection) == -1) {
        yami_monitor_lock(&self->monitor);
        self->desk.stats.unsent++;
        yami_monitor_unlock(&self->monitor);
    }
}

static void
s_refuse(yam_rpc_server_t *self, const s_arrival_t *arrival, const yami_rpc_frame_t *call,
         yam_status_t status, const char *text)
{
    yami_rpc_frame_t frame = {.kind = YAMI_RPC_REPLY,
                              .correlation = call->correlation,
                              .status = status,
                              .text = yami_slice_text(text)};
    s_respond(self, arrival, &frame);
}

//  Under the lock: whether the answer left, or never will.
static bool
s_let_go(yam_rpc_server_t *self, yam_rpc_request_t *request, int64_t now_ms)
{
    yami_rpc_frame_t frame;
    yami_rpc_server_answer(request, &frame);
    frame.epoch = self->epoch;
    if (request->is_unwanted || s_send(self, &frame, request->peer, request->connection) == 0) {
        return true;
    }
    if (errno == EAGAIN && request->patience_ms == 0) {
        request->patience_ms = now_ms + YAMI_LIMIT_GREETING_MS;
    }
    if (errno == EAGAIN && now_ms < request->patience_ms &&
        yami_rpc_desk_left_ms(request, now_ms) != 0) {
        return false;
    }
    self->desk.stats.unsent++;
    return true;
}

//  Answers that are there leave. Whether some have to wait, since their callers read too slowly.
static bool
s_send_answers(yam_rpc_server_t *self, int64_t now_ms)
{
    yam_rpc_request_t *request;
    yam_rpc_request_t *next;
    yami_monitor_lock(&self->monitor);
    for (request = TAILQ_FIRST(&self->desk.leaving); request != NULL; request = next) {
        next = TAILQ_NEXT(request, link);
        if (s_let_go(self, request, now_ms)) {
            yami_rpc_server_free(self, &request);
        }
    }
    bool is_any_left = !TAILQ_EMPTY(&self->desk.leaving);
    yami_monitor_unlock(&self->monitor);
    return is_any_left;
}

//  -- In

//  ZeroMQ numbers its peers, in network byte order.
static uint32_t
s_order(const yami_block_t *id)
{
    return (uint32_t) id->data[1] << 24 | (uint32_t) id->data[2] << 16 |
           (uint32_t) id->data[3] << 8 | id->data[4];
}

//  Whether a message was there.
static bool
s_receive(yam_rpc_server_t *self, s_arrival_t *arrival, int64_t now_ms)
{
    bool has_more = false;
    int fd = -1;
    *arrival = (s_arrival_t) {.peer = yami_socket_recv(self->socket, &has_more)};
    if (arrival->peer == NULL) {
        return false;
    }
    const yami_block_t *id = arrival->peer;
    if (has_more) {
        arrival->block = yami_socket_recv_from(self->socket, &has_more, &fd);
    }
    size_t parts = 0;
    if (has_more) { //  a message of ours has one part after the routing id
        yami_block_unref(&arrival->block);
        parts = yami_socket_skip(self->socket);
    }
    arrival->connection = id->size == OWN_ID_SIZE && id->data[0] == 0
                              ? yami_connections_find(self->connections, fd, s_order(id), now_ms)
                              : yami_connections_find_named(self->connections, fd, now_ms);
    yami_connections_taken(self->connections, arrival->connection);
    if (parts >= YAMI_LIMIT_PARTS) {
        yami_connections_end(self->connections, arrival->connection, now_ms);
    }
    return true;
}

//  Why a call is refused whatever else there is to do; OK if it is not.
static yam_status_t
s_judge(const yam_rpc_server_t *self, const yami_rpc_frame_t *frame, const char **text_p)
{
    if (!yami_slice_equal(frame->service, self->service)) {
        *text_p = "another service is served here";
        return YAM_STATUS_UNKNOWN;
    }
    if (frame->epoch != self->epoch && (frame->epoch != 0 || frame->deadline_ms > 0)) {
        *text_p = "this is not the server that was asked for its clock";
        return YAM_STATUS_NO_SESSION;
    }
    *text_p = "";
    return YAM_STATUS_OK;
}

static void
s_take_call(yam_rpc_server_t *self, const s_arrival_t *arrival, const yami_rpc_frame_t *frame,
            int64_t now_ms)
{
    const char *text;
    yam_status_t status = s_judge(self, frame, &text);
    yam_rpc_request_t *request = yami_rpc_server_request(self, frame);
    yam_rpc_request_t *twin;
    request->message = yami_message_received(NULL, yami_block_ref(arrival->block), &frame->record);
    request->peer = yami_block_ref(arrival->peer);
    request->connection = arrival->connection;
    request->deadline_ms = frame->deadline_ms > 0 ? frame->deadline_ms : INT64_MAX;
    yami_monitor_lock(&self->monitor);
    bool is_refused = status != YAM_STATUS_OK;
    if (is_refused) {
        self->desk.stats.requests++;
        self->desk.stats.refused++;
    } else if (yami_rpc_desk_take(&self->desk, now_ms, &request, &status, &twin) ==
               YAMI_RPC_REFUSED) {
        is_refused = true;
        text = status == YAM_STATUS_CLOSING ? "the server is closing" : "the server is busy";
    }
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    if (is_refused) {
        s_refuse(self, arrival, frame, status, text);
    }
    yami_rpc_request_free(&request);
}

static void
s_take_frame(yam_rpc_server_t *self, const s_arrival_t *arrival, const yami_rpc_frame_t *frame,
             int64_t now_ms)
{
    yami_connections_greeted(self->connections, arrival->connection);
    if (frame->kind == YAMI_RPC_CALL) {
        s_take_call(self, arrival, frame, now_ms);
    } else if (frame->kind == YAMI_RPC_PING) {
        yami_rpc_frame_t pong = {
            .kind = YAMI_RPC_PONG, .correlation = frame->correlation, .clock_ms = now_ms};
        s_respond(self, arrival, &pong);
    } else {
        yami_monitor_lock(&self->monitor);
        yami_rpc_desk_cancel(&self->desk, arrival->peer, frame->correlation);
        yami_monitor_unlock(&self->monitor);
    }
}

//  One message. Whether there was one.
static bool
s_serve(yam_rpc_server_t *self, int64_t now_ms)
{
    s_arrival_t arrival;
    yami_rpc_frame_t frame;
    if (!s_receive(self, &arrival, now_ms)) {
        return false;
    }
    bool is_sound = arrival.block != NULL &&
                    yami_rpc_decode(&frame, arrival.block->data, arrival.block->size) == 0 &&
                    frame.kind != YAMI_RPC_REPLY && frame.kind != YAMI_RPC_PONG;
    if (is_sound) {
        s_take_frame(self, &arrival, &frame, now_ms);
    } else {
        yami_monitor_lock(&self->monitor);
        self->desk.stats.malformed++;
        yami_monitor_tell(&self->monitor);
        yami_monitor_unlock(&self->monitor);
    }
    yami_block_unref(&arrival.peer);
    yami_block_unref(&arrival.block);
    return true;
}

static int64_t
s_step(void *arg, int64_t now_ms)
{
    yam_rpc_server_t *self = arg;
    int count = 0;
    bool has_answers = s_send_answers(self, now_ms);
    while (count < YAMI_RPC_FRAMES_AT_ONCE && s_serve(self, now_ms)) {
        count++;
    }
    return has_answers ? now_ms + LOOK_AGAIN_MS : INT64_MAX;
}

static int64_t
s_step_door(void *arg, int64_t now_ms)
{
    yam_rpc_server_t *self = arg;
    yami_connections_step(self->connections, now_ms);
    return yami_connections_deadline(self->connections);
}

//  -- Opening and closing

static int
s_watch(yam_rpc_server_t *self)
{
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd == -1) {
        return yami_fail(errno,
                         "service: no descriptor for its event (raise the limit on open files)");
    }
    self->outboxes = yami_outboxes_new(self->wake_fd);
    if (self->outboxes == NULL) {
        return -1;
    }
    self->connections = yami_connections_new(yam_zmq_context(self->yam), self->socket,
                                             self->outboxes, &yami_connections_limits);
    return self->connections == NULL ? -1 : 0;
}

static int
s_open(yam_rpc_server_t *self, const char *endpoint)
{
    int mandatory = 1;
    (void) endpoint;
    self->socket = yami_context_socket(self->yam, ZMQ_ROUTER, &self->endpoint.options);
    if (self->socket == NULL) {
        return -1;
    }
    (void) zmq_setsockopt(self->socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    if (s_watch(self) == -1 ||
        yami_context_attach(self->socket, &self->endpoint, self->bound, sizeof self->bound) == -1) {
        return -1;
    }
    self->task.socket = self->socket;
    if (yami_rpc_server_add_task(self, s_step) == -1) {
        return -1;
    }
    self->door = (yami_task_t) {
        .step = s_step_door, .arg = self, .socket = yami_connections_socket(self->connections)};
    return yami_engine_add(self->engine, &self->door);
}

static void
s_close(yam_rpc_server_t *self)
{
    if (self->door.step != NULL) {
        yami_engine_remove(self->engine, &self->door);
    }
    yami_connections_destroy(&self->connections);
    if (self->socket != NULL) {
        int linger_ms = YAMI_RPC_FAREWELL_MS;
        (void) zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        yami_socket_close(self->socket);
    }
    yami_outboxes_destroy(&self->outboxes);
    if (self->wake_fd != -1) {
        (void) close(self->wake_fd);
    }
}

const yami_rpc_way_t yami_rpc_way_direct = {s_open, s_close, yami_clock_mono_ms};
