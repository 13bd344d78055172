//  yam call: one request to a service, and its answer.

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "rows.h"
#include "source.h"
#include "yam_error.h"
#include "yam_rpc.h"
#include "yami_base.h"

#define S_SLICE_MS 200 //  longest wait without a look at Ctrl-C
#define S_CLOSE_MS 1000

typedef struct {
    cli_common_t common;
    char file[1024];
    char id[201];
    int64_t timeout_ms;
    bool is_fast;
    bool is_json;
} s_values_t;

static s_values_t s_values;

static const yami_option_t s_table[] = {
    CLI_HELP(s_values_t),
    CLI_RELAY(s_values_t),
    CLI_TEXT(s_values_t, "file", file, "", "FILE", "read the request from FILE instead of stdin"),
    CLI_TEXT(s_values_t, "id", id, "", "ID", "its property \"id\", the same in all tries"),
    CLI_NUMBER(s_values_t, "timeout", timeout_ms, 1, INT_MAX, "10s", "ms",
               "give up without an answer after so long"),
    CLI_FLAG(s_values_t, "fast", is_fast, "fast grade: directly, to the service's own endpoint"),
    CLI_FLAG(s_values_t, "json", is_json, "print the answer, or why there is none, as JSON"),
    CLI_END};

//  All input as a message. NULL after a complaint.
static yam_message_t *
s_request(int *exit_code_p)
{
    cli_source_t source;
    yam_message_t *request = NULL;
    if (cli_source_open(&source, s_values.file, -1, true, 1) == -1) {
        *exit_code_p = cli_complain(EX_NOINPUT, "%s", yam_error());
        return NULL;
    }
    int rc = cli_source_next(&source); //  0: interrupted; nothing is a request, too
    if (rc == 0) {
        *exit_code_p = cli_complain(EX_TEMPFAIL, "interrupted: the request was not sent");
        cli_source_close(&source);
        return NULL;
    }
    if (rc == 1) {
        request = yam_message_new(source.body, source.size);
    }
    if (request != NULL && s_values.id[0] != '\0' &&
        yam_message_set(request, "id", s_values.id) == -1) {
        yam_message_destroy(&request);
    }
    if (request == NULL) {
        *exit_code_p = cli_complain_errno();
    }
    cli_source_close(&source);
    return request;
}

//  The reply; NULL with errno EINTR when a stop was asked for, else as yam_rpc_wait.
static yam_message_t *
s_ask(yam_rpc_t *rpc, yam_message_t **request_p, yam_status_t *status_p)
{
    uint64_t call = yam_rpc_call(rpc, request_p, (int) s_values.timeout_ms, NULL, NULL);
    yam_message_t *reply = NULL;
    if (call == 0) {
        return NULL;
    }
    do {
        if (cli_is_stopped()) {
            (void) yam_rpc_cancel(rpc, call);
            (void) yami_fail(EINTR, "stopped before an answer came");
            return NULL;
        }
        *status_p = YAM_STATUS_OK;
        reply = yam_rpc_wait(rpc, call, S_SLICE_MS, status_p);
    } while (reply == NULL && errno == EAGAIN && *status_p == YAM_STATUS_OK);
    return reply;
}

static int
s_print_json(yam_message_t *reply, yam_status_t status, const char *text)
{
    cli_rows_t *rows = cli_rows_new();
    const char *name = yam_status_name(status);
    cli_rows_begin(rows);
    cli_rows_text(rows, "status", name, strlen(name));
    if (reply == NULL) {
        cli_rows_text(rows, "text", text, strlen(text));
    } else {
        cli_rows_text(rows, "body", yam_message_body(reply), yam_message_size(reply));
    }
    int rc = cli_rows_print_json(rows, true, stdout);
    cli_rows_destroy(&rows);
    return rc == 0 ? EX_OK : cli_complain(EX_IOERR, "cannot write to stdout");
}

//  No reply: complains with the sentence, which names the status when there was an outcome.
static int
s_complain(yam_status_t status)
{
    if (status == YAM_STATUS_OK && errno != EINTR) {
        return cli_complain_errno();
    }
    bool is_for_now = yam_status_is_temporary(status) || status == YAM_STATUS_OK;
    bool is_nobody = status == YAM_STATUS_TIMEOUT || status == YAM_STATUS_UNKNOWN;
    int exit_code = is_for_now                         ? EX_TEMPFAIL
                    : is_nobody                        ? EX_UNAVAILABLE
                    : status == YAM_STATUS_NOT_ALLOWED ? EX_NOPERM
                                                       : EX_DATAERR;
    return cli_complain(exit_code, "%s", yam_error());
}

static int
s_finish(yam_message_t *reply, yam_status_t status)
{
    int exit_code = reply != NULL ? EX_OK : s_complain(status);
    if (s_values.is_json && (reply != NULL || status != YAM_STATUS_OK)) {
        int rc = s_print_json(reply, status, yam_error());
        return exit_code != EX_OK ? exit_code : rc;
    }
    if (reply != NULL) {
        (void) fwrite(yam_message_body(reply), 1, yam_message_size(reply), stdout);
        (void) putchar('\n');
    }
    return exit_code;
}

static int
s_call(char **operands)
{
    char endpoint[4096];
    int exit_code = EX_OK;
    int wrong = cli_endpoint(&s_values.common, s_values.is_fast ? "grade=fast" : "grade=sure", "",
                             endpoint, sizeof endpoint);
    yam_message_t *request = wrong == 0 ? s_request(&exit_code) : NULL;
    if (request == NULL) {
        return wrong != 0 ? wrong : exit_code;
    }
    yam_status_t status = YAM_STATUS_OK;
    yam_message_t *reply = NULL;
    yam_t *yam = cli_open(&s_values.common, &exit_code);
    yam_rpc_t *rpc = yam != NULL ? yam_rpc_new(yam, operands[0], endpoint) : NULL;
    if (rpc != NULL) {
        reply = s_ask(rpc, &request, &status);
    }
    if (yam != NULL) {
        exit_code = s_finish(reply, status);
    }
    yam_message_destroy(&reply);
    yam_message_destroy(&request);
    (void) yam_rpc_close(&rpc, S_CLOSE_MS);
    yam_destroy(&yam);
    return exit_code;
}

const cli_command_t cli_call = {
    "call",
    "SERVICE",
    1,
    1,
    "ask a service and print its answer",
    "All of stdin is the request. Without --fast it goes through the relay at ENDPOINT, with it "
    "to\n"
    "the servers that listen there. The exit status says whether there was an answer.\n",
    {s_table, CLI_LETTERS " f=file"},
    &s_values,
    s_call};
