//  Requests that come through a relay, from its queue of the service's name. See yami_rpc_server.h.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_message.h"
#include "yami_planted.h"
#include "yami_properties.h"
#include "yami_rpc_server.h"

#define LEASE_MS 30000     //  asked for unless "lease" says otherwise
#define EXTENSIONS 3       //  of a lease, while a request is here
#define LOOK_AGAIN_MS 1000 //  a publication that found no room
#define GIVE_BACK_MS 100   //  before a closing server gives back again, maybe the same

//  -- Out

//  What is to be settled: a later delivery, or what came first.
static yam_message_t **
s_delivery(yam_rpc_request_t *request)
{
    return request->delivery != NULL ? &request->delivery : &request->message;
}

//  Whether its answer has a place to go to.
static bool
s_has_address(const yam_rpc_request_t *request)
{
    return !request->is_unwanted && request->reply_to[0] != '\0' &&
           yami_subject_check(request->reply_to, false) == 0;
}

//  0: published. -1 with errno; EAGAIN: not now.
static int
s_publish(yam_rpc_server_t *self, yam_rpc_request_t *request)
{
    yami_rpc_frame_t frame;
    yami_rpc_server_answer(request, &frame);
    yam_message_t *message = yami_rpc_wrap(&frame, request->reply_to);
    if (message == NULL) {
        return -1;
    }
    int rc = yam_pub_send_message(self->pub, &message);
    int error = errno;
    yam_message_destroy(&message);
    errno = error == ENOTCONN ? EAGAIN : error;
    return rc;
}

//  Under the lock: the answer at the head leaves. False when it cannot now.
static bool
s_let_go(yam_rpc_server_t *self, yam_rpc_request_t *request)
{
    if (request->is_released) {
        yam_message_t **delivery = s_delivery(request);
        (void) (YAMI_PLANTED(REQUEST_ACKED_AT_CLOSE) ? yam_pull_ack(self->pull, delivery)
                                                     : yam_pull_release(self->pull, delivery));
    } else if (!s_has_address(request)) {
        self->desk.stats.unsent += request->is_unwanted ? 0 : 1;
        (void) yam_pull_ack(self->pull, s_delivery(request));
    } else if (s_publish(self, request) == 0) {
        yami_rpc_desk_left(&self->desk, request, ++self->sent);
        return true;
    } else if (errno == EAGAIN) {
        return false;
    } else {
        self->desk.stats.unsent++;
        (void) yam_pull_nack(self->pull, s_delivery(request), -1, yam_error());
    }
    yami_rpc_server_free(self, &request);
    return true;
}

//  The relay has these answers, or refuses them: their requests are done, or come again.
static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    yam_rpc_server_t *self = arg;
    yam_rpc_request_t *request;
    (void) first, (void) level;
    yami_monitor_lock(&self->monitor);
    while ((request = TAILQ_FIRST(&self->desk.left)) != NULL && request->number <= last) {
        if (status == YAM_STATUS_OK) {
            (void) yam_pull_ack(self->pull, s_delivery(request));
        } else {
            self->desk.stats.unsent++;
            (void) yam_pull_nack(self->pull, s_delivery(request), -1, text);
        }
        yami_rpc_server_free(self, &request);
    }
    yami_rpc_server_wake(self); //  there is room again
    yami_monitor_unlock(&self->monitor);
}

//  -- In

//  Under the lock. What is not taken is settled.
static void
s_take(yam_rpc_server_t *self, yam_rpc_request_t *request)
{
    yam_status_t status;
    yam_rpc_request_t *twin = NULL;
    yami_rpc_verdict_t verdict =
        yami_rpc_desk_take(&self->desk, yami_clock_wall_ms(), &request, &status, &twin);
    switch (verdict) {
    case YAMI_RPC_REPEATED: //  its lease ran out here, or its link was lost: this one counts now
        yam_message_destroy(&twin->delivery);
        twin->delivery = request->message;
        request->message = NULL;
        break;
    case YAMI_RPC_EXPIRED:
        (void) yam_pull_ack(self->pull, &request->message);
        break;
    case YAMI_RPC_REFUSED:
        (void) yam_pull_release(self->pull, &request->message);
        break;
    default:
        break;
    }
    yami_rpc_request_free(&request);
}

//  One message. Whether there was one.
static bool
s_serve(yam_rpc_server_t *self)
{
    yami_rpc_frame_t frame;
    yam_message_t *message = yam_pull_recv(self->pull, 0);
    if (message == NULL) {
        return false;
    }
    bool is_sound = yami_rpc_read(&frame, &message->record) == 0 && frame.kind == YAMI_RPC_CALL;
    yami_monitor_lock(&self->monitor);
    if (is_sound) {
        yam_rpc_request_t *request = yami_rpc_server_request(self, &frame);
        request->message = message;
        request->deadline_ms =
            message->record.expiry_ms > 0 ? message->record.expiry_ms : INT64_MAX;
        s_take(self, request);
    } else {
        self->desk.stats.malformed++;
        (void) yam_pull_reject(self->pull, &message, "this is no call (patterns/rpc/SPEC.md)");
    }
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return true;
}

