//  yami_postgres - errors in words, and statements. See the header.

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_postgres.h"

#define S_SENTENCE 512
#define S_STATEMENT 2048
#define S_INT8 20 //  object ids of types, fixed since ever: pg_type.dat
#define S_BYTEA 17
#define S_TEXT 25
#define S_BYTEA_ARRAY 1001
//  Of an array: dimensions, nulls, element type, length, first index; then each as size and bytes
#define S_ARRAY_HEAD 20

typedef struct {
    const char *state; //  what an SQLSTATE begins with; PostgreSQL's manual, appendix A
    int error;
    const char *advice;
} s_failure_t;

static const s_failure_t s_failures[] = {
    {"55P03", EAGAIN, " (another transaction holds it: roll back and try again)"},
    {"57014", EAGAIN, " (roll back and try again)"},
    {"40", EAGAIN, " (roll back and try again)"},
    {"25006", EROFS, " (default_transaction_read_only, or a standby? write to the primary)"},
    {"25P02", EPERM, " (roll it back)"},
    {"53100", ENOSPC, " (make room and try again)"},
    {"53", ENOMEM, ""},
    {"42501", EACCES, " (GRANT what it needs)"},
    {"42P01", ENOENT, ""},
    {"08", ENOTCONN, " (connect again)"},
    {"57P", ENOTCONN, " (connect again)"},
    {"XX001", EBADMSG, " (restore it from a copy)"},
    {"XX002", EBADMSG, " (REINDEX, or restore it from a copy)"},
};

int
yami_postgres_error(int error, const char *format, ...)
{
    char sentence[S_SENTENCE];
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return yam_error_set(error, sentence);
}

static const s_failure_t *
s_find_failure(const char *state)
{
    static const s_failure_t other = {"", EIO, ""};
    for (size_t index = 0; index < sizeof s_failures / sizeof *s_failures; index++) {
        if (strncmp(state, s_failures[index].state, strlen(s_failures[index].state)) == 0) {
            return &s_failures[index];
        }
    }
    return &other;
}

int
yami_postgres_fail(PGconn *connection, PGresult *result, const char *what)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (PQstatus(connection) == CONNECTION_BAD) {
        state = "08";
    }
    if (why == NULL) {
        why = PQerrorMessage(connection);
    }
    size_t size = strcspn(why, "\n");
    const s_failure_t *failure = s_find_failure(state ? state : "");
    int rc =
        yami_postgres_error(failure->error, "%s: %.*s%s", what, (int) size, why, failure->advice);
    int error = errno;
    PQclear(result);
    errno = error;
    return rc;
}

int
yami_postgres_check_transaction(PGconn *connection, const char *what)
{
    switch (PQtransactionStatus(connection)) {
    case PQTRANS_INTRANS:
        return 0;
    case PQTRANS_IDLE:
        return yami_postgres_error(EPERM, "%s needs the transaction of its effect (BEGIN first)",
                                   what);
    case PQTRANS_INERROR:
        return yami_postgres_error(EPERM, "%s: the transaction is aborted (roll it back)", what);
    case PQTRANS_ACTIVE:
        return yami_postgres_error(EBUSY,
                                   "%s: a command of this connection is under way (take all its "
                                   "results first)",
                                   what);
    default:
        return yami_postgres_error(ENOTCONN, "%s: the connection is lost (connect again)", what);
    }
}

//  ---- Transactions of our own

//  Runs one command that gives no rows.
static int
s_command(PGconn *connection, const char *what, const char *text)
{
    PGresult *result = PQexec(connection, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        return yami_postgres_fail(connection, result, what);
    }
    PQclear(result);
    return 0;
}

int
yami_postgres_begin(PGconn *connection, const char *what)
{
    if (PQstatus(connection) != CONNECTION_OK) {
        PQreset(connection);
    }
    return s_command(connection, what,
                     "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL "
                     "synchronous_commit = on; SET LOCAL lock_timeout = '5s'; SET LOCAL "
                     "idle_in_transaction_session_timeout = '5s'");
}

int
yami_postgres_commit(PGconn *connection, const char *what)
{
    PGresult *result = PQexec(connection, "COMMIT");
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        (void) yami_postgres_fail(connection, result, what);
        yami_postgres_rollback(connection);
        return -1;
    }
    bool is_done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    return is_done ? 0
                   : yami_postgres_error(
                         EPERM, "%s: the transaction was aborted, and is rolled back", what);
}

void
yami_postgres_rollback(PGconn *connection)
{
    int error = errno;
    if (PQtransactionStatus(connection) != PQTRANS_IDLE) {
        PQclear(PQexec(connection, "ROLLBACK"));
    }
    errno = error;
}

//  ---- Statements

static void
s_add(yami_postgres_parameters_t *self, Oid type, const void *data, size_t size)
{
    self->types[self->count] = type;
    self->values[self->count] = data;
    self->sizes[self->count] = (int) size;
    self->count++;
}

void
yami_postgres_add_int(yami_postgres_parameters_t *self, int64_t value)
{
    uint64_t number = htobe64((uint64_t) value);
    uint8_t *bytes = self->numbers[self->count];
    memcpy(bytes, &number, sizeof number);
    s_add(self, S_INT8, bytes, sizeof number);
}

void
yami_postgres_add_ints(yami_postgres_parameters_t *self, size_t count, const int64_t *values)
{
    for (size_t index = 0; index < count; index++) {
        yami_postgres_add_int(self, values[index]);
    }
}

void
yami_postgres_add_bytes(yami_postgres_parameters_t *self, const void *data, size_t size)
{
    s_add(self, S_BYTEA, data, size);
}

void
yami_postgres_add_text(yami_postgres_parameters_t *self, const char *text)
{
    s_add(self, S_TEXT, text, strlen(text));
}

