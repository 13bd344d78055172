//  yam_rpc: what applications call. See yami_rpc.h.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_properties.h"
#include "yami_rpc.h"

//  -- Opening and closing

static int
s_refuse(const char *text, const yami_address_t *address, const char *reason)
{
    return yami_fail(EINVAL, "endpoint \"%.100s\": %s at column %zu", text, reason,
                     address->column);
}

static int
s_parse(yam_rpc_t *self, const char *service, const char *text)
{
    if (service == NULL || self->yam == NULL) {
        return yami_fail(EINVAL, "a caller needs a yam_t and the name of a service");
    }
    if (!yami_context_is_ours(self->yam) ||
        yami_name_check(yami_slice_text(service), "service") == -1 ||
        yami_endpoint_parse(&self->endpoint, text, false) == -1) {
        return -1;
    }
    (void) snprintf(self->service, sizeof self->service, "%s", service);
    if (self->endpoint.options.hwm == 0) {
        self->endpoint.options.hwm = YAMI_RPC_HWM;
    }
    for (size_t index = 0; index < self->endpoint.address_count; index++) {
        const yami_address_t *address = &self->endpoint.addresses[index];
        if (self->endpoint.options.grade == YAMI_GRADE_FAST && address->is_bind) {
            return s_refuse(text, address, "a caller connects to its servers (use '>')");
        }
    }
    return 0;
}

static void
s_init(yam_rpc_t *self)
{
    const yami_endpoint_options_t *options = &self->endpoint.options;
    bool is_relayed = options->grade == YAMI_GRADE_SURE;
    yami_rpc_config_t config = {.servers = is_relayed ? 1 : self->endpoint.address_count,
                                .is_relayed = is_relayed,
                                .calls = (uint64_t) options->window,
                                .bytes = (uint64_t) options->window_bytes,
                                .retries = (uint32_t) options->retries,
                                .heartbeat_ms = options->heartbeat_ms};
    yami_random(&self->id, sizeof self->id);
    yami_rpc_core_init(&self->core, &config, &self->id);
    (void) snprintf(self->subject, sizeof self->subject, "%s",
                    options->name[0] != '\0' ? options->name : self->core.caller);
    yami_monitor_init(&self->monitor);
    self->engine = yami_context_engine(self->yam);
}

static void
s_free(yam_rpc_t **self_p)
{
    yam_rpc_t *self = *self_p;
    *self_p = NULL;
    yami_rpc_core_clear(&self->core);
    yami_monitor_destroy(&self->monitor);
    if (self->event_fd != -1) {
        (void) close(self->event_fd);
    }
    yami_free(self->peers);
    yami_free(self);
}

yam_rpc_t *
yam_rpc_new(yam_t *yam, const char *service, const char *endpoint)
{
    yam_rpc_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->event_fd = -1;
    if (s_parse(self, service, endpoint) == -1) {
        yami_free(self);
        return NULL;
    }
    s_init(self);
    if (yami_rpc_open_io(self, endpoint) == -1) {
        int error = errno;
        yami_rpc_close_io(self);
        s_free(&self);
        errno = error;
    }
    return self;
}

void
yam_rpc_destroy(yam_rpc_t **self_p)
{
    if (self_p != NULL && *self_p != NULL) {
        (void) yam_rpc_close(self_p, (int) (*self_p)->endpoint.options.linger_ms);
    }
}

