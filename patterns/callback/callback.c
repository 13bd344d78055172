//  yam_callback - the producer's side: messages and their checks, and answers to callback services.
//  See the header.

#include "yam_callback.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yam_rpc_server.h"
#include "yami_base.h"
#include "yami_callback_wire.h"
#include "yami_failpoint.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_option.h"
#include "yami_properties.h"

#define S_FLUSH_MS 10000 //  a resend without a deadline waits so long for the relay

typedef struct {
    int64_t delay_ms;
    char checks[YAM_CALLBACK_NAME + 1]; //  the queue
} s_options_t;

//  What a relay would not have of a push, whose flush counts it as settled.
typedef struct {
    atomic_uint_fast64_t count; //  messages
    atomic_int status;          //  yam_status_t of the latest
} s_refusals_t;

struct yam_callback {
    yam_t *yam; //  borrowed
    s_options_t options;
    char *endpoint; //  owned
    char queue[YAM_CALLBACK_NAME + 1];
    char service[YAM_CALLBACK_NAME + 1];
    yam_push_t *messages; //  owned
    yam_push_t *checks;   //  owned
    s_refusals_t messages_refused;
    s_refusals_t checks_refused;
    yam_rpc_server_t *server;   //  owned; NULL until it serves
    pthread_mutex_t serve_lock; //  server, while it is made
    yam_callback_fn answer;     //  with its arg, borrowed
    void *answer_arg;
    atomic_uint_fast64_t sent, check_count, resent, gone, later, refused;
};

