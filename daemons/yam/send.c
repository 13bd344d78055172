//  yam push and yam pub. Both send what a source gives and report what was confirmed; only the
//  class differs.

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "format.h"
#include "source.h"
#include "yam_error.h"
#include "yam_pub.h"
#include "yam_push.h"
#include "yami_base.h"
#include "yami_endpoint.h"
#include "yami_limits.h"

#define S_SLICE_MS 200   //  longest wait without a look at Ctrl-C and the progress
#define S_LINGER_MS 5000 //  fast grade: for what is on its way to a peer when all was given

typedef struct {
    cli_common_t common;
    char file[1024];
    int64_t count;
    int64_t size_bytes;
    char name[201];
    char key[256];
    char subject[251];
    char id[201];
    char due[64];
    int64_t delay_ms;
    int64_t due_ms; //  what due says, 0: nothing
    bool is_null;
    bool is_whole;
    bool is_fast;
    bool is_quiet;
    int64_t timeout_ms;
} s_values_t;

//  One of the two classes.
typedef struct {
    yam_push_t *push; //  owned; or
    yam_pub_t *pub;   //  owned
} s_sender_t;

typedef struct {
    const s_values_t *values;
    s_sender_t sender;
    cli_source_t source;
    char endpoint[4096];
    bool is_fast;      //  the endpoint's grade
    uint64_t progress; //  confirmed and refused when something last moved
    int64_t moved_ms;  //  and when that was
    int64_t shown_ms;  //  last progress line
    int64_t begun_ms;
    pthread_mutex_t lock; //  guards the two below: the engine thread writes them
    yam_status_t refusal; //  of the first refused message
    char reason[256];
} s_job_t;

static s_values_t s_values;

#define S_COMMON                                                                                   \
    CLI_HELP(s_values_t), CLI_RELAY(s_values_t),                                                   \
        CLI_TEXT(s_values_t, "file", file, "", "FILE", "read from FILE instead of stdin"),         \
        CLI_NUMBER(s_values_t, "count", count, -1, INT64_MAX, "-1", "messages",                    \
                   "send N messages and no more"),                                                 \
        CLI_NUMBER(s_values_t, "size", size_bytes, -1, YAMI_LIMIT_BODY, "-1", "bytes",             \
                   "with --count: make messages of N bytes up"),                                   \
        CLI_TEXT(s_values_t, "name", name, "", "PRODUCER",                                         \
                 "one sender of that name at a time: a newer one takes over"),                     \
        CLI_TEXT(s_values_t, "key", key, "", "KEY", "messages of one key keep their order"),       \
        CLI_NUMBER(s_values_t, "delay", delay_ms, -1, YAMI_LIMIT_TIME_MS / 2, "-1", "ms",          \
                   "nobody gets them before so long from now"),                                    \
        CLI_TEXT(s_values_t, "due", due, "", "TIME",                                               \
                 "nobody gets them before 2026-01-31T12:00:00Z, or ms since 1970"),                \
        CLI_TEXT(s_values_t, "id", id, "", "ID", "their id: see yam cancel"),                      \
        CLI_FLAG(s_values_t, "null", is_null, "messages end in NUL instead of newline"),           \
        CLI_FLAG(s_values_t, "whole", is_whole, "all input is one message"),                       \
        CLI_FLAG(s_values_t, "fast", is_fast,                                                      \
                 "fast grade: peer to peer, at most once, nothing is confirmed"),                  \
        CLI_FLAG(s_values_t, "quiet", is_quiet, "no progress line, no summary"),                   \
        CLI_NUMBER(s_values_t, "timeout", timeout_ms, 0, INT_MAX, "10s", "ms",                     \
                   "give up when nothing was confirmed for so long; 0: never")

static const yami_option_t s_push_table[] = {S_COMMON, CLI_END};
static const yami_option_t s_pub_table[] = {
    CLI_TEXT(s_values_t, "subject", subject, "", "SUBJECT",
             "subject of all messages, such as eu.de.orders"),
    S_COMMON, CLI_END};

//  -- The two classes ---------------------------------------------------------------------------

static int
s_send_body(s_sender_t *self, const void *body, size_t size)
{
    return self->push ? yam_push_send(self->push, body, size) : yam_pub_send(self->pub, body, size);
}

