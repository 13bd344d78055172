#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "yam_error.h"
#include "yam_postgres.h"
#include "yami_base.h"
#include "yami_endpoint.h"

#define S_ENDPOINT "tcp://127.0.0.1:9260"

static const char *s_name = "";
static volatile sig_atomic_t s_is_stopped;
static int s_stop_fd = -1; //  eventfd: readable once a stop is asked for

//  -- Complaints --------------------------------------------------------------------------------

void
cli_set_name(const char *name)
{
    s_name = name;
}

int
cli_complain(int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void) fprintf(stderr, "yam%s%s: ", *s_name ? " " : "", s_name);
    (void) vfprintf(stderr, format, arguments);
    (void) fputc('\n', stderr);
    va_end(arguments);
    return exit_code;
}

//  The man page has the same table.
static int
s_exit_code(int error)
{
    switch (error) {
    case EINVAL:
        return EX_USAGE;
    case ETIMEDOUT:
    case ENOTCONN:
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case ENODEV:
    case EWOULDBLOCK:
    case ENOENT:
    case EOPNOTSUPP:
    case ESTALE:
        return EX_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case EBADMSG:
    case EPROTO:
    case EPROTONOSUPPORT:
    case EMSGSIZE:
    case EEXIST: //  a channel of another kind, a group with another filter
        return EX_DATAERR;
    case ENAMETOOLONG:
        return EX_USAGE;
    case EROFS:
    case ENOSPC:
        return EX_CANTCREAT;
    case EIO:
        return EX_IOERR;
    case EMFILE:
    case ENOMEM:
        return EX_OSERR;
    default:
        return EX_SOFTWARE;
    }
}

int
cli_complain_errno(void)
{
    int error = errno;
    const char *sentence = yam_error();
    return cli_complain(s_exit_code(error), "%s", *sentence ? sentence : strerror(error));
}

//  -- Actions -----------------------------------------------------------------------------------

static bool
s_has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    while (*words != 0 &&
           (strncmp(words, word, length) != 0 || strchr(" ", words[length]) == NULL)) {
        words += strcspn(words, " ");
        words += *words == ' ';
    }
    return *words != 0;
}

int
cli_check_given(const cli_command_t *command, const char *options, const char *what)
{
    const yami_option_t *table = command->arguments.table;
    const bool *given = ((const cli_common_t *) command->values)->given;
    for (size_t index = 0; table[index].name != NULL; index++) {
        if (given[index] && !s_has_word(options, table[index].name)) {
            return cli_complain(EX_USAGE, "%s takes no --%s (see --help)", what, table[index].name);
        }
    }
    return EX_OK;
}

static bool
s_is_among(const char *id, char **ids, int count)
{
    int index = 0;
    while (index < count && strcmp(ids[index], id) != 0) {
        index++;
    }
    return index < count;
}

//  Leaves of each id the first. How many there are.
static int
s_leave_first(char **ids)
{
    int count = 0;
    for (char **at = ids; *at != NULL; at++) {
        if (!s_is_among(*at, ids, count)) {
            ids[count++] = *at;
        }
    }
    ids[count] = NULL;
    return count;
}

const cli_action_t *
cli_choose_action(const cli_command_t *command, const cli_action_t *actions, char **operands)
{
    const char *name = operands[0];
    char **ids = operands + 1;
    const cli_action_t *action = actions;
    while (action->name != NULL && strcmp(action->name, name) != 0) {
        action++;
    }
    int exit_code = action->name != NULL
                        ? cli_check_given(command, action->options, name)
                        : cli_complain(EX_USAGE, "unknown action '%s' (see --help)", name);
    int count = s_leave_first(ids);
    if (exit_code == EX_OK && count < action->id_minimum) {
        exit_code =
            cli_complain(EX_USAGE, "%s: which? (yam %s list shows the ids)", name, command->name);
    }
    if (exit_code == EX_OK && count > action->id_maximum) {
        exit_code = action->id_maximum == 0
                        ? cli_complain(EX_USAGE, "%s takes no id, but '%s' is given", name, ids[0])
                        : cli_complain(EX_USAGE, "%s takes %d id, but '%s' is given, too", name,
                                       action->id_maximum, ids[action->id_maximum]);
    }
    return exit_code == EX_OK ? action : NULL;
}