//  Runs a statement; the result whatever it is, which may be NULL.
static PGresult *
s_run(PGconn *connection, const yami_postgres_parameters_t *parameters, const char *format,
      va_list arguments)
{
    static const yami_postgres_parameters_t none;
    static const int formats[YAMI_POSTGRES_PARAMETERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    char text[S_STATEMENT];
    int size = vsnprintf(text, sizeof text, format, arguments);
    const yami_postgres_parameters_t *given = parameters ? parameters : &none;
    return size < 0 || (size_t) size >= sizeof text
               ? PQmakeEmptyPGresult(connection, PGRES_FATAL_ERROR)
               : PQexecParams(connection, text, given->count, given->types, given->values,
                              given->sizes, formats, 1);
}

PGresult *
yami_postgres_query(PGconn *connection, const char *what,
                    const yami_postgres_parameters_t *parameters, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PGresult *result = s_run(connection, parameters, format, arguments);
    va_end(arguments);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        (void) yami_postgres_fail(connection, result, what);
        return NULL;
    }
    return result;
}

int64_t
yami_postgres_run(PGconn *connection, const char *what,
                  const yami_postgres_parameters_t *parameters, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PGresult *result = s_run(connection, parameters, format, arguments);
    va_end(arguments);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        return yami_postgres_fail(connection, result, what);
    }
    int64_t count = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return count;
}

//  Puts prefix in the place of each '#'; what does not fit is cut, and no statement then.
static void
s_expand(char *expanded, const char *prefix, const char *text)
{
    size_t size = 0;
    size_t prefix_size = strlen(prefix);
    for (; *text != 0 && size + prefix_size + 1 < S_STATEMENT; text++) {
        if (*text == '#') {
            memcpy(expanded + size, prefix, prefix_size);
            size += prefix_size;
        } else {
            expanded[size++] = *text;
        }
    }
    expanded[*text == 0 ? size : 0] = 0;
}

PGresult *
yami_postgres_query_for(PGconn *connection, const char *what, const char *prefix,
                        const yami_postgres_parameters_t *parameters, const char *text)
{
    char expanded[S_STATEMENT];
    s_expand(expanded, prefix, text);
    return yami_postgres_query(connection, what, parameters, "%s", expanded);
}

int64_t
yami_postgres_run_for(PGconn *connection, const char *what, const char *prefix,
                      const yami_postgres_parameters_t *parameters, const char *text)
{
    char expanded[S_STATEMENT];
    s_expand(expanded, prefix, text);
    return yami_postgres_run(connection, what, parameters, "%s", expanded);
}

//  ---- Results

static int64_t
s_get_int(const char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return (int64_t) be64toh(number);
}

int64_t
yami_postgres_int(const PGresult *result, int row, int column)
{
    bool is_there = PQgetlength(result, row, column) == 8;
    return is_there ? s_get_int(PQgetvalue(result, row, column)) : 0;
}

size_t
yami_postgres_ints(const PGresult *result, int row, int column, int64_t *numbers, size_t limit)
{
    const char *bytes = PQgetvalue(result, row, column) + S_ARRAY_HEAD;
    size_t size = (size_t) PQgetlength(result, row, column);
    size_t count = size > S_ARRAY_HEAD ? (size - S_ARRAY_HEAD) / 12 : 0; //  each behind its size
    count = count < limit ? count : limit;
    for (size_t index = 0; index < count; index++) {
        numbers[index] = s_get_int(bytes + 12 * index + 4);
    }
    return count;
}

//  ---- Arrays as parameters

static void
s_put_u32(uint8_t *bytes, uint32_t value)
{
    uint32_t number = htobe32(value);
    memcpy(bytes, &number, sizeof number);
}

void
yami_postgres_array_clear(yami_postgres_array_t *self)
{
    self->size = 0;
    self->count = 0;
    self->has_failed = false;
}

void
yami_postgres_array_free(yami_postgres_array_t *self)
{
    free(self->data);
    *self = (yami_postgres_array_t) {0};
}

//  Room for size more bytes.
static bool
s_reserve(yami_postgres_array_t *self, size_t size)
{
    size_t needed = self->size + size;
    if (needed <= self->capacity) {
        return true;
    }
    size_t capacity = needed * 2;
    uint8_t *data = realloc(self->data, capacity);
    if (data != NULL) {
        self->data = data;
        self->capacity = capacity;
    }
    return data != NULL;
}

void
yami_postgres_array_append(yami_postgres_array_t *self, const void *data, size_t size)
{
    if (self->has_failed || !s_reserve(self, S_ARRAY_HEAD + 4 + size)) {
        self->has_failed = true;
        return;
    }
    if (self->size == 0) {
        self->size = S_ARRAY_HEAD;
    }
    s_put_u32(self->data + self->size, (uint32_t) size);
    memcpy(self->data + self->size + 4, data, size);
    self->size += 4 + size;
    self->count++;
}

int
yami_postgres_add_array(yami_postgres_parameters_t *parameters, yami_postgres_array_t *array)
{
    if (array->has_failed) {
        return yami_postgres_error(ENOMEM, "no memory for the parameters of a statement");
    }
    if (array->size == 0) { //  an empty array has no dimension
        array->size = s_reserve(array, S_ARRAY_HEAD) ? S_ARRAY_HEAD : 0;
    }
    uint32_t head[] = {1, 0, S_BYTEA, array->count, 1};
    for (size_t index = 0; index < sizeof head / sizeof *head; index++) {
        s_put_u32(array->data + 4 * index, head[index]);
    }
    s_add(parameters, S_BYTEA_ARRAY, array->data, array->size);
    return 0;
}
