//  yam stat, peek, dead, redrive, purge, remove and cancel: one request to the relay, and its rows.

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "rows.h"
#include "yam_admin.h"
#include "yami_base.h"
#include "yami_properties.h"

typedef struct {
    cli_common_t common;
    bool is_json;
    bool is_watch;
    bool is_relay;
    bool is_wide;
    bool is_dry_run;
    bool is_yes;
    int64_t interval_ms;
    int64_t count;
    int64_t from;
    char group[201];
    char to[201];
} s_values_t;

static s_values_t s_values;

#define S_COMMON                                                                                   \
    CLI_HELP(s_values_t), CLI_RELAY(s_values_t), CLI_FLAG(s_values_t, "json", is_json, "print JSON")
#define S_GROUP CLI_TEXT(s_values_t, "group", group, "", "GROUP", "of this group only")
#define S_DRY_RUN CLI_FLAG(s_values_t, "dry-run", is_dry_run, "only say what would be done")
#define S_PAGE                                                                                     \
    CLI_NUMBER(s_values_t, "count", count, 1, 100000, "100", "messages", "at most N messages"),    \
        CLI_NUMBER(s_values_t, "from", from, 0, INT64_MAX, "0", "", "begin at this sequence")

static const yami_option_t s_stat_table[] = {
    S_COMMON,
    CLI_FLAG(s_values_t, "relay", is_relay, "counters of the relay instead of its channels"),
    CLI_FLAG(s_values_t, "wide", is_wide, "all columns, and not only those of the first look"),
    CLI_FLAG(s_values_t, "watch", is_watch, "print again and again, until Ctrl-C"),
    CLI_NUMBER(s_values_t, "interval", interval_ms, 100, INT_MAX, "2s", "ms",
               "with --watch: how often"),
    CLI_END};
static const yami_option_t s_peek_table[] = {S_COMMON, S_GROUP, S_PAGE, CLI_END};
static const yami_option_t s_dead_table[] = {S_COMMON, S_PAGE, CLI_END};
static const yami_option_t s_redrive_table[] = {
    S_COMMON, S_DRY_RUN,
    CLI_TEXT(s_values_t, "to", to, "", "CHANNEL", "to this channel instead of where it came from"),
    CLI_NUMBER(s_values_t, "count", count, 0, INT64_MAX, "0", "messages",
               "at most N messages, 0: all"),
    CLI_END};
static const yami_option_t s_purge_table[] = {
    S_COMMON, S_GROUP, S_DRY_RUN, CLI_FLAG(s_values_t, "yes", is_yes, "really drop the messages"),
    CLI_END};

static const yami_option_t s_remove_table[] = {
    S_COMMON, S_DRY_RUN, CLI_FLAG(s_values_t, "yes", is_yes, "really remove the group"), CLI_END};
static const yami_option_t s_cancel_table[] = {S_COMMON, S_DRY_RUN, CLI_END};

#define S_FIRST_LOOK "messages leased dead oldest-ms in-per-s out-per-s redelivered"

//  -- Rows --------------------------------------------------------------------------------------

//  What the relay says of a dead letter becomes columns; the user's properties stay together.
static void
s_copy_property(cli_rows_t *rows, const yami_property_t *property)
{
    char name[256], number[24];
    const char *text = (const char *) property->text.data;
    size_t size = property->text.size;
    bool is_ours = property->name.size > 4 && memcmp(property->name.data, "yam-", 4) == 0;
    bool is_number = property->type == 'i' || property->type == 'b';
    (void) snprintf(name, sizeof name, "%.*s", (int) property->name.size,
                    (const char *) property->name.data);
    if (is_number) {
        size = (size_t) snprintf(number, sizeof number, "%" PRId64, property->number);
        text = number;
    }
    if (is_ours && is_number) {
        cli_rows_number(rows, name + 4, property->number);
    } else if (is_ours) {
        cli_rows_text(rows, name + 4, text, size);
    } else {
        cli_rows_inner(rows, "properties", name, text, size);
    }
}

static void
s_copy_properties(cli_rows_t *rows, const char *encoded, size_t size)
{
    yami_properties_t walk;
    yami_property_t property;
    if (yami_properties_start(&walk, yami_slice(encoded, size)) == -1) {
        return;
    }
    while (yami_properties_next(&walk, &property) == 1) {
        s_copy_property(rows, &property);
    }
}

static void
s_copy_field(cli_rows_t *rows, const yam_admin_t *admin, size_t row, const char *name)
{
    size_t size;
    const char *text;
    switch (yam_admin_type(admin, row, name)) {
    case 'i':
        cli_rows_number(rows, name, yam_admin_number(admin, row, name));
        break;
    case 'b':
        cli_rows_bool(rows, name, yam_admin_number(admin, row, name) != 0);
        break;
    default:
        text = yam_admin_string(admin, row, name, &size);
        if (strcmp(name, "properties") == 0) {
            s_copy_properties(rows, text, size);
        } else {
            cli_rows_text(rows, name, text, size);
        }
        break;
    }
}

