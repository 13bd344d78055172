//  Cases in SQLite: what is kept, what people do with it, and what a database's troubles look like.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_callback_rows.h"

static const yami_callback_rules_t s_rules = {
    .round_limit = 3, .try_limit = 4, .lease_ms = 400, .backoff_ms = {10}, .backoff_count = 1};

static char s_path[128];
static yam_callback_store_t *s_store;
static yami_callback_view_t s_view;
static yami_callback_effects_t s_effects;

static void
s_open(void)
{
    s_store = yam_callback_store_sqlite(s_path, true);
    if (s_store == NULL) {
        fail_msg("%s", yam_error());
    }
}

static void
s_remove(void)
{
    char path[160];
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    for (int index = 0; index < 4; index++) {
        (void) snprintf(path, sizeof path, "%s%s", s_path, endings[index]);
        (void) unlink(path);
    }
}

static int
s_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(s_path, sizeof s_path, "%s/callback-%d.db", folder ? folder : "/tmp", getpid());
    s_remove();
    s_open();
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_callback_store_destroy(&s_store);
    s_remove();
    return 0;
}

static int
s_step(const char *id, int64_t now_ms, const yami_callback_event_t *event)
{
    const yam_callback_db_t *db = s_store->db;
    if (db->begin(s_store->database) == -1) {
        return -1;
    }
    if (yami_callback_store_step(s_store, &s_rules, now_ms, id, event, &s_view, &s_effects) == 0 &&
        db->commit(s_store->database) == 0) {
        return 0;
    }
    db->rollback(s_store->database);
    return -1;
}

static int
s_check(const char *id, int64_t now_ms)
{
    yam_case_t check = {.queue = "orders", .service = "shop", .delay_ms = 1000};
    (void) snprintf(check.id, sizeof check.id, "%s", id);
    return s_step(id, now_ms,
                  &(yami_callback_event_t) {.type = YAMI_CALLBACK_CHECK, .check = &check});
}

static int
s_confirm(const char *id, int outcome, int64_t now_ms)
{
    yam_case_confirm_t confirm = {.outcome = outcome, .time_ms = now_ms, .reason = "no stock"};
    (void) snprintf(confirm.id, sizeof confirm.id, "%s", id);
    return s_step(id, now_ms,
                  &(yami_callback_event_t) {.type = YAMI_CALLBACK_CONFIRM, .confirm = &confirm});
}

static void
s_look(const char *id, int64_t now_ms)
{
    assert_int_equal(
        s_step(id, now_ms,
               &(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK, .call = s_view.row.call}),
        0);
}

//  -- Walks -------------------------------------------------------------------------------------

static char s_seen[256];
static yam_case_t s_row;
static yam_case_note_t s_note;

static void
s_see(const char *word)
{
    size_t used = strlen(s_seen);
    (void) snprintf(s_seen + used, sizeof s_seen - used, "%s ", word);
}

static int
s_see_case(void *arg)
{
    (void) arg;
    s_see(s_row.id);
    return 0;
}

static int
s_see_note(void *arg)
{
    (void) arg;
    s_see(s_note.event);
    return 0;
}

static void
s_assert_due(int state, int64_t now_ms, const char *expected)
{
    s_seen[0] = 0;
    assert_int_equal(yami_callback_rows_walk_due(s_store, state, now_ms,
                                                 now_ms + YAMI_CALLBACK_SKEW_MS, 10, &s_row,
                                                 s_see_case, NULL),
                     0);
    assert_string_equal(s_seen, expected);
}

static void
s_assert_history(const char *id, const char *expected)
{
    s_seen[0] = 0;
    assert_int_equal(yam_callback_store_history(s_store, id, &s_note, s_see_note, NULL), 0);
    assert_string_equal(s_seen, expected);
}

//  -- What is kept ------------------------------------------------------------------------------

static void
test_cases_and_confirms_survive_a_restart_by_content(void **state)
{
    (void) state;
    yam_case_confirm_t confirm;
    assert_int_equal(s_confirm("a", YAM_CONFIRM_FAILED, 5000), 0);
    assert_int_equal(s_check("a", 6000), 0);
    s_look("a", 7000);
    yam_callback_store_destroy(&s_store);
    s_open();
    assert_int_equal(yam_callback_store_read(s_store, "a", &s_row, &confirm), 0);
    assert_int_equal(s_row.state, YAM_CASE_CALLING);
    assert_int_equal(s_row.round, 0);
    assert_int_equal(s_row.call, 1);
    assert_int_equal(s_row.try_count, 1);
    assert_int_equal(s_row.due_ms, 7400);
    assert_int_equal(s_row.delay_ms, 1000);
    assert_int_equal(s_row.first_ms, 6000);
    assert_int_equal(s_row.changed_ms, 7000);
    assert_string_equal(s_row.queue, "orders");
    assert_string_equal(s_row.service, "shop");
    assert_int_equal(confirm.outcome, YAM_CONFIRM_FAILED);
    assert_int_equal(confirm.time_ms, 5000);
    assert_string_equal(confirm.reason, "no stock");
    s_assert_history("a", "failed ");
}

