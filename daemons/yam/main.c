/*  yam - one command line for queues, topics and relays. Here: the table of subcommands.
*/
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "yam_endpoint.h"
#include "yam_error.h"
#include "yami_base.h"

static const cli_command_t *const s_commands[] = {
    &cli_push,   &cli_pull, &cli_pub,     &cli_sub,    &cli_call,    &cli_stat,
    &cli_peek,   &cli_dead, &cli_redrive, &cli_purge,  &cli_remove,  &cli_cancel,
    &cli_verify, &cli_dump, &cli_keygen,  &cli_outbox, &cli_callback};
#define S_COMMAND_COUNT (sizeof s_commands / sizeof s_commands[0])

static const char *
s_next_name(const void *arg, size_t index)
{
    (void) arg;
    return index < S_COMMAND_COUNT ? s_commands[index]->name : NULL;
}

static const cli_command_t *
s_find(const char *name)
{
    for (size_t index = 0; index < S_COMMAND_COUNT; index++) {
        if (strcmp(s_commands[index]->name, name) == 0) {
            return s_commands[index];
        }
    }
    const char *nearest = yami_nearest(name, s_next_name, NULL);
    (void) cli_complain(0,
                        nearest ? "unknown command '%s' (did you mean '%s'?)"
                                : "unknown command '%s' (see yam --help)%s",
                        name, nearest ? nearest : "");
    return NULL;
}

static void
s_help(void)
{
    (void) puts("Usage: yam COMMAND [OPERAND...] [OPTION...]\n"
                "Queues, topics and the relays that keep them.\n");
    for (size_t index = 0; index < S_COMMAND_COUNT; index++) {
        char usage[64];
        (void) snprintf(usage, sizeof usage, "%s %s", s_commands[index]->name,
                        s_commands[index]->operands);
        (void) printf("  %-24s %s\n", usage, s_commands[index]->summary);
    }
    (void) puts("\n  yam COMMAND --help   what a command takes\n"
                "  yam help endpoint    what ENDPOINT may say\n"
                "  yam --version        the version\n\n"
                "Exit codes and more: yam(1).");
}

static int
s_command_help(const cli_command_t *command)
{
    (void) printf("Usage: yam %s %s%s[OPTION...]\n%c%s.\n\n", command->name, command->operands,
                  *command->operands ? " " : "", toupper((unsigned char) command->summary[0]),
                  command->summary + 1);
    yami_arguments_help(&command->arguments, stdout);
    if (*command->text) {
        (void) printf("\n%s", command->text);
    }
    return EX_OK;
}

static int
s_endpoint_help(void)
{
    (void) printf("[@|>]TRANSPORT://ADDRESS[,..][?NAME=VALUE[&..]], such as "
                  "tcp://127.0.0.1:9260?grade=sure\n\n%s",
                  yam_endpoint_options_help());
    return EX_OK;
}

static int
s_run(const cli_command_t *command, int argc, char **argv)
{
    cli_common_t *common = command->values;
    cli_set_name(command->name);
    yami_options_init(command->arguments.table, command->values);
    int first =
        yami_arguments_parse(&command->arguments, command->values, common->given, argc, argv);
    if (first == -1) {
        return cli_complain(EX_USAGE, "%s", yam_error());
    }
    if (common->help) {
        return s_command_help(command);
    }
    if (argc - first < command->operand_minimum) {
        return cli_complain(EX_USAGE, "%s is missing (yam %s %s; see --help)", command->operands,
                            command->name, command->operands);
    }
    if (argc - first > command->operand_maximum) {
        return cli_complain(EX_USAGE, "'%s' is one operand too many (see --help)",
                            argv[first + command->operand_maximum]);
    }
    cli_catch_signals();
    return command->run(argv + first);
}

static int
s_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name) {
        (void) cli_complain(0, "which command? (see yam --help)");
        return EX_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (strcmp(name, "help") == 0 && argc == 2)) {
        s_help();
        return EX_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        (void) printf("yam %s\n", yam_version());
        return EX_OK;
    }
    bool is_help = strcmp(name, "help") == 0;
    if (is_help && strcmp(argv[2], "endpoint") == 0) {
        return s_endpoint_help();
    }
    const cli_command_t *command = s_find(is_help ? argv[2] : name);
    if (!command) {
        return EX_USAGE;
    }
    return is_help ? s_command_help(command) : s_run(command, argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
    (void) setenv("ZSYS_SIGHANDLER", "false", 1); //  CZMQ must not take our signals
    int exit_code = s_main(argc, argv);
    bool is_lost = fflush(stdout) != 0 || ferror(stdout);
    return exit_code == EX_OK && is_lost ? cli_complain(EX_IOERR, "cannot write to stdout")
                                         : exit_code;
}
