//  outbox_cases - see the header.

#include "outbox_cases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_frame.h"
#include "yami_limits.h"

#define S_OWNER 7

outbox_subject_t outbox_subject;

static const yam_outbox_waiting_t s_not_looked;

int64_t
outbox_put(const char *queue, const char *body, const char *key)
{
    yam_message_t *message = yam_message_new(body, strlen(body));
    assert_non_null(message);
    if (key != NULL) {
        assert_int_equal(yam_message_set(message, "key", key), 0);
    }
    int64_t id = yam_outbox_put(outbox_subject.outbox, queue, message);
    int error = errno;
    yam_message_destroy(&message);
    errno = error;
    return id;
}

void
outbox_put_numbers(const char *queue, int first, int count)
{
    outbox_subject.run(outbox_subject.begin);
    for (int number = first; number < first + count; number++) {
        char body[16];
        (void) snprintf(body, sizeof body, "%d", number);
        if (outbox_put(queue, body, NULL) <= 0) {
            fail_msg("%s", yam_error());
        }
    }
    outbox_subject.run("COMMIT");
}

//  The tables as a dispatcher sees them; lane 1 is its.
static void *
s_provider(void)
{
    void *provider = outbox_subject.db->open(outbox_subject.connection, "yam_outbox");
    assert_non_null(provider);
    yam_outbox_lane_t seen = {.lane = 1};
    assert_int_equal(outbox_subject.db->take(provider, &seen, S_OWNER), 1);
    return provider;
}

static yam_outbox_flight_t
s_assign(void *provider, uint32_t limit)
{
    yam_outbox_flight_t flight = {0, 0, 0};
    yam_outbox_waiting_t waiting = {.count = 0};
    if (outbox_subject.db->gather != NULL) {
        assert_int_equal(outbox_subject.db->gather(provider, 1, limit, 1 << 20, &waiting), 0);
    }
    assert_true(outbox_subject.db->assign(provider, 1, S_OWNER, limit, 1 << 20, &waiting, &flight) >
                0);
    return flight;
}

//  -- Putting -------------------------------------------------------------------------------------

void
test_put_outside_of_a_transaction_is_refused(void **state)
{
    (void) state;
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_non_null(strstr(yam_error(), "BEGIN"));
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox"), 0);
}

void
test_put_that_is_rolled_back_never_was(void **state)
{
    (void) state;
    outbox_subject.run("BEGIN");
    assert_int_equal(outbox_put("orders", "x", NULL), 1);
    outbox_subject.run("ROLLBACK");
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox"), 0);
    outbox_subject.run("BEGIN"); //  the lane was rolled back, too
    assert_true(outbox_put("orders", "y", NULL) > 0);
    outbox_subject.run("COMMIT");
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox WHERE state = 0"), 1);
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox_lane"), 1);
}

void
test_an_id_is_never_used_again(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 3);
    void *provider = s_provider();
    (void) s_assign(provider, 3);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 3, false), 3);
    outbox_subject.db->close(provider);
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox"), 0);
    outbox_subject.run("BEGIN");
    assert_int_equal(outbox_put("orders", "x", NULL), 4);
    outbox_subject.run("COMMIT");
}

