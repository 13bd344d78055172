/*  yam_callback_postgres - a callback service's cases in a PostgreSQL database. Part of
    libyam-postgres.

    The contract is yam_callback_store.h's; tables are in patterns/callback/SPEC.md. What is
    PostgreSQL's own: transactions that write stand in line, as in SQLite, by an advisory lock that
    is waited for at most 5 s; a connection that is lost is made anew with the next transaction.
*/
#ifndef YAM_CALLBACK_POSTGRES_H
#define YAM_CALLBACK_POSTGRES_H

#include <stdbool.h>

#include "yam_callback_store.h"
#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

//  Connects to the server at uri ("postgresql://..."); makes the tables when may_create, migrates
//  them otherwise. NULL with errno EINVAL (uri), ENOTCONN, EACCES (rights), ENOENT (no tables),
//  EPROTONOSUPPORT (of a newer version), EAGAIN, EROFS, ENOSPC, ENOMEM, EIO, and a sentence. The
//  caller owns the result.
YAM_EXPORT yam_callback_store_t *
yam_callback_store_postgres(const char *uri, bool may_create);

#ifdef __cplusplus
}
#endif
#endif