//  Whether the rows are a channel's groups.
static bool
s_is_of_groups(const yam_admin_request_t *request)
{
    return strcmp(request->command, "stat") == 0 && request->channel;
}

//  What a table shows of the rows, "" for all: of statistics what is looked at first, in 80
//  columns.
static const char *
s_columns(const yam_admin_request_t *request)
{
    bool is_group = s_is_of_groups(request);
    if (s_values.is_wide || (!is_group && strcmp(request->command, "channels") != 0)) {
        return "";
    }
    return is_group ? "channel group " S_FIRST_LOOK " dropped syncs"
                    : "channel kind " S_FIRST_LOOK " syncs";
}

static int
s_print(const yam_admin_t *admin, const yam_admin_request_t *request)
{
    cli_rows_t *rows = cli_rows_new();
    const char *columns = s_columns(request);
    for (size_t row = 0; row < yam_admin_row_count(admin); row++) {
        cli_rows_begin(rows);
        for (size_t index = 0; index < yam_admin_field_count(admin, row); index++) {
            s_copy_field(rows, admin, row, yam_admin_field_name(admin, row, index));
        }
    }
    if (*columns && !s_values.is_json) {
        cli_rows_choose(rows, columns);
    }
    int rc = s_values.is_json    ? cli_rows_print_json(rows, s_values.is_watch, stdout)
             : s_values.is_relay ? cli_rows_print_list(rows, stdout)
                                 : cli_rows_print_table(rows, stdout);
    cli_rows_destroy(&rows);
    if (!s_values.is_json && *yam_admin_text(admin)) {
        rc = puts(yam_admin_text(admin)) == EOF ? -1 : rc;
    }
    return rc == -1 || fflush(stdout) != 0 ? EX_IOERR : EX_OK;
}

//  What no channel tells: "relay: 3 channels, 1 session, ..".
static int
s_print_relay(const yam_admin_t *admin)
{
    static const char *const counters[] = {"channels", "sessions", "dropped", "damaged", "syncs"};
    bool is_written = fputs("relay:", stdout) != EOF;
    for (size_t index = 0; index < sizeof counters / sizeof counters[0]; index++) {
        const char *name = counters[index];
        int64_t number = yam_admin_number(admin, 0, name);
        int size = (int) strlen(name);
        size -= number == 1 && name[size - 1] == 's' ? 1 : 0;
        is_written = printf("%s %" PRId64 " %.*s", index > 0 ? "," : "", number, size, name) > 0 &&
                     is_written;
    }
    return puts("") == EOF || fflush(stdout) != 0 || !is_written ? EX_IOERR : EX_OK;
}

//  -- Requests ----------------------------------------------------------------------------------

static int
s_ask(yam_admin_t *admin, const yam_admin_request_t *request)
{
    if (yam_admin_call(admin, request) == -1) {
        return cli_complain_errno();
    }
    int exit_code = s_print(admin, request);
    bool is_of_channels = strcmp(request->command, "channels") == 0;
    if (exit_code != EX_OK || s_values.is_json || (!is_of_channels && !s_is_of_groups(request))) {
        return exit_code;
    }
    const yam_admin_request_t relay = {.command = "stat"};
    return yam_admin_call(admin, &relay) == -1 ? cli_complain_errno() : s_print_relay(admin);
}

static int
s_watch(yam_admin_t *admin, const yam_admin_request_t *request)
{
    int exit_code = EX_OK;
    while (exit_code == EX_OK && !cli_is_stopped() && !cli_is_stdout_gone()) {
        if (isatty(STDOUT_FILENO) && !s_values.is_json) {
            (void) fputs("\033[H\033[2J", stdout);
        }
        exit_code = s_ask(admin, request);
        if (exit_code == EX_OK) {
            cli_wait(-1, (int) s_values.interval_ms);
        }
    }
    return exit_code;
}

static int
s_run(const yam_admin_request_t *request)
{
    char endpoint[4096];
    int exit_code = cli_endpoint(&s_values.common, "grade=sure", "", endpoint, sizeof endpoint);
    yam_t *yam = exit_code == EX_OK ? cli_open(&s_values.common, &exit_code) : NULL;
    if (!yam) {
        return exit_code;
    }
    yam_admin_t *admin = yam_admin_new(yam, endpoint);
    if (!admin) {
        exit_code = cli_complain_errno();
    } else {
        exit_code = s_values.is_watch ? s_watch(admin, request) : s_ask(admin, request);
    }
    yam_admin_destroy(&admin);
    yam_destroy(&yam);
    return exit_code;
}

static int
s_stat(char **operands)
{
    if (s_values.is_relay && operands[0]) {
        return cli_complain(EX_USAGE, "--relay is about no channel, but '%s' is given",
                            operands[0]);
    }
    bool is_stat = s_values.is_relay || operands[0];
    return s_run(
        &(yam_admin_request_t) {.command = is_stat ? "stat" : "channels", .channel = operands[0]});
}

