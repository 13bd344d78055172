//  yam callback: the cases of a callback service, for people.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "rows.h"
#include "yam_callback_postgres.h"
#include "yam_callback_store.h"
#include "yam_postgres.h"
#include "yami_base.h"
#include "yami_limits.h"

typedef struct {
    cli_common_t common;
    char database[1024];
    char state[16];
    char from[sizeof((yam_case_t *) 0)->id];
    char note[1024];
    int64_t count;
    bool is_json;
    bool is_dry_run;
} s_values_t;

static s_values_t s_values;

static const yami_option_t s_table[] = {
    CLI_HELP(s_values_t),
    CLI_TEXT(s_values_t, "db", database, "", "FILE|URI", "the callback service's database"),
    CLI_TEXT(s_values_t, "state", state, "", "STATE",
             "list: only waiting, calling, open, done, gone or closed cases"),
    CLI_TEXT(s_values_t, "from", from, "", "ID", "list: begin at this case"),
    CLI_NUMBER(s_values_t, "count", count, 1, INT64_MAX, "100", "cases", "list: at most N cases"),
    CLI_TEXT(s_values_t, "note", note, "", "TEXT", "close: why, for the case's history"),
    CLI_FLAG(s_values_t, "json", is_json, "print JSON"),
    CLI_FLAG(s_values_t, "dry-run", is_dry_run, "retry, close: only say what would be done"),
    CLI_END};

static void
s_add_text(cli_rows_t *rows, const char *column, const char *text)
{
    cli_rows_text(rows, column, text, strlen(text));
}

static void
s_add_case(cli_rows_t *rows, const yam_case_t *row)
{
    cli_rows_begin(rows);
    s_add_text(rows, "id", row->id);
    s_add_text(rows, "state", yam_case_state_name(row->state));
    cli_rows_number(rows, "round", row->round);
    s_add_text(rows, "queue", row->queue);
    s_add_text(rows, "service", row->service);
    cli_rows_number(rows, "first-time", row->first_ms);
    cli_rows_number(rows, "changed-time", row->changed_ms);
    cli_rows_number(rows, "due-time", row->due_ms);
}

static int
s_print(cli_rows_t **rows_p)
{
    int rc = s_values.is_json ? cli_rows_print_json(*rows_p, false, stdout)
                              : cli_rows_print_table(*rows_p, stdout);
    cli_rows_destroy(rows_p);
    return rc == -1 ? EX_IOERR : EX_OK;
}

//  -- Looking -----------------------------------------------------------------------------------

typedef struct {
    cli_rows_t *rows;
    yam_case_t row;
    yam_case_note_t note;
} s_walk_t;

static int
s_list_case(void *arg)
{
    s_walk_t *walk = arg;
    s_add_case(walk->rows, &walk->row);
    return 0;
}

//  The number of state name, 0 for "", -1 for another.
static int
s_state(const char *name)
{
    int state = YAM_CASE_CLOSED;
    if (*name == 0) {
        return 0;
    }
    while (state > 0 && strcmp(yam_case_state_name(state), name) != 0) {
        state--;
    }
    return state > 0 ? state : -1;
}

static int
s_list(void *arg, char **ids)
{
    yam_callback_store_t *store = arg;
    (void) ids;
    int state = s_state(s_values.state);
    if (state == -1) {
        return cli_complain(EX_USAGE, "'%s' is no state (see yam callback --help)", s_values.state);
    }
    s_walk_t walk = {.rows = cli_rows_new()};
    if (yam_callback_store_walk(store, state, *s_values.from != 0 ? s_values.from : NULL,
                                s_values.count, &walk.row, s_list_case, &walk) == -1) {
        cli_rows_destroy(&walk.rows);
        return cli_complain_errno();
    }
    return s_print(&walk.rows);
}

static int
s_show_note(void *arg)
{
    s_walk_t *walk = arg;
    cli_rows_begin(walk->rows);
    cli_rows_number(walk->rows, "time", walk->note.time_ms);
    cli_rows_number(walk->rows, "round", walk->note.round);
    s_add_text(walk->rows, "event", walk->note.event);
    s_add_text(walk->rows, "text", walk->note.text);
    return 0;
}

