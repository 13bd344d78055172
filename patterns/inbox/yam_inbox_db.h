/*  yam_inbox_db - what an inbox asks of a database: the table that a provider fills in.

    Not for applications: they open an inbox by yam_inbox_new, yam_inbox_postgres_new or
    yam_inbox_redis_new. yam_inbox itself checks ids, takes fingerprints, chooses shards, sorts and
    counts; a provider keeps (id, fingerprint, time) by primary key, where the application's effects
    are. A provider that fails leaves errno and a sentence (yam_error_set). It is called by the
    thread that called the inbox, or by a pruner's.
*/
#ifndef YAM_INBOX_DB_H
#define YAM_INBOX_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_inbox.h"
#include "yam_pruner.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YAM_INBOX_ID 200         //  most bytes of an id
#define YAM_INBOX_FINGERPRINT 32 //  bytes; BLAKE2b-256
#define YAM_INBOX_PREFIX 48      //  most bytes of a prefix
#define YAM_INBOX_SHARDS 64      //  most tables of one inbox

//  What the application has asked for, in range.
typedef struct {
    char prefix[YAM_INBOX_PREFIX + 1]; //  a-z, 0-9, _, beginning with a letter: may stand in SQL
    int64_t shard_count;               //  1..YAM_INBOX_SHARDS
    int64_t retention_ms;
    int64_t hold_ms; //  where settle is not NULL: how long a claim waits for it
} yam_inbox_settings_t;

//  One id to be claimed, and what came of it.
typedef struct {
    const char *id; //  borrowed; 1..YAM_INBOX_ID bytes, none of them 0, no 0 after them
    size_t id_size;
    uint32_t shard; //  0..shard_count-1
    uint8_t fingerprint[YAM_INBOX_FINGERPRINT];
    yam_claim_t verdict; //  the provider's answer
} yam_inbox_entry_t;

typedef struct {
    //  Checks or makes what claims are kept in. Returns the provider's own state, over connection,
    //  which stays the application's; NULL with errno and a sentence.
    void *(*open)(void *connection, const yam_inbox_settings_t *settings);
    //  Claims count (> 0) entries of one shard, no id twice, in ascending order of their bytes: so
    //  two batches that meet wait for each other in one direction only. Sets the verdict of each.
    //  now_ms is the wall clock. 0, or -1 with errno and a sentence: no verdict holds then.
    int (*claim)(void *self, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms);
    //  The effects of count (> 0) claimed entries are durable (is_done), or will not be. NULL where
    //  claims are part of the effect's transaction. 0, or -1: the first failure; what could be
    //  settled is.
    int (*settle)(void *self, yam_inbox_entry_t *const *entries, size_t count, bool is_done);
    //  Forgets up to limit claims of a shard that were made before time_ms, oldest first. How many,
    //  or -1. NULL where claims go by themselves.
    int64_t (*prune)(void *self, uint32_t shard, int64_t time_ms, int64_t limit);
    void (*close)(void *self);
    //  A connection of a pruner's own to the database at place (a file, a URI), and its end. NULL
    //  with errno and a sentence. Both NULL where claims go by themselves.
    void *(*connect)(const char *place);
    void (*disconnect)(void *connection);
} yam_inbox_db_t;

//  An inbox over a provider's database; options as for yam_inbox_new. db must outlive it. NULL with
//  errno EINVAL (option, connection), or as open failed, and a sentence. The caller owns the
//  result.
YAM_EXPORT yam_inbox_t *
yam_inbox_new_over(const yam_inbox_db_t *db, void *connection, const char *options);

//  A pruner for the inbox in the provider's database at place; else as yam_pruner_new. db must
//  outlive it.
YAM_EXPORT yam_pruner_t *
yam_pruner_new_over(const yam_inbox_db_t *db, const char *place, const char *inbox_options,
                    const char *options);

#ifdef __cplusplus
}
#endif
#endif