uint64_t
yam_rpc_close(yam_rpc_t **self_p, int timeout_ms)
{
    yam_rpc_t *self = self_p != NULL ? *self_p : NULL;
    if (self == NULL) {
        return 0;
    }
    *self_p = NULL;
    if (!yami_context_is_ours(self->yam)) {
        return self->core.unfinished; //  a forked child leaves everything as it is
    }
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    yami_monitor_lock(&self->monitor);
    while (self->core.unfinished > 0 && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    yami_monitor_unlock(&self->monitor);
    yami_rpc_close_io(self);
    uint64_t unfinished = self->core.unfinished;
    yami_rpc_core_end(&self->core, YAM_STATUS_CLOSING, "the caller was closed");
    (void) yami_rpc_tell(self);
    s_free(&self);
    return unfinished;
}

//  -- Calls

uint64_t
yam_rpc_call(yam_rpc_t *self, yam_message_t **request_p, int timeout_ms, yam_rpc_reply_fn reply,
             void *arg)
{
    if (!yami_context_is_ours(self->yam)) {
        return 0;
    }
    if (request_p == NULL || *request_p == NULL || timeout_ms == 0 || timeout_ms < -1) {
        (void) yami_fail(EINVAL, "a call needs a message, and a timeout above 0 or of -1 (none)");
        return 0;
    }
    if (yami_rpc_check_message(*request_p) == -1) {
        return 0;
    }
    int64_t now_ms = yami_clock_mono_ms();
    int64_t deadline_ms = timeout_ms == -1 ? INT64_MAX : now_ms + timeout_ms;
    yami_monitor_lock(&self->monitor);
    uint64_t call = yami_rpc_core_add(&self->core, now_ms, request_p, deadline_ms, reply, arg);
    if (call != 0) {
        yami_rpc_wake(self);
    }
    yami_monitor_unlock(&self->monitor);
    return call;
}

//  Under the lock: the future's outcome once it is there.
static int
s_await(yam_rpc_t *self, uint64_t number, int timeout_ms, yami_rpc_call_t **call_p)
{
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    bool has_time = timeout_ms != 0;
    for (;;) {
        yami_rpc_call_t *call = yami_rpc_core_find(&self->core, number);
        if (call == NULL || call->reply != NULL) {
            return yami_fail(ENOENT, "there is no future %" PRIu64, number);
        }
        if (call->state == YAMI_RPC_DONE) {
            yami_rpc_core_take_future(&self->core, call);
            *call_p = call;
            return 0;
        }
        if (!has_time) {
            return yami_fail(EAGAIN, "call %" PRIu64 " has no outcome yet", number);
        }
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
}

yam_message_t *
yam_rpc_wait(yam_rpc_t *self, uint64_t number, int timeout_ms, yam_status_t *status_p)
{
    yami_rpc_call_t *call = NULL;
    if (!yami_context_is_ours(self->yam)) {
        return NULL;
    }
    yami_monitor_lock(&self->monitor);
    (void) s_await(self, number, timeout_ms, &call);
    yami_monitor_unlock(&self->monitor);
    if (call == NULL) {
        return NULL;
    }
    if (status_p != NULL) {
        *status_p = call->status;
    }
    yam_message_t *answer = NULL;
    if (call->status == YAM_STATUS_OK) {
        answer = call->answer;
        call->answer = NULL;
    }
    int error = yam_status_errno(call->status);
    if (answer == NULL) {
        (void) yami_fail(error, "%s: %s%s%s", self->service, yam_status_name(call->status),
                         call->text != NULL ? ": " : "", call->text != NULL ? call->text : "");
    }
    yami_rpc_call_free(&call);
    errno = error;
    return answer;
}

yam_message_t *
yam_rpc_ask(yam_rpc_t *self, yam_message_t **request_p, int timeout_ms, yam_status_t *status_p)
{
    uint64_t call = yam_rpc_call(self, request_p, timeout_ms, NULL, NULL);
    return call != 0 ? yam_rpc_wait(self, call, -1, status_p) : NULL;
}

int
yam_rpc_cancel(yam_rpc_t *self, uint64_t call)
{
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    int rc = yami_rpc_core_cancel(&self->core, call);
    int error = errno;
    yami_rpc_wake(self); //  its server is told
    yami_rpc_signal(self);
    yami_monitor_unlock(&self->monitor);
    errno = error;
    return rc;
}

//  -- Outcomes

void
yami_rpc_signal(yam_rpc_t *self)
{
    bool shall_be = !TAILQ_EMPTY(&self->core.done);
    yami_monitor_tell(&self->monitor);
    if (self->event_fd == -1 || shall_be == self->is_readable) {
        return;
    }
    uint64_t count = 1;
    ssize_t rc = shall_be ? write(self->event_fd, &count, sizeof count)
                          : read(self->event_fd, &count, sizeof count);
    YAM_ASSERT(rc == sizeof count); //  (3): a counter of 0 or 1
    self->is_readable = shall_be;
}

size_t
yami_rpc_tell(yam_rpc_t *self)
{
    for (size_t told = 0;; told++) {
        yami_monitor_lock(&self->monitor);
        yami_rpc_call_t *call = yami_rpc_core_take(&self->core);
        yami_rpc_signal(self);
        yami_monitor_unlock(&self->monitor);
        if (call == NULL) {
            return told;
        }
        call->reply(call->arg, call->status, call->text != NULL ? call->text : "",
                    &call->answer); //  (2)
        yami_rpc_call_free(&call);
    }
}

int
yam_rpc_fd(yam_rpc_t *self)
{
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    yami_monitor_lock(&self->monitor);
    if (self->event_fd == -1) {
        self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (self->event_fd == -1) {
            (void) yami_fail(errno, "cannot open a descriptor for events: %s", strerror(errno));
        }
        yami_rpc_signal(self);
    }
    int fd = self->event_fd;
    yami_monitor_unlock(&self->monitor);
    return fd;
}

size_t
yam_rpc_dispatch(yam_rpc_t *self)
{
    return yami_context_is_ours(self->yam) ? yami_rpc_tell(self) : 0;
}

void
yam_rpc_stats(yam_rpc_t *self, yam_rpc_stats_t *stats)
{
    yami_monitor_lock(&self->monitor);
    *stats = self->core.stats;
    stats->pending = self->core.unfinished;
    stats->servers_alive = 0;
    for (size_t index = 0; index < self->core.config.servers; index++) {
        stats->servers_alive += self->core.servers[index].is_alive ? 1 : 0;
    }
    yami_monitor_unlock(&self->monitor);
}
