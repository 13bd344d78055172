//  An outbox's tables as somebody else may have left them: any cell may be anything, rows and
//  flights may be none of ours. A dispatcher and people read them: what is wrong is told as such,
//  what the core believes stays sound, and what is shown or sent is a record.

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "harness/fuzz.h"
#include "yam_outbox.h"
#include "yami_base.h"
#include "yami_outbox_driver.h"
#include "yami_outbox_parts.h"
#include "yami_outbox_sqlite.h"
#include "yami_properties.h"

#define S_TABLES 8
#define S_COLUMNS 12
#define S_NAME 48
#define S_OUTPUTS 20 //  of one turn
#define S_PUT 3      //  messages that are there from the start, in each channel
#define S_IDS 16     //  of rows that people ask for

//  The outbox's tables, as SQLite tells: the same in every run.
typedef struct {
    char name[S_NAME];
    char columns[S_COLUMNS][S_NAME];
    size_t column_count;
} s_table_t;

//  The sure push of one lane.
typedef struct {
    uint64_t next; //  sequence; those before it were sent
    uint64_t confirmed;
    bool is_final;
    bool has_refused; //  the row of `next`
} s_push_t;

typedef struct {
    fuzz_input_t input;
    yami_outbox_driver_t driver;
    int64_t now_ms;
    int64_t wall_ms;
} s_life_t;

static const char *const s_channels[] = {"orders", "bills"};
static s_table_t s_tables[S_TABLES];
static size_t s_table_count;
//  Made once, which takes a hundred times as long as a life; each begins with the same rows.
static sqlite3 *s_database;
static yam_outbox_t *s_outbox;
static char *s_trigger; //  how the one there is was made

//  -- Whoever writes into the tables --------------------------------------------------------------

static void
s_run(const char *text)
{
    YAM_ASSERT(sqlite3_exec(s_database, text, NULL, NULL, NULL) == SQLITE_OK);
}

static int
s_note_column(void *arg, int count, char **values, char **names)
{
    (void) arg, (void) names;
    YAM_ASSERT(count == 2);
    s_table_t *table = s_table_count > 0 ? &s_tables[s_table_count - 1] : NULL;
    if (table == NULL || strcmp(table->name, values[0]) != 0) {
        YAM_ASSERT(s_table_count < S_TABLES);
        table = &s_tables[s_table_count++];
        (void) snprintf(table->name, sizeof table->name, "%s", values[0]);
    }
    YAM_ASSERT(table->column_count < S_COLUMNS);
    (void) snprintf(table->columns[table->column_count++], S_NAME, "%s", values[1]);
    return 0;
}

static int
s_note_trigger(void *arg, int count, char **values, char **names)
{
    (void) arg, (void) names;
    YAM_ASSERT(count == 1 && s_trigger == NULL);
    s_trigger = yami_strdup(values[0]);
    return 0;
}

static void
s_learn_tables(void)
{
    static const char query[] =
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = "
        "'table' ORDER BY t.name, c.cid";
    YAM_ASSERT(sqlite3_exec(s_database, query, s_note_column, NULL, NULL) == SQLITE_OK);
    YAM_ASSERT(s_table_count > 0);
    YAM_ASSERT(sqlite3_exec(s_database, "SELECT sql FROM sqlite_master WHERE type = 'trigger'",
                            s_note_trigger, NULL, NULL) == SQLITE_OK);
    YAM_ASSERT(s_trigger != NULL);
}

//  A value of any kind: mostly a small number.
static void
s_bind(fuzz_input_t *input, sqlite3_stmt *statement, int number)
{
    uint8_t kind = fuzz_u8(input);
    yami_slice_t bytes = {0};
    if (kind >= 224) {
        bytes = fuzz_bytes(input, fuzz_u8(input));
    }
    if (kind >= 240) {
        (void) sqlite3_bind_blob(statement, number, bytes.data, (int) bytes.size, SQLITE_TRANSIENT);
    } else if (kind >= 224) {
        (void) sqlite3_bind_text(statement, number, (const char *) bytes.data, (int) bytes.size,
                                 SQLITE_TRANSIENT);
    } else if (kind >= 216) {
        (void) sqlite3_bind_null(statement, number);
    } else if (kind >= 128) {
        (void) sqlite3_bind_int64(statement, number, (int64_t) fuzz_number(input));
    } else {
        (void) sqlite3_bind_int64(statement, number, kind);
    }
}

