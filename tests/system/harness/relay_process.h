/*  relay_process - a yamd of a test: its port, its store, its options; it can be killed and started
    again.
*/
#ifndef RELAY_PROCESS_H
#define RELAY_PROCESS_H

#include <stdbool.h>

#include "child.h"

#define RELAY_OPTION_LIMIT 24

typedef struct {
    child_t child;
    char listen[400];   //  what --listen says, from the first start on without '*'
    char endpoint[128]; //  of clients, tcp
    char store[300];    //  directory
    char log[300];      //  what all its lives wrote to stderr
    //  further arguments of yamd, NULL-terminated; borrowed
    const char *options[RELAY_OPTION_LIMIT];
} relay_process_t;

//  Takes a free port; the store is child_folder()/NAME.
void
relay_process_init(relay_process_t *self, const char *name);

//  Starts yamd without waiting.
void
relay_process_launch(relay_process_t *self);

//  Waits for the line "ready ENDPOINT". False when it ends, or is silent for too long; the log has
//  been printed then.
bool
relay_process_wait_ready(relay_process_t *self);

//  Both.
bool
relay_process_start(relay_process_t *self);

//  SIGTERM; its exit code, -1 when it does not end.
int
relay_process_stop(relay_process_t *self);

//  Whether the log has this text.
bool
relay_process_logged(const relay_process_t *self, const char *text);

//  Prints the last lines of the log for whoever reads the failure.
void
relay_process_print_log(const relay_process_t *self);

//  Value of a line of /proc/PID/status in KiB, such as "VmRSS".
long
relay_process_memory_kib(const relay_process_t *self, const char *name);

#endif
