//  Where the outbox is that a command looks after. See the header.

#include <stdio.h>

#include "cli.h"
#include "outbox_source.h"
#include "yam_outbox_postgres.h"
#include "yam_postgres.h"

#define S_BUSY_MS 5000

//  An outbox at a server. EX_OK, or an exit code after a complaint.
static int
s_connect(cli_outbox_t *self, const char *uri, const char *options)
{
    self->connection = yam_postgres_open(uri);
    if (self->connection == NULL) {
        return cli_complain_errno();
    }
    self->outbox = yam_outbox_postgres_new(self->connection, options);
    return EX_OK;
}

//  The same in a file.
static int
s_open_file(cli_outbox_t *self, const char *file, const char *options)
{
    if (sqlite3_open_v2(file, &self->database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        return cli_complain(EX_NOINPUT, "cannot open database %s: %s", file,
                            sqlite3_errmsg(self->database));
    }
    (void) sqlite3_busy_timeout(self->database, S_BUSY_MS);
    self->outbox = yam_outbox_new(self->database, options);
    return EX_OK;
}

int
cli_outbox_open(cli_outbox_t *self, const char *database, const char *prefix)
{
    char options[80];
    (void) snprintf(options, sizeof options, "prefix=%s", prefix);
    int exit_code = yam_postgres_is_uri(database) ? s_connect(self, database, options)
                                                  : s_open_file(self, database, options);
    if (exit_code == EX_OK && self->outbox == NULL) {
        exit_code = cli_complain_errno();
    }
    if (exit_code != EX_OK) {
        cli_outbox_close(self);
    }
    return exit_code;
}

void
cli_outbox_close(cli_outbox_t *self)
{
    yam_outbox_destroy(&self->outbox);
    (void) sqlite3_close(self->database);
    PQfinish(self->connection);
    *self = (cli_outbox_t) {NULL, NULL, NULL};
}
