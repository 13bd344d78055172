//  yam_dispatcher against a real relay: what is committed arrives once and in order, whoever sends.
//  One file: every case is an outbox, a relay and dispatchers, and the same few steps between them.

#include "outbox/outbox_fixture.h"
#include "wrapper_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripted_relay.h"
#include "yam_error.h"
#include "yam_outbox_db.h"
#include "yam_relay.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_outbox_sqlite.h"

//  Nobody is given up for its silence, however slow the machine is: what was lost with a session
//  would come, and count, twice.
#define S_PATIENT "heartbeat=60s"
#define S_SURE "grade=sure&connect-timeout=60s&" S_PATIENT

static yam_relay_t *s_relay;
static char s_endpoint[320];

static int
s_setup(void **state)
{
    if (outbox_setup(state) == -1 || wrapper_setup(state) == -1) {
        return -1;
    }
    s_relay = yam_relay_new(wrapper_yam, "@tcp://127.0.0.1:*", NULL, S_PATIENT);
    assert_non_null(s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?" S_SURE, yam_relay_endpoints(s_relay));
    return 0;
}

static int
s_teardown(void **state)
{
    yam_relay_destroy(&s_relay);
    return wrapper_teardown(state) == -1 || outbox_teardown(state) == -1 ? -1 : 0;
}

#define S_TEST(name) WRAPPER_TEST_WITH(name, s_setup, s_teardown)

static yam_dispatcher_t *
s_dispatcher(const char *options)
{
    yam_dispatcher_t *dispatcher =
        yam_dispatcher_new(wrapper_yam, outbox_path, s_endpoint, options);
    if (dispatcher == NULL) {
        fail_msg("%s", yam_error());
    }
    return dispatcher;
}

static void
s_flush(yam_dispatcher_t *dispatcher)
{
    if (yam_dispatcher_flush(dispatcher, PATIENCE_MS) == -1) {
        fail_msg("%s", yam_error());
    }
}

//  Takes count messages, whose bodies must be first, first + 1 ...
static void
s_expect(yam_pull_t *pull, int first, int count)
{
    for (int number = first; number < first + count; number++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        assert_non_null(message);
        char body[16];
        (void) snprintf(body, sizeof body, "%.*s", (int) yam_message_size(message),
                        (const char *) yam_message_body(message));
        assert_int_equal(strtol(body, NULL, 10), number);
        assert_int_equal(yam_pull_ack(pull, &message), 0);
    }
}

//  What is put behind all that the relay has is the next to come.
static void
s_expect_no_more(yam_pull_t *pull)
{
    yam_push_t *push = wrapper_push(s_endpoint);
    assert_int_equal(yam_push_send(push, "-1", 2), 0);
    s_expect(pull, -1, 1);
    yam_push_destroy(&push);
}

static void
test_what_is_committed_is_delivered_once_and_in_order(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_put_numbers("orders", 0, 100);
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    outbox_put_numbers("orders", 100, 5000);
    s_flush(dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 5100);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox_flight"), 0);
    s_expect(pull, 0, 5100);
    s_expect_no_more(pull);
    yam_dispatcher_stats_t stats;
    yam_dispatcher_stats(dispatcher, &stats);
    assert_int_equal(stats.delivered, 5100);
    assert_int_equal(stats.sent, 5100);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_messages_carry_the_identity_of_their_row_or_their_own(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_run(outbox_database, "BEGIN");
    assert_int_equal(outbox_put("orders", "0", "a key"), 1);
    yam_message_t *message = yam_message_new("1", 1);
    assert_int_equal(yam_message_set(message, "id", "order 4711"), 0);
    assert_int_equal(yam_outbox_put(outbox, "orders", message), 2);
    yam_message_destroy(&message);
    outbox_run(outbox_database, "COMMIT");
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    message = yam_pull_recv(pull, PATIENCE_MS);
    assert_non_null(message);
    assert_string_equal(yam_message_get(message, "key"), "a key");
    assert_int_equal(strlen(yam_message_get(message, "id")), 34);
    assert_string_equal(yam_message_get(message, "id") + 32, "-1");
    assert_int_equal(yam_pull_ack(pull, &message), 0);
    message = yam_pull_recv(pull, PATIENCE_MS);
    assert_non_null(message);
    assert_string_equal(yam_message_get(message, "id"), "order 4711");
    assert_int_equal(yam_pull_ack(pull, &message), 0);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_topics_get_what_is_put_for_them(void **state)
{
    (void) state;
    yam_sub_t *sub = wrapper_sub(s_endpoint);
    yam_message_t *message = yam_message_new("1", 1);
    assert_int_equal(yam_message_set(message, "subject", "eu.de"), 0);
    outbox_run(outbox_database, "BEGIN");
    assert_int_equal(yam_outbox_put_topic(outbox, "prices", message), 1);
    yam_message_destroy(&message);
    outbox_run(outbox_database, "COMMIT");
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    message = yam_sub_recv(sub, PATIENCE_MS);
    assert_non_null(message);
    assert_string_equal(yam_message_subject(message), "eu.de");
    assert_int_equal(yam_sub_ack(sub, &message), 0);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_sub_close(&sub, PATIENCE_MS), 0);
}

static void
test_what_was_confirmed_and_not_marked_is_sent_again_and_stored_once(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_put_numbers("orders", 0, 100);
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    s_expect(pull, 0, 100);
    //  As if it had been killed before it could mark them.
    outbox_run(outbox_database, "INSERT INTO yam_outbox_flight VALUES (1, 1, 100, 1, 100, '')");
    outbox_put_numbers("orders", 100, 10);
    dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    s_expect(pull, 100, 10);
    s_expect_no_more(pull);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 110);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_a_database_put_back_from_a_copy_begins_a_new_epoch_and_loses_nothing(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_put_numbers("orders", 0, 10);
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    s_expect(pull, 0, 10);
    //  The copy was made before anything had been sent, and holds other rows.
    outbox_run(outbox_database, "DELETE FROM yam_outbox_row;"
                                "UPDATE yam_outbox_lane SET next = 1, assigned = 0");
    outbox_put_numbers("orders", 10, 5);
    dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    s_expect(pull, 10, 5);
    s_expect_no_more(pull);
    assert_int_equal(outbox_number("SELECT epoch FROM yam_outbox_lane"), 2);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_what_the_relay_refuses_for_good_fails_with_its_reason_and_may_be_put_back(void **state)
{
    (void) state;
    yam_sub_t *sub = wrapper_sub(s_endpoint); //  "prices" is a topic
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    outbox_put_numbers("prices", 0, 3);
    outbox_put_numbers("orders", 0, 3);
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    s_expect(pull, 0, 3);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 2"), 3);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox_failed WHERE status = 5 AND "
                                   "reason = 'the channel is a topic' AND tries LIKE ' 1%'"),
                     3);
    assert_int_equal(yam_outbox_retry(outbox, 2), 1);
    s_flush(dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 2"), 3);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_sub_close(&sub, PATIENCE_MS), 0);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

//  Whoever writes rows by SQL can write what yam_outbox_put refuses.
static void
test_row_that_no_sender_takes_fails_alone_and_the_next_are_delivered(void **state)
{
    static const struct {
        const char *record;
        const char *reason;
    } cases[] = {
        {"0000000000000104000000000100000000000000", "is too long for delayed messages"},
        {"010000010000000400000000", "no sound record"},                 //  16 MiB and a byte
        {"000000000000000a00000000", "no sound record"},                 //  priority 10
        {"000000000000800400000000", "no sound record"},                 //  an unknown flag
        {"0000000000000104000000000000000000000000", "no sound record"}, //  due at 0
        {"000000000100000400000000", "no sound record"},                 //  cut off
        {"00000000000000040000000000", "no sound record"},               //  a byte too long
        {"", "no sound record"},
    };
    (void) state;
    char name[YAMI_LIMIT_NAME + 1] = {0};
    memset(name, 'q', YAMI_LIMIT_DELAYED_NAME + 2);
    yam_pull_t *pull = yam_pull_new(wrapper_yam, name, s_endpoint);
    assert_non_null(pull);
    for (int index = 0; index < (int) (sizeof cases / sizeof cases[0]); index++) {
        char text[400];
        int before = 7 * index; //  ids
        outbox_put_numbers(name, 0, 7);
        (void) snprintf(text, sizeof text,
                        "UPDATE yam_outbox_row SET record = x'%s' WHERE id - %d IN (1, 3, 4, 7)",
                        cases[index].record, before);
        outbox_run(outbox_database, text);
        yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
        s_flush(dispatcher);
        yam_dispatcher_destroy(&dispatcher);
        s_expect(pull, 1, 1);
        s_expect(pull, 4, 2);
        (void) snprintf(text, sizeof text,
                        "SELECT group_concat(state, '') FROM yam_outbox WHERE id > %d", before);
        assert_int_equal(outbox_number(text), 2122112);
        (void) snprintf(text, sizeof text,
                        "SELECT count(*) FROM yam_outbox WHERE id > %d AND status = %d AND reason "
                        "LIKE '%%%s%%' AND tries LIKE ' 1%%'",
                        before, YAM_STATUS_MALFORMED, cases[index].reason);
        assert_int_equal(outbox_number(text), 4);
    }
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

//  As a provider may that ends a statement.
static int64_t
s_read_and_say(void *arg, int64_t lane, uint64_t first, uint64_t last, yam_outbox_entry_fn fn,
               void *fn_arg)
{
    int64_t rows = yami_outbox_sqlite_read(arg, lane, first, last, fn, fn_arg);
    (void) yami_fail(EIO, "what the database says");
    return rows;
}

static void
test_reason_of_a_refused_row_is_not_what_its_database_said_since(void **state)
{
    (void) state;
    yam_outbox_db_t database = yami_outbox_sqlite;
    database.read = s_read_and_say;
    outbox_put_numbers("orders", 0, 1);
    outbox_run(outbox_database, "UPDATE yam_outbox_row SET record = x''");
    sqlite3 *writer;
    assert_int_equal(sqlite3_open(outbox_path, &writer), SQLITE_OK);
    yam_dispatcher_t *dispatcher =
        yam_dispatcher_new_over(wrapper_yam, &database, writer, s_endpoint, NULL);
    assert_non_null(dispatcher);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 2 AND reason "
                                   "LIKE '%no sound record%'"),
                     1);
}

static void
test_rows_of_a_name_that_is_none_fail_and_those_of_others_are_delivered(void **state)
{
    static const char *const names[] = {"''", "'a b'", "'.hidden'", "printf('%.*c', 201, 'q')",
                                        "printf('%.*c', 300, 'q')"};
    (void) state;
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char text[400];
        (void) snprintf(text, sizeof text,
                        "BEGIN; INSERT INTO yam_outbox_lane SELECT NULL, 1, %s, 1, 1, 0, 0, 0; "
                        "INSERT INTO yam_outbox_row SELECT NULL, max(lane), 0, "
                        "x'000000000000000400000000' FROM yam_outbox_lane; COMMIT",
                        names[index]);
        outbox_run(outbox_database, text);
        outbox_put_numbers("orders", (int) index, 1);
        s_flush(dispatcher);
        (void) snprintf(text, sizeof text,
                        "SELECT count(*) FROM yam_outbox WHERE channel = %s AND state = 2 AND "
                        "status = %d AND reason LIKE '%%name%%'",
                        names[index], YAM_STATUS_MALFORMED);
        assert_int_equal(outbox_number(text), 1);
    }
    yam_dispatcher_destroy(&dispatcher);
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    s_expect(pull, 0, 5);
    s_expect_no_more(pull);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_rows_are_deleted_at_once_when_nothing_is_kept(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 100);
    yam_dispatcher_t *dispatcher = s_dispatcher("keep=0");
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox"), 0);
}

static void
test_two_dispatchers_at_once_deliver_everything_once(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    yam_dispatcher_t *one = s_dispatcher("lease=50ms&batch=10");
    yam_dispatcher_t *other = s_dispatcher("lease=50ms&batch=10");
    for (int round = 0; round < 20; round++) {
        outbox_put_numbers("orders", round * 50, 50);
        outbox_put_numbers("bills", round * 50, 50);
    }
    s_flush(one);
    s_flush(other);
    yam_dispatcher_stats_t stats[2];
    yam_dispatcher_stats(one, &stats[0]);
    yam_dispatcher_stats(other, &stats[1]);
    assert_int_equal(stats[0].delivered + stats[1].delivered, 2000);
    yam_dispatcher_destroy(&one);
    yam_dispatcher_destroy(&other);
    s_expect(pull, 0, 1000);
    s_expect_no_more(pull);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_rows_wait_for_a_relay_that_is_away_without_a_try(void **state)
{
    (void) state;
    yam_relay_destroy(&s_relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">inproc://away?" S_SURE); //  a name of our own
    yam_dispatcher_t *dispatcher = s_dispatcher("limit=10ms&tries=1");
    outbox_put_numbers("orders", 0, 10);
    assert_int_equal(yam_dispatcher_flush(dispatcher, 200), -1);
    assert_int_equal(errno, EAGAIN);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 0"), 10);
    assert_int_equal(yam_outbox_cancel(outbox, 5), 1); //  none has a sequence yet
    dispatcher = s_dispatcher("tries=1"); //  a relay that is there may take more than 10 ms
    assert_int_equal(yam_dispatcher_flush(dispatcher, 50), -1);
    s_relay = yam_relay_new(wrapper_yam, "@inproc://away", NULL, S_PATIENT);
    assert_non_null(s_relay);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 9);
}

//  First it is in memory, then one with a store takes its place, which a link whose farewell was
//  lost finds out by its next heartbeat.
static void
test_rows_wait_for_a_relay_of_their_level(void **state)
{
    (void) state;
    char folder[160];
    char listen[256];
    (void) snprintf(folder, sizeof folder, "%s-store", outbox_path);
    (void) snprintf(listen, sizeof listen, "@%s", yam_relay_endpoints(s_relay));
    (void) snprintf(s_endpoint, sizeof s_endpoint,
                    ">%s?grade=sure&connect-timeout=60s&heartbeat=2s",
                    yam_relay_endpoints(s_relay));
    outbox_put_numbers("orders", 0, 10);
    yam_pull_t *pull = wrapper_pull(s_endpoint);
    yam_dispatcher_t *dispatcher = s_dispatcher("level=synced&limit=10ms&tries=1");
    assert_int_equal(yam_dispatcher_flush(dispatcher, 200), -1);
    yam_dispatcher_stats_t stats;
    yam_dispatcher_stats(dispatcher, &stats);
    assert_int_equal(stats.sent, 0);
    assert_null(yam_pull_recv(pull, 0));
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 0"), 10);
    dispatcher = s_dispatcher("level=synced&tries=1"); //  a relay that syncs may take over 10 ms
    assert_int_equal(yam_dispatcher_flush(dispatcher, 50), -1);
    yam_relay_destroy(&s_relay);
    s_relay = yam_relay_new(wrapper_yam, listen, folder, S_PATIENT);
    assert_non_null(s_relay);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 10);
    pull = wrapper_pull(s_endpoint);
    s_expect(pull, 0, 10);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_confirm_below_the_level_marks_nothing(void **state)
{
    (void) state;
    scripted_relay_t relay;
    scripted_relay_init(&relay);
    (void) snprintf(s_endpoint, sizeof s_endpoint, ">%s?" S_SURE, relay.address);
    outbox_put_numbers("orders", 0, 1);
    yam_dispatcher_t *dispatcher = s_dispatcher("level=synced&limit=1s");
    scripted_relay_attach(&relay, 1, 0); //  at the level synced
    scripted_relay_expect_batch(&relay, 1);
    outbox_put_numbers("orders", 1, 1); //  comes once the first is marked
    yami_frame_t confirm = {.type = YAMI_FRAME_CONFIRM,
                            .handle = 1,
                            .present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL,
                            .epoch = 1,
                            .sequence = 1,
                            .level = YAM_LEVEL_RECEIVED};
    scripted_relay_send(&relay, &confirm, NULL);
    assert_int_equal(scripted_relay_recv(&relay), 'c'); //  the try was in vain: it leaves
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 0);
    yam_dispatcher_destroy(&dispatcher);
    scripted_relay_clear(&relay);
}

