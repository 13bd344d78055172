/*  yamd's options: one table for command line, file, help, dump and man page.

    Invariants:
    (1) What the command line says, the file does not change.
    (2) A failed load changes nothing.
*/
#ifndef YAMD_OPTIONS_H
#define YAMD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "yami_arguments.h"

typedef struct {
    //  Command line only.
    bool help;
    bool version;
    bool check_config;
    bool dump_config;
    char config[1024];
    //  Of the daemon.
    char listen[2048];
    char store[1024];
    bool memory;
    int64_t log_level; //  yami_log_level_t
    //  Handed to the relay when given; see yam_relay_options_help.
    bool insecure;
    char certificate[1024];
    char clients[1024];
    char backoff[256];
    int64_t lease_ms;
    int64_t delivery_limit;
    int64_t channel_messages;
    int64_t channel_bytes;
    int64_t producer_idle_ms;
    int64_t heartbeat_ms;
    int64_t linger_ms;
    int64_t segment_bytes;
    int64_t cache_bytes;
    int64_t reserve_bytes;
    int64_t memory_bytes;
    int64_t window_messages;
    int64_t window_bytes;
} yamd_values_t;

typedef struct {
    yamd_values_t values;
    bool by_line[YAMI_ARGUMENTS_LIMIT]; //  given on the command line, by index in the table
    bool by_file[YAMI_ARGUMENTS_LIMIT]; //  given in the file
} yamd_options_t;

//  Reads the command line. 0, or -1 with errno EINVAL and a sentence.
int
yamd_options_parse(yamd_options_t *self, int argc, char **argv);

//  Reads the file that --config names, if any. 0, or -1 with errno (EINVAL: what is in it) and a sentence that begins with file
//  and line.
int
yamd_options_load(yamd_options_t *self);

//  "name=value&name=value" for yam_relay_new, of what was given. 0, or -1 with errno EMSGSIZE or EINVAL and a sentence.
int
yamd_options_relay(const yamd_options_t *self, char *text, size_t size);

//  Calls changed(arg, name, value, may_change) for each option in which newer differs; may_change: also while the relay runs.
void
yamd_options_compare(const yamd_options_t *self, const yamd_options_t *newer,
                     void (*changed)(void *arg, const char *name, const char *value,
                                     bool may_change),
                     void *arg);

void
yamd_options_help(FILE *out);

//  Every option as a line of the file, with its meaning as a comment.
void
yamd_options_dump(const yamd_options_t *self, FILE *out);

#endif
