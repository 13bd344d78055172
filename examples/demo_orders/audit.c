//  audit SHOP PAYMENTS POINTS [SECONDS] - whether the books of three services that were killed at
//  random balance: waits so long [60] for the points service to catch up, then compares all of
//  them row by row.
#include "books.h"

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
    for (size_t index = 0; index < sizeof book_faults / sizeof *book_faults; index++) {
        long long count = s_ask(book_faults[index][1]);
        if (count != 0) {
            fprintf(stderr, "audit: %lld %s\n", count, book_faults[index][0]);
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
