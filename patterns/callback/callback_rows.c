//  yami_callback_rows - statements that every database understands, and their rows. See the header,
//  and SPEC.md, section "Tables".

#include "yami_callback_rows.h"

#include <stdio.h>
#include <string.h>

#include "yami_base.h"

#define S_CASE                                                                                     \
    "id, state, round, call, tries, due_ms, delay_ms, first_ms, changed_ms, queue, service"
#define S_FROM                                                                                     \
    "FROM yam_callback_cases, (SELECT id AS from_id, changed_ms AS from_ms FROM "                  \
    "yam_callback_cases WHERE id = $1) AS place WHERE (changed_ms < from_ms OR (changed_ms = "     \
    "from_ms AND id >= from_id))"
#define S_ENDED                                                                                    \
    "(SELECT id FROM yam_callback_cases WHERE state IN (4, 5, 6) AND changed_ms < $1 ORDER BY "    \
    "changed_ms, id LIMIT $2)"

//  Each parameter for the first time in the order of its number: so numbers and places are one.
static const yam_callback_statement_t s_read_case = {
    0, 1, "SELECT " S_CASE " FROM yam_callback_cases WHERE id = $1", "cannot read a case"};
static const yam_callback_statement_t s_read_confirm = {
    1, 1, "SELECT outcome, round, time_ms, reason FROM yam_callback_confirms WHERE id = $1",
    "cannot read a confirm"};
static const yam_callback_statement_t s_write_case = {
    2, 11,
    "INSERT INTO yam_callback_cases (" S_CASE ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
    "$11) ON CONFLICT (id) DO UPDATE SET state = $2, round = $3, call = $4, tries = $5, due_ms = "
    "$6, delay_ms = $7, first_ms = $8, changed_ms = $9, queue = $10, service = $11",
    "cannot write a case"};
static const yam_callback_statement_t s_write_confirm = {
    3, 5,
    "INSERT INTO yam_callback_confirms (id, outcome, round, time_ms, reason) VALUES ($1, $2, $3, "
    "$4, $5) ON CONFLICT (id) DO UPDATE SET outcome = $2, round = $3, time_ms = $4, reason = $5",
    "cannot write a confirm"};
static const yam_callback_statement_t s_write_note = {
    4, 5,
    "INSERT INTO yam_callback_history (id, number, time_ms, round, event, text) SELECT $1, "
    "COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5 FROM yam_callback_history WHERE id = $1",
    "cannot write a case's history"};
static const yam_callback_statement_t s_drop[] = {
    {5, 1, "DELETE FROM yam_callback_history WHERE id = $1", "cannot drop a case's history"},
    {6, 1, "DELETE FROM yam_callback_cases WHERE id = $1", "cannot drop a case"}};
static const yam_callback_statement_t s_walk_all = {
    7, 1, "SELECT " S_CASE " FROM yam_callback_cases ORDER BY changed_ms DESC, id LIMIT $1",
    "cannot read cases"};
static const yam_callback_statement_t s_walk_state = {
    8, 2,
    "SELECT " S_CASE " FROM yam_callback_cases WHERE state = $1 ORDER BY changed_ms DESC, id "
    "LIMIT $2",
    "cannot read cases"};
static const yam_callback_statement_t s_walk_due = {
    9, 4,
    "SELECT " S_CASE " FROM yam_callback_cases WHERE state = $1 AND (due_ms <= $2 OR changed_ms > "
    "$3) ORDER BY due_ms, id LIMIT $4",
    "cannot read cases"};
static const yam_callback_statement_t s_history = {
    10, 1,
    "SELECT time_ms, round, event, text FROM yam_callback_history WHERE id = $1 ORDER BY number",
    "cannot read history"};
static const yam_callback_statement_t s_prune[] = {
    {11, 2,
     "DELETE FROM yam_callback_confirms WHERE id IN (SELECT id FROM yam_callback_confirms WHERE "
     "time_ms < $1 ORDER BY time_ms LIMIT $2)",
     "cannot forget old confirms"},
    {12, 2, "DELETE FROM yam_callback_history WHERE id IN " S_ENDED, "cannot forget old cases"},
    {13, 2, "DELETE FROM yam_callback_cases WHERE id IN " S_ENDED, "cannot forget old cases"}};
static const yam_callback_statement_t s_walk_all_from = {
    14, 2, "SELECT " S_CASE " " S_FROM " ORDER BY changed_ms DESC, id LIMIT $2",
    "cannot read cases"};
