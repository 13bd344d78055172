//  yam pull and yam sub. A message is settled only after it was written to stdout and flushed.

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "format.h"
#include "rows.h"
#include "yam_error.h"
#include "yam_pull.h"
#include "yam_sub.h"
#include "yami_base.h"

#define S_FORMAT "%b\\n"     //  of --format, when it is not given
#define S_HELD_LIMIT 1024    //  messages written before a flush
#define S_HELD_BYTES 1048576 //  the same, in bytes
#define S_CLOSE_MS 5000
#define S_CONNECT_MS 5000 //  without a relay for so long, --wait gives up
#define S_LOOK_MS 20      //  between looks whether it is there

typedef struct {
    cli_common_t common;
    int64_t count;
    int64_t wait_ms;
    char group[201];
    char from[32];
    char subject[251];
    bool is_nack;
    bool is_reject;
    bool is_no_ack;
    int64_t delay_ms;
    char reason[512];
    char format[1024];
    bool is_null;
    bool is_json;
    bool is_fast;
} s_values_t;

//  One of the two classes.
typedef struct {
    yam_pull_t *pull; //  owned; or
    yam_sub_t *sub;   //  owned
} s_receiver_t;

typedef struct {
    const s_values_t *values;
    s_receiver_t receiver;
    const char *format;
    cli_rows_t *rows;                  //  owned
    yam_message_t *held[S_HELD_LIMIT]; //  owned; written, not yet flushed
    size_t held_count;
    size_t held_bytes;
    uint64_t received;     //  written and flushed
    int64_t idle_since_ms; //  when the last message came
    int64_t connected_ms;  //  when the relay was last known to be there
} s_job_t;

static s_values_t s_values;

#define S_SETTLE                                                                                   \
    CLI_FLAG(s_values_t, "nack", is_nack,                                                          \
             "say that each message failed: it comes again, then is a dead letter"),               \
        CLI_FLAG(s_values_t, "reject", is_reject, "send each message to the dead letters"),        \
        CLI_FLAG(s_values_t, "no-ack", is_no_ack,                                                  \
                 "only look: messages go back to their place at the end"),                         \
        CLI_NUMBER(s_values_t, "delay", delay_ms, -1, INT_MAX, "-1", "ms",                         \
                   "with --nack: when it comes again; -1: by the relay's backoff"),                \
        CLI_TEXT(s_values_t, "reason", reason, "", "TEXT",                                         \
                 "with --nack and --reject: kept with the message")
#define S_COMMON                                                                                   \
    CLI_HELP(s_values_t), CLI_RELAY(s_values_t),                                                   \
        CLI_NUMBER(s_values_t, "count", count, 0, INT64_MAX, "0", "messages",                      \
                   "end after N messages, 0: never"),                                              \
        CLI_NUMBER(s_values_t, "wait", wait_ms, -1, INT_MAX, "-1", "ms",                           \
                   "end when none came for so long, -1: never"),                                   \
        S_SETTLE,                                                                                  \
        CLI_TEXT(s_values_t, "format", format, S_FORMAT, "FORMAT",                                 \
                 "how a message is printed; see below"),                                           \
        CLI_FLAG(s_values_t, "null", is_null, "messages end in NUL instead of newline"),           \
        CLI_FLAG(s_values_t, "json", is_json, "print each message as a line of JSON"),             \
        CLI_FLAG(s_values_t, "fast", is_fast, "fast grade: peer to peer, at most once")

static const yami_option_t s_pull_table[] = {
    S_COMMON,
    CLI_TEXT(s_values_t, "group", group, "", "GROUP",
             "of a topic: join this durable subscription, as sub does"),
    CLI_END};
static const yami_option_t s_sub_table[] = {
    S_COMMON,
    CLI_TEXT(s_values_t, "group", group, "", "GROUP",
             "durable subscription; its members share the messages"),
    CLI_TEXT(s_values_t, "from", from, "", "first|new|SEQ",
             "where a new subscription begins; a group: first, else new"),
    CLI_TEXT(s_values_t, "subject", subject, "", "FILTER",
             "only these subjects: '*' is a word, '>' all the rest"),
    CLI_END};

//  -- The two classes ---------------------------------------------------------------------------

static yam_message_t *
s_recv(s_receiver_t *self)
{
    return self->pull ? yam_pull_recv(self->pull, 0) : yam_sub_recv(self->sub, 0);
}

