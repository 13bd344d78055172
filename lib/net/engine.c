//  The engine's thread: one epoll set over the descriptors of all tasks.
//
//  A ZeroMQ socket's descriptor says "there are commands to process", not "there is a message", and
//  goes quiet as soon as anything processed them. So ZMQ_EVENTS is asked when the descriptor is
//  readable and again after every step, and a task whose socket still has something runs once more
//  without waiting.
//
//  Invariants:
//  (1) A task is on the woken stack exactly when is_woken is true, and only the engine takes from
//  it.
//  (2) The engine sleeps only after is_sleeping was published and the stack was found empty after
//  that; who pushes looks at is_sleeping after pushing. So no wake is lost.
//  (3) Tasks, epoll set and deadlines are touched by the engine's thread only.

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_engine.h"
#include "yami_fork.h"
#include "yami_monitor.h"
#include "yami_thread.h"

#define TASK_LIMIT 65536
#define EVENT_COUNT 64
#define WAIT_LIMIT_MS (60 * 60 * 1000)

//  A task on its way into or out of the engine; lives on the stack of who waits for it.
typedef struct s_change {
    yami_task_t *task;
    bool is_add;
    bool is_done;
    struct s_change *next;
} s_change_t;

struct yami_engine {
    pthread_t thread;
    uint64_t fork_stamp;
    int epoll_fd;
    int wake_fd;
    _Atomic(yami_task_t *) woken; //  stack
    atomic_bool is_sleeping;
    atomic_bool has_changes; //  changes is not empty, or is_stopping
    yami_monitor_t monitor;  //  guards the two below; tells that changes were applied
    s_change_t *changes;     //  latest last
    bool is_stopping;
    yami_task_t **tasks; //  (3) owned array of borrowed tasks
    size_t task_count;
    size_t task_capacity;
    int64_t next_deadline_ms; //  no task's deadline is earlier
};

static void
s_rouse(yami_engine_t *self)
{
    if (atomic_exchange(&self->is_sleeping, false)) {
        uint64_t one = 1;
        ssize_t written = write(self->wake_fd, &one, sizeof one);
        (void) written; //  fails only when the counter is full: then it is readable anyway
    }
}

void
yami_engine_wake(yami_engine_t *self, yami_task_t *task)
{
    if (atomic_exchange(&task->is_woken, true)) {
        return;
    }
    yami_task_t *head = atomic_load_explicit(&self->woken, memory_order_relaxed);
    do {
        task->next_woken = head;
    } while (!atomic_compare_exchange_weak(&self->woken, &head, task)); //  (1)
    s_rouse(self);                                                      //  (2)
}

//  What the socket has for its task now.
static bool
s_has_events(const yami_task_t *task)
{
    if (!task->socket) {
        return false;
    }
    int events = 0;
    size_t size = sizeof events;
    if (zmq_getsockopt(task->socket, ZMQ_EVENTS, &events, &size) == -1) {
        return false; //  the context ends: its owner will hear of it
    }
    return (events & ZMQ_POLLIN) != 0 || (task->wants_output && (events & ZMQ_POLLOUT) != 0);
}

static int
s_descriptor(const yami_task_t *task)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (task->socket && zmq_getsockopt(task->socket, ZMQ_FD, &fd, &size) == 0) {
        return fd;
    }
    return task->polls_fd ? task->fd : -1;
}

static void
s_forget_descriptor(yami_engine_t *self, yami_task_t *task)
{
    if (task->is_polled) {
        //  Fails harmlessly when the step has closed the socket and with it the descriptor.
        (void) epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, task->polled_fd, NULL);
        task->is_polled = false;
    }
    task->polled_socket = NULL;
}

//  Makes the epoll set match what the task says it wants now.
static void
s_follow_descriptor(yami_engine_t *self, yami_task_t *task)
{
    bool wants = task->socket != NULL || task->polls_fd;
    bool is_same = task->socket ? task->socket == task->polled_socket
                                : task->polled_socket == NULL && task->fd == task->polled_fd;
    if (wants == task->is_polled && (!wants || is_same)) {
        return;
    }
    s_forget_descriptor(self, task);
    int fd = wants ? s_descriptor(task) : -1;
    if (fd == -1) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = task};
    int rc = epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    YAM_ASSERT(rc == 0);
    task->polled_fd = fd;
    task->polled_socket = task->socket;
    task->is_polled = true;
}

