/*  database - a connection to a PostgreSQL server of the test's own, emptied for each case.

    What cannot be done fails the test with the sentence.
*/
#ifndef DATABASE_H
#define DATABASE_H

#include <libpq-fe.h>
#include <stdint.h>

#include "server.h"

extern server_t database_server;
extern PGconn *database;

//  Starts the server, runs the tests, stops it. How many failed; SERVER_SKIPPED when there is none.
#define DATABASE_MAIN(tests)                                                                       \
    (database_start() ? database_stop(cmocka_run_group_tests(tests, NULL, NULL)) : SERVER_SKIPPED)

bool
database_start(void);
int
database_stop(int failed);

//  Connects, and drops all tables.
void
database_setup(void);

//  Another connection.
PGconn *
database_connect(void);

//  Connects anew, after the connection was lost.
void
database_reconnect(void);

void
database_run_on(PGconn *connection, const char *text);
void
database_run(const char *text);

//  The number that a query gives.
int64_t
database_number(const char *query);

//  Ends the session of another connection, as an administrator would.
void
database_end(PGconn *connection);

#endif