static void
test_a_relay_in_this_process_will_do(void **state)
{
    (void) state;
    yam_pull_t *pull = wrapper_pull("@tcp://127.0.0.1:*?relay=memory");
    (void) snprintf(s_endpoint, sizeof s_endpoint, "@tcp://127.0.0.1:*?relay=memory");
    yam_dispatcher_t *dispatcher = s_dispatcher(NULL);
    outbox_put_numbers("orders", 0, 10);
    yam_dispatcher_wake(dispatcher);
    s_expect(pull, 0, 10);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(yam_pull_close(&pull, PATIENCE_MS), 0);
}

static void
test_readonly_database_is_tried_again_and_loses_nothing(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 10);
    sqlite3 *reader;
    assert_int_equal(sqlite3_open_v2(outbox_path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    yam_dispatcher_t *dispatcher =
        yam_dispatcher_new_over(wrapper_yam, &yami_outbox_sqlite, reader, s_endpoint, NULL);
    assert_non_null(dispatcher);
    yam_dispatcher_stats_t stats = {0};
    for (int round = 0; stats.troubles == 0; round++) {
        assert_true(round < PATIENCE_MS / 10);
        assert_int_equal(yam_dispatcher_flush(dispatcher, 10), -1);
        yam_dispatcher_stats(dispatcher, &stats);
    }
    assert_int_equal(stats.sent, 0); //  without a durable sequence nothing leaves
    yam_dispatcher_destroy(&dispatcher);
    dispatcher = s_dispatcher(NULL);
    s_flush(dispatcher);
    yam_dispatcher_destroy(&dispatcher);
    assert_int_equal(outbox_number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 10);
}

static void
test_what_cannot_be_a_dispatcher_is_refused(void **state)
{
    (void) state;
    assert_null(yam_dispatcher_new(wrapper_yam, "/nowhere/at/all.db", s_endpoint, NULL));
    assert_int_equal(errno, ENOENT);
    assert_null(
        yam_dispatcher_new(wrapper_yam, outbox_path, ">tcp://127.0.0.1:9?grade=fast", NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(yam_dispatcher_new(wrapper_yam, outbox_path, NULL, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(yam_dispatcher_new(wrapper_yam, outbox_path, s_endpoint, "tries=many"));
    assert_int_equal(errno, EINVAL);
    assert_null(yam_dispatcher_new(wrapper_yam, outbox_path, s_endpoint, "level=sure"));
    assert_int_equal(errno, EINVAL);
    outbox_run(outbox_database, "UPDATE yam_outbox_meta SET value = 9 WHERE name = 'version'");
    assert_null(yam_dispatcher_new(wrapper_yam, outbox_path, s_endpoint, NULL));
    assert_int_equal(errno, EPROTONOSUPPORT);
    yam_dispatcher_t *none = NULL;
    yam_dispatcher_destroy(&none);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        S_TEST(test_what_is_committed_is_delivered_once_and_in_order),
        S_TEST(test_messages_carry_the_identity_of_their_row_or_their_own),
        S_TEST(test_topics_get_what_is_put_for_them),
        S_TEST(test_what_was_confirmed_and_not_marked_is_sent_again_and_stored_once),
        S_TEST(test_a_database_put_back_from_a_copy_begins_a_new_epoch_and_loses_nothing),
        S_TEST(test_what_the_relay_refuses_for_good_fails_with_its_reason_and_may_be_put_back),
        S_TEST(test_row_that_no_sender_takes_fails_alone_and_the_next_are_delivered),
        S_TEST(test_reason_of_a_refused_row_is_not_what_its_database_said_since),
        S_TEST(test_rows_of_a_name_that_is_none_fail_and_those_of_others_are_delivered),
        S_TEST(test_rows_are_deleted_at_once_when_nothing_is_kept),
        S_TEST(test_two_dispatchers_at_once_deliver_everything_once),
        S_TEST(test_rows_wait_for_a_relay_that_is_away_without_a_try),
        S_TEST(test_rows_wait_for_a_relay_of_their_level),
        S_TEST(test_confirm_below_the_level_marks_nothing),
        S_TEST(test_a_relay_in_this_process_will_do),
        S_TEST(test_readonly_database_is_tried_again_and_loses_nothing),
        S_TEST(test_what_cannot_be_a_dispatcher_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
