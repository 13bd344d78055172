#include "yami_relay_shell.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <zmq.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_monitor.h"
#include "yami_relay_commit.h"
#include "yami_relay_door.h"
#include "yami_relay_driver.h"
#include "yami_thread.h"

#define S_BURST_LIMIT 64    //  frames taken before timers, confirms and deliveries get their turn
#define S_BURST_US 250      //  and no more after so long: some cost a hundred times what others do
#define S_IDLE_TURN_MS 1000 //  the loop turns at least this often, for the watchdog
#define S_CLOSE_LINGER_MS 500 //  last confirms may leave for so long

//  What another thread asks the loop to do; one at a time.
typedef enum {
    S_NOTHING,
    S_SET,
    S_DRAIN,
} s_request_t;

//  An option that somebody sets; lives on the stack of who waits for it.
typedef struct {
    const char *name; //  borrowed
    const char *value;
    bool is_done;
    int error; //  errno, 0: it is set
    char text[512];
} s_set_t;

struct yami_relay_shell {
    yami_relay_door_t *door;       //  owned
    yami_relay_core_t *core;       //  owned
    yami_store_t *store;           //  owned
    yami_relay_options_t *options; //  borrowed
    yami_relay_commit_t *commit;   //  owned
    int wake_fd;                   //  the door's
    pthread_t thread;

    yami_relay_driver_t driver;

    yami_monitor_t monitor; //  tells that a request was answered
    s_request_t request;    //  under the lock
    s_set_t *set;           //  under the lock, borrowed while request is S_SET
    bool is_stopping;       //  under the lock
    bool is_idle;           //  under the lock: a drain is complete

    _Atomic int64_t last_turn_ms;
};

//  -- What the driver asks for

static int
s_send(void *arg, uint64_t peer, yami_block_t *block, yami_block_t *data)
{
    yami_relay_shell_t *self = arg;
    return yami_relay_door_send(self->door, peer, block, data, yami_clock_mono_ms());
}

static void
s_close_link(void *arg, uint64_t peer)
{
    yami_relay_shell_t *self = arg;
    yami_relay_door_close_link(self->door, peer, yami_clock_mono_ms());
}

static void
s_log(void *arg, yami_log_level_t level, const char *event, const char *text)
{
    (void) arg;
    yami_log(level, event, "%s", text);
}

static int64_t
s_mono_ms(void *arg)
{
    (void) arg;
    return yami_clock_mono_ms();
}

static int64_t
s_wall_ms(void *arg)
{
    (void) arg;
    return yami_clock_wall_ms();
}

static const yami_relay_driver_ops_t s_driver_ops = {.send = s_send,
                                                     .close = s_close_link,
                                                     .log = s_log,
                                                     .mono_ms = s_mono_ms,
                                                     .wall_ms = s_wall_ms};

//  -- The loop

//  Takes one message off the socket. False when there is none.
static bool
s_receive(yami_relay_shell_t *self)
{
    yami_relay_arrival_t arrival;
    if (!yami_relay_door_receive(self->door, &arrival, yami_clock_mono_ms())) {
        return false;
    }
    if (arrival.peer != 0) {
        yami_relay_driver_frame(&self->driver, arrival.peer, arrival.block);
        if (yami_relay_door_is_silent(self->door, arrival.peer) &&
            yami_relay_core_has_session(self->core, arrival.peer)) {
            yami_relay_door_greeted(self->door, arrival.peer);
        }
    }
    yami_block_unref(&arrival.block);
    return true;
}

static void
s_tell_pressed(void *arg, uint64_t peer, bool is_pressed)
{
    yami_relay_shell_t *self = arg;
    yami_relay_event_t event = {.type = YAMI_EVENT_PRESSED, .peer = peer, .is_pressed = is_pressed};
    yami_relay_driver_event(&self->driver, &event);
}

static void
s_turn(yami_relay_shell_t *self)
{
    yami_relay_gauges_t gauges;
    yami_relay_door_step(self->door, yami_clock_mono_ms(), s_tell_pressed, self);
    yami_relay_door_count(self->door, &gauges);
    yami_relay_event_t turn = {.type = YAMI_EVENT_TURN, .gauges = &gauges};
    yami_relay_driver_event(&self->driver, &turn);
    yami_relay_driver_checkpoint(&self->driver);
}

