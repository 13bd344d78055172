/*  yami_sqlite - what outbox, inbox and callback need of an SQLite handle that is the
    application's.

    Not a layer over SQLite: statements are prepared and stepped with SQLite's own functions. This
    is what would be written three times: errors in words, small statements, a versioned schema. Not
    thread-safe; as thread-safe as the handle.
*/
#ifndef YAMI_SQLITE_H
#define YAMI_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YAMI_SQLITE_PREFIX 48 //  most bytes of a table prefix
#define YAMI_SQLITE_TEXT 2048 //  most bytes of a statement with its prefixes

//  Sets errno and a sentence "WHAT: WHY (WHAT TO DO)" from the last failure of database. Returns
//  -1. EAGAIN (busy or locked), ENOSPC (full), EROFS (read-only), EBADMSG (damaged, or not a
//  database), ENOMEM, EFBIG (too big), ENOENT (no such table), EIO (all else).
int
yami_sqlite_fail(sqlite3 *database, const char *what);

//  Opens a database file that is there, to be read and written, for a thread of ours. NULL with
//  errno ENOENT (no such file), EINVAL (none that others see: in memory), and a sentence. The
//  caller owns the result: sqlite3_close.
sqlite3 *
yami_sqlite_connect(const char *file);

//  Runs the statements of the printf-like format, where results are none. 0, or -1 as above; the
//  sentence begins with what.
int
yami_sqlite_run(sqlite3 *database, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

//  Prepares one statement that will be used again and again. NULL as above. The caller finalizes.
sqlite3_stmt *
yami_sqlite_prepare(sqlite3 *database, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

//  The same where each '#' of text stands for prefix.
sqlite3_stmt *
yami_sqlite_prepare_for(sqlite3 *database, const char *what, const char *prefix, const char *text);

//  Binds count numbers from the first parameter on.
void
yami_sqlite_bind(sqlite3_stmt *statement, size_t count, const int64_t *numbers);

//  Steps a statement to its next row. 1; 0 at the end, -1 as above: it is ready again then. A
//  statement that is left before is to be reset.
int
yami_sqlite_next(sqlite3 *database, sqlite3_stmt *statement, const char *what);

//  Runs a statement to its end, and makes it ready again. 0, or -1 as above.
int
yami_sqlite_finish(sqlite3 *database, sqlite3_stmt *statement, const char *what);

//  0, or -1 with errno EINVAL and a sentence: a table prefix is 1..48 of a-z, 0-9 and '_', and
//  begins with a letter. So it can stand in a statement.
int
yami_sqlite_prefix_check(const char *prefix);

//  One step of a schema, from version n to n + 1; runs inside a transaction. 0, or -1 with errno
//  and a sentence.
typedef int (*yami_sqlite_step_fn)(sqlite3 *database, const char *prefix, void *arg);

typedef struct {
    const char *name;                 //  "outbox": for sentences
    const yami_sqlite_step_fn *steps; //  [0] makes version 1 out of nothing
    int version;                      //  how many steps there are
} yami_sqlite_schema_t;

//  Brings the tables of prefix to schema->version: all steps that are missing, in one transaction
//  (a savepoint when one is open). The version stands in PREFIX_meta. 0, or -1 as above, or with
//  errno EPROTONOSUPPORT: the tables are of a newer version than this library knows. Nothing
//  changed then.
int
yami_sqlite_migrate(sqlite3 *database, const yami_sqlite_schema_t *schema, const char *prefix,
                    void *arg);

//  Reads a number from PREFIX_meta, or writes it with initial when it is not there yet. 0, or -1 as
//  above.
int
yami_sqlite_meta(sqlite3 *database, const char *prefix, const char *name, int64_t initial,
                 int64_t *value);

#endif
