/*  yam_inbox - a message is handled once: the consumer claims its id in the very transaction that
    has the effect.

        BEGIN
        yam_inbox_claim (inbox, message)  NEW: do the work     DUPLICATE: it was done, only ack
        COMMIT                            CONFLICT: same id, other content: reject, and look why
        yam_pull_ack

    Not a queue, and no substitute for one: it only remembers. With a relay, which delivers at least
    once, and an outbox, which sends at least once, the effect happens exactly once. What an id is:
    the property "id", or whatever the application says. Works on the application's own handle; not
    thread-safe beyond what that handle is. Invariants:
    (1) A claim is NEW for one committed transaction only, however many ask, in any order.
    (2) A claim whose transaction is rolled back never was.
    (3) Nothing is forgotten before retention is over, by the wall clock; what that jumps by counts.
    Tables and their meaning: patterns/inbox/SPEC.md.
*/
#ifndef YAM_INBOX_H
#define YAM_INBOX_H

#include <stddef.h>
#include <stdint.h>

#include "yam_export.h"
#include "yam_message.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;
typedef struct yam_inbox yam_inbox_t;

typedef enum {
    YAM_CLAIM_NEW = 1,       //  never seen: have the effect, in this transaction
    YAM_CLAIM_DUPLICATE = 2, //  claimed before, with the same content
    YAM_CLAIM_CONFLICT = 3,  //  claimed before, with other content; nothing was changed
} yam_claim_t;

//  An inbox in an SQLite database, which stays the application's and must outlive it; makes or
//  migrates its tables. options (may be NULL) is "name=value&...": see yam_inbox_options_help. NULL
//  with errno EINVAL (option; or the tables were made with another number of shards), EAGAIN
//  (locked), EROFS, ENOSPC, EBADMSG (damaged), EPROTONOSUPPORT (tables of a newer version), EIO,
//  and a sentence. The caller owns the result.
YAM_EXPORT yam_inbox_t *
yam_inbox_new(struct sqlite3 *database, const char *options);

//  Frees *self_p and clears it; the database stays open. Safe on NULL.
YAM_EXPORT void
yam_inbox_destroy(yam_inbox_t **self_p);

//  Claims a message by its property "id" (1..200 bytes). Returns yam_claim_t, or -1 with errno
//  EINVAL (no such property), EPERM (no transaction is open: claim and effect would be two things),
//  EAGAIN, EROFS, ENOSPC, EBADMSG, EIO ..., and a sentence: roll back then, and leave the message
//  unacknowledged. The fingerprint is BLAKE2b of body and properties, but for "trace" and those of
//  relays.
YAM_EXPORT int
yam_inbox_claim(yam_inbox_t *self, const yam_message_t *message);

//  The same with an id (1..200 bytes) and content that the application names: an order number, say.
YAM_EXPORT int
yam_inbox_claim_id(yam_inbox_t *self, const char *id, const void *content, size_t size);

#define YAM_INBOX_BATCH 10000 //  most claims at once

//  Claims count (1..YAM_INBOX_BATCH) messages at once, which is faster; verdicts[n] will be that of
//  messages[n]. An id that is there twice is NEW at its first place at most. 0, or -1 as above,
//  with errno ENOMEM, or EINVAL with a sentence that says which message is wrong, before the
//  database was asked; no verdict holds then.
YAM_EXPORT int
yam_inbox_claim_many(yam_inbox_t *self, yam_message_t *const *messages, size_t count,
                     yam_claim_t *verdicts);

//  For an inbox whose claims are not part of the effect's transaction (Redis; see
//  yam_inbox_redis.h): the effects of count (1..YAM_INBOX_BATCH) NEW messages are durable, call it
//  before the acks; or they will not be, so that the messages can be claimed again at once. 0, or
//  -1 as that header says: the first failure, what could be settled is. With SQL databases COMMIT
//  and ROLLBACK have said it: 0, and nothing is done.
YAM_EXPORT int
yam_inbox_done(yam_inbox_t *self, yam_message_t *const *messages, size_t count);
YAM_EXPORT int
yam_inbox_release(yam_inbox_t *self, yam_message_t *const *messages, size_t count);

//  The same for one that was claimed by an id and content that the application names.
YAM_EXPORT int
yam_inbox_done_id(yam_inbox_t *self, const char *id, const void *content, size_t size);
YAM_EXPORT int
yam_inbox_release_id(yam_inbox_t *self, const char *id, const void *content, size_t size);

//  Forgets up to limit claims that are older than retention. A pruner (yam_pruner.h) does so in the
//  background; where there is none, claims do, two for each new one. Returns how many, or -1 with
//  errno as above.
YAM_EXPORT int64_t
yam_inbox_prune(yam_inbox_t *self, int64_t limit);

typedef struct {
    uint64_t claimed;    //  NEW, rolled back ones among them
    uint64_t duplicates; //  DUPLICATE
    uint64_t conflicts;  //  CONFLICT
    uint64_t pruned;     //  forgotten
    uint64_t failed;     //  calls that claimed and returned -1
} yam_inbox_stats_t;

YAM_EXPORT void
yam_inbox_stats(const yam_inbox_t *self, yam_inbox_stats_t *stats);

//  Which of count databases an id belongs to, 0..count-1 (0 for a count of 0), when an application
//  has sharded its data over files or servers: open an inbox in each, and claim where the effect
//  is.
YAM_EXPORT uint32_t
yam_inbox_shard(const char *id, uint32_t count);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_inbox_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
