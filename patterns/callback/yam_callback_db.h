/*  yam_callback_db - what a callback service needs of a database: a table of operations, so that a
    database comes in a library of its own.

    Not for applications. Provided by libyam for SQLite, by libyam-postgres for PostgreSQL. What is
    kept is said in patterns/callback/SPEC.md, section "Tables"; decisions and statements are made
    above, so a database only runs them. Not thread-safe; one owner. Every function fails with -1,
    errno and a sentence: EAGAIN (locked), ENOTCONN (the server is away), ENOSPC, EROFS, EBADMSG,
    EIO ...; whichever it is, the service tries again.
*/
#ifndef YAM_CALLBACK_DB_H
#define YAM_CALLBACK_DB_H

#include <stddef.h>
#include <stdint.h>

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YAM_CALLBACK_ID 200    //  most bytes of an id
#define YAM_CALLBACK_NAME 200  //  of a queue or service
#define YAM_CALLBACK_TEXT 1024 //  of a reason or note

//  States of a case; the numbers stand in databases.
typedef enum {
    YAM_CASE_NONE = 0,
    YAM_CASE_WAITING = 1, //  the message is on its way; judged from due_ms on
    YAM_CASE_CALLING = 2, //  the producer shall resend; called, or called again, from due_ms on
    YAM_CASE_OPEN = 3,    //  for people
    YAM_CASE_DONE = 4,    //  confirmed, after all
    YAM_CASE_GONE = 5,    //  the producer has nothing to resend
    YAM_CASE_CLOSED = 6,  //  by people
} yam_case_state_t;

typedef struct {
    char id[YAM_CALLBACK_ID + 1];
    int state;      //  yam_case_state_t
    uint32_t round; //  how often it was resent
    uint32_t call;  //  number of the latest call, over all rounds: an older one's answer is stale
    uint32_t try_count; //  calls without an answer in this round
    int64_t due_ms;     //  wall clock
    int64_t delay_ms;   //  from a resend to the next look
    int64_t first_ms;   //  when the first check came
    int64_t changed_ms;
    char queue[YAM_CALLBACK_NAME + 1];   //  where the message was sent
    char service[YAM_CALLBACK_NAME + 1]; //  who resends it
} yam_case_t;

typedef enum {
    YAM_CONFIRM_NONE = 0, //  none came
    YAM_CONFIRM_DONE = 1,
    YAM_CONFIRM_FAILED = 2,
} yam_confirm_outcome_t;

typedef struct {
    char id[YAM_CALLBACK_ID + 1];
    int outcome;    //  yam_confirm_outcome_t
    uint32_t round; //  of the message it confirms
    int64_t time_ms;
    char reason[YAM_CALLBACK_TEXT + 1];
} yam_case_confirm_t;

//  A line of a case's history.
typedef struct {
    int64_t time_ms;
    uint32_t round;
    char event[16]; //  "missing", "failed", "resent", "unanswered", "open", "retry" ...
    char text[YAM_CALLBACK_TEXT + 1];
} yam_case_note_t;

//  Takes a row of a walk, which stands where it was told. 0 to go on, other values end the walk.
typedef int (*yam_case_fn)(void *arg);

//  A value: of a parameter, or of a column.
typedef struct {
    const char *text; //  borrowed; NULL: it is a number
    int64_t number;
} yam_callback_value_t;

#define YAM_CALLBACK_VALUES 11     //  most parameters of a statement, most columns of a row
#define YAM_CALLBACK_STATEMENTS 16 //  how many there are

typedef struct {
    int number;          //  0 .. YAM_CALLBACK_STATEMENTS - 1: a database may prepare each once
    int parameter_count; //  $1, $2 .., each for the first time in this order
    const char *text;    //  SQL that SQLite and PostgreSQL understand alike
    const char *what;    //  how the sentence of its failure begins
} yam_callback_statement_t;

//  Takes a row, which is good until it returns. 0 to go on, other values end the walk.
typedef int (*yam_callback_row_fn)(void *arg, const yam_callback_value_t *columns);

typedef struct {
    //  A transaction that writes, one after the other. After commit everything is durable. rollback
    //  never fails.
    int (*begin)(void *self);
    int (*commit)(void *self);
    void (*rollback)(void *self);
    //  Runs a statement; outside of a transaction only one that reads. Its rows go to take (NULL
    //  when it gives none). Returns how many rows it changed.
    int64_t (*run)(void *self, const yam_callback_statement_t *statement,
                   const yam_callback_value_t *values, yam_callback_row_fn take, void *arg);
    void (*destroy)(void *self);
} yam_callback_db_t;

//  Statement number index of those that make the tables, NULL behind the last. Static storage.
YAM_EXPORT const char *
yam_callback_schema(size_t index);

struct yam_callback_store;

//  A store over a database, which it takes over; see yam_callback_store.h. Never NULL.
YAM_EXPORT struct yam_callback_store *
yam_callback_store_new(const yam_callback_db_t *db, void *database);

#ifdef __cplusplus
}
#endif
#endif
