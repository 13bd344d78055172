/*  yami_settle_list - settled messages on their way to the relay, gathered into ranges.

    Pure, not thread-safe. One group per kind, delay and reason, since one frame states one of each;
    within a group consecutive sequences of a lease extend the last range in O(1), whatever the
    order they are sorted and merged before they leave. Extensions leave first: a message is
    extended before it is settled. Memory: O(ranges), and a message is settled once, so no more than
    are leased; only a relay that delivers one twice makes it be settled twice.
*/
#ifndef YAMI_SETTLE_LIST_H
#define YAMI_SETTLE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_frame.h"

typedef struct {
    uint8_t type;          //  YAMI_FRAME_ACK ... YAMI_FRAME_RELEASE
    int64_t delay_ms;      //  NACK; -1: the relay's
    char *reason;          //  owned; NULL when none
    yami_settle_t *ranges; //  owned
    size_t count;
    size_t capacity;
    bool is_sorted;
} yami_settle_group_t;

typedef struct {
    yami_settle_group_t *groups; //  owned
    size_t count;
    size_t capacity;
    size_t latest;     //  index of the group used last
    uint64_t messages; //  added since it was empty, extensions included
    uint64_t doubles;  //  see yami_settle_list_doubles
} yami_settle_list_t;

//  Frees what it holds; empty then. A zeroed list is an empty one.
void
yami_settle_list_clear(yami_settle_list_t *self);

//  Adds one message. delay_ms counts for NACK only, reason (may be NULL; cut at YAMI_LIMIT_TEXT)
//  for NACK and REJECT. 0, or -1 with errno ENOMEM; nothing changed then.
int
yami_settle_list_add(yami_settle_list_t *self, uint8_t type, int64_t delay_ms, const char *reason,
                     uint64_t token, uint64_t sequence);

//  Fills type, ranges, delay and reason of the next frame; borrowed until the list changes. Whether
//  there was anything. *messages_p is how many messages it settles: 0 for an extension.
bool
yami_settle_list_next(yami_settle_list_t *self, yami_frame_t *frame, uint64_t *messages_p);

//  How many messages were found settled twice in the same way since it was last asked, extensions
//  not counted: they leave once.
uint64_t
yami_settle_list_doubles(yami_settle_list_t *self);

//  Takes out what next gave.
void
yami_settle_list_taken(yami_settle_list_t *self, const yami_frame_t *frame);

#endif
