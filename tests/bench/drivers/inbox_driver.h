/*  inbox_driver - what the bench of inboxes needs of each system: claims in transactions, by ids
    that are random, as 32 hexadecimal digits.

    "yam" systems claim by yam_inbox_claim_many; bare ones insert (id, 32 bytes, time) into a table
    with the id as primary key, or SET a key, each in the same transactions.
*/
#ifndef INBOX_DRIVER_H
#define INBOX_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_inbox.h"
#include "yam_message.h"

#define BENCH_ID_SIZE 56 //  most bytes of an id

typedef struct {
    const char *name;
    const char *server; //  environment variable with its address; NULL: a file
    const char *begin;  //  the statement that begins a transaction; NULL: there is none
    void *(*open)(const char *address, const char *options);
    void (*run)(void *self, const char *statement); //  where there are transactions
    //  Claims count messages whose ids are ids, within the transaction. How many were new.
    size_t (*claim)(void *self, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
                    size_t count);
    void (*close)(void *self);
} bench_inbox_t;

//  A whole transaction of claims. How many were new.
size_t
bench_inbox_transact(const bench_inbox_t *system, void *self, yam_message_t *const *messages,
                     char (*ids)[BENCH_ID_SIZE + 1], size_t count);

//  claim of systems with an inbox, where self begins with a yam_inbox_t *.
size_t
bench_inbox_claim(void *self, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
                  size_t count);

//  Returns inbox, or ends the program with what yam_error says.
yam_inbox_t *
bench_inbox_opened(yam_inbox_t *inbox);

extern const bench_inbox_t bench_inbox_yam_sqlite;
extern const bench_inbox_t bench_inbox_sqlite;
extern const bench_inbox_t bench_inbox_yam_postgres;
extern const bench_inbox_t bench_inbox_postgres;
extern const bench_inbox_t bench_inbox_yam_redis;
extern const bench_inbox_t bench_inbox_redis;

#endif
