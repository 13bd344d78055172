//  yam_inbox over SQLite: what is claimed, what is not, and what a database's troubles look like.

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
#include "yam_inbox.h"
#include "yam_inbox_db.h"
#include "yami_base.h"

static char s_path[128];
static sqlite3 *s_database;
static yam_inbox_t *s_inbox;

static void
s_run(sqlite3 *database, const char *text)
{
    char *error = NULL;
    if (sqlite3_exec(database, text, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", text, error);
    }
}

static sqlite3 *
s_open(void)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(s_path, &database), SQLITE_OK);
    return database;
}

static int
s_setup(void **state)
{
    (void) state;
    const char *folder = getenv("TMPDIR");
    (void) snprintf(s_path, sizeof s_path, "%s/inbox-%d.db", folder ? folder : "/tmp", getpid());
    (void) unlink(s_path);
    s_database = s_open();
    s_inbox = NULL;
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_inbox_destroy(&s_inbox);
    int code = sqlite3_close(s_database); //  busy when a statement was forgotten
    (void) unlink(s_path);
    return code == SQLITE_OK ? 0 : -1;
}

static void
s_new(const char *options)
{
    s_inbox = yam_inbox_new(s_database, options);
    if (s_inbox == NULL) {
        fail_msg("%s", yam_error());
    }
}

