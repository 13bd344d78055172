/*  What a subcommand lists: rows of named cells, shown as a table for people or as JSON, from one
    model.

    Numbers are kept as they are; the table shows columns ending in "-ms" as durations, in "bytes"
    as sizes, in "time" as times, and heads "-ms" and "-per-s" shorter. Bytes that are no UTF-8
    become base64 in a cell named NAME-base64.
*/
#ifndef YAM_CLI_ROWS_H
#define YAM_CLI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_rows cli_rows_t;

//  Never NULL.
cli_rows_t *
cli_rows_new(void);

void
cli_rows_destroy(cli_rows_t **self_p);

//  Begins a row; the cells that follow are its.
void
cli_rows_begin(cli_rows_t *self);

void
cli_rows_text(cli_rows_t *self, const char *column, const char *text, size_t size);
void
cli_rows_number(cli_rows_t *self, const char *column, int64_t number);
//  A text within a cell that holds named texts: an object in JSON, "name=text, .." in a table.
void
cli_rows_inner(cli_rows_t *self, const char *column, const char *name, const char *text,
               size_t size);

void
cli_rows_bool(cli_rows_t *self, const char *column, bool value);

//  Leaves of each row the named columns, words with a blank between, in that order.
void
cli_rows_choose(cli_rows_t *self, const char *columns);

//  Prints the rows and forgets them: an array with a row per line (is_lines: the rows alone), or a
//  table. 0, or -1 when out failed.
int
cli_rows_print_json(cli_rows_t *self, bool is_lines, FILE *out);
int
cli_rows_print_table(cli_rows_t *self, FILE *out);

//  The same with a line per cell: for one row of many cells.
int
cli_rows_print_list(cli_rows_t *self, FILE *out);

#endif
