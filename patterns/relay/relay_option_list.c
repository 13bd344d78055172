//  The relay's option table, seen from outside. Daemons must not include what is inside of a
//  pattern.

#include "yam_relay_option.h"
#include "yami_relay_options.h"

static const char *
s_text(const char *text)
{
    return text ? text : "";
}

bool
yam_relay_option(size_t index, yam_relay_option_t *option)
{
    size_t at = 0;
    while (at < index && yami_relay_option_table[at].name) {
        at++;
    }
    const yami_option_t *entry = &yami_relay_option_table[at];
    if (!entry->name) {
        return false;
    }
    *option = (yam_relay_option_t) {
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
