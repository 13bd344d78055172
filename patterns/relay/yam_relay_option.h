/*  yam_relay_option - which options a relay has: for programs that offer them, such as yamd, and
    for bindings.
*/
#ifndef YAM_RELAY_OPTION_H
#define YAM_RELAY_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "yam_export.h"
#include "yam_option.h"

#ifdef __cplusplus
extern "C" {
#endif

//  Describes option number index (0..) of yam_relay_new and yam_relay_set. Whether there is one.
YAM_EXPORT bool
yam_relay_option(size_t index, yam_option_t *option);

#ifdef __cplusplus
}
#endif
#endif
