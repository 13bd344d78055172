/*  yami_option - tables of options: one table drives parsing, defaults, ranges, help and dump.

    The values live in a plain struct of the owner; the table says where (offset) and what is
    allowed. Used for endpoint options ("?grade=sure&window=1000"), command lines and config files
    alike. Unknown names and values out of range are errors that name the option and what is
    allowed.
*/
#ifndef YAMI_OPTION_H
#define YAMI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_option.h"

typedef enum {
    YAMI_OPTION_INT,    //  int64_t; suffixes for times ms s m h (by unit), for all else k K m M g G
                        //  KiB MiB GiB (powers of 1024)
    YAMI_OPTION_BOOL,   //  bool; "true/false", "yes/no", "1/0"; no value means true
    YAMI_OPTION_STRING, //  char[maximum + 1] within the struct; at most maximum bytes
    YAMI_OPTION_CHOICE, //  int64_t, index into the '|'-separated words of choices
} yami_option_type_t;

typedef struct {
    const char *name; //  lower case with '-'; NULL ends the table
    yami_option_type_t type;
    size_t offset;       //  of the value within the owner's struct
    int64_t minimum;     //  INT: least value; STRING: least length
    int64_t maximum;     //  INT: greatest value; STRING: greatest length
    const char *initial; //  default, as text; NULL: zero / empty
    const char *unit;    //  "ms", "bytes", "messages", "" ...
    const char *choices; //  CHOICE: "fast|sure"
    const char *help;    //  one line
} yami_option_t;

//  Sets every value to its default. The table must be sound (asserted).
void
yami_options_init(const yami_option_t *table, void *values);

//  The entry of that name (name_size bytes), NULL when there is none.
const yami_option_t *
yami_options_find(const yami_option_t *table, const char *name, size_t name_size);

//  Sets one option from text. Returns 0, or -1 with errno EINVAL and a sentence naming the option,
//  what was given and what is allowed; the value is unchanged then.
int
yami_options_set(const yami_option_t *table, void *values, const char *name, const char *text);

//  Writes a value as text into buffer, cut at size. Returns buffer.
const char *
yami_options_get(const yami_option_t *entry, const void *values, char *buffer, size_t size);

//  Sets options from "name=value&name=value" (NULL: none); a name alone is one without a value.
//  Values are as they stand: no escapes. Returns 0, or -1 with errno EINVAL and a sentence; those
//  before the wrong one are set then.
int
yami_options_read(const yami_option_t *table, void *values, const char *text);

//  Describes option number index (0..) of the table. Whether there is one.
bool
yami_options_describe(const yami_option_t *table, size_t index, yam_option_t *option);

//  Writes one line per option into buffer: name, default, unit and meaning. The buffer must be big
//  enough (asserted).
void
yami_options_help(const yami_option_t *table, char *buffer, size_t size);

//  The same into static storage, zeroed at first, at the first call only. Returns it. Thread-safe.
const char *
yami_options_help_once(const yami_option_t *table, char *text, size_t size);

#endif
