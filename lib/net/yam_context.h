/*  yam_context - yam_t: one ZeroMQ context and one engine thread, shared by all objects of a
    program.

    Thread-safe. Not for use after fork: every call in a child process fails with errno ECHILD, and
    destroy there only frees memory. The library installs no signal handler and starts no thread
    before yam_new.
*/
#ifndef YAM_CONTEXT_H
#define YAM_CONTEXT_H

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam yam_t;

//  Starts the engine. NULL with errno EMFILE or ENOMEM (descriptors or threads run out) and a
//  sentence. The caller owns the result.
YAM_EXPORT yam_t *
yam_new(void);

//  Stops the engine and frees *self_p; clears it. Safe on NULL. All objects made with it must have
//  been destroyed.
YAM_EXPORT void
yam_destroy(yam_t **self_p);

//  The ZeroMQ context, borrowed, for an application's own sockets on the same inproc endpoints.
YAM_EXPORT void *
yam_zmq_context(yam_t *self);

//  Uses the CURVE key pair of certificate file path (written by `yam keygen`) for every object made
//  from now on: connecting objects also need the relay's public key, "server-key=" in the endpoint.
//  0, or -1 with errno EINVAL or ENOENT.
YAM_EXPORT int
yam_set_certificate(yam_t *self, const char *path);

//  Version of the library, "0.1.0". Static storage.
YAM_EXPORT const char *
yam_version(void);

#ifdef __cplusplus
}
#endif
#endif
