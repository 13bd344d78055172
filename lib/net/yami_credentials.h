/*  yami_credentials - CURVE on sockets, and who may come in.

    Keys are CZMQ certificates (files of `yam keygen`). Whoever serves with a directory of clients
    gets a ZAP domain of its own; one doorman per yam_t answers libzmq's questions on
    inproc://zeromq.zap.01 and lets in the public keys found in that directory, which is read again
    when it changes. A domain without a directory lets in every key. Refusals are counted and
    logged, rate-limited.
*/
#ifndef YAMI_CREDENTIALS_H
#define YAMI_CREDENTIALS_H

#include <stdint.h>

#include "yami_context.h"

typedef struct _zcert_t zcert_t; //  CZMQ's

//  -- For a server with a certificate and a list of clients of its own --------------------------

typedef struct yami_credentials yami_credentials_t;

//  Loads the secret certificate of a server. clients ("" or NULL: any key) is a directory of public
//  certificates. NULL with errno ENOENT, EINVAL (no secret key, or no directory), EADDRINUSE (the
//  application answers ZAP itself), and a sentence.
yami_credentials_t *
yami_credentials_new(yam_t *yam, const char *certificate, const char *clients);

//  Makes socket a CURVE server with it. Before it is bound.
void
yami_credentials_serve(yami_credentials_t *self, void *socket);

//  How many clients were refused.
uint64_t
yami_credentials_denied(const yami_credentials_t *self);

//  Frees and clears it; its sockets must be closed. Safe on NULL.
void
yami_credentials_destroy(yami_credentials_t **self_p);

//  -- Certificates ------------------------------------------------------------------------------

//  A certificate with a secret key. The caller owns the result. NULL with errno ENOENT or EINVAL
//  and a sentence.
zcert_t *
yami_certificate_load(const char *path);

//  CURVE with this key pair. 0, or -1 with errno EINVAL and a sentence (the server's key is none).
int
yami_certificate_apply_client(zcert_t *certificate, void *socket, const char *server_key);
int
yami_certificate_apply_server(zcert_t *certificate, void *socket);

//  -- The doorman, one per yam_t ----------------------------------------------------------------

typedef struct yami_doorman yami_doorman_t;

//  NULL with errno EADDRINUSE, EMFILE.
yami_doorman_t *
yami_doorman_new(yam_t *yam);

void
yami_doorman_destroy(yami_doorman_t **self_p);

//  The one of this yam_t, made when it is first asked for. Borrowed. NULL as yami_doorman_new.
yami_doorman_t *
yami_context_doorman(yam_t *self);

//  Lets in only the keys in directory, for sockets of that ZAP domain; counts refusals in
//  *denied_p, which outlives the domain. 0, or -1 with errno ENOSPC, ENOENT.
int
yami_doorman_guard(yami_doorman_t *self, const char *domain, const char *directory,
                   _Atomic uint64_t *denied_p);

void
yami_doorman_leave(yami_doorman_t *self, const char *domain);

#endif