static int64_t
s_count(const char *query)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(s_database, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

//  One claim in a transaction of its own.
static int
s_claim(const char *id, const char *content)
{
    s_run(s_database, "BEGIN");
    int verdict = yam_inbox_claim_id(s_inbox, id, content, strlen(content));
    s_run(s_database, "COMMIT");
    return verdict;
}

static yam_message_t *
s_message(const char *body, const char *id)
{
    yam_message_t *message = yam_message_new(body, strlen(body));
    if (id != NULL) {
        assert_int_equal(yam_message_set(message, "id", id), 0);
    }
    return message;
}

static int
s_claim_message(yam_message_t **message_p)
{
    s_run(s_database, "BEGIN");
    int verdict = yam_inbox_claim(s_inbox, *message_p);
    int error = errno;
    s_run(s_database, "COMMIT");
    yam_message_destroy(message_p);
    errno = error;
    return verdict;
}

static int
s_claim_text(const char *id, const char *body)
{
    yam_message_t *message = s_message(body, id);
    return s_claim_message(&message);
}

static void
test_the_first_claim_is_new_and_the_next_a_duplicate(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("a", "one"), YAM_CLAIM_NEW);
    assert_int_equal(s_claim("a", "one"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(s_claim("b", "one"), YAM_CLAIM_NEW);
    yam_inbox_stats_t stats;
    yam_inbox_stats(s_inbox, &stats);
    assert_int_equal(stats.claimed, 2);
    assert_int_equal(stats.duplicates, 1);
    assert_int_equal(stats.failed, 0);
}

static void
test_the_same_id_with_other_content_is_a_conflict_that_changes_nothing(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("a", "pay 5"), YAM_CLAIM_NEW);
    assert_int_equal(s_claim("a", "pay 50"), YAM_CLAIM_CONFLICT);
    assert_int_equal(s_claim("a", "pay 5"), YAM_CLAIM_DUPLICATE);
}

static void
test_a_claim_that_is_rolled_back_never_was(void **state)
{
    (void) state;
    s_new(NULL);
    s_run(s_database, "BEGIN");
    assert_int_equal(yam_inbox_claim_id(s_inbox, "a", "x", 1), YAM_CLAIM_NEW);
    s_run(s_database, "ROLLBACK");
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
}

static void
test_a_claim_outside_a_transaction_is_refused(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(yam_inbox_claim_id(s_inbox, "a", "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_non_null(strstr(yam_error(), "BEGIN"));
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
}

static void
test_claims_survive_a_new_process(void **state)
{
    (void) state;
    s_new("shards=4");
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
    yam_inbox_destroy(&s_inbox);
    sqlite3_close(s_database);
    s_database = s_open();
    s_new("shards=4");
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_DUPLICATE);
}

static void
test_of_two_connections_only_one_claims(void **state)
{
    (void) state;
    s_new(NULL);
    sqlite3 *other = s_open();
    yam_inbox_t *second = yam_inbox_new(other, NULL);
    assert_non_null(second);
    s_run(s_database, "BEGIN");
    s_run(other, "BEGIN");
    assert_int_equal(yam_inbox_claim_id(s_inbox, "a", "x", 1), YAM_CLAIM_NEW);
    assert_int_equal(yam_inbox_claim_id(second, "a", "x", 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_non_null(strstr(yam_error(), "busy timeout"));
    s_run(other, "ROLLBACK");
    s_run(s_database, "COMMIT");
    s_run(other, "BEGIN");
    assert_int_equal(yam_inbox_claim_id(second, "a", "x", 1), YAM_CLAIM_DUPLICATE);
    s_run(other, "COMMIT");
    yam_inbox_destroy(&second);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void
test_ids_are_spread_over_the_shards_by_their_hash(void **state)
{
    (void) state;
    s_new("shards=3&prefix=seen");
    for (int number = 0; number < 300; number++) {
        char id[16];
        (void) snprintf(id, sizeof id, "order-%d", number);
        assert_int_equal(s_claim(id, "x"), YAM_CLAIM_NEW);
    }
    int64_t total = 0;
    for (int shard = 0; shard < 3; shard++) {
        char query[64];
        (void) snprintf(query, sizeof query, "SELECT count(*) FROM seen_%d", shard);
        int64_t count = s_count(query);
        assert_in_range(count, 60, 140);
        total += count;
    }
    assert_int_equal(total, 300);
    assert_int_equal(yam_inbox_shard("order-1", 1), 0);
}

static void
test_another_number_of_shards_is_refused(void **state)
{
    (void) state;
    s_new("shards=3");
    yam_inbox_destroy(&s_inbox);
    assert_null(yam_inbox_new(s_database, "shards=4"));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "shards=3"));
}

static void
test_a_message_is_claimed_by_its_id_and_told_apart_by_body_and_properties(void **state)
{
    (void) state;
    s_new(NULL);
    yam_message_t *message = s_message("body", "m1");
    assert_int_equal(yam_message_set(message, "tag", "paid"), 0);
    assert_int_equal(yam_message_set(message, "trace", "t-1"), 0);
    assert_int_equal(s_claim_message(&message), YAM_CLAIM_NEW);
    message = s_message("body", "m1");
    assert_int_equal(yam_message_set(message, "tag", "paid"), 0);
    assert_int_equal(yam_message_set(message, "trace", "t-2"),
                     0); //  sent again under another trace
    assert_int_equal(s_claim_message(&message), YAM_CLAIM_DUPLICATE);
    message = s_message("body", "m1");
    assert_int_equal(yam_message_set(message, "tag", "unpaid"), 0);
    assert_int_equal(s_claim_message(&message), YAM_CLAIM_CONFLICT);
    message = s_message("bodz", "m1");
    assert_int_equal(yam_message_set(message, "tag", "paid"), 0);
    assert_int_equal(s_claim_message(&message), YAM_CLAIM_CONFLICT);
}

static void
test_a_message_without_an_id_or_with_one_too_long_is_refused(void **state)
{
    (void) state;
    s_new(NULL);
    yam_message_t *message = s_message("body", NULL);
    assert_int_equal(s_claim_message(&message), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "\"id\""));
    char id[YAM_INBOX_ID + 2];
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = 0;
    assert_int_equal(s_claim(id, "x"), -1);
    assert_int_equal(s_claim(id + 1, "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_claim("", "x"), -1);
    yam_inbox_stats_t stats;
    yam_inbox_stats(s_inbox, &stats);
    assert_int_equal(stats.failed, 3);
}

static void
test_old_claims_are_forgotten_two_for_each_new_one(void **state)
{
    (void) state;
    s_new("retention=1h");
    for (int number = 0; number < 5; number++) {
        char id[16];
        (void) snprintf(id, sizeof id, "old-%d", number);
        assert_int_equal(s_claim(id, "x"), YAM_CLAIM_NEW);
    }
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_NEW);
    s_run(s_database, "UPDATE yam_inbox_0 SET time_ms = time_ms - 3600001 WHERE id LIKE 'old%'");
    yam_inbox_destroy(&s_inbox); //  that one found nothing to forget a moment ago
    s_new("retention=1h");
    assert_int_equal(s_claim("new", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_count("SELECT count(*) FROM yam_inbox_0 WHERE id LIKE 'old%'"), 3);
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(yam_inbox_prune(s_inbox, 2), 2);
    assert_int_equal(yam_inbox_prune(s_inbox, 100), 1);
    s_run(s_database, "UPDATE yam_inbox_0 SET time_ms = time_ms - 3500000 WHERE id = 'young'");
    yam_inbox_destroy(&s_inbox);
    s_new("retention=1h");
    assert_int_equal(s_claim("newer", "x"), YAM_CLAIM_NEW); //  looks for old ones, and finds none
    assert_int_equal(s_claim("young", "x"), YAM_CLAIM_DUPLICATE);
}

static void
test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone(void **state)
{
    (void) state;
    s_new("shards=3");
    assert_int_equal(s_claim_text("old", "x"), YAM_CLAIM_NEW);
    static const char *const batch[][2] = {{"b", "1"}, {"old", "x"}, {"a", "1"},   {"b", "1"},
                                           {"b", "2"}, {"old", "y"}, {"old", "x"}, {"c", "1"}};
    static const yam_claim_t expected[] = {
        YAM_CLAIM_NEW,      YAM_CLAIM_DUPLICATE, YAM_CLAIM_NEW,       YAM_CLAIM_DUPLICATE,
        YAM_CLAIM_CONFLICT, YAM_CLAIM_CONFLICT,  YAM_CLAIM_DUPLICATE, YAM_CLAIM_NEW};
    yam_message_t *messages[8];
    yam_claim_t verdicts[8];
    for (size_t index = 0; index < 8; index++) {
        messages[index] = s_message(batch[index][1], batch[index][0]);
    }
    s_run(s_database, "BEGIN");
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 8, verdicts), 0);
    s_run(s_database, "COMMIT");
    for (size_t index = 0; index < 8; index++) {
        assert_int_equal(verdicts[index], expected[index]);
        yam_message_destroy(&messages[index]);
    }
    yam_inbox_stats_t stats;
    yam_inbox_stats(s_inbox, &stats);
    assert_int_equal(stats.claimed, 4);
    assert_int_equal(stats.duplicates, 3);
    assert_int_equal(stats.conflicts, 2);
}

static void
test_a_batch_after_a_conflict_asks_what_is_there(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim_text("a", "x"), YAM_CLAIM_NEW);
    yam_message_t *messages[] = {s_message("y", "a"), s_message("x", "a"), s_message("y", "a")};
    yam_claim_t verdicts[3];
    s_run(s_database, "BEGIN");
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 3, verdicts), 0);
    s_run(s_database, "COMMIT");
    assert_int_equal(verdicts[0], YAM_CLAIM_CONFLICT);
    assert_int_equal(verdicts[1], YAM_CLAIM_DUPLICATE);
    assert_int_equal(verdicts[2], YAM_CLAIM_CONFLICT);
    for (size_t index = 0; index < 3; index++) {
        yam_message_destroy(&messages[index]);
    }
}

