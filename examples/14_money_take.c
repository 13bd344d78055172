//  14_money_take - an effect exactly once, the taking side (see 14_money_give): the claim of a
//  message and its credit are in one transaction, the ack comes after it. A message that comes
//  again is a duplicate, and has no effect.
//
//      14_money_take DATABASE ENDPOINT         (ends when none has come for 3 s)
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <yam.h>

#define ACCOUNT                                                                                    \
    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"           \
    "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, cents INTEGER);"                  \
    "INSERT OR IGNORE INTO account VALUES (1, 0)"

//  Whether the message has had its effect, now or earlier.
static bool
s_take(sqlite3 *bank, yam_inbox_t *inbox, yam_message_t *cent)
{
    sqlite3_exec(bank, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    int claim = yam_inbox_claim(inbox, cent);
    bool is_taken =
        claim == YAM_CLAIM_DUPLICATE ||
        (claim == YAM_CLAIM_NEW &&
         sqlite3_exec(bank, "UPDATE account SET cents = cents + 1", NULL, NULL, NULL) == SQLITE_OK);
    return sqlite3_exec(bank, is_taken ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK &&
           is_taken;
}

int
main(int argc, char **argv)
{
    sqlite3 *bank = NULL;
    if (argc != 3 || sqlite3_open(argv[1], &bank) != SQLITE_OK ||
        sqlite3_exec(bank, ACCOUNT, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "usage: 14_money_take DATABASE ENDPOINT (%s)\n",
                argc == 3 ? sqlite3_errmsg(bank) : "two arguments");
        return 64;
    }
    yam_t *yam = yam_new();
    yam_inbox_t *inbox = yam_inbox_new(bank, NULL);
    yam_pull_t *pull = yam_pull_new(yam, "money", argv[2]);
    yam_message_t *cent;
    bool is_ready = inbox != NULL && pull != NULL;
    while (is_ready && (cent = yam_pull_recv(pull, 3000)) != NULL) {
        if (s_take(bank, inbox, cent)) {
            yam_pull_ack(pull, &cent);
        } else {
            yam_pull_nack(pull, &cent, -1, yam_error());
        }
    }
    yam_pull_destroy(&pull);
    yam_inbox_destroy(&inbox);
    yam_destroy(&yam);
    sqlite3_close(bank);
    return is_ready ? 0 : 1;
}