//  -- Endpoints ---------------------------------------------------------------------------------

//  What was given, else the environment's, else the default.
static const char *
s_choose(const char *given, const char *variable, const char *otherwise)
{
    const char *set = getenv(variable);
    if (*given) {
        return given;
    }
    return set && *set ? set : otherwise;
}

yam_t *
cli_open(const cli_common_t *common, int *exit_code_p)
{
    const char *certificate = s_choose(common->certificate, "YAM_CERTIFICATE", "");
    yam_t *yam = yam_new();
    if (!yam || (*certificate && yam_set_certificate(yam, certificate) == -1)) {
        bool is_missing = yam && (errno == ENOENT || errno == ENOTDIR);
        *exit_code_p =
            is_missing ? cli_complain(EX_NOINPUT, "%s", yam_error()) : cli_complain_errno();
        yam_destroy(&yam);
    }
    return yam;
}

int
cli_endpoint(const cli_common_t *common, const char *options, const char *more, char *text,
             size_t size)
{
    const char *endpoint = s_choose(common->endpoint, "YAM_ENDPOINT", S_ENDPOINT);
    yami_endpoint_t parsed;
    //  As it was given: what is wrong with it is not shown amid what is added.
    if (yami_endpoint_parse(&parsed, endpoint, true) == -1) {
        return cli_complain_errno();
    }
    int length = strchr(endpoint, '?') ? snprintf(text, size, "%s%s", endpoint, more)
                                       : snprintf(text, size, "%s?%s%s", endpoint, options, more);
    if (length < 0 || (size_t) length >= size) {
        return cli_complain(EX_USAGE, "the endpoint is longer than %zu bytes with its options",
                            size - 1);
    }
    return 0;
}

int
cli_add_option(char *more, size_t size, const char *name, const char *value)
{
    yami_endpoint_options_t scratch = {.grade = 0};
    size_t used = strlen(more);
    if (strchr(value, '&')) {
        return cli_complain(EX_USAGE, "the value of '%s' must not contain '&'", name);
    }
    if (yami_endpoint_set(&scratch, name, value) == -1) {
        return cli_complain_errno();
    }
    int length = snprintf(more + used, size - used, "&%s=%s", name, value);
    if (length < 0 || (size_t) length >= size - used) {
        return cli_complain(EX_USAGE, "the options are too long together");
    }
    return 0;
}

//  -- Databases ---------------------------------------------------------------------------------

int
cli_check_database(const char *database)
{
    if (*database == 0) {
        return cli_complain(EX_USAGE, "which database? (--db FILE or URI)");
    }
    struct stat status = {.st_mode = 0};
    bool is_there = yam_postgres_is_uri(database) ||
                    (access(database, R_OK) == 0 && stat(database, &status) == 0);
    if (!is_there || S_ISDIR(status.st_mode)) {
        return cli_complain(EX_NOINPUT, "cannot open database %s: %s", database,
                            strerror(is_there ? EISDIR : errno));
    }
    return EX_OK;
}

//  -- Signals -----------------------------------------------------------------------------------

static void
s_on_signal(int number)
{
    int error = errno;
    uint64_t one = 1;
    s_is_stopped = number;
    if (write(s_stop_fd, &one, sizeof one) == -1) {
        //  it is readable already
    }
    errno = error;
}

void
cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = s_on_signal}; //  no SA_RESTART: a read or write ends
    s_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
    (void) signal(SIGPIPE, SIG_IGN);
}

bool
cli_is_stopped(void)
{
    return s_is_stopped != 0;
}

void
cli_wait(int fd, int timeout_ms)
{
    struct pollfd items[] = {
        {.fd = s_stop_fd, .events = POLLIN},
        {.fd = STDOUT_FILENO, .events = 0}, //  errors are always told
        {.fd = fd, .events = POLLIN},
    };
    (void) poll(items, 3, timeout_ms);
}

bool
cli_is_stdout_gone(void)
{
    struct pollfd item = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&item, 1, 0) == 1 && (item.revents & (POLLERR | POLLNVAL));
}
