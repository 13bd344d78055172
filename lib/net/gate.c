//  Counts frames under way.
//
//  Invariants:
//  (1) It lives while there is an owner or a frame under way; task is NULL without an owner.
//  (2) Nobody calls into the engine after task was cleared: the lock is held around both.

#include "yami_gate.h"

#include <pthread.h>

#include "yami_base.h"
#include "yami_limits.h"

struct yami_gate {
    yami_engine_t *engine; //  borrowed
    pthread_mutex_t lock;  //  guards all below
    yami_task_t *task;     //  borrowed; NULL when it must not be woken any more
    bool has_owner;
    uint32_t count;  //  frames under way
    uint32_t wanted; //  wake the task when count is below; 0: nobody asked
};

//  The bytes of a frame and whose they are, in one allocation.
typedef struct {
    yami_gate_t *gate;
    uint8_t bytes[];
} s_frame_t;

yami_gate_t *
yami_gate_new(yami_engine_t *engine, yami_task_t *task)
{
    yami_gate_t *self = yami_alloc(sizeof *self);
    self->engine = engine;
    self->task = task;
    self->has_owner = true;
    (void) pthread_mutex_init(&self->lock, NULL);
    return self;
}

//  Unlocks, and frees when nobody is left.
static void
s_unlock(yami_gate_t *self)
{
    bool is_last = !self->has_owner && self->count == 0; //  (1)
    (void) pthread_mutex_unlock(&self->lock);
    if (is_last) {
        (void) pthread_mutex_destroy(&self->lock);
        yami_free(self);
    }
}

void
yami_gate_silence(yami_gate_t *self)
{
    if (self) {
        (void) pthread_mutex_lock(&self->lock);
        self->task = NULL; //  (2)
        (void) pthread_mutex_unlock(&self->lock);
    }
}

void
yami_gate_leave(yami_gate_t **self_p)
{
    yami_gate_t *self = *self_p;
    if (self) {
        *self_p = NULL;
        (void) pthread_mutex_lock(&self->lock);
        self->task = NULL;
        self->has_owner = false;
        s_unlock(self);
    }
}

uint32_t
yami_gate_count(const yami_gate_t *self)
{
    return __atomic_load_n(&self->count, __ATOMIC_RELAXED);
}

bool
yami_gate_ask(yami_gate_t *self, uint32_t limit)
{
    (void) pthread_mutex_lock(&self->lock);
    bool is_open = self->count < limit;
    self->wanted = is_open ? 0 : limit;
    (void) pthread_mutex_unlock(&self->lock);
    return is_open;
}

static void
s_release(void *hint)
{
    s_frame_t *frame = hint;
    yami_gate_t *self = frame->gate;
    yami_free(frame);
    (void) pthread_mutex_lock(&self->lock);
    YAM_ASSERT(self->count > 0);
    __atomic_store_n(&self->count, self->count - 1, __ATOMIC_RELAXED);
    if (self->task && self->count < self->wanted) {
        self->wanted = 0;
        yami_engine_wake(self->engine, self->task); //  (2)
    }
    s_unlock(self);
}

yami_block_t *
yami_gate_block(yami_gate_t *self, size_t size, uint8_t **bytes_p)
{
    s_frame_t *frame = yami_try_alloc(sizeof *frame + size, SIZE_MAX);
    if (!frame) {
        return NULL;
    }
    frame->gate = self;
    *bytes_p = frame->bytes;
    (void) pthread_mutex_lock(&self->lock);
    __atomic_store_n(&self->count, self->count + 1, __ATOMIC_RELAXED);
    (void) pthread_mutex_unlock(&self->lock);
    return yami_block_new(frame->bytes, size, s_release, frame);
}
