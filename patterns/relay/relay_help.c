#include "yam_relay.h"
#include "yami_relay_options.h"

const char *
yam_relay_options_help(void)
{
    static char text[8192];
    return yami_options_help_once(yami_relay_option_table, text, sizeof text);
}
