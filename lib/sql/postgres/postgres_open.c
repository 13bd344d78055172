//  yam_postgres - a connection by its URI. See the header.

#include "yam_postgres.h"

#include <errno.h>
#include <string.h>

#include "yami_postgres.h"

bool
yam_postgres_is_uri(const char *text)
{
    return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

//  Whether libpq can read uri. 0, or -1 with errno EINVAL and a sentence; libpq's own may quote the
//  password.
static int
s_check(const char *uri)
{
    PQconninfoOption *options = PQconninfoParse(uri, NULL);
    PQconninfoFree(options);
    return options != NULL && yam_postgres_is_uri(uri)
               ? 0
               : yami_postgres_error(EINVAL, "a database is malformed (it is "
                                             "postgresql://[user@][host][:port][/name][?name=value&"
                                             "...])");
}

struct pg_conn *
yam_postgres_open(const char *uri)
{
    //  What comes later wins, and the URI is expanded where dbname stands. Without limits of
    //  silence a server behind a dead network holds up its caller for a quarter of an hour.
    static const char *const names[] = {"connect_timeout",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "fallback_application_name",
                                        "dbname",
                                        NULL};
    const char *const values[] = {"10", "10", "5", "4", "30000", "yam", uri, NULL};
    if (s_check(uri) == -1) {
        return NULL;
    }
    PGconn *connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(connection) == CONNECTION_OK) {
        return connection;
    }
    (void) yami_postgres_fail(connection, NULL, "cannot connect to the database");
    int error = errno;
    PQfinish(connection);
    errno = error;
    return NULL;
}
