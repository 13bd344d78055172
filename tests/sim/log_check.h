/*  log_check - asks a segment log whether its invariants hold, and aborts when one does not; and
    where it is.
*/
#ifndef LOG_CHECK_H
#define LOG_CHECK_H

#include "yami_store.h"

//  store: one that yami_segment_log_open gave.
void
log_check(const yami_store_t *store);

//  What the thread that fills segments does elsewhere: looks at the free disk, and fills.
void
log_fill(yami_store_t *store);

//  The number of the segment that it began last.
uint64_t
log_newest_segment(const yami_store_t *store);

#endif
