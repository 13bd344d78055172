//  Command lines over option tables. getopt_long finds the options; names, values and ranges are
//  the table's.

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "yami_arguments.h"
#include "yami_base.h"

#define S_WORD_LIMIT 63 //  longer words are not compared
#define S_HELP_COLUMN 30
#define S_FIRST_LONG 256 //  getopt values of long options: above every letter

//  -- The nearest word --------------------------------------------------------------------------

static size_t
s_least(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

//  Levenshtein's distance, two rows of his table at a time.
static size_t
s_distance(const char *a, const char *b)
{
    size_t row[S_WORD_LIMIT + 1];
    size_t length = strlen(b);
    if (strlen(a) > S_WORD_LIMIT || length > S_WORD_LIMIT) {
        return S_WORD_LIMIT;
    }
    for (size_t at = 0; at <= length; at++) {
        row[at] = at;
    }
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            row[j] = s_least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[length];
}

const char *
yami_nearest(const char *word, const char *(*next)(const void *arg, size_t index), const void *arg)
{
    const char *nearest = NULL;
    const char *known;
    size_t best = strlen(word) / 3 + 2; //  more differences are another word
    for (size_t index = 0; (known = next(arg, index)); index++) {
        size_t distance = s_distance(word, known);
        if (distance < best && distance < strlen(known)) {
            best = distance;
            nearest = known;
        }
    }
    return nearest;
}

static const char *
s_option_name(const void *table, size_t index)
{
    return ((const yami_option_t *) table)[index].name;
}

//  -- Parsing -----------------------------------------------------------------------------------

//  The letter of an option in "e=endpoint n=count", 0 when it has none.
static char
s_letter(const char *letters, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = letters; *at; at += *at == ' ') {
        if (strncmp(at + 2, name, length) == 0 && (at[2 + length] == ' ' || !at[2 + length])) {
            return *at;
        }
        at += strcspn(at, " ");
    }
    return 0;
}

typedef struct {
    struct option longs[YAMI_ARGUMENTS_LIMIT + 1];
    char shorts[YAMI_ARGUMENTS_LIMIT * 2 + 2];
} s_getopt_t;

//  "+:" would stop at the first operand; ":" only makes a missing argument distinguishable.
static void
s_getopt_init(s_getopt_t *self, const yami_arguments_t *arguments)
{
    size_t used = 0;
    memset(self, 0, sizeof *self);
    self->shorts[used++] = ':';
    for (size_t index = 0; arguments->table[index].name; index++) {
        YAM_ASSERT(index < YAMI_ARGUMENTS_LIMIT);
        const yami_option_t *entry = &arguments->table[index];
        int has_argument = entry->type == YAMI_OPTION_BOOL ? no_argument : required_argument;
        char letter = s_letter(arguments->letters, entry->name);
        self->longs[index] =
            (struct option) {entry->name, has_argument, NULL, S_FIRST_LONG + (int) index};
        if (letter) {
            self->shorts[used++] = letter;
        }
        if (letter && has_argument) {
            self->shorts[used++] = ':';
        }
    }
}

//  Index in the table of what getopt_long returned.
static size_t
s_index(const yami_arguments_t *self, int found)
{
    if (found >= S_FIRST_LONG) {
        return (size_t) (found - S_FIRST_LONG);
    }
    size_t index = 0;
    while (s_letter(self->letters, self->table[index].name) != found) {
        index++;
        YAM_ASSERT(self->table[index].name);
    }
    return index;
}

static int
s_refuse_unknown(const yami_arguments_t *self, const char *text)
{
    char name[S_WORD_LIMIT + 1] = "";
    if (strncmp(text, "--", 2) != 0) {
        return yami_fail(EINVAL, "unknown option '-%c' (see --help)", optopt);
    }
    (void) snprintf(name, sizeof name, "%.*s", (int) strcspn(text + 2, "="), text + 2);
    const yami_option_t *entry = yami_options_find(self->table, name, strlen(name));
    if (entry) {
        return yami_fail(EINVAL, "option '--%s' takes no value", name);
    }
    const char *nearest = yami_nearest(name, s_option_name, self->table);
    if (nearest) {
        return yami_fail(EINVAL, "unknown option '--%s' (did you mean '--%s'?)", name, nearest);
    }
    return yami_fail(EINVAL, "unknown option '--%s' (see --help)", name);
}

int
yami_arguments_parse(const yami_arguments_t *self, void *values, bool given[YAMI_ARGUMENTS_LIMIT],
                     int argc, char **argv)
{
    s_getopt_t options;
    s_getopt_init(&options, self);
    opterr = 0;
    optind = 0; //  GNU: start afresh
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int found = getopt_long(argc, argv, options.shorts, options.longs, NULL);
        if (found == -1) {
            return optind;
        }
        if (found == '?') {
            //  getopt may have moved operands behind the culprit, so it stands before optind.
            return s_refuse_unknown(self, argv[optind > at || optopt == 0 ? optind - 1 : at]);
        }
        if (found == ':') {
            return yami_fail(EINVAL, "option '%s' needs a value (see --help)", argv[optind - 1]);
        }
        size_t index = s_index(self, found);
        if (yami_options_set(self->table, values, self->table[index].name, optarg) == -1) {
            return -1;
        }
        given[index] = true;
    }
}

//  -- Help --------------------------------------------------------------------------------------

//  "=FILE": from choices or the unit, in capitals.
static void
s_argument(const yami_option_t *entry, char *buffer, size_t size)
{
    const char *text = entry->choices ? entry->choices : "TEXT";
    buffer[0] = '\0';
    if (entry->type == YAMI_OPTION_BOOL) {
        return;
    }
    if (entry->type == YAMI_OPTION_INT) {
        text = entry->unit && strcmp(entry->unit, "ms") == 0 ? "MS" : "N";
    }
    (void) snprintf(buffer, size, "=%s", text);
}

static void
s_help_of(const yami_arguments_t *self, const yami_option_t *entry, FILE *out)
{
    char argument[64], line[160];
    char letter = s_letter(self->letters, entry->name);
    char prefix[8] = "      ";
    if (letter) {
        (void) snprintf(prefix, sizeof prefix, "  -%c, ", letter);
    }
    s_argument(entry, argument, sizeof argument);
    int length = snprintf(line, sizeof line, "%s--%s%s", prefix, entry->name, argument);
    (void) fprintf(out, "%s", line);
    if (length >= S_HELP_COLUMN - 1) {
        (void) fputc('\n', out);
        length = 0;
    }
    (void) fprintf(out, "%*s%s", S_HELP_COLUMN - length, "", entry->help);
    bool is_none = entry->type == YAMI_OPTION_BOOL ||
                   (entry->initial && strcmp(entry->initial, "-1") == 0); //  not given
    if (entry->initial && *entry->initial && !is_none) {
        (void) fprintf(out, " [%s]", entry->initial);
    }
    (void) fputc('\n', out);
}

void
yami_arguments_help(const yami_arguments_t *self, FILE *out)
{
    for (const yami_option_t *entry = self->table; entry->name; entry++) {
        s_help_of(self, entry, out);
    }
}
