/*  LMDB, durable (no MDB_NOSYNC, no MDB_NOMETASYNC), keys ascending, each blob written once into
    its page. */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"

typedef struct {
    MDB_env *environment;
    MDB_dbi database;
    MDB_txn *transaction; //  the open group, NULL when none
    uint64_t first;       //  oldest blob there is
} lmdb_t;

static void
s_check(int rc, const char *what)
{
    if (rc != 0) {
        bench_fail("lmdb: %s: %s", what, mdb_strerror(rc));
    }
}

static void
s_begin(lmdb_t *self)
{
    if (!self->transaction) {
        s_check(mdb_txn_begin(self->environment, NULL, 0, &self->transaction), "begin");
    }
}

static void *
s_open(const char *directory, uint64_t keep_bytes)
{
    lmdb_t *self = calloc(1, sizeof *self);
    s_check(mdb_env_create(&self->environment), "create");
    s_check(mdb_env_set_mapsize(self->environment, 4 * keep_bytes), "mapsize");
    s_check(mdb_env_open(self->environment, directory, 0, 0666), "open");
    s_begin(self);
    s_check(mdb_dbi_open(self->transaction, NULL, MDB_INTEGERKEY, &self->database), "database");
    s_check(mdb_txn_commit(self->transaction), "commit");
    self->transaction = NULL;
    return self;
}

static void
s_close(void *arg)
{
    lmdb_t *self = arg;
    mdb_env_close(self->environment);
    free(self);
}

static void
s_append(void *arg, uint64_t index, void *blob, size_t size)
{
    lmdb_t *self = arg;
    MDB_val key = {sizeof index, &index};
    MDB_val value = {size, NULL};
    s_begin(self);
    s_check(mdb_put(self->transaction, self->database, &key, &value, MDB_APPEND | MDB_RESERVE),
            "put");
    memcpy(value.mv_data, blob, size);
    free(blob);
}

static void
s_trim(void *arg, uint64_t floor)
{
    lmdb_t *self = arg;
    s_begin(self);
    for (; self->first < floor; self->first++) {
        MDB_val key = {sizeof self->first, &self->first};
        s_check(mdb_del(self->transaction, self->database, &key, NULL), "delete");
    }
}

static void
s_commit(void *arg)
{
    lmdb_t *self = arg;
    s_begin(self);
    s_check(mdb_txn_commit(self->transaction), "commit");
    self->transaction = NULL;
}

static bool
s_read(void *arg, uint64_t index, void *blob, size_t size)
{
    lmdb_t *self = arg;
    MDB_txn *transaction = NULL;
    MDB_val key = {sizeof index, &index};
    MDB_val value;
    s_check(mdb_txn_begin(self->environment, NULL, MDB_RDONLY, &transaction), "begin");
    bool was_read =
        mdb_get(transaction, self->database, &key, &value) == 0 && value.mv_size == size;
    if (was_read) {
        memcpy(blob, value.mv_data, size);
    }
    mdb_txn_abort(transaction);
    return was_read;
}

const bench_store_t bench_store_lmdb = {.name = "lmdb",
                                        .open = s_open,
                                        .close = s_close,
                                        .append = s_append,
                                        .trim = s_trim,
                                        .commit = s_commit,
                                        .read = s_read};
