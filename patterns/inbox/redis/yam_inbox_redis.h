/*  yam_inbox_redis - an inbox in a Redis server. Part of libyam-redis.

    For effects that are not in a database, or in one that must not carry the claims. The claim is
    then no part of the effect's transaction, and yam_inbox.h's invariants (1) and (2) do not hold.
    These do:

        yam_inbox_claim     one atomic SET NX GET PX: claimed, for option "hold" [30 s]
        the effect, COMMIT
        yam_inbox_done      the claim stays, for option "retention"; then yam_pull_ack
        (or ROLLBACK, yam_inbox_release, yam_pull_nack)

    (1) While a claim is held, nobody else gets NEW for its id: they get EAGAIN, and the message
        must come to them again. Once it is done, they get DUPLICATE, until retention is over.
    (2) A consumer that dies before yam_inbox_done loses its claim when hold has run out, and the
        message is NEW again: nothing is lost.
    (3) Hence at least once, and twice only if a consumer died between its COMMIT and
        yam_inbox_done, took longer than hold (yam_inbox_done says so: ETIMEDOUT), or the server has
        lost claims: it was restarted without "appendfsync always", or failed over.
    Who would rather lose an effect than have it twice calls yam_inbox_done before the effect.
*/
#ifndef YAM_INBOX_REDIS_H
#define YAM_INBOX_REDIS_H

#include "yam_export.h"
#include "yam_inbox.h"

#ifdef __cplusplus
extern "C" {
#endif

struct redisContext; //  hiredis'

//  An inbox over a connection to Redis 7.0 or later, which stays the application's and must outlive
//  it. options as for yam_inbox_new, with "hold"; shards must be 1. NULL with errno EINVAL
//  (option), EPROTONOSUPPORT (an older server; or one that evicts keys when its memory is full, by
//  its maxmemory-policy), ENOTCONN (the connection is lost), EAGAIN (the server is loading its
//  data), EROFS (a replica), ENOSPC (maxmemory), EACCES (rights), EIO, and a sentence. The caller
//  owns the result. Claims fail with the same; EAGAIN is also: another consumer holds the claim;
//  EBADMSG: the key holds something else. yam_inbox_done fails with the same, and with ETIMEDOUT
//  when the claim had run out: it is done all the same, but another consumer may have had the
//  effect, too. yam_inbox_release of what is no more held is no failure. As thread-safe as the
//  connection, hence not.
YAM_EXPORT yam_inbox_t *
yam_inbox_redis_new(struct redisContext *connection, const char *options);

#ifdef __cplusplus
}
#endif
#endif
