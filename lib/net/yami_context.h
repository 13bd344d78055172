/*  yami_context - the inside of yam_t, for patterns.
*/
#ifndef YAMI_CONTEXT_H
#define YAMI_CONTEXT_H

#include <stdbool.h>

#include "yam_context.h"
#include "yami_endpoint.h"
#include "yami_engine.h"

//  Borrowed.
yami_engine_t *
yami_context_engine(yam_t *self);

//  Whether this process is the one that called yam_new; otherwise errno is ECHILD with a sentence.
//  Cheap: called on every send.
bool
yami_context_is_ours(const yam_t *self);

//  A ZeroMQ socket of that type with the limits every socket gets (MAXMSGSIZE, handshake
//  time, TCP keepalive, HWM from options, linger 0, CURVE when a certificate is set: as client with
//  options->server_key, as server when it binds), not yet bound or connected. NULL with errno
//  EMFILE, EINVAL (server-key without certificate) and a sentence.
void *
yami_context_socket(yam_t *self, int type, const yami_endpoint_options_t *options);

//  Binds and connects all addresses. bound (may be NULL) of size bytes gets the first endpoint
//  really bound or connected. 0, or -1 with errno and a sentence naming the address.
int
yami_context_attach(void *socket, const yami_endpoint_t *endpoint, char *bound, size_t size);

#endif
