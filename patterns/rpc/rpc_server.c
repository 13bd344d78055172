//  yam_rpc_server: what applications call, and the workers. See yami_rpc_server.h.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_message.h"
#include "yami_properties.h"
#include "yami_rpc_server.h"
#include "yami_thread.h"

//  -- Requests

void
yami_rpc_server_wake(yam_rpc_server_t *self)
{
    if (self->is_in_engine) {
        yami_engine_wake(self->engine, &self->task);
    }
}

int
yami_rpc_server_add_task(yam_rpc_server_t *self, int64_t (*step)(void *arg, int64_t now_ms))
{
    self->task.step = step;
    self->task.arg = self;
    int rc = yami_engine_add(self->engine, &self->task);
    yami_monitor_lock(&self->monitor);
    self->is_in_engine = rc == 0;
    yami_monitor_unlock(&self->monitor);
    return rc;
}

yam_rpc_request_t *
yami_rpc_server_request(yam_rpc_server_t *self, const yami_rpc_frame_t *frame)
{
    yam_rpc_request_t *request = yami_alloc(sizeof *request);
    request->server = self;
    request->connection.fd = -1;
    memcpy(request->correlation, frame->correlation.data, frame->correlation.size);
    if (frame->reply_to.size > 0) {
        memcpy(request->reply_to, frame->reply_to.data, frame->reply_to.size);
    }
    request->size = sizeof *request + frame->record.body.size + frame->record.properties.size;
    return request;
}

void
yami_rpc_server_answer(const yam_rpc_request_t *request, yami_rpc_frame_t *frame)
{
    *frame = (yami_rpc_frame_t) {
        .kind = YAMI_RPC_REPLY,
        .correlation = yami_slice_text(request->correlation),
        .status = request->status,
        .text = yami_slice_text(request->text != NULL ? request->text : ""),
        .record = {.priority = YAMI_PRIORITY_DEFAULT},
    };
    if (request->body != NULL) {
        frame->record = request->body->record;
        frame->id = yami_rpc_text(frame->record.properties, "id");
    }
}

void
yami_rpc_server_free(yam_rpc_server_t *self, yam_rpc_request_t **request_p)
{
    yami_rpc_desk_free(&self->desk, request_p);
    yami_monitor_tell(&self->monitor);
}

//  -- The workers

static void *
s_work(void *arg)
{
    yam_rpc_server_t *self = arg;
    yami_monitor_lock(&self->monitor);
    while (!self->is_stopping) {
        yam_rpc_request_t *request = yami_rpc_desk_next(&self->desk, self->way->clock_ms());
        if (!TAILQ_EMPTY(&self->desk.leaving)) {
            yami_rpc_server_wake(self);
        }
        if (request == NULL) {
            (void) yami_monitor_wait(&self->monitor, INT64_MAX);
            continue;
        }
        yami_monitor_unlock(&self->monitor);
        self->handler(self->arg, request);
        yami_monitor_lock(&self->monitor);
    }
    yami_monitor_unlock(&self->monitor);
    return NULL;
}

static int
s_start_workers(yam_rpc_server_t *self)
{
    size_t count = (size_t) self->endpoint.options.workers;
    int rc = 0;
    self->workers = yami_alloc(count * sizeof *self->workers);
    while (rc == 0 && self->worker_count < count) {
        rc = yami_thread_start(&self->workers[self->worker_count], s_work, self);
        self->worker_count += rc == 0 ? 1 : 0;
    }
    return rc == 0 ? 0
                   : yami_fail(rc, "cannot start %zu workers: %s (raise the limit of threads)",
                               count, strerror(rc));
}

static void
s_stop_workers(yam_rpc_server_t *self)
{
    yami_monitor_lock(&self->monitor);
    self->is_stopping = true;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    for (size_t index = 0; index < self->worker_count; index++) {
        (void) pthread_join(self->workers[index], NULL);
    }
    self->worker_count = 0;
}

