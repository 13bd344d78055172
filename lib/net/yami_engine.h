/*  yami_engine - one thread that serves the sockets and timers of all objects of a yam_t.

    An object registers a task. The engine calls the task's step in its thread when the task's
    socket has something, when anybody woke it, or when its deadline has come; step must not block.
    Everything a step touches is the engine thread's, or guarded by the object's own lock.
    Cost of waking a task that is about to run anyway: one atomic operation, no system call.
*/
#ifndef YAMI_ENGINE_H
#define YAMI_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct yami_engine yami_engine_t;
typedef struct yami_task yami_task_t;

struct yami_task {
    //  Does what can be done now; now_ms is monotonic. Returns when it wants to run again at the
    //  latest (monotonic ms), INT64_MAX when only an event matters.
    int64_t (*step)(void *arg, int64_t now_ms);
    void *arg;
    //  ZeroMQ socket polled for input, or NULL; only changed within step or before add.
    void *socket;
    bool wants_output; //  also poll the socket for room to send; only changed within step
    //  Also run step when fd (borrowed) is readable; only changed within step or before add. For a
    //  task whose socket is guarded by a lock the engine knows nothing of.
    bool polls_fd;
    int fd;
    atomic_bool is_woken; //  private, as all below
    yami_task_t *next_woken;
    int64_t deadline_ms;
    size_t index;        //  in the engine's list
    void *polled_socket; //  what is registered now
    int polled_fd;
    bool is_polled;
};

//  Starts the thread. NULL with errno EMFILE, ENOMEM.
yami_engine_t *
yami_engine_new(void);

//  Stops the thread; no task may be left.
void
yami_engine_destroy(yami_engine_t **self_p);

//  Hands a task (borrowed until removed) to the engine and runs its step soon. Not from within a
//  step, nor with a lock held that a step waits for. Returns 0, or -1 with errno ECHILD after a
//  fork.
int
yami_engine_add(yami_engine_t *self, yami_task_t *task);

//  Takes it back: when this returns, step is not running and will not run again. Not from within a
//  step, nor with a lock held that a step waits for, nor while another thread may still call wake
//  for it. After a fork it does nothing.
void
yami_engine_remove(yami_engine_t *self, yami_task_t *task);

//  Whether it is the engine's own thread that asks: within a step, so it must not wait. Any thread.
bool
yami_engine_is_inside(const yami_engine_t *self);

//  Makes step run soon. Any thread.
void
yami_engine_wake(yami_engine_t *self, yami_task_t *task);

#endif
