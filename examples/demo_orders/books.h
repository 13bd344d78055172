//  books - what may be wrong with the books of the three services, and how to count it. The tables
//  of the payment and the points service are attached to the shop's, as pay and points.
#ifndef BOOKS_H
#define BOOKS_H

//  Each is a fault, and a question whose answer must be 0.
static const char *const book_faults[][2] = {
    {"orders never settled", "SELECT count(*) FROM orders WHERE state NOT IN ('paid', 'declined')"},
    {"orders settled more than once", "SELECT count(*) FROM orders WHERE told <> 1"},
    {"orders and payments that differ",
     "SELECT count(*) FROM orders o LEFT JOIN pay.payments p USING (id) WHERE p.id IS NULL OR "
     "(o.customer, o.cents, o.state) <> (p.customer, p.cents, p.state)"},
    {"payments without an order",
     "SELECT count(*) FROM pay.payments WHERE id NOT IN (SELECT id FROM orders)"},
    {"accounts that differ from what was paid",
     "SELECT count(*) FROM pay.accounts a WHERE cents <> 100000 - (SELECT ifnull(sum(cents), 0) "
     "FROM pay.payments p WHERE p.customer = a.customer AND state = 'paid')"},
    {"customers with wrong points",
     "SELECT count(*) FROM pay.accounts a WHERE (SELECT ifnull(sum(cents / 100), 0) FROM "
     "pay.payments p WHERE p.customer = a.customer AND state = 'paid') <> (SELECT "
     "ifnull(sum(points), 0) FROM points.points o WHERE o.customer = a.customer)"},
    {"customers without an account",
     "SELECT count(*) FROM (SELECT customer FROM pay.payments UNION SELECT customer FROM "
     "points.points) WHERE customer NOT IN (SELECT customer FROM pay.accounts)"},
    {"messages that failed",
     "SELECT (SELECT count(*) FROM yam_outbox WHERE state = 2) + (SELECT count(*) FROM "
     "pay.yam_outbox WHERE state = 2)"},
};

#endif
