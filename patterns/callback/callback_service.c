//  yam_callback_service - its life, and its thread. What a turn does is in callback_turn.c.

#include "yam_callback_service.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_callback_turn.h"
#include "yami_context.h"
#include "yami_socket.h"
#include "yami_thread.h"

static void
s_wait(yam_callback_service_t *self)
{
    yami_callback_turn_t *turn = &self->turn;
    struct pollfd items[] = {
        {.fd = turn->wake_fd, .events = POLLIN},
        {.fd = yami_callback_intake_fd(&turn->intake, YAMI_CALLBACK_CONFIRMS), .events = POLLIN},
        {.fd = yami_callback_intake_fd(&turn->intake, YAMI_CALLBACK_CHECKS), .events = POLLIN},
    };
    uint64_t number;
    if (poll(items, 3, yami_callback_turn_wait_ms(turn)) > 0 && (items[0].revents & POLLIN) &&
        read(turn->wake_fd, &number, sizeof number) == -1) {
        //  somebody was quicker: nobody
    }
}

static void *
s_run(void *arg)
{
    yam_callback_service_t *self = arg;
    while (!atomic_load(&self->is_stopped)) {
        s_wait(self);
        yami_callback_turn(&self->turn);
        atomic_store(&self->last_turn_ms, yami_clock_mono_ms());
        yami_monitor_lock(&self->monitor);
        self->stats = self->turn.stats;
        yami_monitor_tell(&self->monitor);
        yami_monitor_unlock(&self->monitor);
    }
    yami_callback_turn_clear(&self->turn);
    return NULL;
}

//  The queues live at a relay elsewhere, and in the sure grade: nothing else keeps a check. A
//  socket shows whether its keys are complete.
static int
s_check_endpoint(yam_t *yam, const char *endpoint)
{
    yami_endpoint_t parsed;
    if (yami_endpoint_parse(&parsed, endpoint, false) == -1) {
        return -1;
    }
    if (parsed.options.grade != YAMI_GRADE_SURE || parsed.options.relay[0] != 0) {
        return yami_fail(EINVAL,
                         "a callback service needs a relay elsewhere: give its endpoint with "
                         "grade=sure, without relay=");
    }
    void *socket = yami_context_socket(yam, ZMQ_DEALER, &parsed.options);
    yami_socket_close(socket);
    return socket != NULL ? 0 : -1;
}

static int
s_open(yam_callback_service_t *self, yam_t *yam, const char *endpoint, const char *options)
{
    yami_callback_turn_t *turn = &self->turn;
    turn->wake_fd = -1;
    turn->heard_ms = yami_clock_mono_ms();
    if (yam == NULL || endpoint == NULL) {
        return yami_fail(EINVAL, "a callback service needs a yam_t, an endpoint and a store");
    }
    if (!yami_context_is_ours(yam) || s_check_endpoint(yam, endpoint) == -1 ||
        yami_callback_options_read(&turn->options, &turn->rules, options) == -1) {
        return -1;
    }
    self->endpoint = yami_strdup(endpoint);
    turn->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (turn->wake_fd == -1) {
        return yami_fail(errno, "a callback service needs a descriptor: %s", strerror(errno));
    }
    turn->intake = (yami_callback_intake_t) {
        .yam = yam, .endpoint = self->endpoint, .options = &turn->options};
    turn->calls = yami_callback_calls_new(yam, self->endpoint, (size_t) turn->options.call_limit,
                                          (int) turn->options.call_timeout_ms, turn->wake_fd);
    return 0;
}

static void
s_free(yam_callback_service_t *self)
{
    yami_callback_calls_destroy(&self->turn.calls);
    if (self->turn.wake_fd != -1) {
        (void) close(self->turn.wake_fd);
    }
    yami_monitor_destroy(&self->monitor);
    yami_free(self->endpoint);
    yami_free(self);
}

yam_callback_service_t *
yam_callback_service_new(yam_t *yam, const char *endpoint, yam_callback_store_t **store_p,
                         const char *options)
{
    YAM_ASSERT(store_p != NULL && *store_p != NULL);
    yam_callback_service_t *self = yami_alloc(sizeof *self);
    yami_monitor_init(&self->monitor);
    self->last_turn_ms = yami_clock_mono_ms();
    int rc = s_open(self, yam, endpoint, options);
    if (rc == 0) {
        self->turn.store = *store_p;
        int error = yami_thread_start(&self->thread, s_run, self);
        rc = error == 0 ? 0 : yami_fail(error, "cannot start a thread: %s", strerror(error));
    }
    if (rc == -1) {
        int error = errno;
        s_free(self);
        errno = error;
        return NULL;
    }
    *store_p = NULL;
    return self;
}

void
yam_callback_service_destroy(yam_callback_service_t **self_p)
{
    static const uint64_t one = 1;
    yam_callback_service_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    if (!yami_context_is_ours(self->turn.intake.yam)) {
        return; //  a forked child leaves everything as it is: the database is the parent's
    }
    atomic_store(&self->is_stopped, true);
    if (write(self->turn.wake_fd, &one, sizeof one) == -1) {
        //  it is readable already
    }
    (void) pthread_join(self->thread, NULL);
    yam_callback_store_destroy(&self->turn.store);
    s_free(self);
}

void
yam_callback_service_stats(yam_callback_service_t *self, yam_callback_service_stats_t *stats)
{
    yami_monitor_lock(&self->monitor);
    *stats = self->stats;
    yami_monitor_unlock(&self->monitor);
}

int64_t
yam_callback_service_last_turn_ms(yam_callback_service_t *self)
{
    return atomic_load(&self->last_turn_ms);
}
