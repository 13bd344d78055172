/*  yamd's options: one table for command line, file, help and dump. The relay's own options are
    part of it, as the relay describes them.

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

#define YAMD_RELAY_VALUES 8192 //  bytes

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
    _Alignas(
        8) char relay[YAMD_RELAY_VALUES]; //  values of the relay's options, wherever the table says
} yamd_values_t;

typedef struct {
    yamd_values_t values;
    bool by_line[YAMI_ARGUMENTS_LIMIT]; //  given on the command line, by index in the table
    bool by_file[YAMI_ARGUMENTS_LIMIT]; //  given in the file
} yamd_options_t;

//  Reads the command line. 0, or -1 with errno EINVAL and a sentence.
int
yamd_options_parse(yamd_options_t *self, int argc, char **argv);

//  Reads the file that --config names, if any. 0, or -1 with errno (EINVAL: what is in it) and a
//  sentence that begins with file and line.
int
yamd_options_load(yamd_options_t *self);

//  "name=value&name=value" for yam_relay_new, of what was given. 0, or -1 with errno EMSGSIZE or
//  EINVAL and a sentence.
int
yamd_options_relay(const yamd_options_t *self, char *text, size_t size);

//  Value of an option that is an integer, by its name.
int64_t
yamd_options_number(const yamd_options_t *self, const char *name);

//  Calls changed(arg, name, value, is_relays) for each option in which newer differs; is_relays: it
//  is one of the relay's.
void
yamd_options_compare(const yamd_options_t *self, const yamd_options_t *newer,
                     void (*changed)(void *arg, const char *name, const char *value,
                                     bool is_relays),
                     void *arg);

void
yamd_options_help(FILE *out);

//  Every option as a line of the file, with its meaning as a comment.
void
yamd_options_dump(const yamd_options_t *self, FILE *out);

#endif
