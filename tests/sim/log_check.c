//  The log's own check, in a file of its own: its headers and those of lib/wire share names.

#include "log_check.h"

#include "yami_log_state.h"

void
log_check(const yami_store_t *store)
{
    yami_log_check((const yami_log_t *) store); //  begins with the store
}

void
log_fill(yami_store_t *store)
{
    yami_spares_t *spares = ((yami_log_t *) store)->spares;
    yami_spares_look(spares, 0);
    (void) yami_spares_fill(spares); //  its failure shows when a segment is taken
}

uint64_t
log_newest_segment(const yami_store_t *store)
{
    return ((const yami_log_t *) store)->next_number - 1;
}