static int
s_peek(char **operands)
{
    return s_run(&(yam_admin_request_t) {.command = "peek",
                                         .channel = operands[0],
                                         .group = s_values.group,
                                         .sequence = (uint64_t) s_values.from,
                                         .messages = (uint64_t) s_values.count});
}

//  The dead letters of CHANNEL are a channel themselves.
static int
s_dead_name(const char *channel, char *name, size_t size)
{
    size_t length = strlen(channel);
    bool is_dead = length > 5 && strcmp(channel + length - 5, ".dead") == 0;
    int written = snprintf(name, size, "%s%s", channel, is_dead ? "" : ".dead");
    if (written < 0 || (size_t) written >= size) {
        return cli_complain(EX_USAGE, "the name of the channel is longer than %zu bytes", size - 6);
    }
    return EX_OK;
}

static int
s_dead(char **operands)
{
    char name[201];
    int exit_code = s_dead_name(operands[0], name, sizeof name);
    return exit_code != EX_OK
               ? exit_code
               : s_run(&(yam_admin_request_t) {.command = "peek",
                                               .channel = name,
                                               .sequence = (uint64_t) s_values.from,
                                               .messages = (uint64_t) s_values.count});
}

static int
s_redrive(char **operands)
{
    char name[201];
    int exit_code = s_dead_name(operands[0], name, sizeof name);
    return exit_code != EX_OK ? exit_code
                              : s_run(&(yam_admin_request_t) {.command = "redrive",
                                                              .channel = name,
                                                              .target = s_values.to,
                                                              .messages = (uint64_t) s_values.count,
                                                              .is_dry_run = s_values.is_dry_run});
}

static int
s_purge(char **operands)
{
    if (s_values.is_yes == s_values.is_dry_run) {
        return cli_complain(
            EX_USAGE,
            "messages of %s would be lost: give --yes to do it, or --dry-run to count them",
            operands[0]);
    }
    return s_run(&(yam_admin_request_t) {.command = "purge",
                                         .channel = operands[0],
                                         .group = s_values.group,
                                         .is_dry_run = s_values.is_dry_run});
}

static int
s_remove(char **operands)
{
    if (s_values.is_yes == s_values.is_dry_run) {
        return cli_complain(
            EX_USAGE,
            "what waits for %s would be lost: give --yes to do it, or --dry-run to count it",
            operands[1]);
    }
    return s_run(&(yam_admin_request_t) {.command = "remove",
                                         .channel = operands[0],
                                         .group = operands[1],
                                         .is_dry_run = s_values.is_dry_run});
}

static int
s_cancel(char **operands)
{
    return s_run(&(yam_admin_request_t) {.command = "cancel",
                                         .channel = operands[0],
                                         .id = operands[1],
                                         .is_dry_run = s_values.is_dry_run});
}

const cli_command_t cli_stat = {"stat",
                                "[CHANNEL]",
                                0,
                                1,
                                "show channels, groups and the relay",
                                "--wide and --json have more columns than the table.\n",
                                {s_stat_table, CLI_LETTERS " j=json w=watch"},
                                &s_values,
                                s_stat};
const cli_command_t cli_peek = {"peek",
                                "CHANNEL",
                                1,
                                1,
                                "show waiting messages, and leave them there",
                                "",
                                {s_peek_table, CLI_LETTERS " j=json n=count g=group"},
                                &s_values,
                                s_peek};
const cli_command_t cli_dead = {"dead",
                                "CHANNEL",
                                1,
                                1,
                                "show the dead letters of a channel",
                                "",
                                {s_dead_table, CLI_LETTERS " j=json n=count"},
                                &s_values,
                                s_dead};
const cli_command_t cli_redrive = {"redrive",
                                   "CHANNEL",
                                   1,
                                   1,
                                   "send the dead letters of a channel back",
                                   "",
                                   {s_redrive_table, CLI_LETTERS " j=json n=count"},
                                   &s_values,
                                   s_redrive};
const cli_command_t cli_purge = {"purge",
                                 "CHANNEL",
                                 1,
                                 1,
                                 "drop all messages of a channel",
                                 "",
                                 {s_purge_table, CLI_LETTERS " j=json g=group"},
                                 &s_values,
                                 s_purge};
const cli_command_t cli_remove = {
    "remove",
    "TOPIC GROUP",
    2,
    2,
    "remove a durable group of a topic",
    "A group that nobody receives for any more holds messages back.\n",
    {s_remove_table, CLI_LETTERS " j=json"},
    &s_values,
    s_remove};
const cli_command_t cli_cancel = {"cancel",
                                  "CHANNEL ID",
                                  2,
                                  2,
                                  "cancel delayed messages of an id",
                                  "",
                                  {s_cancel_table, CLI_LETTERS " j=json"},
                                  &s_values,
                                  s_cancel};
