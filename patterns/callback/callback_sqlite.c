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
#define S_BUSY_MS 1000 //  how long a lock of another process is waited for
#define S_CASE                                                                                     \
    "id, state, round, call, tries, due_ms, delay_ms, first_ms, changed_ms, queue, service"

typedef enum {
    S_BEGIN,
    S_COMMIT,
    S_READ_CASE,
    S_READ_CONFIRM,
    S_WRITE_CASE,
    S_DROP_CASE,
    S_DROP_HISTORY,
    S_WRITE_CONFIRM,
    S_WRITE_NOTE,
    S_WALK_ALL,
    S_WALK,
    S_WALK_DUE,
    S_HISTORY,
    S_PRUNE_CONFIRMS,
    S_PRUNE_HISTORY,
    S_PRUNE_CASES,
    S_COUNT,
} s_name_t;

#define S_ENDED                                                                                    \
    "(SELECT id FROM " S_PREFIX "_cases WHERE state IN (4, 5, 6) AND changed_ms < ?1 "             \
    "ORDER BY changed_ms LIMIT ?2)"

static const char *const s_texts[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_READ_CASE] = "SELECT " S_CASE " FROM " S_PREFIX "_cases WHERE id = ?",
    [S_READ_CONFIRM] =
        "SELECT outcome, round, time_ms, reason FROM " S_PREFIX "_confirms WHERE id = ?",
    [S_WRITE_CASE] = "INSERT OR REPLACE INTO " S_PREFIX "_cases (" S_CASE
                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [S_DROP_CASE] = "DELETE FROM " S_PREFIX "_cases WHERE id = ?",
    [S_DROP_HISTORY] = "DELETE FROM " S_PREFIX "_history WHERE id = ?",
    [S_WRITE_CONFIRM] = "INSERT OR REPLACE INTO " S_PREFIX
                        "_confirms (id, outcome, round, time_ms, reason) VALUES (?, ?, ?, ?, ?)",
    [S_WRITE_NOTE] = "INSERT INTO " S_PREFIX "_history (id, number, time_ms, round, event, text) "
                     "SELECT ?1, COALESCE(MAX(number), 0) + 1, ?2, ?3, ?4, ?5 FROM " S_PREFIX
                     "_history WHERE id = ?1",
    [S_WALK_ALL] =
        "SELECT " S_CASE " FROM " S_PREFIX "_cases ORDER BY changed_ms DESC, id LIMIT ?2",
    [S_WALK] = "SELECT " S_CASE " FROM " S_PREFIX
               "_cases WHERE state = ?1 ORDER BY changed_ms DESC, id LIMIT ?2",
    [S_WALK_DUE] = "SELECT " S_CASE " FROM " S_PREFIX
                   "_cases WHERE state = ?1 AND (due_ms <= ?3 OR changed_ms > ?4) "
                   "ORDER BY due_ms, id LIMIT ?2",
    [S_HISTORY] =
        "SELECT time_ms, round, event, text FROM " S_PREFIX "_history WHERE id = ? ORDER BY number",
    [S_PRUNE_CONFIRMS] = "DELETE FROM " S_PREFIX "_confirms WHERE id IN (SELECT id FROM " S_PREFIX
                         "_confirms WHERE time_ms < ?1 ORDER BY time_ms LIMIT ?2)",
    [S_PRUNE_HISTORY] = "DELETE FROM " S_PREFIX "_history WHERE id IN " S_ENDED,
    [S_PRUNE_CASES] = "DELETE FROM " S_PREFIX "_cases WHERE id IN " S_ENDED,
};

typedef struct {
    sqlite3 *database;                 //  owned
    sqlite3_stmt *statements[S_COUNT]; //  owned
} s_sqlite_t;

