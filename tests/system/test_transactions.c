//  An application that is killed anywhere between BEGIN and what follows COMMIT: the business row
//  and its message, or the claim it is for, are both there, or neither. One that forgets BEGIN is
//  told so, and nothing is there.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "yam_inbox.h"
#include "yam_outbox.h"

#define S_ROUNDS 40
//  The steps that are no statements.
#define S_PUT "put"
#define S_CLAIM "claim"

//  What an application does for a thing that it buys, and for a message that is to be done once.
static const char *const s_sound[] = {"BEGIN IMMEDIATE", "INSERT INTO business DEFAULT VALUES",
                                      S_PUT, "COMMIT", NULL};
static const char *const s_once[] = {"BEGIN IMMEDIATE", S_CLAIM,
                                     "INSERT INTO business DEFAULT VALUES", "COMMIT", NULL};
//  The same by applications that forget BEGIN.
static const char *const s_put_alone[] = {S_PUT, "INSERT INTO business DEFAULT VALUES", NULL};
static const char *const s_claim_alone[] = {S_CLAIM, "INSERT INTO business DEFAULT VALUES", NULL};
//  And by one whose message comes after COMMIT, in a transaction of its own.
static const char *const s_hasty[] = {"BEGIN IMMEDIATE",
                                      "INSERT INTO business DEFAULT VALUES",
                                      "COMMIT",
                                      "BEGIN IMMEDIATE",
                                      S_PUT,
                                      "COMMIT",
                                      NULL};

static char s_path[128];

static void
s_run(sqlite3 *database, const char *text)
{
    if (sqlite3_exec(database, text, NULL, NULL, NULL) != SQLITE_OK) {
        abort();
    }
}

static sqlite3 *
s_open(void)
{
    sqlite3 *database = NULL;
    if (sqlite3_open(s_path, &database) != SQLITE_OK) {
        abort();
    }
    (void) sqlite3_busy_timeout(database, 10000);
    return database;
}

//  Puts a message, or claims one that is new. What is refused is not gone on with.
static void
s_step(yam_outbox_t *outbox, yam_inbox_t *inbox, bool is_put, int number)
{
    char id[24];
    (void) snprintf(id, sizeof id, "%d-%d", (int) getpid(), number);
    yam_message_t *message = yam_message_new(id, strlen(id));
    bool is_done = is_put ? yam_outbox_put(outbox, "orders", message) > 0
                          : yam_inbox_claim_id(inbox, id, "x", 1) == YAM_CLAIM_NEW;
    yam_message_destroy(&message);
    if (!is_done) {
        (void) raise(SIGTERM);
    }
}

//  Goes by these steps, until step number `last` kills it; for ever when that is 0.
static void
s_work(const char *const *steps, int last)
{
    sqlite3 *database = s_open();
    yam_outbox_t *outbox = yam_outbox_new(database, NULL);
    yam_inbox_t *inbox = yam_inbox_new(database, NULL);
    int number = 0;
    while (true) {
        for (size_t index = 0; steps[index] != NULL; index++) {
            bool is_put = strcmp(steps[index], S_PUT) == 0;
            number++;
            if (is_put || strcmp(steps[index], S_CLAIM) == 0) {
                s_step(outbox, inbox, is_put, number);
            } else {
                s_run(database, steps[index]);
            }
            if (number == last) {
                (void) raise(SIGKILL);
            }
        }
    }
}

static int64_t
s_number(sqlite3 *database, const char *query)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

//  How many more business rows than messages and claims are there: 0, or the promise is broken.
static int64_t
s_excess(void)
{
    sqlite3 *database = s_open();
    int64_t excess = s_number(database, "SELECT (SELECT count(*) FROM business) - (SELECT count(*) "
                                        "FROM yam_outbox) - (SELECT count(*) FROM yam_inbox_0)");
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    return excess;
}

//  Kills an application after so many steps, or (0) after pause_us; signal: what it ends by.
static int64_t
s_kill(const char *const *steps, int last, long pause_us, int signal)
{
    pid_t child = fork();
    if (child == 0) {
        s_work(steps, last);
    }
    if (last == 0) {
        struct timespec pause = {0, pause_us * 1000};
        (void) nanosleep(&pause, NULL); //  this is the fault
        assert_int_equal(kill(child, SIGKILL), 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    return s_excess();
}

static int
s_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(s_path, sizeof s_path, "%s/work-%d.db", folder ? folder : "/tmp", getpid());
    sqlite3 *database = s_open();
    s_run(database, "PRAGMA journal_mode = WAL; CREATE TABLE business (id INTEGER PRIMARY KEY)");
    yam_outbox_t *outbox = yam_outbox_new(database, NULL);
    yam_inbox_t *inbox = yam_inbox_new(database, NULL);
    yam_outbox_destroy(&outbox);
    yam_inbox_destroy(&inbox);
    return sqlite3_close(database) == SQLITE_OK ? 0 : -1;
}

static int
s_teardown(void **state)
{
    (void) state;
    (void) unlink(s_path);
    return 0;
}

static void
test_application_killed_between_any_two_steps_has_both_rows_or_neither(void **state)
{
    (void) state;
    for (int last = 1; last <= 9; last++) {
        assert_int_equal(s_kill(s_sound, last, 0, SIGKILL), 0);
        assert_int_equal(s_kill(s_once, last, 0, SIGKILL), 0);
    }
}

static void
test_application_killed_at_random_has_both_rows_or_neither(void **state)
{
    (void) state;
    for (long round = 0; round < S_ROUNDS; round++) {
        const char *const *steps = round % 2 == 0 ? s_sound : s_once;
        assert_int_equal(s_kill(steps, 0, 500 + 733 * round % 20000, SIGKILL), 0);
    }
}

//  Taken outside of a transaction, each would be there alone if the next step never came.
static void
test_application_that_forgets_to_begin_is_refused_and_nothing_is_there(void **state)
{
    (void) state;
    assert_int_equal(s_kill(s_put_alone, 1, 0, SIGTERM), 0);
    assert_int_equal(s_kill(s_claim_alone, 1, 0, SIGTERM), 0);
}

//  A run that cannot fail proves nothing.
static void
test_oracle_finds_a_message_that_is_put_after_the_commit(void **state)
{
    (void) state;
    assert_int_equal(s_kill(s_hasty, 2, 0, SIGKILL), 0);
    assert_int_equal(s_kill(s_hasty, 3, 0, SIGKILL), 1); //  after the first COMMIT
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_application_killed_between_any_two_steps_has_both_rows_or_neither, s_setup,
            s_teardown),
        cmocka_unit_test_setup_teardown(test_application_killed_at_random_has_both_rows_or_neither,
                                        s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(
            test_application_that_forgets_to_begin_is_refused_and_nothing_is_there, s_setup,
            s_teardown),
        cmocka_unit_test_setup_teardown(test_oracle_finds_a_message_that_is_put_after_the_commit,
                                        s_setup, s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
