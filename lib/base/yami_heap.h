/*  yami_heap - a binary min-heap of (when, id): timers of leases, retries and heartbeats.

    Pure, not thread-safe. Entries are not removed early: a stale entry is popped and found stale by
    its owner, so each owner re-checks what it pops.
    Invariant (yami_heap_check): no entry is earlier than its parent.
*/
#ifndef YAMI_HEAP_H
#define YAMI_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t when; //  milliseconds on the owner's clock
    uint64_t id;  //  the owner's name for what is due
} yami_heap_item_t;

typedef struct {
    yami_heap_item_t *items; //  owned
    size_t count;
    size_t capacity;
    size_t limit; //  most items ever held
} yami_heap_t;

void
yami_heap_init(yami_heap_t *self, size_t limit);

//  Frees what it holds; empty then. Safe twice.
void
yami_heap_clear(yami_heap_t *self);

//  Adds an item. Returns 0, or -1 with errno ENOSPC or ENOMEM; nothing changed then.
int
yami_heap_push(yami_heap_t *self, int64_t when, uint64_t id);

//  The earliest item, borrowed until the next change; NULL when empty.
const yami_heap_item_t *
yami_heap_peek(const yami_heap_t *self);

//  Takes the earliest item out into *item_p when it is due (when <= now). Returns whether it did.
bool
yami_heap_pop_due(yami_heap_t *self, int64_t now, yami_heap_item_t *item_p);

void
yami_heap_check(const yami_heap_t *self);

#endif
