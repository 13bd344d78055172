#include "yami_relay_shell.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <zmq.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"
#include "yami_relay_commit.h"
#include "yami_relay_driver.h"
#include "yami_relay_links.h"

#define S_BURST_LIMIT 64      //  frames taken before timers, confirms and deliveries get their turn
#define S_IDLE_TURN_MS 1000   //  the loop turns at least this often, for the watchdog
#define S_CLOSE_LINGER_MS 500 //  last confirms may leave for so long

//  What another thread asks the loop to do; one at a time.
typedef enum {
    S_NOTHING,
    S_SET,
    S_DRAIN,
} s_request_t;

struct yami_relay_shell {
    void *router;                  //  owned
    yami_relay_core_t *core;       //  owned
    yami_store_t *store;           //  owned
    yami_relay_options_t *options; //  borrowed
    yami_relay_commit_t *commit;   //  owned
    yami_relay_links_t *links;     //  owned
    int wake_fd;                   //  owned; eventfd
    pthread_t thread;

    yami_relay_driver_t driver;
    uint64_t kicked_lsn; //  the commit thread knows of all up to it
    uint64_t unnumbered; //  frames dropped since too many links are known
    yami_log_site_t limit_site;

    pthread_mutex_t lock;
    pthread_cond_t answered;
    s_request_t request;  //  under lock
    const char *set_name; //  under lock, borrowed while request is S_SET
    const char *set_value;
    int set_errno; //  under lock: outcome, with its sentence
    char set_error[512];
    bool is_stopping; //  under lock
    bool is_idle;     //  under lock: a drain is complete

    _Atomic int64_t last_turn_ms;
};

//  -- What the driver asks for

static int
s_send(void *arg, uint64_t peer, yami_block_t *block, yami_block_t *data)
{
    yami_relay_shell_t *self = arg;
    yami_block_t *routing_id = yami_relay_links_routing_id(self->links, peer);
    if (routing_id == NULL) {
        return 0;
    }
    int rc = yami_socket_send(self->router, routing_id, true);
    if (rc == 0) {
        rc = yami_socket_send(self->router, block, data != NULL);
    }
    if (rc == 0 && data != NULL) {
        rc = yami_socket_send(self->router, data, false);
    }
    return rc;
}

static void
s_close_link(void *arg, uint64_t peer)
{
    yami_relay_shell_t *self = arg;
    yami_relay_links_remove(self->links, peer);
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
    bool has_more = false;
    yami_block_t *routing_id = yami_socket_recv(self->router, &has_more);
    if (routing_id == NULL) {
        return false;
    }
    uint64_t peer = yami_relay_links_number(self->links, routing_id);
    yami_block_unref(&routing_id);
    if (peer == 0) {
        self->unnumbered++;
        yami_log_limited(&self->limit_site, YAMI_LOG_WARN, "relay.too-many-links", "dropped=%llu",
                         (unsigned long long) self->unnumbered);
    }
    bool is_single = has_more; //  a message of ours has one part after the routing id
    while (has_more) {
        yami_block_t *block = yami_socket_recv(self->router, &has_more);
        if (block == NULL) {
            break;
        }
        if (peer != 0 && is_single && !has_more) {
            yami_relay_driver_frame(&self->driver, peer, block);
        } else if (peer != 0 && !has_more) {
            yami_relay_driver_frame(&self->driver, peer, NULL);
        }
        is_single = false;
        yami_block_unref(&block);
    }
    return true;
}

//  Answers what other threads ask. Returns whether the loop shall end.
static bool
s_requests(yami_relay_shell_t *self)
{
    pthread_mutex_lock(&self->lock);
    if (self->request == S_SET) {
        self->set_errno = 0;
        if (yami_options_set(yami_relay_option_table, self->options, self->set_name,
                             self->set_value) == -1) {
            self->set_errno = errno;
            strncpy(self->set_error, yam_error(), sizeof self->set_error - 1);
        }
    } else if (self->request == S_DRAIN) {
        yami_relay_event_t event = {.type = YAMI_EVENT_DRAIN};
        yami_relay_driver_event(&self->driver, &event);
    }
    self->request = S_NOTHING;
    self->is_idle = yami_relay_driver_is_idle(&self->driver);
    bool is_stopping = self->is_stopping;
    pthread_cond_broadcast(&self->answered);
    pthread_mutex_unlock(&self->lock);
    return is_stopping;
}

static void
s_wait(yami_relay_shell_t *self)
{
    zmq_pollitem_t items[] = {{self->router, 0, ZMQ_POLLIN, 0},
                              {NULL, self->wake_fd, ZMQ_POLLIN, 0}};
    int64_t wait_ms = yami_relay_core_deadline(self->core) - yami_clock_mono_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > S_IDLE_TURN_MS ? S_IDLE_TURN_MS : wait_ms;
    int rc = zmq_poll(items, 2, (long) wait_ms);
    YAM_ASSERT(rc >= 0 || errno == EINTR || errno == ETERM);
    uint64_t ignored;
    if (rc > 0 && (items[1].revents & ZMQ_POLLIN) != 0) {
        ssize_t size = read(self->wake_fd, &ignored, sizeof ignored);
        YAM_ASSERT(size == (ssize_t) sizeof ignored || errno == EAGAIN);
    }
}

