//  yami_option - a whole list of options at once, and what there is to choose from. See the header.

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_option.h"

int
yami_options_read(const yami_option_t *table, void *values, const char *text)
{
    char copy[YAMI_LIMIT_OPTION_LIST + 1];
    if (text == NULL) {
        return 0;
    }
    size_t size = strlen(text);
    if (size >= sizeof copy) {
        return yami_fail(EINVAL, "the options are longer than %zu bytes", sizeof copy - 1);
    }
    memcpy(copy, text, size + 1);
    char *rest = NULL;
    for (char *pair = strtok_r(copy, "&", &rest); pair; pair = strtok_r(NULL, "&", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals != NULL) {
            *equals = 0;
        }
        if (yami_options_set(table, values, pair, equals == NULL ? NULL : equals + 1) == -1) {
            return -1;
        }
    }
    return 0;
}

void
yami_options_help(const yami_option_t *table, char *buffer, size_t size)
{
    size_t used = 0;
    for (const yami_option_t *option = table; option->name != NULL; option++) {
        const char *initial = option->initial == NULL ? "" : option->initial;
        size_t length = strlen(initial);
        bool has_unit = length > 0 && !isdigit((unsigned char) initial[length - 1]); //  "5s"
        const char *unit = option->unit == NULL || has_unit ? "" : option->unit;
        int written = snprintf(buffer + used, size - used, "%-18s [%s%s%s] %s\n", option->name,
                               initial, *unit == 0 ? "" : " ", unit, option->help);
        YAM_ASSERT(written > 0 && (size_t) written < size - used); //  the caller knows its table
        used += (size_t) written;
    }
}

const char *
yami_options_help_once(const yami_option_t *table, char *text, size_t size)
{
    static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
    (void) pthread_mutex_lock(&s_lock);
    if (text[0] == 0) {
        yami_options_help(table, text, size);
    }
    (void) pthread_mutex_unlock(&s_lock);
    return text;
}

static const char *
s_text(const char *text)
{
    return text != NULL ? text : "";
}

bool
yami_options_describe(const yami_option_t *table, size_t index, yam_option_t *option)
{
    size_t at = 0;
    while (at < index && table[at].name != NULL) {
        at++;
    }
    const yami_option_t *entry = &table[at];
    if (entry->name == NULL) {
        return false;
    }
    *option = (yam_option_t) {
        .name = entry->name,
        .type = (yam_option_type_t) entry->type,
        .minimum = entry->minimum,
        .maximum = entry->maximum,
        .initial = s_text(entry->initial),
        .unit = s_text(entry->unit),
        .choices = s_text(entry->choices),
        .help = s_text(entry->help),
    };
    return true;
}