//  Version 1.
static int
s_make_tables(sqlite3 *database, const char *prefix, void *arg)
{
    (void) arg;
    return yami_sqlite_run(
        database, "cannot make the callback tables",
        "CREATE TABLE %s_confirms (id TEXT NOT NULL PRIMARY KEY, outcome INTEGER NOT NULL, round "
        "INTEGER NOT NULL, time_ms INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX %s_confirms_time ON %s_confirms (time_ms);"
        "CREATE TABLE %s_cases (id TEXT NOT NULL PRIMARY KEY, state INTEGER NOT NULL, round "
        "INTEGER NOT NULL, call INTEGER NOT NULL, tries INTEGER NOT NULL, due_ms INTEGER NOT NULL, "
        "delay_ms INTEGER NOT NULL, first_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, queue "
        "TEXT NOT NULL, service TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX %s_cases_due ON %s_cases (state, due_ms);"
        "CREATE INDEX %s_cases_changed ON %s_cases (state, changed_ms);"
        "CREATE TABLE %s_history (id TEXT NOT NULL, number INTEGER NOT NULL, time_ms INTEGER NOT "
        "NULL, round INTEGER NOT NULL, event TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (id, "
        "number)) WITHOUT ROWID",
        prefix, prefix, prefix, prefix, prefix, prefix, prefix, prefix, prefix);
}

static const yami_sqlite_step_fn s_steps[] = {s_make_tables};
static const yami_sqlite_schema_t s_schema = {"callback", s_steps, 1};

//  -- Statements --------------------------------------------------------------------------------

//  Makes a statement ready again, and keeps errno.
static int
s_end(sqlite3_stmt *statement, int rc)
{
    int error = errno;
    (void) sqlite3_reset(statement);
    errno = error;
    return rc;
}

//  Steps a bound statement that gives no row, and makes it ready again. 0, or -1.
static int
s_step(s_sqlite_t *self, s_name_t name, const char *what)
{
    sqlite3_stmt *statement = self->statements[name];
    int code = sqlite3_step(statement);
    return s_end(statement, code == SQLITE_DONE ? 0 : yami_sqlite_fail(self->database, what));
}

static void
s_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    (void) sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static void
s_copy_text(sqlite3_stmt *statement, int column, char *text, size_t size)
{
    const char *found = (const char *) sqlite3_column_text(statement, column);
    (void) snprintf(text, size, "%s", found != NULL ? found : "");
}

//  A row of S_CASE.
static void
s_copy_case(sqlite3_stmt *statement, yam_case_t *row)
{
    s_copy_text(statement, 0, row->id, sizeof row->id);
    row->state = sqlite3_column_int(statement, 1);
    row->round = (uint32_t) sqlite3_column_int64(statement, 2);
    row->call = (uint32_t) sqlite3_column_int64(statement, 3);
    row->try_count = (uint32_t) sqlite3_column_int64(statement, 4);
    row->due_ms = sqlite3_column_int64(statement, 5);
    row->delay_ms = sqlite3_column_int64(statement, 6);
    row->first_ms = sqlite3_column_int64(statement, 7);
    row->changed_ms = sqlite3_column_int64(statement, 8);
    s_copy_text(statement, 9, row->queue, sizeof row->queue);
    s_copy_text(statement, 10, row->service, sizeof row->service);
}

//  -- Transactions ------------------------------------------------------------------------------

static int
s_begin(void *arg)
{
    return s_step(arg, S_BEGIN, "cannot begin a transaction");
}

