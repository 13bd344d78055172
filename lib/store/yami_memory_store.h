/*  yami_memory_store - a store in memory: the same promises while the process lives, none after.

    Bounded: append refuses data with ENOSPC beyond limit_bytes. Its commit is YAM_LEVEL_RECEIVED.
*/
#ifndef YAMI_MEMORY_STORE_H
#define YAMI_MEMORY_STORE_H

#include "yami_store.h"

//  An empty store. Never NULL.
yami_store_t *
yami_memory_store_new(uint64_t limit_bytes);

#endif
