/*  yami_inbox - the inside of yam_inbox: what is the same for every database, over a table of what
    is not.

    inbox.c checks ids, takes fingerprints and counts; a database keeps (id, fingerprint, time) by
    primary key, in the application's transaction. Databases: inbox_sqlite.c; PostgreSQL and Redis
    in libraries of their own.
*/
#ifndef YAMI_INBOX_H
#define YAMI_INBOX_H

#include <stdint.h>

#include "yam_inbox.h"
#include "yami_option.h"

#define YAMI_INBOX_ID 200         //  most bytes of an id
#define YAMI_INBOX_FINGERPRINT 32 //  bytes; BLAKE2b-256
#define YAMI_INBOX_SHARDS 64      //  most tables of one inbox

typedef struct {
    char prefix[48 + 1]; //  a-z, 0-9, _
    int64_t shards;
    int64_t retention_ms;
} yami_inbox_options_t;

typedef struct {
    char id[YAMI_INBOX_ID + 1];
    uint32_t shard; //  0..shards-1
    uint8_t fingerprint[YAMI_INBOX_FINGERPRINT];
    int64_t now_ms; //  wall clock
} yami_inbox_claim_t;

typedef struct {
    //  yam_claim_t, or -1 with errno and a sentence.
    int (*claim)(void *self, const yami_inbox_claim_t *claim);
    //  Forgets up to limit claims of a shard that were made before time_ms. How many, or -1.
    int64_t (*prune)(void *self, uint32_t shard, int64_t time_ms, int64_t limit);
    void (*destroy)(void *self);
} yami_inbox_db_t;

//  Reads options over their defaults. 0, or -1 with errno EINVAL and a sentence.
int
yami_inbox_options_read(yami_inbox_options_t *options, const char *text);

//  An inbox over a database; takes ownership of database, which may not be NULL.
yam_inbox_t *
yami_inbox_new(const yami_inbox_db_t *db, void *database, const yami_inbox_options_t *options);

#endif
