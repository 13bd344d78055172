/*  yami_arguments - command lines over option tables: parsing, help, and the nearest word for a
    typo.

    The table is the one of yami_option.h, so that a program's command line, its file and its help
    cannot differ. Not thread-safe (getopt_long is not). Prints only where it is told to.
*/
#ifndef YAMI_ARGUMENTS_H
#define YAMI_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "yami_option.h"

#define YAMI_ARGUMENTS_LIMIT 64 //  options of one command

//  What one command accepts. In the table, choices of a STRING names its argument in the help
//  ("FILE").
typedef struct {
    const yami_option_t *table;
    const char *letters; //  short options: "e=endpoint n=count"; "" for none
} yami_arguments_t;

//  Reads options of argv[1..argc-1] into values, which was initialised; marks each that was given,
//  by its index in the table. BOOL options take no argument. Returns the index of the first operand
//  (options may follow operands; argv is reordered), or -1 with errno EINVAL and a sentence, which
//  proposes the nearest option for an unknown one.
int
yami_arguments_parse(const yami_arguments_t *self, void *values, bool given[YAMI_ARGUMENTS_LIMIT],
                     int argc, char **argv);

//  Writes one paragraph per option: letter, name, argument, meaning, default.
void
yami_arguments_help(const yami_arguments_t *self, FILE *out);

//  The word that word was probably meant to be: next(arg, index) gives the known ones, NULL at the
//  end. NULL when none is near.
const char *
yami_nearest(const char *word, const char *(*next)(const void *arg, size_t index), const void *arg);

#endif
