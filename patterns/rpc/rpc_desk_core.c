//  Requests at a server. See yami_rpc_desk_core.h.

#include "yami_rpc_desk_core.h"

#include <string.h>

#include "yami_base.h"
#include "yami_message.h"
#include "yami_planted.h"

void
yami_rpc_desk_init(yami_rpc_desk_t *self, uint64_t limit, uint64_t bytes)
{
    YAM_ASSERT(limit > 0);
    memset(self, 0, sizeof *self);
    self->limit = limit;
    self->bytes = bytes;
    self->buckets = yami_alloc(YAMI_RPC_DESK_BUCKETS * sizeof *self->buckets);
    TAILQ_INIT(&self->queued);
    TAILQ_INIT(&self->running);
    TAILQ_INIT(&self->leaving);
    TAILQ_INIT(&self->left);
}

void
yami_rpc_desk_clear(yami_rpc_desk_t *self)
{
    YAM_ASSERT(self->count == 0);
    yami_free(self->buckets);
    memset(self, 0, sizeof *self);
}

void
yami_rpc_request_free(yam_rpc_request_t **request_p)
{
    yam_rpc_request_t *request = *request_p;
    if (request == NULL) {
        return;
    }
    *request_p = NULL;
    yam_message_destroy(&request->message);
    yam_message_destroy(&request->delivery);
    yam_message_destroy(&request->body);
    yami_block_unref(&request->peer);
    yami_free(request->text);
    yami_free(request);
}

//  -- Lists

static struct yami_rpc_requests *
s_list(yami_rpc_desk_t *self, yami_rpc_request_state_t state)
{
    return state == YAMI_RPC_REQUEST_QUEUED    ? &self->queued
           : state == YAMI_RPC_REQUEST_RUNNING ? &self->running
           : state == YAMI_RPC_REQUEST_LEAVING ? &self->leaving
                                               : &self->left;
}

static void
s_move(yami_rpc_desk_t *self, yam_rpc_request_t *request, yami_rpc_request_state_t state)
{
    TAILQ_REMOVE(s_list(self, request->state), request, link);
    request->state = state;
    TAILQ_INSERT_TAIL(s_list(self, state), request, link);
}

static struct yami_rpc_request_bucket *
s_bucket(const yami_rpc_desk_t *self, const void *correlation, size_t size)
{
    return &self->buckets[yami_crc32c(0, correlation, size) % YAMI_RPC_DESK_BUCKETS];
}

static bool
s_is_same_peer(const yami_block_t *left, const yami_block_t *right)
{
    return left == NULL || right == NULL
               ? left == right
               : left->size == right->size && memcmp(left->data, right->data, left->size) == 0;
}

static yam_rpc_request_t *
s_find(const yami_rpc_desk_t *self, const yami_block_t *peer, yami_slice_t correlation)
{
    yam_rpc_request_t *request = NULL;
    LIST_FOREACH(request, s_bucket(self, correlation.data, correlation.size), bucket)
    {
        if (yami_slice_equal(correlation, request->correlation) &&
            s_is_same_peer(peer, request->peer)) {
            return request;
        }
    }
    return NULL;
}

void
yami_rpc_desk_free(yami_rpc_desk_t *self, yam_rpc_request_t **request_p)
{
    yam_rpc_request_t *request = *request_p;
    TAILQ_REMOVE(s_list(self, request->state), request, link);
    LIST_REMOVE(request, bucket);
    self->count--;
    self->held_bytes -= request->size;
    yami_rpc_request_free(request_p);
}

//  -- In

int64_t
yami_rpc_desk_left_ms(const yam_rpc_request_t *request, int64_t now_ms)
{
    if (request->is_cancelled) {
        return 0;
    }
    if (request->deadline_ms == INT64_MAX) {
        return -1;
    }
    return request->deadline_ms > now_ms ? request->deadline_ms - now_ms : 0;
}

yami_rpc_verdict_t
yami_rpc_desk_take(yami_rpc_desk_t *self, int64_t now_ms, yam_rpc_request_t **request_p,
                   yam_status_t *status_p, yam_rpc_request_t **twin_p)
{
    yam_rpc_request_t *request = *request_p;
    yami_slice_t correlation = yami_slice_text(request->correlation);
    self->stats.requests++;
    *twin_p = s_find(self, request->peer, correlation);
    if (*twin_p != NULL) { //  (2)
        self->stats.duplicates++;
        return YAMI_RPC_REPEATED;
    }
    if (yami_rpc_desk_left_ms(request, now_ms) == 0 && !YAMI_PLANTED(RPC_DEADLINE_IGNORED)) {
        self->stats.expired++;
        return YAMI_RPC_EXPIRED;
    }
    bool has_room = self->count == 0 || (self->count < self->limit &&
                                         self->held_bytes + request->size <= self->bytes); //  (3)
    if (self->is_closing || !has_room) {
        self->stats.refused++;
        *status_p = self->is_closing ? YAM_STATUS_CLOSING : YAM_STATUS_FULL;
        return YAMI_RPC_REFUSED;
    }
    *request_p = NULL;
    request->state = YAMI_RPC_REQUEST_QUEUED;
    TAILQ_INSERT_TAIL(&self->queued, request, link);
    LIST_INSERT_HEAD(s_bucket(self, correlation.data, correlation.size), request, bucket);
    self->count++;
    self->held_bytes += request->size;
    return YAMI_RPC_TAKEN;
}