static void
test_a_batch_with_a_message_without_an_id_claims_nothing_and_says_which(void **state)
{
    (void) state;
    s_new(NULL);
    yam_message_t *messages[] = {s_message("x", "a"), s_message("x", NULL)};
    yam_claim_t verdicts[2];
    s_run(s_database, "BEGIN");
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 2, verdicts), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "messages[1]"));
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 0, verdicts), -1);
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, YAM_INBOX_BATCH + 1, verdicts), -1);
    s_run(s_database, "COMMIT");
    assert_int_equal(s_count("SELECT count(*) FROM yam_inbox_0"), 0);
    yam_message_destroy(&messages[0]);
    yam_message_destroy(&messages[1]);
}

static void
test_done_and_release_leave_it_to_the_transaction(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(yam_inbox_done_id(s_inbox, "a", "x", 1), 0);
    assert_int_equal(yam_inbox_release_id(s_inbox, "a", "x", 1), 0);
    assert_int_equal(s_claim("a", "x"), YAM_CLAIM_DUPLICATE);
}

static void
test_tables_of_a_newer_version_are_refused(void **state)
{
    (void) state;
    s_new(NULL);
    yam_inbox_destroy(&s_inbox);
    s_run(s_database, "UPDATE yam_inbox_meta SET value = 9 WHERE name = 'version'");
    assert_null(yam_inbox_new(s_database, NULL));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 9"));
}

