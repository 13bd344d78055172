/*  yami_relay_tickets - which ticket of the core became which LSN of the store, in order.

    Pure, not thread-safe. Bounded by what producers may have unconfirmed; both columns ascend.
*/
#ifndef YAMI_RELAY_TICKETS_H
#define YAMI_RELAY_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t ticket;
    uint64_t lsn;
} yami_relay_ticket_t;

typedef struct {
    yami_relay_ticket_t *items; //  owned; used from head
    size_t head;
    size_t count; //  from head on
    size_t capacity;
} yami_relay_tickets_t;

void
yami_relay_tickets_init(yami_relay_tickets_t *self);

void
yami_relay_tickets_clear(yami_relay_tickets_t *self);

//  Both greater than those pushed before. False with errno ENOMEM.
bool
yami_relay_tickets_push(yami_relay_tickets_t *self, uint64_t ticket, uint64_t lsn);

//  Takes out all with LSNs up to durable_lsn; returns the highest ticket of them, 0 when there was
//  none.
uint64_t
yami_relay_tickets_pop(yami_relay_tickets_t *self, uint64_t durable_lsn);

#endif
