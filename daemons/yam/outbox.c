//  yam outbox: looks after the outbox in a database, and sends what is in it.

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "outbox_source.h"
#include "rows.h"
#include "yam_dispatcher.h"
#include "yam_outbox_postgres.h"
#include "yam_postgres.h"
#include "yami_base.h"
#include "yami_limits.h"

#define S_PAGE 1000    //  rows looked at in one go
#define S_SLICE_MS 200 //  longest wait without a look at Ctrl-C
#define S_CHANGE_OPTIONS "db prefix json dry-run"

typedef struct {
    cli_common_t common;
    char database[1024];
    char prefix[49];
    char channel[201];
    char level[16];
    int64_t state;
    int64_t from;
    int64_t count;
    int64_t age_ms;
    int64_t limit_ms;
    int64_t tries;
    int64_t lease_ms;
    int64_t keep_ms;
    int64_t poll_ms;
    bool is_json;
    bool is_dry_run;
    bool is_all;
    bool is_once;
} s_values_t;

static s_values_t s_values;

static const yami_option_t s_table[] = {
    CLI_HELP(s_values_t),
    CLI_TEXT(s_values_t, "db", database, "", "FILE|URI", "the application's database"),
    CLI_TEXT(s_values_t, "prefix", prefix, "yam_outbox", "NAME", "what its tables begin with"),
    CLI_NUMBER(s_values_t, "state", state, -1, 3, "-1", "",
               "list, --all: only rows of state 0 sending, 1 delivered, 2 failed, 3 cancelled"),
    CLI_TEXT(s_values_t, "channel", channel, "", "CHANNEL",
             "list, --all: only rows of that channel"),
    CLI_NUMBER(s_values_t, "from", from, 0, INT64_MAX, "0", "", "list, --all: begin at this id"),
    CLI_NUMBER(s_values_t, "count", count, 1, INT64_MAX, "100", "rows", "list: at most N rows"),
    CLI_FLAG(s_values_t, "json", is_json, "print JSON"),
    CLI_FLAG(s_values_t, "dry-run", is_dry_run,
             "retry, cancel, prune: only say what would be done"),
    CLI_FLAG(s_values_t, "all", is_all, "retry, cancel: all rows that fit, and not those named"),
    CLI_NUMBER(s_values_t, "older", age_ms, 0, INT64_MAX / 2, "24h", "ms",
               "prune: rows put longer ago"),
    CLI_RELAY(s_values_t),
    CLI_NUMBER(s_values_t, "limit", limit_ms, 10, INT_MAX, "30s", "ms",
               "run: what has no confirm after so long is sent again"),
    CLI_NUMBER(s_values_t, "tries", tries, 1, 100, "3", "", "run: so many times, then it fails"),
    CLI_TEXT(s_values_t, "level", level, "received", "LEVEL",
             "run: a relay that confirms below it gets nothing (received, synced ..)"),
    CLI_NUMBER(s_values_t, "keep", keep_ms, 0, INT64_MAX / 2, "24h", "ms",
               "run: how long delivered rows are kept, 0: not at all"),
    CLI_NUMBER(s_values_t, "lease", lease_ms, 10, INT_MAX, "5s", "ms",
               "run: others take over from who is silent for so long"),
    CLI_NUMBER(s_values_t, "poll", poll_ms, 1, INT_MAX, "20ms", "ms",
               "run: how often to look for something new"),
    CLI_FLAG(s_values_t, "once", is_once, "run: end when there is nothing left to send"),
    CLI_END};

static const char *
s_channel(void)
{
    return *s_values.channel != 0 ? s_values.channel : NULL;
}

//  -- Showing -------------------------------------------------------------------------------------

static const char *const s_states[] = {"sending", "delivered", "failed", "cancelled"};

static void
s_add_text(cli_rows_t *rows, const char *column, const char *text)
{
    cli_rows_text(rows, column, text, strlen(text));
}

//  One row, but for its message.
static void
s_add_row(cli_rows_t *rows, const yam_outbox_row_t *row)
{
    cli_rows_begin(rows);
    cli_rows_number(rows, "id", row->id);
    s_add_text(rows, "state", s_states[row->state]);
    s_add_text(rows, "kind", row->kind == 1 ? "queue" : "topic");
    s_add_text(rows, "channel", row->channel);
    cli_rows_number(rows, "time", row->time_ms);
    cli_rows_number(rows, "bytes", (int64_t) row->size);
    cli_rows_number(rows, "tries", (int64_t) row->try_count);
    s_add_text(rows, "status", row->state == YAM_OUTBOX_FAILED ? yam_status_name(row->status) : "");
    s_add_text(rows, "reason", row->reason);
}

