//  yami_callback_calls - calls under way, and the answers that have come. See the header.
//
//  A call is a slot, which goes round: free, called, answered (in order), free.

#include "yami_callback_calls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "yam_error.h"
#include "yam_rpc.h"
#include "yami_base.h"
#include "yami_callback_wire.h"
#include "yami_limits.h"

#define S_AWAY_MS 1000 //  after a relay that did not answer in time no further service waits for it

typedef struct s_service {
    char name[YAM_CALLBACK_NAME + 1];
    yam_rpc_t *rpc;     //  owned
    size_t call_count;  //  under way, or answered and not dropped
    uint64_t last_used; //  number of the call
} s_service_t;

typedef struct s_slot {
    TAILQ_ENTRY(s_slot) entry;    //  of free or answered
    yami_callback_calls_t *calls; //  borrowed
    s_service_t *service;         //  borrowed; NULL: could not be called
    yami_callback_answered_t answered;
} s_slot_t;

typedef TAILQ_HEAD(s_slots, s_slot) s_slots_t;

struct yami_callback_calls {
    yam_t *yam;           //  borrowed
    const char *endpoint; //  borrowed
    int timeout_ms;
    int wake_fd;     //  borrowed
    s_slot_t *slots; //  owned
    s_slots_t unused;
    size_t free_count;
    uint64_t begun;
    int64_t away_ms; //  the relay is not waited for before then
    s_service_t services[YAMI_LIMIT_SERVICES];
    pthread_mutex_t lock; //  answered
    s_slots_t answered;
};

yami_callback_calls_t *
yami_callback_calls_new(yam_t *yam, const char *endpoint, size_t limit, int timeout_ms, int wake_fd)
{
    yami_callback_calls_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->endpoint = endpoint;
    self->timeout_ms = timeout_ms;
    self->wake_fd = wake_fd;
    self->slots = yami_alloc(limit * sizeof *self->slots);
    self->free_count = limit;
    TAILQ_INIT(&self->unused);
    TAILQ_INIT(&self->answered);
    for (size_t index = 0; index < limit; index++) {
        self->slots[index].calls = self;
        TAILQ_INSERT_TAIL(&self->unused, &self->slots[index], entry);
    }
    (void) pthread_mutex_init(&self->lock, NULL);
    return self;
}

void
yami_callback_calls_destroy(yami_callback_calls_t **self_p)
{
    yami_callback_calls_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    for (size_t index = 0; index < YAMI_LIMIT_SERVICES; index++) {
        (void) yam_rpc_close(&self->services[index].rpc, 0); //  answers come until it returns
    }
    (void) pthread_mutex_destroy(&self->lock);
    yami_free(self->slots);
    yami_free(self);
}

size_t
yami_callback_calls_free(const yami_callback_calls_t *self)
{
    return self->free_count;
}

//  -- Services ----------------------------------------------------------------------------------

//  Where service name is, or may be put: one of its name, an empty one, or the one without calls
//  that was used longest ago. NULL when all are busy.
static s_service_t *
s_place(yami_callback_calls_t *self, const char *name)
{
    s_service_t *best = NULL;
    for (size_t index = 0; index < YAMI_LIMIT_SERVICES; index++) {
        s_service_t *service = &self->services[index];
        if (service->rpc != NULL && strcmp(service->name, name) == 0) {
            return service;
        }
        if (service->call_count == 0 && (best == NULL || service->last_used < best->last_used)) {
            best = service;
        }
    }
    return best;
}

//  A caller, as yam_rpc_new. All that are due at once wait for a silent relay once only.
static yam_rpc_t *
s_open(yami_callback_calls_t *self, const char *name)
{
    if (yami_clock_mono_ms() < self->away_ms) {
        (void) yami_fail(ETIMEDOUT, "the relay did not answer just now");
        return NULL;
    }
    yam_rpc_t *rpc = yam_rpc_new(self->yam, name, self->endpoint);
    if (rpc == NULL && errno == ETIMEDOUT) {
        self->away_ms = yami_clock_mono_ms() + S_AWAY_MS;
    }
    return rpc;
}

