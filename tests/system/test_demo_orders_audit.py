#!/usr/bin/python3
"""The audit of `make demo-orders` over small books: it calls right what balances, and wrong what was changed, doubled or
lost in any of the three databases."""

import os
import sqlite3

from yamd_support import folder, main, need_example, run

AUDIT = os.path.join(os.path.abspath(os.environ.get("YAM_BUILD") or "build"), "examples/demo_orders/audit")
BOOKS = ("shop.db", "pay.db", "points.db")

#   Orders 1 and 2 of customer 7, and 3 of customer 8, which was too dear. Of outboxes the audit asks for states only.
SOUND = {
    "shop.db": """CREATE TABLE orders (id INTEGER PRIMARY KEY, customer, cents, state, told DEFAULT 0);
                  INSERT INTO orders VALUES (1, 7, 250, 'paid', 1), (2, 7, 4900, 'paid', 1), (3, 8, 100001, 'declined', 1);
                  CREATE TABLE yam_outbox (state); INSERT INTO yam_outbox VALUES (1)""",
    "pay.db": """CREATE TABLE payments (id INTEGER PRIMARY KEY, customer, cents, state);
                 CREATE TABLE accounts (customer INTEGER PRIMARY KEY, cents);
                 INSERT INTO payments VALUES (1, 7, 250, 'paid'), (2, 7, 4900, 'paid'), (3, 8, 100001, 'declined');
                 INSERT INTO accounts VALUES (7, 94850), (8, 100000);
                 CREATE TABLE yam_outbox (state); INSERT INTO yam_outbox VALUES (1)""",
    "points.db": """CREATE TABLE points (customer INTEGER PRIMARY KEY, points, orders);
                    INSERT INTO points VALUES (7, 51, 2)""",
}


def change(name, text):
    book = sqlite3.connect(folder(name))
    book.executescript(f"BEGIN; {text}; COMMIT")
    book.close()


def write_books():
    for name in BOOKS:
        if os.path.exists(folder(name)):
            os.unlink(folder(name))
        change(name, SOUND[name])


def audit(code):
    """What it says, and says of errors."""
    return run(AUDIT, *map(folder, BOOKS), "0", code=code)


def assert_wrong(faults):
    """Of each change to sound books, (book, statement, what must be said), the audit finds that."""
    for name, text, words in faults:
        write_books()
        change(name, text)
        output, errors = audit(code=1)
        assert "books WRONG" in output and words in errors, (text, output, errors)


def test_books_that_balance_are_called_so():
    write_books()
    output, errors = audit(code=0)
    assert (output, errors) == ("3 orders, 2 paid, 1 declined, 5150 cents moved, books balance\n", ""), (output, errors)


def test_a_row_that_was_changed_is_found():
    assert_wrong((
        ("shop.db", "UPDATE orders SET cents = 251 WHERE id = 1", "1 orders and payments that differ"),
        ("shop.db", "UPDATE orders SET customer = 8 WHERE id = 1", "1 orders and payments that differ"),
        ("shop.db", "UPDATE orders SET state = 'open' WHERE id = 1", "1 orders never settled"),
        ("pay.db", "UPDATE payments SET state = 'declined' WHERE id = 1", "1 orders and payments that differ"),
        ("pay.db", "UPDATE accounts SET cents = cents + 1 WHERE customer = 8", "1 accounts that differ"),
        ("points.db", "UPDATE points SET points = points - 1", "1 customers with wrong points"),
        ("points.db", "UPDATE points SET customer = 8", "2 customers with wrong points"),
    ))


def test_what_was_done_twice_is_found():
    assert_wrong((
        ("shop.db", "UPDATE orders SET told = 2 WHERE id = 1", "1 orders settled more than once"),
        ("pay.db", "INSERT INTO payments SELECT 4, customer, cents, state FROM payments WHERE id = 1",
         "1 payments without an order"),
        ("pay.db", "UPDATE accounts SET cents = cents - 250 WHERE customer = 7", "1 accounts that differ"),
        ("points.db", "UPDATE points SET points = points + 2, orders = orders + 1", "1 customers with wrong points"),
    ))


def test_a_row_that_is_missing_is_found():
    assert_wrong((
        ("shop.db", "DELETE FROM orders WHERE id = 1", "1 payments without an order"),
        ("pay.db", "DELETE FROM payments WHERE id = 1", "1 orders and payments that differ"),
        ("pay.db", "DELETE FROM payments WHERE id = 3", "1 orders and payments that differ"),
        ("pay.db", "DELETE FROM accounts WHERE customer = 7", "1 customers without an account"),
        ("points.db", "DELETE FROM points", "1 customers with wrong points"),
    ))


def test_a_message_that_failed_is_found():
    assert_wrong([(name, "INSERT INTO yam_outbox VALUES (2)", "1 messages that failed") for name in ("shop.db", "pay.db")])


if __name__ == "__main__":
    need_example(AUDIT)
    main(globals())
