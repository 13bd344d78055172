/*  yam_outbox_postgres - an outbox in a PostgreSQL database, and its dispatcher. Part of
    libyam-postgres.

    The contracts are yam_outbox.h's and yam_dispatcher.h's, with their numbered invariants; tables
    are in patterns/outbox/SPEC.md. What is PostgreSQL's own:
    (1) The order of a channel's messages is that of transactions which follow one another. Of those
    open at the same time, whichever is committed first may be sent first, whatever the ids.
    (2) Whatever fails leaves the transaction aborted: roll it back.
    (3) A transaction that retries or cancels a row holds its channel up until it ends.
*/
#ifndef YAM_OUTBOX_POSTGRES_H
#define YAM_OUTBOX_POSTGRES_H

#include "yam_dispatcher.h"
#include "yam_export.h"
#include "yam_outbox.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pg_conn; //  libpq's PGconn

//  An outbox over a connection, which stays the application's and must outlive it; makes or
//  migrates its tables, in a transaction of its own unless one is open. options as for
//  yam_outbox_new. NULL with errno EINVAL (option), EAGAIN (locked, or a deadlock), EROFS, EACCES
//  (rights), ENOSPC, EPROTONOSUPPORT (tables of a newer version), ENOTCONN (the connection is
//  lost), EBUSY (another command is under way), EIO, and a sentence. The caller owns the result.
//  Its functions fail with the same. As thread-safe as the connection, hence not.
YAM_EXPORT yam_outbox_t *
yam_outbox_postgres_new(struct pg_conn *connection, const char *options);

//  A dispatcher with a connection of its own to uri, which it makes again when it is lost.
//  endpoint, options and thread rules as for yam_dispatcher_new. NULL with errno as that,
//  yam_postgres_open, or yam_outbox_postgres_new. The caller owns the result.
YAM_EXPORT yam_dispatcher_t *
yam_dispatcher_postgres_new(yam_t *yam, const char *uri, const char *endpoint, const char *options);

#ifdef __cplusplus
}
#endif
#endif
