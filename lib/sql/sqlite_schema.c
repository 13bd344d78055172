//  yami_sqlite - a versioned schema. See the header.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_sqlite.h"

#define S_WHAT_SIZE 96 //  "cannot migrate the callback tables"

//  1 with the number of that name, 0 when it is not there, -1 with errno and a sentence.
static int
s_read(sqlite3 *database, const char *prefix, const char *name, int64_t *value)
{
    const char *what = "cannot read the version of the tables";
    sqlite3_stmt *statement = yami_sqlite_prepare(
        database, what, "SELECT value FROM %s_meta WHERE name = '%s'", prefix, name);
    if (statement == NULL) {
        return errno == ENOENT ? 0 : -1; //  no such table
    }
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *value = sqlite3_column_int64(statement, 0);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        (void) yami_sqlite_fail(database, what);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

int
yami_sqlite_meta(sqlite3 *database, const char *prefix, const char *name, int64_t initial,
                 int64_t *value)
{
    int found = s_read(database, prefix, name, value);
    if (found != 0) {
        return found == 1 ? 0 : -1;
    }
    *value = initial;
    return yami_sqlite_run(database, "cannot note a number",
                           "INSERT INTO %s_meta VALUES ('%s', %lld)", prefix, name,
                           (long long) initial);
}

//  The version of the tables of prefix: 0 for none, -1 with errno and a sentence.
static int64_t
s_version(sqlite3 *database, const yami_sqlite_schema_t *schema, const char *prefix)
{
    int64_t version = 0;
    if (s_read(database, prefix, "version", &version) == -1) {
        return -1;
    }
    if (version < 0 || version > schema->version) {
        return yami_fail(EPROTONOSUPPORT,
                         "the %s tables '%s' are of version %" PRId64
                         ", this library knows up to %d (use a newer one)",
                         schema->name, prefix, version, schema->version);
    }
    return version;
}

//  The steps that are missing, inside a transaction: another process may just have made them.
static int
s_migrate(sqlite3 *database, const yami_sqlite_schema_t *schema, const char *prefix, void *arg)
{
    int64_t version = s_version(database, schema, prefix);
    if (version == -1 ||
        yami_sqlite_run(database, "cannot make the tables",
                        "CREATE TABLE IF NOT EXISTS %s_meta (name TEXT PRIMARY KEY, value INTEGER "
                        "NOT NULL) WITHOUT ROWID",
                        prefix) == -1) {
        return -1;
    }
    for (int64_t step = version; step < schema->version; step++) {
        if (schema->steps[step](database, prefix, arg) == -1) {
            return -1;
        }
    }
    return yami_sqlite_run(database, "cannot note the version of the tables",
                           "INSERT OR REPLACE INTO %s_meta VALUES ('version', %d)", prefix,
                           schema->version);
}

int
yami_sqlite_migrate(sqlite3 *database, const yami_sqlite_schema_t *schema, const char *prefix,
                    void *arg)
{
    char what[S_WHAT_SIZE];
    (void) snprintf(what, sizeof what, "cannot migrate the %s tables", schema->name);
    if (yami_sqlite_prefix_check(prefix) == -1) {
        return -1;
    }
    int64_t version = s_version(database, schema, prefix);
    if (version == -1 || version == schema->version) {
        return version == -1 ? -1 : 0;
    }
    bool is_alone = sqlite3_get_autocommit(database) != 0;
    if (yami_sqlite_run(database, what, is_alone ? "BEGIN IMMEDIATE" : "SAVEPOINT yam_migrate") ==
        -1) {
        return -1;
    }
    if (s_migrate(database, schema, prefix, arg) == 0 &&
        yami_sqlite_run(database, what, is_alone ? "COMMIT" : "RELEASE yam_migrate") == 0) {
        return 0;
    }
    int error = errno;
    (void) sqlite3_exec(database,
                        is_alone ? "ROLLBACK" : "ROLLBACK TO yam_migrate; RELEASE yam_migrate",
                        NULL, NULL, NULL);
    errno = error;
    return -1;
}
