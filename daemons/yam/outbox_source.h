/*  Where the outbox is that a command looks after: in a file of SQLite's, or at a PostgreSQL
    server.
 */
#ifndef YAM_CLI_OUTBOX_SOURCE_H
#define YAM_CLI_OUTBOX_SOURCE_H

#include <libpq-fe.h>
#include <sqlite3.h>

#include "yam_outbox.h"

typedef struct {
    sqlite3 *database; //  owned, as all; one of these two
    PGconn *connection;
    yam_outbox_t *outbox;
} cli_outbox_t;

//  database is a file or a URI. One without an outbox is left as it is. EX_OK, or an exit code
//  after a complaint; then there is nothing to close.
int
cli_outbox_open(cli_outbox_t *self, const char *database, const char *prefix);

void
cli_outbox_close(cli_outbox_t *self);

#endif
