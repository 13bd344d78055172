/*  yam_pruner - forgets in the background what an inbox has remembered for long enough.

    A thread with a database connection of its own, one for each database, in any process that can
    reach it; several do no harm. Without one, claims forget (yam_inbox.h), in the transactions of
    the application; beside one they find nothing to do. Thread-safe but for its end. Invariants:
    (1) Nothing is forgotten before retention is over, by the wall clock.
    (2) It holds the database's locks for one batch at a time, and then leaves it alone for as long
    as that took, at least.
    (3) A database that is locked, full or away is tried again; a lost connection is made anew.
*/
#ifndef YAM_PRUNER_H
#define YAM_PRUNER_H

#include <stdint.h>

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_pruner yam_pruner_t;

//  Starts a pruner for the inbox in an SQLite database file, whose tables it makes or migrates.
//  inbox_options are those the application gives yam_inbox_new (prefix, shards, retention), options
//  the pruner's own, "name=value&...": see yam_pruner_options_help; both may be NULL. NULL with
//  errno EINVAL (option, no file), ENOENT (no such file), as yam_inbox_new, EAGAIN (no thread), and
//  a sentence. The caller owns the result.
YAM_EXPORT yam_pruner_t *
yam_pruner_new(const char *file, const char *inbox_options, const char *options);

//  Ends it, after the batch it is at, and frees *self_p; clears it. Safe on NULL.
YAM_EXPORT void
yam_pruner_destroy(yam_pruner_t **self_p);

//  Counters since new.
typedef struct {
    uint64_t pruned;   //  claims forgotten
    uint64_t rounds;   //  looks at the database that found nothing more to forget
    uint64_t troubles; //  batches that failed: locked, full, away ...
} yam_pruner_stats_t;

YAM_EXPORT void
yam_pruner_stats(yam_pruner_t *self, yam_pruner_stats_t *stats);

//  Text for people: every option, one per line. Static storage.
YAM_EXPORT const char *
yam_pruner_options_help(void);

#ifdef __cplusplus
}
#endif
#endif
