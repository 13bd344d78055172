#include "child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_LIMIT 8
#define PORT_FIRST 20000
#define PORT_COUNT 12000
#define LOOK_MS 20

static void
s_die(const char *what, const char *which)
{
    (void) fprintf(stderr, "# %s %s: %s\n", what, which, strerror(errno));
    abort();
}

int64_t
child_now_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *
child_program(const char *name)
{
    static char paths[PROGRAM_LIMIT][512];
    const char *folder = getenv("YAM_BIN");
    for (size_t index = 0; index < PROGRAM_LIMIT; index++) {
        char *path = paths[index];
        const char *base = strrchr(path, '/');
        if (base == NULL) {
            (void) snprintf(path, sizeof paths[0], "%s/%s", folder ? folder : "build/bin", name);
            return path;
        }
        if (strcmp(base + 1, name) == 0) {
            return path;
        }
    }
    abort(); //  PROGRAM_LIMIT is too small
}

const char *
child_folder(void)
{
    static char folder[256];
    if (!folder[0]) {
        const char *parent = getenv("TMPDIR");
        (void) snprintf(folder, sizeof folder, "%s/yam-system-XXXXXX", parent ? parent : "/tmp");
        if (mkdtemp(folder) == NULL) {
            s_die("cannot make", folder);
        }
    }
    return folder;
}

//  Takes an abstract name for it, which one process can have at a time, until it ends: so other
//  tests keep off, also while nobody is bound.
static bool
s_reserve(int port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "yam-system-port-%d", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t) length;
    if (fd == -1) {
        s_die("cannot reserve", name.sun_path + 1);
    }
    if (bind(fd, (struct sockaddr *) &name, (socklen_t) size) == 0) {
        return true;
    }
    (void) close(fd);
    return false;
}

static bool
s_is_free(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = bind(fd, (struct sockaddr *) &address, sizeof address) == 0;
    (void) close(fd);
    return is_free;
}

int
child_free_port(void)
{
    static int next;
    int port = 0;
    do {
        port = PORT_FIRST + (getpid() * 7 + next++) % PORT_COUNT;
    } while (!s_reserve(port) || !s_is_free(port));
    return port;
}

static void
s_become(const char *const *argv, int input, int output, const char *log_path, pid_t parent)
{
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127); //  it died before prctl
    }
    (void) dup2(input, STDIN_FILENO);
    (void) dup2(output, STDOUT_FILENO);
    int log = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (log != -1) {
        (void) dup2(log, STDERR_FILENO);
    }
    (void) execv(argv[0], (char *const *) argv);
    (void) fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

void
child_start(child_t *self, const char *const *argv, const char *log_path)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1) {
        s_die("no pipe for", argv[0]);
    }
    (void) fflush(NULL);
    pid_t parent = getpid();
    self->pid = fork();
    if (self->pid == -1) {
        s_die("cannot fork", argv[0]);
    }
    if (self->pid == 0) {
        s_become(argv, to[0], from[1], log_path, parent);
    }
    (void) close(to[0]);
    (void) close(from[1]);
    self->input = to[1];
    self->output = from[0];
}

//  Whether fd is readable, or at its end, before deadline_ms.
static bool
s_wait_readable(int fd, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - child_now_ms();
        struct pollfd waited = {.fd = fd, .events = POLLIN};
        int rc = poll(&waited, 1, left_ms > 0 ? (int) left_ms : 0);
        if (rc != -1 || errno != EINTR) {
            return rc == 1;
        }
    }
}

bool
child_read_line(child_t *self, char *line, size_t size, int timeout_ms)
{
    int64_t deadline_ms = child_now_ms() + timeout_ms;
    for (size_t used = 0; used + 1 < size; used++) {
        if (!s_wait_readable(self->output, deadline_ms) ||
            read(self->output, line + used, 1) != 1) {
            return false;
        }
        if (line[used] == '\n') {
            line[used] = '\0';
            return true;
        }
    }
    return false;
}

void
child_read_all(child_t *self, char *text, size_t size)
{
    char rest[4096] = "";
    size_t used = 0;
    for (;;) {
        bool has_room = used + 1 < size;
        ssize_t count = read(self->output, has_room ? text + used : rest,
                             has_room ? size - 1 - used : sizeof rest);
        if (count <= 0) {
            break;
        }
        used += has_room ? (size_t) count : 0;
    }
    if (size > 0) {
        text[used] = '\0';
    }
}

static int
s_buried(child_t *self, int status)
{
    (void) close(self->input);
    (void) close(self->output);
    *self = (child_t) {.pid = 0};
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool
child_has_ended(child_t *self, int *code_p)
{
    int status = 0;
    if (self->pid == 0 || waitpid(self->pid, &status, WNOHANG) != self->pid) {
        return false;
    }
    *code_p = s_buried(self, status);
    return true;
}

int
child_kill(child_t *self)
{
    int status = 0;
    if (self->pid <= 0) {
        errno = ESRCH; //  0 would be the whole group
        s_die("cannot kill", "a child that was never started");
    }
    (void) kill(self->pid, SIGKILL);
    while (waitpid(self->pid, &status, 0) == -1 && errno == EINTR) {
    }
    return s_buried(self, status);
}

int
child_wait(child_t *self, int timeout_ms)
{
    (void) close(self->input);
    self->input = -1;
    int end = pidfd_open(self->pid, 0);
    bool has_ended = end != -1 && s_wait_readable(end, child_now_ms() + timeout_ms);
    (void) close(end);
    int code = child_kill(self); //  after its end this only reaps
    return has_ended ? code : -1;
}

int
child_run(const char *const *argv, char *text, size_t size)
{
    child_t child;
    const char *words[20] = {"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"};
    size_t count = 4;
    while (*argv && count + 1 < sizeof words / sizeof words[0]) {
        words[count++] = *argv++;
    }
    child_start(&child, words, NULL);
    (void) close(child.input);
    child.input = -1;
    child_read_all(&child, text, text ? size : 0);
    return child_wait(&child, CHILD_PATIENCE_MS);
}

void
child_look_later(void)
{
    (void) poll(NULL, 0, LOOK_MS);
}