//  The service of that name, with a caller. NULL with a sentence.
static s_service_t *
s_service(yami_callback_calls_t *self, const char *name)
{
    s_service_t *service = s_place(self, name);
    if (service == NULL) {
        (void) yami_fail(EAGAIN, "calls to %d services are under way", YAMI_LIMIT_SERVICES);
        return NULL;
    }
    if (service->rpc == NULL || strcmp(service->name, name) != 0) {
        (void) yam_rpc_close(&service->rpc, 0);
        (void) snprintf(service->name, sizeof service->name, "%s", name);
        service->rpc = s_open(self, name);
    }
    service->last_used = self->begun;
    return service->rpc != NULL ? service : NULL;
}

//  -- Answers -----------------------------------------------------------------------------------

static void
s_finish(s_slot_t *slot, int answer, const char *text)
{
    static const uint64_t one = 1;
    yami_callback_calls_t *self = slot->calls;
    slot->answered.answer = answer;
    if (text != NULL) {
        (void) snprintf(slot->answered.text, sizeof slot->answered.text, "%s", text);
    }
    (void) pthread_mutex_lock(&self->lock);
    TAILQ_INSERT_TAIL(&self->answered, slot, entry);
    (void) pthread_mutex_unlock(&self->lock);
    if (write(self->wake_fd, &one, sizeof one) == -1) {
        //  it is readable already
    }
}

//  By the engine's thread.
static void
s_replied(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    s_slot_t *slot = arg;
    int answer = 0;
    if (status != YAM_STATUS_OK || *reply_p == NULL) {
        char why[YAM_CALLBACK_TEXT + 1];
        (void) snprintf(why, sizeof why, "%s%s%s", yam_status_name(status), *text ? ": " : "",
                        text);
        s_finish(slot, 0, why);
    } else if (yami_callback_answer_parse(*reply_p, &answer, slot->answered.text,
                                          sizeof slot->answered.text) == -1) {
        s_finish(slot, 0, yam_error());
    } else {
        s_finish(slot, answer, NULL);
    }
}

void
yami_callback_calls_begin(yami_callback_calls_t *self, const yam_case_t *row)
{
    s_slot_t *slot = TAILQ_FIRST(&self->unused);
    YAM_ASSERT(slot != NULL);
    TAILQ_REMOVE(&self->unused, slot, entry);
    self->free_count--;
    self->begun++;
    memset(&slot->answered, 0, sizeof slot->answered);
    (void) snprintf(slot->answered.id, sizeof slot->answered.id, "%s", row->id);
    slot->answered.call = row->call;
    slot->service = s_service(self, row->service);
    if (slot->service == NULL) {
        s_finish(slot, 0, yam_error());
        return;
    }
    slot->service->call_count++;
    yam_message_t *request = yami_callback_call_build(row);
    if (request == NULL ||
        yam_rpc_call(slot->service->rpc, &request, self->timeout_ms, s_replied, slot) == 0) {
        s_finish(slot, 0, yam_error());
    }
    yam_message_destroy(&request);
}

size_t
yami_callback_calls_answers(yami_callback_calls_t *self, const yami_callback_answered_t **answers,
                            size_t limit)
{
    size_t count = 0;
    s_slot_t *slot;
    (void) pthread_mutex_lock(&self->lock);
    TAILQ_FOREACH(slot, &self->answered, entry)
    {
        if (count == limit) {
            break;
        }
        answers[count++] = &slot->answered;
    }
    (void) pthread_mutex_unlock(&self->lock);
    return count;
}

void
yami_callback_calls_drop(yami_callback_calls_t *self, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        (void) pthread_mutex_lock(&self->lock);
        s_slot_t *slot = TAILQ_FIRST(&self->answered);
        YAM_ASSERT(slot != NULL);
        TAILQ_REMOVE(&self->answered, slot, entry);
        (void) pthread_mutex_unlock(&self->lock);
        if (slot->service != NULL) {
            slot->service->call_count--;
        }
        TAILQ_INSERT_TAIL(&self->unused, slot, entry);
        self->free_count++;
    }
}
