/*  yam_callback_store - where a callback service keeps confirms and cases, and what people do with
    them.

    A store is given to a service, which owns it from then on; or it is used by people's tools
    beside the services that work on the same database. Not thread-safe; one owner. Errors of the
    database: EAGAIN (locked), EROFS, ENOSPC, EBADMSG, EIO ..., and a sentence.
*/
#ifndef YAM_CALLBACK_STORE_H
#define YAM_CALLBACK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_callback_db.h"
#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_callback_store yam_callback_store_t;

//  Opens the SQLite file at path; makes it and its tables when may_create, migrates them otherwise.
//  NULL with errno as above, EROFS only when may_create, ENOENT (no such file or tables),
//  EPROTONOSUPPORT (of a newer version).
//  The caller owns the result.
YAM_EXPORT yam_callback_store_t *
yam_callback_store_sqlite(const char *path, bool may_create);

//  Frees *self_p and clears it. Safe on NULL.
YAM_EXPORT void
yam_callback_store_destroy(yam_callback_store_t **self_p);

//  Walks over the cases of a state (0: all), the latest changed first, at most limit, into row;
//  begins where the case from (NULL: the first) is in that order, of whatever state. 0, or -1 with
//  errno ENOENT (no such case) or as above.
YAM_EXPORT int
yam_callback_store_walk(yam_callback_store_t *self, int state, const char *from, int64_t limit,
                        yam_case_t *row, yam_case_fn visit, void *arg);

//  Reads a case and its confirm. 0, or -1 with errno ENOENT (no such case) or as above.
YAM_EXPORT int
yam_callback_store_read(yam_callback_store_t *self, const char *id, yam_case_t *row,
                        yam_case_confirm_t *confirm);

//  Walks over the history of a case, the oldest first, into note. 0, or -1 as above.
YAM_EXPORT int
yam_callback_store_history(yam_callback_store_t *self, const char *id, yam_case_note_t *note,
                           yam_case_fn visit, void *arg);

//  Has the producer of a case called once more, by whatever service works on this database. Not of
//  cases that are DONE. 0, or -1 with errno ENOENT, EINVAL (its state) or as above.
YAM_EXPORT int
yam_callback_store_retry(yam_callback_store_t *self, const char *id);

//  Closes a case: nobody is called for it any more. note (may be NULL) is kept in its history.
//  Outcomes as retry.
YAM_EXPORT int
yam_callback_store_close_case(yam_callback_store_t *self, const char *id, const char *note);

//  Begins a trial: what retry and close_case do from now on they do as ever, with the same
//  outcomes, and end_trial undoes it. It is one transaction, within which nothing else is asked. 0,
//  or -1 as above.
YAM_EXPORT int
yam_callback_store_begin_trial(yam_callback_store_t *self);

//  Keeps errno and yam_error().
YAM_EXPORT void
yam_callback_store_end_trial(yam_callback_store_t *self);

//  "waiting", "calling", "open", "done", "gone", "closed"; "unknown" otherwise. Static storage.
YAM_EXPORT const char *
yam_case_state_name(int state);

#ifdef __cplusplus
}
#endif
#endif
