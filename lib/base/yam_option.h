/*  yam_option - how an option of a class is described: for programs that offer it, such as the
    daemons, and for bindings.
*/
#ifndef YAM_OPTION_H
#define YAM_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    YAM_OPTION_INTEGER = 0, //  suffixes k M G for sizes, ms s m h for times
    YAM_OPTION_BOOLEAN = 1, //  true or false
    YAM_OPTION_TEXT = 2,
    YAM_OPTION_CHOICE = 3, //  one of the words of choices
} yam_option_type_t;

//  All text is static storage and never NULL.
typedef struct {
    const char *name;
    yam_option_type_t type;
    int64_t minimum; //  INTEGER: least value; TEXT: least length in bytes
    int64_t maximum; //  the greatest
    const char *initial;
    const char *unit;
    const char *choices; //  CHOICE: "a|b"
    const char *help;    //  half a line
} yam_option_t;

#endif