static int
s_send_message(s_sender_t *self, yam_message_t **message_p)
{
    return self->push ? yam_push_send_message(self->push, message_p)
                      : yam_pub_send_message(self->pub, message_p);
}

static uint64_t
s_flush(s_sender_t *self, int timeout_ms)
{
    return self->push ? yam_push_flush(self->push, timeout_ms)
                      : yam_pub_flush(self->pub, timeout_ms);
}

static yam_sender_stats_t
s_stats(s_sender_t *self)
{
    yam_sender_stats_t stats;
    if (self->push) {
        yam_push_stats(self->push, &stats);
    } else {
        yam_pub_stats(self->pub, &stats);
    }
    return stats;
}

static void
s_close(s_sender_t *self, int timeout_ms)
{
    if (self->push) {
        (void) yam_push_close(&self->push, timeout_ms);
    }
    if (self->pub) {
        (void) yam_pub_close(&self->pub, timeout_ms);
    }
}

//  In the engine thread.
static void
s_on_confirm(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
             const char *text)
{
    s_job_t *job = arg;
    (void) first;
    (void) last;
    (void) level;
    if (status == YAM_STATUS_OK) {
        return;
    }
    (void) pthread_mutex_lock(&job->lock);
    if (job->refusal == YAM_STATUS_OK) {
        job->refusal = status;
        (void) snprintf(job->reason, sizeof job->reason, "%s", text ? text : "");
    }
    (void) pthread_mutex_unlock(&job->lock);
}

static int
s_open(s_job_t *job, yam_t *yam, const char *channel, bool is_topic)
{
    if (is_topic) {
        job->sender.pub = yam_pub_new(yam, channel, job->endpoint);
    } else {
        job->sender.push = yam_push_new(yam, channel, job->endpoint);
    }
    if (!job->sender.pub && !job->sender.push) {
        return cli_complain_errno();
    }
    if (is_topic) {
        yam_pub_set_confirm(job->sender.pub, s_on_confirm, job);
    } else {
        yam_push_set_confirm(job->sender.push, s_on_confirm, job);
    }
    return EX_OK;
}

//  -- Progress ----------------------------------------------------------------------------------

static void
s_show_progress(s_job_t *job, const yam_sender_stats_t *stats, int64_t now_ms)
{
    if (job->values->is_quiet || now_ms - job->shown_ms < S_SLICE_MS || !isatty(STDERR_FILENO)) {
        return;
    }
    int64_t spent_ms = now_ms - job->begun_ms > 0 ? now_ms - job->begun_ms : 1;
    job->shown_ms = now_ms;
    (void) fprintf(stderr, "\r%" PRIu64 " sent, %" PRIu64 " confirmed, %" PRIu64 " msg/s ",
                   stats->sent, stats->confirmed, stats->confirmed * 1000 / (uint64_t) spent_ms);
}

static void
s_clear_progress(const s_job_t *job)
{
    if (job->shown_ms > 0) {
        (void) fputs("\r\033[K", stderr);
    }
}

//  Whether it is still worth waiting: something was confirmed or refused lately, and nobody pressed
//  Ctrl-C.
static bool
s_may_wait(s_job_t *job)
{
    yam_sender_stats_t stats = s_stats(&job->sender);
    int64_t now_ms = yami_clock_mono_ms();
    uint64_t progress = stats.confirmed + stats.refused;
    if (progress != job->progress) {
        job->progress = progress;
        job->moved_ms = now_ms;
    }
    s_show_progress(job, &stats, now_ms);
    bool is_late = job->values->timeout_ms > 0 && now_ms - job->moved_ms > job->values->timeout_ms;
    return !is_late && !cli_is_stopped();
}

//  -- Sending -----------------------------------------------------------------------------------

static yam_message_t *
s_message(const s_job_t *job)
{
    yam_message_t *message = yam_message_new(job->source.body, job->source.size);
    if (!message) {
        return NULL;
    }
    const s_values_t *values = job->values;
    int64_t due_ms =
        values->delay_ms >= 0 ? yami_clock_wall_ms() + values->delay_ms : values->due_ms;
    if ((values->key[0] && yam_message_set(message, "key", values->key) == -1) ||
        (values->id[0] && yam_message_set(message, "id", values->id) == -1) ||
        (values->subject[0] && yam_message_set(message, "subject", values->subject) == -1) ||
        yam_message_set_due(message, due_ms) == -1) {
        int error = errno;
        yam_message_destroy(&message);
        errno = error;
    }
    return message;
}