static const yam_callback_statement_t s_walk_state_from = {
    15, 3, "SELECT " S_CASE " " S_FROM " AND state = $2 ORDER BY changed_ms DESC, id LIMIT $3",
    "cannot read cases"};

const char *
yam_callback_schema(size_t index)
{
    static const char *const texts[] = {
        "CREATE TABLE yam_callback_confirms (id text NOT NULL PRIMARY KEY, outcome bigint NOT "
        "NULL, round bigint NOT NULL, time_ms bigint NOT NULL, reason text NOT NULL)",
        "CREATE INDEX yam_callback_confirms_time ON yam_callback_confirms (time_ms)",
        "CREATE TABLE yam_callback_cases (id text NOT NULL PRIMARY KEY, state bigint NOT NULL, "
        "round bigint NOT NULL, call bigint NOT NULL, tries bigint NOT NULL, due_ms bigint NOT "
        "NULL, delay_ms bigint NOT NULL, first_ms bigint NOT NULL, changed_ms bigint NOT NULL, "
        "queue text NOT NULL, service text NOT NULL)",
        "CREATE INDEX yam_callback_cases_due ON yam_callback_cases (state, due_ms)",
        "CREATE INDEX yam_callback_cases_changed ON yam_callback_cases (state, changed_ms)",
        "CREATE TABLE yam_callback_history (id text NOT NULL, number bigint NOT NULL, time_ms "
        "bigint NOT NULL, round bigint NOT NULL, event text NOT NULL, text text NOT NULL, PRIMARY "
        "KEY (id, number))",
    };
    return index < sizeof texts / sizeof *texts ? texts[index] : NULL;
}

//  -- Values ------------------------------------------------------------------------------------

static yam_callback_value_t
s_text(const char *text)
{
    return (yam_callback_value_t) {.text = text};
}

static yam_callback_value_t
s_number(int64_t number)
{
    return (yam_callback_value_t) {.number = number};
}

static void
s_copy(yam_callback_value_t value, char *text, size_t size)
{
    (void) snprintf(text, size, "%s", value.text != NULL ? value.text : "");
}

static int64_t
s_run(yam_callback_store_t *store, const yam_callback_statement_t *statement,
      const yam_callback_value_t *values, yam_callback_row_fn take, void *arg)
{
    return store->db->run(store->database, statement, values, take, arg);
}

//  What gives no rows. 0, or -1.
static int
s_do(yam_callback_store_t *store, const yam_callback_statement_t *statement,
     const yam_callback_value_t *values)
{
    return s_run(store, statement, values, NULL, NULL) == -1 ? -1 : 0;
}

//  -- Reading -----------------------------------------------------------------------------------

//  Columns of S_CASE.
static int
s_take_case(void *arg, const yam_callback_value_t *columns)
{
    yam_case_t *row = arg;
    s_copy(columns[0], row->id, sizeof row->id);
    row->state = (int) columns[1].number;
    row->round = (uint32_t) columns[2].number;
    row->call = (uint32_t) columns[3].number;
    row->try_count = (uint32_t) columns[4].number;
    row->due_ms = columns[5].number;
    row->delay_ms = columns[6].number;
    row->first_ms = columns[7].number;
    row->changed_ms = columns[8].number;
    s_copy(columns[9], row->queue, sizeof row->queue);
    s_copy(columns[10], row->service, sizeof row->service);
    return 0;
}

static int
s_take_confirm(void *arg, const yam_callback_value_t *columns)
{
    yam_case_confirm_t *confirm = arg;
    confirm->outcome = (int) columns[0].number;
    confirm->round = (uint32_t) columns[1].number;
    confirm->time_ms = columns[2].number;
    s_copy(columns[3], confirm->reason, sizeof confirm->reason);
    return 0;
}

int
yami_callback_rows_read(yam_callback_store_t *store, const char *id, yam_case_t *row,
                        yam_case_confirm_t *confirm)
{
    const yam_callback_value_t values[] = {s_text(id)};
    memset(row, 0, sizeof *row);
    memset(confirm, 0, sizeof *confirm);
    if (s_run(store, &s_read_case, values, s_take_case, row) == -1 ||
        s_run(store, &s_read_confirm, values, s_take_confirm, confirm) == -1) {
        return -1;
    }
    if (confirm->outcome != YAM_CONFIRM_NONE) {
        (void) snprintf(confirm->id, sizeof confirm->id, "%s", id);
    }
    return 0;
}

//  -- Writing -----------------------------------------------------------------------------------