static void
test_what_is_due_is_found_the_most_overdue_first(void **state)
{
    (void) state;
    (void) s_check("c", 3000);
    (void) s_check("a", 1000);
    (void) s_check("b", 2000);
    s_assert_due(YAM_CASE_WAITING, 2500, "a b ");
    s_assert_due(YAM_CASE_CALLING, 2500, "");
    s_look("a", 2500);
    s_assert_due(YAM_CASE_WAITING, 2500, "b ");
    s_assert_due(YAM_CASE_CALLING, 2500 + s_rules.lease_ms, "a ");
}

static void
test_what_a_clock_set_back_has_left_in_the_future_is_found(void **state)
{
    (void) state;
    (void) s_check("a", 10000000);
    s_assert_due(YAM_CASE_WAITING, 10000000 - YAMI_CALLBACK_SKEW_MS, ""); //  clocks differ
    s_assert_due(YAM_CASE_WAITING, 10000000 - YAMI_CALLBACK_SKEW_MS - 1, "a ");
}

static void
test_a_step_that_is_rolled_back_never_was(void **state)
{
    (void) state;
    yam_case_t check = {.id = "a", .queue = "orders", .service = "shop"};
    const yami_callback_event_t event = {.type = YAMI_CALLBACK_CHECK, .check = &check};
    assert_int_equal(s_store->db->begin(s_store->database), 0);
    assert_int_equal(
        yami_callback_store_step(s_store, &s_rules, 1, "a", &event, &s_view, &s_effects), 0);
    s_store->db->rollback(s_store->database);
    s_assert_due(YAM_CASE_WAITING, 10, "");
}

static void
test_old_confirms_and_ended_cases_are_forgotten_and_no_others(void **state)
{
    (void) state;
    (void) s_confirm("old", YAM_CONFIRM_DONE, 1000);
    (void) s_confirm("new", YAM_CONFIRM_DONE, 9000);
    (void) s_check("open", 1000);
    (void) s_check("ended", 1000);
    s_look("ended", 1000);
    (void) s_confirm("ended", YAM_CONFIRM_DONE, 1000);
    s_assert_history("ended", "missing done ");
    assert_int_equal(s_store->db->begin(s_store->database), 0);
    assert_int_equal(yami_callback_rows_prune(s_store, 5000, 100), 3);
    assert_int_equal(s_store->db->commit(s_store->database), 0);
    s_assert_history("ended", "");
    s_seen[0] = 0;
    assert_int_equal(yam_callback_store_walk(s_store, 0, NULL, 10, &s_row, s_see_case, NULL), 0);
    assert_string_equal(s_seen, "open ");
    (void) s_check("new", 9500);
    assert_int_equal(s_view.row.state, YAM_CASE_NONE);
    (void) s_check("old", 9500); //  as SPEC.md says: retention must be longer than any delay
    assert_int_equal(s_view.row.state, YAM_CASE_WAITING);
}

//  -- People ------------------------------------------------------------------------------------

static const char *
s_list(int state, const char *from, int64_t limit)
{
    s_seen[0] = 0;
    assert_int_equal(yam_callback_store_walk(s_store, state, from, limit, &s_row, s_see_case, NULL),
                     0);
    return s_seen;
}

static void
test_long_list_is_read_page_by_page(void **state)
{
    (void) state;
    (void) s_check("a", 1000);
    (void) s_check("d", 2000); //  of one moment: by id
    (void) s_check("c", 2000);
    (void) s_check("b", 3000);
    assert_int_equal(yam_callback_store_close_case(s_store, "b", NULL), 0);
    assert_string_equal(s_list(0, NULL, 2), "b c ");
    assert_string_equal(s_list(0, "c", 2), "c d ");
    assert_string_equal(s_list(0, "d", 2), "d a ");
    assert_string_equal(s_list(0, "a", 2), "a ");
    assert_string_equal(s_list(YAM_CASE_WAITING, "b", 2), "c d ");
    assert_string_equal(s_list(YAM_CASE_WAITING, "d", 1), "d ");
    assert_int_equal(yam_callback_store_walk(s_store, 0, "z", 2, &s_row, s_see_case, NULL), -1);
    assert_int_equal(errno, ENOENT);
}

static void
test_people_list_retry_and_close(void **state)
{
    (void) state;
    (void) s_check("a", 1000);
    (void) s_check("b", 2000);
    s_seen[0] = 0;
    assert_int_equal(yam_callback_store_walk(s_store, 0, NULL, 10, &s_row, s_see_case, NULL), 0);
    assert_string_equal(s_seen, "b a ");
    assert_int_equal(yam_callback_store_close_case(s_store, "a", "paid by hand"), 0);
    s_assert_history("a", "closed ");
    assert_string_equal(s_note.text, "paid by hand");
    assert_int_equal(yam_callback_store_retry(s_store, "a"), 0);
    s_assert_history("a", "closed retry ");
    s_assert_due(YAM_CASE_CALLING, yami_clock_wall_ms() + 1, "a ");
}