static int
s_list_row(void *arg, const yam_outbox_row_t *row)
{
    s_add_row(arg, row);
    return 0;
}

//  The same with all that is known of it.
static int
s_show_row(void *arg, const yam_outbox_row_t *row)
{
    cli_rows_t *rows = arg;
    const char *name;
    s_add_row(rows, row);
    s_add_text(rows, "identity", row->identity);
    cli_rows_number(rows, "epoch", (int64_t) row->epoch);
    cli_rows_number(rows, "sequence", (int64_t) row->sequence);
    for (size_t index = 0; index < row->try_count; index++) {
        char column[40];
        (void) snprintf(column, sizeof column, "try-%zu-time", index + 1);
        cli_rows_number(rows, column, row->tries_ms[index]);
    }
    for (size_t index = 0; (name = yam_message_property_name(row->message, index)) != NULL;
         index++) {
        char copy[256];
        (void) snprintf(copy, sizeof copy, "%s", name);
        const char *value = yam_message_get(row->message, copy);
        cli_rows_inner(rows, "properties", copy, value, strlen(value));
    }
    cli_rows_text(rows, "body", yam_message_body(row->message), yam_message_size(row->message));
    return 1;
}

static int
s_print(cli_rows_t **rows_p, bool is_list)
{
    int rc = s_values.is_json ? cli_rows_print_json(*rows_p, false, stdout)
             : is_list        ? cli_rows_print_list(*rows_p, stdout)
                              : cli_rows_print_table(*rows_p, stdout);
    cli_rows_destroy(rows_p);
    return rc == -1 || fflush(stdout) != 0 ? EX_IOERR : EX_OK;
}

static int
s_list(void *arg, char **ids)
{
    yam_outbox_t *outbox = arg;
    cli_rows_t *rows = cli_rows_new();
    (void) ids;
    if (yam_outbox_rows(outbox, (int) s_values.state, s_channel(), s_values.from - 1,
                        s_values.count, s_list_row, rows) == -1) {
        cli_rows_destroy(&rows);
        return cli_complain_errno();
    }
    return s_print(&rows, false);
}

//  The id that text is, 0 after a complaint.
static int64_t
s_id(const char *text)
{
    char *end;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || id <= 0) {
        (void) cli_complain(0, "'%s' is no id of a row (see yam outbox list)", text);
        return 0;
    }
    return id;
}

//  Of the first row at an id or behind it, the id.
static int
s_find_row(void *arg, const yam_outbox_row_t *row)
{
    *(int64_t *) arg = row->id;
    return 1;
}

static int
s_show(void *arg, char **ids)
{
    yam_outbox_t *outbox = arg;
    int64_t found = 0;
    cli_rows_t *rows = cli_rows_new();
    for (; *ids != NULL; ids++) {
        int64_t id = s_id(*ids);
        int64_t count =
            id == 0 ? 0 : yam_outbox_rows(outbox, -1, NULL, id - 1, 1, s_find_row, &found);
        bool has_row = found == id;
        if (has_row) {
            count = yam_outbox_rows(outbox, -1, NULL, id - 1, 1, s_show_row, rows);
        }
        if (id == 0 || count == -1) {
            cli_rows_destroy(&rows);
            return id == 0 ? EX_USAGE : cli_complain_errno();
        }
        if (!has_row) {
            cli_rows_destroy(&rows);
            return cli_complain(EX_UNAVAILABLE, "the outbox has no row %" PRId64, id);
        }
    }
    return s_print(&rows, true);
}

//  -- Changing ------------------------------------------------------------------------------------

//  Changes one row. 1, 0 when it is not in a state for that, -1.
typedef int (*s_change_fn)(yam_outbox_t *outbox, int64_t id);

typedef struct {
    yam_outbox_t *outbox; //  borrowed
    int64_t ids[S_PAGE];
    size_t id_count;
    int64_t changed;
    int64_t left; //  rows that were not in a state for it, or on their way
    bool is_cut;  //  a stop was asked for before all were looked at
} s_job_t;

static int
s_note_id(void *arg, const yam_outbox_row_t *row)
{
    s_job_t *job = arg;
    job->ids[job->id_count++] = row->id;
    return 0;
}

//  What it would have done.
static int
s_try(yam_outbox_t *outbox, int64_t id, s_change_fn change)
{
    if (yam_outbox_begin_trial(outbox) == -1) {
        return -1;
    }
    int rc = change(outbox, id);
    yam_outbox_end_trial(outbox);
    return rc;
}