void
test_bad_channels_and_messages_are_refused(void **state)
{
    (void) state;
    outbox_subject.run("BEGIN");
    assert_int_equal(outbox_put("", "x", NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(outbox_put("a b", "x", NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_outbox_put(outbox_subject.outbox, "orders", NULL), -1);
    assert_int_equal(errno, EINVAL);
    outbox_subject.run("COMMIT");
}

void
test_delayed_message_for_a_name_too_long_for_it_is_refused_at_once(void **state)
{
    (void) state;
    char name[YAMI_LIMIT_NAME + 1] = {0};
    memset(name, 'q', YAMI_LIMIT_DELAYED_NAME + 2);
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set_due(message, 1), 0);
    outbox_subject.run("BEGIN");
    assert_int_equal(yam_outbox_put(outbox_subject.outbox, name, message), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_non_null(strstr(yam_error(), "194 bytes is too long for delayed messages"));
    assert_int_equal(yam_outbox_put_topic(outbox_subject.outbox, name, message), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_true(outbox_put(name, "not delayed", NULL) > 0);
    name[YAMI_LIMIT_DELAYED_NAME] = '\0';
    assert_true(yam_outbox_put(outbox_subject.outbox, name, message) > 0);
    outbox_subject.run("COMMIT");
    yam_message_destroy(&message);
}

void
test_one_channel_too_many_is_refused_and_the_others_go_on(void **state)
{
    (void) state;
    outbox_subject.run("BEGIN");
    char name[32];
    for (int number = 0; number < YAM_OUTBOX_LANES; number++) {
        (void) snprintf(name, sizeof name, "queue-%d", number);
        assert_true(outbox_put(name, "x", NULL) > 0);
    }
    assert_int_equal(outbox_put("orders", "x", NULL), -1);
    assert_int_equal(errno, ENOSPC);
    assert_true(outbox_put(name, "x", NULL) > 0);
    outbox_subject.run("COMMIT");
}

//  -- What dispatchers ask ------------------------------------------------------------------------

//  Ids of what was read, and whether the sequences were in a row.
typedef struct {
    int64_t ids[64];
    size_t count;
    uint64_t next;
} s_seen_t;

static int
s_see(void *arg, const yam_outbox_entry_t *entry)
{
    s_seen_t *seen = arg;
    assert_int_equal(entry->sequence, seen->next);
    seen->next++;
    seen->ids[seen->count++] = entry->id;
    return 0;
}

static s_seen_t
s_read(void *provider, uint64_t first, uint64_t last)
{
    s_seen_t seen = {.next = first};
    int64_t count = outbox_subject.db->read(provider, 1, first, last, s_see, &seen);
    assert_int_equal(count, seen.count);
    return seen;
}

//  How many rows have failed; each is shown.
static int64_t
s_failed_count(yam_outbox_row_fn show)
{
    return yam_outbox_rows(outbox_subject.outbox, YAM_OUTBOX_FAILED, NULL, 0, 1000, show, NULL);
}

static int
s_look(void *arg, const yam_outbox_row_t *row)
{
    (void) arg;
    assert_true(*row->reason != 0);
    return 0;
}

static int
s_check_failure(void *arg, const yam_outbox_row_t *row)
{
    assert_int_equal(row->status, YAM_STATUS_TOO_BIG);
    assert_int_equal(row->try_count, 2);
    assert_int_equal(row->tries_ms[0], 3);
    assert_int_equal(row->tries_ms[1], 5);
    return s_look(arg, row);
}

void
test_sequences_have_no_gaps_whatever_lies_between(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 2);
    outbox_put_numbers("bills", 0, 5);
    outbox_put_numbers("orders", 2, 3);
    void *provider = s_provider();
    yam_outbox_flight_t flight = s_assign(provider, 3);
    assert_int_equal(flight.first, 1);
    assert_int_equal(flight.last, 3);
    flight = s_assign(provider, 100);
    assert_int_equal(flight.first, 4);
    assert_int_equal(flight.last, 5);
    assert_int_equal(
        outbox_subject.db->assign(provider, 1, S_OWNER, 100, 1 << 20, &s_not_looked, &flight), 0);
    s_seen_t seen = s_read(provider, 1, 3);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.ids[1], 2);
    assert_int_equal(seen.ids[2], 8);
    assert_int_equal(s_read(provider, 2, 3).ids[0], 2);
    outbox_subject.db->close(provider);
}

void
test_rows_that_fail_leave_the_others_their_sequences(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 10);
    void *provider = s_provider();
    (void) s_assign(provider, 100);
    yam_outbox_failure_t failure = {YAM_STATUS_TOO_BIG, "too big", 5, 6};
    assert_int_equal(outbox_subject.db->tried(provider, 1, S_OWNER, 1, 1, 3), 0);
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 4, 6, &failure), 3);
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox_flight"), 2);
    assert_int_equal(s_read(provider, 1, 10).count, 3);
    s_seen_t seen = s_read(provider, 7, 10);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.ids[0], 7);
    assert_int_equal(s_read(provider, 4, 6).count, 0);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 10, true), 7);
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox WHERE state = 1"), 7);
    assert_int_equal(s_failed_count(s_check_failure), 3);
    outbox_subject.db->close(provider);
}

