/*  How msgpack values are shown to people: what an entry of a store says beside its messages.

    {key: value, ..}  [value, ..]  x'0aff'  -17  true  nil, texts as they are, and ? for what a
    store never has. The bytes are a file's and may be anything: the text ends where they make no
    sense, where they nest deeper than YAMI_LIMIT_DEPTH, or where it is full.
*/
#ifndef YAM_CLI_VALUES_H
#define YAM_CLI_VALUES_H

#include <stddef.h>

//  Shows the values in size bytes, one after the other, in text of limit (> 0) bytes, which then
//  ends in NUL. Returns how many there are before it. With another limit the same bytes give the
//  same text, cut elsewhere.
size_t
cli_values_show(const void *bytes, size_t size, char *text, size_t limit);

#endif