//  Under the lock. Who asked knows by is_done that it is his answer: others wait to ask, too.
static void
s_answer_set(yami_relay_shell_t *self)
{
    s_set_t *set = self->set;
    if (yami_options_set(yami_relay_option_table, self->options, set->name, set->value) == -1) {
        set->error = errno;
        (void) snprintf(set->text, sizeof set->text, "%s", yam_error());
    } else {
        self->store->ops->set_reserve(self->store, (uint64_t) self->options->reserve_bytes);
    }
    set->is_done = true;
    self->set = NULL;
}

//  Answers what other threads ask. Returns whether the loop shall end.
static bool
s_requests(yami_relay_shell_t *self)
{
    yami_monitor_lock(&self->monitor);
    if (self->request == S_SET) {
        s_answer_set(self);
    } else if (self->request == S_DRAIN) {
        yami_relay_event_t event = {.type = YAMI_EVENT_DRAIN};
        yami_relay_driver_event(&self->driver, &event);
    }
    self->request = S_NOTHING;
    self->is_idle = yami_relay_driver_is_idle(&self->driver);
    bool is_stopping = self->is_stopping;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return is_stopping;
}

static void
s_wait(yami_relay_shell_t *self)
{
    zmq_pollitem_t items[YAMI_RELAY_DOOR_ITEMS];
    yami_relay_door_poll_items(self->door, items);
    int64_t deadline_ms = yami_relay_core_deadline(self->core);
    int64_t door_ms = yami_relay_door_deadline(self->door);
    int64_t wait_ms = (door_ms < deadline_ms ? door_ms : deadline_ms) - yami_clock_mono_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > S_IDLE_TURN_MS ? S_IDLE_TURN_MS : wait_ms;
    int rc = zmq_poll(items, YAMI_RELAY_DOOR_ITEMS, (long) wait_ms);
    YAM_ASSERT(rc >= 0 || errno == EINTR || errno == ETERM);
    uint64_t ignored;
    if (rc > 0 && (items[YAMI_RELAY_DOOR_ITEMS - 1].revents & ZMQ_POLLIN) != 0) {
        ssize_t size = read(self->wake_fd, &ignored, sizeof ignored);
        YAM_ASSERT(size == (ssize_t) sizeof ignored || errno == EAGAIN);
    }
}

//  What has come, fairly from all links.
static void
s_receive_burst(yami_relay_shell_t *self)
{
    int64_t end_us = yami_clock_mono_us() + S_BURST_US;
    int count = 0;
    while (count < S_BURST_LIMIT && yami_clock_mono_us() < end_us && s_receive(self)) {
        yami_relay_driver_checkpoint(&self->driver);
        count++;
    }
}

//  Promise (1): the core hears of what is durable here, and confirms leave only then.
static void
s_durable(yami_relay_shell_t *self)
{
    yami_relay_driver_durable(&self->driver, yami_relay_commit_error(self->commit),
                              yami_relay_commit_durable(self->commit));
}

static void
s_kick(yami_relay_shell_t *self)
{
    uint64_t lsn;
    if (yami_relay_driver_wants_commit(&self->driver, &lsn)) {
        yami_relay_commit_kick(self->commit, lsn);
    }
}

static void *
s_run(void *arg)
{
    yami_relay_shell_t *self = arg;
    while (!s_requests(self)) {
        s_wait(self);
        s_durable(self);
        yami_relay_driver_scrub(&self->driver);
        s_receive_burst(self);
        s_turn(self);
        s_kick(self);
        atomic_store(&self->last_turn_ms, yami_clock_mono_ms());
    }
    s_durable(self);
    yami_relay_event_t close = {.type = YAMI_EVENT_CLOSE};
    yami_relay_driver_event(&self->driver, &close);
    return NULL;
}

static void
s_free(yami_relay_shell_t *self)
{
    yami_relay_driver_clear(&self->driver);
    yami_relay_core_destroy(&self->core);
    yami_monitor_destroy(&self->monitor);
    yami_free(self);
}