static int
s_fd(s_receiver_t *self)
{
    return self->pull ? yam_pull_fd(self->pull) : yam_sub_fd(self->sub);
}

static int
s_ack(s_receiver_t *self, yam_message_t **message_p)
{
    return self->pull ? yam_pull_ack(self->pull, message_p) : yam_sub_ack(self->sub, message_p);
}

static int
s_nack(s_receiver_t *self, yam_message_t **message_p, int delay_ms, const char *reason)
{
    return self->pull ? yam_pull_nack(self->pull, message_p, delay_ms, reason)
                      : yam_sub_nack(self->sub, message_p, delay_ms, reason);
}

static int
s_reject(s_receiver_t *self, yam_message_t **message_p, const char *reason)
{
    return self->pull ? yam_pull_reject(self->pull, message_p, reason)
                      : yam_sub_reject(self->sub, message_p, reason);
}

static int
s_release(s_receiver_t *self, yam_message_t **message_p)
{
    return self->pull ? yam_pull_release(self->pull, message_p)
                      : yam_sub_release(self->sub, message_p);
}

static uint64_t
s_close(s_receiver_t *self)
{
    uint64_t left = self->pull ? yam_pull_close(&self->pull, S_CLOSE_MS) : 0;
    return left + (self->sub ? yam_sub_close(&self->sub, S_CLOSE_MS) : 0);
}

//  -- Printing and settling ---------------------------------------------------------------------

static void
s_print_json(s_job_t *job, yam_message_t *message)
{
    const char *key = yam_message_get(message, "key");
    cli_rows_begin(job->rows);
    cli_rows_number(job->rows, "sequence", (int64_t) yam_message_sequence(message));
    cli_rows_number(job->rows, "deliveries", yam_message_deliveries(message));
    cli_rows_number(job->rows, "failures", yam_message_failures(message));
    cli_rows_number(job->rows, "time", yam_message_time_ms(message));
    if (yam_message_due_ms(message) > 0) {
        cli_rows_number(job->rows, "due-time", yam_message_due_ms(message));
    }
    if (key) {
        cli_rows_text(job->rows, "key", key, strlen(key));
    }
    const char *subject = yam_message_subject(message);
    if (*subject) {
        cli_rows_text(job->rows, "subject", subject, strlen(subject));
    }
    cli_rows_text(job->rows, "body", yam_message_body(message), yam_message_size(message));
}

static void
s_print(s_job_t *job, yam_message_t *message)
{
    if (job->values->is_json) {
        s_print_json(job, message);
    } else {
        cli_format_print(job->format, message, stdout);
    }
    job->held[job->held_count++] = message;
    job->held_bytes += yam_message_size(message);
}

//  ESTALE is no error: the message comes again.
static void
s_settle(s_job_t *job, yam_message_t **message_p)
{
    const s_values_t *values = job->values;
    const char *reason = values->reason[0] ? values->reason : NULL;
    if (values->is_nack) {
        (void) s_nack(&job->receiver, message_p, (int) values->delay_ms, reason);
    } else if (values->is_reject) {
        (void) s_reject(&job->receiver, message_p, reason);
    } else if (!values->is_no_ack) {
        (void) s_ack(&job->receiver, message_p);
    }
    yam_message_destroy(message_p); //  --no-ack: given back at close
}

//  Flushes what was printed and settles it; or gives it back when stdout failed. 0, or -1 with
//  errno.
static int
s_flush(s_job_t *job)
{
    int rc = job->values->is_json ? cli_rows_print_json(job->rows, true, stdout) : fflush(stdout);
    rc = rc != 0 || ferror(stdout) ? -1 : 0;
    int error = errno;
    for (size_t index = 0; index < job->held_count; index++) {
        if (rc == 0) {
            s_settle(job, &job->held[index]);
            job->received++;
        } else {
            (void) s_release(&job->receiver, &job->held[index]);
        }
    }
    job->held_count = 0;
    job->held_bytes = 0;
    errno = error;
    return rc;
}

//  -- The loop ----------------------------------------------------------------------------------

static bool
s_is_done(const s_job_t *job)
{
    uint64_t count = (uint64_t) job->values->count;
    return count > 0 && job->received + job->held_count >= count;
}

