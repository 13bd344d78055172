/*  yami_postgres - what outbox, inbox and callback need of a PGconn that is the application's.

    Not a layer over libpq: this is what would be written three times. Errors in words, statements,
    arrays as parameters, a versioned schema, all in the manner of yami_sqlite. Nothing is prepared
    by name: the connection's session is the application's, and may be another one each time behind
    a pool. Not thread-safe; one connection, one thread.
*/
#ifndef YAMI_POSTGRES_H
#define YAMI_POSTGRES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  ---- Errors

//  Sets errno and the sentence of the printf-like format, cut at 511 bytes. Returns -1.
int
yami_postgres_error(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

//  Sets errno and a sentence "WHAT: WHY (WHAT TO DO)" from a result that failed (NULL: from the
//  connection), which it frees. Returns -1. EAGAIN (locks, deadlocks, serialization, timeouts),
//  EROFS, ENOSPC, ENOMEM, EACCES, ENOENT (no such table), EPERM (the transaction is aborted),
//  EBADMSG (damaged), ENOTCONN (the connection is lost), EIO (all else).
int
yami_postgres_fail(PGconn *connection, PGresult *result, const char *what);

//  Whether a transaction is open and well. 0, or -1 with errno EPERM (none, or an aborted one),
//  EBUSY (another command is under way), ENOTCONN, and a sentence.
int
yami_postgres_check_transaction(PGconn *connection, const char *what);

//  ---- Transactions of our own

//  Makes a lost connection anew, and begins a transaction, in one round trip. What it commits is
//  durable, whatever the server does by default. Nobody's lock holds it up for longer than 5 s, nor
//  do its own others: the server throws out who freezes in it. 0, or -1 as above; what began is to
//  be rolled back then, too.
int
yami_postgres_begin(PGconn *connection, const char *what);

//  0, or -1 as above, EPERM when the transaction was aborted: rolled back. When the connection is
//  lost meanwhile, nobody knows what came of it.
int
yami_postgres_commit(PGconn *connection, const char *what);

//  Whatever state it is in. Keeps errno.
void
yami_postgres_rollback(PGconn *connection);

//  ---- Statements

#define YAMI_POSTGRES_PARAMETERS 12

//  Parameters $1, $2 ... of one statement, in binary. Bytes are borrowed until it has run.
typedef struct {
    int count;
    Oid types[YAMI_POSTGRES_PARAMETERS];
    const char *values[YAMI_POSTGRES_PARAMETERS];
    int sizes[YAMI_POSTGRES_PARAMETERS];
    uint8_t numbers[YAMI_POSTGRES_PARAMETERS][8]; //  where values points for integers
} yami_postgres_parameters_t;

void
yami_postgres_add_int(yami_postgres_parameters_t *self, int64_t value);
void
yami_postgres_add_ints(yami_postgres_parameters_t *self, size_t count, const int64_t *values);
void
yami_postgres_add_bytes(yami_postgres_parameters_t *self, const void *data, size_t size);
void
yami_postgres_add_text(yami_postgres_parameters_t *self, const char *text);

//  Runs one statement of the printf-like format; parameters may be NULL. The result, in binary,
//  owned by the caller (PQclear); NULL as yami_postgres_fail, with a sentence that begins with
//  what.
PGresult *
yami_postgres_query(PGconn *connection, const char *what,
                    const yami_postgres_parameters_t *parameters, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

//  The same for what gives no rows: how many rows it changed, or -1.
int64_t
yami_postgres_run(PGconn *connection, const char *what,
                  const yami_postgres_parameters_t *parameters, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

//  The same, where each '#' of text stands for prefix.
PGresult *
yami_postgres_query_for(PGconn *connection, const char *what, const char *prefix,
                        const yami_postgres_parameters_t *parameters, const char *text);
int64_t
yami_postgres_run_for(PGconn *connection, const char *what, const char *prefix,
                      const yami_postgres_parameters_t *parameters, const char *text);

//  An int8 column of a result; 0 for NULL.
int64_t
yami_postgres_int(const PGresult *result, int row, int column);

//  An int8[] column of a result, its first limit numbers. How many; 0 for NULL.
size_t
yami_postgres_ints(const PGresult *result, int row, int column, int64_t *numbers, size_t limit);

//  ---- Arrays as parameters

//  One array of bytea, growing. Zeroed to begin with.
typedef struct {
    uint8_t *data; //  owned
    size_t size;
    size_t capacity;
    uint32_t count;
    bool has_failed; //  no memory: remembered until it is added
} yami_postgres_array_t;

//  Empties it and keeps its memory.
void
yami_postgres_array_clear(yami_postgres_array_t *self);
void
yami_postgres_array_free(yami_postgres_array_t *self);
void
yami_postgres_array_append(yami_postgres_array_t *self, const void *data, size_t size);

//  Adds the array as a parameter of type bytea[]. 0, or -1 with errno ENOMEM and a sentence.
int
yami_postgres_add_array(yami_postgres_parameters_t *parameters, yami_postgres_array_t *array);

//  ---- A versioned schema

//  One step of a schema, from version n to n + 1; runs inside a transaction. 0, or -1 with errno
//  and a sentence.
typedef int (*yami_postgres_step_fn)(PGconn *connection, const char *prefix, void *arg);

typedef struct {
    const char *name;                   //  "outbox": for sentences
    const yami_postgres_step_fn *steps; //  [0] makes version 1 out of nothing
    int version;                        //  how many steps there are
} yami_postgres_schema_t;

//  Brings the tables of prefix (a-z, 0-9, _) to schema->version: all steps that are missing, in one
//  transaction (a savepoint when one is open), one process after the other. The version stands in
//  PREFIX_meta. 0, or -1 as above, or with errno EPROTONOSUPPORT: the tables are of a newer version
//  than this library knows. Nothing changed then.
int
yami_postgres_migrate(PGconn *connection, const yami_postgres_schema_t *schema, const char *prefix,
                      void *arg);

//  Waits for all others who do something to the tables of prefix that one must do after the other,
//  and keeps them waiting until the transaction ends. 0, or -1 as above.
int
yami_postgres_wait_for_turn(PGconn *connection, const char *prefix);

//  Reads a number from PREFIX_meta, or writes it with initial when it is not there yet. 0, or -1 as
//  above.
int
yami_postgres_meta(PGconn *connection, const char *prefix, const char *name, int64_t initial,
                   int64_t *value);

#endif