static const yami_option_t s_table[] = {
    {"delay", YAMI_OPTION_INT, offsetof(s_options_t, delay_ms), 1, YAMI_LIMIT_CHECK_MS, "5m", "ms",
     NULL, "how long after a message its confirm is looked for"},
    {"checks", YAMI_OPTION_STRING, offsetof(s_options_t, checks), 1, YAM_CALLBACK_NAME,
     YAM_CALLBACK_CHECKS, "", NULL, "the queue checks are sent to"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

const char *
yam_callback_options_help(void)
{
    static char text[1024];
    return yami_options_help_once(s_table, text, sizeof text);
}

//  -- Its life ----------------------------------------------------------------------------------

//  By the engine's thread, before flush is told.
static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    s_refusals_t *refusals = arg;
    (void) level, (void) text;
    if (status != YAM_STATUS_OK) {
        refusals->status = (int) status;
        refusals->count += last - first + 1;
    }
}

static int
s_open(yam_callback_t *self, const char *queue, const char *service, const char *endpoint,
       const char *options)
{
    yami_options_init(s_table, &self->options);
    if (queue == NULL || service == NULL || endpoint == NULL) {
        return yami_fail(EINVAL, "a second check needs a queue, a service and an endpoint");
    }
    if (yami_options_read(s_table, &self->options, options) == -1 ||
        yami_name_check(yami_slice_text(queue), "queue") == -1 ||
        yami_name_check(yami_slice_text(service), "service") == -1) {
        return -1;
    }
    (void) snprintf(self->queue, sizeof self->queue, "%s", queue);
    (void) snprintf(self->service, sizeof self->service, "%s", service);
    self->endpoint = yami_strdup(endpoint);
    self->messages = yam_push_new(self->yam, queue, endpoint);
    self->checks =
        self->messages == NULL ? NULL : yam_push_new(self->yam, self->options.checks, endpoint);
    if (self->checks == NULL) {
        return -1;
    }
    yam_push_set_confirm(self->messages, s_confirmed, &self->messages_refused);
    yam_push_set_confirm(self->checks, s_confirmed, &self->checks_refused);
    return 0;
}

yam_callback_t *
yam_callback_new(yam_t *yam, const char *queue, const char *service, const char *endpoint,
                 const char *options)
{
    yam_callback_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    (void) pthread_mutex_init(&self->serve_lock, NULL);
    if (s_open(self, queue, service, endpoint, options) == -1) {
        int error = errno;
        yam_callback_destroy(&self);
        errno = error;
    }
    return self;
}

void
yam_callback_destroy(yam_callback_t **self_p)
{
    yam_callback_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    yam_rpc_server_destroy(&self->server); //  first: its answers send
    yam_push_destroy(&self->checks);
    yam_push_destroy(&self->messages);
    (void) pthread_mutex_destroy(&self->serve_lock);
    yami_free(self->endpoint);
    yami_free(self);
}

//  -- Sending -----------------------------------------------------------------------------------

static int
s_send_check(yam_callback_t *self, const char *id)
{
    yam_case_t row = {.delay_ms = self->options.delay_ms};
    (void) snprintf(row.id, sizeof row.id, "%s", id);
    (void) snprintf(row.queue, sizeof row.queue, "%s", self->queue);
    (void) snprintf(row.service, sizeof row.service, "%s", self->service);
    yam_message_t *check = yami_callback_check_build(&row);
    if (check == NULL) {
        return -1;
    }
    YAMI_FAILPOINT("check");
    int rc = yam_message_set_due(check, yami_clock_wall_ms() + row.delay_ms);
    if (rc == 0) {
        rc = yam_push_send_message(self->checks, &check);
    }
    int error = errno;
    yam_message_destroy(&check);
    errno = error;
    self->check_count += rc == 0 ? 1 : 0;
    return rc;
}

//  Waits until the relay has what push has sent. Whoever else sends may be the one who is refused:
//  before is the count from before the sending. 0, or -1 with errno and a sentence.
static int
s_await(yam_push_t *push, const s_refusals_t *refusals, uint64_t before, int timeout_ms)
{
    if (yam_push_flush(push, timeout_ms) > 0) {
        return errno == EAGAIN
                   ? yami_fail(EAGAIN, "the relay has not confirmed it within %d ms", timeout_ms)
                   : -1;
    }
    yam_status_t status = (yam_status_t) refusals->status;
    return refusals->count == before
               ? 0
               : yami_fail(yam_status_errno(status), "the relay refuses it: %s",
                           yam_status_name(status));
}

int
yam_callback_expect(yam_callback_t *self, const char *id, int timeout_ms)
{
    uint64_t before = self->checks_refused.count;
    if (yami_callback_id_check(id) == -1 || s_send_check(self, id) == -1 ||
        s_await(self->checks, &self->checks_refused, before, timeout_ms) == -1) {
        return -1;
    }
    YAMI_FAILPOINT("expected");
    return 0;
}

//  The id of what is to be sent. 0, or -1 with errno EINVAL.
static int
s_read_id(yam_message_t *const *message_p, char *id)
{
    uint32_t round;
    return message_p == NULL || *message_p == NULL
               ? yami_fail(EINVAL, "there is no message to send")
               : yami_callback_identify(*message_p, id, &round);
}

static int
s_send_message(yam_callback_t *self, yam_message_t **message_p)
{
    YAMI_FAILPOINT("message");
    int rc = yam_push_send_message(self->messages, message_p);
    YAMI_FAILPOINT("sent");
    self->sent += rc == 0 ? 1 : 0;
    return rc;
}

int
yam_callback_send_expected(yam_callback_t *self, yam_message_t **message_p)
{
    char id[YAM_CALLBACK_ID + 1];
    return s_read_id(message_p, id) == -1 ? -1 : s_send_message(self, message_p);
}

int
yam_callback_send(yam_callback_t *self, yam_message_t **message_p)
{
    char id[YAM_CALLBACK_ID + 1];
    if (s_read_id(message_p, id) == -1 || s_send_check(self, id) == -1) {
        return -1; //  (1)
    }
    return s_send_message(self, message_p);
}

//  Milliseconds left until then; -1 for a deadline that never comes.
static int
s_left_ms(int timeout_ms, int64_t until_ms)
{
    int64_t left_ms = until_ms - yami_clock_mono_ms();
    return timeout_ms < 0 ? -1 : left_ms > 0 ? (int) left_ms : 0;
}

uint64_t
yam_callback_flush(yam_callback_t *self, int timeout_ms)
{
    int64_t until_ms = yami_clock_mono_ms() + timeout_ms;
    uint64_t left = yam_push_flush(self->checks, timeout_ms);
    return left + yam_push_flush(self->messages, s_left_ms(timeout_ms, until_ms));
}

//  -- Serving -----------------------------------------------------------------------------------

//  (2): the id it had, the round it is.
static int
s_identify(yam_message_t *message, const yam_case_t *row)
{
    char round[16];
    (void) snprintf(round, sizeof round, "%u", row->round);
    return yam_message_set(message, "id", row->id) == -1 ||
                   yami_message_put(message, "yam-round", round) == -1
               ? -1
               : 0;
}

//  The relay must have it before the callback service hears that it was resent: it counts the round
//  then. Its check is the case's own, there.
static int
s_resend(yam_callback_t *self, const yam_case_t *row, yam_message_t **message_p, int64_t left_ms)
{
    if (*message_p == NULL) {
        return yami_fail(EINVAL, "the service says RESEND, and gives no message");
    }
    uint64_t before = self->messages_refused.count;
    if (s_identify(*message_p, row) == -1 || s_send_message(self, message_p) == -1) {
        return -1;
    }
    int timeout_ms = left_ms > 0 && left_ms < S_FLUSH_MS ? (int) left_ms : S_FLUSH_MS;
    return s_await(self->messages, &self->messages_refused, before, timeout_ms);
}

//  Asks the application, and does what it says. What could not be resent is asked for again later.
static yam_callback_answer_t
s_answer(yam_callback_t *self, const yam_case_t *row, int64_t left_ms, char *note, size_t size)
{
    const yam_callback_case_ref_t ref = {row->id, row->round, row->queue};
    yam_message_t *message = NULL;
    yam_callback_answer_t answer = self->answer(self->answer_arg, &ref, &message, note, size);
    note[size - 1] = 0;
    if (answer == YAM_CALLBACK_RESEND && s_resend(self, row, &message, left_ms) == -1) {
        (void) snprintf(note, size, "%s", yam_error());
        answer = YAM_CALLBACK_LATER;
    } else if (answer != YAM_CALLBACK_RESEND && answer != YAM_CALLBACK_GONE) {
        answer = YAM_CALLBACK_LATER;
    }
    yam_message_destroy(&message);
    self->resent += answer == YAM_CALLBACK_RESEND ? 1 : 0;
    self->gone += answer == YAM_CALLBACK_GONE ? 1 : 0;
    self->later += answer == YAM_CALLBACK_LATER ? 1 : 0;
    return answer;
}

static void
s_handle(void *arg, yam_rpc_request_t *request)
{
    yam_callback_t *self = arg;
    yam_case_t row;
    char note[YAM_CALLBACK_TEXT + 1] = "";
    if (yami_callback_call_parse(yam_rpc_request_message(request), &row) == -1) {
        self->refused++;
        (void) yam_rpc_reply(&request, YAM_STATUS_MALFORMED, yam_error(), NULL);
        return;
    }
    int64_t left_ms = yam_rpc_request_left_ms(request);
    yam_callback_answer_t answer = s_answer(self, &row, left_ms, note, sizeof note);
    yam_message_t *reply = yami_callback_answer_build(answer, note);
    YAMI_FAILPOINT("reply");
    (void) yam_rpc_reply(&request, reply != NULL ? YAM_STATUS_OK : YAM_STATUS_INTERNAL, "", &reply);
}

int
yam_callback_serve(yam_callback_t *self, yam_callback_fn answer, void *arg)
{
    (void) pthread_mutex_lock(&self->serve_lock);
    int rc;
    if (self->server != NULL) {
        rc = yami_fail(EALREADY, "this object serves %s already", self->service);
    } else {
        self->answer = answer;
        self->answer_arg = arg;
        self->server = yam_rpc_serve(self->yam, self->service, self->endpoint, s_handle, self);
        rc = self->server != NULL ? 0 : -1;
    }
    int error = errno;
    (void) pthread_mutex_unlock(&self->serve_lock);
    errno = error;
    return rc;
}

void
yam_callback_stats(yam_callback_t *self, yam_callback_stats_t *stats)
{
    *stats = (yam_callback_stats_t) {
        .sent = self->sent,
        .checks = self->check_count,
        .resent = self->resent,
        .gone = self->gone,
        .later = self->later,
        .refused = self->refused,
    };
}