//  Takes what is there. 0, or -1 with errno; EAGAIN: nothing more for now.
static int
s_take(s_job_t *job)
{
    while (!s_is_done(job) && job->held_count < S_HELD_LIMIT && job->held_bytes < S_HELD_BYTES &&
           !cli_is_stopped()) {
        yam_message_t *message = s_recv(&job->receiver);
        if (!message) {
            return -1;
        }
        s_print(job, message);
        job->idle_since_ms = yami_clock_mono_ms();
    }
    return 0;
}

static bool
s_is_connected(s_receiver_t *self)
{
    yam_receiver_stats_t stats;
    if (self->pull) {
        yam_pull_stats(self->pull, &stats);
    } else {
        yam_sub_stats(self->sub, &stats);
    }
    return stats.is_connected;
}

//  Milliseconds to wait for the next message, -1: for ever, 0: no longer. Only time with a relay
//  counts as idle.
static int
s_patience(s_job_t *job)
{
    int64_t now_ms = yami_clock_mono_ms();
    int64_t wait_ms = job->values->wait_ms;
    if (wait_ms < 0) {
        return -1;
    }
    if (!s_is_connected(&job->receiver)) {
        job->idle_since_ms = now_ms;
        return now_ms - job->connected_ms < S_CONNECT_MS ? S_LOOK_MS : 0;
    }
    job->connected_ms = now_ms;
    int64_t left_ms = job->idle_since_ms + wait_ms - now_ms;
    return left_ms > 0 ? (int) left_ms : 0;
}

//  What it means that nothing came.
static int
s_end_idle(s_job_t *job)
{
    if (!s_is_connected(&job->receiver)) {
        const char *endpoint = job->receiver.pull ? yam_pull_endpoint(job->receiver.pull)
                                                  : yam_sub_endpoint(job->receiver.sub);
        return cli_complain(EX_UNAVAILABLE,
                            "no relay answers at %s within %d ms (is yamd running?)", endpoint,
                            S_CONNECT_MS);
    }
    return job->received > 0 ? EX_OK : EX_TEMPFAIL;
}

//  Ctrl-C ends what has no end of its own.
static int
s_end_stopped(const s_job_t *job)
{
    if (job->values->count > 0) {
        return cli_complain(EX_TEMPFAIL, "interrupted after %" PRIu64 " of %" PRId64 " messages",
                            job->received, job->values->count);
    }
    bool is_missing = job->values->wait_ms >= 0 && job->received == 0;
    return is_missing ? cli_complain(EX_TEMPFAIL, "interrupted before a message came") : EX_OK;
}

static int
s_complain_stdout(void)
{
    if (errno == EPIPE || cli_is_stopped()) {
        return EX_IOERR; //  the reader went away, as `head` does: no need to say so
    }
    return cli_complain(EX_IOERR,
                        "cannot write to stdout: %s (what was not written stays in the relay)",
                        strerror(errno));
}

static int
s_loop(s_job_t *job)
{
    int fd = s_fd(&job->receiver);
    job->idle_since_ms = job->connected_ms = yami_clock_mono_ms();
    while (!s_is_done(job) && !cli_is_stopped()) {
        int rc = s_take(job);
        int error = errno;
        if (s_flush(job) == -1) {
            return s_complain_stdout();
        }
        if (rc == 0) {
            continue;
        }
        if (error != EAGAIN) {
            errno = error;
            return cli_complain_errno();
        }
        if (cli_is_stdout_gone()) {
            return EX_IOERR;
        }
        int patience_ms = s_patience(job);
        if (patience_ms == 0) {
            return s_end_idle(job);
        }
        cli_wait(fd, patience_ms);
    }
    return s_is_done(job) ? EX_OK : s_end_stopped(job);
}

//  -- Starting ----------------------------------------------------------------------------------

//  "&group=..&limit=.." for the endpoint. With --count no more than that is ever leased.
static int
s_options(const s_values_t *values, char *more, size_t size)
{
    const struct {
        const char *name;
        const char *value;
    } options[] = {{"group", values->group}, {"start", values->from}, {"subject", values->subject}};
    more[0] = '\0';
    for (size_t index = 0; index < sizeof options / sizeof options[0]; index++) {
        if (options[index].value[0]) {
            int exit_code = cli_add_option(more, size, options[index].name, options[index].value);
            if (exit_code != EX_OK) {
                return exit_code;
            }
        }
    }
    char limit[24];
    (void) snprintf(limit, sizeof limit, "%" PRId64, values->count);
    return values->count > 0 ? cli_add_option(more, size, "limit", limit) : EX_OK;
}

