//  Options by table. All text comes from users, so every refusal says what would have been
//  accepted.

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_option.h"

#define S_NO_LIMIT ((1ll << 52) - 1) //  of a maximum: 4 PiB, or 140,000 years, are none for people

typedef struct {
    const char *name;
    int64_t factor;
} s_suffix_t;

//  What may follow a number, and how a refusal says so.
typedef struct {
    const s_suffix_t *known; //  up to a name that is NULL
    const char *text;
} s_suffixes_t;

//  Either case: who writes K or m after a size means 1024 all the same, and never a thousandth.
static const s_suffix_t s_size_table[] = {
    {"k", 1 << 10}, {"K", 1 << 10},   {"m", 1 << 20},   {"M", 1 << 20},   {"g", 1 << 30},
    {"G", 1 << 30}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};
static const s_suffix_t s_ms_table[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {NULL, 0}};
static const s_suffix_t s_second_table[] = {{"s", 1}, {"m", 60}, {"h", 60 * 60}, {NULL, 0}};

static const s_suffixes_t s_sizes = {s_size_table, "k, M, G or KiB, MiB, GiB, powers of 1024"};
static const s_suffixes_t s_milliseconds = {s_ms_table, "ms, s, m or h"};
static const s_suffixes_t s_seconds = {s_second_table, "s, m or h"};

static void *
s_value(const yami_option_t *entry, void *values)
{
    return (char *) values + entry->offset;
}

//  Times take times and all else sizes: so "5m" is five minutes of a time and 5 MiB of a size.
static const s_suffixes_t *
s_suffixes(const yami_option_t *entry)
{
    const char *unit = entry->unit ? entry->unit : "";
    if (strcmp(unit, "ms") == 0) {
        return &s_milliseconds;
    }
    return strcmp(unit, "s") == 0 ? &s_seconds : &s_sizes;
}

//  The factor of a suffix, 0 when it is none of this option's.
static int64_t
s_factor(const yami_option_t *entry, const char *suffix)
{
    if (!*suffix) {
        return 1;
    }
    for (const s_suffix_t *known = s_suffixes(entry)->known; known->name; known++) {
        if (strcmp(known->name, suffix) == 0) {
            return known->factor;
        }
    }
    return 0;
}

//  Decimal digits, an optional minus, an optional suffix. Never overflows.
static bool
s_parse_int(const yami_option_t *entry, const char *text, int64_t *number_p)
{
    bool is_negative = *text == '-';
    const char *cursor = text + (is_negative ? 1 : 0);
    int64_t number = 0;
    if (!isdigit((unsigned char) *cursor)) {
        return false;
    }
    for (; isdigit((unsigned char) *cursor); cursor++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *cursor - '0', &number)) {
            return false;
        }
    }
    int64_t factor = s_factor(entry, cursor);
    if (factor == 0 || __builtin_mul_overflow(number, factor, &number)) {
        return false;
    }
    *number_p = is_negative ? -number : number;
    return true;
}

//  "1 to 100 messages", or "1 or more messages" where nothing that anybody would give is too much.
static const char *
s_range(const yami_option_t *entry, char *buffer, size_t size)
{
    const char *unit = entry->unit ? entry->unit : "";
    int used =
        entry->maximum >= S_NO_LIMIT
            ? snprintf(buffer, size, "%" PRId64 " or more", entry->minimum)
            : snprintf(buffer, size, "%" PRId64 " to %" PRId64, entry->minimum, entry->maximum);
    YAM_ASSERT(used > 0 && (size_t) used < size);
    (void) snprintf(buffer + used, size - (size_t) used, "%s%s", *unit ? " " : "", unit);
    return buffer;
}

static int
s_set_int(const yami_option_t *entry, void *values, const char *text)
{
    int64_t number;
    if (!s_parse_int(entry, text, &number) || number < entry->minimum || number > entry->maximum) {
        char range[96];
        return yami_fail(EINVAL,
                         "option '%s' is '%.64s', but must be %s (a whole number, alone or with "
                         "%s)",
                         entry->name, text, s_range(entry, range, sizeof range),
                         s_suffixes(entry)->text);
    }
    memcpy(s_value(entry, values), &number, sizeof number);
    return 0;
}

static int
s_set_bool(const yami_option_t *entry, void *values, const char *text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "0", "1"};
    for (size_t index = 0; index < sizeof words / sizeof words[0]; index++) {
        if (strcmp(text, words[index]) == 0) {
            bool value = index % 2 == 1;
            memcpy(s_value(entry, values), &value, sizeof value);
            return 0;
        }
    }
    return yami_fail(EINVAL, "option '%s' is '%.64s', but must be true or false", entry->name,
                     text);
}

static int
s_set_string(const yami_option_t *entry, void *values, const char *text)
{
    size_t length = strlen(text);
    if (length < (size_t) entry->minimum || length > (size_t) entry->maximum) {
        return yami_fail(
            EINVAL, "option '%s' is '%.64s', but must be %" PRId64 " to %" PRId64 " bytes long",
            entry->name, text, entry->minimum, entry->maximum);
    }
    memcpy(s_value(entry, values), text, length + 1);
    return 0;
}

