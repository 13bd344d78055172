//  An outbox whose tables others have written into: a dispatcher says what is wrong, changes
//  nothing, and goes on once it is mended.

#include "outbox/outbox_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_outbox_driver.h"
#include "yami_outbox_sqlite.h"

#define S_OWNER 7

static yami_outbox_driver_t s_driver;
static int64_t s_now_ms;

static int
s_setup(void **state)
{
    static const yami_outbox_core_options_t options = {
        .limit_ms = 1000, .try_limit = 3, .lease_ms = 300, .keep_ms = 0, .batch = 4};
    int rc = outbox_setup(state);
    if (rc == 0) {
        outbox_put_numbers("orders", 0, 10);
        s_now_ms = 1000;
        void *provider = yami_outbox_sqlite.open(outbox_database, "yam_outbox");
        yami_outbox_driver_init(&s_driver, &yami_outbox_sqlite, provider, &options, S_OWNER);
    }
    return rc;
}

static int
s_teardown(void **state)
{
    yami_outbox_driver_clear(&s_driver);
    return outbox_teardown(state);
}

#define S_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

static int
s_turn(void)
{
    s_now_ms += 10000;          //  whatever was paused is not any more
    s_driver.mark = UINT64_MAX; //  others have committed
    return yami_outbox_driver_turn(&s_driver, s_now_ms, s_now_ms);
}

//  The tables are damaged by that statement, and the dispatcher says so, with these words.
static void
s_assert_told(const char *damage, const char *words)
{
    outbox_run(outbox_database, damage);
    assert_int_equal(s_turn(), -1);
    assert_int_equal(errno, EBADMSG);
    if (strstr(yam_error(), words) == NULL) {
        fail_msg("\"%s\" does not say %s", yam_error(), words);
    }
    yami_outbox_core_check(&s_driver.core);
    assert_int_not_equal(sqlite3_get_autocommit(outbox_database), 0);
}

//  The lane is taken, its sender attached, and rows get sequences.
static void
s_settle(void)
{
    yami_outbox_output_t output;
    for (int turn = 0; turn < 4; turn++) {
        assert_int_not_equal(s_turn(), -1);
        yami_outbox_core_check(&s_driver.core);
        while (yami_outbox_core_output(&s_driver.core, s_now_ms, &output) &&
               output.action == YAMI_OUTBOX_DO_OPEN) {
            yami_outbox_core_opened(&s_driver.core, s_now_ms, output.lane, true);
            yami_outbox_core_attached(&s_driver.core, s_now_ms, output.lane, 0, YAM_LEVEL_SYNCED);
        }
    }
}

static void
test_lane_that_no_outbox_has_is_told_and_not_taken(void **state)
{
    static const char *const damages[] = {"epoch = 0", "epoch = 4294967296", "next = 0",
                                          "next = -5", "kind = 3",           "epoch = 'x'",
                                          "owner = -1"};
    (void) state;
    for (size_t index = 0; index < sizeof damages / sizeof damages[0]; index++) {
        char text[100];
        (void) snprintf(text, sizeof text, "UPDATE yam_outbox_lane SET %s", damages[index]);
        s_assert_told(text, "lane 1 of the outbox is none");
        outbox_run(outbox_database, "UPDATE yam_outbox_lane SET epoch = 1, next = 1, kind = 1, "
                                    "owner = 0");
    }
    s_settle();
    assert_int_equal(outbox_number("SELECT owner FROM yam_outbox_lane"), S_OWNER);
}

static void
test_flight_that_cannot_be_is_told_and_not_sent(void **state)
{
    static const char *const flights[] = {
        "1, 0, 1, 2", "1, -1, 1, 2", "1, 9223372036854775807, 1, 2", "0, 2, 1, 2", "1, 2, 2, 1"};
    (void) state;
    for (size_t index = 0; index < sizeof flights / sizeof flights[0]; index++) {
        char text[200];
        yam_outbox_flight_t found[2];
        (void) snprintf(text, sizeof text,
                        "INSERT INTO yam_outbox_flight (lane, first, count, first_id, last_id, "
                        "tries) VALUES (1, %s, '')",
                        flights[index]);
        outbox_run(outbox_database, text);
        assert_int_equal(yami_outbox_sqlite.flights(s_driver.database, 1, 0, found, 2), -1);
        assert_int_equal(errno, EBADMSG);
        assert_non_null(strstr(yam_error(), "is none"));
        outbox_run(outbox_database, "DELETE FROM yam_outbox_flight");
    }
}

static void
test_flights_that_overlap_are_told_and_not_renumbered_for_ever(void **state)
{
    (void) state;
    outbox_run(
        outbox_database,
        "INSERT INTO yam_outbox_flight (lane, first, count, first_id, last_id, tries) VALUES "
        "(1, 1, 4, 1, 4, ''), (1, 2, 4, 1, 5, ''); UPDATE yam_outbox_lane SET owner = 7");
    assert_int_equal(yami_outbox_sqlite.begin(s_driver.database), 0);
    assert_int_equal(yami_outbox_sqlite.renumber(s_driver.database, 1, S_OWNER, 2), -1);
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(yam_error(), "overlap"));
    yami_outbox_sqlite.rollback(s_driver.database);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        S_TEST(test_lane_that_no_outbox_has_is_told_and_not_taken),
        S_TEST(test_flight_that_cannot_be_is_told_and_not_sent),
        S_TEST(test_flights_that_overlap_are_told_and_not_renumbered_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