//  0, or -1.
static int
s_change_ids(s_job_t *job, s_change_fn change)
{
    size_t index = 0;
    for (; index < job->id_count && !cli_is_stopped(); index++) {
        int64_t id = job->ids[index];
        int rc = s_values.is_dry_run ? s_try(job->outbox, id, change) : change(job->outbox, id);
        if (rc == -1 && errno != EBUSY) {
            return -1;
        }
        job->changed += rc == 1 ? 1 : 0;
        job->left += rc == 1 ? 0 : 1;
    }
    job->is_cut = index < job->id_count;
    return 0;
}

//  All rows of a state, page by page.
static int
s_change_all(s_job_t *job, s_change_fn change, int state)
{
    int64_t after = s_values.from - 1;
    do {
        job->id_count = 0;
        if (yam_outbox_rows(job->outbox, state, s_channel(), after, S_PAGE, s_note_id, job) == -1 ||
            s_change_ids(job, change) == -1) {
            return -1;
        }
        after = job->id_count > 0 ? job->ids[job->id_count - 1] : after;
    } while (job->id_count == S_PAGE && !cli_is_stopped());
    job->is_cut = job->is_cut || job->id_count == S_PAGE;
    return 0;
}

//  Says how many rows there were.
static int
s_report(const char *what, int64_t count, int64_t left, bool is_cut)
{
    cli_rows_t *rows = cli_rows_new();
    cli_rows_begin(rows);
    cli_rows_number(rows, what, count);
    cli_rows_number(rows, "left", left);
    cli_rows_bool(rows, "dry-run", s_values.is_dry_run);
    int exit_code = s_print(&rows, true);
    if (is_cut && exit_code == EX_OK) {
        return cli_complain(EX_TEMPFAIL, "interrupted: there may be more rows");
    }
    return exit_code == EX_OK && left > 0 ? EX_TEMPFAIL : exit_code;
}

static int
s_change(yam_outbox_t *outbox, char **ids, s_change_fn change, int state, const char *what)
{
    s_job_t *job = yami_alloc(sizeof *job);
    job->outbox = outbox;
    int exit_code = EX_OK;
    for (; *ids != NULL && exit_code == EX_OK; ids++) {
        job->ids[job->id_count] = s_id(*ids);
        exit_code = job->ids[job->id_count++] == 0 ? EX_USAGE : EX_OK;
    }
    if (exit_code == EX_OK) {
        int rc = s_values.is_all ? s_change_all(job, change, state) : s_change_ids(job, change);
        exit_code =
            rc == -1 ? cli_complain_errno() : s_report(what, job->changed, job->left, job->is_cut);
    }
    yami_free(job);
    return exit_code;
}

//  Which rows: those named, or all that fit, and never nothing by mistake. EX_OK, or after a
//  complaint.
static int
s_check_choice(char **ids)
{
    if ((*ids != NULL) == s_values.is_all) {
        return cli_complain(EX_USAGE, "which rows? (their ids, or --all; see yam outbox list)");
    }
    return s_values.is_all ? EX_OK
                           : cli_check_given(&cli_outbox, S_CHANGE_OPTIONS, "a choice by ids");
}

static int
s_retry(void *arg, char **ids)
{
    int exit_code = s_check_choice(ids);
    return exit_code != EX_OK ? exit_code
                              : s_change(arg, ids, yam_outbox_retry, YAM_OUTBOX_FAILED, "retried");
}

static int
s_cancel(void *arg, char **ids)
{
    int exit_code = s_check_choice(ids);
    bool is_vague = s_values.is_all && s_values.state != YAM_OUTBOX_SENDING &&
                    s_values.state != YAM_OUTBOX_FAILED;
    if (exit_code == EX_OK && is_vague) {
        exit_code = cli_complain(EX_USAGE, "--all of which? (--state 0 or --state 2)");
    }
    return exit_code != EX_OK
               ? exit_code
               : s_change(arg, ids, yam_outbox_cancel, (int) s_values.state, "cancelled");
}

//  Counts a row that prune would delete.
static int
s_count_old(void *arg, const yam_outbox_row_t *row)
{
    s_job_t *job = arg;
    int64_t before_ms = yami_clock_wall_ms() - s_values.age_ms;
    bool is_over = row->state == YAM_OUTBOX_DELIVERED || row->state == YAM_OUTBOX_CANCELLED;
    job->changed += is_over && row->time_ms < before_ms ? 1 : 0;
    return 0;
}