//  Under the lock.
static void
s_extend(yam_rpc_server_t *self, const struct yami_rpc_requests *list)
{
    const yam_rpc_request_t *request;
    TAILQ_FOREACH(request, list, link)
    {
        (void) yam_pull_extend(self->pull,
                               request->delivery != NULL ? request->delivery : request->message);
    }
}

//  Requests stay ours as long as they are here. Returns when to extend again.
static int64_t
s_keep_leases(yam_rpc_server_t *self, int64_t now_ms)
{
    if (now_ms >= self->extend_ms) {
        int64_t lease_ms = self->endpoint.options.lease_ms;
        self->extend_ms = now_ms + (lease_ms > 0 ? lease_ms : LEASE_MS) / EXTENSIONS;
        s_extend(self, &self->desk.queued);
        s_extend(self, &self->desk.running);
        s_extend(self, &self->desk.leaving);
        s_extend(self, &self->desk.left);
    }
    return self->extend_ms;
}

//  All that has come, as long as others have their turn. Who closes gives it back: it still has
//  credit, and the relay may give it the same again, so it looks now and then only. Returns when to
//  look again.
static int64_t
s_receive(yam_rpc_server_t *self, int64_t now_ms, bool is_closing)
{
    int count = 0;
    self->task.polls_fd = !is_closing;
    if (is_closing && now_ms < self->give_back_ms) {
        return self->give_back_ms;
    }
    while (count < YAMI_RPC_FRAMES_AT_ONCE && s_serve(self)) {
        count++;
    }
    if (is_closing) {
        self->give_back_ms = now_ms + GIVE_BACK_MS;
        return self->give_back_ms;
    }
    return count == YAMI_RPC_FRAMES_AT_ONCE ? now_ms : INT64_MAX;
}

static int64_t
s_earlier(int64_t left_ms, int64_t right_ms)
{
    return left_ms < right_ms ? left_ms : right_ms;
}

static int64_t
s_step(void *arg, int64_t now_ms)
{
    yam_rpc_server_t *self = arg;
    yam_rpc_request_t *request;
    bool has_room = true;
    yami_monitor_lock(&self->monitor);
    while (has_room && (request = yami_rpc_desk_leaving(&self->desk)) != NULL) {
        has_room = s_let_go(self, request);
    }
    bool is_closing = self->desk.is_closing;
    int64_t due_ms = s_keep_leases(self, now_ms);
    yami_monitor_unlock(&self->monitor);
    due_ms = s_earlier(due_ms, s_receive(self, now_ms, is_closing));
    return has_room ? due_ms : s_earlier(due_ms, now_ms + LOOK_AGAIN_MS);
}

//  -- Opening and closing

static int
s_open(yam_rpc_server_t *self, const char *endpoint)
{
    char text[4096];
    char topic[YAMI_LIMIT_NAME + sizeof YAMI_RPC_REPLIES];
    const char *separator = strchr(endpoint, '?') != NULL ? "&" : "?";
    int64_t lease_ms = self->endpoint.options.lease_ms;
    (void) snprintf(topic, sizeof topic, "%s%s", self->service, YAMI_RPC_REPLIES);
    int size = snprintf(text, sizeof text, "%s%ssend-timeout=0&lease=%lldms", endpoint, separator,
                        (long long) (lease_ms > 0 ? lease_ms : LEASE_MS));
    if (size < 0 || (size_t) size >= sizeof text) {
        return yami_fail(EINVAL, "endpoint \"%.100s...\" is too long", endpoint);
    }
    self->pub = yam_pub_new(self->yam, topic, text);
    self->pull = self->pub != NULL ? yam_pull_new(self->yam, self->service, text) : NULL;
    int fd = self->pull != NULL ? yam_pull_fd(self->pull) : -1;
    if (fd == -1) {
        return -1;
    }
    (void) snprintf(self->bound, sizeof self->bound, "%s", yam_pull_endpoint(self->pull));
    self->task.polls_fd = true;
    self->task.fd = fd;
    int rc = yami_rpc_server_add_task(self, s_step);
    if (rc == 0) {
        yam_pub_set_confirm(self->pub, s_confirmed, self);
    }
    return rc;
}

static void
s_close(yam_rpc_server_t *self)
{
    if (self->pub != NULL) {
        yam_pub_set_confirm(self->pub, NULL, NULL);
    }
    (void) yam_pub_close(&self->pub, 0); //  an answer without a confirm: its request comes again
    (void) yam_pull_close(&self->pull, YAMI_RPC_FAREWELL_MS);
}

const yami_rpc_way_t yami_rpc_way_relayed = {s_open, s_close, yami_clock_wall_ms};
