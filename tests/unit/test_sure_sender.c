//  The sure sender against a relay that follows a script.
//  One file: every case is a conversation of one sender with the same relay.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "scripted_relay.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_properties.h"
#include "yami_sender.h"
#include "yami_sure_link.h"

static scripted_relay_t s_relay;
static yam_t *s_yam;
static yami_sender_t *s_sender;

static int
s_setup(void **state)
{
    (void) state;
    scripted_relay_init(&s_relay);
    s_yam = yam_new();
    assert_non_null(s_yam);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    if (s_sender != NULL) {
        (void) s_sender->ops->close(&s_sender, 0);
    }
    yam_destroy(&s_yam);
    scripted_relay_clear(&s_relay);
    return 0;
}

static void
s_open_as(int kind, const char *channel, const char *options, const yami_identity_t *identity)
{
    yami_endpoint_t endpoint;
    scripted_relay_endpoint(&s_relay, &endpoint, options);
    s_sender = yami_sure_sender_new(s_yam, kind, channel, &endpoint, identity);
    assert_non_null(s_sender);
}

static void
s_open(const char *options)
{
    s_open_as(YAMI_KIND_QUEUE, "orders", options, NULL);
}

static int
s_send(const char *body)
{
    yami_record_t record = {.priority = 4, .body = yami_slice_text(body)};
    return s_sender->ops->send(s_sender, &record, "");
}

//  Record number index of the batch that came last.
static yami_record_t
s_record(uint32_t index)
{
    size_t offset = 0;
    yami_record_t record;
    for (uint32_t visited = 0; visited <= index; visited++) {
        assert_int_equal(yami_batch_next(&s_relay.batch, &offset, &record), 0);
    }
    return record;
}

