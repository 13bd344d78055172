//  The log's own check, in a file of its own: its headers and those of lib/wire share names.

#include "log_check.h"

#include "yami_log_state.h"

void
log_check(const yami_store_t *store)
{
    yami_log_check((const yami_log_t *) store); //  begins with the store
}

uint64_t
log_newest_segment(const yami_store_t *store)
{
    return ((const yami_log_t *) store)->next_number - 1;
}
