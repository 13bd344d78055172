//  pay DATABASE ENDPOINT - the payment service: takes the money of an order from its
//  customer's account, if there is enough, and tells everybody.
#include "order.h"

#define TABLES                                                                                     \
    "CREATE TABLE IF NOT EXISTS payments (id INTEGER PRIMARY KEY, customer, cents, state);"        \
    "CREATE TABLE IF NOT EXISTS accounts (customer INTEGER PRIMARY KEY, cents);"                   \
    "INSERT OR IGNORE INTO accounts WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 "      \
    "FROM c WHERE n < 99) SELECT n, 100000 FROM c"

static void
s_pay(service_t *self, order_t *order)
{
    long long is_paid = database_run(self->database,
                                     "UPDATE accounts SET cents = cents - %lld WHERE customer = "
                                     "%lld AND cents >= %lld RETURNING 1",
                                     order->cents, order->customer, order->cents);
    (void) snprintf(order->state, sizeof order->state, "%s", is_paid ? "paid" : "declined");
    //  No "OR IGNORE": were an order to come here twice, this would end the program.
    database_run(self->database, "INSERT INTO payments VALUES (%lld, %lld, %lld, %Q)", order->order,
                 order->customer, order->cents, order->state);
    order_tell(self, "payments.made", true, order);
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: pay DATABASE ENDPOINT\n");
        return 64;
    }
    service_t self = service_open(argv[1], argv[2], TABLES);
    yam_pull_t *orders = yam_pull_new(self.yam, "payments", argv[2]);
    if (orders == NULL) {
        fail("pay", yam_error());
    }
    yam_message_t *message;
    while ((message = yam_pull_recv(orders, -1)) != NULL) {
        order_handle(&self, message, s_pay);
        yam_pull_ack(orders, &message);
    }
    fail("pay", yam_error());
}