static int
s_check(const s_values_t *values)
{
    if (values->is_nack + values->is_reject + values->is_no_ack > 1) {
        return cli_complain(EX_USAGE, "--nack, --reject and --no-ack exclude each other");
    }
    if (values->reason[0] && !values->is_nack && !values->is_reject) {
        return cli_complain(EX_USAGE, "--reason needs --nack or --reject");
    }
    if (values->delay_ms >= 0 && !values->is_nack) {
        return cli_complain(EX_USAGE, "--delay needs --nack");
    }
    if (values->group[0] && values->is_fast) {
        return cli_complain(EX_USAGE, "--group is of the sure grade, but --fast is given");
    }
    bool has_format = strcmp(values->format, S_FORMAT) != 0;
    if (has_format + values->is_null + values->is_json > 1) {
        return cli_complain(EX_USAGE, "--format, --null and --json exclude each other");
    }
    return cli_format_check(values->format) == -1 ? cli_complain(EX_USAGE, "%s", yam_error())
                                                  : EX_OK;
}

static int
s_receive(s_job_t *job, yam_t *yam, const char *channel, bool is_topic, const char *endpoint)
{
    if (is_topic) {
        job->receiver.sub = yam_sub_new(yam, channel, endpoint);
    } else {
        job->receiver.pull = yam_pull_new(yam, channel, endpoint);
    }
    if (!job->receiver.sub && !job->receiver.pull) {
        return cli_complain_errno();
    }
    job->rows = cli_rows_new();
    int exit_code = s_loop(job);
    uint64_t left = s_close(&job->receiver);
    cli_rows_destroy(&job->rows);
    if (left > 0) {
        return cli_complain(EX_TEMPFAIL,
                            "%" PRIu64
                            " messages may come again: the relay at %s did not say that it knows "
                            "they are done",
                            left, endpoint);
    }
    return exit_code;
}

static int
s_run(const char *channel, bool is_topic)
{
    static s_job_t job;
    char more[1024], endpoint[4096];
    const s_values_t *values = &s_values;
    int exit_code = s_check(values);
    if (exit_code == EX_OK) {
        exit_code = s_options(values, more, sizeof more);
    }
    if (exit_code == EX_OK) {
        exit_code = cli_endpoint(&values->common, values->is_fast ? "grade=fast" : "grade=sure",
                                 more, endpoint, sizeof endpoint);
    }
    yam_t *yam = exit_code == EX_OK ? cli_open(&values->common, &exit_code) : NULL;
    if (yam) {
        job = (s_job_t) {.values = values, .format = values->is_null ? "%b%0" : values->format};
        exit_code = s_receive(&job, yam, channel, is_topic, endpoint);
        yam_destroy(&yam);
    }
    return exit_code;
}

static int
s_pull(char **operands)
{
    return s_run(operands[0], s_values.group[0] != 0); //  a queue has one group
}

static int
s_sub(char **operands)
{
    return s_run(operands[0], true);
}

#define S_TEXT                                                                                     \
    "A message is acknowledged after it was printed. Ctrl-C ends cleanly. With --wait the exit "   \
    "code is\n"                                                                                    \
    "0 when something came, and 75 when nothing did.\n"                                            \
    "FORMAT: %b body, %k key, %s subject, %n sequence, %d deliveries, %f failures, %t time, "      \
    "%{NAME}\n"                                                                                    \
    "property, %0 NUL, %% percent; \\n \\t \\r \\\\ as in C.\n"

const cli_command_t cli_pull = {"pull",
                                "QUEUE",
                                1,
                                1,
                                "take messages from a queue",
                                S_TEXT,
                                {s_pull_table, CLI_LETTERS " n=count w=wait g=group"},
                                &s_values,
                                s_pull};
const cli_command_t cli_sub = {"sub",
                               "TOPIC",
                               1,
                               1,
                               "receive the messages of a topic",
                               S_TEXT,
                               {s_sub_table, CLI_LETTERS " n=count w=wait g=group s=subject"},
                               &s_values,
                               s_sub};
