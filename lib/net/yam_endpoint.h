/*  yam_endpoint - endpoint strings, by which all classes say where messages go and what is
    guaranteed.

        ['@' bind | '>' connect] TRANSPORT "://" ADDRESS {',' ...} ['?' NAME '=' VALUE {'&' ...}]

        ">tcp://host:9260?grade=sure"      "@ipc:///run/app,@inproc://app"      "@tcp://127.0.0.1:*"

    Transports are tcp, ipc, inproc, ws, tipc, norm, pgm and epgm, as far as libzmq has them.
    Without a sign the class decides, and says so. Options hold for the whole list; a value runs to
    the next '&' and is taken as it is, but for a server-key, which may contain '&' and is 40
    characters. Whatever is wrong is told with its column.
*/
#ifndef YAM_ENDPOINT_H
#define YAM_ENDPOINT_H

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

//  Text for people: every option, one per line, with default, unit and meaning. Static storage. Any
//  thread.
YAM_EXPORT const char *
yam_endpoint_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
