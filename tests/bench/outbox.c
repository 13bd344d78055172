/*  outbox - messages put in transactions of 100 and delivered to the daemon, next to a bare SQLite
    insert of the same blobs in the same transactions.

    The application shares its database with the dispatcher, and waits for it as yam_outbox.h
    recommends; the bare insert has it to itself.

    Both: WAL, synchronous=FULL, a statement prepared once. Of the outbox the clock runs from the
    first BEGIN until the dispatcher, a thread of the same process, has marked the last row; the
    daemon has synced it by then. A message in the report is a row, the latency that of a
    transaction. In the end every row must be marked, and the daemon's queue as deep as that.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "harness/bench.h"
#include "yam.h"
#include "yam_admin.h"

#define GROUP 100
#define WAIT_MS 60000
#define QUEUE "bench"
#define RECORD_HEAD 12 //  bytes that a record has before its body

typedef struct {
    size_t size;
    uint64_t message_count;
    char directory[4000];
    char endpoint[256];
    bool is_bare;
    int64_t start_ns;
    int64_t put_ns; //  the last commit
    int64_t end_ns;
    uint64_t sync_count;
    uint64_t marked_count;
    uint64_t stored_count;
    yami_histogram_t latency; //  of transactions, ns
} run_t;

static void
s_execute(sqlite3 *database, const char *statement)
{
    char *error = NULL;
    if (sqlite3_exec(database, statement, NULL, NULL, &error) != SQLITE_OK) {
        bench_fail("%s: %s", statement, error);
    }
}

static sqlite3 *
s_open(const char *path)
{
    sqlite3 *database;
    if (sqlite3_open(path, &database) != SQLITE_OK) {
        bench_fail("cannot open %s", path);
    }
    (void) yam_outbox_busy_timeout(database, WAIT_MS);
    s_execute(database, "PRAGMA journal_mode = WAL");
    s_execute(database, "PRAGMA synchronous = FULL");
    return database;
}

static uint64_t
s_number(sqlite3 *database, const char *query)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, query, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        bench_fail("%s: %s", query, sqlite3_errmsg(database));
    }
    uint64_t number = (uint64_t) sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

//  ---- Writing one row

static void
s_insert(sqlite3_stmt *insert, const void *blob, size_t size)
{
    (void) sqlite3_bind_blob(insert, 1, blob, (int) size, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK) {
        bench_fail("cannot insert");
    }
}

static void
s_put(yam_outbox_t *outbox, const void *body, size_t size)
{
    yam_message_t *message = yam_message_new(body, size);
    if (yam_outbox_put(outbox, QUEUE, message) == -1) {
        bench_fail("cannot put: %s", yam_error());
    }
    yam_message_destroy(&message);
}

static void
s_write(run_t *run, sqlite3 *database, yam_outbox_t *outbox, sqlite3_stmt *insert)
{
    static uint8_t blob[BENCH_BODY_MAX + RECORD_HEAD];
    run->start_ns = bench_now_ns();
    for (uint64_t first = 0; first < run->message_count; first += GROUP) {
        int64_t begun_ns = bench_now_ns();
        s_execute(database, "BEGIN IMMEDIATE");
        for (uint64_t index = first; index < first + GROUP; index++) {
            bench_body_write(blob + RECORD_HEAD, run->size, index, 0);
            if (run->is_bare) {
                s_insert(insert, blob, run->size + RECORD_HEAD);
            } else {
                s_put(outbox, blob + RECORD_HEAD, run->size);
            }
        }
        s_execute(database, "COMMIT");
        yami_histogram_add(&run->latency, (uint64_t) (bench_now_ns() - begun_ns));
    }
    run->put_ns = bench_now_ns();
}

//  ---- The two systems, each in a process of its own

static int
s_bare(void *arg)
{
    run_t *run = arg;
    char path[4100];
    snprintf(path, sizeof path, "%s/app.db", run->directory);
    sqlite3 *database = s_open(path);
    sqlite3_stmt *insert;
    s_execute(database, "CREATE TABLE blobs (id INTEGER PRIMARY KEY, blob BLOB NOT NULL)");
    if (sqlite3_prepare_v2(database, "INSERT INTO blobs (blob) VALUES (?)", -1, &insert, NULL) !=
        SQLITE_OK) {
        bench_fail("%s", sqlite3_errmsg(database));
    }
    uint64_t syncs_before = bench_sync_count();
    s_write(run, database, NULL, insert);
    run->end_ns = run->put_ns;
    run->sync_count = bench_sync_count() - syncs_before;
    run->marked_count = run->stored_count = s_number(database, "SELECT count(*) FROM blobs");
    sqlite3_finalize(insert);
    sqlite3_close(database);
    return 0;
}

//  How many messages the daemon has.
static uint64_t
s_depth(yam_t *yam, const char *endpoint)
{
    yam_admin_t *admin = yam_admin_new(yam, endpoint);
    uint64_t depth = 0;
    if (admin && yam_admin_call(admin, &(yam_admin_request_t) {.command = "channels"}) == 0 &&
        yam_admin_row_count(admin) == 1) {
        depth = (uint64_t) yam_admin_number(admin, 0, "messages");
    }
    yam_admin_destroy(&admin);
    return depth;
}

static int
s_yam(void *arg)
{
    run_t *run = arg;
    char path[4100];
    snprintf(path, sizeof path, "%s/app.db", run->directory);
    sqlite3 *database = s_open(path);
    yam_t *yam = yam_new();
    yam_outbox_t *outbox = yam_outbox_new(database, NULL);
    yam_dispatcher_t *dispatcher = yam_dispatcher_new(yam, path, run->endpoint, NULL);
    if (outbox == NULL || dispatcher == NULL) {
        bench_fail("cannot open: %s", yam_error());
    }
    uint64_t syncs_before = bench_sync_count();
    s_write(run, database, outbox, NULL);
    int rc = yam_dispatcher_flush(dispatcher, WAIT_MS);
    run->end_ns = bench_now_ns();
    run->sync_count = bench_sync_count() - syncs_before;
    run->marked_count = s_number(database, "SELECT count(*) FROM yam_outbox WHERE state = 1");
    run->stored_count = s_depth(yam, run->endpoint);
    yam_dispatcher_destroy(&dispatcher);
    yam_outbox_destroy(&outbox);
    yam_destroy(&yam);
    sqlite3_close(database);
    return rc == 0 ? 0 : 1;
}

//  ---- The bench

static void
s_measure(size_t size, bool is_bare)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t processes[2];
    size_t count = 0;
    char *relay = bench_path("relay");
    char *directory = bench_path("outbox");
    run->size = size;
    run->is_bare = is_bare;
    run->message_count = bench_messages(size <= 1024 ? 300000 : 50000) / GROUP * GROUP;
    snprintf(run->directory, sizeof run->directory, "%s", directory);
    (void) mkdir(directory, 0777); //  the database tells when it is not there
    bench_clear_directory(relay);
    bench_clear_directory(directory);
    bool has_failed = !is_bare && bench_start_relay(&processes[count++], relay, run->endpoint,
                                                    sizeof run->endpoint) == -1;
    if (!has_failed) {
        bench_fork(&processes[count++], is_bare ? "sqlite" : "outbox", is_bare ? s_bare : s_yam,
                   run);
    }
    has_failed |= bench_wait(processes, count, 180) == -1;
    uint64_t relay_syncs = !is_bare && processes[0].sync_count ? *processes[0].sync_count : 0;
    bench_result_t result = {.system = is_bare ? "sqlite-insert" : "yam",
                             .phase = "through",
                             .size = size,
                             .message_count = run->message_count,
                             .seconds = (double) (run->end_ns - run->start_ns) / 1e9,
                             .latency = &run->latency,
                             .sync_count = run->sync_count + relay_syncs,
                             .is_void = has_failed || run->marked_count != run->message_count ||
                                        run->stored_count != run->message_count};
    bench_add_processes(&result, processes, count);
    bench_extra(&result, ", \"put_s\": %.4f", (double) (run->put_ns - run->start_ns) / 1e9);
    bench_report(&result);
    bench_clear_directory(relay);
    bench_clear_directory(directory);
    free(relay);
    free(directory);
}

int
main(void)
{
    static const size_t defaults[] = {128, 1024, 0};
    size_t sizes[16];
    bench_start("outbox");
    size_t size_count = bench_sizes(sizes, 16, defaults);
    for (size_t index = 0; index < size_count; index++) {
        if (bench_wants("SYSTEMS", "yam")) {
            s_measure(sizes[index], false);
        }
        if (bench_wants("SYSTEMS", "sqlite-insert")) {
            s_measure(sizes[index], true);
        }
    }
    return bench_finish();
}
