/*  Where the bodies of `yam push` and `yam pub` come from: lines, NUL-ended pieces, a whole file,
    or made up.
*/
#ifndef YAM_CLI_SOURCE_H
#define YAM_CLI_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int fd;          //  owned unless stdin
    bool is_made;    //  bodies are made up, and there is no fd
    bool is_whole;   //  one body: the whole file
    int separator;   //  ends a body
    int64_t left;    //  bodies still to come
    char *body;      //  owned; of the latest body
    size_t capacity; //  bytes allocated for body
    size_t size;     //  of the latest body
    uint64_t number; //  of the latest body, 1..
    char *input;     //  owned; what was read
    size_t input_size;
    size_t input_at; //  the next byte in it
    bool has_ended;  //  there is nothing more to read
    bool is_cut;     //  a stop was asked for before its end
} cli_source_t;

//  path "" or "-" is stdin. count -1: all there are. 0, or -1 with errno and a sentence.
int
cli_source_open(cli_source_t *self, const char *path, int separator, bool is_whole, int64_t count);

//  count bodies of size bytes, which begin with their number.
int
cli_source_make(cli_source_t *self, int64_t count, int64_t size_bytes);

//  1 with body and size set, 0 at the end or when a stop was asked for (is_cut), -1 with errno and
//  a sentence.
int
cli_source_next(cli_source_t *self);

void
cli_source_close(cli_source_t *self);

#endif
