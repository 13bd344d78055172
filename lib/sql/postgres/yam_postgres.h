/*  yam_postgres - a connection by its URI, for programs that take either a file of SQLite or a
    server.

    Not a layer over libpq: the connection is libpq's, its owner closes it with PQfinish. Part of
    libyam-postgres.
*/
#ifndef YAM_POSTGRES_H
#define YAM_POSTGRES_H

#include <stdbool.h>

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pg_conn; //  libpq's PGconn

//  Whether text names a PostgreSQL server: it begins with "postgresql://" or "postgres://".
YAM_EXPORT bool
yam_postgres_is_uri(const char *text);

//  Connects within 10 s, unless the URI has a connect_timeout. A server that cannot be heard of any
//  more (TCP) is given up after 30 s, unless it has keepalives_* or tcp_user_timeout; libpq's
//  variables (PGPASSWORD, PGSERVICE ...) and ~/.pgpass fill in what it does not say. NULL with
//  errno EINVAL (malformed), ENOTCONN, ENOMEM, and a sentence without the password. The caller owns
//  the result: PQfinish.
YAM_EXPORT struct pg_conn *
yam_postgres_open(const char *uri);

#ifdef __cplusplus
}
#endif
#endif
