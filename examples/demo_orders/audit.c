//  audit SHOP PAYMENTS POINTS [SECONDS] - whether the books of three services that were killed at
//  random balance: waits so long [60] for the points service to catch up, then compares all of
//  them row by row.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static sqlite3 *s_database;

static long long
s_ask(const char *question)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(s_database, question, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        fprintf(stderr, "audit: %s: %s\n", question, sqlite3_errmsg(s_database));
        exit(1);
    }
    long long answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return answer;
}

//  What must be 0.
static const char *const s_faults[][2] = {
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

int
main(int argc, char **argv)
{
    if (argc < 4 || argc > 5 || sqlite3_open(argv[1], &s_database) != SQLITE_OK) {
        fprintf(stderr, "usage: audit SHOP PAYMENTS POINTS [SECONDS]\n");
        return 64;
    }
    char attach[1024];
    (void) sqlite3_snprintf(sizeof attach, attach,
                            "ATTACH %Q AS pay; ATTACH %Q AS points; PRAGMA busy_timeout = 10000",
                            argv[2], argv[3]);
    (void) sqlite3_exec(s_database, attach, NULL, NULL, NULL);
    long long paid = s_ask("SELECT count(*) FROM orders WHERE state = 'paid'");
    for (long left = argc == 5 ? strtol(argv[4], NULL, 10) : 60;
         left > 0 && s_ask("SELECT ifnull(sum(orders), 0) FROM points.points") < paid; left--) {
        sleep(1);
    }
    int failed = 0;
    for (size_t index = 0; index < sizeof s_faults / sizeof *s_faults; index++) {
        long long count = s_ask(s_faults[index][1]);
        if (count != 0) {
            fprintf(stderr, "audit: %lld %s\n", count, s_faults[index][0]);
            failed = 1;
        }
    }
    printf("%lld orders, %lld paid, %lld declined, %lld cents moved, books %s\n",
           s_ask("SELECT count(*) FROM orders"), paid,
           s_ask("SELECT count(*) FROM orders WHERE state = 'declined'"),
           s_ask("SELECT ifnull(sum(cents), 0) FROM orders WHERE state = 'paid'"),
           failed ? "WRONG" : "balance");
    sqlite3_close(s_database);
    return failed;
}