static void
s_run(yami_engine_t *self, yami_task_t *task, int64_t now_ms)
{
    task->deadline_ms = task->step(task->arg, now_ms);
    if (task->deadline_ms < self->next_deadline_ms) {
        self->next_deadline_ms = task->deadline_ms;
    }
    s_follow_descriptor(self, task);
    if (s_has_events(task)) {
        yami_engine_wake(self, task);
    }
}

static void
s_run_woken(yami_engine_t *self, int64_t now_ms)
{
    yami_task_t *task = atomic_exchange(&self->woken, NULL);
    while (task) {
        yami_task_t *next = task->next_woken;
        //  Cleared before the step looks at its state: a wake during the step makes it run again.
        atomic_store(&task->is_woken, false); //  (1)
        s_run(self, task, now_ms);
        task = next;
    }
}

static void
s_run_due(yami_engine_t *self, int64_t now_ms)
{
    if (now_ms < self->next_deadline_ms) {
        return;
    }
    self->next_deadline_ms = INT64_MAX;
    for (size_t index = 0; index < self->task_count; index++) {
        yami_task_t *task = self->tasks[index];
        if (task->deadline_ms <= now_ms) {
            s_run(self, task, now_ms);
        } else if (task->deadline_ms < self->next_deadline_ms) {
            self->next_deadline_ms = task->deadline_ms;
        }
    }
}

static void
s_add(yami_engine_t *self, yami_task_t *task)
{
    int rc = yami_grow(&self->tasks, &self->task_capacity, self->task_count + 1,
                       sizeof(yami_task_t *), TASK_LIMIT);
    YAM_ASSERT(rc == 0);
    task->index = self->task_count;
    self->tasks[self->task_count++] = task;
    s_follow_descriptor(self, task);
    yami_engine_wake(self, task);
}

//  Takes a task off the woken stack; those above it keep their places only roughly, which no one
//  minds.
static void
s_unwake(yami_engine_t *self, yami_task_t *task)
{
    yami_task_t *each = atomic_exchange(&self->woken, NULL);
    while (each) {
        yami_task_t *next = each->next_woken;
        atomic_store(&each->is_woken, false);
        if (each != task) {
            yami_engine_wake(self, each);
        }
        each = next;
    }
}

static void
s_remove(yami_engine_t *self, yami_task_t *task)
{
    YAM_ASSERT(task->index < self->task_count && self->tasks[task->index] == task);
    s_forget_descriptor(self, task);
    yami_task_t *last = self->tasks[--self->task_count];
    self->tasks[task->index] = last;
    last->index = task->index;
    s_unwake(self, task);
}

//  Serves who adds and removes. Whether the engine goes on.
static bool
s_apply_changes(yami_engine_t *self)
{
    yami_monitor_lock(&self->monitor);
    atomic_store(&self->has_changes, false);
    bool goes_on = !self->is_stopping;
    s_change_t *change = self->changes;
    self->changes = NULL;
    while (change) {
        s_change_t *next = change->next; //  once done it is its owner's again
        if (change->is_add) {
            s_add(self, change->task);
        } else {
            s_remove(self, change->task);
        }
        change->is_done = true;
        change = next;
    }
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return goes_on;
}

static int
s_wait_ms(const yami_engine_t *self, int64_t now_ms)
{
    if (self->next_deadline_ms <= now_ms) {
        return 0;
    }
    int64_t left_ms = self->next_deadline_ms - now_ms;
    return left_ms < WAIT_LIMIT_MS ? (int) left_ms : WAIT_LIMIT_MS;
}

//  Sleeps until something happens, and marks whose descriptor has something.
static void
s_sleep(yami_engine_t *self, int timeout_ms)
{
    struct epoll_event events[EVENT_COUNT];
    atomic_store(&self->is_sleeping, true);
    if (atomic_load(&self->woken) || atomic_load(&self->has_changes)) { //  (2)
        timeout_ms = 0;
    }
    int count = epoll_wait(self->epoll_fd, events, EVENT_COUNT, timeout_ms);
    atomic_store(&self->is_sleeping, false);
    for (int index = 0; index < count; index++) {
        yami_task_t *task = events[index].data.ptr;
        if (!task) {
            uint64_t ignored;
            ssize_t got = read(self->wake_fd, &ignored, sizeof ignored);
            (void) got;
        } else if (task->polls_fd || s_has_events(task)) {
            yami_engine_wake(self, task);
        }
    }
}

