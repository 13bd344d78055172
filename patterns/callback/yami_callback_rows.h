/*  yami_callback_rows - the rows of cases, confirms and histories, and the statements for them,
    which are the same for every database.

    All but walks and history are called within a transaction. 0, or -1 with errno and a sentence of
    the database.
*/
#ifndef YAMI_CALLBACK_ROWS_H
#define YAMI_CALLBACK_ROWS_H

#include <stdint.h>

#include "yami_callback_store.h"

//  Reads case and confirm of an id; state and outcome are 0 for what is not there. Until the end of
//  the transaction nobody else changes that case.
int
yami_callback_rows_read(yam_callback_store_t *store, const char *id, yam_case_t *row,
                        yam_case_confirm_t *confirm);

//  Inserts or replaces.
int
yami_callback_rows_write_case(yam_callback_store_t *store, const yam_case_t *row);
int
yami_callback_rows_write_confirm(yam_callback_store_t *store, const yam_case_confirm_t *confirm);

//  Adds a line to the history of a case.
int
yami_callback_rows_write_note(yam_callback_store_t *store, const char *id,
                              const yam_case_note_t *note);

//  With its history.
int
yami_callback_rows_drop_case(yam_callback_store_t *store, const char *id);

//  Walks over at most limit cases of state, 0: of all, the latest changed first, from where the
//  case from (NULL: the first) is in that order; over none when there is no such case.
int
yami_callback_rows_walk(yam_callback_store_t *store, int state, const char *from, int64_t limit,
                        yam_case_t *row, yam_case_fn visit, void *arg);

//  The same, those with due_ms <= now_ms, or changed_ms > skew_ms: then a clock was set back. By
//  due_ms.
int
yami_callback_rows_walk_due(yam_callback_store_t *store, int state, int64_t now_ms, int64_t skew_ms,
                            int64_t limit, yam_case_t *row, yam_case_fn visit, void *arg);

//  Walks over the history of a case, the oldest first.
int
yami_callback_rows_history(yam_callback_store_t *store, const char *id, yam_case_note_t *note,
                           yam_case_fn visit, void *arg);

//  Forgets up to limit confirms and up to limit cases (DONE, GONE or CLOSED) that are older than
//  time_ms. Returns how many.
int64_t
yami_callback_rows_prune(yam_callback_store_t *store, int64_t time_ms, int64_t limit);

#endif