void
test_whoever_lost_the_lane_changes_nothing(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 2);
    void *provider = s_provider();
    (void) s_assign(provider, 1);
    yam_outbox_lane_t seen = {.lane = 1, .owner = S_OWNER, .beat = 1};
    assert_int_equal(outbox_subject.db->take(provider, &seen, 8), 1);
    assert_int_equal(outbox_subject.db->take(provider, &seen, 9), 0); //  it was seen otherwise
    yam_outbox_flight_t flight = {0, 0, 0};
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 0, 1};
    assert_int_equal(outbox_subject.db->assign(provider, 1, S_OWNER, 1, 1, &s_not_looked, &flight),
                     -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 1, true), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 1, 1, &failure), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(outbox_subject.db->tried(provider, 1, S_OWNER, 1, 1, 1), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(outbox_subject.db->renumber(provider, 1, S_OWNER, 2), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(outbox_subject.db->release(provider, 1, S_OWNER), 0);
    assert_int_equal(outbox_subject.number("SELECT owner FROM yam_outbox_lane"), 8);
    outbox_subject.db->close(provider);
}

void
test_new_epoch_numbers_all_that_has_no_outcome_anew(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 10);
    void *provider = s_provider();
    (void) s_assign(provider, 3);
    (void) s_assign(provider, 3);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 3, true), 3);
    assert_int_equal(outbox_subject.db->renumber(provider, 1, S_OWNER, 2), 0);
    yam_outbox_flight_t flight = {0, 0, 0}; //  a provider may leave rows in their flights
    while (outbox_subject.db->assign(provider, 1, S_OWNER, 100, 1 << 20, &s_not_looked, &flight) ==
           1) {
    }
    s_seen_t seen = {.next = 1};
    for (uint64_t first = 1; first <= 7; first = seen.next) {
        assert_true(outbox_subject.db->read(provider, 1, first, 7, s_see, &seen) > 0);
    }
    assert_int_equal(seen.count, 7);
    assert_int_equal(seen.ids[0], 4);
    assert_int_equal(seen.ids[6], 10);
    outbox_subject.db->close(provider);
}

//  -- What people do ------------------------------------------------------------------------------

void
test_failed_row_that_is_put_back_has_a_sequence_of_its_own(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 5);
    void *provider = s_provider();
    (void) s_assign(provider, 5);
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 1, 1};
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 2, 2, &failure), 1);
    assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 1), 0);
    assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 99), 0);
    assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 2), 1);
    assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 2), 0);
    s_seen_t seen = s_read(provider, 6, 6);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.ids[0], 2);
    assert_int_equal(s_failed_count(s_look), 0);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 6, true), 5);
    outbox_subject.db->close(provider);
}

void
test_only_what_cannot_be_at_the_relay_is_cancelled(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 5);
    void *provider = s_provider();
    (void) s_assign(provider, 3);
    assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 2), -1);
    assert_int_equal(errno, EBUSY);
    assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 4), 1);
    assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 4), 0);
    assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 99), 0);
    yam_outbox_flight_t flight = s_assign(provider, 100);
    assert_int_equal(flight.first, 4);
    assert_int_equal(flight.last, 4);
    assert_int_equal(s_read(provider, 4, 4).ids[0], 5);
    assert_int_equal(outbox_subject.number("SELECT state FROM yam_outbox WHERE id = 4"), 3);
    outbox_subject.db->close(provider);
}