//  Promise (1): the core hears of what is durable here, and confirms leave only then.
static void
s_durable(yami_relay_shell_t *self)
{
    yami_relay_driver_durable(&self->driver, yami_relay_commit_error(self->commit),
                              yami_relay_commit_durable(self->commit));
}

static void *
s_run(void *arg)
{
    yami_relay_shell_t *self = arg;
    while (!s_requests(self)) {
        s_wait(self);
        s_durable(self);
        yami_relay_driver_scrub(&self->driver);
        for (int count = 0; count < S_BURST_LIMIT && s_receive(self); count++) {
            yami_relay_driver_checkpoint(&self->driver);
        }
        yami_relay_event_t turn = {.type = YAMI_EVENT_TURN};
        yami_relay_driver_event(&self->driver, &turn);
        yami_relay_driver_checkpoint(&self->driver);
        if (self->driver.appended_lsn > self->kicked_lsn) {
            self->kicked_lsn = self->driver.appended_lsn;
            yami_relay_commit_kick(self->commit, self->kicked_lsn);
        }
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
    yami_relay_links_destroy(&self->links);
    yami_relay_core_destroy(&self->core);
    pthread_cond_destroy(&self->answered);
    pthread_mutex_destroy(&self->lock);
    if (self->wake_fd != -1) {
        close(self->wake_fd);
    }
    yami_free(self);
}

static int
s_start(yami_relay_shell_t *self)
{
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd == -1) {
        return yami_fail(errno,
                         "relay: no descriptor for its event (raise the limit on open files)");
    }
    self->commit = yami_relay_commit_new(self->store, self->wake_fd);
    if (self->commit == NULL) {
        return -1;
    }
    int rc = pthread_create(&self->thread, NULL, s_run, self);
    if (rc != 0) {
        yami_relay_commit_destroy(&self->commit);
        return yami_fail(rc, "relay: cannot start its thread (raise the limit on threads)");
    }
    return 0;
}

yami_relay_shell_t *
yami_relay_shell_new(void *router, yami_relay_core_t *core, yami_store_t *store,
                     yami_relay_options_t *options)
{
    YAM_ASSERT(router != NULL && core != NULL && store != NULL && options != NULL);
    yami_relay_shell_t *self = yami_alloc(sizeof *self);
    self->router = router;
    self->core = core;
    self->store = store;
    self->options = options;
    //  one more than the core takes, so that it can tell the one too many, and drops that at once
    self->links = yami_relay_links_new(YAMI_LIMIT_PEERS + 1);
    yami_relay_driver_init(&self->driver, core, store, &s_driver_ops, self);
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    atomic_store(&self->last_turn_ms, yami_clock_mono_ms());
    if (s_start(self) == -1) {
        int error = errno;
        zmq_close(self->router);
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
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    self->request = S_DRAIN;
    s_wake(self);
    int rc = 0;
    while (rc == 0 && (self->request == S_DRAIN || !self->is_idle) &&
           !atomic_load(&self->driver.has_failed)) {
        rc = timeout_ms < 0 ? pthread_cond_wait(&self->answered, &self->lock)
                            : pthread_cond_timedwait(&self->answered, &self->lock, &deadline);
    }
}

int
yami_relay_shell_close(yami_relay_shell_t **self_p, int timeout_ms)
{
    YAM_ASSERT(self_p != NULL && *self_p != NULL);
    yami_relay_shell_t *self = *self_p;
    pthread_mutex_lock(&self->lock);
    if (timeout_ms != 0) {
        s_drain(self, timeout_ms);
    }
    self->is_stopping = true;
    s_wake(self);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);

    yami_relay_commit_destroy(&self->commit);
    int linger_ms = S_CLOSE_LINGER_MS;
    zmq_setsockopt(self->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(self->router);
    bool has_failed = atomic_load(&self->driver.has_failed);
    int rc = self->store->ops->close(&self->store);
    s_free(self);
    *self_p = NULL;
    return rc == -1 || has_failed
               ? yami_fail(EIO, "relay: its store failed; start it again to recover")
               : 0;
}

int
yami_relay_shell_set(yami_relay_shell_t *self, const char *name, const char *value)
{
    pthread_mutex_lock(&self->lock);
    while (self->request != S_NOTHING) {
        pthread_cond_wait(&self->answered, &self->lock);
    }
    self->request = S_SET;
    self->set_name = name;
    self->set_value = value;
    s_wake(self);
    while (self->request == S_SET) {
        pthread_cond_wait(&self->answered, &self->lock);
    }
    int rc = self->set_errno == 0 ? 0 : yami_fail(self->set_errno, "%s", self->set_error);
    pthread_mutex_unlock(&self->lock);
    return rc;
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
