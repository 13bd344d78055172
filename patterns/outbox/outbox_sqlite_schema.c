//  yam_outbox - the versions of its tables in an SQLite database. See SPEC.md.

#include "yami_base.h"
#include "yami_outbox_sqlite.h"

//  Runs one statement, in which '#' is the prefix. 0, or -1 with errno and a sentence.
static int
s_run(sqlite3 *database, const char *prefix, const char *text)
{
    const char *what = "cannot make the outbox's tables";
    sqlite3_stmt *statement = yami_sqlite_prepare_for(database, what, prefix, text);
    int rc = statement == NULL ? -1 : yami_sqlite_finish(database, statement, what);
    (void) sqlite3_finalize(statement);
    return rc;
}

static int
s_run_all(sqlite3 *database, const char *prefix, const char *const *texts)
{
    int rc = 0;
    for (size_t index = 0; rc == 0 && texts[index] != NULL; index++) {
        rc = s_run(database, prefix, texts[index]);
    }
    return rc;
}

//  -- Version 1 -----------------------------------------------------------------------------------

static const char *const s_first[] = {
    "CREATE TABLE # (id INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, state INTEGER "
    "NOT NULL, time_ms INTEGER NOT NULL, record BLOB NOT NULL)",
    "CREATE INDEX #_sending ON # (lane) WHERE state = 0",
    "CREATE TABLE #_lane (lane INTEGER PRIMARY KEY, kind INTEGER NOT NULL, channel TEXT NOT NULL, "
    "epoch INTEGER NOT NULL, next INTEGER NOT NULL, assigned INTEGER NOT NULL, owner INTEGER NOT "
    "NULL, beat INTEGER NOT NULL, UNIQUE (kind, channel))",
    "CREATE TABLE #_flight (lane INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, "
    "first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, tries TEXT NOT NULL, PRIMARY KEY (lane, "
    "first)) WITHOUT ROWID",
    "CREATE TABLE #_failed (id INTEGER PRIMARY KEY, status INTEGER NOT NULL, time_ms INTEGER NOT "
    "NULL, tries TEXT NOT NULL, reason TEXT NOT NULL)",
    NULL,
};

//  The tables, and the producer's id.
static int
s_make_tables(sqlite3 *database, const char *prefix, void *arg)
{
    (void) arg;
    int64_t halves[2];
    yami_random(halves, sizeof halves);
    int64_t noted;
    return s_run_all(database, prefix, s_first) == -1 ||
                   yami_sqlite_meta(database, prefix, "producer-1", halves[0], &noted) == -1 ||
                   yami_sqlite_meta(database, prefix, "producer-2", halves[1], &noted) == -1
               ? -1
               : 0;
}

//  -- Version 2: a row is written once, and its state follows from the other tables ---------------

//  A database that had been put back from a copy has delivered rows behind `assigned`: what waits
//  before the last of them gets its sequences now. Then each flight is split where rows of other
//  states lie in it. Tables are made anew: ALTER TABLE would fail over any view of the application
//  that is not sound.
static const char *const s_second[] = {
    "INSERT INTO #_flight SELECT l.lane, l.next, count(*), min(p.id), max(p.id), '' FROM #_lane l "
    "JOIN # p ON p.lane = l.lane AND p.state = 0 AND p.id > l.assigned WHERE p.id < (SELECT "
    "max(d.id) FROM # d WHERE d.lane = l.lane AND d.state = 1) GROUP BY l.lane",
    "UPDATE #_lane SET next = coalesce((SELECT max(first + count) FROM #_flight WHERE "
    "#_flight.lane = #_lane.lane AND first >= next), next), assigned = max(assigned, coalesce("
    "(SELECT max(id) FROM # WHERE #.lane = #_lane.lane AND state = 1), 0))",
    "CREATE TABLE #_whole AS SELECT * FROM #_flight",
    "DELETE FROM #_flight",
    "INSERT INTO #_flight SELECT lane, first + min(place), count(*), min(id), max(id), tries FROM "
    "(SELECT w.lane, w.first, w.tries, p.id, p.state, sum(p.state = 0) OVER flight - 1 AS place, "
    "row_number() OVER flight AS number FROM #_whole w JOIN # p ON p.lane = w.lane AND p.id "
    "BETWEEN w.first_id AND w.last_id WINDOW flight AS (PARTITION BY w.lane, w.first ORDER BY "
    "p.id)) WHERE state = 0 GROUP BY lane, first, number - place",
    "DROP TABLE #_whole",
    "CREATE UNIQUE INDEX #_flight_last ON #_flight (lane, last_id)",
    "ALTER TABLE #_failed ADD COLUMN state INTEGER NOT NULL DEFAULT 2",
    "INSERT INTO #_failed (id, state, status, time_ms, tries, reason) SELECT id, state, 0, "
    "time_ms, '', 'cancelled' FROM # WHERE state IN (2, 3) ON CONFLICT (id) DO UPDATE SET state = "
    "excluded.state",
    "CREATE TABLE #_row (id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, time_ms INTEGER NOT NULL, "
    "record BLOB NOT NULL)",
    "INSERT INTO #_row SELECT id, lane, time_ms, record FROM # ORDER BY id",
    "INSERT INTO #_row SELECT seq, 0, 0, x'' FROM sqlite_sequence WHERE name = '#' AND seq > "
    "coalesce((SELECT max(id) FROM #_row), 0)",
    "DROP TABLE #",
    "CREATE INDEX #_row_lane ON #_row (lane)",
    //  No id is used again: where the newest row is deleted, an empty one of no lane keeps its id.
    //  AUTOINCREMENT gives the same, at a fifth of what a put costs.
    "CREATE TRIGGER #_row_gone AFTER DELETE ON #_row WHEN OLD.id > coalesce((SELECT max(id) FROM "
    "#_row), 0) BEGIN INSERT INTO #_row VALUES (OLD.id, 0, 0, x''); DELETE FROM #_row WHERE lane = "
    "0 AND id < OLD.id; END",
    //  A row's sequence is the first of its flight plus how many rows stand before it there.
    "CREATE VIEW # AS SELECT p.id, p.lane, CASE WHEN f.id IS NOT NULL THEN f.state WHEN p.id > "
    "l.assigned OR w.lane IS NOT NULL THEN 0 ELSE 1 END AS state, p.time_ms, p.record, l.kind, "
    "l.channel, l.epoch, w.first + (SELECT count(*) FROM #_row q WHERE q.lane = p.lane AND q.id >= "
    "w.first_id AND q.id < p.id) AS sequence, f.status, f.time_ms AS end_ms, coalesce(f.tries, "
    "w.tries) AS tries, f.reason FROM #_row p JOIN #_lane l ON l.lane = p.lane LEFT JOIN #_failed "
    "f ON f.id = p.id LEFT JOIN #_flight w ON w.lane = p.lane AND w.first_id <= p.id AND w.last_id "
    "= (SELECT min(e.last_id) FROM #_flight e WHERE e.lane = p.lane AND e.last_id >= p.id)",
    NULL,
};

static int
s_part_states(sqlite3 *database, const char *prefix, void *arg)
{
    (void) arg;
    return s_run_all(database, prefix, s_second);
}

static const yami_sqlite_step_fn s_steps[] = {s_make_tables, s_part_states};
const yami_sqlite_schema_t yami_outbox_sqlite_schema = {"outbox", s_steps, 2};
