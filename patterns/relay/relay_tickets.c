#include "yami_relay_tickets.h"

#include <string.h>

#include "yami_base.h"

#define S_LIMIT ((size_t) 1 << 24)

void
yami_relay_tickets_init(yami_relay_tickets_t *self)
{
    memset(self, 0, sizeof *self);
}

void
yami_relay_tickets_clear(yami_relay_tickets_t *self)
{
    yami_free(self->items);
    memset(self, 0, sizeof *self);
}

bool
yami_relay_tickets_push(yami_relay_tickets_t *self, uint64_t ticket, uint64_t lsn)
{
    if (self->head > 0 && self->head + self->count == self->capacity) {
        memmove(self->items, self->items + self->head, self->count * sizeof *self->items);
        self->head = 0;
    }
    if (yami_grow(&self->items, &self->capacity, self->head + self->count + 1, sizeof *self->items,
                  S_LIMIT) == -1) {
        return false;
    }
    YAM_ASSERT(self->count == 0 || (self->items[self->head + self->count - 1].ticket < ticket &&
                                    self->items[self->head + self->count - 1].lsn < lsn));
    self->items[self->head + self->count++] = (yami_relay_ticket_t) {ticket, lsn};
    return true;
}

uint64_t
yami_relay_tickets_pop(yami_relay_tickets_t *self, uint64_t durable_lsn)
{
    uint64_t ticket = 0;
    while (self->count > 0 && self->items[self->head].lsn <= durable_lsn) {
        ticket = self->items[self->head].ticket;
        self->head++;
        self->count--;
    }
    if (self->count == 0) {
        self->head = 0;
    }
    return ticket;
}