//  -- Opening

static int
s_parse(yam_rpc_server_t *self, const char *service, const char *text)
{
    if (service == NULL || self->yam == NULL || self->handler == NULL) {
        return yami_fail(EINVAL, "a server needs a yam_t, the name of a service and a handler");
    }
    if (!yami_context_is_ours(self->yam) ||
        yami_name_check(yami_slice_text(service), "service") == -1 ||
        yami_endpoint_parse(&self->endpoint, text, true) == -1) {
        return -1;
    }
    bool is_direct = self->endpoint.options.grade == YAMI_GRADE_FAST;
    (void) snprintf(self->service, sizeof self->service, "%s", service);
    if (self->endpoint.options.hwm == 0) {
        self->endpoint.options.hwm = YAMI_RPC_HWM;
    }
    self->way = is_direct ? &yami_rpc_way_direct : &yami_rpc_way_relayed;
    for (size_t index = 0; is_direct && index < self->endpoint.address_count; index++) {
        const yami_address_t *address = &self->endpoint.addresses[index];
        if (!address->is_bind) {
            return yami_fail(EINVAL, "endpoint \"%.100s\": a server binds (use '@') at column %zu",
                             text, address->column);
        }
    }
    return 0;
}

static void
s_init(yam_rpc_server_t *self)
{
    const yami_endpoint_options_t *options = &self->endpoint.options;
    self->engine = yami_context_engine(self->yam);
    yami_random(&self->id, sizeof self->id);
    yami_random(&self->epoch, sizeof self->epoch);
    self->epoch = self->epoch != 0 ? self->epoch : 1;
    yami_monitor_init(&self->monitor);
    yami_rpc_desk_init(&self->desk, (uint64_t) options->credit, (uint64_t) options->credit_bytes);
}

//  (2)
static void
s_free(yam_rpc_server_t *self)
{
    yami_rpc_desk_clear(&self->desk);
    yami_monitor_destroy(&self->monitor);
    yami_free(self->workers);
    yami_free(self);
}

yam_rpc_server_t *
yam_rpc_serve(yam_t *yam, const char *service, const char *endpoint, yam_rpc_handler_fn handler,
              void *arg)
{
    yam_rpc_server_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->handler = handler;
    self->arg = arg;
    self->wake_fd = -1;
    if (s_parse(self, service, endpoint) == -1) {
        yami_free(self);
        return NULL;
    }
    s_init(self);
    if (self->way->open(self, endpoint) == -1 || s_start_workers(self) == -1) {
        int error = errno;
        (void) yam_rpc_server_close(&self, 0);
        errno = error;
    }
    return self;
}

//  -- Closing

//  Waits until all that was begun is answered, and the answers have left; how many have not.
static uint64_t
s_drain(yam_rpc_server_t *self, int64_t until_ms)
{
    yami_monitor_lock(&self->monitor);
    yami_rpc_desk_close(&self->desk);
    yami_rpc_server_wake(self);
    while (self->is_in_engine && self->desk.count > 0 &&
           yami_monitor_wait(&self->monitor, until_ms)) {
    }
    self->is_closed = true;
    uint64_t unfinished = self->desk.count;
    yami_monitor_unlock(&self->monitor);
    return unfinished;
}

//  What the application does not have goes, and all else once that is so for everything (2).
static void
s_abandon(yam_rpc_server_t *self)
{
    yam_rpc_request_t *request;
    yami_monitor_lock(&self->monitor);
    while ((request = TAILQ_FIRST(&self->desk.leaving)) != NULL ||
           (request = TAILQ_FIRST(&self->desk.left)) != NULL ||
           (request = TAILQ_FIRST(&self->desk.queued)) != NULL) {
        yami_rpc_desk_free(&self->desk, &request);
    }
    self->is_abandoned = true;
    bool is_last = self->desk.count == 0;
    yami_monitor_unlock(&self->monitor);
    if (is_last) {
        s_free(self);
    }
}

