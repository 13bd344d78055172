//  shop DATABASE ENDPOINT SECONDS - the order service: takes an order about every
//  millisecond for so long, asks for its payment, and notes what became of it. Ends when every
//  order is settled.
#include "order.h"

#include <time.h>

//  The order, and the message that asks for its payment: both, or neither.
static void
s_take_order(service_t *self)
{
    database_run(self->database, "BEGIN IMMEDIATE");
    order_t order = {.state = "open"};
    order.customer = database_run(self->database, "SELECT abs(random()) %% 100");
    order.cents = database_run(self->database, "SELECT 1 + abs(random()) %% 5000");
    order.order = database_run(self->database,
                               "INSERT INTO orders (customer, cents, state) VALUES (%lld, %lld, "
                               "'open') RETURNING id",
                               order.customer, order.cents);
    order_tell(self, "payments", false, &order);
    database_run(self->database, "COMMIT");
    yam_dispatcher_wake(self->dispatcher);
}

static void
s_settled(service_t *self, order_t *order)
{
    database_run(self->database, "UPDATE orders SET state = %Q, told = told + 1 WHERE id = %lld",
                 order->state, order->order);
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: shop DATABASE ENDPOINT SECONDS\n");
        return 64;
    }
    service_t self = service_open(argv[1], argv[2],
                                  "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, "
                                  "customer, cents, state, told DEFAULT 0)");
    yam_sub_t *results = service_subscribe(&self, "payments.made", argv[2], "shop");
    time_t end = time(NULL) + strtol(argv[3], NULL, 10);
    while (time(NULL) < end ||
           database_run(self.database, "SELECT count(*) FROM orders WHERE state = 'open'") > 0) {
        if (time(NULL) < end) {
            s_take_order(&self);
        }
        yam_message_t *message;
        while ((message = yam_sub_recv(results, 1)) != NULL) {
            order_handle(&self, message, s_settled);
            yam_sub_ack(results, &message);
        }
    }
    yam_sub_destroy(&results);
    service_close(&self);
    return 0;
}