static void
test_a_file_that_is_no_database_is_refused(void **state)
{
    (void) state;
    sqlite3_close(s_database);
    FILE *file = fopen(s_path, "w");
    for (int line = 0; line < 100; line++) {
        (void) fputs("this is a text, and a long one\n", file);
    }
    (void) fclose(file);
    s_database = s_open();
    assert_null(yam_inbox_new(s_database, NULL));
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(yam_error(), "right file"));
}

static void
test_a_read_only_database_is_refused_in_words(void **state)
{
    (void) state;
    s_run(s_database, "PRAGMA query_only = 1");
    assert_null(yam_inbox_new(s_database, NULL));
    assert_int_equal(errno, EROFS);
    s_run(s_database, "PRAGMA query_only = 0");
    s_new(NULL);
    s_run(s_database, "PRAGMA query_only = 1");
    s_run(s_database, "BEGIN");
    assert_int_equal(yam_inbox_claim_id(s_inbox, "a", "x", 1), -1);
    assert_int_equal(errno, EROFS);
    s_run(s_database, "ROLLBACK");
}

static void
test_a_full_database_claims_nothing(void **state)
{
    (void) state;
    s_new(NULL);
    s_run(s_database, "PRAGMA max_page_count = 12");
    int verdict = YAM_CLAIM_NEW;
    char id[YAM_INBOX_ID];
    int number = 0;
    while (verdict == YAM_CLAIM_NEW) {
        s_run(s_database, "BEGIN");
        (void) snprintf(id, sizeof id, "%d-%0150d", number++, 7);
        verdict = yam_inbox_claim_id(s_inbox, id, "x", 1);
        (void) sqlite3_exec(s_database, verdict == -1 ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
    }
    assert_int_equal(verdict, -1);
    assert_int_equal(s_count("SELECT count(*) FROM yam_inbox_0"), number - 1);
    s_run(s_database, "PRAGMA max_page_count = 100");
    assert_int_equal(s_claim(id, "x"), YAM_CLAIM_NEW);
}

static void
test_wrong_options_are_refused_by_name(void **state)
{
    (void) state;
    static const char *const wrong[] = {"shard=3",         "shards=0",   "shards=65",
                                        "retention=never", "prefix=a-b", "prefix=x;DROP"};
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        assert_null(yam_inbox_new(s_database, wrong[index]));
        assert_int_equal(errno, EINVAL);
        char name[32];
        (void) snprintf(name, sizeof name, "%.*s", (int) strcspn(wrong[index], "="), wrong[index]);
        assert_non_null(strstr(yam_error(), name));
    }
    assert_null(yam_inbox_new(NULL, NULL));
    assert_non_null(strstr(yam_inbox_options_help(), "retention"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_first_claim_is_new_and_the_next_a_duplicate),
        CASE(test_the_same_id_with_other_content_is_a_conflict_that_changes_nothing),
        CASE(test_a_claim_that_is_rolled_back_never_was),
        CASE(test_a_claim_outside_a_transaction_is_refused),
        CASE(test_claims_survive_a_new_process),
        CASE(test_of_two_connections_only_one_claims),
        CASE(test_ids_are_spread_over_the_shards_by_their_hash),
        CASE(test_another_number_of_shards_is_refused),
        CASE(test_a_message_is_claimed_by_its_id_and_told_apart_by_body_and_properties),
        CASE(test_a_message_without_an_id_or_with_one_too_long_is_refused),
        CASE(test_old_claims_are_forgotten_two_for_each_new_one),
        CASE(test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone),
        CASE(test_a_batch_after_a_conflict_asks_what_is_there),
        CASE(test_a_batch_with_a_message_without_an_id_claims_nothing_and_says_which),
        CASE(test_done_and_release_leave_it_to_the_transaction),
        CASE(test_tables_of_a_newer_version_are_refused),
        CASE(test_a_file_that_is_no_database_is_refused),
        CASE(test_a_read_only_database_is_refused_in_words),
        CASE(test_a_full_database_claims_nothing),
        CASE(test_wrong_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
