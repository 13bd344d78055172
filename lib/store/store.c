//  What all stores share.

#include "yami_base.h"
#include "yami_store.h"

void
yami_store_release(yami_entry_t *entry)
{
    yami_free((void *) entry->meta); //  const is for the owner of the entry; read allocated it
    entry->meta = NULL;
    entry->meta_size = 0;
    yami_block_unref(&entry->data);
}
