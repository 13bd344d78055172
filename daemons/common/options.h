/*  A daemon's options: one table for command line, file, help and dump. What the class it wraps can
    be told is part of it, as that class describes itself.

    Invariants:
    (1) What the command line says, the file does not change.
    (2) A failed load changes nothing.
*/
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "yam_option.h"
#include "yami_arguments.h"

#define DAEMON_VALUES 16384 //  bytes of all values together

//  What a daemon has to say about its options.
typedef struct {
    const char *name;         //  "yamd"
    const char *usage;        //  lines of the help above the options
    const char *signals;      //  lines of the help about signals
    const char *letters;      //  short options: "h=help V=version c=config ..."
    const yami_option_t *own; //  of the daemon; offsets within its own values
    size_t own_size;          //  bytes of these
    bool (*describe)(size_t index, yam_option_t *option); //  those of the class
} daemon_kind_t;

//  What every daemon has. All but log_level are of the command line only.
typedef struct {
    bool help;
    bool version;
    bool check_config;
    bool dump_config;
    char config[1024];
    int64_t log_level; //  yami_log_level_t
} daemon_common_t;

typedef struct {
    daemon_common_t common;
    _Alignas(8) char values[DAEMON_VALUES]; //  the daemon's own, then the class's
    bool by_line[YAMI_ARGUMENTS_LIMIT];     //  given on the command line, by index in the table
    bool by_file[YAMI_ARGUMENTS_LIMIT];     //  given in the file
} daemon_options_t;

//  Reads the command line of the program's one kind. 0, or -1 with errno EINVAL and a sentence.
int
daemon_options_parse(daemon_options_t *self, const daemon_kind_t *kind, int argc, char **argv);

//  Reads the file that --config names, if any. 0, or -1 with errno (EINVAL: what is in it) and a
//  sentence that begins with file and line.
int
daemon_options_load(daemon_options_t *self);

//  The daemon's own values, as its table says. Borrowed.
const void *
daemon_options_own(const daemon_options_t *self);

//  "name=value&name=value" for the class, of what was given. 0, or -1 with errno EMSGSIZE or EINVAL
//  and a sentence.
int
daemon_options_class(const daemon_options_t *self, char *text, size_t size);

//  Value of an option that is an integer, by its name; otherwise when there is none of that name.
int64_t
daemon_options_number(const daemon_options_t *self, const char *name, int64_t otherwise);

//  Calls changed(arg, name, value, is_class) for each option in which newer differs; is_class: it
//  is one of the class's.
void
daemon_options_compare(const daemon_options_t *self, const daemon_options_t *newer,
                       void (*changed)(void *arg, const char *name, const char *value,
                                       bool is_class),
                       void *arg);

void
daemon_options_help(FILE *out);

//  Every option as a line of the file, with its meaning as a comment.
void
daemon_options_dump(const daemon_options_t *self, FILE *out);

#endif