//  Runs a statement of which all parameters are taken from the input; what a constraint forbids
//  does not happen.
static void
s_write(s_life_t *life, const char *text)
{
    sqlite3_stmt *statement = NULL;
    YAM_ASSERT(sqlite3_prepare_v2(s_database, text, -1, &statement, NULL) == SQLITE_OK);
    for (int number = 1; number <= sqlite3_bind_parameter_count(statement); number++) {
        s_bind(&life->input, statement, number);
    }
    (void) sqlite3_step(statement);
    (void) sqlite3_finalize(statement);
    life->driver.mark = UINT64_MAX; //  others have committed
}

//  One column of one row, or of all.
static void
s_tamper(s_life_t *life)
{
    char text[256];
    const s_table_t *table = &s_tables[fuzz_below(&life->input, (unsigned) s_table_count)];
    const char *column = table->columns[fuzz_below(&life->input, (unsigned) table->column_count)];
    bool is_all = fuzz_below(&life->input, 4) == 3;
    (void) snprintf(text, sizeof text, "UPDATE OR REPLACE %s SET %s = ?1 WHERE %s = ?2",
                    table->name, column, is_all ? "?2" : table->columns[0]);
    s_write(life, text);
}

//  A row of any table.
static void
s_insert(s_life_t *life)
{
    char text[256];
    const s_table_t *table = &s_tables[fuzz_below(&life->input, (unsigned) s_table_count)];
    int size = snprintf(text, sizeof text, "INSERT OR REPLACE INTO %s VALUES (?1", table->name);
    for (size_t column = 1; column < table->column_count; column++) {
        size += snprintf(text + size, sizeof text - (size_t) size, ", ?%zu", column + 1);
    }
    (void) snprintf(text + size, sizeof text - (size_t) size, ")");
    s_write(life, text);
}

//  -- A dispatcher, and the relay it sends to -----------------------------------------------------

static int
s_take_row(void *arg, const yam_outbox_entry_t *entry)
{
    s_push_t *push = arg;
    yami_record_t record;
    YAM_ASSERT(entry->sequence == push->next);
    if (yami_outbox_record(&record, entry->record, entry->record_size, entry->id) == -1) {
        YAM_ASSERT(errno == EBADMSG);
        push->has_refused = true;
        return 1;
    }
    YAM_ASSERT(record.body.size + record.properties.size <= entry->record_size);
    push->next++;
    return 0;
}

static void
s_open(s_life_t *life, const yami_outbox_output_t *output)
{
    const yam_outbox_lane_t *seen = &output->lane->seen;
    YAM_ASSERT(output->first > 0 && output->first <= INT64_MAX);
    YAM_ASSERT(seen->epoch > 0 && seen->epoch <= UINT32_MAX);
    YAM_ASSERT(seen->kind == YAMI_KIND_QUEUE || seen->kind == YAMI_KIND_TOPIC);
    if (yami_name_check(yami_slice_text(seen->channel), "channel") == -1) {
        yami_outbox_refusal_t refusal = {0, 0, YAM_STATUS_MALFORMED, "no name"};
        yami_outbox_core_refused(output->lane, &refusal);
        return;
    }
    s_push_t *push = yami_alloc(sizeof *push);
    *push = (s_push_t) {.next = output->first, .confirmed = output->first - 1};
    output->lane->shell = push;
    yami_outbox_core_opened(&life->driver.core, life->now_ms, output->lane, true);
}

static void
s_send(s_life_t *life, const yami_outbox_output_t *output)
{
    yami_outbox_driver_t *driver = &life->driver;
    s_push_t *push = output->lane->shell;
    int64_t rows = driver->db->read(driver->database, output->lane->seen.lane, output->first,
                                    output->last, s_take_row, push);
    YAM_ASSERT(push->next <= output->last + 1);
    if (rows == -1) {
        push->next = output->first;
        yami_outbox_core_troubled(&driver->core, life->now_ms);
        yami_outbox_core_sent(&driver->core, life->now_ms, life->wall_ms, output, 0, false);
    } else if (push->has_refused) {
        yami_outbox_refusal_t refusal = {push->next, push->next, YAM_STATUS_MALFORMED, "unsound"};
        push->has_refused = false;
        yami_outbox_core_sent(&driver->core, life->now_ms, life->wall_ms, output,
                              push->next - output->first, false);
        yami_outbox_core_refused(output->lane, &refusal);
    } else if (push->next <= output->last) {
        yami_outbox_core_lost(&driver->core, life->now_ms, output->lane);
    } else {
        yami_outbox_core_sent(&driver->core, life->now_ms, life->wall_ms, output, (uint64_t) rows,
                              false);
    }
}