static void
test_lone_message_leaves_at_once_and_is_confirmed(void **state)
{
    (void) state;
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("hello"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    assert_int_equal(s_relay.batch.count, 1);
    assert_int_equal(s_relay.batch.epoch, 1);
    assert_true(yami_slice_equal(s_record(0).body, "hello"));
    assert_int_equal(s_sender->ops->flush(s_sender, 0), 1);
    scripted_relay_confirm(&s_relay, 1, 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
    yam_sender_stats_t stats;
    s_sender->ops->stats(s_sender, &stats);
    assert_int_equal(stats.sent, 1);
    assert_int_equal(stats.confirmed, 1);
    assert_int_equal(stats.level, YAM_LEVEL_SYNCED);
    assert_int_equal(stats.is_connected, 1);
}

static void
test_messages_gather_while_enough_are_on_their_way(void **state)
{
    (void) state;
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    for (uint64_t sequence = 1; sequence <= 4; sequence++) {
        assert_int_equal(s_send("first"), 0);
        scripted_relay_expect_batch(&s_relay, sequence);
    }
    for (int index = 0; index < 100; index++) {
        assert_int_equal(s_send("gathered"), 0);
    }
    scripted_relay_confirm(&s_relay, 1, 1);
    scripted_relay_expect_batch(&s_relay, 5);
    assert_int_equal(s_relay.batch.count, 100);
}

static void
test_full_batches_do_not_wait(void **state)
{
    (void) state;
    s_open("batch-bytes=1k");
    scripted_relay_attach(&s_relay, 1, 0);
    char body[300];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = 0;
    for (int index = 0; index < 31; index++) {
        assert_int_equal(s_send(body), 0);
    }
    //  Three to a batch; the last three may stay open.
    for (uint64_t count = 0; count < 28; count += s_relay.batch.count) {
        scripted_relay_expect_batch(&s_relay, count + 1);
    }
}

static void
test_full_window_is_eagain_and_room_comes_with_confirms(void **state)
{
    (void) state;
    s_open("window=10&send-timeout=0");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("0"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    for (int index = 1; index < 10; index++) {
        assert_int_equal(s_send("x"), 0);
    }
    assert_int_equal(s_send("too many"), -1);
    assert_int_equal(errno, EAGAIN);
    scripted_relay_confirm(&s_relay, 1, 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 0) <= 10, 1);
    while (s_send("fits") == -1) { //  the confirm is on its way
        assert_int_equal(errno, EAGAIN);
    }
}

static void
test_full_window_in_bytes_takes_one_message_alone(void **state)
{
    (void) state;
    s_open("window-bytes=100&send-timeout=0");
    char body[1000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = 0;
    assert_int_equal(s_send(body), 0);
    assert_int_equal(s_send("x"), -1);
    assert_int_equal(errno, ENOTCONN); //  no ATTACHED was said
    assert_non_null(strstr(yam_error(), s_relay.address));
}

static void *
s_send_in_thread(void *arg)
{
    *(int *) arg = s_send("waits");
    return NULL;
}

static void
test_send_waits_for_room(void **state)
{
    (void) state;
    s_open("window=1");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("first"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    int rc = -2;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_send_in_thread, &rc), 0);
    scripted_relay_confirm(&s_relay, 1, 1);
    scripted_relay_expect_batch(&s_relay, 2);
    (void) pthread_join(thread, NULL);
    assert_int_equal(rc, 0);
}

static void
test_no_session_resends_in_a_new_session(void **state)
{
    (void) state;
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("kept"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    scripted_relay_send(&s_relay,
                        &(yami_frame_t) {.type = YAMI_FRAME_ERROR,
                                         .present = YAMI_F_STATUS,
                                         .status = YAM_STATUS_NO_SESSION},
                        NULL);
    scripted_relay_attach(&s_relay, 1, 0);
    scripted_relay_expect_batch(&s_relay, 1);
    assert_true(yami_slice_equal(s_record(0).body, "kept"));
    scripted_relay_confirm(&s_relay, 1, 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
    yam_sender_stats_t stats;
    s_sender->ops->stats(s_sender, &stats);
    assert_int_equal(stats.resent, 1);
    assert_int_equal(stats.reconnects, 1);
}

//  From now on the relay is at that address.
static void
s_move(const char *address)
{
    (void) zmq_unbind(s_relay.router, s_relay.address);
    assert_int_equal(zmq_bind(s_relay.router, address), 0);
    (void) snprintf(s_relay.address, sizeof s_relay.address, "%s", address);
}

//  At no port: while nobody listens there, another program may be given it, and so may the sender,
//  which then finds itself.
static void
test_relay_that_comes_back_gets_everything_again(void **state)
{
    (void) state;
    char address[256];
    const char *folder = getenv("TMPDIR");
    (void) snprintf(address, sizeof address, "ipc://%s/relay-%d", folder ? folder : "/tmp",
                    (int) getpid());
    s_move(address);
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("kept"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    scripted_relay_clear(&s_relay);
    scripted_relay_init(&s_relay);
    s_move(address);
    assert_int_equal(s_send("later"), 0); //  makes it speak: the relay does not know it
    for (;;) {
        char what = scripted_relay_recv(&s_relay);
        if (what == 'c' && s_relay.frame.type == YAMI_FRAME_HELLO) {
            break;
        }
        scripted_relay_send(&s_relay,
                            &(yami_frame_t) {.type = YAMI_FRAME_ERROR,
                                             .present = YAMI_F_STATUS,
                                             .status = YAM_STATUS_NO_SESSION},
                            NULL);
    }
    scripted_relay_send(&s_relay,
                        &(yami_frame_t) {.type = YAMI_FRAME_WELCOME,
                                         .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_LEVEL |
                                                    YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                                         .session = s_relay.session,
                                         .max_frame = 20971520,
                                         .heartbeat_ms = 60000},
                        NULL);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    assert_int_equal(s_relay.frame.first, 1);
    assert_int_equal(s_relay.frame.epoch, 1);
}

static void
test_named_producer_waits_for_its_epoch(void **state)
{
    (void) state;
    s_open("name=billing");
    assert_int_equal(s_send("early"), 0);
    scripted_relay_welcome(&s_relay);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    assert_int_equal(s_relay.frame.epoch, 0);
    scripted_relay_send(&s_relay,
                        &(yami_frame_t) {.type = YAMI_FRAME_ATTACHED,
                                         .handle = 1,
                                         .present = YAMI_F_LEVEL | YAMI_F_SEQUENCE | YAMI_F_EPOCH |
                                                    YAMI_F_MESSAGES | YAMI_F_BYTES,
                                         .epoch = 9,
                                         .messages = 100,
                                         .bytes = 100000},
                        NULL);
    scripted_relay_expect_batch(&s_relay, 1);
    assert_int_equal(s_relay.batch.epoch, 9);
}

//  -- Who hears, and who is refused

typedef struct {
    uint64_t calls;
    uint64_t ok;
    uint64_t refused;
    uint64_t next; //  first of the next call
    char text[64];
    int nested; //  what sending from within gave
} s_heard_t;

static void
s_confirm(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
          const char *text)
{
    s_heard_t *heard = arg;
    assert_int_equal(first, heard->next);
    heard->next = last + 1;
    heard->calls++;
    if (status == YAM_STATUS_OK) {
        assert_int_equal(level, YAM_LEVEL_SYNCED);
        heard->ok += last - first + 1;
    } else {
        heard->refused += last - first + 1;
        (void) snprintf(heard->text, sizeof heard->text, "%s", text);
        heard->nested = s_send("instead");
    }
}

static void
s_refuse(uint32_t epoch, uint64_t sequence)
{
    yami_frame_t refuse = {.type = YAMI_FRAME_REFUSE,
                           .handle = 1,
                           .present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS |
                                      YAMI_F_TEXT,
                           .epoch = epoch,
                           .first = sequence,
                           .last = sequence,
                           .status = YAM_STATUS_TOO_BIG,
                           .text = yami_slice_text("no more than 3")};
    scripted_relay_send(&s_relay, &refuse, NULL);
}

//  -- An identity that its owner remembers

#define EPOCH 12
#define FIRST 41 //  40 are settled

static yami_monitor_t s_monitor;
static uint64_t s_change_count;

static void
s_on_change(void *arg)
{
    uint64_t *count = arg;
    yami_monitor_lock(&s_monitor);
    (*count)++;
    yami_monitor_tell(&s_monitor);
    yami_monitor_unlock(&s_monitor);
}

static void
s_open_known(void)
{
    yami_identity_t identity = {.producer.bytes = "sixteen letters",
                                .epoch = EPOCH,
                                .first_sequence = FIRST,
                                .changed = s_on_change,
                                .arg = &s_change_count};
    yami_monitor_init(&s_monitor);
    s_change_count = 0;
    s_open_as(YAMI_KIND_QUEUE, "orders", "name=ignored", &identity);
}

//  Until a change made is_so true of the state; that state, and the relay's words.
static yami_sure_state_t
s_wait_state(bool (*is_so)(const yami_sure_state_t *state), char text[64])
{
    yami_sure_state_t state;
    int64_t until_ms = yami_monitor_deadline(10000);
    yami_monitor_lock(&s_monitor);
    for (;;) {
        uint64_t seen = s_change_count;
        yami_monitor_unlock(&s_monitor);
        yami_sure_sender_state(s_sender, &state, text, 64);
        yami_monitor_lock(&s_monitor);
        if (is_so(&state)) {
            break;
        }
        while (s_change_count == seen) {
            assert_true(yami_monitor_wait(&s_monitor, until_ms));
        }
    }
    yami_monitor_unlock(&s_monitor);
    return state;
}

static bool
s_is_attached(const yami_sure_state_t *state)
{
    return state->is_attached;
}

static bool
s_is_final(const yami_sure_state_t *state)
{
    return state->final_status != YAM_STATUS_OK;
}

static void
s_expect_known_attach(uint64_t first)
{
    scripted_relay_welcome(&s_relay);
    scripted_relay_expect(&s_relay, YAMI_FRAME_ATTACH);
    assert_memory_equal(s_relay.frame.producer.bytes, "sixteen letters", 16);
    assert_int_equal(s_relay.frame.epoch, EPOCH);
    assert_int_equal(s_relay.frame.first, first);
}

static void
s_attach_known(uint64_t sequence)
{
    yami_frame_t attached = {.type = YAMI_FRAME_ATTACHED,
                             .handle = s_relay.frame.handle,
                             .present = YAMI_F_LEVEL | YAMI_F_SEQUENCE | YAMI_F_EPOCH |
                                        YAMI_F_MESSAGES | YAMI_F_BYTES,
                             .level = YAM_LEVEL_SYNCED,
                             .sequence = sequence,
                             .epoch = EPOCH,
                             .messages = 1000,
                             .bytes = 1000000};
    scripted_relay_send(&s_relay, &attached, NULL);
}

static void
test_given_identity_is_the_one_the_relay_sees_and_confirms_count_in(void **state)
{
    (void) state;
    char text[64];
    s_heard_t heard = {.next = FIRST};
    s_open_known();
    s_sender->ops->set_confirm(s_sender, s_confirm, &heard);
    s_expect_known_attach(FIRST);
    s_attach_known(0);
    yami_sure_state_t known = s_wait_state(s_is_attached, text);
    assert_int_equal(known.known, 0);
    assert_int_equal(known.sessions, 1);
    assert_int_equal(s_send("first"), 0);
    scripted_relay_expect_batch(&s_relay, FIRST);
    assert_int_equal(s_relay.batch.epoch, EPOCH);
    assert_memory_equal(s_relay.batch.producer.bytes, "sixteen letters", 16);
    assert_int_equal(s_send("second"), 0);
    scripted_relay_expect_batch(&s_relay, FIRST + 1);
    scripted_relay_confirm(&s_relay, EPOCH, FIRST + 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
    assert_int_equal(heard.ok, 2);
    assert_int_equal(heard.next, FIRST + 2);
}

static void
test_given_identity_is_told_what_the_relay_has_and_goes_on_behind_it(void **state)
{
    (void) state;
    char text[64];
    s_heard_t heard = {.next = FIRST};
    s_open_known();
    s_sender->ops->set_confirm(s_sender, s_confirm, &heard);
    assert_int_equal(s_send("stored before a crash"), 0);
    assert_int_equal(s_send("stored as well"), 0);
    s_expect_known_attach(FIRST);
    s_attach_known(FIRST + 1);
    yami_sure_state_t known = s_wait_state(s_is_attached, text);
    assert_int_equal(known.known, FIRST + 1);
    scripted_relay_expect_batch(&s_relay, FIRST); //  again, which does no harm
    scripted_relay_confirm(&s_relay, EPOCH, FIRST + 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
    assert_int_equal(s_send("new"), 0);
    scripted_relay_expect_batch(&s_relay, FIRST + 2);
    assert_true(yami_slice_equal(s_record(0).body, "new"));
    assert_int_equal(heard.ok, 2);
}

static void
test_refusal_for_good_ends_a_given_identity_and_names_what_was_refused(void **state)
{
    (void) state;
    char text[64];
    s_open_known();
    s_expect_known_attach(FIRST);
    s_attach_known(0);
    assert_int_equal(s_send("too big"), 0);
    scripted_relay_expect_batch(&s_relay, FIRST);
    s_refuse(EPOCH, FIRST);
    yami_sure_state_t final = s_wait_state(s_is_final, text);
    assert_int_equal(final.final_status, YAM_STATUS_TOO_BIG);
    assert_int_equal(final.final_first, FIRST);
    assert_int_equal(final.final_last, FIRST);
    assert_string_equal(text, "no more than 3");
    assert_false(final.is_attached);
    assert_int_equal(s_send("whatever comes"), -1); //  its owner decides what is next
    assert_int_equal(errno, EMSGSIZE);
}

//  -- Refusals

static void
test_fenced_producer_gets_estale(void **state)
{
    (void) state;
    s_open("name=billing");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("x"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    scripted_relay_send(&s_relay,
                        &(yami_frame_t) {.type = YAMI_FRAME_DETACHED,
                                         .handle = 1,
                                         .present = YAMI_F_STATUS,
                                         .status = YAM_STATUS_FENCED},
                        NULL);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 1); //  ends at once: nothing will come
    assert_int_equal(s_send("y"), -1);
    assert_int_equal(errno, ESTALE);
}

static void
test_refusal_is_heard_in_order_and_by_flush_and_confirm_may_send(void **state)
{
    (void) state;
    s_heard_t heard = {.next = 1, .nested = -2};
    s_open("");
    s_sender->ops->set_confirm(s_sender, s_confirm, &heard);
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("good"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    assert_int_equal(s_send("bad"), 0);
    scripted_relay_expect_batch(&s_relay, 2);
    s_refuse(1, 2);
    scripted_relay_confirm(&s_relay, 1, 1);
    scripted_relay_attach(&s_relay, 1, 1); //  past what was refused
    scripted_relay_expect_batch(&s_relay, 3);
    assert_true(yami_slice_equal(s_record(0).body, "instead"));
    scripted_relay_confirm(&s_relay, 1, 3);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 1);
    assert_int_equal(errno, yam_status_errno(YAM_STATUS_TOO_BIG));
    assert_non_null(strstr(yam_error(), "refused 1 message: no more than 3"));
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0); //  it was told
    assert_int_equal(heard.ok, 2);
    assert_int_equal(heard.refused, 1);
    assert_int_equal(heard.nested, 0);
    assert_string_equal(heard.text, "no more than 3");
}

static void
test_subject_becomes_a_property(void **state)
{
    (void) state;
    yami_property_t property;
    s_open_as(YAMI_KIND_TOPIC, "orders", "", NULL);
    scripted_relay_attach(&s_relay, 1, 0);
    yami_record_t record = {.priority = 4,
                            .properties = yami_slice("\x81\xa3tag\xa3new", 9),
                            .body = yami_slice_text("x")};
    assert_int_equal(s_sender->ops->send(s_sender, &record, "eu.de"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    assert_true(yami_properties_find(s_record(0).properties, "subject", &property));
    assert_true(yami_slice_equal(property.text, "eu.de"));
    assert_true(yami_properties_find(s_record(0).properties, "tag", &property));
    assert_int_equal(s_sender->ops->send(s_sender, &record, "eu.*"), -1);
    assert_int_equal(errno, EINVAL);
}

static void
test_what_is_due_later_travels_in_batches_of_its_own(void **state)
{
    (void) state;
    static const uint8_t flags[] = {0, 0, YAMI_RECORD_DUE, YAMI_RECORD_DUE, YAMI_RECORD_DUE, 0};
    static const uint32_t counts[] = {2, 3, 1};
    s_open(""); //  nobody takes them yet: they gather
    for (size_t index = 0; index < sizeof flags; index++) {
        yami_record_t record = {.flags = flags[index], .due_ms = 1000, .body = yami_slice("x", 1)};
        assert_int_equal(s_sender->ops->send(s_sender, &record, ""), 0);
    }
    scripted_relay_attach(&s_relay, 1, 0);
    uint64_t sequence = 1;
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        scripted_relay_expect_batch(&s_relay, sequence);
        assert_int_equal(s_relay.batch.count, counts[index]);
        assert_int_equal(s_record(0).flags, flags[sequence - 1]);
        assert_int_equal(s_record(0).due_ms, flags[sequence - 1] != 0 ? 1000 : 0);
        sequence += counts[index];
    }
}

static void
test_name_without_room_for_that_of_delayed_messages_is_told_at_once(void **state)
{
    (void) state;
    char name[YAMI_LIMIT_NAME + 1] = {0};
    yami_record_t record = {.flags = YAMI_RECORD_DUE, .due_ms = 1};
    memset(name, 'q', YAMI_LIMIT_DELAYED_NAME + 1);
    s_open_as(YAMI_KIND_QUEUE, name, "", NULL);
    assert_int_equal(s_sender->ops->send(s_sender, &record, ""), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_non_null(strstr(yam_error(), "NAME.delayed (192 is the most)"));
    assert_int_equal(s_sender->ops->send(s_sender, &record, "a.subject"), -1);
    assert_int_equal(s_send("at once"), 0);
    (void) s_sender->ops->close(&s_sender, 0);
    name[YAMI_LIMIT_DELAYED_NAME] = '\0';
    s_open_as(YAMI_KIND_QUEUE, name, "", NULL);
    assert_int_equal(s_sender->ops->send(s_sender, &record, ""), 0);
}

static void
test_close_waits_for_confirms_then_says_goodbye(void **state)
{
    (void) state;
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("x"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    scripted_relay_confirm(&s_relay, 1, 1);
    int64_t begun_ms = yami_clock_mono_ms();
    assert_int_equal(s_sender->ops->close(&s_sender, 10000), 0);
    assert_null(s_sender);
    if (yami_clock_mono_ms() - begun_ms >= YAMI_SURE_FAREWELL_MS) {
        print_message("# not here: the engine's thread did not run, so no GOODBYE is promised\n");
        skip();
    }
    scripted_relay_expect(&s_relay, YAMI_FRAME_DETACH);
    scripted_relay_expect(&s_relay, YAMI_FRAME_GOODBYE);
}

static void
test_close_without_a_relay_returns_what_is_left(void **state)
{
    (void) state;
    s_open("");
    for (int index = 0; index < 3; index++) {
        assert_int_equal(s_send("x"), 0);
    }
    assert_int_equal(s_sender->ops->close(&s_sender, 1), 3);
}

static void
test_child_after_fork_gets_echild(void **state)
{
    (void) state;
    s_open("");
    pid_t child = fork();
    if (child == 0) {
        _exit(s_send("x") == -1 && errno == ECHILD ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
test_garbage_from_the_relay_changes_nothing(void **state)
{
    (void) state;
    uint64_t seed = 5;
    s_open("");
    scripted_relay_attach(&s_relay, 1, 0);
    assert_int_equal(s_send("x"), 0);
    scripted_relay_expect_batch(&s_relay, 1);
    for (int round = 0; round < 1000; round++) {
        uint8_t junk[64];
        for (size_t index = 0; index < sizeof junk; index++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            junk[index] = (uint8_t) (seed >> 56);
        }
        if (round % 2 == 0) {
            yami_put_u32(junk, YAMI_FRAME_MAGIC);
            junk[4] = YAMI_FRAME_VERSION;
        }
        (void) yami_socket_send_copy(s_relay.router, s_relay.peer, s_relay.peer_size, true);
        (void) yami_socket_send_copy(s_relay.router, junk, seed % sizeof junk, round % 7 == 0);
        if (round % 7 == 0) {
            (void) yami_socket_send_copy(s_relay.router, junk, sizeof junk, false);
        }
    }
    scripted_relay_confirm(&s_relay, 1, 1);
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
}

#define THREAD_COUNT 4
#define PER_THREAD 20000

static void *
s_send_many(void *arg)
{
    for (int index = 0; index < PER_THREAD; index++) {
        if (s_send(arg) == -1) {
            return arg;
        }
    }
    return NULL;
}

static void
test_many_threads_send_and_everything_arrives_once(void **state)
{
    (void) state;
    static char bodies[THREAD_COUNT][2] = {"0", "1", "2", "3"};
    s_open("window=1000&batch-bytes=4k");
    pthread_t threads[THREAD_COUNT];
    for (int index = 0; index < THREAD_COUNT; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_send_many, bodies[index]), 0);
    }
    scripted_relay_attach(&s_relay, 1, 0);
    uint64_t received = 0;
    uint64_t counts[THREAD_COUNT] = {0};
    while (received < THREAD_COUNT * PER_THREAD) {
        scripted_relay_expect_batch(&s_relay, received + 1);
        size_t offset = 0;
        for (uint32_t index = 0; index < s_relay.batch.count; index++) {
            yami_record_t record;
            assert_int_equal(yami_batch_next(&s_relay.batch, &offset, &record), 0);
            counts[record.body.data[0] - '0']++;
        }
        received += s_relay.batch.count;
        scripted_relay_confirm(&s_relay, 1, received);
    }
    for (int index = 0; index < THREAD_COUNT; index++) {
        void *result;
        (void) pthread_join(threads[index], &result);
        assert_null(result);
        assert_int_equal(counts[index], PER_THREAD);
    }
    assert_int_equal(s_sender->ops->flush(s_sender, 10000), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lone_message_leaves_at_once_and_is_confirmed),
        TEST(test_messages_gather_while_enough_are_on_their_way),
        TEST(test_full_batches_do_not_wait),
        TEST(test_full_window_is_eagain_and_room_comes_with_confirms),
        TEST(test_full_window_in_bytes_takes_one_message_alone),
        TEST(test_send_waits_for_room),
        TEST(test_no_session_resends_in_a_new_session),
        TEST(test_relay_that_comes_back_gets_everything_again),
        TEST(test_named_producer_waits_for_its_epoch),
        TEST(test_given_identity_is_the_one_the_relay_sees_and_confirms_count_in),
        TEST(test_given_identity_is_told_what_the_relay_has_and_goes_on_behind_it),
        TEST(test_refusal_for_good_ends_a_given_identity_and_names_what_was_refused),
        TEST(test_fenced_producer_gets_estale),
        TEST(test_refusal_is_heard_in_order_and_by_flush_and_confirm_may_send),
        TEST(test_subject_becomes_a_property),
        TEST(test_what_is_due_later_travels_in_batches_of_its_own),
        TEST(test_name_without_room_for_that_of_delayed_messages_is_told_at_once),
        TEST(test_close_waits_for_confirms_then_says_goodbye),
        TEST(test_close_without_a_relay_returns_what_is_left),
        TEST(test_child_after_fork_gets_echild),
        TEST(test_garbage_from_the_relay_changes_nothing),
        TEST(test_many_threads_send_and_everything_arrives_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