static void *
s_thread(void *arg)
{
    yami_engine_t *self = arg;
    for (;;) {
        if (atomic_load(&self->has_changes) && !s_apply_changes(self)) {
            return NULL;
        }
        int64_t now_ms = yami_clock_mono_ms();
        s_run_woken(self, now_ms);
        s_run_due(self, now_ms);
        s_sleep(self, s_wait_ms(self, yami_clock_mono_ms()));
    }
}

static int
s_start(yami_engine_t *self)
{
    int rc = yami_thread_start(&self->thread, s_thread, self);
    if (rc != 0) {
        return yami_fail(ENOMEM,
                         "cannot start the engine's thread: %s (raise the limit of threads)",
                         strerror(rc));
    }
    return 0;
}

static void
s_free(yami_engine_t *self)
{
    if (self->epoll_fd != -1) {
        (void) close(self->epoll_fd);
    }
    if (self->wake_fd != -1) {
        (void) close(self->wake_fd);
    }
    yami_free(self->tasks);
    yami_free(self);
}

static int
s_open(yami_engine_t *self)
{
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (self->epoll_fd == -1 || self->wake_fd == -1 ||
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->wake_fd, &event) == -1) {
        return yami_fail(errno, "cannot start the engine: %s (raise the limit of open files)",
                         strerror(errno));
    }
    return s_start(self);
}

yami_engine_t *
yami_engine_new(void)
{
    yami_engine_t *self = yami_alloc(sizeof *self);
    self->fork_stamp = yami_fork_stamp();
    self->next_deadline_ms = INT64_MAX;
    yami_monitor_init(&self->monitor);
    self->epoll_fd = -1;
    self->wake_fd = -1;
    if (s_open(self) == -1) {
        int error = errno;
        s_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void
yami_engine_destroy(yami_engine_t **self_p)
{
    yami_engine_t *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    if (yami_fork_stamp() == self->fork_stamp) {
        yami_monitor_lock(&self->monitor);
        self->is_stopping = true;
        atomic_store(&self->has_changes, true);
        yami_monitor_unlock(&self->monitor);
        s_rouse(self);
        (void) pthread_join(self->thread, NULL);
        YAM_ASSERT(self->task_count == 0); //  an object of this yam_t was not destroyed
    }
    s_free(self);
}

//  Hands a change to the thread and waits until it is done.
static void
s_change(yami_engine_t *self, yami_task_t *task, bool is_add)
{
    YAM_ASSERT(!yami_engine_is_inside(self));
    s_change_t change = {.task = task, .is_add = is_add};
    yami_monitor_lock(&self->monitor);
    s_change_t **last = &self->changes;
    while (*last) {
        last = &(*last)->next;
    }
    *last = &change;
    atomic_store(&self->has_changes, true);
    s_rouse(self);
    while (!change.is_done) {
        (void) yami_monitor_wait(&self->monitor, INT64_MAX);
    }
    yami_monitor_unlock(&self->monitor);
}

int
yami_engine_add(yami_engine_t *self, yami_task_t *task)
{
    if (yami_fork_stamp() != self->fork_stamp) {
        return yami_fail(ECHILD, "a yam_t does not survive a fork: make a new one in the child");
    }
    YAM_ASSERT(task->step);
    atomic_init(&task->is_woken, false);
    task->next_woken = NULL;
    task->deadline_ms = INT64_MAX;
    task->is_polled = false;
    task->polled_socket = NULL;
    task->polled_fd = -1;
    s_change(self, task, true);
    return 0;
}

bool
yami_engine_is_inside(const yami_engine_t *self)
{
    return pthread_equal(pthread_self(), self->thread);
}

void
yami_engine_remove(yami_engine_t *self, yami_task_t *task)
{
    if (yami_fork_stamp() == self->fork_stamp) {
        s_change(self, task, false);
    }
}
