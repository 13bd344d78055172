//  The relay's option table, seen from outside. Daemons must not include what is inside of a
//  pattern.

#include "yam_relay_option.h"
#include "yami_relay_options.h"

bool
yam_relay_option(size_t index, yam_option_t *option)
{
    return yami_options_describe(yami_relay_option_table, index, option);
}