static int
s_prune(void *arg, char **ids)
{
    yam_outbox_t *outbox = arg;
    s_job_t job = {.id_count = 0};
    (void) ids;
    if (s_values.is_dry_run) {
        return yam_outbox_rows(outbox, -1, NULL, 0, INT64_MAX, s_count_old, &job) == -1
                   ? cli_complain_errno()
                   : s_report("pruned", job.changed, 0, false);
    }
    int64_t count;
    do {
        count = yam_outbox_prune(outbox, s_values.age_ms, S_PAGE);
        job.changed += count > 0 ? count : 0;
    } while (count == S_PAGE && !cli_is_stopped());
    return count == -1 ? cli_complain_errno() : s_report("pruned", job.changed, 0, count == S_PAGE);
}

//  -- Sending -------------------------------------------------------------------------------------

static int
s_work(yam_dispatcher_t *dispatcher)
{
    bool is_sent = false;
    while (!is_sent && !cli_is_stopped()) {
        if (!s_values.is_once) {
            cli_wait(-1, -1);
        } else {
            is_sent = yam_dispatcher_flush(dispatcher, S_SLICE_MS) == 0;
        }
    }
    yam_dispatcher_stats_t stats;
    yam_dispatcher_stats(dispatcher, &stats);
    if (s_values.is_once) {
        return s_report("delivered", (int64_t) stats.delivered, 0, !is_sent);
    }
    return EX_OK;
}

static int
s_dispatch(void *arg, char **ids)
{
    (void) arg;
    (void) ids;
    char endpoint[2048];
    char options[320];
    int exit_code = cli_endpoint(&s_values.common, "grade=sure", "", endpoint, sizeof endpoint);
    yam_t *yam = exit_code == EX_OK ? cli_open(&s_values.common, &exit_code) : NULL;
    if (yam == NULL) {
        return exit_code;
    }
    (void) snprintf(options, sizeof options,
                    "prefix=%s&limit=%" PRId64 "&tries=%" PRId64 "&keep=%" PRId64 "&lease=%" PRId64
                    "&poll=%" PRId64 "&level=%s",
                    s_values.prefix, s_values.limit_ms, s_values.tries, s_values.keep_ms,
                    s_values.lease_ms, s_values.poll_ms, s_values.level);
    yam_dispatcher_t *dispatcher =
        yam_postgres_is_uri(s_values.database)
            ? yam_dispatcher_postgres_new(yam, s_values.database, endpoint, options)
            : yam_dispatcher_new(yam, s_values.database, endpoint, options);
    exit_code = dispatcher == NULL ? cli_complain_errno() : s_work(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    yam_destroy(&yam);
    return exit_code;
}

//  -- The command ---------------------------------------------------------------------------------

static const cli_action_t s_actions[] = {
    {"list", "db prefix json state channel from count", 0, 0, s_list},
    {"show", "db prefix json", 1, YAMI_LIMIT_OPERANDS, s_show},
    {"retry", S_CHANGE_OPTIONS " all channel from", 0, YAMI_LIMIT_OPERANDS, s_retry},
    {"cancel", S_CHANGE_OPTIONS " all state channel from", 0, YAMI_LIMIT_OPERANDS, s_cancel},
    {"prune", S_CHANGE_OPTIONS " older", 0, 0, s_prune},
    {"run", "db prefix json endpoint certificate limit tries level keep lease poll once", 0, 0,
     s_dispatch},
    {NULL, NULL, 0, 0, NULL},
};

static int
s_run(char **operands)
{
    const cli_action_t *action = cli_choose_action(&cli_outbox, s_actions, operands);
    int exit_code = action == NULL ? EX_USAGE : cli_check_database(s_values.database);
    if (exit_code != EX_OK || action->run == s_dispatch) {
        return exit_code != EX_OK ? exit_code : s_dispatch(NULL, NULL);
    }
    cli_outbox_t source = {NULL, NULL, NULL};
    exit_code = cli_outbox_open(&source, s_values.database, s_values.prefix);
    if (exit_code == EX_OK) {
        exit_code = action->run(source.outbox, operands + 1);
        cli_outbox_close(&source);
    }
    return exit_code;
}

const cli_command_t cli_outbox = {
    "outbox",
    "ACTION [ID...]",
    1,
    YAMI_LIMIT_OPERANDS,
    "look after the outbox of a database, or send it",
    "list                rows, with what became of them\n"
    "show ID...          all that is known of a row\n"
    "retry ID...|--all   put failed rows back, at the end\n"
    "cancel ID...|--all  give up rows that failed or were not sent yet\n"
    "prune               delete rows that are over\n"
    "run                 send what is in it, until Ctrl-C\n",
    {s_table, CLI_LETTERS " d=db j=json n=count"},
    &s_values,
    s_run};
