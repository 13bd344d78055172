#include "relay_process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TAIL 6000

void
relay_process_init(relay_process_t *self, const char *name)
{
    *self = (relay_process_t) {.child = {.pid = 0}};
    (void) snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%d", child_free_port());
    (void) snprintf(self->listen, sizeof self->listen, "%s", self->endpoint);
    (void) snprintf(self->store, sizeof self->store, "%s/%s", child_folder(), name);
    (void) snprintf(self->log, sizeof self->log, "%s/%s.log", child_folder(), name);
}

void
relay_process_launch(relay_process_t *self)
{
    const char *argv[RELAY_OPTION_LIMIT + 8] = {child_program("yamd"), "--listen", self->listen,
                                                "--store", self->store};
    size_t count = 5;
    for (size_t index = 0; self->options[index]; index++) {
        argv[count++] = self->options[index];
    }
    child_start(&self->child, argv, self->log);
}

bool
relay_process_wait_ready(relay_process_t *self)
{
    char line[500] = "";
    if (child_read_line(&self->child, line, sizeof line, CHILD_PATIENCE_MS) &&
        strncmp(line, "ready ", 6) == 0) {
        return true;
    }
    int code = child_kill(&self->child);
    (void) fprintf(stderr, "# yamd is not ready (\"%s\", code %d)\n", line, code);
    relay_process_print_log(self);
    return false;
}

bool
relay_process_start(relay_process_t *self)
{
    relay_process_launch(self);
    return relay_process_wait_ready(self);
}

int
relay_process_stop(relay_process_t *self)
{
    (void) kill(self->child.pid, SIGTERM);
    return child_wait(&self->child, CHILD_PATIENCE_MS);
}

//  The file's text from its last limit bytes on (0: all); the caller frees it.
static char *
s_read(const char *path, long limit)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return calloc(1, 1);
    }
    (void) fseek(file, 0, SEEK_END);
    long size = ftell(file);
    long from = limit > 0 && size > limit ? size - limit : 0;
    (void) fseek(file, from, SEEK_SET);
    char *text = calloc(1, (size_t) (size - from) + 1);
    size_t count = text ? fread(text, 1, (size_t) (size - from), file) : 0;
    if (text) {
        text[count] = '\0';
    }
    (void) fclose(file);
    return text;
}

bool
relay_process_logged(const relay_process_t *self, const char *text)
{
    char *all = s_read(self->log, 0);
    bool has = all && strstr(all, text) != NULL;
    free(all);
    return has;
}

void
relay_process_print_log(const relay_process_t *self)
{
    char *tail = s_read(self->log, LOG_TAIL);
    (void) fprintf(stderr, "# -- %s ends with:\n%s# --\n", self->log, tail ? tail : "");
    free(tail);
}

long
relay_process_memory_kib(const relay_process_t *self, const char *name)
{
    char path[64], line[256];
    long value = -1;
    (void) snprintf(path, sizeof path, "/proc/%d/status", (int) self->child.pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            value = strtol(line + length + 1, NULL, 10);
        }
    }
    if (file) {
        (void) fclose(file);
    }
    return value;
}
