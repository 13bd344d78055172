#include "yam_endpoint.h"
#include "yami_endpoint.h"

const char *
yam_endpoint_options_help(void)
{
    static char text[4096];
    return yami_options_help_once(yami_endpoint_option_table, text, sizeof text);
}