static void
s_drop(yami_rpc_desk_t *self, yam_rpc_request_t *request)
{
    request->is_unwanted = true;
    s_move(self, request, YAMI_RPC_REQUEST_LEAVING);
}

void
yami_rpc_desk_cancel(yami_rpc_desk_t *self, const yami_block_t *peer, yami_slice_t correlation)
{
    yam_rpc_request_t *request = s_find(self, peer, correlation);
    if (request == NULL || request->is_cancelled) {
        return;
    }
    request->is_cancelled = true;
    if (request->state == YAMI_RPC_REQUEST_QUEUED) {
        self->stats.cancelled++;
        s_drop(self, request);
    }
}

yam_rpc_request_t *
yami_rpc_desk_next(yami_rpc_desk_t *self, int64_t now_ms)
{
    yam_rpc_request_t *request;
    while ((request = TAILQ_FIRST(&self->queued)) != NULL) {
        if (yami_rpc_desk_left_ms(request, now_ms) != 0 || YAMI_PLANTED(RPC_DEADLINE_IGNORED)) {
            self->stats.handled++;
            s_move(self, request, YAMI_RPC_REQUEST_RUNNING);
            return request;
        }
        self->stats.expired++;
        s_drop(self, request);
    }
    return NULL;
}

//  -- Out

//  At most YAMI_LIMIT_TEXT bytes of text.
static char *
s_cut(const char *text)
{
    size_t size = text != NULL ? strnlen(text, YAMI_LIMIT_TEXT) : 0;
    if (size == 0) {
        return NULL;
    }
    char *copy = yami_alloc(size + 1);
    memcpy(copy, text, size);
    return copy;
}

bool
yami_rpc_desk_answer(yami_rpc_desk_t *self, int64_t now_ms, yam_rpc_request_t *request,
                     yam_status_t status, const char *text, yam_message_t **body_p)
{
    YAM_ASSERT(request->state == YAMI_RPC_REQUEST_RUNNING);
    self->stats.replied++;
    request->status = status;
    request->text = s_cut(text);
    request->body = *body_p;
    *body_p = NULL;
    size_t size = request->body != NULL ? request->body->record.body.size : 0;
    request->size += size;
    self->held_bytes += size;
    request->is_unwanted = yami_rpc_desk_left_ms(request, now_ms) == 0;
    self->stats.unsent += request->is_unwanted ? 1 : 0;
    s_move(self, request, YAMI_RPC_REQUEST_LEAVING);
    return !request->is_unwanted;
}

void
yami_rpc_desk_close(yami_rpc_desk_t *self)
{
    yam_rpc_request_t *request;
    self->is_closing = true;
    while ((request = TAILQ_FIRST(&self->queued)) != NULL) {
        self->stats.refused++;
        request->status = YAM_STATUS_CLOSING;
        request->is_released = true;
        s_move(self, request, YAMI_RPC_REQUEST_LEAVING);
    }
}

yam_rpc_request_t *
yami_rpc_desk_leaving(const yami_rpc_desk_t *self)
{
    return TAILQ_FIRST(&self->leaving);
}

void
yami_rpc_desk_left(yami_rpc_desk_t *self, yam_rpc_request_t *request, uint64_t number)
{
    YAM_ASSERT(request->state == YAMI_RPC_REQUEST_LEAVING);
    request->number = number;
    s_move(self, request, YAMI_RPC_REQUEST_LEFT);
}

//  -- What must always hold

static uint64_t
s_check_list(const yami_rpc_desk_t *self, const struct yami_rpc_requests *list,
             yami_rpc_request_state_t state, uint64_t *bytes_p)
{
    uint64_t count = 0;
    const yam_rpc_request_t *request;
    TAILQ_FOREACH(request, list, link)
    {
        YAM_ASSERT(request->state == state);
        YAM_ASSERT(s_find(self, request->peer, yami_slice_text(request->correlation)) ==
                   request); //  (1) (2)
        *bytes_p += request->size;
        count++;
    }
    return count;
}

void
yami_rpc_desk_check(const yami_rpc_desk_t *self)
{
    uint64_t bytes = 0;
    uint64_t count = s_check_list(self, &self->queued, YAMI_RPC_REQUEST_QUEUED, &bytes);
    count += s_check_list(self, &self->running, YAMI_RPC_REQUEST_RUNNING, &bytes);
    count += s_check_list(self, &self->leaving, YAMI_RPC_REQUEST_LEAVING, &bytes);
    count += s_check_list(self, &self->left, YAMI_RPC_REQUEST_LEFT, &bytes);
    YAM_ASSERT(count == self->count && bytes == self->held_bytes); //  (1)
    YAM_ASSERT(count <= self->limit);                              //  (3)
}