static void
s_put_out(s_life_t *life, const yami_outbox_output_t *output)
{
    if (output->action == YAMI_OUTBOX_DO_OPEN) {
        s_open(life, output);
    } else if (output->action == YAMI_OUTBOX_DO_CLOSE) {
        yami_free(output->lane->shell);
        output->lane->shell = NULL;
        yami_outbox_core_closed(&life->driver.core, output->lane);
    } else {
        s_send(life, output);
    }
}

static void
s_turn(s_life_t *life)
{
    yami_outbox_output_t output;
    yami_outbox_core_t *core = &life->driver.core;
    if (yami_outbox_driver_turn(&life->driver, life->now_ms, life->wall_ms) == -1) {
        YAM_ASSERT(errno != 0);
    }
    yami_outbox_core_check(core);
    for (int count = 0; count < S_OUTPUTS; count++) {
        if (!yami_outbox_core_output(core, life->now_ms, &output)) {
            break;
        }
        s_put_out(life, &output);
        yami_outbox_core_check(core);
    }
}

static void
s_hear(s_life_t *life, yami_outbox_lane_t *lane, s_push_t *push)
{
    yami_outbox_core_t *core = &life->driver.core;
    yami_outbox_refusal_t refusal = {.status = YAM_STATUS_TOO_BIG, .text = "no"};
    uint64_t open = push->next - 1 - push->confirmed;
    switch (fuzz_below(&life->input, 6)) {
    case 0:
        yami_outbox_core_attached(core, life->now_ms, lane, fuzz_number(&life->input),
                                  YAM_LEVEL_SYNCED);
        break;
    case 1: //  as far as it should
        yami_outbox_core_attached(core, life->now_ms, lane, push->confirmed, YAM_LEVEL_SYNCED);
        break;
    case 2:
        push->confirmed += open > 0 ? 1 + fuzz_u8(&life->input) % open : 0;
        yami_outbox_core_confirmed(lane, life->now_ms, push->confirmed);
        break;
    case 3:
        refusal.status = fuzz_below(&life->input, 2) ? YAM_STATUS_FENCED : refusal.status;
        refusal.first = refusal.last =
            open > 0 ? push->confirmed + 1 + fuzz_u8(&life->input) % open : 0;
        push->is_final = true;
        yami_outbox_core_final(core, life->now_ms, lane, &refusal);
        break;
    case 4:
        yami_outbox_core_detached(lane);
        break;
    default:
        yami_outbox_core_pressed(lane, life->now_ms, fuzz_below(&life->input, 2));
    }
}

static void
s_hear_any(s_life_t *life)
{
    const yami_outbox_core_t *core = &life->driver.core;
    if (core->lane_count > 0) {
        yami_outbox_lane_t *lane = core->lanes[fuzz_u8(&life->input) % core->lane_count];
        s_push_t *push = lane->shell;
        if (push != NULL && !push->is_final) {
            s_hear(life, lane, push);
            yami_outbox_core_check(core);
        }
    }
}

//  -- People and the application ------------------------------------------------------------------

static int
s_show(void *arg, const yam_outbox_row_t *row)
{
    int64_t *after = arg;
    YAM_ASSERT(row->id > *after);
    *after = row->id;
    YAM_ASSERT(strlen(row->channel) + strlen(row->reason) < SIZE_MAX);
    YAM_ASSERT(row->try_count <= YAM_OUTBOX_TRIES && strlen(row->identity) > 32);
    YAM_ASSERT(yam_message_size(row->message) == row->size);
    (void) yam_message_get(row->message, "id");
    int64_t sum = 0;
    for (size_t index = 0; index < row->try_count; index++) {
        sum ^= row->tries_ms[index];
    }
    return sum == 1 ? 1 : 0;
}