static int
s_commit(void *arg)
{
    return s_step(arg, S_COMMIT, "cannot commit");
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

//  -- Rows --------------------------------------------------------------------------------------

static int
s_read_case(s_sqlite_t *self, const char *id, yam_case_t *row)
{
    sqlite3_stmt *statement = self->statements[S_READ_CASE];
    s_bind_text(statement, 1, id);
    int code = sqlite3_step(statement);
    memset(row, 0, sizeof *row);
    if (code == SQLITE_ROW) {
        s_copy_case(statement, row);
    } else if (code != SQLITE_DONE) {
        return s_end(statement, yami_sqlite_fail(self->database, "cannot read a case"));
    }
    return s_end(statement, 0);
}

static int
s_read_confirm(s_sqlite_t *self, const char *id, yam_case_confirm_t *confirm)
{
    sqlite3_stmt *statement = self->statements[S_READ_CONFIRM];
    s_bind_text(statement, 1, id);
    int code = sqlite3_step(statement);
    memset(confirm, 0, sizeof *confirm);
    if (code == SQLITE_ROW) {
        (void) snprintf(confirm->id, sizeof confirm->id, "%s", id);
        confirm->outcome = sqlite3_column_int(statement, 0);
        confirm->round = (uint32_t) sqlite3_column_int64(statement, 1);
        confirm->time_ms = sqlite3_column_int64(statement, 2);
        s_copy_text(statement, 3, confirm->reason, sizeof confirm->reason);
    } else if (code != SQLITE_DONE) {
        return s_end(statement, yami_sqlite_fail(self->database, "cannot read a confirm"));
    }
    return s_end(statement, 0);
}

static int
s_read(void *arg, const char *id, yam_case_t *row, yam_case_confirm_t *confirm)
{
    return s_read_case(arg, id, row) == -1 || s_read_confirm(arg, id, confirm) == -1 ? -1 : 0;
}

static int
s_write_case(void *arg, const yam_case_t *row)
{
    s_sqlite_t *self = arg;
    sqlite3_stmt *statement = self->statements[S_WRITE_CASE];
    const int64_t numbers[] = {row->state,  row->round,    row->call,     row->try_count,
                               row->due_ms, row->delay_ms, row->first_ms, row->changed_ms};
    s_bind_text(statement, 1, row->id);
    for (int index = 0; index < 8; index++) {
        (void) sqlite3_bind_int64(statement, index + 2, numbers[index]);
    }
    s_bind_text(statement, 10, row->queue);
    s_bind_text(statement, 11, row->service);
    return s_step(self, S_WRITE_CASE, "cannot write a case");
}

static int
s_drop_case(void *arg, const char *id)
{
    s_sqlite_t *self = arg;
    s_bind_text(self->statements[S_DROP_HISTORY], 1, id);
    s_bind_text(self->statements[S_DROP_CASE], 1, id);
    return s_step(self, S_DROP_HISTORY, "cannot drop a case") == -1 ||
                   s_step(self, S_DROP_CASE, "cannot drop a case") == -1
               ? -1
               : 0;
}

static int
s_write_confirm(void *arg, const yam_case_confirm_t *confirm)
{
    s_sqlite_t *self = arg;
    sqlite3_stmt *statement = self->statements[S_WRITE_CONFIRM];
    s_bind_text(statement, 1, confirm->id);
    (void) sqlite3_bind_int(statement, 2, confirm->outcome);
    (void) sqlite3_bind_int64(statement, 3, confirm->round);
    (void) sqlite3_bind_int64(statement, 4, confirm->time_ms);
    s_bind_text(statement, 5, confirm->reason);
    return s_step(self, S_WRITE_CONFIRM, "cannot write a confirm");
}

static int
s_write_note(void *arg, const char *id, const yam_case_note_t *note)
{
    s_sqlite_t *self = arg;
    sqlite3_stmt *statement = self->statements[S_WRITE_NOTE];
    s_bind_text(statement, 1, id);
    (void) sqlite3_bind_int64(statement, 2, note->time_ms);
    (void) sqlite3_bind_int64(statement, 3, note->round);
    s_bind_text(statement, 4, note->event);
    s_bind_text(statement, 5, note->text);
    return s_step(self, S_WRITE_NOTE, "cannot write a case's history");
}

//  -- Walks -------------------------------------------------------------------------------------

static int
s_walk_cases(s_sqlite_t *self, sqlite3_stmt *statement, yam_case_t *row, yam_case_fn visit,
             void *arg)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        s_copy_case(statement, row);
        if (visit(arg) != 0) {
            return s_end(statement, 0);
        }
    }
    return s_end(statement,
                 code == SQLITE_DONE ? 0 : yami_sqlite_fail(self->database, "cannot read cases"));
}

