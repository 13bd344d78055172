#include <pthread.h>
#include <stdio.h>

#include "yam_relay.h"
#include "yami_relay_options.h"

static char s_text[8192];
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static void
s_write(void)
{
    size_t used = 0;
    for (const yami_option_t *option = yami_relay_option_table; option->name != NULL; option++) {
        const char *initial = option->initial == NULL ? "" : option->initial;
        int size =
            snprintf(s_text + used, sizeof s_text - used, "%-18s [%s%s%s] %s\n", option->name,
                     initial, option->unit == NULL || *option->unit == '\0' ? "" : " ",
                     option->unit == NULL ? "" : option->unit, option->help);
        if (size < 0 || (size_t) size >= sizeof s_text - used) {
            break;
        }
        used += (size_t) size;
    }
}

const char *
yam_relay_options_help(void)
{
    pthread_once(&s_once, s_write);
    return s_text;
}