int
yami_callback_rows_write_case(yam_callback_store_t *store, const yam_case_t *row)
{
    const yam_callback_value_t values[] = {
        s_text(row->id),         s_number(row->state),     s_number(row->round),
        s_number(row->call),     s_number(row->try_count), s_number(row->due_ms),
        s_number(row->delay_ms), s_number(row->first_ms),  s_number(row->changed_ms),
        s_text(row->queue),      s_text(row->service)};
    return s_do(store, &s_write_case, values);
}

int
yami_callback_rows_write_confirm(yam_callback_store_t *store, const yam_case_confirm_t *confirm)
{
    const yam_callback_value_t values[] = {s_text(confirm->id), s_number(confirm->outcome),
                                           s_number(confirm->round), s_number(confirm->time_ms),
                                           s_text(confirm->reason)};
    return s_do(store, &s_write_confirm, values);
}

int
yami_callback_rows_write_note(yam_callback_store_t *store, const char *id,
                              const yam_case_note_t *note)
{
    const yam_callback_value_t values[] = {s_text(id), s_number(note->time_ms),
                                           s_number(note->round), s_text(note->event),
                                           s_text(note->text)};
    return s_do(store, &s_write_note, values);
}

int
yami_callback_rows_drop_case(yam_callback_store_t *store, const char *id)
{
    const yam_callback_value_t values[] = {s_text(id)};
    return s_do(store, &s_drop[0], values) == -1 ? -1 : s_do(store, &s_drop[1], values);
}

int64_t
yami_callback_rows_prune(yam_callback_store_t *store, int64_t time_ms, int64_t limit)
{
    const yam_callback_value_t values[] = {s_number(time_ms), s_number(limit)};
    int64_t counts[3];
    for (int index = 0; index < 3; index++) {
        counts[index] = s_run(store, &s_prune[index], values, NULL, NULL);
        if (counts[index] == -1) {
            return -1;
        }
    }
    return counts[0] + counts[2];
}

//  -- Walks -------------------------------------------------------------------------------------

typedef struct {
    yam_case_t *row;
    yam_case_note_t *note;
    yam_case_fn visit;
    void *arg;
} s_walk_t;

static int
s_visit_case(void *arg, const yam_callback_value_t *columns)
{
    const s_walk_t *walk = arg;
    (void) s_take_case(walk->row, columns);
    return walk->visit(walk->arg);
}

static int
s_visit_note(void *arg, const yam_callback_value_t *columns)
{
    const s_walk_t *walk = arg;
    walk->note->time_ms = columns[0].number;
    walk->note->round = (uint32_t) columns[1].number;
    s_copy(columns[2], walk->note->event, sizeof walk->note->event);
    s_copy(columns[3], walk->note->text, sizeof walk->note->text);
    return walk->visit(walk->arg);
}

int
yami_callback_rows_walk(yam_callback_store_t *store, int state, const char *from, int64_t limit,
                        yam_case_t *row, yam_case_fn visit, void *arg)
{
    const yam_callback_statement_t *statement = from != NULL ? &s_walk_all_from : &s_walk_all;
    s_walk_t walk = {.row = row, .visit = visit, .arg = arg};
    yam_callback_value_t values[3];
    int count = 0;
    if (from != NULL) {
        values[count++] = s_text(from);
    }
    if (state != YAM_CASE_NONE) {
        statement = from != NULL ? &s_walk_state_from : &s_walk_state;
        values[count++] = s_number(state);
    }
    values[count++] = s_number(limit);
    YAM_ASSERT(count == statement->parameter_count);
    return s_run(store, statement, values, s_visit_case, &walk) == -1 ? -1 : 0;
}

int
yami_callback_rows_walk_due(yam_callback_store_t *store, int state, int64_t now_ms, int64_t skew_ms,
                            int64_t limit, yam_case_t *row, yam_case_fn visit, void *arg)
{
    const yam_callback_value_t values[] = {s_number(state), s_number(now_ms), s_number(skew_ms),
                                           s_number(limit)};
    s_walk_t walk = {.row = row, .visit = visit, .arg = arg};
    return s_run(store, &s_walk_due, values, s_visit_case, &walk) == -1 ? -1 : 0;
}

int
yami_callback_rows_history(yam_callback_store_t *store, const char *id, yam_case_note_t *note,
                           yam_case_fn visit, void *arg)
{
    const yam_callback_value_t values[] = {s_text(id)};
    s_walk_t walk = {.note = note, .visit = visit, .arg = arg};
    return s_run(store, &s_history, values, s_visit_note, &walk) == -1 ? -1 : 0;
}
