/*  outbox_fixture - a database file with an outbox in it, for tests.

    The file is in TMPDIR. What cannot be done fails the test with the sentence.
*/
#ifndef OUTBOX_FIXTURE_H
#define OUTBOX_FIXTURE_H

#include <sqlite3.h>

#include "outbox_cases.h"
#include "yam_outbox.h"

extern char outbox_path[128];
extern sqlite3 *outbox_database;
extern yam_outbox_t *outbox;

//  A file with an outbox of default options.
int
outbox_setup(void **state);
int
outbox_teardown(void **state);

#define OUTBOX_TEST(name) cmocka_unit_test_setup_teardown(name, outbox_setup, outbox_teardown)

//  Another connection to the file.
sqlite3 *
outbox_open(void);

void
outbox_run(sqlite3 *database, const char *text);

//  The number that a query gives.
int64_t
outbox_number(const char *query);

#endif
