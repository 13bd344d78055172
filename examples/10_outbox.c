//  A message is sent if, and only if, its business row is there: both are written in one
//  transaction, and a dispatcher sends what was committed.
//
//  10_outbox orders.db '>tcp://127.0.0.1:9260?grade=sure'
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <yam.h>

//  Sells something; the message of a sale that fails is never sent.
static int
sell(sqlite3 *database, yam_outbox_t *outbox, const char *what, int price)
{
    yam_message_t *message = yam_message_new(what, strlen(what));
    char text[100];
    snprintf(text, sizeof text, "INSERT INTO sales VALUES ('%s', %d)", what, price);
    int is_sold = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
                  yam_outbox_put(outbox, "sales", message) > 0 &&
                  sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK;
    yam_message_destroy(&message);
    return sqlite3_exec(database, is_sold ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        return 64;
    }
    sqlite3 *database;
    sqlite3_open(argv[1], &database);
    yam_outbox_busy_timeout(database, 5000);
    sqlite3_exec(database,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "CREATE TABLE sales (what TEXT, price INTEGER CHECK (price > 0))",
                 NULL, NULL, NULL);
    yam_t *yam = yam_new();
    yam_outbox_t *outbox = yam_outbox_new(database, NULL);
    yam_dispatcher_t *dispatcher = yam_dispatcher_new(yam, argv[1], argv[2], NULL);
    yam_pull_t *pull = yam_pull_new(yam, "sales", argv[2]);
    if (outbox == NULL || dispatcher == NULL || pull == NULL) {
        fprintf(stderr, "10_outbox: %s\n", yam_error());
        return 1;
    }
    sell(database, outbox, "nuts", 42);
    sell(database, outbox, "air", 0); //  the constraint forbids it: no row, and no message
    sell(database, outbox, "bolts", 17);
    yam_dispatcher_wake(dispatcher); //  it would look by itself within 20 ms
    for (int count = 0; count < 2; count++) {
        yam_message_t *message = yam_pull_recv(pull, 10000);
        printf("%.*s\n", (int) yam_message_size(message), (const char *) yam_message_body(message));
        yam_pull_ack(pull, &message);
    }
    int rc = yam_dispatcher_flush(dispatcher, 10000); //  all marked
    yam_pull_destroy(&pull);
    yam_dispatcher_destroy(&dispatcher);
    yam_outbox_destroy(&outbox);
    yam_destroy(&yam);
    return sqlite3_close(database) == SQLITE_OK && rc == 0 ? 0 : 1;
}
