//  yami_sqlite - errors in words, and statements. See the header.

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "yami_base.h"
#include "yami_sqlite.h"

typedef struct {
    int code; //  SQLite's primary result code
    int error;
    const char *advice;
} s_failure_t;

static const s_failure_t s_failures[] = {
    {SQLITE_BUSY, EAGAIN, " (another connection writes; try again, or set a busy timeout)"},
    {SQLITE_LOCKED, EAGAIN, " (a statement of this connection is still open)"},
    {SQLITE_FULL, ENOSPC, " (make room and try again)"},
    {SQLITE_READONLY, EROFS, " (open it for writing)"},
    {SQLITE_CORRUPT, EBADMSG, " (restore it from a copy; PRAGMA integrity_check tells more)"},
    {SQLITE_NOTADB, EBADMSG, " (is this the right file?)"},
    {SQLITE_NOMEM, ENOMEM, ""},
    {SQLITE_TOOBIG, EFBIG, ""},
    {SQLITE_ERROR, ENOENT, ""}, //  of statements that are right: a table that is gone
};

int
yami_sqlite_fail(sqlite3 *database, const char *what)
{
    int code = sqlite3_errcode(database) & 0xff;
    for (size_t index = 0; index < sizeof s_failures / sizeof *s_failures; index++) {
        const s_failure_t *failure = &s_failures[index];
        if (failure->code == code) {
            return yami_fail(failure->error, "%s: %s%s", what, sqlite3_errmsg(database),
                             failure->advice);
        }
    }
    return yami_fail(EIO, "%s: %s", what, sqlite3_errmsg(database));
}

sqlite3 *
yami_sqlite_connect(const char *file)
{
    if (file == NULL || *file == 0 || strcmp(file, ":memory:") == 0) {
        (void) yami_fail(EINVAL, "a thread's own connection needs the database's file");
        return NULL;
    }
    sqlite3 *database = NULL;
    if (sqlite3_open_v2(file, &database, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        return database;
    }
    (void) yami_fail(ENOENT, "cannot open database %s: %s", file,
                     database != NULL ? sqlite3_errmsg(database) : "out of memory");
    (void) sqlite3_close(database);
    errno = ENOENT;
    return NULL;
}

//  The text of a statement, owned by the caller. NULL with errno ENOMEM.
static char *
s_text(const char *what, const char *format, va_list arguments)
{
    char *text = sqlite3_vmprintf(format, arguments);
    if (text == NULL) {
        (void) yami_fail(ENOMEM, "%s: out of memory", what);
    }
    return text;
}

int
yami_sqlite_run(sqlite3 *database, const char *what, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = s_text(what, format, arguments);
    va_end(arguments);
    if (text == NULL) {
        return -1;
    }
    int code = sqlite3_exec(database, text, NULL, NULL, NULL);
    sqlite3_free(text);
    return code == SQLITE_OK ? 0 : yami_sqlite_fail(database, what);
}

sqlite3_stmt *
yami_sqlite_prepare(sqlite3 *database, const char *what, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = s_text(what, format, arguments);
    va_end(arguments);
    if (text == NULL) {
        return NULL;
    }
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(database, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    sqlite3_free(text);
    if (code != SQLITE_OK) {
        (void) yami_sqlite_fail(database, what);
        return NULL;
    }
    return statement;
}

sqlite3_stmt *
yami_sqlite_prepare_for(sqlite3 *database, const char *what, const char *prefix, const char *text)
{
    char whole[YAMI_SQLITE_TEXT];
    size_t used = 0;
    for (const char *at = text; *at != 0; at++) {
        size_t size = *at == '#' ? strlen(prefix) : 1;
        YAM_ASSERT(used + size < sizeof whole);
        memcpy(whole + used, *at == '#' ? prefix : at, size);
        used += size;
    }
    whole[used] = 0;
    return yami_sqlite_prepare(database, what, "%s", whole);
}

void
yami_sqlite_bind(sqlite3_stmt *statement, size_t count, const int64_t *numbers)
{
    for (size_t index = 0; index < count; index++) {
        (void) sqlite3_bind_int64(statement, (int) index + 1, numbers[index]);
    }
}

int
yami_sqlite_next(sqlite3 *database, sqlite3_stmt *statement, const char *what)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        return 1;
    }
    int rc = code == SQLITE_DONE ? 0 : yami_sqlite_fail(database, what);
    int error = errno;
    (void) sqlite3_reset(statement);
    errno = error;
    return rc;
}

int
yami_sqlite_finish(sqlite3 *database, sqlite3_stmt *statement, const char *what)
{
    int rc;
    do {
        rc = yami_sqlite_next(database, statement, what);
    } while (rc == 1);
    return rc;
}

int
yami_sqlite_prefix_check(const char *prefix)
{
    size_t size = strspn(prefix, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (size == 0 || size > YAMI_SQLITE_PREFIX || prefix[size] != 0 || !isalpha(prefix[0])) {
        return yami_fail(EINVAL,
                         "table prefix '%.64s' must be 1 to %d of a-z, 0-9 and _, beginning with "
                         "a letter",
                         prefix, YAMI_SQLITE_PREFIX);
    }
    return 0;
}
