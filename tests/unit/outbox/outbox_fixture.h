/*  outbox_fixture - a database file with an outbox in it, for tests.

    The file is in TMPDIR. What cannot be done fails the test with the sentence.
*/
#ifndef OUTBOX_FIXTURE_H
#define OUTBOX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

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

//  Puts a message with that body, and a key unless it is NULL, inside the open transaction. The
//  row's id, -1 with errno.
int64_t
outbox_put(const char *queue, const char *body, const char *key);

//  Puts count messages "FIRST", "FIRST+1" ... in one transaction.
void
outbox_put_numbers(const char *queue, int first, int count);

#endif
