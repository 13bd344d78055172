/*  yami_prefixes - what a publisher's subscribers asked for, and how many messages each prefix got.

    A subscriber to a prefix sees only part of a publisher's sequences, so the publisher counts per
    prefix, and says so in the frames' marks (yami_topic_frame.h). Pure. Invariants:
    (1) Entries are in the order of their bytes, and each once; count <= YAMI_LIMIT_PREFIXES.
    (2) When is_linked, an entry's parent is the longest other entry that is a prefix of it. So of
    any bytes the last entry that does not come behind them, and its ancestors, are all that can be
    prefixes of them.
    (3) An entry stays when its subscribers are gone, so that one that comes again learns what it
    missed; and whoever cancels what others want takes nothing from them. When all places are taken,
    a new one gets that of the entry that was longest without a message or a subscription.
*/
#ifndef YAMI_PREFIXES_H
#define YAMI_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct yami_prefix yami_prefix_t;

typedef struct {
    yami_prefix_t **entries; //  owned, (1)
    size_t count;
    size_t capacity;
    bool is_linked; //  (2)
} yami_prefixes_t;

//  Zeroed it is empty. Frees what it holds; empty then.
void
yami_prefixes_clear(yami_prefixes_t *self);

//  Somebody subscribed to size bytes; sequence: of the publisher's latest message in a frame. The
//  empty prefix is none, nor is what no subject can have. What there is no memory for is not
//  counted.
void
yami_prefixes_subscribe(yami_prefixes_t *self, const uint8_t *bytes, size_t size,
                        uint64_t sequence);

//  The longest entry that is a prefix of the bytes, NULL when there is none. Borrowed until the
//  next change.
yami_prefix_t *
yami_prefixes_find(yami_prefixes_t *self, const void *bytes, size_t size);

//  Writes the marks of that prefix and of its own, the longest first; at has room for
//  YAMI_MARKS_SIZE_LIMIT. Returns their size; 0 for NULL.
size_t
yami_prefix_marks(const yami_prefix_t *longest, uint8_t *at);

//  They got count messages more, up to that sequence. Safe on NULL.
void
yami_prefix_add(yami_prefix_t *longest, uint32_t count, uint64_t sequence);

#endif
