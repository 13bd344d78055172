/*  yam_error - what went wrong, in words, for the calling thread.

    Functions of libyam return 0 / -1 or NULL and set errno; most also leave one sentence that says
    what failed, why, and what to do. It is not a log: only the last failure is kept, per thread.
*/
#ifndef YAM_ERROR_H
#define YAM_ERROR_H

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

//  The sentence left by the last failed call of this thread, "" when there was none. Never NULL.
//  Borrowed; valid until the next failing call of the same thread.
YAM_EXPORT const char *
yam_error(void);

//  Sets errno and the sentence, cut at 511 bytes; returns -1. For what plugs into Yam, such as a
//  database of yam_inbox_db.h, so that it fails in words as Yam does: WHAT: WHY (WHAT TO DO).
YAM_EXPORT int
yam_error_set(int error, const char *sentence);

#ifdef __cplusplus
}
#endif
#endif
