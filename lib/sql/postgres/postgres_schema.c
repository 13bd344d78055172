//  yami_postgres - a versioned schema. See the header.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "yami_postgres.h"

#define S_WHAT_SIZE 96 //  "cannot migrate the callback tables"

//  1 with the number of that name, 0 when it is not there, -1 with errno and a sentence. A table
//  that is not there must not abort the application's transaction. And it is looked for in
//  pg_class: to_regclass may still remember that it was not there, from before another made it.
static int
s_read(PGconn *connection, const char *prefix, const char *name, int64_t *value)
{
    const char *what = "cannot read the version of the tables";
    PGresult *result = yami_postgres_query(
        connection, what, NULL,
        "SELECT 1 FROM pg_catalog.pg_class WHERE relname = '%s_meta' AND pg_table_is_visible(oid)",
        prefix);
    int found = result ? PQntuples(result) : -1;
    PQclear(result);
    if (found != 1) {
        return found;
    }
    result = yami_postgres_query(connection, what, NULL,
                                 "SELECT value FROM %s_meta WHERE name = '%s'", prefix, name);
    found = result ? PQntuples(result) : -1;
    if (found == 1) {
        *value = yami_postgres_int(result, 0, 0);
    }
    PQclear(result);
    return found;
}

int
yami_postgres_meta(PGconn *connection, const char *prefix, const char *name, int64_t initial,
                   int64_t *value)
{
    int found = s_read(connection, prefix, name, value);
    if (found != 0) {
        return found == 1 ? 0 : -1;
    }
    *value = initial;
    return yami_postgres_run(connection, "cannot note a number", NULL,
                             "INSERT INTO %s_meta VALUES ('%s', %" PRId64 ")", prefix, name,
                             initial) == -1
               ? -1
               : 0;
}

//  The version of the tables of prefix: 0 for none, -1 with errno and a sentence.
static int64_t
s_version(PGconn *connection, const yami_postgres_schema_t *schema, const char *prefix)
{
    int64_t version = 0;
    if (s_read(connection, prefix, "version", &version) == -1) {
        return -1;
    }
    if (version < 0 || version > schema->version) {
        return yami_postgres_error(EPROTONOSUPPORT,
                                   "the %s tables '%s' are of version %" PRId64
                                   ", this library knows up to %d (use a newer one)",
                                   schema->name, prefix, version, schema->version);
    }
    return version;
}

int
yami_postgres_wait_for_turn(PGconn *connection, const char *prefix)
{
    PGresult *result =
        yami_postgres_query(connection, "cannot wait for another's change of the tables", NULL,
                            "SELECT pg_advisory_xact_lock(hashtext('yam %s'))", prefix);
    PQclear(result);
    return result ? 0 : -1;
}

//  The steps that are missing, inside a transaction: another process may just have made them.
static int
s_migrate(PGconn *connection, const yami_postgres_schema_t *schema, const char *prefix, void *arg)
{
    int64_t version = yami_postgres_wait_for_turn(connection, prefix) == -1
                          ? -1
                          : s_version(connection, schema, prefix);
    if (version == -1) {
        return -1;
    }
    const char *what = "cannot make the tables";
    if (version == 0 &&
        yami_postgres_run(connection, what, NULL,
                          "CREATE TABLE %s_meta (name text PRIMARY KEY, value bigint NOT NULL)",
                          prefix) == -1) {
        return -1;
    }
    for (int64_t step = version; step < schema->version; step++) {
        if (schema->steps[step](connection, prefix, arg) == -1) {
            return -1;
        }
    }
    return yami_postgres_run(connection, "cannot note the version of the tables", NULL,
                             "INSERT INTO %s_meta VALUES ('version', %d) ON CONFLICT (name) DO "
                             "UPDATE SET value = excluded.value",
                             prefix, schema->version) == -1
               ? -1
               : 0;
}

int
yami_postgres_migrate(PGconn *connection, const yami_postgres_schema_t *schema, const char *prefix,
                      void *arg)
{
    char what[S_WHAT_SIZE];
    (void) snprintf(what, sizeof what, "cannot migrate the %s tables", schema->name);
    bool is_alone = PQtransactionStatus(connection) == PQTRANS_IDLE;
    if (!is_alone && yami_postgres_check_transaction(connection, what) == -1) {
        return -1;
    }
    int64_t version = s_version(connection, schema, prefix);
    if (version == -1 || version == schema->version) {
        return version == -1 ? -1 : 0;
    }
    if (yami_postgres_run(connection, what, NULL, is_alone ? "BEGIN" : "SAVEPOINT yam_migrate") ==
        -1) {
        return -1;
    }
    if (s_migrate(connection, schema, prefix, arg) == 0 &&
        yami_postgres_run(connection, what, NULL, is_alone ? "COMMIT" : "RELEASE yam_migrate") !=
            -1) {
        return 0;
    }
    int error = errno;
    PQclear(
        PQexec(connection, is_alone ? "ROLLBACK" : "ROLLBACK TO yam_migrate; RELEASE yam_migrate"));
    errno = error;
    return -1;
}