//  The word at index of "fast|sure" and its size; NULL behind the last one.
static const char *
s_choice(const char *choices, int64_t index, size_t *size_p)
{
    const char *word = choices;
    for (; index > 0 && word; index--) {
        word = strchr(word, '|');
        word = word ? word + 1 : NULL;
    }
    *size_p = word ? strcspn(word, "|") : 0;
    return word;
}

static int
s_set_choice(const yami_option_t *entry, void *values, const char *text)
{
    size_t length = strlen(text);
    size_t size;
    const char *word;
    for (int64_t index = 0; (word = s_choice(entry->choices, index, &size)); index++) {
        if (size == length && memcmp(word, text, length) == 0) {
            memcpy(s_value(entry, values), &index, sizeof index);
            return 0;
        }
    }
    return yami_fail(EINVAL, "option '%s' is '%.64s', but must be one of %s", entry->name, text,
                     entry->choices);
}

static int
s_set(const yami_option_t *entry, void *values, const char *text)
{
    if (!text && entry->type != YAMI_OPTION_BOOL) {
        return yami_fail(EINVAL, "option '%s' needs a value (%s)", entry->name,
                         entry->help ? entry->help : "");
    }
    switch (entry->type) {
    case YAMI_OPTION_INT:
        return s_set_int(entry, values, text);
    case YAMI_OPTION_BOOL:
        return s_set_bool(entry, values, text && *text ? text : "true");
    case YAMI_OPTION_STRING:
        return s_set_string(entry, values, text);
    case YAMI_OPTION_CHOICE:
        return s_set_choice(entry, values, text);
    }
    YAM_ASSERT(!"an option of a type that does not exist");
    return -1;
}

static size_t
s_value_size(const yami_option_t *entry)
{
    switch (entry->type) {
    case YAMI_OPTION_BOOL:
        return sizeof(bool);
    case YAMI_OPTION_STRING:
        return (size_t) entry->maximum + 1;
    case YAMI_OPTION_INT:
    case YAMI_OPTION_CHOICE:
        break;
    }
    return sizeof(int64_t);
}

static void
s_check_entry(const yami_option_t *entry)
{
    YAM_ASSERT(entry->minimum <= entry->maximum);
    YAM_ASSERT(entry->type != YAMI_OPTION_CHOICE || entry->choices);
    YAM_ASSERT(entry->type != YAMI_OPTION_STRING || entry->minimum >= 0);
}

void
yami_options_init(const yami_option_t *table, void *values)
{
    for (const yami_option_t *entry = table; entry->name; entry++) {
        s_check_entry(entry);
        memset(s_value(entry, values), 0, s_value_size(entry));
        if (entry->initial) {
            int rc = s_set(entry, values, entry->initial);
            YAM_ASSERT(rc == 0);
        }
    }
}

const yami_option_t *
yami_options_find(const yami_option_t *table, const char *name, size_t name_size)
{
    for (const yami_option_t *entry = table; entry->name; entry++) {
        if (strlen(entry->name) == name_size && memcmp(entry->name, name, name_size) == 0) {
            return entry;
        }
    }
    return NULL;
}

//  "grade, window, ...": all names of the table, cut at size.
static const char *
s_list_names(const yami_option_t *table, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (const yami_option_t *entry = table; entry->name && used < size; entry++) {
        int length =
            snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", entry->name);
        used += length > 0 ? (size_t) length : 0;
    }
    return buffer;
}

int
yami_options_set(const yami_option_t *table, void *values, const char *name, const char *text)
{
    const yami_option_t *entry = yami_options_find(table, name, strlen(name));
    if (!entry) {
        char names[384];
        return yami_fail(EINVAL, "unknown option '%.64s' (there are: %s)", name,
                         s_list_names(table, names, sizeof names));
    }
    return s_set(entry, values, text);
}

const char *
yami_options_get(const yami_option_t *entry, const void *values, char *buffer, size_t size)
{
    YAM_ASSERT(size > 0);
    const char *value = (const char *) values + entry->offset;
    int64_t number = 0;
    bool is_set = false;
    size_t word_size;
    const char *word;
    switch (entry->type) {
    case YAMI_OPTION_INT:
        memcpy(&number, value, sizeof number);
        (void) snprintf(buffer, size, "%" PRId64, number);
        break;
    case YAMI_OPTION_BOOL:
        memcpy(&is_set, value, sizeof is_set);
        (void) snprintf(buffer, size, "%s", is_set ? "true" : "false");
        break;
    case YAMI_OPTION_STRING:
        (void) snprintf(buffer, size, "%s", value);
        break;
    case YAMI_OPTION_CHOICE:
        memcpy(&number, value, sizeof number);
        word = s_choice(entry->choices, number, &word_size);
        YAM_ASSERT(word);
        (void) snprintf(buffer, size, "%.*s", (int) word_size, word);
        break;
    }
    return buffer;
}