//  The case, then its history; as JSON, an array of rows of which the first is the case.
static int
s_show(void *arg, char **ids)
{
    yam_callback_store_t *store = arg;
    const char *id = ids[0];
    s_walk_t walk = {.rows = cli_rows_new()};
    yam_case_confirm_t confirm;
    int rc = yam_callback_store_read(store, id, &walk.row, &confirm);
    if (rc == 0) {
        s_add_case(walk.rows, &walk.row);
        s_add_text(walk.rows, "confirm",
                   confirm.outcome == YAM_CONFIRM_NONE     ? "none"
                   : confirm.outcome == YAM_CONFIRM_FAILED ? "failed"
                                                           : "done");
        s_add_text(walk.rows, "reason", confirm.reason);
        rc = !s_values.is_json && cli_rows_print_list(walk.rows, stdout) == -1
                 ? yami_fail(EIO, "cannot write to stdout")
                 : yam_callback_store_history(store, id, &walk.note, s_show_note, &walk);
    }
    if (rc == -1) {
        cli_rows_destroy(&walk.rows);
        return cli_complain_errno();
    }
    return s_print(&walk.rows);
}

//  -- Doing -------------------------------------------------------------------------------------

//  Changes a case as people want it. 0, or -1 with errno and a sentence.
typedef int (*s_change_fn)(yam_callback_store_t *store, const char *id);

static int
s_close_case(yam_callback_store_t *store, const char *id)
{
    return yam_callback_store_close_case(store, id, s_values.note);
}

static int
s_try(yam_callback_store_t *store, const char *id, s_change_fn change)
{
    if (yam_callback_store_begin_trial(store) == -1) {
        return -1;
    }
    int rc = change(store, id);
    yam_callback_store_end_trial(store);
    return rc;
}

//  Each of the cases; goes on after one that cannot be, and returns the first complaint's code.
static int
s_change_all(yam_callback_store_t *store, char **ids, s_change_fn change, const char *done)
{
    int exit_code = EX_OK;
    for (; *ids != NULL && !cli_is_stopped(); ids++) {
        int rc = s_values.is_dry_run ? s_try(store, *ids, change) : change(store, *ids);
        if (rc == -1) {
            int one_code = cli_complain_errno();
            exit_code = exit_code == EX_OK ? one_code : exit_code;
        } else {
            (void) printf("%s %s%s\n", *ids, s_values.is_dry_run ? "would be " : "", done);
        }
    }
    if (*ids != NULL) {
        (void) cli_complain(0, "interrupted before %s", *ids);
    }
    return *ids != NULL && exit_code == EX_OK ? EX_TEMPFAIL : exit_code;
}

static int
s_retry(void *arg, char **ids)
{
    return s_change_all(arg, ids, yam_callback_store_retry, "called again");
}

static int
s_close(void *arg, char **ids)
{
    return s_change_all(arg, ids, s_close_case, "closed");
}

//  -- The command -------------------------------------------------------------------------------

static const cli_action_t s_actions[] = {
    {"list", "db state from count json", 0, 0, s_list},
    {"show", "db json", 1, 1, s_show},
    {"retry", "db dry-run", 1, YAMI_LIMIT_OPERANDS, s_retry},
    {"close", "db dry-run note", 1, YAMI_LIMIT_OPERANDS, s_close},
    {NULL, NULL, 0, 0, NULL},
};

static int
s_run(char **operands)
{
    const cli_action_t *action = cli_choose_action(&cli_callback, s_actions, operands);
    int exit_code = action == NULL ? EX_USAGE : cli_check_database(s_values.database);
    if (exit_code != EX_OK) {
        return exit_code;
    }
    yam_callback_store_t *store = yam_postgres_is_uri(s_values.database)
                                      ? yam_callback_store_postgres(s_values.database, false)
                                      : yam_callback_store_sqlite(s_values.database, false);
    if (store == NULL) {
        return cli_complain_errno();
    }
    exit_code = action->run(store, operands + 1);
    yam_callback_store_destroy(&store);
    return exit_code;
}

const cli_command_t cli_callback = {
    "callback",
    "ACTION [ID...]",
    1,
    YAMI_LIMIT_OPERANDS,
    "look after what was sent and never confirmed",
    "list               cases, the latest changed first\n"
    "show ID            a case and its history\n"
    "retry ID...        have the producer called once more\n"
    "close ID...        nobody is called any more; --note says why\n",
    {s_table, "h=help d=db j=json n=count"},
    &s_values,
    s_run};