//  0, or -1 with errno; EAGAIN and ENOTCONN: it is not worth waiting any longer.
static int
s_send(s_job_t *job)
{
    yam_message_t *message = NULL;
    const s_values_t *values = job->values;
    bool is_plain = !values->key[0] && !values->subject[0] && !values->id[0] && !values->due_ms &&
                    values->delay_ms < 0;
    int rc;
    int error;
    if (!is_plain && !(message = s_message(job))) {
        return -1;
    }
    do {
        rc = is_plain ? s_send_body(&job->sender, job->source.body, job->source.size)
                      : s_send_message(&job->sender, &message);
        error = errno;
    } while (rc == -1 && (error == EAGAIN || error == ENOTCONN) && s_may_wait(job));
    yam_message_destroy(&message);
    errno = error;
    return rc;
}

static int
s_send_all(s_job_t *job)
{
    int rc;
    while ((rc = cli_source_next(&job->source)) == 1) {
        if (s_send(job) == -1) {
            return errno == EAGAIN || errno == ENOTCONN ? EX_OK
                                                        : cli_complain_errno(); //  s_report says it
        }
        if (job->source.number % 1024 == 0) {
            (void) s_may_wait(job); //  for the progress line
        }
    }
    if (rc == -1 && errno != EMSGSIZE) {
        return cli_complain(EX_NOINPUT, "%s", yam_error());
    }
    return rc == -1 ? cli_complain_errno() : EX_OK;
}

static int
s_report_refusal(s_job_t *job, uint64_t refused)
{
    (void) pthread_mutex_lock(&job->lock);
    yam_status_t status = job->refusal;
    int exit_code = status == YAM_STATUS_NOT_ALLOWED  ? EX_NOPERM
                    : yam_status_is_temporary(status) ? EX_TEMPFAIL
                                                      : EX_DATAERR;
    (void) cli_complain(0, "%" PRIu64 " messages refused: %s%s%s", refused, yam_status_name(status),
                        job->reason[0] ? ": " : "", job->reason);
    (void) pthread_mutex_unlock(&job->lock);
    return exit_code;
}

static void
s_print_summary(const s_job_t *job, const yam_sender_stats_t *stats)
{
    if (job->values->is_quiet) {
        return;
    }
    if (job->is_fast) {
        (void) printf("%" PRIu64 " sent, nothing confirmed (fast grade)\n", stats->confirmed);
    } else if (stats->confirmed > 0) {
        (void) printf("%" PRIu64 " confirmed (%s)\n", stats->confirmed,
                      yam_level_name((yam_level_t) stats->level));
    } else {
        (void) puts("0 confirmed");
    }
}

//  Says what became of the messages, after the last wait.
static int
s_report(s_job_t *job)
{
    yam_sender_stats_t stats = s_stats(&job->sender);
    uint64_t wanted = job->source.number;
    s_print_summary(job, &stats);
    if (stats.refused > 0) {
        return s_report_refusal(job, stats.refused);
    }
    if (stats.confirmed >= wanted) {
        return job->source.is_cut ? cli_complain(EX_TEMPFAIL,
                                                 "interrupted after %" PRIu64
                                                 " messages: what came then was not sent",
                                                 wanted)
                                  : EX_OK;
    }
    const char *why = job->is_fast ? "is anybody there?" : "is yamd running there?";
    if (cli_is_stopped()) {
        why = "interrupted";
    } else if (stats.is_connected && !job->is_fast) {
        why = "the relay takes no more for now; see yam stat";
    }
    return cli_complain(job->is_fast ? EX_UNAVAILABLE : EX_TEMPFAIL,
                        "%" PRIu64 " of %" PRIu64 " messages not %s %.*s (%s)",
                        wanted - stats.confirmed, wanted,
                        job->is_fast ? "taken by anybody at" : "confirmed by",
                        (int) strcspn(job->endpoint, "?"), job->endpoint, why);
}

