//  A sure sender that its relay will not have, or no longer: what becomes of the messages it
//  accepted.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "scripted_relay.h"
#include "yam_error.h"
#include "yami_sender.h"

static scripted_relay_t s_relay;
static yam_t *s_yam;
static yami_sender_t *s_sender;

static int
s_setup(void **state)
{
    (void) state;
    scripted_relay_init(&s_relay);
    s_yam = yam_new();
    return s_yam != NULL ? 0 : -1;
}

static int
s_teardown(void **state)
{
    (void) state;
    (void) s_sender->ops->close(&s_sender, 0);
    yam_destroy(&s_yam);
    scripted_relay_clear(&s_relay);
    return 0;
}

static void
s_open(const char *options)
{
    yami_endpoint_t endpoint;
    scripted_relay_endpoint(&s_relay, &endpoint, options);
    s_sender = yami_sure_sender_new(s_yam, YAMI_KIND_QUEUE, "orders", &endpoint, NULL);
    assert_non_null(s_sender);
}

static int
s_send(const char *body)
{
    yami_record_t record = {.priority = 4, .body = yami_slice_text(body)};
    return s_sender->ops->send(s_sender, &record, "");
}

typedef struct {
    uint64_t first, last;
    yam_status_t status;
    char text[64];
    int calls;
} s_refused_t;

static void
s_note_refused(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
               const char *text)
{
    s_refused_t *refused = arg;
    assert_int_equal(level, YAM_LEVEL_NONE);
    *refused = (s_refused_t) {first, last, status, "", refused->calls + 1};
    (void) snprintf(refused->text, sizeof refused->text, "%s", text);
}

static void
s_refuse_attach(yam_status_t status, const char *text)
{
    scripted_relay_welcome(&s_relay);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    yami_frame_t detached = {.type = YAMI_FRAME_DETACHED,
                             .handle = s_relay.frame.handle,
                             .present = YAMI_F_STATUS | YAMI_F_TEXT,
                             .status = status,
                             .text = yami_slice_text(text)};
    scripted_relay_send(&s_relay, &detached, NULL);
}

static void
test_what_was_accepted_before_the_relay_would_not_have_us_is_refused(void **state)
{
    (void) state;
    yam_sender_stats_t stats;
    s_refused_t refused = {.calls = 0};
    s_open("");
    s_sender->ops->set_confirm(s_sender, s_note_refused, &refused);
    for (int index = 0; index < 3; index++) {
        assert_int_equal(s_send("early"), 0);
    }
    s_refuse_attach(YAM_STATUS_CONFLICT, "the channel is a topic");
    while (s_send("later") == 0) { //  what is still taken is refused as well
    }
    assert_int_equal(errno, EEXIST);
    assert_non_null(strstr(yam_error(), "the channel is a topic"));
    s_sender->ops->stats(s_sender, &stats);
    assert_int_equal(s_sender->ops->flush(s_sender, -1), stats.sent);
    assert_int_equal(errno, EEXIST);
    s_sender->ops->stats(s_sender, &stats);
    assert_int_equal(stats.refused, stats.sent);
    s_sender->ops->set_confirm(s_sender, NULL, NULL); //  it is not running
    assert_int_equal(refused.calls, 1);
    assert_int_equal(refused.first, 1);
    assert_int_equal(refused.last, stats.sent);
    assert_int_equal(refused.status, YAM_STATUS_CONFLICT);
    assert_string_equal(refused.text, "the channel is a topic");
}

typedef struct {
    sem_t has_begun, may_end;
    uint64_t inner; //  what flush says in the engine's own thread
} s_held_t;

static void
s_hold(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
       const char *text)
{
    s_held_t *held = arg;
    (void) first, (void) last, (void) status, (void) level, (void) text;
    held->inner = s_sender->ops->flush(s_sender, -1);
    (void) sem_post(&held->has_begun);
    (void) sem_wait(&held->may_end);
}

static void
test_a_flush_while_a_refusal_is_reported_counts_each_message_once(void **state)
{
    (void) state;
    s_held_t held = {.inner = 0};
    (void) sem_init(&held.has_begun, 0, 0);
    (void) sem_init(&held.may_end, 0, 0);
    s_open("");
    s_sender->ops->set_confirm(s_sender, s_hold, &held);
    for (int index = 0; index < 3; index++) {
        assert_int_equal(s_send("early"), 0);
    }
    s_refuse_attach(YAM_STATUS_CONFLICT, "the channel is a topic");
    (void) sem_wait(&held.has_begun);
    uint64_t meanwhile = s_sender->ops->flush(s_sender, 0);
    (void) sem_post(&held.may_end);
    assert_int_equal(meanwhile, 3);
    assert_int_equal(s_sender->ops->flush(s_sender, -1), 3);
    assert_int_equal(errno, EEXIST);
    s_sender->ops->set_confirm(s_sender, NULL, NULL); //  it is not running
    assert_int_equal(held.inner, 3);
    (void) sem_destroy(&held.has_begun);
    (void) sem_destroy(&held.may_end);
}

//  It may be stored.
static void
test_what_was_on_its_way_when_the_relay_ended_us_has_no_outcome(void **state)
{
    (void) state;
    yam_sender_stats_t stats;
    s_refused_t refused = {.calls = 0};
    s_open("name=billing");
    s_sender->ops->set_confirm(s_sender, s_note_refused, &refused);
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("on its way"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    yami_frame_t fenced = {.type = YAMI_FRAME_DETACHED,
                           .handle = s_relay.batch.handle,
                           .present = YAMI_F_STATUS,
                           .status = YAM_STATUS_FENCED};
    scripted_relay_send(&s_relay, &fenced, NULL);
    assert_int_equal(s_sender->ops->flush(s_sender, -1), 1);
    assert_int_equal(errno, ESTALE);
    s_sender->ops->stats(s_sender, &stats);
    assert_int_equal(stats.refused, 0);
    assert_int_equal(refused.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_accepted_before_the_relay_would_not_have_us_is_refused),
        TEST(test_a_flush_while_a_refusal_is_reported_counts_each_message_once),
        TEST(test_what_was_on_its_way_when_the_relay_ended_us_has_no_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
