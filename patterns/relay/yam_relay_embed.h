/*  yam_relay_embed - relays that endpoint strings ask for ("?relay=DIRECTORY"), shared per yam_t
    and directory.
*/
#ifndef YAM_RELAY_EMBED_H
#define YAM_RELAY_EMBED_H

#include <stddef.h>

#include "yam_context.h"

#ifdef __cplusplus
extern "C" {
#endif

//  Starts a relay on directory ("memory": in memory) bound to endpoints, or takes a share of the
//  one this yam_t already embeds there (its endpoints must be the same). Writes the inproc address
//  of that relay to inproc (size >= 64). Returns 0, or -1 with errno as yam_relay_new, EINVAL when
//  the endpoints differ.
YAM_EXPORT int
yam_relay_embed(yam_t *yam, const char *endpoints, const char *directory, char *inproc,
                size_t size);

//  The endpoints of that relay, comma-separated, in the order in which embed got them, with the
//  ports '*' got; its inproc address is the last. The caller holds a share, and may use the text
//  until it gives that back.
YAM_EXPORT const char *
yam_relay_embedded_endpoints(yam_t *yam, const char *directory);

//  Gives the share back; the last one drains and closes the relay, in at most timeout_ms.
YAM_EXPORT void
yam_relay_unembed(yam_t *yam, const char *directory, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
