/*  yam_callback_db - what a callback service needs of a database: a table of operations, so that a
    database comes in a library of its own.

    Not for applications. Provided by libyam for SQLite, by libyam-postgres for PostgreSQL. What is
    kept is said in patterns/callback/SPEC.md, section "Tables"; all decisions are made above, so a
    database only reads and writes rows. Not thread-safe; one owner. Every function fails with -1,
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

typedef struct {
    //  A transaction that writes; only walks and history are called outside of one. After commit
    //  everything is durable. rollback never fails.
    int (*begin)(void *self);
    int (*commit)(void *self);
    void (*rollback)(void *self);
    //  Reads case and confirm of an id; state and outcome are 0 for what is not there. Until the
    //  end of the transaction nobody else changes that case.
    int (*read)(void *self, const char *id, yam_case_t *row, yam_case_confirm_t *confirm);
    int (*write_case)(void *self, const yam_case_t *row); //  inserts or replaces
    int (*drop_case)(void *self, const char *id);         //  with its history
    int (*write_confirm)(void *self, const yam_case_confirm_t *confirm);
    int (*write_note)(void *self, const char *id, const yam_case_note_t *note);
    //  Walks over at most limit cases of state, 0: of all, the latest changed first.
    int (*walk)(void *self, int state, int64_t limit, yam_case_t *row, yam_case_fn visit,
                void *arg);
    //  The same, those with due_ms <= now_ms, or changed_ms > skew_ms: then a clock was set back.
    //  By due_ms.
    int (*walk_due)(void *self, int state, int64_t now_ms, int64_t skew_ms, int64_t limit,
                    yam_case_t *row, yam_case_fn visit, void *arg);
    //  Walks over the history of a case, the oldest first.
    int (*history)(void *self, const char *id, yam_case_note_t *note, yam_case_fn visit, void *arg);
    //  Forgets up to limit confirms and up to limit cases (DONE, GONE or CLOSED) that are older
    //  than time_ms. Returns how many.
    int64_t (*prune)(void *self, int64_t time_ms, int64_t limit);
    void (*destroy)(void *self);
} yam_callback_db_t;

struct yam_callback_store;

//  A store over a database, which it takes over; see yam_callback_store.h. Never NULL.
YAM_EXPORT struct yam_callback_store *
yam_callback_store_new(const yam_callback_db_t *db, void *database);

#ifdef __cplusplus
}
#endif
#endif