static int
s_start(yami_relay_shell_t *self)
{
    self->commit = yami_relay_commit_new(self->store, self->wake_fd);
    if (self->commit == NULL) {
        return -1;
    }
    int rc = yami_thread_start(&self->thread, s_run, self);
    if (rc != 0) {
        yami_relay_commit_destroy(&self->commit);
        return yami_fail(ENOMEM, "relay: cannot start its thread (raise the limit on threads)");
    }
    return 0;
}

yami_relay_shell_t *
yami_relay_shell_new(yami_relay_door_t *door, yami_relay_core_t *core, yami_store_t *store,
                     yami_relay_options_t *options)
{
    YAM_ASSERT(door != NULL && core != NULL && store != NULL && options != NULL);
    yami_relay_shell_t *self = yami_alloc(sizeof *self);
    self->door = door;
    self->wake_fd = yami_relay_door_wake_fd(door);
    self->core = core;
    self->store = store;
    self->options = options;
    yami_relay_driver_init(&self->driver, core, store, &s_driver_ops, self);
    yami_monitor_init(&self->monitor);
    atomic_store(&self->last_turn_ms, yami_clock_mono_ms());
    if (s_start(self) == -1) {
        int error = errno;
        yami_relay_door_destroy(&self->door, 0);
        self->store->ops->close(&self->store);
        s_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

static void
s_wake(yami_relay_shell_t *self)
{
    uint64_t one = 1;
    ssize_t size = write(self->wake_fd, &one, sizeof one);
    YAM_ASSERT(size == (ssize_t) sizeof one || errno == EAGAIN);
}

//  Waits until the drain is complete or the deadline has come.
static void
s_drain(yami_relay_shell_t *self, int timeout_ms)
{
    int64_t until_ms = yami_monitor_deadline(timeout_ms);
    self->request = S_DRAIN;
    s_wake(self);
    bool has_time = true;
    while (has_time && (self->request == S_DRAIN || !self->is_idle) &&
           !atomic_load(&self->driver.has_failed)) {
        has_time = yami_monitor_wait(&self->monitor, until_ms);
    }
}

int
yami_relay_shell_close(yami_relay_shell_t **self_p, int timeout_ms)
{
    YAM_ASSERT(self_p != NULL && *self_p != NULL);
    yami_relay_shell_t *self = *self_p;
    yami_monitor_lock(&self->monitor);
    if (timeout_ms != 0) {
        s_drain(self, timeout_ms);
    }
    self->is_stopping = true;
    s_wake(self);
    yami_monitor_unlock(&self->monitor);
    pthread_join(self->thread, NULL);

    yami_relay_commit_destroy(&self->commit);
    yami_relay_door_destroy(&self->door, S_CLOSE_LINGER_MS);
    bool has_failed = atomic_load(&self->driver.has_failed);
    int rc = self->store->ops->close(&self->store);
    s_free(self);
    *self_p = NULL;
    return rc == -1 || has_failed
               ? yami_fail(EIO, "relay: its store failed; start it again to recover")
               : 0;
}

//  Hands set to the core thread and waits for its answer.
static void
s_have_set(yami_relay_shell_t *self, s_set_t *set)
{
    yami_monitor_lock(&self->monitor);
    while (self->request != S_NOTHING) {
        (void) yami_monitor_wait(&self->monitor, INT64_MAX);
    }
    self->request = S_SET;
    self->set = set;
    s_wake(self);
    while (!set->is_done) {
        (void) yami_monitor_wait(&self->monitor, INT64_MAX);
    }
    yami_monitor_unlock(&self->monitor);
}

int
yami_relay_shell_set(yami_relay_shell_t *self, const char *name, const char *value)
{
    s_set_t set = {.name = name, .value = value};
    s_have_set(self, &set);
    return set.error == 0 ? 0 : yami_fail(set.error, "%s", set.text);
}

bool
yami_relay_shell_has_failed(const yami_relay_shell_t *self)
{
    return atomic_load(&self->driver.has_failed);
}

int64_t
yami_relay_shell_last_turn_ms(const yami_relay_shell_t *self)
{
    return atomic_load(&self->last_turn_ms);
}
