/*  What all subcommands of yam share: their table entry, endpoints, complaints, exit codes, and
    Ctrl-C.
*/
#ifndef YAM_CLI_H
#define YAM_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <sysexits.h>

#include "yam_context.h"
#include "yami_arguments.h"

//  First member of every subcommand's values.
typedef struct {
    bool given[YAMI_ARGUMENTS_LIMIT]; //  which options were, by index in the table
    bool help;
    char endpoint[1024];
    char certificate[1024];
} cli_common_t;

//  Lines of option tables; T is the struct of the subcommand's values.
#define CLI_FLAG(T, name, member, help)                                                            \
    {                                                                                              \
        name, YAMI_OPTION_BOOL, offsetof(T, member), 0, 0, "false", "", NULL, help                 \
    }
#define CLI_TEXT(T, name, member, initial, argument, help)                                         \
    {                                                                                              \
        name, YAMI_OPTION_STRING, offsetof(T, member), 0, sizeof(((T *) 0)->member) - 1, initial,  \
            "", argument, help                                                                     \
    }
#define CLI_NUMBER(T, name, member, least, most, initial, unit, help)                              \
    {                                                                                              \
        name, YAMI_OPTION_INT, offsetof(T, member), least, most, initial, unit, NULL, help         \
    }
#define CLI_HELP(T) CLI_FLAG(T, "help", common.help, "print this and exit")
#define CLI_RELAY(T)                                                                               \
    CLI_TEXT(T, "endpoint", common.endpoint, "", "ENDPOINT",                                       \
             "where the relay is [YAM_ENDPOINT, tcp://127.0.0.1:9260]"),                           \
        CLI_TEXT(T, "certificate", common.certificate, "", "FILE",                                 \
                 "own certificate, for CURVE [YAM_CERTIFICATE]")
#define CLI_END                                                                                    \
    {                                                                                              \
        NULL, YAMI_OPTION_BOOL, 0, 0, 0, NULL, NULL, NULL, NULL                                    \
    }
#define CLI_LETTERS "h=help e=endpoint"

typedef struct {
    const char *name;
    const char *operands; //  "QUEUE", "" ...
    int operand_minimum;
    int operand_maximum;
    const char *summary; //  half a line
    const char *text;    //  what the help says below the options, "" or whole lines
    yami_arguments_t arguments;
    void *values;                //  begins with cli_common_t
    int (*run)(char **operands); //  returns the exit code
} cli_command_t;

extern const cli_command_t cli_push, cli_pull, cli_pub, cli_sub, cli_stat, cli_dead, cli_redrive,
    cli_peek, cli_purge, cli_remove, cli_cancel, cli_verify, cli_dump, cli_keygen, cli_outbox,
    cli_callback, cli_call;

//  One of the things that a subcommand does; its first operand names it, the others are ids.
typedef struct {
    const char *name;    //  NULL ends a table
    const char *options; //  those that it takes, words with a blank between
    int id_minimum;
    int id_maximum;
    int (*run)(void *arg, char **ids); //  arg: what the subcommand has opened
} cli_action_t;

//  The action that the first operand names, when it takes all that was given; NULL after a
//  complaint (EX_USAGE). Of an id that is named twice the second is taken away.
const cli_action_t *
cli_choose_action(const cli_command_t *command, const cli_action_t *actions, char **operands);

//  Whether no options were given but these. EX_OK, or EX_USAGE after a complaint: what takes no ..
int
cli_check_given(const cli_command_t *command, const char *options, const char *what);

//  Names the running subcommand in complaints.
void
cli_set_name(const char *name);

//  Prints "yam NAME: ..." to stderr and returns exit_code.
int
cli_complain(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

//  Complains with the sentence of the last failed call; the exit code follows from errno.
int
cli_complain_errno(void);

//  A yam_t with the certificate set; NULL after a complaint, then *exit_code_p is set.
yam_t *
cli_open(const cli_common_t *common, int *exit_code_p);

//  The endpoint to use. options ("grade=sure") is added only when the user gave none; more
//  ("&name=x&credit=1") always. text has size bytes. 0, or an exit code after a complaint.
int
cli_endpoint(const cli_common_t *common, const char *options, const char *more, char *text,
             size_t size);

//  Checks an option and appends "&name=value" to more, of size bytes. 0, or an exit code after a
//  complaint.
int
cli_add_option(char *more, size_t size, const char *name, const char *value);

//  Whether a database is named, and there when it is a file. EX_OK, or an exit code after a
//  complaint.
int
cli_check_database(const char *database);

//  From now on SIGINT and SIGTERM only ask to stop; SIGPIPE is an error of write.
void
cli_catch_signals(void);

bool
cli_is_stopped(void);

//  Waits until fd (-1: none) is readable, a stop is asked for, stdout lost its reader, or
//  timeout_ms (-1: for ever) are over.
void
cli_wait(int fd, int timeout_ms);

//  Whether nobody reads stdout any more.
bool
cli_is_stdout_gone(void);

#endif
