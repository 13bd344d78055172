//  Relay core: what becomes of the news of the store's background reading.

#include "relay/relay_fixture.h"

#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_damage.h"

#define QUEUE YAMI_KIND_QUEUE
#define LEASE_MS 30000
#define PLENTY (1u << 30)

//  Peer 1 has published 1 to 3, 4 to 6 and 7 to 9 to "q", channel 1; peer 2 consumes on handle 5.
static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, LEASE_MS);
    for (uint64_t first = 1; first <= 7; first += 3) {
        fixture_publish(f, 1, fixture_batch(1, 9, 1, first, 3, NULL));
    }
    fixture_settle_down(f);
    *state = f;
    return 0;
}

static void
s_tell(fixture_t *f, const yami_scrub_progress_t *progress, uint32_t channel)
{
    yami_damage_t damage = {.segment = 1,
                            .size = 100,
                            .channel = channel,
                            .first = 4,
                            .last = 6,
                            .what = "entry checksum"};
    yami_relay_event_t event = {
        .type = YAMI_EVENT_SCRUB, .scrub = progress, .damage = channel > 0 ? &damage : NULL};
    fixture_step(f, &event);
}

static void
s_expect_deliver(fixture_t *f, uint64_t first, uint64_t last)
{
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.first, first);
    assert_int_equal(f->frame.last, last);
}

static void
test_damage_found_by_the_scrub_is_lost_before_it_is_read(void **state)
{
    fixture_t *f = *state;
    yami_scrub_progress_t progress = {.read_bytes = 3000, .left_bytes = 500, .damaged_ranges = 1};
    s_tell(f, &progress, 1);
    assert_string_equal(f->logged, "relay.messages-lost");
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_settle_down(f);
    s_expect_deliver(f, 1, 3);
    s_expect_deliver(f, 7, 9);
    fixture_expect_none(f, 2, YAMI_FRAME_DELIVER);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "lost"), 3);
    fixture_restart(f); //  they stay lost, and nothing else is
    fixture_hello(f, 1);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 6);
}

//  Somebody has them already, from the cache: their ack comes too late, and harms nothing.
static void
test_leased_messages_that_are_found_damaged_do_not_come_again(void **state)
{
    fixture_t *f = *state;
    fixture_credit(f, 2, 5, 100, PLENTY);
    fixture_settle_down(f);
    s_expect_deliver(f, 1, 3);
    s_expect_deliver(f, 4, 6);
    uint64_t token = f->frame.token;
    yami_scrub_progress_t progress = {.read_bytes = 3000, .damaged_ranges = 1};
    s_tell(f, &progress, 1);
    fixture_settle(f, 2, 5, YAMI_FRAME_ACK, 1, token, 4, 6);
    fixture_advance(f, LEASE_MS + 1);
    fixture_settle_down(f);
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 6);
}

static void
test_progress_is_in_stat_and_its_end_in_the_log(void **state)
{
    fixture_t *f = *state;
    for (uint64_t damaged = 0; damaged <= 1; damaged++) {
        yami_scrub_progress_t progress = {
            .read_bytes = 3000, .left_bytes = 500, .damaged_ranges = damaged};
        s_tell(f, &progress, 0);
        fixture_admin(f, 1, "stat", NULL, false);
        assert_int_equal(fixture_number(f, "damaged"), damaged);
        assert_int_equal(fixture_number(f, "scrubbed-bytes"), 3000);
        assert_int_equal(fixture_number(f, "scrub-left-bytes"), 500);
        progress.is_done = true;
        s_tell(f, &progress, 0);
        assert_string_equal(f->logged, "store.scrubbed");
        assert_int_equal(f->log_level, damaged > 0 ? YAMI_LOG_ERROR : YAMI_LOG_INFO);
    }
}

//  A channel that is not known (any more), or sequences that were settled long ago.
static void
test_damage_that_hits_no_message_is_said_and_loses_none(void **state)
{
    fixture_t *f = *state;
    yami_scrub_progress_t progress = {.read_bytes = 3000, .damaged_ranges = 1};
    s_tell(f, &progress, 77);
    assert_string_equal(f->logged, "relay.store-damaged");
    fixture_admin(f, 1, "stat", "q", false);
    assert_int_equal(fixture_number(f, "messages"), 9);
}

//  Of ranges found at the start, as many as there is a place for; and what the store itself could
//  not name.
static void
test_ranges_too_many_to_be_noted_are_counted_and_said(void **state)
{
    fixture_t *f = *state;
    fixture_restart(f);
    yami_damage_t damage = {.segment = 1, .size = 8, .what = "entry checksum"};
    for (uint64_t count = 0; count < YAMI_LIMIT_DAMAGES + 5; count++) {
        damage.offset += 16;
        yami_relay_core_lost(f->core, &damage);
    }
    damage = (yami_damage_t) {.segment = 1, .is_rest = true, .more = 7, .what = "more"};
    yami_relay_core_lost(f->core, &damage);
    unsigned before = f->log_count;
    fixture_hello(f, 1);
    assert_string_equal(f->logged, "relay.store-damaged");
    assert_int_equal(f->log_count - before, YAMI_LIMIT_DAMAGES + 1); //  the last says how many more
    fixture_admin(f, 1, "relay", NULL, false);
    assert_int_equal(fixture_number(f, "damaged"), YAMI_LIMIT_DAMAGES + 5 + 7);
}

//  Of missing segments that are one range, the log named the first only.
static void
test_log_says_up_to_which_segment_a_range_is_missing(void **state)
{
    fixture_t *f = *state;
    yami_damage_t damage = {.segment = 26,
                            .last_segment = 28,
                            .first_lsn = 7,
                            .last_lsn = 9,
                            .what = "missing segments"};
    char text[YAMI_DAMAGE_TEXT_SIZE];
    yami_relay_damage_text(&damage, text);
    assert_string_equal(text,
                        "what=\"missing segments\" segment=26 last-segment=28 offset=0 bytes=0 "
                        "first-lsn=7 last-lsn=9 channel=0 first=0 last=0");
    fixture_restart(f);
    yami_relay_core_lost(f->core, &damage);
    fixture_hello(f, 1);
    assert_string_equal(f->logged, "relay.store-damaged");
    assert_string_equal(f->log_text, "segment=1a last-segment=1c offset=0 size=0 channel=0 first=0 "
                                     "last=0 what=\"missing segments\"");
    damage = (yami_damage_t) {.segment = 26, .what = "missing segment"};
    yami_relay_damage_text(&damage, text);
    assert_null(strstr(text, "last-segment"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_damage_found_by_the_scrub_is_lost_before_it_is_read),
        TEST(test_leased_messages_that_are_found_damaged_do_not_come_again),
        TEST(test_progress_is_in_stat_and_its_end_in_the_log),
        TEST(test_damage_that_hits_no_message_is_said_and_loses_none),
        TEST(test_ranges_too_many_to_be_noted_are_counted_and_said),
        TEST(test_log_says_up_to_which_segment_a_range_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
