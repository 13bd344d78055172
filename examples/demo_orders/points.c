//  points DATABASE ENDPOINT - the points service: a point for each euro that was paid.
#include "order.h"

#define TABLES "CREATE TABLE IF NOT EXISTS points (customer INTEGER PRIMARY KEY, points, orders)"

static void
s_give_points(service_t *self, order_t *order)
{
    if (strcmp(order->state, "paid") == 0) {
        database_run(self->database,
                     "INSERT INTO points VALUES (%lld, %lld, 1) ON CONFLICT DO UPDATE SET points = "
                     "points + excluded.points, orders = orders + 1",
                     order->customer, order->cents / 100);
    }
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: points DATABASE ENDPOINT\n");
        return 64;
    }
    service_t self = service_open(argv[1], argv[2], TABLES);
    yam_sub_t *payments = service_subscribe(&self, "payments.made", argv[2], "points");
    yam_message_t *message;
    while ((message = yam_sub_recv(payments, -1)) != NULL) {
        order_handle(&self, message, s_give_points);
        yam_sub_ack(payments, &message);
    }
    fail("points", yam_error());
}
