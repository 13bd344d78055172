//  14_money_give - an effect exactly once, the giving side: an account's cents, one by one, go to
//  an account in another bank's database. A debit and its message are in one transaction. Kill this
//  program, 14_money_take or the relay at any time and start it again: no cent is lost or doubled.
//
//      14_money_give DATABASE ENDPOINT         (ends when the 1000 cents are gone and confirmed)
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <yam.h>

#define ACCOUNT                                                                                    \
    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"           \
    "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, cents INTEGER);"                  \
    "INSERT OR IGNORE INTO account VALUES (1, 1000)"

//  Whether there was a cent, and it is on its way.
static bool
s_give(sqlite3 *bank, yam_outbox_t *outbox)
{
    yam_message_t *cent = yam_message_new("a cent", 6);
    sqlite3_exec(bank, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    bool is_given = sqlite3_exec(bank, "UPDATE account SET cents = cents - 1 WHERE cents > 0", NULL,
                                 NULL, NULL) == SQLITE_OK &&
                    sqlite3_changes(bank) == 1 && yam_outbox_put(outbox, "money", cent) != -1;
    yam_message_destroy(&cent);
    return sqlite3_exec(bank, is_given ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK &&
           is_given;
}

int
main(int argc, char **argv)
{
    sqlite3 *bank = NULL;
    if (argc != 3 || sqlite3_open(argv[1], &bank) != SQLITE_OK ||
        sqlite3_exec(bank, ACCOUNT, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "usage: 14_money_give DATABASE ENDPOINT (%s)\n",
                argc == 3 ? sqlite3_errmsg(bank) : "two arguments");
        return 64;
    }
    yam_t *yam = yam_new();
    yam_outbox_t *outbox = yam_outbox_new(bank, NULL);
    yam_dispatcher_t *dispatcher = yam_dispatcher_new(yam, argv[1], argv[2], NULL);
    bool is_ready = outbox != NULL && dispatcher != NULL;
    if (!is_ready) {
        fprintf(stderr, "14_money_give: %s\n", yam_error());
    }
    while (is_ready && s_give(bank, outbox)) {
        yam_dispatcher_wake(dispatcher);
    }
    int rc = is_ready ? yam_dispatcher_flush(dispatcher, -1) : -1;
    yam_dispatcher_destroy(&dispatcher);
    yam_outbox_destroy(&outbox);
    yam_destroy(&yam);
    sqlite3_close(bank);
    return rc == 0 ? 0 : 1;
}
