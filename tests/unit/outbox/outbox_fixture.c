//  outbox_fixture - see the header.

#include "outbox_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_outbox_sqlite.h"

#define S_BUSY_MS 10000

char outbox_path[128];
sqlite3 *outbox_database;
yam_outbox_t *outbox;

sqlite3 *
outbox_open(void)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(outbox_path, &database), SQLITE_OK);
    (void) sqlite3_busy_timeout(database, S_BUSY_MS);
    return database;
}

void
outbox_run(sqlite3 *database, const char *text)
{
    char *error = NULL;
    if (sqlite3_exec(database, text, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", text, error);
    }
}

static void
s_run(const char *text)
{
    outbox_run(outbox_database, text);
}

int
outbox_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(outbox_path, sizeof outbox_path, "%s/outbox-%d.db", folder ? folder : "/tmp",
                    getpid());
    (void) unlink(outbox_path);
    outbox_database = outbox_open();
    outbox_run(outbox_database, "PRAGMA journal_mode = WAL");
    outbox = yam_outbox_new(outbox_database, NULL);
    if (outbox == NULL) {
        fail_msg("%s", yam_error());
    }
    outbox_subject = (outbox_subject_t) {&yami_outbox_sqlite, outbox_database, outbox,
                                         "BEGIN IMMEDIATE",   s_run,           outbox_number};
    return 0;
}

int
outbox_teardown(void **state)
{
    (void) state;
    yam_outbox_destroy(&outbox);
    int code = sqlite3_close(outbox_database); //  busy when a statement was forgotten
    (void) unlink(outbox_path);
    return code == SQLITE_OK ? 0 : -1;
}

int64_t
outbox_number(const char *query)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(outbox_database, query, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", query, sqlite3_errmsg(outbox_database));
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}
