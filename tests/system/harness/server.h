/*  server - a PostgreSQL or Redis server of the test's own: see tests/system/server_support.py.

    Its data stays in its folder, so that it can be killed and started again. Not thread-safe.
*/
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "child.h"

#define SERVER_SKIPPED 77 //  exit code of a test whose server is not installed

typedef struct {
    const char *kind; //  "postgres" or "redis"
    char folder[320];
    child_t helper;
    pid_t pid;
    char uri[400]; //  for libpq; the path of its socket for Redis
} server_t;

//  Names the server and its folder below child_folder().
void
server_init(server_t *self, const char *kind);

//  Starts it, again if it was stopped or killed; options ("name=value", NULL at the end; may be
//  NULL) are its own settings. false when it is not installed; fails the test when it does not
//  start.
bool
server_start(server_t *self, const char *const *options);

//  SIGKILL, and waits until all its processes are gone. Safe when it does not run.
void
server_kill(server_t *self);

//  Stops it at once, without its own leave-taking. Safe when it does not run.
void
server_stop(server_t *self);

#endif
