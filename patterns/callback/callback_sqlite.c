//  yam_callback_store - confirms and cases in an SQLite file of their own. See the headers and
//  SPEC.md.

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "yam_callback_store.h"
#include "yami_base.h"
#include "yami_sqlite.h"

#define S_PREFIX "yam_callback"
#define S_BUSY_MS 1000                         //  how long a lock of another process is waited for
#define S_BEGIN YAM_CALLBACK_STATEMENTS        //  its place
#define S_COMMIT (YAM_CALLBACK_STATEMENTS + 1) //  its
#define S_PLACES (YAM_CALLBACK_STATEMENTS + 2)

typedef struct {
    sqlite3 *database;                  //  owned
    sqlite3_stmt *statements[S_PLACES]; //  owned; NULL until it is run
} s_sqlite_t;

//  Version 1.
static int
s_make_tables(sqlite3 *database, const char *prefix, void *arg)
{
    const char *text;
    int rc = 0;
    (void) prefix;
    (void) arg;
    for (size_t index = 0; rc == 0 && (text = yam_callback_schema(index)) != NULL; index++) {
        bool is_table = strncmp(text, "CREATE TABLE", 12) == 0;
        rc = yami_sqlite_run(database, "cannot make the callback tables", "%s%s", text,
                             is_table ? " WITHOUT ROWID" : "");
    }
    return rc;
}

static const yami_sqlite_step_fn s_steps[] = {s_make_tables};
static const yami_sqlite_schema_t s_schema = {"callback", s_steps, 1};

//  -- Statements --------------------------------------------------------------------------------

//  That of a place, prepared the first time. NULL as yami_sqlite_fail.
static sqlite3_stmt *
s_prepared(s_sqlite_t *self, int place, const char *what, const char *text)
{
    YAM_ASSERT(place >= 0 && place < S_PLACES);
    sqlite3_stmt **statement_p = &self->statements[place];
    if (*statement_p == NULL) {
        *statement_p = yami_sqlite_prepare(self->database, what, "%s", text);
    }
    return *statement_p;
}

static void
s_bind(sqlite3_stmt *statement, const yam_callback_value_t *values, int count)
{
    for (int index = 0; index < count; index++) {
        if (values[index].text != NULL) {
            (void) sqlite3_bind_text(statement, index + 1, values[index].text, -1, SQLITE_STATIC);
        } else {
            (void) sqlite3_bind_int64(statement, index + 1, values[index].number);
        }
    }
}

static int
s_take(sqlite3_stmt *statement, yam_callback_row_fn take, void *arg)
{
    yam_callback_value_t columns[YAM_CALLBACK_VALUES] = {0};
    int count = sqlite3_column_count(statement);
    YAM_ASSERT(count <= YAM_CALLBACK_VALUES);
    for (int column = 0; column < count; column++) {
        if (sqlite3_column_type(statement, column) == SQLITE_TEXT) {
            columns[column].text = (const char *) sqlite3_column_text(statement, column);
        } else {
            columns[column].number = sqlite3_column_int64(statement, column);
        }
    }
    return take(arg, columns);
}

static int64_t
s_run(void *self_arg, const yam_callback_statement_t *statement, const yam_callback_value_t *values,
      yam_callback_row_fn take, void *arg)
{
    s_sqlite_t *self = self_arg;
    sqlite3_stmt *prepared = s_prepared(self, statement->number, statement->what, statement->text);
    if (prepared == NULL) {
        return -1;
    }
    s_bind(prepared, values, statement->parameter_count);
    int rc;
    while ((rc = yami_sqlite_next(self->database, prepared, statement->what)) == 1) {
        if (s_take(prepared, take, arg) != 0) {
            (void) sqlite3_reset(prepared);
            return 0;
        }
    }
    return rc == 0 ? sqlite3_changes(self->database) : -1;
}

//  -- Transactions ------------------------------------------------------------------------------

static int
s_command(s_sqlite_t *self, int place, const char *what, const char *text)
{
    sqlite3_stmt *prepared = s_prepared(self, place, what, text);
    return prepared == NULL ? -1 : yami_sqlite_finish(self->database, prepared, what);
}

static int
s_begin(void *arg)
{
    return s_command(arg, S_BEGIN, "cannot begin a transaction", "BEGIN IMMEDIATE");
}

static int
s_commit(void *arg)
{
    return s_command(arg, S_COMMIT, "cannot commit", "COMMIT");
}

static void
s_rollback(void *arg)
{
    s_sqlite_t *self = arg;
    int error = errno;
    if (!sqlite3_get_autocommit(self->database)) {
        (void) sqlite3_exec(self->database, "ROLLBACK", NULL, NULL, NULL);
    }
    errno = error;
}

//  -- Opening -----------------------------------------------------------------------------------

static void
s_destroy(void *arg)
{
    s_sqlite_t *self = arg;
    for (int index = 0; index < S_PLACES; index++) {
        (void) sqlite3_finalize(self->statements[index]);
    }
    (void) sqlite3_close(self->database);
    yami_free(self);
}

static const yam_callback_db_t s_db = {s_begin, s_commit, s_rollback, s_run, s_destroy};

//  A file that is somebody else's stays as it is. 0, or -1 with errno ENOENT.
static int
s_check_tables(s_sqlite_t *self)
{
    sqlite3_stmt *statement = yami_sqlite_prepare(self->database, "cannot read the database",
                                                  "SELECT value FROM %s_meta", S_PREFIX);
    if (statement == NULL && errno == ENOENT) {
        return yami_fail(ENOENT, "the database has no tables of a callback service (is it the file "
                                 "of yam-callbackd?)");
    }
    (void) sqlite3_finalize(statement);
    return statement != NULL ? 0 : -1;
}

//  What is acknowledged must survive a loss of power: FULL syncs at each commit, also with a WAL.
static int
s_prepare(s_sqlite_t *self)
{
    const char *what = "cannot use the database";
    if (yami_sqlite_run(self->database, what,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL") == -1) {
        return -1;
    }
    return yami_sqlite_migrate(self->database, &s_schema, S_PREFIX, NULL);
}

static int
s_open(s_sqlite_t *self, const char *path, bool may_create)
{
    int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &self->database, flags, NULL);
    if (code == SQLITE_CANTOPEN) {
        return yami_fail(ENOENT, "cannot open database %s: %s (is there such a file or folder?)",
                         path, sqlite3_errmsg(self->database));
    }
    if (code != SQLITE_OK) {
        return yami_sqlite_fail(self->database, "cannot open the database");
    }
    //  SQLite falls back to reading, and stays there.
    if (may_create && sqlite3_db_readonly(self->database, "main") == 1) {
        return yami_fail(EROFS,
                         "cannot open database %s: it can only be read (is it, or its disk, "
                         "read-only?)",
                         path);
    }
    (void) sqlite3_busy_timeout(self->database, S_BUSY_MS);
    return !may_create && s_check_tables(self) == -1 ? -1 : s_prepare(self);
}

yam_callback_store_t *
yam_callback_store_sqlite(const char *path, bool may_create)
{
    s_sqlite_t *self = yami_alloc(sizeof *self);
    if (s_open(self, path, may_create) == -1) {
        int error = errno;
        s_destroy(self);
        errno = error;
        return NULL;
    }
    return yam_callback_store_new(&s_db, self);
}
