/*  log_check - asks a segment log whether its invariants hold; aborts when one does not.
*/
#ifndef LOG_CHECK_H
#define LOG_CHECK_H

#include "yami_store.h"

//  store: one that yami_segment_log_open gave.
void
log_check(const yami_store_t *store);

#endif
