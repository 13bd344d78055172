//  order - what the services tell each other, and the transaction in which it has its effect once.
#ifndef ORDER_H
#define ORDER_H

#include "service.h"

#include <string.h>

typedef struct {
    long long order;
    long long customer;
    long long cents;
    char state[16]; //  "open", "paid", "declined"
} order_t;

//  Tells what became of an order, with what happens to it in the transaction that is open.
static inline void
order_tell(service_t *self, const char *channel, bool is_topic, const order_t *order)
{
    char body[96];
    int size = snprintf(body, sizeof body, "%lld %lld %lld %s", order->order, order->customer,
                        order->cents, order->state);
    yam_message_t *message = yam_message_new(body, (size_t) size);
    int64_t row = is_topic ? yam_outbox_put_topic(self->outbox, channel, message)
                           : yam_outbox_put(self->outbox, channel, message);
    if (row == -1) {
        fail(channel, yam_error());
    }
    yam_message_destroy(&message);
}

//  Has the effect of a message, unless it had it already: claim, effect and what it tells others
//  are one transaction. The message may be acknowledged then.
static inline void
order_handle(service_t *self, const yam_message_t *message,
             void (*effect)(service_t *self, order_t *order))
{
    char body[96] = "";
    order_t order;
    size_t size = yam_message_size(message);
    memcpy(body, yam_message_body(message), size < sizeof body ? size : sizeof body - 1);
    if (sscanf(body, "%lld %lld %lld %15s", &order.order, &order.customer, &order.cents,
               order.state) != 4) {
        fail("not an order", body);
    }
    database_run(self->database, "BEGIN IMMEDIATE");
    switch (yam_inbox_claim(self->inbox, message)) {
    case YAM_CLAIM_NEW:
        effect(self, &order);
        break;
    case YAM_CLAIM_DUPLICATE:
        break;
    default:
        fail("claim", yam_error());
    }
    database_run(self->database, "COMMIT");
    yam_dispatcher_wake(self->dispatcher);
}

#endif