uint64_t
yam_rpc_server_close(yam_rpc_server_t **self_p, int timeout_ms)
{
    yam_rpc_server_t *self = self_p != NULL ? *self_p : NULL;
    if (self == NULL) {
        return 0;
    }
    *self_p = NULL;
    if (!yami_context_is_ours(self->yam)) {
        return self->desk.count; //  a forked child leaves everything as it is
    }
    uint64_t unfinished = s_drain(self, yami_monitor_deadline(timeout_ms));
    s_stop_workers(self);
    yami_monitor_lock(&self->monitor);
    bool was_in_engine = self->is_in_engine;
    self->is_in_engine = false; //  nobody wakes its task any more
    yami_monitor_unlock(&self->monitor);
    if (was_in_engine) {
        yami_engine_remove(self->engine, &self->task);
    }
    self->way->close(self);
    s_abandon(self);
    return unfinished;
}

void
yam_rpc_server_destroy(yam_rpc_server_t **self_p)
{
    if (self_p != NULL && *self_p != NULL) {
        (void) yam_rpc_server_close(self_p, (int) (*self_p)->endpoint.options.linger_ms);
    }
}

//  -- Answering

yam_message_t *
yam_rpc_request_message(yam_rpc_request_t *self)
{
    return self->message;
}

int64_t
yam_rpc_request_left_ms(yam_rpc_request_t *self)
{
    yam_rpc_server_t *server = self->server;
    yami_monitor_lock(&server->monitor);
    int64_t left_ms = server->is_closed ? 0 : yami_rpc_desk_left_ms(self, server->way->clock_ms());
    yami_monitor_unlock(&server->monitor);
    return left_ms;
}

//  The server is closed: nothing leaves any more. Unlocks.
static void
s_free_late(yam_rpc_request_t **request_p)
{
    yam_rpc_server_t *server = (*request_p)->server;
    yami_rpc_desk_free(&server->desk, request_p);
    bool is_last = server->is_abandoned && server->desk.count == 0; //  (2)
    yami_monitor_unlock(&server->monitor);
    if (is_last) {
        s_free(server);
    }
}

int
yam_rpc_reply(yam_rpc_request_t **request_p, yam_status_t status, const char *text,
              yam_message_t **body_p)
{
    yam_rpc_request_t *request = *request_p;
    yam_rpc_server_t *server = request->server;
    yam_message_t *body = body_p != NULL ? *body_p : NULL;
    bool is_too_big = body != NULL && yami_rpc_check_message(body) == -1;
    *request_p = NULL;
    if (body_p != NULL) {
        *body_p = NULL;
    }
    if (is_too_big) {
        yam_message_destroy(&body);
        status = YAM_STATUS_TOO_BIG;
        text = yam_error();
    }
    yami_monitor_lock(&server->monitor);
    if (server->is_closed) { //  (3)
        yam_message_destroy(&body);
        s_free_late(&request); //  unlocks
        return yami_fail(ESTALE, "the server was closed before this answer");
    }
    bool is_wanted =
        yami_rpc_desk_answer(&server->desk, server->way->clock_ms(), request, status, text, &body);
    yami_rpc_server_wake(server);
    yami_monitor_unlock(&server->monitor);
    return !is_wanted ? yami_fail(ESTALE, "nobody waits for this answer any more")
           : is_too_big
               ? yami_fail(EMSGSIZE, "the properties of the answer are too many, or malformed")
               : 0;
}

void
yam_rpc_server_stats(yam_rpc_server_t *self, yam_rpc_server_stats_t *stats)
{
    yami_monitor_lock(&self->monitor);
    *stats = self->desk.stats;
    stats->pending = self->desk.count;
    yami_monitor_unlock(&self->monitor);
}

const char *
yam_rpc_server_endpoint(const yam_rpc_server_t *self)
{
    return self->bound;
}