static int
s_walk(void *self_arg, int state, int64_t limit, yam_case_t *row, yam_case_fn visit, void *arg)
{
    s_sqlite_t *self = self_arg;
    sqlite3_stmt *statement = self->statements[state == 0 ? S_WALK_ALL : S_WALK];
    (void) sqlite3_bind_int(statement, 1, state);
    (void) sqlite3_bind_int64(statement, 2, limit);
    return s_walk_cases(self, statement, row, visit, arg);
}

static int
s_walk_due(void *self_arg, int state, int64_t now_ms, int64_t skew_ms, int64_t limit,
           yam_case_t *row, yam_case_fn visit, void *arg)
{
    s_sqlite_t *self = self_arg;
    sqlite3_stmt *statement = self->statements[S_WALK_DUE];
    (void) sqlite3_bind_int(statement, 1, state);
    (void) sqlite3_bind_int64(statement, 2, limit);
    (void) sqlite3_bind_int64(statement, 3, now_ms);
    (void) sqlite3_bind_int64(statement, 4, skew_ms);
    return s_walk_cases(self, statement, row, visit, arg);
}

static int
s_history(void *self_arg, const char *id, yam_case_note_t *note, yam_case_fn visit, void *arg)
{
    s_sqlite_t *self = self_arg;
    sqlite3_stmt *statement = self->statements[S_HISTORY];
    int code;
    s_bind_text(statement, 1, id);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        note->time_ms = sqlite3_column_int64(statement, 0);
        note->round = (uint32_t) sqlite3_column_int64(statement, 1);
        s_copy_text(statement, 2, note->event, sizeof note->event);
        s_copy_text(statement, 3, note->text, sizeof note->text);
        if (visit(arg) != 0) {
            return s_end(statement, 0);
        }
    }
    return s_end(statement,
                 code == SQLITE_DONE ? 0 : yami_sqlite_fail(self->database, "cannot read history"));
}

static int64_t
s_prune(void *arg, int64_t time_ms, int64_t limit)
{
    static const s_name_t names[] = {S_PRUNE_CONFIRMS, S_PRUNE_HISTORY, S_PRUNE_CASES};
    s_sqlite_t *self = arg;
    int64_t count = 0;
    for (int index = 0; index < 3; index++) {
        (void) sqlite3_bind_int64(self->statements[names[index]], 1, time_ms);
        (void) sqlite3_bind_int64(self->statements[names[index]], 2, limit);
        if (s_step(self, names[index], "cannot forget what is old") == -1) {
            return -1;
        }
        count += names[index] == S_PRUNE_HISTORY ? 0 : sqlite3_changes(self->database);
    }
    return count;
}

//  -- Opening -----------------------------------------------------------------------------------

static void
s_destroy(void *arg)
{
    s_sqlite_t *self = arg;
    for (int index = 0; index < S_COUNT; index++) {
        (void) sqlite3_finalize(self->statements[index]);
    }
    (void) sqlite3_close(self->database);
    yami_free(self);
}

static const yam_callback_db_t s_db = {
    .begin = s_begin,
    .commit = s_commit,
    .rollback = s_rollback,
    .read = s_read,
    .write_case = s_write_case,
    .drop_case = s_drop_case,
    .write_confirm = s_write_confirm,
    .write_note = s_write_note,
    .walk = s_walk,
    .walk_due = s_walk_due,
    .history = s_history,
    .prune = s_prune,
    .destroy = s_destroy,
};

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
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL") == -1 ||
        yami_sqlite_migrate(self->database, &s_schema, S_PREFIX, NULL) == -1) {
        return -1;
    }
    for (int index = 0; index < S_COUNT; index++) {
        self->statements[index] = yami_sqlite_prepare(self->database, what, "%s", s_texts[index]);
        if (self->statements[index] == NULL) {
            return -1;
        }
    }
    return 0;
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
