#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_LIMIT 16

void
server_init(server_t *self, const char *kind)
{
    *self = (server_t) {.kind = kind};
    (void) snprintf(self->folder, sizeof self->folder, "%s/%s", child_folder(), kind);
}

bool
server_start(server_t *self, const char *const *options)
{
    const char *argv[OPTION_LIMIT + 4] = {"tests/system/server_support.py", self->kind,
                                          self->folder};
    for (size_t index = 0; options && options[index] && index < OPTION_LIMIT; index++) {
        argv[3 + index] = options[index];
    }
    char line[512];
    child_start(&self->helper, argv, NULL);
    if (!child_read_line(&self->helper, line, sizeof line, CHILD_PATIENCE_MS)) {
        int code = child_wait(&self->helper, CHILD_PATIENCE_MS);
        if (code == SERVER_SKIPPED) {
            return false;
        }
        (void) fprintf(stderr, "# %s did not start: %d\n", self->kind, code);
        abort();
    }
    const char *space = strrchr(line, ' ');
    if (strncmp(line, "ready ", 6) != 0 || space < line + 6) {
        (void) fprintf(stderr, "# %s said: %s\n", self->kind, line);
        abort();
    }
    (void) snprintf(self->uri, sizeof self->uri, "%.*s", (int) (space - line - 6), line + 6);
    self->pid = (pid_t) strtol(space, NULL, 10);
    return true;
}

void
server_kill(server_t *self)
{
    if (self->pid != 0) {
        (void) kill(self->pid, SIGKILL);
        server_stop(self);
    }
}

void
server_stop(server_t *self)
{
    if (self->pid != 0) {
        (void) child_wait(&self->helper, CHILD_PATIENCE_MS);
        self->pid = 0;
    }
}