void
test_trial_has_the_outcomes_of_what_it_tries_and_leaves_nothing(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 5);
    void *provider = s_provider();
    (void) s_assign(provider, 3);
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 1, 1};
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 1, 1, &failure), 1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(yam_outbox_begin_trial(outbox_subject.outbox), 0);
        assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 1), 1);
        assert_int_equal(yam_outbox_retry(outbox_subject.outbox, 1), 0); //  it is put back
        assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 5), 1);
        assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 2), -1);
        yam_outbox_end_trial(outbox_subject.outbox);
        assert_int_equal(errno, EBUSY);
    }
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox WHERE state = 0"), 4);
    assert_int_equal(outbox_subject.number("SELECT next FROM yam_outbox_lane"), 4);
    outbox_subject.run(outbox_subject.begin);
    assert_int_equal(yam_outbox_begin_trial(outbox_subject.outbox), -1);
    assert_int_equal(errno, EPERM);
    outbox_subject.run("ROLLBACK");
    outbox_subject.db->close(provider);
}

void
test_prune_deletes_what_is_over_and_old_and_nothing_else(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 700);
    void *provider = s_provider();
    (void) s_assign(provider, 690);
    yam_outbox_failure_t failure = {YAM_STATUS_TIMEOUT, "late", 1, 1};
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 1, 10, &failure), 10);
    assert_int_equal(outbox_subject.db->delivered(provider, 1, S_OWNER, 1, 690, true), 680);
    assert_int_equal(yam_outbox_cancel(outbox_subject.outbox, 1), 1);
    assert_int_equal(yam_outbox_prune(outbox_subject.outbox, 1000000, 10000), 0); //  all are young
    assert_int_equal(yam_outbox_prune(outbox_subject.outbox, -1000, 300), 300);
    assert_int_equal(yam_outbox_prune(outbox_subject.outbox, -1000, 10000), 381);
    assert_int_equal(outbox_subject.number("SELECT count(*) FROM yam_outbox"), 19);
    assert_int_equal(s_failed_count(s_look), 9);
    outbox_subject.db->close(provider);
}

//  What rows shows.
typedef struct {
    int64_t count;
    uint64_t sequence; //  of the last one
    char reason[64];
    char identity[64];
    size_t try_count;
} s_shown_t;

static int
s_show(void *arg, const yam_outbox_row_t *row)
{
    s_shown_t *shown = arg;
    shown->count++;
    shown->sequence = row->sequence;
    shown->try_count = row->try_count;
    (void) snprintf(shown->reason, sizeof shown->reason, "%s", row->reason);
    (void) snprintf(shown->identity, sizeof shown->identity, "%s", row->identity);
    assert_string_equal(row->channel, "orders");
    assert_int_equal(row->kind, YAMI_KIND_QUEUE);
    assert_int_equal(row->size, yam_message_size(row->message));
    return 0;
}

void
test_rows_are_shown_by_state_with_all_that_is_known_of_them(void **state)
{
    (void) state;
    outbox_put_numbers("orders", 0, 10);
    void *provider = s_provider();
    (void) s_assign(provider, 8);
    yam_outbox_failure_t failure = {YAM_STATUS_CONFLICT, "no such thing", 77, 78};
    assert_int_equal(outbox_subject.db->failed(provider, 1, S_OWNER, 3, 3, &failure), 1);
    s_shown_t shown = {0};
    assert_int_equal(yam_outbox_rows(outbox_subject.outbox, -1, NULL, 0, 100, s_show, &shown), 10);
    assert_int_equal(shown.sequence, 0);
    shown = (s_shown_t) {0};
    assert_int_equal(yam_outbox_rows(outbox_subject.outbox, 0, "orders", 0, 100, s_show, &shown),
                     9);
    assert_int_equal(yam_outbox_rows(outbox_subject.outbox, 0, "bills", 0, 100, s_show, &shown), 0);
    assert_int_equal(yam_outbox_rows(outbox_subject.outbox, -1, NULL, 7, 1, s_show, &shown), 1);
    assert_int_equal(shown.sequence, 8); //  of row 8
    assert_int_equal(
        yam_outbox_rows(outbox_subject.outbox, YAM_OUTBOX_FAILED, NULL, 0, 100, s_show, &shown), 1);
    assert_string_equal(shown.reason, "no such thing");
    assert_int_equal(shown.try_count, 1);
    assert_int_equal(strlen(shown.identity), 34);
    assert_string_equal(shown.identity + 32, "-3");
    outbox_subject.db->close(provider);
}