static int
s_work(s_job_t *job)
{
    int exit_code = s_send_all(job);
    int error;
    do {
        error = s_flush(&job->sender, S_SLICE_MS) > 0 ? errno : 0;
    } while (error == EAGAIN && s_may_wait(job));
    if (error != 0 && error != EAGAIN) {
        error = s_flush(&job->sender, 0) > 0 ? errno : 0; //  refusals are told once, and reported
    }
    s_clear_progress(job);
    if (exit_code == EX_OK && error != 0 && error != EAGAIN) {
        errno = error; //  the relay will never take them
        exit_code = cli_complain_errno();
    }
    if (exit_code == EX_OK) {
        return s_report(job);
    }
    yam_sender_stats_t stats = s_stats(&job->sender);
    s_print_summary(job, &stats);
    return exit_code;
}

static int
s_prepare(s_job_t *job, const s_values_t *values)
{
    char more[1024];
    (void) snprintf(more, sizeof more, "&immediate&send-timeout=%d", S_SLICE_MS);
    int exit_code =
        values->name[0] ? cli_add_option(more, sizeof more, "name", values->name) : EX_OK;
    if (exit_code == EX_OK) {
        exit_code = cli_endpoint(&values->common, values->is_fast ? "grade=fast" : "grade=sure",
                                 more, job->endpoint, sizeof job->endpoint);
    }
    if (exit_code != EX_OK) {
        return exit_code;
    }
    yami_endpoint_t endpoint;
    job->is_fast = yami_endpoint_parse(&endpoint, job->endpoint, true) == 0 &&
                   endpoint.options.grade == YAMI_GRADE_FAST;
    if (values->size_bytes >= 0 && values->count < 0) {
        return cli_complain(EX_USAGE, "--size needs --count, too");
    }
    if (values->size_bytes >= 0 && (values->file[0] || values->is_whole || values->is_null)) {
        return cli_complain(
            EX_USAGE,
            "--size makes messages up, so --file, --null and --whole mean nothing with it");
    }
    int rc = values->size_bytes >= 0
                 ? cli_source_make(&job->source, values->count, values->size_bytes)
                 : cli_source_open(&job->source, values->file, values->is_null ? '\0' : '\n',
                                   values->is_whole, values->count);
    return rc == -1 ? cli_complain(EX_NOINPUT, "%s", yam_error()) : EX_OK;
}

static int
s_read_due(s_values_t *values)
{
    if (values->due[0] && values->delay_ms >= 0) {
        return cli_complain(EX_USAGE, "--delay and --due both say when: give one of them");
    }
    values->due_ms = values->due[0] ? cli_parse_time(values->due) : 0;
    return values->due_ms == -1 ? cli_complain(EX_USAGE, "--due: %s", yam_error()) : EX_OK;
}

static int
s_run(const char *channel, bool is_topic)
{
    s_job_t job = {.values = &s_values, .lock = PTHREAD_MUTEX_INITIALIZER};
    int exit_code = s_read_due(&s_values);
    exit_code = exit_code == EX_OK ? s_prepare(&job, &s_values) : exit_code;
    yam_t *yam = exit_code == EX_OK ? cli_open(&s_values.common, &exit_code) : NULL;
    if (yam) {
        job.begun_ms = job.moved_ms = yami_clock_mono_ms();
        exit_code = s_open(&job, yam, channel, is_topic);
        if (exit_code == EX_OK) {
            exit_code = s_work(&job);
        }
        s_close(&job.sender, exit_code == EX_OK ? S_LINGER_MS : S_SLICE_MS);
    }
    cli_source_close(&job.source);
    yam_destroy(&yam);
    return exit_code;
}

static int
s_push(char **operands)
{
    return s_run(operands[0], false);
}

static int
s_pub(char **operands)
{
    return s_run(operands[0], true);
}

#define S_TEXT                                                                                     \
    "Each line of the input is a message. Exit code 0 only if all were confirmed.\n"               \
    "ENDPOINT may carry options, '?grade=sure&window=1000'; without any, grade=sure.\n"

const cli_command_t cli_push = {"push",
                                "QUEUE",
                                1,
                                1,
                                "put messages on a queue",
                                S_TEXT,
                                {s_push_table, CLI_LETTERS " f=file n=count k=key"},
                                &s_values,
                                s_push};
const cli_command_t cli_pub = {"pub",
                               "TOPIC",
                               1,
                               1,
                               "publish messages on a topic",
                               S_TEXT,
                               {s_pub_table, CLI_LETTERS " f=file n=count k=key s=subject"},
                               &s_values,
                               s_pub};
