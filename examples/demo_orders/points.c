//  points DATABASE ENDPOINT - the points service: a point for each euro that was paid.
#include "service.h"

#define TABLES "CREATE TABLE IF NOT EXISTS points (customer INTEGER PRIMARY KEY, points, orders)"

static void
s_give_points(service_t *self, order_t *order)
{
    if (strcmp(order->state, "paid") == 0) {
        service_sql(self,
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
    char endpoint[512];
    (void) snprintf(endpoint, sizeof endpoint, "%s&group=points", argv[2]);
    yam_sub_t *payments = yam_sub_new(self.yam, "payments.made", endpoint);
    if (payments == NULL) {
        service_fail("points", yam_error());
    }
    yam_message_t *message;
    while ((message = yam_sub_recv(payments, -1)) != NULL) {
        service_handle(&self, message, s_give_points);
        yam_sub_ack(payments, &message);
    }
    service_fail("points", yam_error());
}