static void
test_trial_has_the_outcomes_of_what_it_tries_and_leaves_nothing(void **state)
{
    (void) state;
    (void) s_check("a", 1000);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(yam_callback_store_begin_trial(s_store), 0);
        assert_int_equal(yam_callback_store_close_case(s_store, "a", NULL), 0);
        assert_int_equal(yam_callback_store_close_case(s_store, "a", NULL), -1);
        yam_callback_store_end_trial(s_store);
        assert_int_equal(errno, EINVAL);
        assert_non_null(strstr(yam_error(), "has ended already"));
    }
    s_assert_history("a", "");
    assert_string_equal(s_list(YAM_CASE_WAITING, NULL, 10), "a ");
    assert_int_equal(yam_callback_store_retry(s_store, "a"), 0);
    s_assert_history("a", "retry ");
}

static void
test_what_people_do_to_no_case_is_told(void **state)
{
    (void) state;
    yam_case_confirm_t confirm;
    assert_int_equal(yam_callback_store_retry(s_store, "none"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(yam_callback_store_close_case(s_store, "none", NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(yam_callback_store_read(s_store, "none", &s_row, &confirm), -1);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(yam_error(), "there is no case none"));
    assert_string_equal(yam_case_state_name(YAM_CASE_OPEN), "open");
    assert_string_equal(yam_case_state_name(99), "unknown");
}

//  -- Troubles ----------------------------------------------------------------------------------

static void
s_run(const char *text)
{
    sqlite3 *database;
    char *error = NULL;
    assert_int_equal(sqlite3_open(s_path, &database), SQLITE_OK);
    if (sqlite3_exec(database, text, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", text, error);
    }
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void
test_tables_of_a_newer_version_are_refused_and_untouched(void **state)
{
    (void) state;
    yam_callback_store_destroy(&s_store);
    s_run("UPDATE yam_callback_meta SET value = 99 WHERE name = 'version'");
    assert_null(yam_callback_store_sqlite(s_path, true));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 99"));
}

static void
test_files_that_are_no_database_or_not_there_are_told(void **state)
{
    (void) state;
    yam_callback_store_destroy(&s_store);
    s_remove();
    assert_null(yam_callback_store_sqlite(s_path, false));
    assert_int_equal(errno, ENOENT);
    assert_null(yam_callback_store_sqlite("/no/such/folder/file.db", true));
    assert_int_equal(errno, ENOENT);
    s_run("CREATE TABLE of_somebody_else (x)");
    assert_null(yam_callback_store_sqlite(s_path, false));
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(yam_error(), "no tables of a callback service"));
    FILE *file = fopen(s_path, "w");
    assert_non_null(file);
    for (int index = 0; index < 200; index++) {
        (void) fputs("this is no database\n", file);
    }
    (void) fclose(file);
    assert_null(yam_callback_store_sqlite(s_path, true));
    assert_int_equal(errno, EBADMSG);
}

static void
test_a_full_database_refuses_and_goes_on(void **state)
{
    (void) state;
    int rc = 0;
    sqlite3 **database = s_store->database; //  its first member
    assert_int_equal(sqlite3_exec(*database, "PRAGMA max_page_count = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    for (int index = 0; rc == 0 && index < 1000; index++) {
        char id[16];
        (void) snprintf(id, sizeof id, "id-%d", index);
        rc = s_confirm(id, YAM_CONFIRM_FAILED, 1000);
    }
    assert_int_equal(rc, -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(sqlite3_exec(*database, "PRAGMA max_page_count = 1000", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(s_confirm("id-1001", YAM_CONFIRM_DONE, 1000), 0);
}

static void
test_a_locked_database_says_so_and_goes_on(void **state)
{
    (void) state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(s_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3 **database = s_store->database;
    (void) sqlite3_busy_timeout(*database, 1);
    assert_int_equal(s_check("a", 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(s_check("a", 1), 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define S_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)
        S_TEST(test_cases_and_confirms_survive_a_restart_by_content),
        S_TEST(test_what_is_due_is_found_the_most_overdue_first),
        S_TEST(test_what_a_clock_set_back_has_left_in_the_future_is_found),
        S_TEST(test_a_step_that_is_rolled_back_never_was),
        S_TEST(test_old_confirms_and_ended_cases_are_forgotten_and_no_others),
        S_TEST(test_long_list_is_read_page_by_page),
        S_TEST(test_people_list_retry_and_close),
        S_TEST(test_trial_has_the_outcomes_of_what_it_tries_and_leaves_nothing),
        S_TEST(test_what_people_do_to_no_case_is_told),
        S_TEST(test_tables_of_a_newer_version_are_refused_and_untouched),
        S_TEST(test_files_that_are_no_database_or_not_there_are_told),
        S_TEST(test_a_full_database_refuses_and_goes_on),
        S_TEST(test_a_locked_database_says_so_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
