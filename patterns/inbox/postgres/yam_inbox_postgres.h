/*  yam_inbox_postgres - an inbox, and its pruner, in a PostgreSQL database. Part of
    libyam-postgres.

    The contract is yam_inbox.h's, with its numbered invariants; tables are in
    patterns/inbox/SPEC.md. What is PostgreSQL's own: of two transactions that claim one id at the
    same time, the second waits until the first has ended (SET lock_timeout bounds that), and
    whatever fails leaves the transaction aborted: roll it back.
*/
#ifndef YAM_INBOX_POSTGRES_H
#define YAM_INBOX_POSTGRES_H

#include "yam_export.h"
#include "yam_inbox.h"
#include "yam_pruner.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pg_conn; //  libpq's PGconn

//  An inbox over a connection, which stays the application's and must outlive it; makes or migrates
//  its tables, in a transaction of its own unless one is open. options as for yam_inbox_new. NULL
//  with errno EINVAL (option; other number of shards), EAGAIN (locked, or a deadlock), EROFS,
//  EACCES (rights), ENOSPC, EPROTONOSUPPORT (tables of a newer version), ENOTCONN (the connection
//  is lost), EBUSY (another command is under way), EIO, and a sentence. The caller owns the result.
//  Claims fail with the same, and with EPERM when no transaction is open. As thread-safe as the
//  connection, hence not.
YAM_EXPORT yam_inbox_t *
yam_inbox_postgres_new(struct pg_conn *connection, const char *options);

//  A pruner (yam_pruner.h) for the inbox in the database at uri, to which it connects as
//  yam_postgres_open does, again whenever that is lost. NULL as yam_pruner_new, with errno as that
//  and yam_inbox_postgres_new. The caller owns the result.
YAM_EXPORT yam_pruner_t *
yam_pruner_postgres_new(const char *uri, const char *inbox_options, const char *options);

#ifdef __cplusplus
}
#endif
#endif
