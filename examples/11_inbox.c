//  11_inbox - a payment is booked once, however often its message comes, many in one transaction.
//  The claims are in the transaction of what they are for. (14_money_take does it one by one.)
//
//      11_inbox DATABASE
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <yam.h>

#define COUNT 4

static yam_message_t *
s_payment(const char *id, const char *cents)
{
    yam_message_t *message = yam_message_new(cents, strlen(cents));
    yam_message_set(message, "id", id); //  yam_outbox does that by itself
    return message;
}

int
main(int argc, char **argv)
{
    static const char *const names[] = {"", "new", "duplicate", "conflict"};
    sqlite3 *bank;
    if (argc != 2 || sqlite3_open(argv[1], &bank) != SQLITE_OK) {
        fprintf(stderr, "usage: 11_inbox DATABASE\n");
        return 64;
    }
    sqlite3_exec(bank, "CREATE TABLE booked (cents INTEGER)", NULL, NULL, NULL);
    yam_inbox_t *inbox = yam_inbox_new(bank, "shards=4&retention=720h");
    yam_message_t *payments[COUNT] = {s_payment("p-1", "500"), s_payment("p-2", "70"),
                                      s_payment("p-1", "500"),   //  it came again
                                      s_payment("p-2", "7000")}; //  and this is another one
    yam_claim_t verdicts[COUNT];
    sqlite3_exec(bank, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (inbox == NULL || yam_inbox_claim_many(inbox, payments, COUNT, verdicts) == -1) {
        fprintf(stderr, "11_inbox: %s\n", yam_error());
        return 1; //  closed without a COMMIT: nothing was claimed, all will come again
    }
    for (int index = 0; index < COUNT; index++) {
        const char *cents = yam_message_body(payments[index]);
        int size = (int) yam_message_size(payments[index]);
        char text[64];
        snprintf(text, sizeof text, "INSERT INTO booked VALUES (%.*s)", size, cents);
        if (verdicts[index] == YAM_CLAIM_NEW) {
            sqlite3_exec(bank, text, NULL, NULL, NULL);
        }
        printf("%.*s %s\n", size, cents, names[verdicts[index]]);
        yam_message_destroy(&payments[index]);
    }
    sqlite3_exec(bank, "COMMIT", NULL, NULL, NULL); //  then ack them, and reject the conflicts
    yam_inbox_destroy(&inbox);
    sqlite3_close(bank);
    return 0;
}