static void
s_people(s_life_t *life)
{
    int64_t after = INT64_MIN;
    int64_t id = fuzz_below(&life->input, S_IDS);
    switch (fuzz_below(&life->input, 4)) {
    case 0:
        (void) yam_outbox_retry(s_outbox, id);
        break;
    case 1:
        (void) yam_outbox_cancel(s_outbox, id);
        break;
    case 2:
        (void) yam_outbox_prune(s_outbox, (int64_t) fuzz_number(&life->input), id);
        break;
    default:
        (void) yam_outbox_rows(s_outbox, (int) (id % 6) - 1, id > 8 ? "orders" : NULL, after, 100,
                               s_show, &after);
    }
}

static void
s_put(const char *channel)
{
    yam_message_t *message = yam_message_new("pay", 3);
    s_run("BEGIN");
    (void) yam_outbox_put(s_outbox, channel, message);
    s_run("COMMIT");
    yam_message_destroy(&message);
}

//  -- A life --------------------------------------------------------------------------------------

static void
s_make(void)
{
    YAM_ASSERT(sqlite3_open(":memory:", &s_database) == SQLITE_OK);
    s_outbox = yam_outbox_new(s_database, NULL);
    YAM_ASSERT(s_outbox);
    for (int count = 0; count < S_PUT; count++) {
        s_put(s_channels[0]);
        s_put(s_channels[1]);
    }
    s_learn_tables();
    for (size_t table = 0; table < s_table_count; table++) {
        const char *name = s_tables[table].name;
        YAM_ASSERT(yami_sqlite_run(s_database, "saving",
                                   "CREATE TEMP TABLE saved_%s AS SELECT * FROM main.%s", name,
                                   name) == 0);
    }
}

//  As it was when it was made; without the trigger, which would keep the id of the newest row.
static void
s_restore(void)
{
    s_run("DROP TRIGGER yam_outbox_row_gone");
    for (size_t table = 0; table < s_table_count; table++) {
        const char *name = s_tables[table].name;
        YAM_ASSERT(
            yami_sqlite_run(s_database, "restoring",
                            "DELETE FROM main.%s; INSERT INTO main.%s SELECT * FROM saved_%s", name,
                            name, name) == 0);
    }
    s_run(s_trigger);
}

static void
s_begin(s_life_t *life)
{
    yami_outbox_core_options_t options = {
        .limit_ms = 1000, .try_limit = 2, .lease_ms = 300, .batch = 4};
    options.keep_ms = fuzz_below(&life->input, 2) ? 1000 : 0;
    if (s_database == NULL) {
        s_make();
    }
    s_restore();
    void *provider = yami_outbox_sqlite.open(s_database, "yam_outbox");
    YAM_ASSERT(provider);
    yami_outbox_driver_init(&life->driver, &yami_outbox_sqlite, provider, &options, 7);
    s_turn(life); //  lanes are taken, and senders open
}

//  Nothing is left open in the database.
static void
s_end(s_life_t *life)
{
    (void) yami_outbox_driver_leave(&life->driver);
    for (size_t index = 0; index < life->driver.core.lane_count; index++) {
        yami_free(life->driver.core.lanes[index]->shell);
    }
    yami_outbox_driver_clear(&life->driver);
    YAM_ASSERT(sqlite3_get_autocommit(s_database));
    for (sqlite3_stmt *statement = NULL;
         (statement = sqlite3_next_stmt(s_database, statement)) != NULL;) {
        YAM_ASSERT(!sqlite3_stmt_busy(statement));
    }
}

static void
s_move(s_life_t *life)
{
    static const int64_t steps_ms[] = {1, 100, 400, 2000, 3600000};
    switch (fuzz_below(&life->input, 8)) {
    case 0:
        s_put(s_channels[fuzz_below(&life->input, 2)]);
        break;
    case 1:
        s_tamper(life);
        break;
    case 2:
        s_insert(life);
        break;
    case 3:
        life->now_ms += steps_ms[fuzz_below(&life->input, 5)];
        life->wall_ms += steps_ms[fuzz_below(&life->input, 5)];
        break;
    case 4:
        s_people(life);
        break;
    case 5:
        s_hear_any(life);
        break;
    default:
        s_turn(life);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    s_life_t life = {.now_ms = 1000000, .wall_ms = 1700000000000};
    fuzz_input_init(&life.input, data, size);
    s_begin(&life);
    while (fuzz_left(&life.input) > 0) {
        s_move(&life);
    }
    s_turn(&life);
    s_end(&life);
    return 0;
}
